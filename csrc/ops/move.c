/* Transpose, Pad, Slice and Expand: elements of any type go elsewhere, in ESPQ_PLAIN. */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "ops/kernel.h"
#include "sim/convert.h"
#include "tensor/move.h"

/* What all four remember: at most three lists of numbers beside the shapes. */
typedef struct move {
  size_t size; /* of an element */
  int rank, out_rank;
  int64_t dim[ESPQ_MAX_RANK], out_dim[ESPQ_MAX_RANK];
  int64_t a[ESPQ_MAX_RANK], b[ESPQ_MAX_RANK]; /* perm; pads before and after; start and step */
  espq_pad_mode mode;
  unsigned char value[8]; /* one element, for Pad */
} move;

static espq_status keep(espq_call *call, const move *given, espq_prepared *out, espq_error *err) {
  const espq_shape *x = &call->in[0].shape, *y = &call->out[0].shape;
  move *s = espq_alloc(sizeof *s);
  if (!s) return espq_fail_memory(err);
  *s = *given;
  s->size = espq_dtype_size(call->out[0].dtype);
  s->rank = x->rank;
  s->out_rank = y->rank;
  memcpy(s->dim, x->dim, sizeof s->dim);
  memcpy(s->out_dim, y->dim, sizeof s->out_dim);
  call->in[0].layout = call->out[0].layout = ESPQ_PLAIN;
  out->state = s;
  return ESPQ_OK;
}

/* Moving keeps integers, so it keeps their exponent. */
#define MOVE_KERNELS(name)                                                                                           \
  static espq_status prepare_##name##_q(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) { \
    espq_status status = espq_call_same_quant(call, err);                                                            \
    return status ? status : prepare_##name(env, call, out, err);                                                    \
  }                                                                                                                  \
  static const espq_kernel name##_f32 = {prepare_##name, run_##name, NULL};                                          \
  static const espq_kernel name##_q = {prepare_##name##_q, run_##name, NULL}

/* Types and -1 for every dimension: the numbers are computed at run time. */
static espq_status result_unknown(espq_call *call, int rank) {
  espq_shape shape = {.rank = rank};
  for (int i = 0; i < rank; i++) shape.dim[i] = -1;
  return espq_call_result(call, &shape);
}

static bool computed(const espq_call *call, int input) {
  return espq_port_has(call, input) && !call->in[input].constant;
}

/* ---- Transpose ---- */

static espq_status read_perm(const espq_call *call, int64_t *perm, espq_error *err) {
  int n, rank = call->in[0].shape.rank;
  bool seen[ESPQ_MAX_RANK] = {0};
  espq_status status = espq_call_ints(call, "perm", perm, ESPQ_MAX_RANK, &n, err);
  if (status) return status;
  if (!espq_node_attr(call->node, "perm"))
    for (n = 0; n < rank; n++) perm[n] = rank - 1 - n;
  bool good = n == rank;
  for (int i = 0; i < n && good; i++) {
    good = perm[i] >= 0 && perm[i] < rank && !seen[perm[i]];
    if (good) seen[perm[i]] = true;
  }
  if (good) return ESPQ_OK;
  return espq_call_fail(call, err, ESPQ_EFORMAT, "perm is no order of the %d axes of '%.100s'", rank, call->in[0].name);
}

static espq_status infer_transpose(espq_call *call, espq_error *err) {
  int64_t perm[ESPQ_MAX_RANK];
  espq_shape shape = call->in[0].shape;
  espq_status status = read_perm(call, perm, err);
  if (status) return status;
  for (int i = 0; i < shape.rank; i++) shape.dim[i] = call->in[0].shape.dim[perm[i]];
  return espq_call_result(call, &shape);
}

static espq_status prepare_transpose(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  move s = {0};
  espq_status status = read_perm(call, s.a, err);
  return status ? status : keep(call, &s, out, err);
}

static espq_status run_transpose(const espq_run_args *args, espq_error *err) {
  (void)err;
  const move *s = args->state;
  espq_move_transpose(s->size, s->rank, s->dim, s->a, args->in[0], args->out[0]);
  return ESPQ_OK;
}

