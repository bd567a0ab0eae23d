/* One operand: Relu, LeakyRelu, PRelu (elementwise.h). */
#include <string.h>

#include "sim/elementwise.h"
#include "sim/fixed.h"
#include "sim/lanes.h"
#include "sim/versions.h"

typedef struct plan {
  espq_sim_format format;
  espq_isa isa;
  int64_t right;
  espq_lanes_scale scale;
  bool wide;                /* a slope is so large that products need 64 bits */
  bool slight;              /* int8, and slopes so small that 16 bits do */
  int x_shift, slope_shift; /* slight: to the left, so that the product's upper half is the result */
} plan;

static plan make_plan(espq_sim_format format, int64_t count, const int32_t *slopes, int slope_exponent, espq_isa isa) {
  int64_t right = -(int64_t)slope_exponent;
  plan plan = {.format = format, .isa = isa, .right = right};
  plan.scale = espq_lanes_scale_to(ESPQ_ROUND_FLOOR, right, espq_sim_format_bits(format));
  plan.slight = format != ESPQ_SIM_I16 && right >= 0 && right <= 16;
  for (int64_t i = 0; i < count; i++) {
    if (slopes[i] < -(1 << 15) || slopes[i] > 1 << 15) plan.wide = true;
    if (slopes[i] < INT8_MIN || slopes[i] > INT8_MAX) plan.slight = false;
  }
  plan.x_shift = right < 8 ? 8 : (int)(16 - right);
  plan.slope_shift = right < 8 ? (int)(8 - right) : 0;
  return plan;
}

/* What a block of elements is multiplied with: each in two forms. */
typedef struct slope_lanes {
  espq_lanes whole;
  _Alignas(64) int16_t shifted[ESPQ_LANES];
} slope_lanes;

static void finish_slopes(const plan *plan, slope_lanes *slopes) {
  for (int i = 0; plan->slight && i < ESPQ_LANES; i++)
    slopes->shifted[i] = (int16_t)(slopes->whole.v[i] * (1 << plan->slope_shift));
}

/* ---- 32 elements at a time, without stops in between ---- */

enum { STEP = 32 };

ESPQ_BODY int32_t narrow_lane(const espq_lanes_scale *s, int32_t x, int32_t slope) {
  int32_t v = espq_lanes_floor(s, x * slope);
  return x >= 0 ? x : v;
}

/* Each step goes through memory of its own, so that y may be x. `flip` turns int8 into offset binary. */
ESPQ_BODY void narrow8_body(const espq_lanes_scale s, uint8_t flip, int n, const void *x, const int32_t *slopes,
                            void *y) {
  const uint8_t *in = x;
  for (int i = 0; i < n; i += STEP) {
    uint8_t v[STEP];
    for (int j = 0; j < STEP; j++)
      v[j] = (uint8_t)(narrow_lane(&s, (uint8_t)(in[i + j] ^ flip) - 128, slopes[i + j]) + 128) ^ flip;
    memcpy((uint8_t *)y + i, v, sizeof v);
  }
}

ESPQ_BODY void narrow16_body(const espq_lanes_scale s, uint8_t unused, int n, const void *x, const int32_t *slopes,
                             void *y) {
  (void)unused;
  const int16_t *in = x;
  for (int i = 0; i < n; i += STEP) {
    int16_t v[STEP];
    for (int j = 0; j < STEP; j++) v[j] = (int16_t)narrow_lane(&s, in[i + j], slopes[i + j]);
    memcpy((int16_t *)y + i, v, sizeof v);
  }
}

/* int8 in 16 bits: floor(x * slope / 2^right) is the upper half of a product, to the left of which both were shifted. */
ESPQ_BODY void slight_body(int x_shift, uint8_t flip, int n, const void *x, const int16_t *slopes, void *y) {
  const uint8_t *in = x;
  for (int i = 0; i < n; i += STEP) {
    uint8_t v[STEP];
    for (int j = 0; j < STEP; j++) {
      int16_t a = (int16_t)((uint8_t)(in[i + j] ^ flip) - 128), shifted = (int16_t)(a * (1 << x_shift));
      int16_t p = (int16_t)((shifted * slopes[i + j]) >> 16);
      p = p < INT8_MIN ? INT8_MIN : p;
      p = p > INT8_MAX ? INT8_MAX : p;
      p = a >= 0 ? a : p;
      v[j] = (uint8_t)(p + 128) ^ flip;
    }
    memcpy((uint8_t *)y + i, v, sizeof v);
  }
}

