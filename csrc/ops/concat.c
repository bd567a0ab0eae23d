/* Concat: copies whole runs of elements, in blocks of channels where all parts lie in the same ones. */
#include <inttypes.h>

#include "base/alloc.h"
#include "ops/kernel.h"
#include "tensor/move.h"

/* ---- shapes ---- */

static espq_status read_axis(const espq_call *call, int *axis, espq_error *err) {
  return espq_call_axis(call, espq_node_int(call->node, "axis", 1), call->in[0].shape.rank, axis, err);
}

/* Input k joins *sum: all axes but one must agree, along that one sizes add up. */
static espq_status join(const espq_call *call, int k, int axis, espq_shape *sum, espq_error *err) {
  const espq_shape *s = &call->in[k].shape;
  bool fits = s->rank == sum->rank;
  for (int i = 0; i < sum->rank && fits; i++) {
    if (i == axis) continue;
    fits = s->dim[i] < 0 || sum->dim[i] < 0 || s->dim[i] == sum->dim[i];
    if (sum->dim[i] < 0) sum->dim[i] = s->dim[i];
  }
  if (!fits) {
    char a[160], b[160];
    const espq_shape *first = &call->in[0].shape;
    return espq_call_fail(call, err, ESPQ_EFORMAT,
                          "input %d '%.100s' has shape %s, expected %s but for axis %d, like input 0", k,
                          call->in[k].name, espq_shape_text(s->rank, s->dim, a, sizeof a),
                          espq_shape_text(first->rank, first->dim, b, sizeof b), axis);
  }
  int64_t *d = &sum->dim[axis];
  if (*d < 0 || s->dim[axis] < 0) *d = -1;
  else if (!espq_add64(*d, s->dim[axis], d))
    return espq_call_fail(call, err, ESPQ_ELIMIT, "the result is too long along axis %d", axis);
  return ESPQ_OK;
}

static espq_status infer(espq_call *call, espq_error *err) {
  int axis;
  espq_status status = read_axis(call, &axis, err);
  if (status) return status;
  espq_shape sum = call->in[0].shape;
  for (int k = 0; k < call->nin && !status; k++) {
    const espq_port *p = &call->in[k];
    if (!p->present) return espq_call_fail(call, err, ESPQ_EFORMAT, "input %d is missing", k);
    if (p->dtype != call->in[0].dtype)
      return espq_call_fail(call, err, ESPQ_EFORMAT, "input %d '%.100s' has type %s, expected %s like input 0", k,
                            p->name, espq_dtype_name(p->dtype), espq_dtype_name(call->in[0].dtype));
    if (k) status = join(call, k, axis, &sum, err);
  }
  return status ? status : espq_call_result(call, &sum);
}

/* ---- both columns ---- */

typedef struct concat {
  size_t size; /* of an element */
  int n;
  int64_t outer;
  int64_t row[]; /* per input */
} concat;

/* Whether the parts can be joined as they lie in a layout: channels only where every part but the last fills its
 * blocks. */
static bool joins_in(const espq_call *call, int axis, espq_layout layout) {
  int block = espq_layout_block(layout);
  for (int k = 0; k < call->nin; k++) {
    if (call->in[k].constant) return false; /* always PLAIN */
    if (axis == 1 && k < call->nin - 1 && call->in[k].shape.dim[1] % block) return false;
  }
  return true;
}

/* The layout of the first input that is not PLAIN, if that will do for all. */
static espq_layout find_layout(const espq_call *call, int axis) {
  for (int k = 0; k < call->nin; k++)
    if (call->in[k].layout != ESPQ_PLAIN && !call->in[k].constant)
      return joins_in(call, axis, call->in[k].layout) ? call->in[k].layout : ESPQ_PLAIN;
  return ESPQ_PLAIN;
}