MOVE_KERNELS(transpose);

static bool transpose_mixes(const espq_call *call) {
  int64_t perm[ESPQ_MAX_RANK];
  return read_perm(call, perm, NULL) || (call->in[0].shape.rank > 0 && perm[0] != 0);
}

/* ---- Pad: attributes before opset 11, then inputs; axes since 18 ---- */

static espq_status read_pad_mode(const espq_call *call, espq_pad_mode *mode, espq_error *err) {
  static const char *const names[] = {"constant", "edge", "reflect"};
  const char *text = espq_node_string(call->node, "mode", "constant");
  for (int i = ESPQ_PAD_CONSTANT; i <= ESPQ_PAD_REFLECT; i++)
    if (strcmp(text, names[i]) == 0) {
      *mode = (espq_pad_mode)i;
      return ESPQ_OK;
    }
  bool wrap = strcmp(text, "wrap") == 0;
  return espq_call_fail(call, err, wrap ? ESPQ_EUNSUPPORTED : ESPQ_EFORMAT,
                        "mode is '%.40s', expected constant, edge or reflect", text);
}

static espq_status check_pad_form(const espq_call *call, espq_error *err) {
  bool attributes = espq_node_attr(call->node, "pads") || espq_node_attr(call->node, "value");
  if (call->opset >= 11 && (attributes || !espq_port_has(call, 1)))
    return espq_call_fail(call, err, ESPQ_EFORMAT,
                          "pads and value are inputs since opset 11 (this is %" PRId64 "), not attributes",
                          call->opset);
  if (call->opset < 11 && call->nin > 1)
    return espq_call_fail(call, err, ESPQ_EFORMAT, "%d inputs, expected 1 before opset 11 (this is %" PRId64 ")",
                          call->nin, call->opset);
  return ESPQ_OK;
}

/* The axes that `n` entries of a list are for: input `input`, or all in order when it is absent. */
static espq_status read_axes(const espq_call *call, int input, const char *attr, int n, int *axis, espq_error *err) {
  int64_t axes[ESPQ_MAX_RANK];
  bool seen[ESPQ_MAX_RANK] = {0};
  int count, rank = call->in[0].shape.rank;
  bool given = espq_port_has(call, input) || (attr && espq_node_attr(call->node, attr));
  espq_status status = espq_port_has(call, input) || !attr
                           ? espq_port_ints(call, input, axes, ESPQ_MAX_RANK, &count, err)
                           : espq_call_ints(call, attr, axes, ESPQ_MAX_RANK, &count, err);
  if (status) return status;
  for (; !given && count < n && count < rank; count++) axes[count] = count;
  if (count != n)
    return espq_call_fail(call, err, ESPQ_EFORMAT, "numbers for %d axes, expected %d of an input of rank %d", n, count,
                          rank);
  for (int i = 0; i < n && !status; i++) {
    status = espq_call_axis(call, axes[i], rank, &axis[i], err);
    if (!status && seen[axis[i]]) status = espq_call_fail(call, err, ESPQ_EFORMAT, "axis %d is named twice", axis[i]);
    if (!status) seen[axis[i]] = true;
  }
  return status;
}

/* Numbers of pixels to add (or, below 0, to cut) before and after every axis. */
static espq_status read_pads(const espq_call *call, int64_t *before, int64_t *after, espq_error *err) {
  int64_t pads[2 * ESPQ_MAX_RANK];
  int n, axis[ESPQ_MAX_RANK];
  espq_status status = check_pad_form(call, err);
  if (status) return status;
  status = call->opset >= 11 ? espq_port_ints(call, 1, pads, 2 * ESPQ_MAX_RANK, &n, err)
                             : espq_call_ints(call, "pads", pads, 2 * ESPQ_MAX_RANK, &n, err);
  if (status) return status;
  if (n % 2) return espq_call_fail(call, err, ESPQ_EFORMAT, "pads has %d numbers, expected two per axis", n);
  if (!espq_port_has(call, 3) && n != 2 * call->in[0].shape.rank)
    return espq_call_fail(call, err, ESPQ_EFORMAT, "pads has %d numbers, expected %d for an input of rank %d", n,
                          2 * call->in[0].shape.rank, call->in[0].shape.rank);
  status = read_axes(call, 3, NULL, n / 2, axis, err);
  for (int i = 0; i < ESPQ_MAX_RANK; i++) before[i] = after[i] = 0;
  for (int i = 0; i < n / 2 && !status; i++) {
    before[axis[i]] = pads[i];
    after[axis[i]] = pads[n / 2 + i];
  }
  return status;
}

