/* sums.h - how far the sums of products can get, whatever the inputs are.
 *
 *   espq_sim_interval all = espq_sim_integers(8), sums = espq_sim_sums(8, weights, 27, 1, all, bias);
 *   if (!espq_sim_fits(sums, espq_fixed_lane_bits(8))) ...       -- some input takes a lane beyond its bits
 *
 * The interval holds every sum of every part of the products, so what an accumulator holds at any step, in any order
 * and with any number of inputs replaced by the 0 of padding. It lies within +-(|start| + sum|w| * max|x|), and is
 * narrower where the inputs are known to have one sign.
 */
#ifndef ESPQ_SIM_SUMS_H
#define ESPQ_SIM_SUMS_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/fixed.h"

typedef struct espq_sim_interval {
  int64_t lo, hi;
} espq_sim_interval;

/* All integers of 8 or 16 bits. */
static inline espq_sim_interval espq_sim_integers(int bits) {
  return (espq_sim_interval){espq_fixed_min(bits), espq_fixed_max(bits)};
}

static inline bool espq_sim_fits(espq_sim_interval sums, int bits) {
  return sums.lo >= espq_fixed_min(bits) && sums.hi <= espq_fixed_max(bits);
}

/* Sums that begin with `start` and add the products of `count` < 2^31 weights, int8_t or int16_t, `step` elements apart,
 * with inputs of that width within `input`. Saturated at 64 bits. */
espq_sim_interval espq_sim_sums(int bits, const void *weights, int64_t count, int64_t step, espq_sim_interval input,
                                int64_t start);

#endif
