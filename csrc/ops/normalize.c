/* LayerNormalization, RMSNormalization and LpNormalization: the elements along axes, brought to a common size. In float
 * only, in ESPQ_PLAIN; sums are doubles, added in index order. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "ops/kernel.h"
#include "tensor/row.h"

/* The tensor as outer x length x inner; what is normalized lies along `length`. */
typedef struct rows {
  espq_dtype type;
  int64_t outer, length, inner;
} rows;

static espq_status set_rows(const espq_call *call, int64_t given, bool to_the_end, rows *r, espq_error *err) {
  int axis;
  const espq_shape *x = &call->in[0].shape;
  espq_status status = espq_call_axis(call, given, x->rank, &axis, err);
  *r = (rows){call->in[0].dtype, 1, 1, 1};
  for (int i = 0; i < x->rank && !status; i++) {
    int64_t *part = i < axis ? &r->outer : i == axis || to_the_end ? &r->length : &r->inner;
    *part *= x->dim[i];
  }
  return status;
}

/* The sum of x - shift (power 0), |x - shift| (1) or its square (2) over the row that begins at data. */
static double sum_of(const rows *r, const char *data, double shift, int power) {
  espq_row row;
  double sum = 0;
  size_t size = espq_dtype_size(r->type);
  for (int64_t i = 0; i < r->length; i += ESPQ_ROW) {
    int64_t n = r->length - i < ESPQ_ROW ? r->length - i : ESPQ_ROW;
    espq_row_load(r->type, data + (size_t)(i * r->inner) * size, r->inner, n, &row);
    for (int64_t k = 0; k < n; k++) {
      double x = row.f[k] - shift;
      sum += power == 2 ? x * x : power == 0 ? x : fabs(x);
    }
  }
  return sum;
}

/* ---- LayerNormalization, RMSNormalization: y = (x - mean) / deviation * scale + bias ---- */

typedef struct layer {
  rows r;
  double epsilon;
  bool centred;  /* RMSNormalization leaves the mean */
  bool has[2];   /* scale and bias */
  bool wants[3]; /* outputs: mean and inverse deviation are optional */
  int rank;
  int64_t shape[ESPQ_MAX_RANK], step[2][ESPQ_MAX_RANK];
} layer;

static bool is_layer(const espq_call *call) { return call->node->op_type[0] == 'L'; }

/* Whether a broadcast of s left it as it is; what is not known of s may be anything. */
static bool keeps_shape(const espq_shape *s, const espq_shape *broadcast) {
  bool same = broadcast->rank == s->rank;
  for (int i = 0; same && i < s->rank; i++) same = s->dim[i] < 0 || s->dim[i] == broadcast->dim[i];
  return same;
}

static espq_status infer_layer(espq_call *call, espq_error *err) {
  int axis;
  espq_shape s = call->in[0].shape, broadcast;
  espq_status status = espq_port_type(call, 0, ESPQ_TYPES_FLOAT, err);
  if (!status) status = espq_call_axis(call, espq_node_int(call->node, "axis", -1), s.rank, &axis, err);
  for (int i = 1; i < call->nin && !status; i++) {
    if (!espq_port_has(call, i)) continue;
    status = espq_port_type(call, i, ESPQ_TYPES_FLOAT, err);
    if (!status) status = espq_broadcast(call, &s, &call->in[i].shape, &broadcast, err);
    if (!status && !keeps_shape(&s, &broadcast))
      status = espq_call_fail(call, err, ESPQ_EFORMAT, "input %d '%.100s' does not broadcast to the input's shape", i,
                              call->in[i].name);
  }
  if (status) return status;
  for (int i = axis; i < s.rank; i++) s.dim[i] = 1;
  for (int i = 1; i < call->nout; i++) {
    call->out[i].dtype = ESPQ_F32; /* stash_type 1 */
    call->out[i].shape = s;
  }
  return espq_call_result(call, &call->in[0].shape);
}

