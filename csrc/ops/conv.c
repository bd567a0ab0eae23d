/* Conv: shape rule, oneDNN in float, the simulator's convolution on integers. */
#include <inttypes.h>

#include "base/alloc.h"
#include "infer/conv.h"
#include "ops/kernel.h"
#include "ops/linear.h"
#include "ops/window.h"
#include "sim/conv.h"

static const espq_attr_spec attrs[] = {
    ESPQ_WINDOW_ATTRS, {"group", ESPQ_ATTR_INT, false, 1, NULL}, {NULL, ESPQ_ATTR_INT, false, 0, NULL}};

/* ---- shapes ---- */

static espq_status check_channels(const espq_call *call, int64_t group, espq_error *err) {
  const espq_shape *x = &call->in[0].shape, *w = &call->in[1].shape;
  int64_t ic = x->dim[1], oc = w->dim[0], per_group = w->dim[1];
  if (group < 1 || (oc >= 0 && (oc == 0 || oc % group)) || (ic >= 0 && (ic == 0 || ic % group)))
    return espq_call_fail(
        call, err, ESPQ_EFORMAT,
        "group is %" PRId64 ", expected a divisor of %" PRId64 " input and %" PRId64 " output channels", group, ic, oc);
  if (ic >= 0 && per_group >= 0 && per_group != ic / group)
    return espq_call_fail(call, err, ESPQ_EFORMAT,
                          "weight '%.100s' has %" PRId64 " input channels per group, expected %" PRId64 " (%" PRId64
                          " channels in %" PRId64 " groups)",
                          call->in[1].name, per_group, ic / group, ic, group);
  return ESPQ_OK;
}

static espq_status check_weight(const espq_call *call, espq_error *err) {
  const espq_shape *x = &call->in[0].shape, *w = &call->in[1].shape;
  char text[160];
  if (w->rank != x->rank)
    return espq_call_fail(call, err, ESPQ_EFORMAT, "weight '%.100s' has shape %s, expected rank %d like the input",
                          call->in[1].name, espq_shape_text(w->rank, w->dim, text, sizeof text), x->rank);
  if (!espq_port_has(call, 2)) return ESPQ_OK;
  const espq_shape *b = &call->in[2].shape;
  if (b->rank != 1 || (b->dim[0] >= 0 && w->dim[0] >= 0 && b->dim[0] != w->dim[0]))
    return espq_call_fail(call, err, ESPQ_EFORMAT, "bias '%.100s' has shape %s, expected %" PRId64, call->in[2].name,
                          espq_shape_text(b->rank, b->dim, text, sizeof text), w->dim[0]);
  return ESPQ_OK;
}

static espq_status read_window(const espq_call *call, espq_window *w, espq_error *err) {
  espq_status status = check_weight(call, err);
  if (!status) status = espq_window_read(call, call->in[1].shape.dim + 2, w, err);
  return status ? status : check_channels(call, espq_node_int(call->node, "group", 1), err);
}

static espq_status infer(espq_call *call, espq_error *err) {
  espq_window w;
  espq_shape shape;
  espq_status status = ESPQ_OK;
  for (int i = 0; i < 3 && !status; i++) status = espq_port_number(call, i, err);
  if (!status) status = read_window(call, &w, err);
  if (status) return status;
  espq_window_shape(&w, &call->in[0].shape, call->in[1].shape.dim[0], &shape);
  return espq_call_result(call, &shape);
}

/* ---- float ---- */

