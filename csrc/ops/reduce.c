/* ReduceSum, ReduceMean ...: one number from all along some axes (tensor/reduce.h), in float only, in ESPQ_PLAIN. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "ops/kernel.h"
#include "tensor/reduce.h"

/* The rows' names, in the order of espq_reduction. */
static const char *const names[] = {"ReduceSum", "ReduceMean", "ReduceMax",       "ReduceMin",    "ReduceProd",
                                    "ReduceL1",  "ReduceL2",   "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp"};

static espq_reduction kind_of(const espq_call *call) {
  int k = 0;
  while (strcmp(names[k], call->node->op_type) != 0) k++;
  return (espq_reduction)k;
}

/* Axes are an input since opset 18, of ReduceSum since 13. */
static bool axes_are_input(const espq_call *call) {
  return call->opset >= (kind_of(call) == ESPQ_REDUCE_SUM ? 13 : 18);
}

static espq_status check_axes_form(const espq_call *call, espq_error *err) {
  bool input = axes_are_input(call);
  if (input && espq_node_attr(call->node, "axes"))
    return espq_call_fail(call, err, ESPQ_EFORMAT, "axes are an attribute, but an input in opset %d", (int)call->opset);
  if (!input && call->nin > 1)
    return espq_call_fail(call, err, ESPQ_EFORMAT, "axes are an input, but an attribute in opset %d", (int)call->opset);
  return ESPQ_OK;
}

static bool axes_from_data(const espq_call *call) { return espq_port_has(call, 1) && !call->in[1].constant; }

/* The axes that go, as flags; without any all go, or none where the attribute says so. */
static espq_status read_axes(const espq_call *call, bool *along, espq_error *err) {
  int64_t axes[ESPQ_MAX_RANK];
  int n, rank = call->in[0].shape.rank;
  espq_status status = axes_are_input(call) ? espq_port_ints(call, 1, axes, ESPQ_MAX_RANK, &n, err)
                                            : espq_call_ints(call, "axes", axes, ESPQ_MAX_RANK, &n, err);
  if (status) return status;
  bool all = n == 0 && !espq_node_int(call->node, "noop_with_empty_axes", 0);
  for (int i = 0; i < rank; i++) along[i] = all;
  for (int i = 0; i < n && !status; i++) {
    int axis;
    status = espq_call_axis(call, axes[i], rank, &axis, err);
    if (!status) along[axis] = true;
  }
  return status;
}

static espq_status infer(espq_call *call, espq_error *err) {
  bool along[ESPQ_MAX_RANK], keep = espq_node_int(call->node, "keepdims", 1);
  espq_shape shape = {0};
  espq_status status = check_axes_form(call, err);
  if (!status) status = espq_port_type(call, 0, espq_reduce_types(kind_of(call)), err);
  if (status) return status;
  call->out[0].dtype = call->in[0].dtype;
  if (axes_from_data(call)) return ESPQ_OK;
  status = read_axes(call, along, err);
  for (int i = 0; i < call->in[0].shape.rank && !status; i++) {
    if (!along[i]) shape.dim[shape.rank++] = call->in[0].shape.dim[i];
    else if (keep) shape.dim[shape.rank++] = 1;
  }
  return status ? status : espq_call_result(call, &shape);
}

typedef struct reduction {
  espq_reduction kind;
  espq_dtype type;
  espq_shape shape;
  bool along[ESPQ_MAX_RANK];
} reduction;

static espq_status prepare(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  reduction *r = espq_calloc(1, sizeof *r);
  if (!r) return espq_fail_memory(err);
  r->kind = kind_of(call);
  r->type = call->in[0].dtype;
  r->shape = call->in[0].shape;
  for (int i = 0; i < call->nin; i++) call->in[i].layout = ESPQ_PLAIN;
  call->out[0].layout = ESPQ_PLAIN;
  out->state = r;
  return read_axes(call, r->along, err);
}

static espq_status run(const espq_run_args *args, espq_error *err) {
  (void)err;
  const reduction *r = args->state;
  espq_reduce(r->kind, r->type, r->shape.rank, r->shape.dim, r->along, args->in[0], args->out[0]);
  return ESPQ_OK;
}

static const espq_kernel kernel = {prepare, run, NULL};

/* ---- ESP-DL v3: exact sums of integers, then one rounding ---- */

typedef struct sums {
  reduction r;
  espq_rounding rounding;
  espq_sim_format format;
  int bits, ein, eout;
  int64_t in, out; /* elements */
} sums;

