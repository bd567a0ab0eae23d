/* kl.h - the step of int8 activations in ESP-DL v3: the search of esp-ppq for the range of smallest
 * Kullback-Leibler divergence.
 *
 * The data are a histogram of magnitudes over [0, max]. Its lowest 0.2 % of bins are emptied, and
 * the next one holds 1. Each range of levels, 2 levels, ... bins, with what lies beyond in its last
 * bin, is compared with itself in `levels` groups, over whose occupied bins each group's count is
 * spread evenly.
 *
 *   espq_histogram h;
 *   espq_histogram_init(&h, ESPQ_HISTOGRAM_MAGNITUDE, absmax, ESPQ_KL_BINS, err);
 *   espq_histogram_update(&h, data, count);
 *   double step;
 *   espq_status status = espq_kl_step(&h, ESPQ_KL_LEVELS, &step, err);
 */
#ifndef ESPQ_STATS_KL_H
#define ESPQ_STATS_KL_H

#include "base/error.h"
#include "stats/histogram.h"

enum { ESPQ_KL_BINS = 4096, ESPQ_KL_LEVELS = 128 };

/* The width of a level in the best range (of the first, where several are as good): a scale that is yet to be rounded
 * to a power of two. `bins` of the histogram is a multiple of `levels`; about 40 bytes per bin are taken and given
 * back. Fails for lack of memory only. */
espq_status espq_kl_step(const espq_histogram *h, int levels, double *step, espq_error *err);

#endif
