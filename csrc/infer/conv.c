#include "infer/conv.h"

#include <string.h>

#include "base/alloc.h"
#include "infer/prim.h"

struct espq_infer_conv {
  espq_infer_prim prim;
  espq_layout in, out;
  int64_t repeats;           /* how often the primitive runs, */
  int64_t in_step, out_step; /* and how many elements apart */
};

enum { MAX_ELEMENTS = 1 << 29, MAX_FIRST_CHANNELS = 3, MAX_CHOICES = 4 };

typedef struct choice {
  espq_layout in, out;
} choice;

/* ---- sizes ---------------------------------------------------------------------------------------- */

static bool few_elements(int64_t a, int64_t b, int64_t c, int64_t d, int64_t e) {
  const int64_t factors[] = {b, c, d, e};
  int64_t count = a;
  for (int i = 0; i < 4; i++)
    if (!espq_mul64(count, factors[i], &count)) return false;
  return count < MAX_ELEMENTS;
}

static bool in_range(const int64_t *values, int count, int64_t low) {
  for (int i = 0; i < count; i++)
    if (values[i] < low || values[i] >= MAX_ELEMENTS) return false;
  return true;
}

/* Does a window of k taps, dilated by d, step s times over size + before + after to give out? */
static bool axis_fits(int64_t size, int64_t before, int64_t after, int64_t k, int64_t d, int64_t s, int64_t out) {
  int64_t rest = size + before + after - (d * (k - 1) + 1);
  return rest >= 0 && rest / s + 1 == out;
}

/* An image without depth is one of depth 1. */
static int64_t depth(int64_t size) { return size ? size : 1; }

static espq_status check_params(const espq_infer_conv_params *p, espq_error *err) {
  const int64_t sizes[] = {p->n,
                           p->ic,
                           p->ih,
                           p->iw,
                           p->oc,
                           p->oh,
                           p->ow,
                           p->kh,
                           p->kw,
                           p->sh,
                           p->sw,
                           p->dh,
                           p->dw,
                           p->groups,
                           p->id ? p->od : 1,
                           p->id ? p->kd : 1,
                           p->id ? p->sd : 1,
                           p->id ? p->dd : 1,
                           depth(p->id)};
  const int64_t pads[] = {p->pt, p->pl, p->pb, p->pr, p->pf, p->pk};
  if (!in_range(sizes, sizeof sizes / sizeof *sizes, 1) || !in_range(pads, sizeof pads / sizeof *pads, 0))
    return espq_fail(err, ESPQ_EFORMAT, "a size, stride, dilation or pad of the convolution is out of range");
  if (p->ic % p->groups || p->oc % p->groups)
    return espq_fail(err, ESPQ_EFORMAT, "%lld groups do not divide %lld input and %lld output channels",
                     (long long)p->groups, (long long)p->ic, (long long)p->oc);
  if (p->id && !axis_fits(p->id, p->pf, p->pk, p->kd, p->dd, p->sd, p->od))
    return espq_fail(err, ESPQ_EFORMAT, "the kernel does not map a depth of %lld to %lld", (long long)p->id,
                     (long long)p->od);
  if (!axis_fits(p->ih, p->pt, p->pb, p->kh, p->dh, p->sh, p->oh) ||
      !axis_fits(p->iw, p->pl, p->pr, p->kw, p->dw, p->sw, p->ow))
    return espq_fail(err, ESPQ_EFORMAT, "the kernel does not map %lld x %lld to %lld x %lld", (long long)p->ih,
                     (long long)p->iw, (long long)p->oh, (long long)p->ow);
  if (!few_elements(p->n, p->ic + 16, depth(p->id), p->ih, p->iw) ||
      !few_elements(p->n, p->oc + 16, depth(p->od), p->oh, p->ow) ||
      !few_elements(p->oc + 16, p->ic / p->groups + 16, depth(p->kd), p->kh, p->kw))
    return espq_fail(err, ESPQ_ELIMIT, "a tensor of the convolution has 2^29 elements or more");
  return ESPQ_OK;
}

/* ---- layouts -------------------------------------------------------------------------------------- */

static bool is_depthwise(const espq_infer_conv_params *p) {
  return p->groups > 1 && p->groups == p->ic && p->groups == p->oc;
}

/* Can channels be padded to the block without mixing groups? */
static bool block_fits(const espq_infer_conv_params *p, choice c) {
  int b = espq_layout_block(c.out);
  if (p->id) return c.in == ESPQ_PLAIN && c.out == ESPQ_PLAIN;
  if (c.in == ESPQ_PLAIN) return c.out == ESPQ_PLAIN || p->groups == 1;
  if (c.in != c.out) return false;
  return p->groups == 1 || is_depthwise(p) || (p->ic / p->groups % b == 0 && p->oc / p->groups % b == 0);
}