static espq_infer_conv_params float_params(const espq_call *call, const espq_window *w) {
  return (espq_infer_conv_params){.n = call->in[0].shape.dim[0],
                                  .ic = call->in[0].shape.dim[1],
                                  .ih = w->in[1],
                                  .iw = w->in[2],
                                  .oc = call->in[1].shape.dim[0],
                                  .oh = w->out[1],
                                  .ow = w->out[2],
                                  .kh = w->kernel[1],
                                  .kw = w->kernel[2],
                                  .sh = w->stride[1],
                                  .sw = w->stride[2],
                                  .dh = w->dilation[1],
                                  .dw = w->dilation[2],
                                  .pt = w->pad_begin[1],
                                  .pl = w->pad_begin[2],
                                  .pb = w->pad_end[1],
                                  .pr = w->pad_end[2],
                                  .groups = espq_node_int(call->node, "group", 1),
                                  .id = w->rank > 2 ? w->in[0] : 0,
                                  .od = w->rank > 2 ? w->out[0] : 0,
                                  .kd = w->rank > 2 ? w->kernel[0] : 0,
                                  .sd = w->rank > 2 ? w->stride[0] : 0,
                                  .dd = w->rank > 2 ? w->dilation[0] : 0,
                                  .pf = w->rank > 2 ? w->pad_begin[0] : 0,
                                  .pk = w->rank > 2 ? w->pad_end[0] : 0};
}

/* Constant weights are packed once; others at every run, from PLAIN to PLAIN. */
typedef struct floats {
  espq_infer_conv *conv;     /* NULL: weights or bias are computed at run time */
  espq_infer_engine *engine; /* then a reference */
  espq_infer_conv_params params;
  bool has_bias;
} floats;

static void free_f32(void *state) {
  floats *f = state;
  if (!f) return;
  espq_infer_conv_free(f->conv);
  espq_infer_engine_free(f->engine);
  espq_free(f);
}

/* The layouts are those the kernel likes best. */
static espq_status prepare_constant(const espq_env *env, espq_call *call, floats *f, espq_error *err) {
  const float *weights, *bias;
  espq_status status = espq_port_weights(call, 1, &weights, err);
  if (!status) status = espq_port_weights(call, 2, &bias, err);
  if (status) return status;
  if (espq_infer_conv_prepare(env->engine, &f->params, weights, bias, ESPQ_INFER_ANY, ESPQ_INFER_ANY, &f->conv, err))
    return espq_call_prefix(call, err);
  call->in[0].layout = espq_infer_conv_in_layout(f->conv);
  call->out[0].layout = espq_infer_conv_out_layout(f->conv);
  return ESPQ_OK;
}

static bool constant_weights(const espq_call *call) {
  return call->in[1].constant && (!espq_port_has(call, 2) || call->in[2].constant);
}

static espq_status prepare_f32(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  espq_window w;
  espq_status status = read_window(call, &w, err);
  if (status) return status;
  floats *f = espq_calloc(1, sizeof *f);
  if (!f) return espq_fail_memory(err);
  f->params = float_params(call, &w);
  f->has_bias = espq_port_has(call, 2);
  if (constant_weights(call)) status = prepare_constant(env, call, f, err);
  else {
    for (int i = 0; i < call->nin; i++) call->in[i].layout = ESPQ_PLAIN;
    call->out[0].layout = ESPQ_PLAIN;
    f->engine = espq_infer_engine_retain(env->engine);
  }
  if (status) free_f32(f);
  else out->state = f;
  return status;
}

/* oneDNN keeps the kernels it compiled, so that making one anew costs little more than packing the weights. */
static espq_status run_packing(const floats *f, const espq_run_args *args, const float *bias, espq_error *err) {
  espq_infer_conv *conv;
  espq_status status =
      espq_infer_conv_prepare(f->engine, &f->params, args->in[1], bias, ESPQ_PLAIN, ESPQ_PLAIN, &conv, err);
  if (status) return status;
  status = espq_infer_conv_run(conv, args->stream, args->in[0], args->out[0], err);
  espq_infer_conv_free(conv);
  return status;
}

static espq_status run_f32(const espq_run_args *args, espq_error *err) {
  /* A run binds memory of its own stream only, so the object may be shared. */
  const floats *f = args->state;
  if (f->conv) return espq_infer_conv_run(f->conv, args->stream, args->in[0], args->out[0], err);
  return run_packing(f, args, f->has_bias ? args->in[2] : NULL, err);
}