static espq_status prepare_layer(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  layer *s = espq_calloc(1, sizeof *s);
  if (!s) return espq_fail_memory(err);
  out->state = s;
  s->epsilon = (double)espq_node_float(call->node, "epsilon", 1e-5f);
  s->centred = is_layer(call);
  s->rank = call->in[0].shape.rank;
  memcpy(s->shape, call->in[0].shape.dim, sizeof s->shape);
  for (int i = 0; i < call->nin; i++) call->in[i].layout = ESPQ_PLAIN;
  for (int i = 0; i < call->nout; i++) call->out[i].layout = ESPQ_PLAIN;
  for (int k = 0; k < 2; k++) {
    s->has[k] = espq_port_has(call, k + 1);
    if (s->has[k] && call->in[k + 1].dtype != call->in[0].dtype)
      return espq_call_fail(call, err, ESPQ_EUNSUPPORTED, "input %d '%.100s' is %s, expected the input's type %s",
                            k + 1, call->in[k + 1].name, espq_dtype_name(call->in[k + 1].dtype),
                            espq_dtype_name(call->in[0].dtype));
    if (s->has[k]) espq_broadcast_steps(&call->in[k + 1].shape, &call->in[0].shape, s->step[k]);
  }
  for (int i = 1; i < call->nout; i++) s->wants[i] = call->out[i].present;
  return set_rows(call, espq_node_int(call->node, "axis", -1), true, &s->r, err);
}

static double parameter(const layer *s, int which, const espq_run_args *args, const int64_t *index, double otherwise) {
  if (!s->has[which]) return otherwise;
  espq_row row;
  int64_t at = 0;
  for (int i = 0; i < s->rank; i++) at += index[i] * s->step[which][i];
  espq_row_load(s->r.type, (const char *)args->in[which + 1] + (size_t)at * espq_dtype_size(s->r.type), 1, 1, &row);
  return row.f[0];
}

/* The index that belongs to the element after this one. */
static void advance(const layer *s, int64_t *index) {
  for (int i = s->rank - 1; i >= 0 && ++index[i] == s->shape[i]; i--) index[i] = 0;
}

static void normalize_row(const layer *s, const espq_run_args *args, int64_t outer, double mean, double inverse,
                          int64_t *index) {
  espq_row row;
  size_t size = espq_dtype_size(s->r.type);
  for (int64_t i = 0; i < s->r.length; i += ESPQ_ROW) {
    int64_t n = s->r.length - i < ESPQ_ROW ? s->r.length - i : ESPQ_ROW;
    size_t at = (size_t)(outer * s->r.length + i) * size;
    espq_row_load(s->r.type, (const char *)args->in[0] + at, 1, n, &row);
    for (int64_t k = 0; k < n; k++) {
      row.f[k] = (row.f[k] - mean) * inverse * parameter(s, 0, args, index, 1) + parameter(s, 1, args, index, 0);
      advance(s, index);
    }
    espq_row_store(s->r.type, n, &row, (char *)args->out[0] + at);
  }
}

static espq_status run_layer(const espq_run_args *args, espq_error *err) {
  (void)err;
  const layer *s = args->state;
  int64_t index[ESPQ_MAX_RANK] = {0};
  size_t row = (size_t)s->r.length * espq_dtype_size(s->r.type);
  if (!s->r.length && !s->wants[1] && !s->wants[2]) return ESPQ_OK; /* however many rows of nothing */
  for (int64_t o = 0; o < s->r.outer; o++) {
    const char *x = (const char *)args->in[0] + (size_t)o * row;
    double mean = s->centred ? sum_of(&s->r, x, 0, 0) / (double)s->r.length : 0;
    double inverse = 1 / sqrt(sum_of(&s->r, x, mean, 2) / (double)s->r.length + s->epsilon);
    normalize_row(s, args, o, mean, inverse, index);
    if (s->wants[1]) ((float *)args->out[1])[o] = (float)mean;
    if (s->wants[2]) ((float *)args->out[2])[o] = (float)inverse;
  }
  return ESPQ_OK;
}

static const espq_kernel layer_kernel = {prepare_layer, run_layer, NULL};

/* ---- LpNormalization: y = x / norm ---- */

typedef struct norm {
  rows r;
  int64_t p;
} norm;

