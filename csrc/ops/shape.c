/* Shape and Size, which read only the shape of their input; ConstantOfShape and Range, whose results depend on no element
 * of data: what exporters compute shapes with, computed on any type and folded. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "ops/move.h"
#include "tensor/row.h"

/* ---- Shape, Size ---- */

/* Which of the axes are asked for (start and end since opset 15). */
static void read_part(const espq_call *call, int *first, int *last) {
  int64_t rank = call->in[0].shape.rank, start = espq_node_int(call->node, "start", 0),
          end = espq_node_int(call->node, "end", rank);
  start = start < 0 ? start + rank : start;
  end = end < 0 ? end + rank : end;
  start = start < 0 ? 0 : start > rank ? rank : start;
  end = end < start ? start : end > rank ? rank : end;
  *first = (int)start;
  *last = (int)end;
}

static espq_status infer_shape(espq_call *call, espq_error *err) {
  int first, last;
  (void)err;
  read_part(call, &first, &last);
  call->out[0].dtype = ESPQ_I64;
  call->out[0].shape = (espq_shape){.rank = 1, .dim = {last - first}};
  return ESPQ_OK;
}

static espq_status infer_size(espq_call *call, espq_error *err) {
  (void)err;
  call->out[0].dtype = ESPQ_I64;
  call->out[0].shape = (espq_shape){.rank = 0};
  return ESPQ_OK;
}

typedef struct known {
  int64_t n, number[ESPQ_MAX_RANK];
} known;

static espq_status keep(espq_call *call, const int64_t *numbers, int64_t n, espq_prepared *out, espq_error *err) {
  known *s = espq_calloc(1, sizeof *s);
  if (!s) return espq_fail_memory(err);
  s->n = n;
  memcpy(s->number, numbers, (size_t)n * sizeof *numbers);
  call->out[0].layout = ESPQ_PLAIN;
  out->state = s;
  return ESPQ_OK;
}

static espq_status prepare_shape(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  int first, last;
  read_part(call, &first, &last);
  return keep(call, call->in[0].shape.dim + first, last - first, out, err);
}

static espq_status prepare_size(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  int64_t size = espq_shape_elements(&call->in[0].shape);
  return keep(call, &size, 1, out, err);
}

static espq_status run_known(const espq_run_args *args, espq_error *err) {
  const known *s = args->state;
  (void)err;
  memcpy(args->out[0], s->number, (size_t)s->n * sizeof *s->number);
  return ESPQ_OK;
}

static const espq_kernel shape_f32 = {prepare_shape, run_known, NULL};
static const espq_kernel size_f32 = {prepare_size, run_known, NULL};

/* ---- ConstantOfShape ---- */

typedef struct filling {
  size_t size; /* of an element */
  int64_t count;
  unsigned char element[8];
} filling;

/* Attribute value, or NULL: a float32 0. */
static espq_status read_value(const espq_call *call, const espq_tensor **out, espq_error *err) {
  const espq_attr *a = espq_node_attr(call->node, "value");
  *out = a ? a->tensor : NULL;
  if (!a || (*out && (*out)->count == 1)) return ESPQ_OK;
  return espq_call_fail(call, err, ESPQ_EFORMAT, "attribute 'value' holds %" PRId64 " numbers, expected one",
                        *out ? (*out)->count : (int64_t)0);
}