static const espq_kernel f32 = {prepare_f32, run_f32, free_f32};

/* ---- integers ---- */

typedef struct quantized {
  espq_sim_conv *conv;
  int64_t n;
} quantized;

static void free_q(void *state) {
  quantized *q = state;
  if (q) espq_sim_conv_free(q->conv);
  espq_free(q);
}

/* The window's numbers are at most 2^30 (window.h), channels are checked here: all fit an int. */
static espq_status quantized_params(const espq_env *env, const espq_call *call, espq_sim_conv_params *p,
                                    espq_error *err) {
  espq_window w;
  espq_status status = read_window(call, &w, err);
  if (!status) status = espq_window_flat(call, &w, err);
  if (status) return status;
  int64_t ic = call->in[0].shape.dim[1], oc = call->in[1].shape.dim[0];
  if (ic > INT32_MAX - 16 || oc > INT32_MAX - 16)
    return espq_call_fail(call, err, ESPQ_ELIMIT, "%" PRId64 " to %" PRId64 " channels are too many", ic, oc);
  *p = (espq_sim_conv_params){.ic = (int)ic,
                              .ih = (int)w.in[1],
                              .iw = (int)w.in[2],
                              .oc = (int)oc,
                              .oh = (int)w.out[1],
                              .ow = (int)w.out[2],
                              .kh = (int)w.kernel[1],
                              .kw = (int)w.kernel[2],
                              .sh = (int)w.stride[1],
                              .sw = (int)w.stride[2],
                              .dh = (int)w.dilation[1],
                              .dw = (int)w.dilation[2],
                              .pt = (int)w.pad_begin[1],
                              .pl = (int)w.pad_begin[2],
                              .groups = (int)espq_node_int(call->node, "group", 1),
                              .isa = env->isa};
  return ESPQ_OK;
}

static espq_status prepare_q(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  espq_sim_conv_params p;
  espq_status status = quantized_params(env, call, &p, err);
  quantized *q = status ? NULL : espq_calloc(1, sizeof *q);
  if (!status && !q) return espq_fail_memory(err);
  if (!status) status = espq_linear_prepare(call, &p, 2, NULL, &q->conv, err);
  if (status) {
    free_q(q);
    return status;
  }
  q->n = call->in[0].shape.dim[0];
  call->in[0].layout = call->out[0].layout = ESPQ_NHWC16;
  out->state = q;
  out->scratch = espq_sim_conv_scratch(q->conv);
  return ESPQ_OK;
}

static espq_status run_q(const espq_run_args *args, espq_error *err) {
  (void)err;
  const quantized *q = args->state;
  espq_sim_conv_run(q->conv, q->n, args->in[0], args->out[0], args->scratch);
  return ESPQ_OK;
}

static const espq_kernel q = {prepare_q, run_q, free_q};

static bool mixes_batch(const espq_call *call) {
  return !call->in[1].constant || (espq_port_has(call, 2) && !call->in[2].constant);
}

static const char *why_not(const espq_call *call, char *text, size_t size) {
  if (call->in[0].shape.rank > 4)
    return espq_reason(text, size,
                       "convolutions over three or more axes cannot be quantized; the chip's library has 1-D "
                       "and 2-D ones only");
  return espq_linear_why_not(call, 2, text, size);
}

const espq_op espq_op_Conv = {.name = "Conv",
                              .domain = "",
                              .since = 1,
                              .min_in = 2,
                              .max_in = 3,
                              .min_out = 1,
                              .max_out = 1,
                              .attrs = attrs,
                              .infer = infer,
                              .f32 = &f32,
                              .q = &q,
                              .v1 = ESPQ_V1_ARITHMETIC | ESPQ_V1_CALIBRATOR | ESPQ_V1_EVALUATOR | ESPQ_V1_CHIP,
                              .weight = 1,
                              .bias = 2,
                              .mixes_batch = mixes_batch,
                              .why_not = why_not};
