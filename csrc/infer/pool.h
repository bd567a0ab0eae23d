/* pool.h - maximum and average over windows, in plain C for the layouts PLAIN, C8 and C16.
 *
 * An average is the float32 sum of the window in index order, divided once by the count: exactly what the original
 * tool's simulation needs, so there is no other average. The count is of elements inside the image, or with
 * count_include_pad of those inside the padded image; where the window hangs over the padded end (ONNX ceil_mode)
 * nothing is counted there, as in onnxruntime. A maximum with a NaN in its window is NaN; a window wholly
 * outside gives the lowest float, an average there 0. Padding lanes of blocked tensors stay 0.
 * Every image is computed on its own. No allocation, nothing fails once the sizes are checked.
 *
 *   espq_infer_pool_params p = {.kind = ESPQ_INFER_POOL_MAX, .layout = ESPQ_C16, .n = 1, .c = 64, .ih = 112,
 *     .iw = 112, .oh = 56, .ow = 56, .kh = 3, .kw = 3, .sh = 2, .sw = 2, .dh = 1, .dw = 1, .pt = 1, .pl = 1,
 *     .pb = 1, .pr = 1};
 *   if (espq_infer_pool_check(&p, err)) ...   espq_infer_pool(&p, src, dst);
 */
#ifndef ESPQ_INFER_POOL_H
#define ESPQ_INFER_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/layout.h"

typedef enum espq_infer_pool_kind { ESPQ_INFER_POOL_MAX, ESPQ_INFER_POOL_AVERAGE } espq_infer_pool_kind;

typedef struct espq_infer_pool_params {
  espq_infer_pool_kind kind;
  espq_layout layout; /* of input and output */
  int64_t n, c, ih, iw, oh, ow;
  int64_t kh, kw, sh, sw, dh, dw;
  int64_t pt, pl, pb, pr; /* pb and pr matter only to count_include_pad */
  bool count_include_pad;
} espq_infer_pool_params;

/* ESPQ_EFORMAT unless sizes, strides and dilations are at least 1, pads at least 0, the last window begins before
 * the padded end, and all are below 2^29. */
espq_status espq_infer_pool_check(const espq_infer_pool_params *params, espq_error *err);

/* dst = pooled src; params must pass the check; src and dst must not overlap. */
void espq_infer_pool(const espq_infer_pool_params *params, const float *src, float *dst);

/* One value per channel over all `spatial` pixels: the same values as a window over the whole image, faster. */
void espq_infer_pool_global(espq_infer_pool_kind kind, espq_layout layout, int64_t n, int64_t channels, int64_t spatial,
                            const float *src, float *dst);

#endif
