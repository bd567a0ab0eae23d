#include "infer/pool.h"

#include <float.h>

#include "base/alloc.h"
#include "base/taps.h"
#include "infer/prim.h"
#include "infer/simd.h"

typedef espq_infer_pool_params params;

struct espq_infer_pool {
  params params;
  espq_infer_prim prim; /* without a primitive: plain C */
};

/* ---- sizes ---------------------------------------------------------------------------------------- */

static bool axis_ok(int64_t in, int64_t out, int64_t k, int64_t s, int64_t d, int64_t before, int64_t after) {
  const int64_t limit = 1 << 29;
  if (in < 1 || out < 1 || k < 1 || s < 1 || d < 1 || before < 0 || after < 0) return false;
  if (in >= limit || out >= limit || k >= limit || s >= limit || d >= limit || before >= limit || after >= limit)
    return false;
  return (out - 1) * s < before + in + after;
}

static espq_status check_params(const params *p, espq_error *err) {
  if (p->n < 1 || p->c < 1 || !axis_ok(p->ih, p->oh, p->kh, p->sh, p->dh, p->pt, p->pb) ||
      !axis_ok(p->iw, p->ow, p->kw, p->sw, p->dw, p->pl, p->pr))
    return espq_fail(err, ESPQ_EFORMAT, "a pooling window does not fit its image");
  return ESPQ_OK;
}