static espq_status infer_constant(espq_call *call, espq_error *err) {
  const espq_tensor *value;
  const espq_shape *k = &call->in[0].shape;
  espq_shape y = {.rank = -1};
  espq_status status = read_value(call, &value, err);
  if (!status && (k->rank != 1 || k->dim[0] > ESPQ_MAX_RANK))
    status = espq_call_fail(call, err, ESPQ_EFORMAT, "input '%.100s' must be a list of at most %d sizes",
                            call->in[0].name, ESPQ_MAX_RANK);
  if (status) return status;
  call->out[0].dtype = value ? value->dtype : ESPQ_F32;
  y.rank = (int)k->dim[0]; /* -1: not known */
  for (int i = 0; i < y.rank; i++) y.dim[i] = -1;
  if (!espq_port_computed(call, 0)) status = espq_port_ints(call, 0, y.dim, ESPQ_MAX_RANK, &y.rank, err);
  for (int i = 0; i < y.rank && !status && !espq_port_computed(call, 0); i++)
    if (y.dim[i] < 0)
      status = espq_call_fail(call, err, ESPQ_EFORMAT, "entry %d of the shape is %" PRId64 ", expected 0 or more", i,
                              y.dim[i]);
  call->out[0].shape = y;
  return status;
}

static espq_status prepare_constant(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  const espq_tensor *value;
  espq_status status = read_value(call, &value, err);
  if (status) return status;
  filling *s = espq_calloc(1, sizeof *s);
  if (!s) return espq_fail_memory(err);
  s->size = espq_dtype_size(call->out[0].dtype);
  s->count = espq_shape_elements(&call->out[0].shape);
  if (value) memcpy(s->element, value->data, s->size);
  call->in[0].layout = call->out[0].layout = ESPQ_PLAIN;
  out->state = s;
  return ESPQ_OK;
}

static espq_status run_constant(const espq_run_args *args, espq_error *err) {
  const filling *s = args->state;
  (void)err;
  espq_move_fill(s->size, s->count, s->element, args->out[0]);
  return ESPQ_OK;
}

static const espq_kernel constant_f32 = {prepare_constant, run_constant, NULL};

/* ---- Range: start, start + delta, ... up to limit, without it ---- */

typedef struct range {
  espq_dtype dtype;
  int64_t count;
  espq_number start, delta;
} range;

static espq_status read_scalar(const espq_call *call, int input, espq_number *out, espq_error *err) {
  const espq_port *p = &call->in[input];
  if (p->constant && p->constant->count != 1)
    return espq_call_fail(call, err, ESPQ_EFORMAT, "input %d '%.100s' holds %" PRId64 " numbers, expected one", input,
                          p->name, p->constant->count);
  *out = espq_tensor_get(p->constant, 0);
  return ESPQ_OK;
}

/* How many steps of delta lie below limit, rounded up; distances of any two int64 fit into uint64. */
static int64_t count_steps(int64_t start, int64_t limit, int64_t delta) {
  bool up = delta > 0;
  if (up ? start >= limit : start <= limit) return 0;
  uint64_t distance = up ? (uint64_t)limit - (uint64_t)start : (uint64_t)start - (uint64_t)limit;
  uint64_t pace = up ? (uint64_t)delta : 0 - (uint64_t)delta, n = (distance - 1) / pace + 1;
  return n > INT64_MAX ? INT64_MAX : (int64_t)n;
}

static espq_status read_range(const espq_call *call, range *r, espq_error *err) {
  espq_number limit;
  espq_status status = read_scalar(call, 0, &r->start, err);
  if (!status) status = read_scalar(call, 1, &limit, err);
  if (!status) status = read_scalar(call, 2, &r->delta, err);
  if (status) return status;
  r->dtype = call->in[0].dtype;
  double steps = ceil((limit.f - r->start.f) / r->delta.f);
  if (r->delta.is_float ? r->delta.f == 0 || isnan(steps) : r->delta.i == 0)
    return espq_call_fail(call, err, ESPQ_EFORMAT, "delta is %s, so that the range has no end",
                          r->delta.is_float && r->delta.f != 0 ? "no number, or start or limit is" : "0");
  if (r->delta.is_float) r->count = steps > 0 ? steps < 0x1p62 ? (int64_t)steps : INT64_MAX : 0;
  else r->count = count_steps(r->start.i, limit.i, r->delta.i);
  return ESPQ_OK;
}

