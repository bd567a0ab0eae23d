#include "sim/requant.h"

#include <string.h>

#include "base/alloc.h"
#include "base/layout.h"
#include "sim/fixed.h"
#include "sim/versions.h"

/* In 32-bit lanes the value after shift1 is held within this; see fits_lanes. */
static const int64_t LANE_LIMIT = (int64_t)1 << 30;

/* ---- the definition, in 64 bits; used when 32-bit lanes could differ from it ---- */

static int64_t requantize_one(const espq_requant_plan *plan, int64_t sum, int c) {
  const espq_sim_requant *spec = &plan->spec;
  int64_t shift1 = spec->shift1, shift2 = plan->shift2[c], bias = plan->bias[c];
  if (shift2 == ESPQ_SIM_SHIFT_ZERO) return 0;
  if (spec->mid_bits == 0 && shift1 < 0 && shift2 > 0) {
    /* (sum * 2^a + bias) / 2^b: without the common factor nothing saturates on the way. */
    int64_t common = -shift1 < shift2 ? -shift1 : shift2;
    shift1 += common, shift2 -= common;
    bias = espq_fixed_floor(bias, common);
  }
  int64_t v = espq_fixed_floor(espq_fixed_clip(sum, spec->acc_bits), shift1);
  /* A saturated left shift must not wrap; 2^62 is beyond any bias and any output. */
  v = espq_fixed_clip(espq_fixed_clip(v, 63) + bias, spec->mid_bits);
  return espq_fixed_clamp(espq_fixed_floor(v, shift2), spec->out_min, spec->out_max);
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

/* ---- the same in 32-bit lanes ---- */

ESPQ_BODY int32_t clamp32(int32_t v, int32_t lo, int32_t hi) {
  v = v < lo ? lo : v;
  return v > hi ? hi : v;
}

/* The chain for 16 channels from c, after the clamp of the accumulator and shift1. Most convolutions
   shift to the right only and have no channel that is 0: `general` false leaves out what they do not
   need. Before a left shift the value is cut to 16 bits: what is cut saturates anyway, and 16 bits
   shifted by at most 16 stay within 32. */
ESPQ_BODY void finish_lanes(const espq_requant_plan *plan, int c, const bool general, int32_t *restrict v) {
  const int32_t *restrict bias = plan->bias + c, *restrict right = plan->right2 + c;
  const int32_t *restrict left = plan->left2 + c, *restrict keep = plan->keep2 + c;
  int32_t mid_lo = plan->mid_lo, mid_hi = plan->mid_hi;
  int32_t out_lo = plan->spec.out_min, out_hi = plan->spec.out_max;
  for (int i = 0; i < 16; i++) {
    int32_t x = clamp32(v[i] + bias[i], mid_lo, mid_hi) >> right[i];
    if (general) x = (int32_t)((uint32_t)clamp32(x, INT16_MIN, INT16_MAX) << left[i]) & keep[i];
    v[i] = clamp32(x, out_lo, out_hi);
  }
}

ESPQ_BODY void first_lanes8(const espq_requant_plan *plan, const int32_t *restrict sum, const bool general,
                            int32_t *restrict v) {
  int32_t lo = (int32_t)plan->acc_lo, hi = (int32_t)plan->acc_hi;
  int right = plan->right1, left = general ? plan->left1 : 0;
  for (int i = 0; i < 16; i++) v[i] = (int32_t)((uint32_t)(clamp32(sum[i], lo, hi) >> right) << left);
}

ESPQ_BODY void first_lanes16(const espq_requant_plan *plan, const int64_t *restrict sum, const bool general,
                             int32_t *restrict v) {
  int64_t lo = plan->acc_lo, hi = plan->acc_hi;
  int right = plan->right1, left = general ? plan->left1 : 0;
  for (int i = 0; i < 16; i++) {
    int64_t s = sum[i] < lo ? lo : sum[i];
    v[i] = (int32_t)((uint32_t)((s > hi ? hi : s) >> right) << left);
  }
}

/* Values of 8 bits, to offset binary. AVX-512 narrows in one instruction if told so by vector types;
   elsewhere those become element-wise code and a loop does better. */
ESPQ_BODY void store_lanes8(const bool one_instruction, const int32_t *restrict v, uint8_t *restrict y) {
  typedef int32_t wide __attribute__((vector_size(64)));
  typedef int8_t narrow __attribute__((vector_size(16)));
  if (one_instruction) {
    wide from;
    memcpy(&from, v, sizeof from);
    narrow to = __builtin_convertvector(from, narrow) ^ (int8_t)-128;
    memcpy(y, &to, sizeof to);
    return;
  }
  for (int i = 0; i < 16; i++) y[i] = (uint8_t)(v[i] + 128);
}

ESPQ_BODY void rows_lanes8(const espq_isa isa, const bool general, const espq_requant_plan *plan, const int32_t *acc,
                           int rows, int first, int channels, uint8_t *out, size_t out_stride) {
  for (int b = 0; b < channels; b += 16)
    for (int r = 0; r < rows; r++) {
      int32_t v[16];
      first_lanes8(plan, acc + (size_t)r * channels + b, general, v);
      finish_lanes(plan, first + b, general, v);
      store_lanes8(isa == ESPQ_ISA_AVX512_VNNI, v, out + (size_t)r * out_stride + b);
    }
}

ESPQ_BODY void rows_lanes16(const espq_isa isa, const bool general, const espq_requant_plan *plan, const int64_t *acc,
                            int rows, int first, int channels, int16_t *out, size_t out_stride) {
  (void)isa;
  for (int b = 0; b < channels; b += 16)
    for (int r = 0; r < rows; r++) {
      int32_t v[16];
      first_lanes16(plan, acc + (size_t)r * channels + b, general, v);
      finish_lanes(plan, first + b, general, v);
      int16_t *restrict y = out + (size_t)r * out_stride + b;
      for (int i = 0; i < 16; i++) y[i] = (int16_t)v[i];
    }
}

#define ROWS_PARAMS \
  (const espq_requant_plan *plan, const void *acc, int rows, int first, int channels, void *out, size_t out_stride)
#define ROWS(name, rows_lanes, general)                                                                               \
  ESPQ_BODY void name##_body(const espq_isa isa, const espq_requant_plan *plan, const void *acc, int rows, int first, \
                             int channels, void *out, size_t out_stride) {                                            \
    rows_lanes(isa, general, plan, acc, rows, first, channels, out, out_stride);                                      \
  }                                                                                                                   \
  ESPQ_VERSIONS_ISA(name, ROWS_PARAMS, (plan, acc, rows, first, channels, out, out_stride))