params espq_infer_pool_global(espq_infer_pool_kind kind, espq_layout layout, int64_t n, int64_t channels,
                              int64_t height, int64_t width) {
  return (params){.kind = kind,
                  .layout = layout,
                  .n = n,
                  .c = channels,
                  .ih = height,
                  .iw = width,
                  .oh = 1,
                  .ow = 1,
                  .kh = height,
                  .kw = width,
                  .sh = 1,
                  .sw = 1,
                  .dh = 1,
                  .dw = 1};
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- plain C -------------------------------------------------------------------------------------- */

#define TAP_PARAMS (int block, bool max, int64_t count, int64_t step, const float *src, float *row)
#define TAP_ARGS   (block, max, count, step, src, row)

/* One tap of the window for a run of outputs: row[i] = max or sum of row[i] and src[i * step], per lane. */
SIMD_BODY void tap_lanes(int block, bool max, int64_t count, int64_t step, const float *src, float *restrict row) {
  for (int64_t i = 0; i < count; i++)
    for (int l = 0; l < block; l++) {
      float v = src[i * step * block + l], old = row[i * block + l];
      row[i * block + l] = max ? (v > old ? v : old) : old + v;
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
  int64_t first;
  int64_t top = oy * p->sh - p->pt;
  int64_t rows = espq_taps(top, p->kh, p->dh, pad ? -p->pt : 0, pad ? p->ih + p->pb : p->ih, &first);
  for (int64_t ox = 0; ox < p->ow; ox++) {
    int64_t left = ox * p->sw - p->pl;
    int64_t columns = espq_taps(left, p->kw, p->dw, pad ? -p->pl : 0, pad ? p->iw + p->pr : p->iw, &first);
    float count = rows && columns ? (float)rows * (float)columns : 1;
    for (int l = 0; l < block; l++) row[ox * block + l] /= count;
  }
}

static void pool_row(const params *p, int64_t oy, int block, const float *src, float *row) {
  bool max = p->kind == ESPQ_INFER_POOL_MAX;
  for (int64_t i = 0; i < p->ow * block; i++) row[i] = max ? -FLT_MAX : 0;
  /* Only taps that touch the image: a huge kernel or pad costs no more than the image. */
  int64_t top = oy * p->sh - p->pt, ky_end = least(p->kh, espq_ceil_div(p->ih - top, p->dh));
  int64_t kx_end = least(p->kw, espq_ceil_div(p->iw + p->pl, p->dw));
  for (int64_t ky = espq_ceil_div(-top, p->dh); ky < ky_end; ky++) {
    for (int64_t kx = espq_ceil_div(p->pl - (p->ow - 1) * p->sw, p->dw); kx < kx_end; kx++) {
      int64_t shift = kx * p->dw - p->pl; /* input column of output 0 */
      int64_t first = espq_ceil_div(-shift, p->sw), end = least(p->ow, espq_ceil_div(p->iw - shift, p->sw));
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

static void run_plain(const params *p, const float *src, float *dst) {
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

/* ---- oneDNN --------------------------------------------------------------------------------------- */

/* What the window needs behind the image to reach `out` places: pads of ONNX and the overhang of its ceil_mode. */
static int64_t reach(int64_t in, int64_t out, int64_t k, int64_t s, int64_t d, int64_t before) {
  int64_t need = (out - 1) * s + (k - 1) * d + 1 - before - in;
  return need > 0 ? need : 0;
}

/* A line is pooled as a column: oneDNN unrolls the width of a window, and loops over its height. */
static params upright(const params *p) {
  params q = *p;
  if (p->ih != 1 || p->oh != 1 || p->kh != 1 || p->pt || p->pb) return q;
  q.ih = p->iw, q.oh = p->ow, q.kh = p->kw, q.sh = p->sw, q.dh = p->dw, q.pt = p->pl, q.pb = p->pr;
  q.iw = q.ow = q.kw = q.sw = q.dw = 1;
  q.pl = q.pr = 0;
  return q;
}

/* Its sizes are ints, and a wide window makes long code. */
static bool small_enough(const params *p) {
  const int64_t limit = 1 << 29, widest = 4096;
  int64_t pixels = p->ih * p->iw > p->oh * p->ow ? p->ih * p->iw : p->oh * p->ow, count;
  if (p->kw > widest || pixels >= limit) return false;
  return espq_mul64(p->n, espq_layout_channels(p->layout, p->c), &count) && espq_mul64(count, pixels, &count) &&
         count < limit;
}

static dnnl_alg_kind_t algorithm(const params *p, const dnnl_dims_t after) {
  if (p->kind == ESPQ_INFER_POOL_MAX) return dnnl_pooling_max;
  if (!p->count_include_pad || !(p->pt || p->pl || p->pb || p->pr)) return dnnl_pooling_avg_exclude_padding;
  if (after[0] > p->pb || after[1] > p->pr) return dnnl_alg_kind_undef; /* it would count the overhang */
  return dnnl_pooling_avg_include_padding;
}

/* Padding lanes are ordinary channels of zeros. */
static espq_status describe(espq_infer_prim *prim, espq_infer_engine *engine, const params *p, espq_error *err) {
  const int64_t c = espq_layout_channels(p->layout, p->c);
  const dnnl_dims_t strides = {p->sh, p->sw}, kernel = {p->kh, p->kw}, dilates = {p->dh - 1, p->dw - 1};
  const dnnl_dims_t before = {p->pt, p->pl};
  const dnnl_dims_t after = {reach(p->ih, p->oh, p->kh, p->sh, p->dh, p->pt),
                             reach(p->iw, p->ow, p->kw, p->sw, p->dw, p->pl)};
  dnnl_alg_kind_t kind = algorithm(p, after);
  if (kind == dnnl_alg_kind_undef) return espq_infer_dnnl_fail(err, dnnl_unimplemented, "pooling");
  dnnl_memory_desc_t src, dst;
  espq_status status = espq_infer_md(&src, 4, (const int64_t[]){p->n, c, p->ih, p->iw}, espq_infer_tag(p->layout), err);
  if (!status)
    status = espq_infer_md(&dst, 4, (const int64_t[]){p->n, c, p->oh, p->ow}, espq_infer_tag(p->layout), err);
  if (status) return status;
  dnnl_pooling_v2_desc_t desc;
  dnnl_status_t s = dnnl_pooling_v2_forward_desc_init(&desc, dnnl_forward_inference, kind, &src, &dst, strides, kernel,
                                                      dilates, before, after);
  if (s != dnnl_success) return espq_infer_dnnl_fail(err, s, "pooling");
  return espq_infer_prim_describe(prim, engine, &desc, false, false, err);
}

/* Compiles it for oneDNN if that has a kernel better than its reference. */
static espq_status compile(espq_infer_pool *pool, espq_infer_engine *engine, espq_error *err) {
  params p = upright(&pool->params);
  if (!small_enough(&p)) return ESPQ_OK;
  espq_status status = describe(&pool->prim, engine, &p, err);
  if (!status && !espq_infer_prim_is_reference(&pool->prim)) return espq_infer_prim_compile(&pool->prim, err);
  espq_infer_prim_free(&pool->prim);
  return status == ESPQ_EUNSUPPORTED ? ESPQ_OK : status;
}

espq_status espq_infer_pool_prepare(espq_infer_engine *engine, const params *p, espq_infer_pool **out,
                                    espq_error *err) {
  *out = NULL;
  espq_status status = check_params(p, err);
  if (status) return status;
  espq_infer_pool *pool = espq_calloc(1, sizeof *pool);
  if (!pool) return espq_fail_memory(err);
  pool->params = *p;
  status = compile(pool, engine, err);
  if (status) {
    espq_infer_pool_free(pool);
    return status;
  }
  *out = pool;
  return ESPQ_OK;
}

bool espq_infer_pool_on_onednn(const espq_infer_pool *pool) { return pool->prim.primitive != NULL; }

espq_status espq_infer_pool_run(espq_infer_pool *pool, espq_infer_stream *stream, const float *src, float *dst,
                                espq_error *err) {
  if (espq_infer_pool_on_onednn(pool)) return espq_infer_prim_run(&pool->prim, stream, src, NULL, dst, err);
  run_plain(&pool->params, src, dst);
  return ESPQ_OK;
}

void espq_infer_pool_free(espq_infer_pool *pool) {
  if (!pool) return;
  espq_infer_prim_free(&pool->prim);
  espq_free(pool);
}