static espq_status infer_norm(espq_call *call, espq_error *err) {
  int axis;
  int64_t p = espq_node_int(call->node, "p", 2);
  espq_status status = espq_port_type(call, 0, ESPQ_TYPES_FLOAT, err);
  if (!status) status = espq_call_axis(call, espq_node_int(call->node, "axis", -1), call->in[0].shape.rank, &axis, err);
  if (!status && p != 1 && p != 2)
    status = espq_call_fail(call, err, ESPQ_EFORMAT, "p is %lld, expected 1 or 2", (long long)p);
  return status ? status : espq_call_result(call, &call->in[0].shape);
}

static espq_status prepare_norm(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  norm *s = espq_calloc(1, sizeof *s);
  if (!s) return espq_fail_memory(err);
  s->p = espq_node_int(call->node, "p", 2);
  call->in[0].layout = call->out[0].layout = ESPQ_PLAIN;
  out->state = s;
  return set_rows(call, espq_node_int(call->node, "axis", -1), false, &s->r, err);
}

static void divide(const rows *r, const char *x, double by, char *y) {
  espq_row row;
  size_t size = espq_dtype_size(r->type);
  for (int64_t i = 0; i < r->length; i++) {
    size_t at = (size_t)(i * r->inner) * size;
    espq_row_load(r->type, x + at, 1, 1, &row);
    row.f[0] = by == 0 ? 0 : row.f[0] / by; /* a row of zeros stays one */
    espq_row_store(r->type, 1, &row, y + at);
  }
}

static espq_status run_norm(const espq_run_args *args, espq_error *err) {
  (void)err;
  const norm *s = args->state;
  size_t size = espq_dtype_size(s->r.type);
  for (int64_t o = 0; o < s->r.outer && s->r.length && s->r.inner; o++) {
    for (int64_t i = 0; i < s->r.inner; i++) {
      size_t at = (size_t)(o * s->r.length * s->r.inner + i) * size;
      double sum = sum_of(&s->r, (const char *)args->in[0] + at, 0, (int)s->p);
      divide(&s->r, (const char *)args->in[0] + at, s->p == 2 ? sqrt(sum) : sum, (char *)args->out[0] + at);
    }
  }
  return ESPQ_OK;
}

static const espq_kernel norm_kernel = {prepare_norm, run_norm, NULL};

/* ---- rows ---- */

static bool mixes_batch(const espq_call *call) {
  int axis;
  return espq_call_axis(call, espq_node_int(call->node, "axis", -1), call->in[0].shape.rank, &axis, NULL) || axis == 0;
}

static const char *why_not(const espq_call *call, char *text, size_t size) {
  return espq_reason(text, size, "%s has no integer form on the chip; train with BatchNormalization, which folds away",
                     call->node->op_type);
}

#define END \
  { NULL, ESPQ_ATTR_INT, false, 0, NULL }
static const espq_attr_spec layer_attrs[] = {{"axis", ESPQ_ATTR_INT, false, -1, NULL},
                                             {"epsilon", ESPQ_ATTR_FLOAT, false, (double)1e-5f, NULL},
                                             {"stash_type", ESPQ_ATTR_INT, false, 1, NULL},
                                             END};
static const espq_attr_spec norm_attrs[] = {
    {"axis", ESPQ_ATTR_INT, false, -1, NULL}, {"p", ESPQ_ATTR_INT, false, 2, NULL}, END};

#define ROW(op, first, least, most, outputs, attributes, rule, kernel) \
  const espq_op espq_op_##op = {                                       \
      .name = #op,                                                     \
      .domain = "",                                                    \
      .since = first,                                                  \
      .min_in = least,                                                 \
      .max_in = most,                                                  \
      .min_out = 1,                                                    \
      .max_out = outputs,                                              \
      .attrs = attributes,                                             \
      .infer = rule,                                                   \
      .f32 = &kernel,                                                  \
      .weight = -1,                                                    \
      .bias = -1,                                                      \
      .mixes_batch = mixes_batch,                                      \
      .why_not = why_not,                                              \
  }

ROW(LayerNormalization, 17, 2, 3, 3, layer_attrs, infer_layer, layer_kernel);
ROW(RMSNormalization, 23, 2, 2, 1, layer_attrs, infer_layer, layer_kernel);
ROW(LpNormalization, 1, 1, 1, 1, norm_attrs, infer_norm, norm_kernel);