static espq_status padded_size(const espq_call *call, int axis, int64_t before, int64_t after, espq_pad_mode mode,
                               int64_t *out, espq_error *err) {
  const int64_t limit = (int64_t)1 << 40;
  int64_t d = call->in[0].shape.dim[axis];
  *out = -1;
  if (before > limit || after > limit || d > limit || before < -limit || after < -limit)
    return espq_call_fail(call, err, ESPQ_ELIMIT,
                          "pads of %" PRId64 " and %" PRId64 " along axis %d of %" PRId64 " entries are too large",
                          before, after, axis, d);
  if (before == 0 && after == 0) *out = d;
  if (d < 0 || *out >= 0) return ESPQ_OK;
  int64_t left = d + (before < 0 ? before : 0) + (after < 0 ? after : 0);
  bool repeats = mode != ESPQ_PAD_CONSTANT && (before > 0 || after > 0);
  *out = d + before + after;
  if (*out >= 0 && left >= (repeats ? 1 : 0)) return ESPQ_OK;
  return espq_call_fail(call, err, ESPQ_EFORMAT,
                        "pads of %" PRId64 " and %" PRId64 " leave nothing of axis %d, which has %" PRId64 " entries",
                        before, after, axis, d);
}

static espq_status infer_pad(espq_call *call, espq_error *err) {
  int64_t before[ESPQ_MAX_RANK], after[ESPQ_MAX_RANK];
  espq_pad_mode mode;
  espq_shape shape = call->in[0].shape;
  espq_status status = read_pad_mode(call, &mode, err);
  if (!status && (computed(call, 1) || computed(call, 3))) return result_unknown(call, shape.rank);
  if (!status) status = read_pads(call, before, after, err);
  for (int i = 0; i < shape.rank && !status; i++)
    status = padded_size(call, i, before[i], after[i], mode, &shape.dim[i], err);
  return status ? status : espq_call_result(call, &shape);
}

/* One element from a float: as it is, or quantized like the output. */
static espq_status pad_with(const espq_call *call, float number, move *s, espq_error *err) {
  const espq_port *y = &call->out[0];
  int exponent;
  if (y->dtype == ESPQ_F32) memcpy(s->value, &number, sizeof number);
  else if (number != 0 && call->node->column != ESPQ_COLUMN_Q)
    return espq_call_fail(call, err, ESPQ_EFORMAT, "a float value for a tensor of type %s", espq_dtype_name(y->dtype));
  if (y->dtype == ESPQ_F32 || number == 0) return ESPQ_OK;
  espq_status status = espq_port_exponent(call, y, &exponent, err);
  if (!status && exponent != ESPQ_OPS_EXPONENT_ZERO)
    espq_sim_quantize(1, &number, exponent, espq_port_format(y), s->value, ESPQ_ISA_PORTABLE);
  return status;
}

