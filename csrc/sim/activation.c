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
  bool wide; /* a slope is so large that products need 64 bits */
} plan;

static plan make_plan(espq_sim_format format, int64_t count, const int32_t *slopes, int slope_exponent, espq_isa isa) {
  int64_t right = -(int64_t)slope_exponent;
  plan plan = {.format = format, .isa = isa, .right = right};
  plan.scale = espq_lanes_scale_to(ESPQ_ROUND_FLOOR, right, espq_sim_format_bits(format));
  for (int64_t i = 0; i < count; i++)
    if (slopes[i] < -(1 << 15) || slopes[i] > 1 << 15) plan.wide = true;
  return plan;
}

ESPQ_BODY void products_body(int n, const int32_t *x, const int32_t *slopes, int32_t *restrict y) {
  for (int i = 0; i < n; i += 16)
    for (int j = 0; j < 16; j++) y[i + j] = x[i + j] * slopes[i + j];
}

ESPQ_BODY void select_body(int n, const int32_t *x, const int32_t *unused, int32_t *restrict y) {
  (void)unused;
  for (int i = 0; i < n; i += 16)
    for (int j = 0; j < 16; j++) y[i + j] = x[i + j] >= 0 ? x[i + j] : y[i + j];
}

#define ACTIVATION_PARAMS (int n, const int32_t *x, const int32_t *slopes, int32_t *restrict y)
ESPQ_VERSIONS(products, ACTIVATION_PARAMS, (n, x, slopes, y))
ESPQ_VERSIONS(select, ACTIVATION_PARAMS, (n, x, slopes, y))

static void scaled_wide(const plan *plan, int n, const espq_lanes *x, const espq_lanes *slopes, espq_lanes *y) {
  for (int i = 0; i < n; i++) {
    int64_t v = espq_fixed_floor((int64_t)x->v[i] * slopes->v[i], plan->right);
    y->v[i] = (int32_t)espq_fixed_clamp(v, plan->scale.lo, plan->scale.hi);
  }
}

static void run_block(const plan *plan, int n, const void *x, int64_t first, const espq_lanes *slopes, void *y) {
  espq_lanes in, out;
  int whole = espq_lanes_rounded(n);
  espq_lanes_load(plan->isa, plan->format, x, first, 1, n, &in);
  if (plan->wide) {
    scaled_wide(plan, whole, &in, slopes, &out);
  } else {
    products_versions[plan->isa](whole, in.v, slopes->v, out.v);
    espq_lanes_apply(plan->isa, &plan->scale, n, &out);
  }
  select_versions[plan->isa](whole, in.v, NULL, out.v);
  espq_lanes_store(plan->isa, plan->format, &out, n, y, first);
}

/* `count` elements from `first`, block by block, with the same slopes for each block. */
static void run_blocks(const plan *plan, int64_t first, int64_t count, int block, const void *x,
                       const espq_lanes *slopes, void *y) {
  for (int64_t i = 0; i < count; i += block)
    run_block(plan, count - i < block ? (int)(count - i) : block, x, first + i, slopes, y);
}

static void fill(espq_lanes *lanes, int32_t value) {
  for (int i = 0; i < ESPQ_LANES; i++) lanes->v[i] = value;
}

void espq_sim_leaky_relu(espq_sim_format format, int64_t count, const void *x, int32_t slope, int slope_exponent,
                         void *y, espq_isa isa) {
  espq_lanes slopes;
  plan plan = make_plan(format, 1, &slope, slope_exponent, isa);
  fill(&slopes, slope);
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
  espq_lanes lanes;
  plan plan = make_plan(format, channels, slopes, slope_exponent, isa);
  for (int64_t i = 0; i < n * channels; i++) {
    fill(&lanes, slopes[i % channels]);
    run_blocks(&plan, i * plane, plane, ESPQ_LANES, x, &lanes, y);
  }
}

/* Rows longer than a block: the slopes change along the row. */
static void prelu_long(const plan *plan, int64_t pixels, int64_t channels, const void *x, const int32_t *slopes,
                       void *y) {
  espq_lanes lanes;
  for (int64_t c = 0; c < channels; c += ESPQ_LANES) {
    int n = channels - c < ESPQ_LANES ? (int)(channels - c) : ESPQ_LANES;
    fill(&lanes, 0);
    memcpy(lanes.v, slopes + c, (size_t)n * sizeof *slopes);
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
  espq_lanes lanes;
  int block = channels ? (int)(ESPQ_LANES / channels * channels) : ESPQ_LANES;
  fill(&lanes, 0);
  for (int i = 0; i < block && channels; i++) lanes.v[i] = slopes[i % channels];
  run_blocks(&plan, 0, pixels * channels, block, x, &lanes, y);
}
