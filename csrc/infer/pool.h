/* pool.h - maximum and average over windows, in the layouts PLAIN, C8 and C16.
 *
 * They run on oneDNN. Plain C loops stand in where oneDNN has nothing but its reference loops, 40 to 300 times slower
 * (dilations, pads as wide as the window), or cannot express the window (overhanging padding that counts, windows
 * wholly outside, last windows left out). Both give the same bits: an average is the float32 sum of the window in
 * index order, divided once by the count, which the original tool's simulation needs. oneDNN does not promise that
 * order; the test of this file holds it to it.
 *
 * The count is of elements inside the image, or with count_include_pad of those inside the padded image; where the
 * window hangs over the padded end (ONNX ceil_mode) nothing is counted there, as in onnxruntime. A maximum passes
 * over NaN; of no number at all it is the lowest float, and an average of nothing is 0. Padding lanes of blocked
 * tensors stay 0. Every image is computed on its own, with the same bits at every batch size.
 *
 *   espq_infer_pool_params p = {.kind = ESPQ_INFER_POOL_MAX, .layout = ESPQ_C16, .n = 1, .c = 64, .ih = 112,
 *     .iw = 112, .oh = 56, .ow = 56, .kh = 3, .kw = 3, .sh = 2, .sw = 2, .dh = 1, .dw = 1, .pt = 1, .pl = 1,
 *     .pb = 1, .pr = 1};
 *   espq_infer_pool_prepare(engine, &p, &pool, err);
 *   espq_infer_pool_run(pool, stream, src, dst, err);
 *   espq_infer_pool_free(pool);
 */
#ifndef ESPQ_INFER_POOL_H
#define ESPQ_INFER_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "infer/engine.h"

typedef enum espq_infer_pool_kind { ESPQ_INFER_POOL_MAX, ESPQ_INFER_POOL_AVERAGE } espq_infer_pool_kind;

typedef struct espq_infer_pool_params {
  espq_infer_pool_kind kind;
  espq_layout layout; /* of input and output */
  int64_t n, c, ih, iw, oh, ow;
  int64_t kh, kw, sh, sw, dh, dw;
  int64_t pt, pl, pb, pr; /* pb and pr matter only to count_include_pad */
  bool count_include_pad;
} espq_infer_pool_params;

typedef struct espq_infer_pool espq_infer_pool;

/* The window over whole images: one value per channel. */
espq_infer_pool_params espq_infer_pool_global(espq_infer_pool_kind kind, espq_layout layout, int64_t n,
                                              int64_t channels, int64_t height, int64_t width);

/* ESPQ_EFORMAT unless sizes, strides and dilations are at least 1, pads at least 0, the last window begins before
 * the padded end, and all are below 2^29. */
espq_status espq_infer_pool_prepare(espq_infer_engine *engine, const espq_infer_pool_params *params,
                                    espq_infer_pool **out, espq_error *err);

/* True when it runs on oneDNN. */
bool espq_infer_pool_on_onednn(const espq_infer_pool *pool);

/* src and dst must not overlap. Several streams may run one pool at the same time. */
espq_status espq_infer_pool_run(espq_infer_pool *pool, espq_infer_stream *stream, const float *src, float *dst,
                                espq_error *err);

void espq_infer_pool_free(espq_infer_pool *pool); /* NULL is allowed */

#endif
