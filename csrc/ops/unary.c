/* Sigmoid, Tanh, Clip, Floor, Round and Softmax, in float only. */
#include <float.h>
#include <inttypes.h>
#include <math.h>

#include "base/alloc.h"
#include "infer/reorder.h"
#include "infer/softmax.h"
#include "infer/unary.h"
#include "ops/kernel.h"

/* ---- functions of one number, in the layout the input has ---- */

typedef struct unary_state {
  espq_infer_unary_op op;
  double a, b;
  espq_dtype type; /* other types than float32 have no kernels of their own: tensor/function.h */
  int64_t count;   /* stored elements */
  bool clear;      /* f(0) is not 0, so the padding lanes must be cleared */
  espq_layout layout;
  espq_image image;
} unary_state;

static espq_status prepare_unary(espq_call *call, espq_infer_unary_op op, double a, double b, espq_prepared *out,
                                 espq_error *err) {
  unary_state *s = espq_calloc(1, sizeof *s);
  if (!s) return espq_fail_memory(err);
  *s = (unary_state){.op = op,
                     .a = a,
                     .b = b,
                     .type = call->in[0].dtype,
                     .count = espq_port_stored(&call->in[0]),
                     .clear = !espq_infer_unary_keeps_zero(op, (float)a, (float)b),
                     .layout = call->in[0].layout,
                     .image = espq_image_of(&call->in[0].shape)};
  call->out[0].layout = s->layout;
  out->state = s;
  out->in_place = true;
  return ESPQ_OK;
}

static espq_status run_unary(const espq_run_args *args, espq_error *err) {
  (void)err;
  const unary_state *s = args->state;
  static const espq_function functions[] = {[ESPQ_INFER_SIGMOID] = ESPQ_FN_SIGMOID,
                                            [ESPQ_INFER_TANH] = ESPQ_FN_TANH,
                                            [ESPQ_INFER_FLOOR] = ESPQ_FN_FLOOR,
                                            [ESPQ_INFER_ROUND] = ESPQ_FN_ROUND,
                                            [ESPQ_INFER_CLIP] = ESPQ_FN_CLIP};
  if (s->type != ESPQ_F32) {
    espq_function_unary(functions[s->op], s->a, s->b, s->type, s->count, args->in[0], args->out[0]);
    return ESPQ_OK;
  }
  espq_infer_unary(s->op, (float)s->a, (float)s->b, s->count, args->in[0], args->out[0]);
  if (s->clear) espq_infer_clear_lanes(s->layout, s->image.n, s->image.c, s->image.pixels, args->out[0]);
  return ESPQ_OK;
}

static espq_status infer_float(espq_call *call, espq_error *err) {
  espq_status status = espq_port_type(call, 0, ESPQ_TYPES_FLOAT, err);
  return status ? status : espq_call_result(call, &call->in[0].shape);
}

#define SIMPLE_KERNEL(name, op)                                                                                  \
  static espq_status prepare_##name(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) { \
    (void)env;                                                                                                   \
    return prepare_unary(call, op, 0, 0, out, err);                                                              \
  }                                                                                                              \
  static const espq_kernel name##_f32 = {prepare_##name, run_unary, NULL};

SIMPLE_KERNEL(sigmoid, ESPQ_INFER_SIGMOID)
SIMPLE_KERNEL(tanh, ESPQ_INFER_TANH)
SIMPLE_KERNEL(floor, ESPQ_INFER_FLOOR)
SIMPLE_KERNEL(round, ESPQ_INFER_ROUND)

/* ---- Clip: the bounds are attributes until opset 10, then inputs ---- */

static espq_status check_clip_form(const espq_call *call, espq_error *err) {
  bool attributes = espq_node_attr(call->node, "min") || espq_node_attr(call->node, "max");
  if (call->opset >= 11 && attributes)
    return espq_call_fail(call, err, ESPQ_EFORMAT,
                          "min and max are attributes, but inputs since opset 11 (this is %" PRId64 ")", call->opset);
  if (call->opset < 11 && call->nin > 1)
    return espq_call_fail(call, err, ESPQ_EFORMAT, "%d inputs, expected 1 before opset 11 (this is %" PRId64 ")",
                          call->nin, call->opset);
  return ESPQ_OK;
}

