/* conv.h - convolution of float images, 2-D or 3-D (1-D: height and kernel height 1).
 *
 * Weights are packed when the convolution is prepared. Which layouts a convolution is fast in depends on its
 * channels: ask with ESPQ_INFER_ANY and read what it takes and gives.
 *   - blocked in and out (C16 with AVX-512, else C8): the usual case; channels that do not fill a block are
 *     padded with zero weights, so padding lanes of the output hold 0 as layout.h demands (also after relu)
 *   - PLAIN in, blocked out: up to 3 input channels
 *   - PLAIN in and out: always works, chosen in 3-D, and for groups whose channels do not fill blocks
 * Padding lanes of a blocked input must hold finite values (layout.h says 0).
 * One image gives the same bits alone and at any place of any batch, with any number of threads.
 *
 *   espq_infer_conv_params p = {.n = 1, .ic = 3, .ih = 96, .iw = 96, .oc = 16, .oh = 48, .ow = 48, .kh = 3,
 *     .kw = 3, .sh = 2, .sw = 2, .dh = 1, .dw = 1, .pt = 0, .pl = 0, .pb = 1, .pr = 1, .groups = 1};
 *   espq_infer_conv_prepare(engine, &p, weights, bias, ESPQ_INFER_ANY, ESPQ_INFER_ANY, &conv, err);
 *   espq_infer_conv_in_layout(conv) == ESPQ_PLAIN; espq_infer_conv_out_layout(conv) == ESPQ_C16;
 *   espq_infer_conv_run(conv, stream, src, dst, err);
 *   espq_infer_conv_free(conv);
 */
#ifndef ESPQ_INFER_CONV_H
#define ESPQ_INFER_CONV_H

#include <stdbool.h>

#include "infer/engine.h"

/* In place of an espq_layout: the kernel chooses. */
enum { ESPQ_INFER_ANY = -1 };

typedef struct espq_infer_conv_params {
  int64_t n, ic, ih, iw;  /* input */
  int64_t oc, oh, ow;     /* output; oh = (ih + pt + pb - dh * (kh - 1) - 1) / sh + 1, ow alike */
  int64_t kh, kw;         /* kernel */
  int64_t sh, sw, dh, dw; /* stride, dilation: 1 is none */
  int64_t pt, pl, pb, pr; /* zeros at top, left, bottom, right */
  int64_t groups;
  bool relu; /* max(0, y) after the bias */
  /* The third axis, in front of the others: input, output, kernel, stride, dilation, zeros at front and back. id 0:
   * there is none, and all of these are 0. */
  int64_t id, od, kd, sd, dd, pf, pk;
} espq_infer_conv_params;

typedef struct espq_infer_conv espq_infer_conv;

/* weights: oc x ic/groups x [kd] x kh x kw; bias: oc or NULL; both are copied. in_layout, out_layout: an espq_layout or
 * ESPQ_INFER_ANY. ESPQ_EFORMAT: sizes that do not fit; ESPQ_ELIMIT: a tensor of 2^29 elements or more;
 * ESPQ_EUNSUPPORTED: not in the layouts asked for (never for PLAIN to PLAIN or ANY to ANY). */
espq_status espq_infer_conv_prepare(espq_infer_engine *engine, const espq_infer_conv_params *params,
                                    const float *weights, const float *bias, int in_layout, int out_layout,
                                    espq_infer_conv **out, espq_error *err);

espq_layout espq_infer_conv_in_layout(const espq_infer_conv *conv);
espq_layout espq_infer_conv_out_layout(const espq_infer_conv *conv);

/* src and dst in those layouts; must not overlap. Several streams may run one conv at the same time. */
espq_status espq_infer_conv_run(espq_infer_conv *conv, espq_infer_stream *stream, const float *src, float *dst,
                                espq_error *err);

void espq_infer_conv_free(espq_infer_conv *conv); /* NULL is allowed */

#endif
