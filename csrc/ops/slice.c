/* Slice: attributes before opset 10, then inputs. Split: its sizes became an input in opset 13, may be uneven since 18. */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "ops/move.h"

/* ---- Slice: attributes before opset 10, then inputs ---- */

typedef struct range {
  int64_t start, step, count;
} range;

/* ONNX's rules: negative positions count from the end, everything is clamped to what there is. */
static range make_range(int64_t size, int64_t start, int64_t end, int64_t step) {
  int64_t high = step > 0 ? size : size - 1, low = step > 0 ? 0 : -1;
  start = start < 0 ? start + size : start;
  end = end < 0 ? end + size : end;
  start = start < 0 ? 0 : start > high ? high : start;
  end = end < low ? low : end > high ? high : end;
  int64_t distance = step > 0 ? end - start : start - end, pace = step > 0            ? step
                                                                  : step == INT64_MIN ? INT64_MAX
                                                                                      : -step;
  range r = {start, step, size > 0 && distance > 0 ? (distance - 1) / pace + 1 : 0};
  if (r.count < 2) r.step = 1; /* however far the next one would be */
  if (r.count == 0) r.start = 0;
  return r;
}

static espq_status check_slice_form(const espq_call *call, espq_error *err) {
  bool attributes =
      espq_node_attr(call->node, "starts") || espq_node_attr(call->node, "ends") || espq_node_attr(call->node, "axes");
  if (call->opset >= 10 && (attributes || !espq_port_has(call, 1) || !espq_port_has(call, 2)))
    return espq_call_fail(call, err, ESPQ_EFORMAT,
                          "starts and ends are inputs since opset 10 (this is %" PRId64 "), not attributes",
                          call->opset);
  if (call->opset < 10 && call->nin > 1)
    return espq_call_fail(call, err, ESPQ_EFORMAT, "%d inputs, expected 1 before opset 10 (this is %" PRId64 ")",
                          call->nin, call->opset);
  return ESPQ_OK;
}

/* starts, ends and steps, as many as *n. */
static espq_status read_bounds(const espq_call *call, int64_t *start, int64_t *end, int64_t *step, int *n,
                               espq_error *err) {
  int ends, steps = 0;
  bool inputs = call->opset >= 10;
  espq_status status = check_slice_form(call, err);
  if (status) return status;
  status = inputs ? espq_port_ints(call, 1, start, ESPQ_MAX_RANK, n, err)
                  : espq_call_ints(call, "starts", start, ESPQ_MAX_RANK, n, err);
  if (!status)
    status = inputs ? espq_port_ints(call, 2, end, ESPQ_MAX_RANK, &ends, err)
                    : espq_call_ints(call, "ends", end, ESPQ_MAX_RANK, &ends, err);
  if (!status) status = espq_port_ints(call, 4, step, ESPQ_MAX_RANK, &steps, err);
  if (status) return status;
  if (!espq_port_has(call, 4))
    for (; steps < *n; steps++) step[steps] = 1;
  if (*n != ends || *n != steps)
    return espq_call_fail(call, err, ESPQ_EFORMAT, "%d starts, %d ends and %d steps, expected as many of each", *n,
                          ends, steps);
  for (int i = 0; i < *n; i++)
    if (step[i] == 0) return espq_call_fail(call, err, ESPQ_EFORMAT, "step %d is 0", i);
  return ESPQ_OK;
}

/* One range per axis of the input; of an unknown axis the count is -1. */
static espq_status read_ranges(const espq_call *call, range *r, espq_error *err) {
  int64_t start[ESPQ_MAX_RANK], end[ESPQ_MAX_RANK], step[ESPQ_MAX_RANK];
  const espq_shape *x = &call->in[0].shape;
  int n, axis[ESPQ_MAX_RANK];
  for (int i = 0; i < ESPQ_MAX_RANK; i++) r[i] = (range){0, 1, i < x->rank ? x->dim[i] : 1};
  espq_status status = read_bounds(call, start, end, step, &n, err);
  if (!status) status = espq_call_axes(call, 3, "axes", n, axis, err);
  for (int i = 0; i < n && !status; i++) {
    int k = axis[i];
    r[k] = x->dim[k] < 0 ? (range){start[i], step[i], -1} : make_range(x->dim[k], start[i], end[i], step[i]);
  }
  return status;
}