ROWS(rows8, rows_lanes8, false)
ROWS(rows16, rows_lanes16, false)
ROWS(rows8_general, rows_lanes8, true)
ROWS(rows16_general, rows_lanes16, true)

/* ---- preparing ---- */

static bool only_left_shifts(const espq_sim_requant *spec, int channels) {
  for (int c = 0; spec->shift2 && c < channels; c++)
    if (spec->shift2[c] > 0 && spec->shift2[c] != ESPQ_SIM_SHIFT_ZERO) return false;
  return true;
}

/* Do 32-bit lanes give the exact result? They hold the value after shift1 saturated at 2^30. That is
   harmless if it never gets there, or if whatever does is clipped afterwards before a right shift. */
static bool fits_lanes(const espq_sim_requant *spec, int channels, int64_t acc_bound) {
  for (int c = 0; spec->bias && c < channels; c++)
    if (spec->bias[c] < -(LANE_LIMIT / 2) || spec->bias[c] > LANE_LIMIT / 2) return false;
  if (spec->mid_bits > 0 && spec->mid_bits <= 16) return true;
  if (only_left_shifts(spec, channels)) return true;
  int64_t bound = espq_fixed_clip(acc_bound, spec->acc_bits);
  return espq_fixed_floor(bound, spec->shift1) < LANE_LIMIT;
}

static void set_first_stage(espq_requant_plan *plan, bool wide) {
  int shift = (int)espq_fixed_clamp(plan->spec.shift1, -30, wide ? 63 : 31);
  plan->right1 = shift > 0 ? shift : 0;
  plan->left1 = shift < 0 ? -shift : 0;
  int64_t limit = espq_fixed_floor(LANE_LIMIT, -shift);
  int bits = plan->spec.acc_bits, acc_bits = wide ? 64 : 32;
  if (bits > 0 && bits < acc_bits) acc_bits = bits;
  plan->acc_lo = espq_fixed_clamp(espq_fixed_min(acc_bits), -limit, limit);
  plan->acc_hi = espq_fixed_clamp(espq_fixed_max(acc_bits), -limit, limit);
}

static espq_status allocate(espq_requant_plan *plan, size_t stored, espq_error *err) {
  plan->block = espq_calloc(espq_requant_bytes(stored), 1);
  if (!plan->block) return espq_fail_memory(err);
  int32_t **const arrays[] = {&plan->bias,   &plan->right2,      &plan->left2,    &plan->keep2,
                              &plan->shift2, &plan->shift.right, &plan->shift.lo, &plan->shift.hi};
  plan->shift.add = plan->block;
  int32_t *next = (int32_t *)(plan->shift.add + stored);
  for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++, next += stored) *arrays[i] = next;
  return ESPQ_OK;
}