static espq_status infer_clip(espq_call *call, espq_error *err) {
  espq_status status = check_clip_form(call, err);
  if (!status) status = espq_port_type(call, 0, ESPQ_TYPES_NUMBER, err);
  if (!status) status = espq_call_one_type(call, err);
  for (int i = 1; i < 3 && !status; i++)
    if (espq_port_has(call, i) && call->in[i].shape.rank > 1)
      status = espq_call_fail(call, err, ESPQ_EFORMAT, "input %d '%.100s' has rank %d, expected a single number", i,
                              call->in[i].name, call->in[i].shape.rank);
  return status ? status : espq_call_result(call, &call->in[0].shape);
}

/* The one number of a constant input. */
static espq_status read_bound(const espq_call *call, int input, double *out, espq_error *err) {
  if (!espq_port_has(call, input)) return ESPQ_OK;
  const espq_tensor *t = call->in[input].constant;
  if (!t || t->count != 1)
    return espq_call_fail(call, err, t ? ESPQ_EFORMAT : ESPQ_EUNSUPPORTED,
                          "input %d '%.100s' must be one constant number", input, call->in[input].name);
  espq_tensor_read(t, 0, 1, out);
  return ESPQ_OK;
}

/* Without a bound the type's own holds. */
static espq_status prepare_clip(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  double most = call->in[0].dtype == ESPQ_F32 ? (double)FLT_MAX : INFINITY;
  double low = (double)espq_node_float(call->node, "min", -INFINITY);
  double high = (double)espq_node_float(call->node, "max", INFINITY);
  espq_status status = check_clip_form(call, err);
  if (!status) status = read_bound(call, 1, &low, err);
  if (!status) status = read_bound(call, 2, &high, err);
  if (low == -INFINITY) low = -most;
  if (high == INFINITY) high = most;
  return status ? status : prepare_unary(call, ESPQ_INFER_CLIP, low, high, out, err);
}

static const espq_kernel clip_f32 = {prepare_clip, run_unary, NULL};

/* ---- Softmax: along one axis since opset 13, before it over all axes from `axis` on ---- */

typedef struct softmax_state {
  bool logarithm; /* LogSoftmax */
  int64_t outer, length, inner;
} softmax_state;

static espq_status softmax_axis(const espq_call *call, int *axis, espq_error *err) {
  int64_t given = espq_node_int(call->node, "axis", call->opset < 13 ? 1 : -1);
  return espq_call_axis(call, given, call->in[0].shape.rank, axis, err);
}

static espq_status infer_softmax(espq_call *call, espq_error *err) {
  int axis;
  espq_status status = softmax_axis(call, &axis, err);
  return status ? status : espq_infer_elementwise(call, err);
}

static espq_status prepare_softmax(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  int axis;
  const espq_shape *x = &call->in[0].shape;
  espq_status status = softmax_axis(call, &axis, err);
  if (status) return status;
  softmax_state *s = espq_calloc(1, sizeof *s);
  if (!s) return espq_fail_memory(err);
  *s = (softmax_state){call->node->op_type[0] == 'L', 1, 1, 1};
  for (int i = 0; i < x->rank; i++) {
    int64_t *part = i < axis ? &s->outer : i == axis || call->opset < 13 ? &s->length : &s->inner;
    *part *= x->dim[i];
  }
  call->in[0].layout = call->out[0].layout = ESPQ_PLAIN;
  out->state = s;
  out->in_place = true;
  return ESPQ_OK;
}

static espq_status run_softmax(const espq_run_args *args, espq_error *err) {
  (void)err;
  const softmax_state *s = args->state;
  espq_infer_softmax(s->logarithm, s->outer, s->length, s->inner, args->in[0], args->out[0]);
  return ESPQ_OK;
}

static const espq_kernel softmax_f32 = {prepare_softmax, run_softmax, NULL};

static bool softmax_mixes(const espq_call *call) {
  int axis;
  return softmax_axis(call, &axis, NULL) || axis == 0;
}