static espq_status infer_slice(espq_call *call, espq_error *err) {
  range r[ESPQ_MAX_RANK];
  espq_shape shape = call->in[0].shape;
  for (int i = 1; i < 5; i++)
    if (espq_port_computed(call, i)) return espq_call_result_unknown(call, shape.rank);
  espq_status status = read_ranges(call, r, err);
  if (status) return status;
  for (int i = 0; i < shape.rank; i++) shape.dim[i] = r[i].count;
  return espq_call_result(call, &shape);
}

static espq_status prepare_slice(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  range r[ESPQ_MAX_RANK];
  espq_move s = {0};
  espq_status status = read_ranges(call, r, err);
  for (int i = 0; i < ESPQ_MAX_RANK && !status; i++) {
    s.a[i] = r[i].start;
    s.b[i] = r[i].step;
  }
  return status ? status : espq_move_keep(call, &s, out, err);
}

static espq_status run_slice(const espq_run_args *args, espq_error *err) {
  (void)err;
  const espq_move *s = args->state;
  espq_move_slice(s->size, s->rank, s->dim, s->a, s->b, s->out_dim, args->in[0], args->out[0]);
  return ESPQ_OK;
}

ESPQ_MOVE_KERNELS(slice);

/* All of the first axis must stay, of however many images. */
static bool slice_mixes(const espq_call *call) {
  const int64_t many = INT32_MAX;
  int64_t start[ESPQ_MAX_RANK], end[ESPQ_MAX_RANK], step[ESPQ_MAX_RANK];
  int n, axis[ESPQ_MAX_RANK];
  if (read_bounds(call, start, end, step, &n, NULL) || espq_call_axes(call, 3, "axes", n, axis, NULL)) return true;
  for (int i = 0; i < n; i++) {
    range r = make_range(many, start[i], end[i], step[i]);
    if (axis[i] == 0 && (r.start != 0 || r.step != 1 || r.count != many)) return true;
  }
  return false;
}

/* ---- Split ---- */

static espq_status split_axis(const espq_call *call, int *axis, espq_error *err) {
  return espq_call_axis(call, espq_node_int(call->node, "axis", 0), call->in[0].shape.rank, axis, err);
}

/* As many entries for each output; since opset 18 the last may get fewer. */
static espq_status split_evenly(const espq_call *call, int64_t size, int64_t *part, espq_error *err) {
  int64_t n = call->nout, each = size < 0 ? -1 : (size + n - 1) / n, last = size < 0 ? -1 : size - (n - 1) * each;
  int64_t given = espq_node_int(call->node, "num_outputs", n);
  if (given != n)
    return espq_call_fail(call, err, ESPQ_EFORMAT, "num_outputs is %" PRId64 ", but it has %d", given, call->nout);
  if (size >= 0 && (last < 0 || (call->opset < 18 && last != each)))
    return espq_call_fail(call, err, ESPQ_EFORMAT, "%" PRId64 " entries do not split evenly in %d", size, call->nout);
  for (int64_t k = 0; k < n; k++) part[k] = k < n - 1 ? each : last;
  return ESPQ_OK;
}

static espq_status check_parts(const espq_call *call, int64_t size, const int64_t *part, int n, espq_error *err) {
  int64_t sum = 0;
  if (n != call->nout)
    return espq_call_fail(call, err, ESPQ_EFORMAT, "split has %d numbers, expected %d, one for each output", n,
                          call->nout);
  for (int k = 0; k < n; k++)
    if (part[k] < 0 || !espq_add64(sum, part[k], &sum))
      return espq_call_fail(call, err, ESPQ_EFORMAT, "entry %d of split is %" PRId64, k, part[k]);
  if (size < 0 || sum == size) return ESPQ_OK;
  return espq_call_fail(call, err, ESPQ_EFORMAT,
                        "split adds up to %" PRId64 ", expected the %" PRId64 " entries of the axis", sum, size);
}

/* Entries of each output along the axis; -1: not known. */
static espq_status read_parts(const espq_call *call, int axis, int64_t *part, espq_error *err) {
  bool attribute = espq_node_attr(call->node, "split") != NULL, input = espq_port_has(call, 1);
  int64_t size = call->in[0].shape.dim[axis];
  int n;
  if (attribute && call->opset >= 13)
    return espq_call_fail(call, err, ESPQ_EFORMAT,
                          "split is an input since opset 13 (this is %" PRId64 "), not an attribute", call->opset);
  if (input && espq_node_attr(call->node, "num_outputs"))
    return espq_call_fail(call, err, ESPQ_EFORMAT, "it has split and num_outputs, expected one of them");
  if (!attribute && !input) return split_evenly(call, size, part, err);
  espq_status status = attribute ? espq_call_ints(call, "split", part, call->nout, &n, err)
                                 : espq_port_ints(call, 1, part, call->nout, &n, err);
  return status ? status : check_parts(call, size, part, n, err);
}

