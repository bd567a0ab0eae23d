/* deconv.h - transposed convolution of float images of up to three axes: a matrix product per image, whose columns are
 * then added where the windows lie.
 *
 * Output places that no window reaches hold the bias; taps that fall outside are dropped, so any pads (also negative)
 * and output sizes will do. Each image has the same bits in every batch.
 *
 *   espq_infer_deconv_params p = {.n = 1, .ic = 8, .oc = 4, .groups = 1, .in = {1, 5, 5}, .out = {1, 11, 11},
 *     .kernel = {1, 3, 3}, .stride = {1, 2, 2}, .dilation = {1, 1, 1}, .before = {0, 0, 0}};
 *   espq_infer_deconv_prepare(engine, &p, &deconv, err);
 *   espq_infer_deconv_run(deconv, stream, x, weights, bias, y, scratch, err);
 *   espq_infer_deconv_free(deconv);
 */
#ifndef ESPQ_INFER_DECONV_H
#define ESPQ_INFER_DECONV_H

#include "infer/engine.h"

typedef struct espq_infer_deconv_params {
  int64_t n, ic, oc, groups;
  int64_t in[3], out[3], kernel[3], stride[3], dilation[3];
  int64_t before[3]; /* output places cut at the front */
} espq_infer_deconv_params;

typedef struct espq_infer_deconv espq_infer_deconv;

/* Groups divide the channels. ESPQ_EFORMAT: a size below 1; ESPQ_ELIMIT: a matrix of 2^29 elements or more. */
espq_status espq_infer_deconv_prepare(espq_infer_engine *engine, const espq_infer_deconv_params *params,
                                      espq_infer_deconv **out, espq_error *err);
size_t espq_infer_deconv_scratch(const espq_infer_deconv *deconv); /* bytes */

/* All PLAIN. weights: ic x oc/groups x kernel; bias: oc numbers or NULL. Several streams may run one at the same time. */
espq_status espq_infer_deconv_run(const espq_infer_deconv *deconv, espq_infer_stream *stream, const float *x,
                                  const float *weights, const float *bias, float *y, void *scratch, espq_error *err);

void espq_infer_deconv_free(espq_infer_deconv *deconv); /* NULL is allowed */

#endif