/* Layouts to try, best first. */
static int list_choices(const espq_infer_conv_params *p, int in, int out, choice *list) {
  espq_layout best = espq_infer_block_layout();
  const choice all[] = {{ESPQ_PLAIN, best}, {best, best}, {ESPQ_C8, ESPQ_C8}, {ESPQ_PLAIN, ESPQ_PLAIN}};
  int count = 0;
  for (int i = p->ic > MAX_FIRST_CHANNELS; i < MAX_CHOICES; i++) {
    if (i == 2 && best == ESPQ_C8) continue;
    if (in != ESPQ_INFER_ANY && all[i].in != (espq_layout)in) continue;
    if (out != ESPQ_INFER_ANY && all[i].out != (espq_layout)out) continue;
    if (block_fits(p, all[i])) list[count++] = all[i];
  }
  return count;
}

/* ---- preparation ---------------------------------------------------------------------------------- */

/* The convolution oneDNN sees: padded channels are ordinary channels with zero weights. That keeps the lanes at
 * zero without oneDNN's own pass that clears them after each run. */
static espq_infer_conv_params padded(const espq_infer_conv_params *p, choice c) {
  espq_infer_conv_params q = *p;
  q.ic = espq_layout_channels(c.in, p->ic);
  q.oc = espq_layout_channels(c.out, p->oc);
  if (is_depthwise(p)) q.groups = q.ic;
  return q;
}

/* The descriptor of n images of c channels; layouts with blocks have no depth. */
static espq_status images_md(dnnl_memory_desc_t *md, espq_layout layout, int64_t n, int64_t c, int64_t d, int64_t h,
                             int64_t w, espq_error *err) {
  if (d) return espq_infer_md(md, 5, (const int64_t[]){n, c, d, h, w}, dnnl_ncdhw, err);
  return espq_infer_md(md, 4, (const int64_t[]){n, c, h, w}, espq_infer_tag(layout), err);
}

/* The descriptor of the weights, in the primitive's own order (any) or as they come: [groups] oc ic [depth] h w. */
static espq_status weights_md(dnnl_memory_desc_t *md, const espq_infer_conv_params *p, bool any, espq_error *err) {
  int64_t dims[6];
  int rank = 0;
  bool g = p->groups > 1;
  dnnl_format_tag_t tag = p->id ? (g ? dnnl_goidhw : dnnl_oidhw) : (g ? dnnl_goihw : dnnl_oihw);
  if (g) dims[rank++] = p->groups;
  dims[rank++] = p->oc / p->groups;
  dims[rank++] = p->ic / p->groups;
  if (p->id) dims[rank++] = p->kd;
  dims[rank++] = p->kh;
  dims[rank++] = p->kw;
  return espq_infer_md(md, rank, dims, any ? dnnl_format_tag_any : tag, err);
}

static void set_axes(dnnl_dims_t axes, bool deep, int64_t d, int64_t h, int64_t w) {
  if (deep) *axes++ = d;
  axes[0] = h;
  axes[1] = w;
}

static espq_status describe(espq_infer_conv *conv, espq_infer_engine *engine, const espq_infer_conv_params *p,
                            bool bias, espq_error *err) {
  dnnl_memory_desc_t src, weights, bias_md, dst;
  espq_status status = images_md(&src, conv->in, p->n, p->ic, p->id, p->ih, p->iw, err);
  if (!status) status = weights_md(&weights, p, true, err);
  if (!status) status = espq_infer_md(&bias_md, 1, &p->oc, dnnl_a, err);
  if (!status) status = images_md(&dst, conv->out, p->n, p->oc, p->id ? p->od : 0, p->oh, p->ow, err);
  if (status) return status;
  dnnl_dims_t strides = {0}, dilates = {0}, before = {0}, after = {0};
  set_axes(strides, p->id, p->sd, p->sh, p->sw);
  set_axes(dilates, p->id, p->dd - 1, p->dh - 1, p->dw - 1);
  set_axes(before, p->id, p->pf, p->pt, p->pl);
  set_axes(after, p->id, p->pk, p->pb, p->pr);
  dnnl_convolution_desc_t desc;
  dnnl_status_t s =
      dnnl_dilated_convolution_forward_desc_init(&desc, dnnl_forward_inference, dnnl_convolution_direct, &src, &weights,
                                                 bias ? &bias_md : NULL, &dst, strides, dilates, before, after);
  if (s != dnnl_success) return espq_infer_dnnl_fail(err, s, "convolution");
  return espq_infer_prim_describe(&conv->prim, engine, &desc, bias, p->relu, err);
}

/* Sums of oneDNN's general matrix product depend on the batch: there each image is a run of its own. */
static espq_status describe_batch(espq_infer_conv *conv, espq_infer_engine *engine, const espq_infer_conv_params *p,
                                  bool bias, espq_error *err) {
  conv->repeats = 1;
  espq_status status = describe(conv, engine, p, bias, err);
  if (status || p->n == 1 || !espq_infer_prim_is_gemm(&conv->prim)) return status;
  espq_infer_prim_free(&conv->prim);
  espq_infer_conv_params one = *p;
  one.n = 1;
  conv->repeats = p->n;
  conv->in_step = p->ic * depth(p->id) * p->ih * p->iw;
  conv->out_step = p->oc * depth(p->od) * p->oh * p->ow;
  return describe(conv, engine, &one, bias, err);
}