static espq_status prepare_sums(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  sums *s = espq_calloc(1, sizeof *s);
  if (!s) return espq_fail_memory(err);
  espq_prepared inner = {0};
  espq_status status = prepare(env, call, &inner, err);
  if (inner.state) s->r = *(reduction *)inner.state;
  espq_free(inner.state);
  if (!status) status = espq_port_exponent(call, &call->in[0], &s->ein, err);
  if (!status) status = espq_port_exponent(call, &call->out[0], &s->eout, err);
  if (status) {
    espq_free(s);
    return status;
  }
  s->r.type = ESPQ_I64;
  s->rounding = espq_call_rounding(call);
  s->format = espq_port_format(&call->in[0]);
  s->bits = espq_sim_format_bits(espq_port_format(&call->out[0]));
  s->in = espq_shape_elements(&call->in[0].shape);
  s->out = espq_shape_elements(&call->out[0].shape);
  out->state = s;
  out->scratch = (size_t)(s->in + s->out) * sizeof(int64_t);
  return ESPQ_OK;
}

/* Sum: one shift. Mean: float32 products and quotients in the runtime's order. L2: the root of the sum of squares. */
static int64_t finish_sum(const sums *s, int64_t sum) {
  if (s->r.kind == ESPQ_REDUCE_SUM)
    return espq_fixed_clip(espq_fixed_shift(s->rounding, sum, (int64_t)s->eout - s->ein), s->bits);
  float x = (float)sum;
  if (s->r.kind == ESPQ_REDUCE_L2) x = ldexpf(sqrtf(x), s->ein);
  else x = ldexpf(x, s->ein) / (float)(s->in / s->out);
  return espq_fixed_round(s->rounding, (double)x, s->eout, s->bits);
}

static espq_status run_sums(const espq_run_args *args, espq_error *err) {
  (void)err;
  const sums *s = args->state;
  int64_t *x = args->scratch, *y = x + s->in;
  for (int64_t i = 0; i < s->in; i++) {
    x[i] = s->format == ESPQ_SIM_I16 ? ((const int16_t *)args->in[0])[i] : ((const int8_t *)args->in[0])[i];
    if (s->r.kind == ESPQ_REDUCE_L2) x[i] *= x[i];
  }
  if (s->out > 0) espq_reduce(ESPQ_REDUCE_SUM, ESPQ_I64, s->r.shape.rank, s->r.shape.dim, s->r.along, x, y);
  for (int64_t i = 0; i < s->out; i++) {
    int64_t v = finish_sum(s, y[i]);
    if (s->bits == 16) ((int16_t *)args->out[0])[i] = (int16_t)v;
    else ((int8_t *)args->out[0])[i] = (int8_t)v;
  }
  return ESPQ_OK;
}

static const espq_kernel sums_v3 = {prepare_sums, run_sums, NULL};

static bool mixes_batch(const espq_call *call) {
  bool along[ESPQ_MAX_RANK] = {false};
  if (axes_from_data(call) || read_axes(call, along, NULL)) return true;
  return along[0];
}

static const char *why_not(const espq_call *call, char *text, size_t size) {
  if (strcmp(call->node->op_type, "ReduceMean") == 0 || strcmp(call->node->op_type, "ReduceMax") == 0)
    return espq_reason(text, size,
                       "%s has no integer form on the chip; over height and width use Global%sPool, which the "
                       "optimizer makes of it (without keepdims when asked for split_reduce)",
                       call->node->op_type, call->node->op_type[7] == 'e' ? "Average" : "Max");
  return espq_reason(text, size, "%s has no integer form on the chip; end the model before it", call->node->op_type);
}

static const espq_attr_spec attrs[] = {{"axes", ESPQ_ATTR_INTS, false, 0, ""},
                                       {"keepdims", ESPQ_ATTR_INT, false, 1, NULL},
                                       {"noop_with_empty_axes", ESPQ_ATTR_INT, false, 0, NULL},
                                       {NULL, ESPQ_ATTR_INT, false, 0, NULL}};

#define ROW(op, integers)         \
  const espq_op espq_op_##op = {  \
      .name = #op,                \
      .domain = "",               \
      .since = 1,                 \
      .min_in = 1,                \
      .max_in = 2,                \
      .min_out = 1,               \
      .max_out = 1,               \
      .attrs = attrs,             \
      .infer = infer,             \
      .f32 = &kernel,             \
      .v3 = integers,             \
      .weight = -1,               \
      .bias = -1,                 \
      .mixes_batch = mixes_batch, \
      .why_not = why_not,         \
  }

ROW(ReduceSum, &sums_v3);
ROW(ReduceMean, &sums_v3);
ROW(ReduceMax, NULL);
ROW(ReduceMin, NULL);
ROW(ReduceProd, NULL);
ROW(ReduceL1, NULL);
ROW(ReduceL2, &sums_v3);
ROW(ReduceSumSquare, NULL);
ROW(ReduceLogSum, NULL);
ROW(ReduceLogSumExp, NULL);
