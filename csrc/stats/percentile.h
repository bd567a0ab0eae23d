/* percentile.h - the range of float32 data without the few smallest and largest elements.
 *
 * Of n elements in ascending order (from 0), lo is number (int)(n * (1 - part)), hi number min((int)(n * part), n - 1),
 * the products in double: the rule of esp-ppq. They are found by counting, without sorting or copying.
 *
 *   espq_percentile *p;
 *   if (espq_percentile_new(&p, err)) return err->status;
 *   espq_percentile_range range = espq_percentile_of(p, &(espq_blocked){data, 1, count, 1, 1}, ESPQ_PERCENTILE);
 *   espq_percentile_free(p);
 */
#ifndef ESPQ_STATS_PERCENTILE_H
#define ESPQ_STATS_PERCENTILE_H

#include "base/error.h"
#include "stats/blocked.h"

#define ESPQ_PERCENTILE 0.9999

typedef struct espq_percentile espq_percentile; /* tables to count in, for one thread */

typedef struct espq_percentile_range {
  float lo, hi; /* NaN: an element is NaN; +inf and -inf: there is no element */
} espq_percentile_range;

espq_status espq_percentile_new(espq_percentile **out, espq_error *err);
void espq_percentile_free(espq_percentile *p); /* NULL is allowed */
/* The range of the buffer's elements, padding lanes left out; 0.5 <= part <= 1. */
espq_percentile_range espq_percentile_of(espq_percentile *p, const espq_blocked *buffer, double part);

#endif