/* Sizes as they lie in memory, of at most two more axes than the shape; *axis moves along. Returns the rank. */
static int stored_sizes(const espq_shape *shape, espq_layout layout, int64_t *dim, int *axis) {
  int rank = shape->rank, block = espq_layout_block(layout);
  int64_t channels = rank > 1 ? espq_layout_channels(layout, shape->dim[1]) : 1;
  for (int i = 0; i < rank; i++) dim[i] = shape->dim[i];
  if (layout == ESPQ_PLAIN) return rank;
  if (layout == ESPQ_NHWC16) {
    for (int i = 1; i < rank - 1; i++) dim[i] = shape->dim[i + 1];
    dim[rank - 1] = channels;
    *axis = *axis == 0 ? 0 : *axis == 1 ? rank - 1 : *axis - 1;
    return rank;
  }
  dim[1] = channels / block;
  dim[rank] = block;
  return rank + 1;
}

static espq_status prepare(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  int axis;
  espq_status status = read_axis(call, &axis, err);
  if (status) return status;
  concat *s = espq_calloc(1, sizeof *s + (size_t)call->nin * sizeof s->row[0]);
  if (!s) return espq_fail_memory(err);
  espq_layout layout = find_layout(call, axis);
  *s = (concat){.size = espq_dtype_size(call->out[0].dtype), .n = call->nin};
  for (int k = 0; k < call->nin; k++) {
    int64_t dim[ESPQ_MAX_RANK + 1];
    int along = axis, rank = stored_sizes(&call->in[k].shape, layout, dim, &along);
    s->outer = s->row[k] = 1;
    for (int i = 0; i < rank; i++) *(i < along ? &s->outer : &s->row[k]) *= dim[i];
    call->in[k].layout = layout;
  }
  call->out[0].layout = layout;
  out->state = s;
  return ESPQ_OK;
}

static espq_status run(const espq_run_args *args, espq_error *err) {
  (void)err;
  const concat *s = args->state;
  espq_move_concat(s->size, s->outer, s->n, args->in, s->row, args->out[0]);
  return ESPQ_OK;
}

static const espq_kernel f32 = {prepare, run, NULL};

/* ---- integers ---- */

/* An input of scale 0 holds zeros, which mean the same with any exponent. */
static espq_status check_exponents(const espq_call *call, espq_error *err) {
  const espq_port *y = &call->out[0];
  int want, got;
  espq_status status = espq_port_exponent(call, y, &want, err);
  for (int k = 0; k < call->nin && !status; k++) {
    const espq_port *p = &call->in[k];
    status = espq_port_exponent(call, p, &got, err);
    if (!status && got != want && got != ESPQ_OPS_EXPONENT_ZERO)
      status = espq_call_fail(call, err, ESPQ_EUNSUPPORTED,
                              "input %d '%.100s' has exponent %d and output '%.100s' %d; all must be the same", k,
                              p->name, got, y->name, want);
  }
  return status;
}

static espq_status prepare_q(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  espq_status status = check_exponents(call, err);
  return status ? status : prepare(env, call, out, err);
}

static const espq_kernel q = {prepare_q, run, NULL};

/* ---- row ---- */

static bool mixes_batch(const espq_call *call) {
  int axis;
  return read_axis(call, &axis, NULL) || axis == 0;
}

static const espq_attr_spec attrs[] = {{"axis", ESPQ_ATTR_INT, true, 0, NULL}, {0}};

const espq_op espq_op_Concat = {
    .name = "Concat",
    .domain = "",
    .since = 4,
    .min_in = 1,
    .max_in = -1,
    .min_out = 1,
    .max_out = 1,
    .attrs = attrs,
    .infer = infer,
    .f32 = &f32,
    .q = &q,
    .v1 = ESPQ_V1_SHARES | ESPQ_V1_PASS | ESPQ_V1_CALIBRATOR | ESPQ_V1_EVALUATOR | ESPQ_V1_CHIP,
    .weight = -1,
    .bias = -1,
    .mixes_batch = mixes_batch};
