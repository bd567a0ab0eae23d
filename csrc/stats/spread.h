/* spread.h - one candidate of the KL search: the histogram inside it, before and after quantization.
 *
 * p is the candidate's bins with the outliers added to the last ones, r the same bins merged into
 * levels of fractional width and expanded again; both smoothed (no bin is zero) and rounded to
 * float32, not yet normalised. Every bit is the original's: sums run left to right, in double up to
 * the smoothing, in float32 after it. entropy.c is the only user.
 *
 * Invariants: p and r are padded with p = 0, r = 1 to a multiple of ESPQ_SPREAD_LANES; they lie in
 * the source's memory and are overwritten by the next call for the same slot.
 */
#ifndef ESPQ_STATS_SPREAD_H
#define ESPQ_STATS_SPREAD_H

#include "stats/entropy.h"
#include "stats/histogram.h"

/* LANES: what loops advance by. SLOTS: candidates held, and summed side by side, at a time. */
enum { ESPQ_SPREAD_LANES = 16, ESPQ_SPREAD_SLOTS = 4 };

typedef struct espq_spread_source espq_spread_source; /* a histogram, prepared */

typedef struct espq_spread {
  float *p, *r;
  int bins;
  float p_sum, r_sum; /* by espq_spread_sum */
} espq_spread;

/* `levels` of at least one bin each; owned by the caller. NULL: no memory. */
espq_spread_source *espq_spread_source_new(const espq_histogram *h, int levels);
void espq_spread_source_free(espq_spread_source *source);

/* Fills *spread, but for the sums, for the bins [first, first + bins), at least `levels` of them.
 * ESPQ_ENTROPY_EMPTY if all of these are zero. */
espq_entropy_refusal espq_spread_make(espq_spread_source *source, int slot, int first, int bins, espq_spread *spread);
/* Sums p and r of each of 1 to ESPQ_SPREAD_SLOTS spreads, one element after the other.
 * ESPQ_ENTROPY_SMOOTHING if smoothing has left an element that is not positive. */
espq_entropy_refusal espq_spread_sum(espq_spread *spreads, int count);

#endif