/* ---- rows ---- */

static const char *cut_off(const espq_call *call, char *text, size_t size) {
  return espq_reason(text, size,
                     "%s has no integer form on the chip; end the model at '%.100s' and let the application compute it "
                     "from the dequantized result",
                     call->node->op_type, call->in[0].name);
}

static const char *softmax_why_not(const espq_call *call, char *text, size_t size) {
  return espq_reason(text, size,
                     "Softmax has no integer form on the chip; end the model at '%.100s' (the optimizer does so at the "
                     "model's end, when asked for cut_final_softmax) and let the application compute it from the "
                     "dequantized result",
                     call->in[0].name);
}

static const char *clip_why_not(const espq_call *call, char *text, size_t size) {
  float low = 1, high = 1;
  bool at_zero = false;
  if (!espq_port_float(call, 1, espq_node_float(call->node, "min", -FLT_MAX), &low, NULL) &&
      !espq_port_float(call, 2, espq_node_float(call->node, "max", FLT_MAX), &high, NULL))
    at_zero = low == 0 && high > 0;
  return espq_reason(text, size,
                     "Clip has no integer form on the chip; ask the optimizer for split_clip, which makes it "
                     "a Max and a Min%s",
                     at_zero ? ", or train the model with Relu in its place" : "");
}

static const espq_attr_spec clip_attrs[] = {{"min", ESPQ_ATTR_FLOAT, false, -(double)FLT_MAX, NULL},
                                            {"max", ESPQ_ATTR_FLOAT, false, (double)FLT_MAX, NULL},
                                            {NULL, ESPQ_ATTR_INT, false, 0, NULL}};

/* The default is 1 before opset 13. */
static const espq_attr_spec softmax_attrs[] = {{"axis", ESPQ_ATTR_INT, false, -1, NULL},
                                               {NULL, ESPQ_ATTR_INT, false, 0, NULL}};

#define UNARY_ROW(op, first, kernel) \
  const espq_op espq_op_##op = {     \
      .name = #op,                   \
      .domain = "",                  \
      .since = first,                \
      .min_in = 1,                   \
      .max_in = 1,                   \
      .min_out = 1,                  \
      .max_out = 1,                  \
      .infer = infer_float,          \
      .f32 = &kernel,                \
      .weight = -1,                  \
      .bias = -1,                    \
      .why_not = cut_off,            \
  }

UNARY_ROW(Sigmoid, 6, sigmoid_f32);
UNARY_ROW(Tanh, 6, tanh_f32);
UNARY_ROW(Floor, 6, floor_f32);
UNARY_ROW(Round, 11, round_f32);

const espq_op espq_op_Clip = {.name = "Clip",
                              .domain = "",
                              .since = 6,
                              .min_in = 1,
                              .max_in = 3,
                              .min_out = 1,
                              .max_out = 1,
                              .attrs = clip_attrs,
                              .infer = infer_clip,
                              .f32 = &clip_f32,
                              .weight = -1,
                              .bias = -1,
                              .why_not = clip_why_not};

const espq_op espq_op_Softmax = {.name = "Softmax",
                                 .domain = "",
                                 .since = 1,
                                 .min_in = 1,
                                 .max_in = 1,
                                 .min_out = 1,
                                 .max_out = 1,
                                 .attrs = softmax_attrs,
                                 .infer = infer_softmax,
                                 .f32 = &softmax_f32,
                                 .weight = -1,
                                 .bias = -1,
                                 .mixes_batch = softmax_mixes,
                                 .why_not = softmax_why_not};

const espq_op espq_op_LogSoftmax = {.name = "LogSoftmax",
                                    .domain = "",
                                    .since = 1,
                                    .min_in = 1,
                                    .max_in = 1,
                                    .min_out = 1,
                                    .max_out = 1,
                                    .attrs = softmax_attrs,
                                    .infer = infer_softmax,
                                    .f32 = &softmax_f32,
                                    .weight = -1,
                                    .bias = -1,
                                    .mixes_batch = softmax_mixes,
                                    .why_not = softmax_why_not};
