/* conv.h - 2-D convolution on int8 or int16, exact and requantized (requant.h).
 *
 * Activations are ESPQ_NHWC16 (base/layout.h): int8 in offset binary, padding lanes at value 0, in the
 * input as in the output. Gemm and MatMul with constant weights are a 1x1 convolution on 1x1 images:
 * rows are images, and all pixels of all images are one axis to the kernels.
 *
 * A prepared convolution is immutable and may be run by many threads at once, each with its own scratch.
 * The sums are exact on every instruction set, so all give the same bits. With `lanes` they saturate
 * after every product as on the ESP32-S3 (lanes of fixed.h), in the order of the window's rows, its
 * columns, the channels of the input; for v3 a sum begins with the bias. Channels whose sums cannot
 * get so far (sums.h) have the same bits either way, and cost nothing.
 *
 *   espq_sim_conv_params p = {.bits = 8, .ic = 3, .ih = 28, .iw = 28, .oc = 16, .oh = 28, .ow = 28,
 *     .kh = 3, .kw = 3, .sh = 1, .sw = 1, .dh = 1, .dw = 1, .pt = 1, .pl = 1, .groups = 1,
 *     .requant = {...}, .isa = espq_isa_detect()};
 *   espq_sim_conv *conv;
 *   if (espq_sim_conv_prepare(&p, weights, &conv, &err)) return err.status;
 *   void *scratch = espq_alloc(espq_sim_conv_scratch(conv));
 *   espq_sim_conv_run(conv, batch, in, out, scratch);
 *   espq_sim_conv_free(conv);
 */
#ifndef ESPQ_SIM_CONV_H
#define ESPQ_SIM_CONV_H

#include "sim/requant.h"
#include "sim/sums.h"

typedef struct espq_sim_conv espq_sim_conv;

typedef struct espq_sim_conv_params {
  int bits;       /* 8 or 16 */
  int ic, ih, iw; /* logical input channels and image */
  int oc, oh, ow; /* what falls outside of the image is 0, so oh, ow imply the other pads */
  int kh, kw, sh, sw, dh, dw;
  int pt, pl;               /* zeros above and to the left; may be negative (a crop) */
  int groups;               /* divides ic and oc */
  espq_sim_requant requant; /* arrays of oc; copied */
  bool lanes;               /* int8 and int16 lanes of the ESP32-S3, which saturate */
  espq_sim_interval input;  /* lanes: what the input's integers are known to lie in; both 0: all of their bits */
  espq_isa isa;
} espq_sim_conv_params;

/* weights: int8_t or int16_t [oc][ic / groups][kh][kw], not kept. ESPQ_EFORMAT: sizes that make no
   convolution; ESPQ_ELIMIT: sums that could leave the accumulator, or images beyond memory; ESPQ_EUNSUPPORTED:
   an output range without 0, or a bias that a lane cannot hold. */
espq_status espq_sim_conv_prepare(const espq_sim_conv_params *params, const void *weights, espq_sim_conv **out,
                                  espq_error *err);
void espq_sim_conv_free(espq_sim_conv *conv); /* NULL is allowed */

/* Bytes of scratch that one run needs; any n. */
size_t espq_sim_conv_scratch(const espq_sim_conv *conv);

/* Bytes held by the prepared convolution. */
size_t espq_sim_conv_bytes(const espq_sim_conv *conv);

/* n images from `in` to `out`, which must not overlap. */
void espq_sim_conv_run(const espq_sim_conv *conv, int64_t n, const void *in, void *out, void *scratch);

#endif
