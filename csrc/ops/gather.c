/* Gather, GatherElements and ReverseSequence: elements of any type, taken where numbers computed at run time say. */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "ops/indices.h"
#include "ops/kernel.h"
#include "tensor/move.h"

typedef struct gather {
  espq_indices indices;
  size_t size; /* of an element */
  int64_t outer, in, inner, count;
  int rank; /* of GatherElements' indices */
  int64_t dim[ESPQ_MAX_RANK], stride[ESPQ_MAX_RANK], axis;
} gather;

static espq_status read_axis(const espq_call *call, int *axis, espq_error *err) {
  return espq_call_axis(call, espq_node_int(call->node, "axis", 0), call->in[0].shape.rank, axis, err);
}

/* Scratch is one number per index. */
static espq_status keep(espq_call *call, const gather *given, espq_prepared *out, espq_error *err) {
  gather *s = espq_alloc(sizeof *s);
  if (!s) return espq_fail_memory(err);
  *s = *given;
  s->indices = espq_indices_of(call, 1);
  s->size = espq_dtype_size(call->in[0].dtype);
  call->in[0].layout = call->in[1].layout = call->out[0].layout = ESPQ_PLAIN;
  out->state = s;
  out->scratch = (size_t)s->indices.count * sizeof(int64_t);
  return ESPQ_OK;
}

/* ---- Gather: the axis is replaced by the axes of the indices ---- */

static espq_status infer_gather(espq_call *call, espq_error *err) {
  const espq_shape *x = &call->in[0].shape, *k = &call->in[1].shape;
  int axis;
  espq_status status = espq_port_type(call, 1, ESPQ_TYPES_INDEX, err);
  if (!status) status = read_axis(call, &axis, err);
  if (!status && x->rank - 1 + k->rank > ESPQ_MAX_RANK)
    status = espq_call_fail(call, err, ESPQ_ELIMIT, "the result has rank %d, at most %d are possible",
                            x->rank - 1 + k->rank, ESPQ_MAX_RANK);
  if (status) return status;
  espq_shape y = {0};
  for (int i = 0; i < axis; i++) y.dim[y.rank++] = x->dim[i];
  for (int i = 0; i < k->rank; i++) y.dim[y.rank++] = k->dim[i];
  for (int i = axis + 1; i < x->rank; i++) y.dim[y.rank++] = x->dim[i];
  return espq_call_result(call, &y);
}

static espq_status prepare_gather(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  int axis;
  const espq_shape *x = &call->in[0].shape;
  gather s = {.outer = 1, .inner = 1};
  espq_status status = read_axis(call, &axis, err);
  if (status) return status;
  for (int i = 0; i < x->rank; i++)
    if (i != axis) *(i < axis ? &s.outer : &s.inner) *= x->dim[i];
  s.in = x->dim[axis];
  return keep(call, &s, out, err);
}

static espq_status run_gather(const espq_run_args *args, espq_error *err) {
  const gather *s = args->state;
  int64_t *index = args->scratch;
  espq_status status = espq_indices_read(&s->indices, args->in[1], s->in, index, err);
  if (status) return status;
  espq_move_take(s->size, s->outer, s->in, s->inner, s->indices.count, index, args->in[0], args->out[0]);
  return ESPQ_OK;
}

static const espq_kernel gather_kernel = {prepare_gather, run_gather, NULL};

/* Image by image: rows of a constant table by indices of the images, or the same places of every image. */
static bool gather_mixes(const espq_call *call) {
  int axis;
  if (read_axis(call, &axis, NULL)) return true;
  return axis == 0 ? !call->in[0].constant || call->in[1].shape.rank == 0 : !call->in[1].constant;
}

/* ---- GatherElements: y[i, j, ...] = x[i, k[i, j, ...], ...] ---- */

