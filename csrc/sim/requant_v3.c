/* The requantization of ESP-DL v3: a bias, one shift that rounds, saturation. */
#include <string.h>

#include "sim/fixed.h"
#include "sim/requant.h"
#include "sim/versions.h"

/* Arrays of the plan, per stored channel: `shift.add` is the bias and, where halves go up, the half; `bias` the same in
 * 32 bits; `shift2` the shift; `right2` and `left2` its two directions; `keep2` 0 where all results are 0. */

enum { MOST_HALF = 62 }; /* shifts beyond have no half that 64 bits hold */

/* ---- the definition, in 64 bits ---- */

static int64_t add_saturated(int64_t a, int64_t b) {
  int64_t sum;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return a < 0 ? INT64_MIN : INT64_MAX;
}

static int64_t requantize_one(const espq_requant_plan *plan, int64_t sum, int c) {
  int64_t v = add_saturated(sum, plan->shift.add[c]), shift = plan->shift2[c];
  bool has_half = plan->spec.rounding == ESPQ_ROUND_HALF_UP && shift <= MOST_HALF;
  v = has_half ? espq_fixed_floor(v, shift) : espq_fixed_shift(plan->spec.rounding, v, shift);
  return espq_fixed_clamp(v, plan->spec.out_min, plan->spec.out_max);
}

static void rows_exact8(const espq_requant_plan *plan, const void *acc, int rows, int first, int channels, void *out,
                        size_t out_stride) {
  const int32_t *sum = acc;
  for (int r = 0; r < rows; r++)
    for (int c = 0; c < channels; c++)
      ((uint8_t *)out)[(size_t)r * out_stride + c] =
          (uint8_t)(requantize_one(plan, sum[(size_t)r * channels + c], first + c) + 128);
}

static void rows_exact16(const espq_requant_plan *plan, const void *acc, int rows, int first, int channels, void *out,
                         size_t out_stride) {
  const int64_t *sum = acc;
  for (int r = 0; r < rows; r++)
    for (int c = 0; c < channels; c++)
      ((int16_t *)out)[(size_t)r * out_stride + c] =
          (int16_t)requantize_one(plan, sum[(size_t)r * channels + c], first + c);
}

/* ---- the same in lanes of the accumulator's width ---- */

/* 1 where the remainder of v / 2^right takes the quotient to the next integer: above a half, or a half and odd. A shift
 * of 0 has no remainder, and a half that it never reaches. */
#define EVEN_CARRY(wide, v, quotient, right)                     \
  ({                                                             \
    wide rest_ = (wide)(v) - ((wide)(quotient) << (right));      \
    wide half_ = (((wide)1 << (right)) >> 1) - ((right) == 0);   \
    (rest_ > half_) | ((rest_ == half_) & ((wide)(quotient)&1)); \
  })

ESPQ_BODY int32_t finish(const espq_requant_plan *plan, int c, int32_t x, const bool general) {
  int32_t lo = plan->spec.out_min, hi = plan->spec.out_max;
  if (general) {
    x = x < INT16_MIN ? INT16_MIN : x > INT16_MAX ? INT16_MAX : x;
    x = (int32_t)((uint32_t)x << plan->left2[c]) & plan->keep2[c];
  }
  x = x < lo ? lo : x;
  return x > hi ? hi : x;
}

ESPQ_BODY void lanes8(const espq_requant_plan *plan, int c, const int32_t *restrict sum, const bool even,
                      const bool general, int32_t *restrict v) {
  const int32_t *restrict add = plan->bias + c, *restrict right = plan->right2 + c;
  for (int i = 0; i < 16; i++) {
    int32_t x = sum[i] + add[i], q = x >> right[i];
    if (even) q += (int32_t)EVEN_CARRY(uint32_t, x, q, right[i]);
    v[i] = finish(plan, c + i, q, general);
  }
}

ESPQ_BODY void lanes16(const espq_requant_plan *plan, int c, const int64_t *restrict sum, const bool even,
                       const bool general, int32_t *restrict v) {
  const int64_t *restrict add = plan->shift.add + c;
  const int32_t *restrict right = plan->right2 + c;
  for (int i = 0; i < 16; i++) {
    int64_t x = sum[i] + add[i], q = x >> right[i];
    if (even) q += (int64_t)EVEN_CARRY(uint64_t, x, q, right[i]);
    q = q < INT32_MIN ? INT32_MIN : q > INT32_MAX ? INT32_MAX : q;
    v[i] = finish(plan, c + i, (int32_t)q, general);
  }
}

ESPQ_BODY void store8(const bool one_instruction, const int32_t *restrict v, uint8_t *restrict y) {
  typedef int32_t wide __attribute__((vector_size(64)));
  typedef int8_t narrow __attribute__((vector_size(16)));
  if (one_instruction) { /* elsewhere vector types become element-wise code */
    wide from;
    memcpy(&from, v, sizeof from);
    narrow to = __builtin_convertvector(from, narrow) ^ (int8_t)-128;
    memcpy(y, &to, sizeof to);
    return;
  }
  for (int i = 0; i < 16; i++) y[i] = (uint8_t)(v[i] + 128);
}

