/* requant.h - from an accumulator to an output integer.
 *
 * ESP-DL v3 (rounding is not FLOOR) rounds once:
 *
 *   y = clamp(round((sum + bias64[c]) / 2^shift2[c]), out_min, out_max)        bias64 NULL: no bias; shift2 is given
 *
 * For v1 (rounding FLOOR), one chain covers the configurations of ESP-DL v1; which steps do something is data:
 *
 *   v = clip(sum, acc_bits)                    accumulator of the chip; 0: as it is
 *   v = floor(v / 2^shift1)
 *   v = clip(v + bias[c], mid_bits)            bias NULL: no bias; mid_bits 0: no clip
 *   v = floor(v / 2^shift2[c])                 NULL: no shift; ESPQ_SIM_SHIFT_ZERO: v = 0
 *   y = clamp(v, out_min, out_max)
 *
 *   per tensor:   {.acc_bits = 20, .shift1 = e_out - e_in - e_w, .bias = b, .out_min, .out_max}   int16: 40
 *   per channel:  {.acc_bits = 20, .shift1 = 4, .bias = b, .mid_bits = b ? 16 : 0,
 *                  .shift2[c] = espq_sim_shift2(e_in + e_w[c] + 4 - e_out), .out_min, .out_max}
 *   Relu fused:   out_min = 0
 *
 * Shifts divide when positive and multiply when negative, with any count. The result is that of exact
 * integers, never of an overflow. Output padding lanes stay 0, hence out_min <= 0 <= out_max.
 */
#ifndef ESPQ_SIM_REQUANT_H
#define ESPQ_SIM_REQUANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/isa.h"
#include "sim/fixed.h"

#define ESPQ_SIM_SHIFT_ZERO INT32_MAX

typedef struct espq_sim_requant {
  espq_rounding rounding;
  const int64_t *bias64; /* [channels], v3 */
  int acc_bits;
  int shift1;
  const int32_t *bias; /* [channels] */
  int mid_bits;
  const int32_t *shift2; /* [channels] */
  int out_min, out_max;
} espq_sim_requant;

/* shift2 of a channel in per-channel mode for the factor 2^k: the chip holds 2^(k+12) as an integer, so
   the factor is 0 below 2^-12. */
static inline int32_t espq_sim_shift2(int64_t k) {
  if (k < -12) return ESPQ_SIM_SHIFT_ZERO;
  return k > 64 ? -64 : (int32_t)-k;
}

/* ---- for the kernels of csrc/sim ---- */

typedef struct espq_requant_plan espq_requant_plan;

/* acc: `rows` rows of `channels` accumulators of channels first.. (multiples of 16), without gaps.
   out: the first row's element of channel `first`; rows are out_stride elements apart. */
typedef void (*espq_requant_rows)(const espq_requant_plan *plan, const void *acc, int rows, int first, int channels,
                                  void *out, size_t out_stride);

/* Where a channel's shifts go to the right, its chain is one shift: y = clamp((sum + add) >> right, lo, hi).
   Floors in sequence are one floor, and a clamp on the way limits the result to what the largest
   and the smallest sum give. Per stored channel; padding: all 0. */
typedef struct espq_requant_shift {
  int64_t *add;
  int32_t *right; /* negative: not so, or not within the width of the accumulator */
  int32_t *lo, *hi;
} espq_requant_shift;

struct espq_requant_plan {
  espq_sim_requant spec; /* bias and shift2 point to own, padded copies below */
  espq_requant_shift shift;
  espq_requant_rows rows; /* the function to call */
  int64_t acc_lo, acc_hi; /* clamp before shift1 that also keeps the shifted value within 2^30 */
  int right1, left1;
  int32_t mid_lo, mid_hi;
  int32_t *bias, *right2, *left2, *keep2, *shift2; /* per stored channel */
  void *block;                                     /* all arrays */
};

/* Makes the plan for outputs of `bits` bits whose accumulator (int32 for 8 bits, int64 for 16) never
   exceeds acc_bound in size. Free with espq_requant_free, which allows a zeroed plan. */
espq_status espq_requant_prepare(espq_requant_plan *plan, const espq_sim_requant *spec, int bits, int channels,
                                 int64_t acc_bound, espq_isa isa, espq_error *err);
void espq_requant_free(espq_requant_plan *plan);

/* The part of it that is for v3 (requant_v3.c): the arrays are there, and zero. */
void espq_requant_prepare_v3(espq_requant_plan *plan, const espq_sim_requant *spec, int bits, int channels,
                             int64_t acc_bound, espq_isa isa);

/* Bytes of the arrays of a plan for that many stored channels. */
static inline size_t espq_requant_bytes(size_t stored) { return stored * (sizeof(int64_t) + 8 * sizeof(int32_t)); }

#endif
