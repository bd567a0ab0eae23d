/* minmax.h - smallest and largest element of float32 data, the first of calibration's two passes.
 *
 * Invariants: min and max ignore NaN, whose presence `nan` records; they start at +inf and -inf and
 * stay so until a number is seen; a zero is always +0. So merging is associative and commutative
 * bit for bit, and any partition of the data gives the same result. Nothing is owned.
 *
 *   espq_minmax m;
 *   espq_minmax_init(&m);
 *   espq_minmax_update(&m, data, count);
 *   float absmax = espq_minmax_absmax(&m);
 */
#ifndef ESPQ_STATS_MINMAX_H
#define ESPQ_STATS_MINMAX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stats/blocked.h"

typedef struct espq_minmax {
  float min, max;
  bool nan;      /* at least one element was NaN */
  int64_t count; /* elements seen, NaN included */
} espq_minmax;

/* No element seen yet. */
void espq_minmax_init(espq_minmax *m);
/* Adds `count` elements. */
void espq_minmax_update(espq_minmax *m, const float *span, size_t count);
/* Adds the elements of a channel-blocked buffer, without its padding lanes. */
void espq_minmax_update_blocked(espq_minmax *m, const espq_blocked *buffer);
/* Adds what another has seen. */
void espq_minmax_merge(espq_minmax *m, const espq_minmax *other);
/* max(|min|, |max|); 0 for no element, NaN if one of them was NaN. */
float espq_minmax_absmax(const espq_minmax *m);

#endif