ESPQ_BODY void rows8(const espq_isa isa, const bool even, const bool general, const espq_requant_plan *plan,
                     const void *acc, int rows, int first, int channels, void *out, size_t out_stride) {
  for (int b = 0; b < channels; b += 16)
    for (int r = 0; r < rows; r++) {
      int32_t v[16];
      lanes8(plan, first + b, (const int32_t *)acc + (size_t)r * channels + b, even, general, v);
      store8(isa == ESPQ_ISA_AVX512_VNNI, v, (uint8_t *)out + (size_t)r * out_stride + b);
    }
}

ESPQ_BODY void rows16(const espq_isa isa, const bool even, const bool general, const espq_requant_plan *plan,
                      const void *acc, int rows, int first, int channels, void *out, size_t out_stride) {
  (void)isa;
  for (int b = 0; b < channels; b += 16)
    for (int r = 0; r < rows; r++) {
      int32_t v[16];
      lanes16(plan, first + b, (const int64_t *)acc + (size_t)r * channels + b, even, general, v);
      int16_t *restrict y = (int16_t *)out + (size_t)r * out_stride + b;
      for (int i = 0; i < 16; i++) y[i] = (int16_t)v[i];
    }
}

#define ROWS_PARAMS \
  (const espq_requant_plan *plan, const void *acc, int rows, int first, int channels, void *out, size_t out_stride)
#define ROWS(name, rows_lanes, even, general)                                                                         \
  ESPQ_BODY void name##_body(const espq_isa isa, const espq_requant_plan *plan, const void *acc, int rows, int first, \
                             int channels, void *out, size_t out_stride) {                                            \
    rows_lanes(isa, even, general, plan, acc, rows, first, channels, out, out_stride);                                \
  }                                                                                                                   \
  ESPQ_VERSIONS_ISA(name, ROWS_PARAMS, (plan, acc, rows, first, channels, out, out_stride))
ROWS(up8, rows8, false, false)
ROWS(up16, rows16, false, false)
ROWS(up8_general, rows8, false, true)
ROWS(up16_general, rows16, false, true)
ROWS(even8, rows8, true, false)
ROWS(even16, rows16, true, false)
ROWS(even8_general, rows8, true, true)
ROWS(even16_general, rows16, true, true)

/* ---- preparing ---- */

static void set_channel(espq_requant_plan *plan, const espq_sim_requant *spec, int c, int width) {
  bool up = spec->rounding == ESPQ_ROUND_HALF_UP;
  int64_t shift = spec->shift2[c], half = up && shift > 0 && shift <= MOST_HALF ? (int64_t)1 << (shift - 1) : 0;
  plan->shift.add[c] = add_saturated(spec->bias64 ? spec->bias64[c] : 0, half);
  plan->bias[c] = (int32_t)espq_fixed_clip(plan->shift.add[c], 32);
  plan->shift2[c] = (int32_t)shift;
  plan->right2[c] = (int32_t)espq_fixed_clamp(shift, 0, width - 1);
  plan->left2[c] = (int32_t)-espq_fixed_clamp(shift, -16, 0);
  plan->keep2[c] = shift >= width - 1 ? 0 : -1; /* where lanes are used, that leaves less than a half */
}

/* Sum and bias in the accumulator's width; then a right shift of all of its bits gives less than a half. */
static bool fits(const espq_requant_plan *plan, int c, int64_t acc_bound, int width) {
  int64_t most = espq_fixed_max(width - 1), add = plan->shift.add[c];
  return acc_bound <= most && add <= most - acc_bound && add >= acc_bound - most;
}

static espq_requant_rows find_rows(const espq_requant_plan *plan, int bits, bool general, espq_isa isa) {
  if (plan->spec.rounding == ESPQ_ROUND_HALF_UP) {
    if (bits == 8) return (general ? up8_general_versions : up8_versions)[isa];
    return (general ? up16_general_versions : up16_versions)[isa];
  }
  if (bits == 8) return (general ? even8_general_versions : even8_versions)[isa];
  return (general ? even16_general_versions : even16_versions)[isa];
}

void espq_requant_prepare_v3(espq_requant_plan *plan, const espq_sim_requant *spec, int bits, int channels,
                             int64_t acc_bound, espq_isa isa) {
  int width = bits == 8 ? 32 : 64;
  bool lanes = true, general = false;
  for (int c = 0; c < channels; c++) {
    set_channel(plan, spec, c, width);
    bool fit = fits(plan, c, acc_bound, width);
    lanes &= fit;
    general |= plan->left2[c] > 0 || plan->keep2[c] == 0;
    /* Halves that go up are one floor of sum and `add`. */
    bool one_shift = fit && spec->rounding == ESPQ_ROUND_HALF_UP && plan->left2[c] == 0 && plan->keep2[c] != 0;
    plan->shift.right[c] = one_shift ? plan->right2[c] : -1;
    plan->shift.lo[c] = spec->out_min;
    plan->shift.hi[c] = spec->out_max;
  }
  plan->spec.shift2 = plan->shift2;
  plan->spec.bias64 = NULL;
  if (lanes) plan->rows = find_rows(plan, bits, general, isa);
  else plan->rows = bits == 8 ? rows_exact8 : rows_exact16;
}