static espq_status infer_split(espq_call *call, espq_error *err) {
  int axis;
  int64_t *part = espq_calloc((size_t)call->nout, sizeof *part);
  espq_status status = part ? split_axis(call, &axis, err) : espq_fail_memory(err);
  if (!status && espq_port_computed(call, 1))
    for (int k = 0; k < call->nout; k++) part[k] = -1;
  else if (!status) status = read_parts(call, axis, part, err);
  for (int k = 0; k < call->nout && !status; k++) {
    call->out[k].dtype = call->in[0].dtype;
    call->out[k].shape = call->in[0].shape;
    call->out[k].shape.dim[axis] = part[k];
  }
  espq_free(part);
  return status;
}

typedef struct split {
  size_t size; /* of an element */
  int n;
  int64_t outer;
  int64_t row[]; /* per output */
} split;

static espq_status prepare_split(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  int axis;
  espq_status status = split_axis(call, &axis, err);
  if (status) return status;
  split *s = espq_calloc(1, sizeof *s + (size_t)call->nout * sizeof s->row[0]);
  if (!s) return espq_fail_memory(err);
  const espq_shape *x = &call->in[0].shape;
  *s = (split){.size = espq_dtype_size(call->in[0].dtype), .n = call->nout, .outer = 1};
  status = read_parts(call, axis, s->row, err);
  if (status) {
    espq_free(s);
    return status;
  }
  for (int i = 0; i < axis; i++) s->outer *= x->dim[i];
  for (int i = axis + 1; i < x->rank; i++)
    for (int k = 0; k < call->nout; k++) s->row[k] *= x->dim[i];
  for (int k = 0; k < call->nout; k++) call->out[k].layout = ESPQ_PLAIN;
  call->in[0].layout = ESPQ_PLAIN;
  out->state = s;
  return ESPQ_OK;
}

static espq_status run_split(const espq_run_args *args, espq_error *err) {
  (void)err;
  const split *s = args->state;
  espq_move_split(s->size, s->outer, s->n, s->row, args->in[0], args->out);
  return ESPQ_OK;
}

static const espq_kernel split_f32 = {prepare_split, run_split, NULL};

static bool split_mixes(const espq_call *call) {
  int axis;
  return split_axis(call, &axis, NULL) || axis == 0;
}

static const char *split_why_not(const espq_call *call, char *text, size_t size) {
  (void)call;
  return espq_reason(text, size, "Split has no integer form; use a Slice for each of its outputs");
}

/* ---- rows ---- */

static const espq_attr_spec slice_attrs[] = {{"starts", ESPQ_ATTR_INTS, false, 0, ""}, /* opset 1 */
                                             {"ends", ESPQ_ATTR_INTS, false, 0, ""},
                                             {"axes", ESPQ_ATTR_INTS, false, 0, ""},
                                             {0}};

const espq_op espq_op_Slice = {.name = "Slice",
                               .domain = "",
                               .since = 1,
                               .min_in = 1,
                               .max_in = 5,
                               .min_out = 1,
                               .max_out = 1,
                               .attrs = slice_attrs,
                               .infer = infer_slice,
                               .f32 = &slice_f32,
                               .q = &slice_q,
                               .v1 = ESPQ_MOVE_V1_LIFTS,
                               .weight = -1,
                               .bias = -1,
                               .mixes_batch = slice_mixes,
                               .why_not = espq_computed_why_not};

static const espq_attr_spec split_attrs[] = {{"axis", ESPQ_ATTR_INT, false, 0, NULL},
                                             {"split", ESPQ_ATTR_INTS, false, 0, ""}, /* before opset 13 */
                                             {"num_outputs", ESPQ_ATTR_INT, false, 0, NULL},
                                             {0}};

const espq_op espq_op_Split = {.name = "Split",
                               .domain = "",
                               .since = 2,
                               .min_in = 1,
                               .max_in = 2,
                               .min_out = 1,
                               .max_out = -1,
                               .attrs = split_attrs,
                               .infer = infer_split,
                               .f32 = &split_f32,
                               .weight = -1,
                               .bias = -1,
                               .mixes_batch = split_mixes,
                               .why_not = split_why_not};