/* A constant of the output's type is taken as it is; one of a quantized tensor has the tensor's exponent. */
static espq_status read_pad_value(const espq_call *call, move *s, espq_error *err) {
  if (!espq_port_has(call, 2)) return pad_with(call, espq_node_float(call->node, "value", 0), s, err);
  const espq_port *p = &call->in[2];
  const espq_tensor *t = p->constant;
  if (!t)
    return espq_call_fail(call, err, ESPQ_EUNSUPPORTED, "value '%.100s' is computed at run time, expected a constant",
                          p->name);
  bool fits = t->dtype == call->out[0].dtype || (t->dtype == ESPQ_F32 && call->node->column == ESPQ_COLUMN_Q);
  if (t->count != 1 || !fits)
    return espq_call_fail(call, err, ESPQ_EFORMAT, "value '%.100s' holds %" PRId64 " numbers of %s, expected one %s",
                          p->name, t->count, espq_dtype_name(t->dtype), espq_dtype_name(call->out[0].dtype));
  if (t->dtype != call->out[0].dtype) return pad_with(call, *(const float *)t->data, s, err);
  int own = 0, want = 0;
  espq_status status = ESPQ_OK;
  memcpy(s->value, t->data, espq_tensor_bytes(t));
  if (call->node->column != ESPQ_COLUMN_Q || !p->quant || !p->quant->bits) return ESPQ_OK;
  status = espq_port_exponent(call, p, &own, err);
  if (!status) status = espq_port_exponent(call, &call->out[0], &want, err);
  if (status || own == want) return status;
  return espq_call_fail(call, err, ESPQ_EUNSUPPORTED,
                        "value '%.100s' has exponent %d and output '%.100s' %d; both must be the same", p->name, own,
                        call->out[0].name, want);
}

static espq_status prepare_pad(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  move s = {0};
  espq_status status = read_pad_mode(call, &s.mode, err);
  if (!status) status = read_pads(call, s.a, s.b, err);
  if (!status) status = read_pad_value(call, &s, err);
  return status ? status : keep(call, &s, out, err);
}

static espq_status run_pad(const espq_run_args *args, espq_error *err) {
  (void)err;
  const move *s = args->state;
  espq_move_pad(s->size, s->rank, s->dim, s->a, s->b, s->mode, s->value, args->in[0], args->out[0]);
  return ESPQ_OK;
}

MOVE_KERNELS(pad);

static bool pad_mixes(const espq_call *call) {
  int64_t before[ESPQ_MAX_RANK], after[ESPQ_MAX_RANK];
  return read_pads(call, before, after, NULL) || before[0] || after[0];
}

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
  if (!status) status = read_axes(call, 3, "axes", n, axis, err);
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
    if (computed(call, i)) return result_unknown(call, shape.rank);
  espq_status status = read_ranges(call, r, err);
  if (status) return status;
  for (int i = 0; i < shape.rank; i++) shape.dim[i] = r[i].count;
  return espq_call_result(call, &shape);
}

static espq_status prepare_slice(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  range r[ESPQ_MAX_RANK];
  move s = {0};
  espq_status status = read_ranges(call, r, err);
  for (int i = 0; i < ESPQ_MAX_RANK && !status; i++) {
    s.a[i] = r[i].start;
    s.b[i] = r[i].step;
  }
  return status ? status : keep(call, &s, out, err);
}

static espq_status run_slice(const espq_run_args *args, espq_error *err) {
  (void)err;
  const move *s = args->state;
  espq_move_slice(s->size, s->rank, s->dim, s->a, s->b, s->out_dim, args->in[0], args->out[0]);
  return ESPQ_OK;
}

MOVE_KERNELS(slice);

static bool slice_mixes(const espq_call *call) {
  range r[ESPQ_MAX_RANK];
  if (read_ranges(call, r, NULL)) return true;
  return r[0].start != 0 || r[0].step != 1 || r[0].count != call->in[0].shape.dim[0];
}

/* ---- Expand ---- */

static espq_status infer_expand(espq_call *call, espq_error *err) {
  espq_shape want = {0};
  if (computed(call, 1)) {
    call->out[0].dtype = call->in[0].dtype; /* not even the rank is known */
    return ESPQ_OK;
  }
  espq_status status = espq_port_ints(call, 1, want.dim, ESPQ_MAX_RANK, &want.rank, err);
  for (int i = 0; i < want.rank && !status; i++)
    if (want.dim[i] < 0)
      status = espq_call_fail(call, err, ESPQ_EFORMAT, "entry %d of the shape is %" PRId64 ", expected 0 or more", i,
                              want.dim[i]);
  if (!status) status = espq_broadcast(call, &call->in[0].shape, &want, &want, err);
  return status ? status : espq_call_result(call, &want);
}