static void set_channels(espq_requant_plan *plan, const espq_sim_requant *spec, int channels) {
  for (int c = 0; c < channels; c++) {
    int32_t shift = spec->shift2 ? spec->shift2[c] : 0;
    plan->bias[c] = spec->bias ? spec->bias[c] : 0;
    plan->shift2[c] = shift;
    plan->right2[c] = (int32_t)espq_fixed_clamp(shift, 0, 31);
    plan->left2[c] = (int32_t)-espq_fixed_clamp(shift, -16, 0);
    plan->keep2[c] = shift == ESPQ_SIM_SHIFT_ZERO ? 0 : -1;
  }
}

/* Channel c as one shift of sums within acc_bound. */
static void set_shift(espq_requant_plan *plan, int c, int64_t acc_bound, int acc_bits) {
  int64_t shift1 = plan->spec.shift1, shift2 = plan->shift2[c], most = espq_fixed_max(acc_bits - 1);
  espq_requant_shift *s = &plan->shift;
  s->right[c] = -1;
  if (shift1 < 0 || shift2 < 0) return;
  s->add[c] = espq_fixed_left(plan->bias[c], shift1);
  if (acc_bound > most || s->add[c] > most - acc_bound || s->add[c] < acc_bound - most) return;
  int64_t right = shift2 == ESPQ_SIM_SHIFT_ZERO ? shift1 : shift1 + shift2;
  s->right[c] = (int32_t)espq_fixed_clamp(right, 0, acc_bits - 1);
  s->lo[c] = (int32_t)requantize_one(plan, -acc_bound, c);
  s->hi[c] = (int32_t)requantize_one(plan, acc_bound, c);
}

static void choose_rows(espq_requant_plan *plan, int bits, int channels, bool lanes, espq_isa isa) {
  bool general = plan->left1 > 0;
  for (int c = 0; c < channels; c++) general |= plan->left2[c] > 0 || plan->keep2[c] == 0;
  if (!lanes) plan->rows = bits == 8 ? rows_exact8 : rows_exact16;
  else if (general) plan->rows = (bits == 8 ? rows8_general_versions : rows16_general_versions)[isa];
  else plan->rows = (bits == 8 ? rows8_versions : rows16_versions)[isa];
}

static espq_status check_spec(const espq_sim_requant *spec, int bits, espq_error *err) {
  if (spec->rounding != ESPQ_ROUND_FLOOR && !spec->shift2) return espq_fail(err, ESPQ_EBUG, "no shifts");
  if (spec->acc_bits < 0 || spec->acc_bits > 62 || spec->mid_bits < 0 || spec->mid_bits > 32)
    return espq_fail(err, ESPQ_EBUG, "requantization to %d and %d bits", spec->acc_bits, spec->mid_bits);
  if (spec->out_min > 0 || spec->out_max < 0 || spec->out_min < espq_fixed_min(bits) ||
      spec->out_max > espq_fixed_max(bits))
    return espq_fail(err, ESPQ_EUNSUPPORTED, "output range %d .. %d: it must contain 0 and fit in %d bits",
                     spec->out_min, spec->out_max, bits);
  return ESPQ_OK;
}

espq_status espq_requant_prepare(espq_requant_plan *plan, const espq_sim_requant *spec, int bits, int channels,
                                 int64_t acc_bound, espq_isa isa, espq_error *err) {
  espq_status status = check_spec(spec, bits, err);
  if (!status) status = allocate(plan, (size_t)espq_layout_channels(ESPQ_NHWC16, channels), err);
  if (status) return status;
  plan->spec = *spec;
  if (spec->rounding != ESPQ_ROUND_FLOOR) {
    espq_requant_prepare_v3(plan, spec, bits, channels, acc_bound, isa);
    return ESPQ_OK;
  }
  set_channels(plan, spec, channels);
  plan->spec.bias = plan->bias;
  plan->spec.shift2 = plan->shift2;
  plan->mid_lo = (int32_t)espq_fixed_min(spec->mid_bits ? spec->mid_bits : 32);
  plan->mid_hi = (int32_t)espq_fixed_max(spec->mid_bits ? spec->mid_bits : 32);
  set_first_stage(plan, bits == 16);
  for (int c = 0; c < channels; c++) set_shift(plan, c, acc_bound, bits == 8 ? 32 : 64);
  choose_rows(plan, bits, channels, fits_lanes(spec, channels, acc_bound), isa);
  return ESPQ_OK;
}

void espq_requant_free(espq_requant_plan *plan) {
  espq_free(plan->block);
  *plan = (espq_requant_plan){0};
}