static espq_status infer_range(espq_call *call, espq_error *err) {
  range r;
  const unsigned types = ESPQ_TYPES(ESPQ_F32) | ESPQ_TYPES(ESPQ_F64) | ESPQ_TYPES_SIGNED | ESPQ_TYPES(ESPQ_F16);
  espq_status status = espq_port_type(call, 0, types, err);
  if (!status) status = espq_call_one_type(call, err);
  if (status) return status;
  espq_call_result_unknown(call, 1);
  for (int i = 0; i < 3; i++)
    if (!call->in[i].constant) return ESPQ_OK;
  status = read_range(call, &r, err);
  if (!status) call->out[0].shape.dim[0] = r.count;
  return status;
}

static espq_status prepare_range(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  range r;
  for (int i = 0; i < 3; i++)
    if (!call->in[i].constant)
      return espq_call_fail(call, err, ESPQ_EUNSUPPORTED, "input %d '%.100s' must be a constant; simplify the model", i,
                            call->in[i].name);
  espq_status status = read_range(call, &r, err);
  if (status) return status;
  range *s = espq_alloc(sizeof *s);
  if (!s) return espq_fail_memory(err);
  *s = r;
  for (int i = 0; i < 3; i++) call->in[i].layout = ESPQ_PLAIN;
  call->out[0].layout = ESPQ_PLAIN;
  out->state = s;
  return ESPQ_OK;
}

static espq_status run_range(const espq_run_args *args, espq_error *err) {
  const range *s = args->state;
  char *y = args->out[0];
  (void)err;
  for (int64_t i = 0; i < s->count; i += ESPQ_ROW) {
    espq_row row = {.is_float = s->delta.is_float};
    int64_t n = s->count - i < ESPQ_ROW ? s->count - i : ESPQ_ROW;
    for (int64_t k = 0; k < n; k++) {
      if (row.is_float) row.f[k] = s->start.f + (double)(i + k) * s->delta.f;
      else row.i[k] = (int64_t)((uint64_t)s->start.i + (uint64_t)(i + k) * (uint64_t)s->delta.i);
    }
    espq_row_store(s->dtype, n, &row, y + (size_t)i * espq_dtype_size(s->dtype));
  }
  return ESPQ_OK;
}

static const espq_kernel range_f32 = {prepare_range, run_range, NULL};

/* ---- rows ---- */

static bool always(const espq_call *call) {
  (void)call;
  return true;
}

static const char *shape_why_not(const espq_call *call, char *text, size_t size) {
  (void)call;
  return espq_reason(
      text, size,
      "shapes are no data on the chip; fix the input's shape and simplify the model, so that it becomes a constant");
}

static const espq_attr_spec shape_attrs[] = {
    {"start", ESPQ_ATTR_INT, false, 0, NULL}, {"end", ESPQ_ATTR_INT, false, 0, NULL}, {0}};
static const espq_attr_spec constant_attrs[] = {{"value", ESPQ_ATTR_TENSOR, false, 0, NULL}, {0}};

#define ROW(op, first, inputs, attributes, rule, kernel, flags) \
  const espq_op espq_op_##op = {.name = #op,                    \
                                .domain = "",                   \
                                .since = first,                 \
                                .min_in = inputs,               \
                                .max_in = inputs,               \
                                .min_out = 1,                   \
                                .max_out = 1,                   \
                                .attrs = attributes,            \
                                .infer = rule,                  \
                                .f32 = &kernel,                 \
                                .v1 = flags,                    \
                                .weight = -1,                   \
                                .bias = -1,                     \
                                .mixes_batch = always,          \
                                .why_not = shape_why_not}

ROW(Shape, 1, 1, shape_attrs, infer_shape, shape_f32,
    ESPQ_V1_SHARES | ESPQ_V1_PASS | ESPQ_V1_CALIBRATOR | ESPQ_V1_EVALUATOR);
ROW(Size, 1, 1, NULL, infer_size, size_f32, 0);
ROW(ConstantOfShape, 9, 1, constant_attrs, infer_constant, constant_f32, 0);
ROW(Range, 11, 3, NULL, infer_range, range_f32, 0);