/* Finds the first choice with a fast kernel; if there is none, the first that works at all. */
static espq_status choose(espq_infer_conv *conv, espq_infer_engine *engine, const espq_infer_conv_params *p, bool bias,
                          const choice *list, int count, espq_error *err) {
  for (int pass = 0; pass < 2; pass++) {
    for (int i = 0; i < count; i++) {
      conv->in = list[i].in;
      conv->out = list[i].out;
      espq_infer_conv_params q = padded(p, list[i]);
      espq_status status = describe_batch(conv, engine, &q, bias, err);
      if (!status && (pass || !espq_infer_prim_is_reference(&conv->prim))) return ESPQ_OK;
      espq_infer_prim_free(&conv->prim);
      if (status && status != ESPQ_EUNSUPPORTED) return status;
    }
  }
  return espq_fail(err, ESPQ_EUNSUPPORTED, "no convolution of %lld to %lld channels in %lld groups in these layouts",
                   (long long)p->ic, (long long)p->oc, (long long)p->groups);
}

/* Copies rows x columns elements into a zeroed array whose rows have `stride` elements. */
static void spread(float *to, const float *from, int64_t rows, int64_t columns, int64_t stride) {
  for (int64_t i = 0; i < rows; i++) memcpy(to + i * stride, from + i * columns, columns * sizeof *to);
}

static espq_status pack_weights(espq_infer_conv *conv, const espq_infer_conv_params *p, const espq_infer_conv_params *q,
                                const float *weights, espq_error *err) {
  dnnl_memory_desc_t md;
  espq_status status = weights_md(&md, q, false, err);
  if (status) return status;
  if (q->ic == p->ic && q->oc == p->oc) return espq_infer_prim_pack(&conv->prim, PRIM_WEIGHTS, &md, weights, err);
  int64_t taps = depth(p->kd) * p->kh * p->kw, columns = p->ic / p->groups * taps, stride = q->ic / q->groups * taps;
  float *wide = espq_calloc(q->oc * stride, sizeof *wide);
  if (!wide) return espq_fail_memory(err);
  spread(wide, weights, p->oc, columns, stride);
  status = espq_infer_prim_pack(&conv->prim, PRIM_WEIGHTS, &md, wide, err);
  espq_free(wide);
  return status;
}

static espq_status pack_bias(espq_infer_conv *conv, const espq_infer_conv_params *p, const espq_infer_conv_params *q,
                             const float *bias, espq_error *err) {
  if (!bias) return ESPQ_OK;
  float *wide = espq_calloc(q->oc, sizeof *wide);
  if (!wide) return espq_fail_memory(err);
  spread(wide, bias, 1, p->oc, q->oc);
  conv->prim.fixed[PRIM_BIAS] = wide;
  return ESPQ_OK;
}

espq_status espq_infer_conv_prepare(espq_infer_engine *engine, const espq_infer_conv_params *params,
                                    const float *weights, const float *bias, int in_layout, int out_layout,
                                    espq_infer_conv **out, espq_error *err) {
  *out = NULL;
  espq_status status = check_params(params, err);
  if (status) return status;
  espq_infer_conv *conv = espq_calloc(1, sizeof *conv);
  if (!conv) return espq_fail_memory(err);
  choice list[MAX_CHOICES];
  int count = list_choices(params, in_layout, out_layout, list);
  status = choose(conv, engine, params, bias != NULL, list, count, err);
  espq_infer_conv_params q = padded(params, (choice){conv->in, conv->out});
  if (!status) status = pack_weights(conv, params, &q, weights, err);
  if (!status) status = pack_bias(conv, params, &q, bias, err);
  if (!status) status = espq_infer_prim_compile(&conv->prim, err);
  if (status) {
    espq_infer_conv_free(conv);
    return status;
  }
  *out = conv;
  return ESPQ_OK;
}

espq_layout espq_infer_conv_in_layout(const espq_infer_conv *conv) { return conv->in; }

espq_layout espq_infer_conv_out_layout(const espq_infer_conv *conv) { return conv->out; }

espq_status espq_infer_conv_run(espq_infer_conv *conv, espq_infer_stream *stream, const float *src, float *dst,
                                espq_error *err) {
  for (int64_t i = 0; i < conv->repeats; i++) {
    const float *from = src + i * conv->in_step;
    espq_status status = espq_infer_prim_run(&conv->prim, stream, from, NULL, dst + i * conv->out_step, err);
    if (status) return status;
  }
  return ESPQ_OK;
}

void espq_infer_conv_free(espq_infer_conv *conv) {
  if (!conv) return;
  espq_infer_prim_free(&conv->prim);
  espq_free(conv);
}