static espq_status infer_elements(espq_call *call, espq_error *err) {
  const espq_shape *x = &call->in[0].shape, *k = &call->in[1].shape;
  int axis;
  espq_status status = espq_port_type(call, 1, ESPQ_TYPES_INDEX, err);
  if (!status) status = read_axis(call, &axis, err);
  bool fits = x->rank == k->rank;
  for (int i = 0; i < x->rank && !status && fits; i++) fits = i == axis || x->dim[i] < 0 || k->dim[i] <= x->dim[i];
  if (!status && !fits) {
    char a[160], b[160];
    status = espq_call_fail(
        call, err, ESPQ_EFORMAT, "indices '%.100s' of shape %s do not fit into an input of shape %s", call->in[1].name,
        espq_shape_text(k->rank, k->dim, a, sizeof a), espq_shape_text(x->rank, x->dim, b, sizeof b));
  }
  return status ? status : espq_call_result(call, k);
}

static espq_status prepare_elements(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  int axis;
  const espq_shape *x = &call->in[0].shape, *k = &call->in[1].shape;
  gather s = {.rank = x->rank};
  espq_status status = read_axis(call, &axis, err);
  if (status) return status;
  memcpy(s.dim, k->dim, sizeof s.dim);
  espq_move_strides(x->rank, x->dim, s.stride);
  s.axis = axis;
  s.in = x->dim[axis];
  return keep(call, &s, out, err);
}

/* The indices become places in the input: what the other axes add is counted like an odometer. */
static void add_other_axes(const gather *s, int64_t *index) {
  int64_t at[ESPQ_MAX_RANK] = {0}, other = 0;
  for (int64_t n = 0; n < s->indices.count; n++) {
    index[n] = index[n] * s->stride[s->axis] + other;
    for (int i = s->rank - 1; i >= 0; i--) {
      int64_t step = i == s->axis ? 0 : s->stride[i];
      other += step;
      if (++at[i] < s->dim[i]) break;
      other -= step * s->dim[i];
      at[i] = 0;
    }
  }
}

static espq_status run_elements(const espq_run_args *args, espq_error *err) {
  const gather *s = args->state;
  int64_t *index = args->scratch;
  espq_status status = espq_indices_read(&s->indices, args->in[1], s->in, index, err);
  if (status) return status;
  add_other_axes(s, index);
  espq_move_take(s->size, 1, 0, 1, s->indices.count, index, args->in[0], args->out[0]);
  return ESPQ_OK;
}

static const espq_kernel elements_kernel = {prepare_elements, run_elements, NULL};

/* The rows of a constant are no images: the first image would take from the first of them. */
static bool elements_mix(const espq_call *call) {
  int axis;
  return read_axis(call, &axis, NULL) || axis == 0 || call->in[0].shape.dim[0] != call->in[1].shape.dim[0];
}

/* ---- ReverseSequence: the first k[b] entries of sequence b come in reverse order ---- */

typedef struct reversal {
  espq_indices lengths;
  size_t size;
  int64_t times, batches, time_step, batch_step, inner; /* steps in elements */
} reversal;

static espq_status read_reverse_axes(const espq_call *call, int64_t *time, int64_t *batch, espq_error *err) {
  *time = espq_node_int(call->node, "time_axis", 0);
  *batch = espq_node_int(call->node, "batch_axis", 1);
  bool valid = *time >= 0 && *time <= 1 && *batch >= 0 && *batch <= 1 && *time != *batch;
  if (valid) return ESPQ_OK;
  return espq_call_fail(call, err, ESPQ_EFORMAT,
                        "time_axis is %" PRId64 " and batch_axis is %" PRId64 ", expected 0 and 1 or 1 and 0", *time,
                        *batch);
}

static espq_status infer_reverse(espq_call *call, espq_error *err) {
  const espq_shape *x = &call->in[0].shape, *k = &call->in[1].shape;
  int64_t time, batch;
  espq_status status = espq_port_type(call, 1, ESPQ_TYPES(ESPQ_I64), err);
  if (!status) status = read_reverse_axes(call, &time, &batch, err);
  if (status) return status;
  if (x->rank < 2)
    return espq_call_fail(call, err, ESPQ_EFORMAT, "input '%.100s' has rank %d, expected 2 or more", call->in[0].name,
                          x->rank);
  if (k->rank != 1 || (k->dim[0] >= 0 && x->dim[batch] >= 0 && k->dim[0] != x->dim[batch]))
    return espq_call_fail(call, err, ESPQ_EFORMAT,
                          "sequence_lens '%.100s' must be a list of %" PRId64 " lengths, as axis %" PRId64
                          " has entries",
                          call->in[1].name, x->dim[batch], batch);
  return espq_infer_same(call, err);
}

