/* range_mean.h - the mean of many ranges, the same bits whatever their order and however they are put together.
 *
 * Floats are summed exactly, as integers of 320 bits; only the mean is rounded.
 *
 *   espq_range_mean m = {0};
 *   espq_range_mean_add(&m, (espq_percentile_range){lo, hi});
 *   espq_range_mean_merge(&m, &other);
 *   espq_minmax mean = espq_range_mean_of(&m);
 */
#ifndef ESPQ_STATS_RANGE_MEAN_H
#define ESPQ_STATS_RANGE_MEAN_H

#include "stats/minmax.h"
#include "stats/percentile.h"

enum { ESPQ_EXACT_LIMBS = 10 };

/* The finite floats' sum is that of limb[k] * 2^(32 k - 149). */
typedef struct espq_exact_sum {
  int64_t limb[ESPQ_EXACT_LIMBS];
  int64_t infinities[2]; /* how many, below and above */
} espq_exact_sum;

typedef struct espq_range_mean {
  espq_exact_sum lo, hi;
  int64_t count; /* of ranges; those of no element are left out */
  int64_t nans;
} espq_range_mean;

void espq_range_mean_add(espq_range_mean *m, espq_percentile_range range);
/* False, and *m unchanged, where a number would leave 64 bits, which only a damaged file's can. */
bool espq_range_mean_merge(espq_range_mean *m, const espq_range_mean *other);
/* Brings the limbs below the last to 0 .. 2^32 - 1: equal sums are then equal bytes. */
void espq_range_mean_normalize(espq_range_mean *m);
/* min and max: the means, rounded to float; count: of ranges. */
espq_minmax espq_range_mean_of(const espq_range_mean *m);

#endif
