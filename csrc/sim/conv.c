#include "sim/conv.h"

#include "base/alloc.h"
#include "base/layout.h"
#include "sim/conv_drive.h"

enum { INT8_WEIGHTS_MAX = 1 << 17 /* 2^14 * this leaves 32 bits */ };

/* ---- checks ---- */

static espq_status check_counts(const espq_sim_conv_params *p, espq_error *err) {
  if (p->bits != 8 && p->bits != 16) return espq_fail(err, ESPQ_EBUG, "%d bits", p->bits);
  const int positive[] = {p->ic, p->ih, p->iw, p->oc, p->oh, p->ow,    p->kh,
                          p->kw, p->sh, p->sw, p->dh, p->dw, p->groups};
  for (size_t i = 0; i < sizeof positive / sizeof *positive; i++)
    if (positive[i] < 1)
      return espq_fail(err, ESPQ_EFORMAT, "convolution with a size, stride or dilation of %d", positive[i]);
  if (p->ic % p->groups || p->oc % p->groups)
    return espq_fail(err, ESPQ_EFORMAT, "%d input and %d output channels in %d groups", p->ic, p->oc, p->groups);
  return ESPQ_OK;
}

/* channels * height * width * bytes an element, or a limit error. */
static espq_status image_bytes(int channels, int h, int w, int bits, int64_t *bytes, espq_error *err) {
  int64_t n = espq_layout_channels(ESPQ_NHWC16, channels) * (bits / 8);
  if (!espq_mul64(n, h, &n) || !espq_mul64(n, w, &n) || n > (int64_t)ESPQ_ALLOC_MAX)
    return espq_fail(err, ESPQ_ELIMIT, "an image of %d x %d x %d is too large", channels, h, w);
  *bytes = n;
  return ESPQ_OK;
}

static espq_status check_limits(const espq_sim_conv_params *p, espq_error *err) {
  int64_t weights = p->ic / p->groups, outputs, bytes;
  if (p->ic > INT32_MAX - 16 || p->oc > INT32_MAX - 16 || !espq_mul64(weights, p->kh, &weights) ||
      !espq_mul64(weights, p->kw, &weights) || weights >= (p->bits == 8 ? INT8_WEIGHTS_MAX : INT32_MAX))
    return espq_fail(err, ESPQ_ELIMIT, "sums of %d x %d x %d products may leave the accumulator", p->ic / p->groups,
                     p->kh, p->kw);
  if (!espq_mul64(weights, p->oc, &outputs) || outputs > (int64_t)ESPQ_ALLOC_MAX)
    return espq_fail(err, ESPQ_ELIMIT, "too many weights");
  espq_status status = image_bytes(p->ic, p->ih, p->iw, p->bits, &bytes, err);
  return status ? status : image_bytes(p->oc, p->oh, p->ow, p->bits, &bytes, err);
}

/* ---- preparing ---- */

static void choose_kernel(espq_sim_conv *conv) {
  const espq_sim_conv_params *p = &conv->p;
  bool portable = true;
#if defined(__x86_64__)
  portable = p->isa == ESPQ_ISA_PORTABLE;
  bool vnni = p->isa == ESPQ_ISA_AVX512_VNNI;
  if (!portable) conv->dense = vnni ? espq_dense_kernel_vnni(p->bits) : espq_dense_kernel_avx2(p->bits);
  if (!portable) conv->depthwise = vnni ? espq_depthwise_kernel_vnni(p->bits) : espq_depthwise_kernel_avx2(p->bits);
#endif
  if (portable) conv->dense = espq_dense_kernel_portable(p->bits);
  if (portable) conv->depthwise = espq_depthwise_kernel_portable(p->bits);
  if (espq_conv_is_depthwise(p, conv->depthwise)) conv->dense = NULL;
  else conv->depthwise = NULL;
}

static espq_status prepare_requant(espq_sim_conv *conv, espq_error *err) {
  espq_sim_conv_params *p = &conv->p;
  int64_t products = (int64_t)(p->ic / p->groups) * p->kh * p->kw;
  int64_t bound = products << (p->bits == 8 ? 14 : 30);
  espq_status status = espq_requant_prepare(&conv->requant, &p->requant, p->bits, p->oc, bound, p->isa, err);
  p->requant = conv->requant.spec; /* the caller's arrays may be gone later */
  return status;
}

static espq_status prepare(espq_sim_conv *conv, const void *weights, espq_error *err) {
  const espq_sim_conv_params *p = &conv->p;
  const int64_t *bias = p->requant.rounding == ESPQ_ROUND_FLOOR ? NULL : p->requant.bias64;
  choose_kernel(conv);
  espq_status status = prepare_requant(conv, err);
  if (!status && conv->dense) status = espq_conv_window_make(&conv->window, p, conv->dense->depth, err);
  if (!status && conv->depthwise) status = espq_conv_zeros_make(&conv->zeros, p, err);
  espq_conv_packing packing = {.params = p,
                               .weights = weights,
                               .requant = &conv->requant,
                               .dense = conv->dense,
                               .depthwise = conv->depthwise,
                               .compact = conv->window.compact};
  if (!status && p->lanes) status = espq_conv_lanes_make(&conv->lanes, p, weights, bias, err);
  return status ? status : espq_conv_pack_make(&conv->pack, &packing, err);
}

espq_status espq_sim_conv_prepare(const espq_sim_conv_params *params, const void *weights, espq_sim_conv **out,
                                  espq_error *err) {
  *out = NULL;
  espq_status status = check_counts(params, err);
  if (!status) status = check_limits(params, err);
  if (status) return status;
  espq_sim_conv *conv = espq_calloc(1, sizeof *conv);
  if (!conv) return espq_fail_memory(err);
  conv->p = *params;
  status = prepare(conv, weights, err);
  if (status) espq_sim_conv_free(conv);
  else *out = conv;
  return status;
}

void espq_sim_conv_free(espq_sim_conv *conv) {
  if (!conv) return;
  espq_requant_free(&conv->requant);
  espq_conv_pack_free(&conv->pack);
  espq_conv_window_free(&conv->window);
  espq_conv_lanes_free(&conv->lanes);
  espq_free(conv->zeros);
  espq_free(conv);
}

/* ---- running ---- */

size_t espq_sim_conv_scratch(const espq_sim_conv *conv) {
  return conv->dense ? conv->window.scratch : espq_conv_depthwise_scratch(&conv->p, conv->depthwise);
}

size_t espq_sim_conv_bytes(const espq_sim_conv *conv) {
  size_t inputs = (size_t)espq_layout_channels(ESPQ_NHWC16, conv->p.ic);
  return sizeof *conv + conv->pack.bytes + conv->window.bytes + conv->lanes.bytes +
         espq_requant_bytes((size_t)espq_layout_channels(ESPQ_NHWC16, conv->p.oc)) +
         (conv->zeros ? inputs * (size_t)(conv->p.bits / 8) : 0);
}

void espq_sim_conv_run(const espq_sim_conv *conv, int64_t n, const void *in, void *out, void *scratch) {
  (conv->dense ? espq_conv_run_dense : espq_conv_run_depthwise)(conv, n, in, out, scratch);
  if (conv->lanes.count) espq_conv_run_lanes(conv, n, in, out);
}
