/* entropy.h - where to saturate: the search for the threshold of smallest Kullback-Leibler divergence.
 *
 * For each candidate threshold the histogram inside it, with what lies outside added to its last bins, is
 * compared with the same bins merged into `levels` levels of fractional width; both are smoothed so that no
 * bin is zero. The threshold returned is, bit for bit, that of the original tool.
 *
 *   espq_entropy_refusal refusal;
 *   espq_histogram h;
 *   if (espq_entropy_histogram(&h, &range, 2048, &refusal, err)) return err->status;
 *   espq_histogram_update(&h, data, count);                        -- the second pass over the data
 *   double threshold;
 *   espq_status status = espq_entropy_threshold(&h, 128, &threshold, &refusal, err);
 *   espq_histogram_free(&h);
 */
#ifndef ESPQ_STATS_ENTROPY_H
#define ESPQ_STATS_ENTROPY_H

#include "base/error.h"
#include "stats/histogram.h"
#include "stats/minmax.h"

/* The sizes that the original tool searches with. */
enum { ESPQ_ENTROPY_BINS = 2048, ESPQ_ENTROPY_LEVELS = 128 };

/* Why there is no threshold: the original raised, we return ESPQ_EUNSUPPORTED and the caller may fall back. */
typedef enum espq_entropy_refusal {
  ESPQ_ENTROPY_NONE = 0,
  ESPQ_ENTROPY_NAN,      /* the data contain NaN */
  ESPQ_ENTROPY_INFINITE, /* the data contain an infinity (our own refusal) */
  ESPQ_ENTROPY_ALL_ZERO, /* no data but zeros, or none */
  ESPQ_ENTROPY_EMPTY,    /* nothing lies inside the smallest candidate: a constant, or far from zero */
  ESPQ_ENTROPY_SMOOTHING /* a smoothed bin fell to 0 or below: a few lone values */
} espq_entropy_refusal;

/* The Python exception of the original for a refusal, and its text ("" for none); NULL where it has none. */
const char *espq_entropy_exception(espq_entropy_refusal refusal, const char **text);

/* Makes the histogram that the search wants for data of this range: without zeros over [0, max] if no element is
 * negative, else over [-m, m]. Refuses NaN, infinities and all zeros with ESPQ_EUNSUPPORTED and *refusal set. */
espq_status espq_entropy_histogram(espq_histogram *h, const espq_minmax *range, int bins, espq_entropy_refusal *refusal,
                                   espq_error *err);

/* The threshold for a histogram made so; 2 <= levels < bins / 2 (the original: 128 and 2048). It needs no data
 * but the counts. Memory of about 100 bytes per bin is taken and given back. */
espq_status espq_entropy_threshold(const espq_histogram *h, int levels, double *threshold,
                                   espq_entropy_refusal *refusal, espq_error *err);

#endif