static espq_status prepare_reverse(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  int64_t time, batch;
  const espq_shape *x = &call->in[0].shape;
  espq_status status = read_reverse_axes(call, &time, &batch, err);
  if (status) return status;
  reversal *s = espq_calloc(1, sizeof *s);
  if (!s) return espq_fail_memory(err);
  *s = (reversal){espq_indices_of(call, 1), espq_dtype_size(call->in[0].dtype), x->dim[time], x->dim[batch], 1, 1, 1};
  for (int i = 2; i < x->rank; i++) s->inner *= x->dim[i];
  s->time_step = s->inner * (time == 0 ? s->batches : 1);
  s->batch_step = s->inner * (batch == 0 ? s->times : 1);
  call->in[0].layout = call->in[1].layout = call->out[0].layout = ESPQ_PLAIN;
  out->state = s;
  return ESPQ_OK;
}

static espq_status run_reverse(const espq_run_args *args, espq_error *err) {
  const reversal *s = args->state;
  const int64_t *lengths = args->in[1];
  const char *x = args->in[0];
  char *y = args->out[0];
  size_t bytes = (size_t)s->inner * s->size;
  for (int64_t b = 0; b < s->batches; b++) {
    if (lengths[b] < 0 || lengths[b] > s->times)
      return espq_fail(err, ESPQ_EFORMAT, "%s: length %" PRId64 " of sequence %" PRId64 ", expected 0 to %" PRId64,
                       s->lengths.label, lengths[b], b, s->times);
    for (int64_t t = 0; t < s->times && bytes; t++) {
      int64_t from = t < lengths[b] ? lengths[b] - 1 - t : t, base = b * s->batch_step;
      memcpy(y + (size_t)(base + t * s->time_step) * s->size, x + (size_t)(base + from * s->time_step) * s->size,
             bytes);
    }
  }
  return ESPQ_OK;
}

static const espq_kernel reverse_kernel = {prepare_reverse, run_reverse, NULL};

static bool reverse_mixes(const espq_call *call) {
  int64_t time, batch;
  return read_reverse_axes(call, &time, &batch, NULL) || batch != 0;
}

/* ---- rows ---- */

static const char *why_not(const espq_call *call, char *text, size_t size) {
  return espq_reason(text, size, "%s has no integer form on the chip; end the model before it, or export it without",
                     call->node->op_type);
}

static const espq_attr_spec axis_attrs[] = {{"axis", ESPQ_ATTR_INT, false, 0, NULL}, {0}};
static const espq_attr_spec reverse_attrs[] = {
    {"time_axis", ESPQ_ATTR_INT, false, 0, NULL}, {"batch_axis", ESPQ_ATTR_INT, false, 1, NULL}, {0}};

#define ROW(op, first, attributes, rule, kernel, mixes) \
  const espq_op espq_op_##op = {.name = #op,            \
                                .domain = "",           \
                                .since = first,         \
                                .min_in = 2,            \
                                .max_in = 2,            \
                                .min_out = 1,           \
                                .max_out = 1,           \
                                .attrs = attributes,    \
                                .infer = rule,          \
                                .f32 = &kernel,         \
                                .weight = -1,           \
                                .bias = -1,             \
                                .mixes_batch = mixes,   \
                                .why_not = why_not}

ROW(Gather, 1, axis_attrs, infer_gather, gather_kernel, gather_mixes);
ROW(GatherElements, 11, axis_attrs, infer_elements, elements_kernel, elements_mix);
ROW(ReverseSequence, 10, reverse_attrs, infer_reverse, reverse_kernel, reverse_mixes);