ESPQ_VERSIONS(slight, (int x_shift, uint8_t flip, int n, const void *x, const int16_t *slopes, void *y),
              (x_shift, flip, n, x, slopes, y))

#define NARROW_PARAMS (const espq_lanes_scale s, uint8_t flip, int n, const void *x, const int32_t *slopes, void *y)
ESPQ_VERSIONS(narrow8, NARROW_PARAMS, (s, flip, n, x, slopes, y))
ESPQ_VERSIONS(narrow16, NARROW_PARAMS, (s, flip, n, x, slopes, y))

/* ---- one by one: what is left over, and wide products ---- */

static void run_singly(const plan *plan, int64_t from, int64_t end, const void *x, int64_t first,
                       const espq_lanes *slopes, void *y) {
  espq_lanes in;
  espq_lanes_load(plan->isa, plan->format, x, first + from, 1, (int)(end - from), &in);
  for (int64_t i = 0; i < end - from; i++) {
    if (in.v[i] >= 0) continue;
    int64_t v = espq_fixed_floor((int64_t)in.v[i] * slopes->v[from + i], plan->right);
    in.v[i] = (int32_t)espq_fixed_clamp(v, plan->scale.lo, plan->scale.hi);
  }
  espq_lanes_store(plan->isa, plan->format, &in, (int)(end - from), y, first + from);
}

static void run_block(const plan *plan, int n, const void *x, int64_t first, const slope_lanes *slopes, void *y) {
  int whole = plan->wide ? 0 : n - n % STEP;
  size_t offset = (size_t)first * espq_sim_format_bytes(plan->format);
  const void *in = (const char *)x + offset;
  void *out = (char *)y + offset;
  uint8_t flip = plan->format == ESPQ_SIM_I8 ? 0x80 : 0;
  if (plan->slight) slight_versions[plan->isa](plan->x_shift, flip, whole, in, slopes->shifted, out);
  else if (plan->format == ESPQ_SIM_I16)
    narrow16_versions[plan->isa](plan->scale, flip, whole, in, slopes->whole.v, out);
  else narrow8_versions[plan->isa](plan->scale, flip, whole, in, slopes->whole.v, out);
  if (whole < n) run_singly(plan, whole, n, x, first, &slopes->whole, y);
}

/* `count` elements from `first`, block by block, with the same slopes for each block. */
static void run_blocks(const plan *plan, int64_t first, int64_t count, int block, const void *x,
                       const slope_lanes *slopes, void *y) {
  for (int64_t i = 0; i < count; i += block)
    run_block(plan, count - i < block ? (int)(count - i) : block, x, first + i, slopes, y);
}

static void fill(const plan *plan, slope_lanes *slopes, int32_t value) {
  for (int i = 0; i < ESPQ_LANES; i++) slopes->whole.v[i] = value;
  finish_slopes(plan, slopes);
}

void espq_sim_leaky_relu(espq_sim_format format, int64_t count, const void *x, int32_t slope, int slope_exponent,
                         void *y, espq_isa isa) {
  slope_lanes slopes;
  plan plan = make_plan(format, 1, &slope, slope_exponent, isa);
  fill(&plan, &slopes, slope);
  run_blocks(&plan, 0, count, ESPQ_LANES, x, &slopes, y);
}

/* ---- Relu: no arithmetic at all ---- */

enum { RELU_BLOCK = 64 };

