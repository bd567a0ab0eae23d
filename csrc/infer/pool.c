#include "infer/pool.h"

#include <float.h>

#include "infer/simd.h"

typedef espq_infer_pool_params params;

/* ---- sizes ---------------------------------------------------------------------------------------- */

static bool axis_ok(int64_t in, int64_t out, int64_t k, int64_t s, int64_t d, int64_t before, int64_t after) {
  const int64_t limit = 1 << 29;
  if (in < 1 || out < 1 || k < 1 || s < 1 || d < 1 || before < 0 || after < 0) return false;
  if (in >= limit || out >= limit || k >= limit || s >= limit || d >= limit || before >= limit || after >= limit)
    return false;
  return (out - 1) * s < before + in + after;
}

espq_status espq_infer_pool_check(const params *p, espq_error *err) {
  if (p->n < 1 || p->c < 1 || !axis_ok(p->ih, p->oh, p->kh, p->sh, p->dh, p->pt, p->pb) ||
      !axis_ok(p->iw, p->ow, p->kw, p->sw, p->dw, p->pl, p->pr))
    return espq_fail(err, ESPQ_EFORMAT, "a pooling window does not fit its image");
  return ESPQ_OK;
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* ceil(a / b), at least 0; b > 0. */
static int64_t ceil_div(int64_t a, int64_t b) { return a <= 0 ? 0 : (a + b - 1) / b; }

/* Of the taps start, start + d, ... (k of them), how many lie in low <= position < high. */
static int64_t count_taps(int64_t start, int64_t k, int64_t d, int64_t low, int64_t high) {
  int64_t first = ceil_div(low - start, d), end = least(k, ceil_div(high - start, d));
  return end > first ? end - first : 0;
}

/* ---- windows -------------------------------------------------------------------------------------- */

#define TAP_PARAMS (int block, bool max, int64_t count, int64_t step, const float *src, float *row)
#define TAP_ARGS   (block, max, count, step, src, row)

/* One tap of the window for a run of outputs: row[i] = max or sum of row[i] and src[i * step], per lane. */
SIMD_BODY void tap_lanes(int block, bool max, int64_t count, int64_t step, const float *src, float *restrict row) {
  for (int64_t i = 0; i < count; i++)
    for (int l = 0; l < block; l++) {
      float v = src[i * step * block + l], old = row[i * block + l];
      float larger = v > old || v != v ? v : old;
      row[i * block + l] = max ? larger : old + v;
    }
}

SIMD_BODY void tap_step(int block, bool max, int64_t count, int64_t step, const float *src, float *row) {
  if (max) tap_lanes(block, true, count, step, src, row);
  else tap_lanes(block, false, count, step, src, row);
}

SIMD_BODY void tap_body TAP_PARAMS {
  if (block == 16) tap_step(16, max, count, step, src, row);
  else if (block == 8) tap_step(8, max, count, step, src, row);
  else if (step == 1) tap_step(1, max, count, 1, src, row);
  else tap_step(1, max, count, step, src, row);
}
SIMD_CLONES(tap, TAP_PARAMS, TAP_ARGS)

/* Divides a row of sums by the counts of its windows. */
static void divide_row(const params *p, int64_t oy, int block, float *row) {
  bool pad = p->count_include_pad;
  int64_t top = oy * p->sh - p->pt;
  int64_t rows = count_taps(top, p->kh, p->dh, pad ? -p->pt : 0, pad ? p->ih + p->pb : p->ih);
  for (int64_t ox = 0; ox < p->ow; ox++) {
    int64_t left = ox * p->sw - p->pl;
    int64_t columns = count_taps(left, p->kw, p->dw, pad ? -p->pl : 0, pad ? p->iw + p->pr : p->iw);
    float count = rows && columns ? (float)rows * (float)columns : 1;
    for (int l = 0; l < block; l++) row[ox * block + l] /= count;
  }
}

static void pool_row(const params *p, int64_t oy, int block, const float *src, float *row) {
  bool max = p->kind == ESPQ_INFER_POOL_MAX;
  for (int64_t i = 0; i < p->ow * block; i++) row[i] = max ? -FLT_MAX : 0;
  /* Only taps that touch the image: a huge kernel or pad costs no more than the image. */
  int64_t top = oy * p->sh - p->pt, ky_end = least(p->kh, ceil_div(p->ih - top, p->dh));
  int64_t kx_end = least(p->kw, ceil_div(p->iw + p->pl, p->dw));
  for (int64_t ky = ceil_div(-top, p->dh); ky < ky_end; ky++) {
    for (int64_t kx = ceil_div(p->pl - (p->ow - 1) * p->sw, p->dw); kx < kx_end; kx++) {
      int64_t shift = kx * p->dw - p->pl; /* input column of output 0 */
      int64_t first = ceil_div(-shift, p->sw), end = least(p->ow, ceil_div(p->iw - shift, p->sw));
      if (first >= end) continue;
      const float *from = src + ((top + ky * p->dh) * p->iw + first * p->sw + shift) * block;
      tap(block, max, end - first, p->sw, from, row + first * block);
    }
  }
  if (!max) divide_row(p, oy, block, row);
}

/* The lowest float of an empty maximum must not stay in padding lanes: they are maxima of zeros, except there. */
static void clear_tail(const params *p, int block, float *plane) {
  for (int64_t i = 0; i < p->oh * p->ow; i++)
    for (int l = (int)(p->c % block); l < block; l++) plane[i * block + l] = 0;
}

void espq_infer_pool(const params *p, const float *src, float *dst) {
  int block = espq_layout_block(p->layout);
  for (int64_t i = 0; i < p->n; i++) {
    for (int64_t c = 0; c < p->c; c += block) {
      for (int64_t oy = 0; oy < p->oh; oy++) pool_row(p, oy, block, src, dst + oy * p->ow * block);
      if (p->c - c < block) clear_tail(p, block, dst);
      src += p->ih * p->iw * block;
      dst += p->oh * p->ow * block;
    }
  }
}

/* ---- whole images --------------------------------------------------------------------------------- */

#define GLOBAL_PARAMS \
  (int lanes, bool max, int64_t spatial, int64_t lane_step, int64_t pixel_step, const float *src, float *dst)
#define GLOBAL_ARGS (lanes, max, spatial, lane_step, pixel_step, src, dst)

/* Reduces `lanes` channels side by side; each sum still runs in index order. */
SIMD_BODY void reduce(int lanes, bool max, int64_t spatial, int64_t lane_step, int64_t pixel_step, const float *src,
                      float *dst) {
  float acc[16];
  for (int l = 0; l < lanes; l++) acc[l] = max ? -FLT_MAX : 0;
  for (int64_t p = 0; p < spatial; p++)
    for (int l = 0; l < lanes; l++) {
      float v = src[p * pixel_step + l * lane_step];
      float larger = v > acc[l] || v != v ? v : acc[l];
      acc[l] = max ? larger : acc[l] + v;
    }
  for (int l = 0; l < lanes; l++) dst[l] = max ? acc[l] : acc[l] / (float)spatial;
}

SIMD_BODY void reduce_block_body GLOBAL_PARAMS {
  if (lane_step == 1 && lanes == 16) {
    if (max) reduce(16, true, spatial, 1, 16, src, dst);
    else reduce(16, false, spatial, 1, 16, src, dst);
  } else if (lanes == 8) {
    if (max) reduce(8, true, spatial, lane_step, pixel_step, src, dst);
    else reduce(8, false, spatial, lane_step, pixel_step, src, dst);
  } else {
    reduce(lanes, max, spatial, lane_step, pixel_step, src, dst);
  }
}
SIMD_CLONES(reduce_block, GLOBAL_PARAMS, GLOBAL_ARGS)

void espq_infer_pool_global(espq_infer_pool_kind kind, espq_layout layout, int64_t n, int64_t channels, int64_t spatial,
                            const float *src, float *dst) {
  int block = espq_layout_block(layout);
  bool max = kind == ESPQ_INFER_POOL_MAX, plain = layout == ESPQ_PLAIN;
  int64_t stored = espq_layout_channels(layout, channels);
  for (int64_t i = 0; i < n; i++) {
    int lanes;
    for (int64_t c = 0; c < stored; c += lanes, src += lanes * spatial, dst += lanes) {
      lanes = plain ? (int)least(8, stored - c) : block;
      reduce_block(lanes, max, spatial, plain ? spatial : 1, plain ? 1 : block, src, dst);
    }
  }
}
