/* histogram.h - counts of float32 data over a range fixed beforehand, the second of calibration's
 * two passes.
 *
 * `bins` equal bins over [-hi, hi] (symmetric) or over [0, hi] without the zeros (positive). An
 * element v falls into bin floor((v - lo) * (bins / (hi - lo))), all in double, the factor computed
 * once; v == hi into the last one; NaN and what lies outside the range is ignored. This is the
 * original's rule of ESP-DL v1, to the bit. Magnitudes, which v3 counts, fall into bin
 * floor(|v| * bins / hi), zeros too.
 *
 * Invariants: counts are integers, so updates and merges in any order give the same counts.
 * The table is owned; espq_histogram_free releases it and leaves a histogram that may be freed
 * again.
 *
 *   espq_histogram h;
 *   if (espq_histogram_init(&h, ESPQ_HISTOGRAM_SYMMETRIC, absmax, 2048, err)) return err->status;
 *   espq_histogram_update(&h, data, count);
 *   int64_t first = espq_histogram_count(&h, 0);
 *   espq_histogram_free(&h);
 */
#ifndef ESPQ_STATS_HISTOGRAM_H
#define ESPQ_STATS_HISTOGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "stats/blocked.h"

enum { ESPQ_HISTOGRAM_MAX_BINS = 65536 };

typedef enum espq_histogram_kind {
  ESPQ_HISTOGRAM_SYMMETRIC, /* [-hi, hi] */
  ESPQ_HISTOGRAM_POSITIVE,  /* (0, hi] */
  ESPQ_HISTOGRAM_MAGNITUDE  /* |v| over [0, hi] */
} espq_histogram_kind;

typedef struct espq_histogram {
  espq_histogram_kind kind;
  float hi;
  int bins;
  int64_t *table; /* private; read through espq_histogram_count */
} espq_histogram;

/* An empty histogram; hi finite and above 0, bins 1 to ESPQ_HISTOGRAM_MAX_BINS. After a failure h
 * may be freed. */
espq_status espq_histogram_init(espq_histogram *h, espq_histogram_kind kind, float hi, int bins, espq_error *err);
void espq_histogram_free(espq_histogram *h);
/* Counts `count` elements. */
void espq_histogram_update(espq_histogram *h, const float *span, size_t count);
/* Counts the elements of a channel-blocked buffer, without its padding lanes. */
void espq_histogram_update_blocked(espq_histogram *h, const espq_blocked *buffer);
/* Adds the counts of another histogram of the same kind, range and bins (else ESPQ_EBUG). */
espq_status espq_histogram_merge(espq_histogram *h, const espq_histogram *other, espq_error *err);

/* Adds to the count of a bin, 0 <= bin < bins; false, and nothing done, where 64 bits would not hold it. */
static inline bool espq_histogram_add(espq_histogram *h, int bin, int64_t count) {
  return !__builtin_add_overflow(h->table[bin], count, &h->table[bin]);
}

/* Elements in bin 0 <= bin < bins. */
static inline int64_t espq_histogram_count(const espq_histogram *h, int bin) {
  return h->table[bin] + h->table[h->bins + 1 + bin];
}

#endif