/* The block goes through memory of its own, so that y may be x. `flip` turns int8 into offset binary. */
ESPQ_BODY void relu8_body(int64_t blocks, uint8_t flip, const void *x, void *y) {
  const uint8_t *in = x;
  for (int64_t i = 0; i < blocks; i++) {
    uint8_t v[RELU_BLOCK];
    for (int j = 0; j < RELU_BLOCK; j++) {
      uint8_t u = in[i * RELU_BLOCK + j] ^ flip;
      v[j] = (u > 128 ? u : 128) ^ flip;
    }
    memcpy((uint8_t *)y + i * RELU_BLOCK, v, sizeof v);
  }
}

ESPQ_BODY void relu16_body(int64_t blocks, uint8_t unused, const void *x, void *y) {
  (void)unused;
  const int16_t *in = x;
  for (int64_t i = 0; i < blocks; i++) {
    int16_t v[RELU_BLOCK];
    for (int j = 0; j < RELU_BLOCK; j++) v[j] = in[i * RELU_BLOCK + j] > 0 ? in[i * RELU_BLOCK + j] : 0;
    memcpy((int16_t *)y + i * RELU_BLOCK, v, sizeof v);
  }
}

ESPQ_VERSIONS(relu8, (int64_t blocks, uint8_t flip, const void *x, void *y), (blocks, flip, x, y))
ESPQ_VERSIONS(relu16, (int64_t blocks, uint8_t flip, const void *x, void *y), (blocks, flip, x, y))

void espq_sim_relu(espq_sim_format format, int64_t count, const void *x, void *y, espq_isa isa) {
  size_t bytes = espq_sim_format_bytes(format);
  int64_t whole = count - count % RELU_BLOCK;
  uint8_t flip = format == ESPQ_SIM_I8 ? 0x80 : 0;
  (bytes == 1 ? relu8_versions : relu16_versions)[isa](whole / RELU_BLOCK, flip, x, y);
  if (whole < count)
    espq_sim_leaky_relu(format, count - whole, (const char *)x + (size_t)whole * bytes, 0, 0,
                        (char *)y + (size_t)whole * bytes, isa);
}

void espq_sim_prelu_planes(espq_sim_format format, int64_t n, int64_t channels, int64_t plane, const void *x,
                           const int32_t *slopes, int slope_exponent, void *y, espq_isa isa) {
  slope_lanes lanes;
  plan plan = make_plan(format, channels, slopes, slope_exponent, isa);
  for (int64_t i = 0; i < n * channels; i++) {
    fill(&plan, &lanes, slopes[i % channels]);
    run_blocks(&plan, i * plane, plane, ESPQ_LANES, x, &lanes, y);
  }
}

/* Rows longer than a block: the slopes change along the row. */
static void prelu_long(const plan *plan, int64_t pixels, int64_t channels, const void *x, const int32_t *slopes,
                       void *y) {
  slope_lanes lanes = {0};
  for (int64_t c = 0; c < channels; c += ESPQ_LANES) {
    int n = channels - c < ESPQ_LANES ? (int)(channels - c) : ESPQ_LANES;
    memcpy(lanes.whole.v, slopes + c, (size_t)n * sizeof *slopes);
    finish_slopes(plan, &lanes);
    for (int64_t i = 0; i < pixels; i++) run_block(plan, n, x, i * channels + c, &lanes, y);
  }
}

void espq_sim_prelu(espq_sim_format format, int64_t pixels, int64_t channels, const void *x, const int32_t *slopes,
                    int slope_exponent, void *y, espq_isa isa) {
  plan plan = make_plan(format, channels, slopes, slope_exponent, isa);
  if (channels > ESPQ_LANES) {
    prelu_long(&plan, pixels, channels, x, slopes, y);
    return;
  }
  slope_lanes lanes = {0};
  int64_t together = channels ? ESPQ_LANES / channels : 1;
  if (together > 1) together -= together % 2; /* two sixteens of channels are a step */
  int block = channels ? (int)(together * channels) : ESPQ_LANES;
  for (int i = 0; i < block && channels; i++) lanes.whole.v[i] = slopes[i % channels];
  finish_slopes(&plan, &lanes);
  run_blocks(&plan, 0, pixels * channels, block, x, &lanes, y);
}