static espq_status prepare_expand(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  return keep(call, &(move){0}, out, err);
}

static espq_status run_expand(const espq_run_args *args, espq_error *err) {
  (void)err;
  const move *s = args->state;
  espq_move_expand(s->size, s->rank, s->dim, s->out_rank, s->out_dim, args->in[0], args->out[0]);
  return ESPQ_OK;
}

MOVE_KERNELS(expand);

/* ---- rows ---- */

/* The value is quantized like the data that it stands beside. */
static const char *pad_why_not(const espq_call *call, char *text, size_t size) {
  const espq_tensor *t = espq_port_has(call, 2) ? call->in[2].constant : NULL;
  if (t && t->dtype != ESPQ_F32)
    return espq_reason(text, size, "its value '%.100s' has type %s; export the model in float32", call->in[2].name,
                       espq_dtype_name(t->dtype));
  return espq_computed_why_not(call, text, size);
}

enum {
  MOVES = ESPQ_V1_SHARES | ESPQ_V1_PASS | ESPQ_V1_CALIBRATOR | ESPQ_V1_CHIP,
  OURS = MOVES | ESPQ_V1_UNMEASURED,
  LIFTS = MOVES | ESPQ_V1_LIFTS | ESPQ_V1_EVALUATOR
};

static const espq_attr_spec transpose_attrs[] = {{"perm", ESPQ_ATTR_INTS, false, 0, ""}, {0}};
static const espq_attr_spec pad_attrs[] = {{"mode", ESPQ_ATTR_STRING, false, 0, "constant"},
                                           {"pads", ESPQ_ATTR_INTS, false, 0, ""}, /* opset 2 */
                                           {"value", ESPQ_ATTR_FLOAT, false, 0, NULL},
                                           {0}};
static const espq_attr_spec slice_attrs[] = {{"starts", ESPQ_ATTR_INTS, false, 0, ""}, /* opset 1 */
                                             {"ends", ESPQ_ATTR_INTS, false, 0, ""},
                                             {"axes", ESPQ_ATTR_INTS, false, 0, ""},
                                             {0}};

const espq_op espq_op_Transpose = {.name = "Transpose",
                                   .domain = "",
                                   .since = 1,
                                   .min_in = 1,
                                   .max_in = 1,
                                   .min_out = 1,
                                   .max_out = 1,
                                   .attrs = transpose_attrs,
                                   .infer = infer_transpose,
                                   .f32 = &transpose_f32,
                                   .q = &transpose_q,
                                   .v1 = LIFTS,
                                   .weight = -1,
                                   .bias = -1,
                                   .mixes_batch = transpose_mixes};

const espq_op espq_op_Pad = {.name = "Pad",
                             .domain = "",
                             .since = 2,
                             .min_in = 1,
                             .max_in = 4,
                             .min_out = 1,
                             .max_out = 1,
                             .attrs = pad_attrs,
                             .infer = infer_pad,
                             .f32 = &pad_f32,
                             .q = &pad_q,
                             .v1 = OURS,
                             .weight = -1,
                             .bias = -1,
                             .mixes_batch = pad_mixes,
                             .why_not = pad_why_not};

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
                               .v1 = LIFTS,
                               .weight = -1,
                               .bias = -1,
                               .mixes_batch = slice_mixes,
                               .why_not = espq_computed_why_not};

const espq_op espq_op_Expand = {.name = "Expand",
                                .domain = "",
                                .since = 8,
                                .min_in = 2,
                                .max_in = 2,
                                .min_out = 1,
                                .max_out = 1,
                                .infer = infer_expand,
                                .f32 = &expand_f32,
                                .q = &expand_q,
                                .v1 = OURS,
                                .weight = -1,
                                .bias = -1,
                                .why_not = espq_computed_why_not};
