/* InstanceNormalization: every channel of every image brought to one mean and deviation; LRN: every element divided by
 * what its neighbour channels hold. In float only, in ESPQ_PLAIN; sums are doubles, added in index order. */
#include <inttypes.h>
#include <math.h>

#include "base/alloc.h"
#include "ops/kernel.h"
#include "tensor/row.h"

/* The tensor as images x channels x places. */
typedef struct planes {
  espq_dtype type;
  int64_t images, channels, places;
} planes;

static void set_planes(const espq_call *call, planes *p) {
  const espq_shape *x = &call->in[0].shape;
  *p = (planes){call->in[0].dtype, x->dim[0], x->dim[1], 1};
  for (int i = 2; i < x->rank; i++) p->places *= x->dim[i];
}

static espq_status check_image(const espq_call *call, espq_error *err) {
  espq_status status = espq_port_type(call, 0, ESPQ_TYPES_FLOAT, err);
  if (status || call->in[0].shape.rank >= 3) return status;
  return espq_call_fail(call, err, ESPQ_EFORMAT, "input '%.100s' has rank %d, expected 3 or more", call->in[0].name,
                        call->in[0].shape.rank);
}

static double number_at(espq_dtype type, const void *data, int64_t i) {
  espq_row row;
  espq_row_load(type, (const char *)data + (size_t)i * espq_dtype_size(type), 1, 1, &row);
  return row.f[0];
}

/* ---- InstanceNormalization: y = (x - mean) / sqrt(variance + epsilon) * scale + bias ---- */

typedef struct instance {
  planes p;
  double epsilon;
} instance;

static espq_status infer_instance(espq_call *call, espq_error *err) {
  espq_status status = check_image(call, err);
  if (!status) status = espq_call_one_type(call, err);
  for (int i = 1; i < 3 && !status; i++) {
    const espq_shape *x = &call->in[0].shape, *s = &call->in[i].shape;
    char text[160];
    if (s->rank == 1 && (s->dim[0] < 0 || x->dim[1] < 0 || s->dim[0] == x->dim[1])) continue;
    status = espq_call_fail(
        call, err, ESPQ_EFORMAT, "%s '%.100s' has shape %s, expected one number for each of %" PRId64 " channels",
        i == 1 ? "scale" : "bias", call->in[i].name, espq_shape_text(s->rank, s->dim, text, sizeof text), x->dim[1]);
  }
  return status ? status : espq_call_result(call, &call->in[0].shape);
}

static espq_status prepare_instance(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  instance *s = espq_calloc(1, sizeof *s);
  if (!s) return espq_fail_memory(err);
  s->epsilon = (double)espq_node_float(call->node, "epsilon", 1e-5F);
  set_planes(call, &s->p);
  for (int i = 0; i < 3; i++) call->in[i].layout = ESPQ_PLAIN;
  call->out[0].layout = ESPQ_PLAIN;
  out->state = s;
  return ESPQ_OK;
}

/* The sum of (x - shift), or of its square, over one channel. */
static double sum_of(const planes *p, const char *x, double shift, bool square) {
  espq_row row;
  double sum = 0;
  for (int64_t i = 0; i < p->places; i += ESPQ_ROW) {
    int64_t n = p->places - i < ESPQ_ROW ? p->places - i : ESPQ_ROW;
    espq_row_load(p->type, x + (size_t)i * espq_dtype_size(p->type), 1, n, &row);
    for (int64_t k = 0; k < n; k++) sum += square ? (row.f[k] - shift) * (row.f[k] - shift) : row.f[k] - shift;
  }
  return sum;
}

static espq_status run_instance(const espq_run_args *args, espq_error *err) {
  (void)err;
  const instance *s = args->state;
  const planes *p = &s->p;
  size_t size = espq_dtype_size(p->type);
  espq_row row;
  for (int64_t plane = 0; plane < p->images * p->channels && p->places; plane++) {
    size_t start = (size_t)(plane * p->places) * size;
    const char *x = (const char *)args->in[0] + start;
    double mean = sum_of(p, x, 0, false) / (double)p->places;
    double factor = number_at(p->type, args->in[1], plane % p->channels) /
                    sqrt(sum_of(p, x, mean, true) / (double)p->places + s->epsilon);
    double bias = number_at(p->type, args->in[2], plane % p->channels);
    for (int64_t i = 0; i < p->places; i += ESPQ_ROW) {
      int64_t n = p->places - i < ESPQ_ROW ? p->places - i : ESPQ_ROW;
      espq_row_load(p->type, x + (size_t)i * size, 1, n, &row);
      for (int64_t k = 0; k < n; k++) row.f[k] = (row.f[k] - mean) * factor + bias;
      espq_row_store(p->type, n, &row, (char *)args->out[0] + start + (size_t)i * size);
    }
  }
  return ESPQ_OK;
}

static const espq_kernel instance_kernel = {prepare_instance, run_instance, NULL};

/* ---- LRN: y = x / (bias + alpha / size * sum of the squares of `size` channels)^beta ---- */

typedef struct response {
  planes p;
  double alpha, beta, bias;
  int64_t size;
} response;

static espq_status infer_response(espq_call *call, espq_error *err) {
  espq_status status = check_image(call, err);
  int64_t size = espq_node_int(call->node, "size", 0);
  if (!status && size < 1)
    status = espq_call_fail(call, err, ESPQ_EFORMAT, "size is %" PRId64 ", expected at least 1", size);
  return status ? status : espq_call_result(call, &call->in[0].shape);
}

static espq_status prepare_response(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  response *s = espq_calloc(1, sizeof *s);
  if (!s) return espq_fail_memory(err);
  s->alpha = (double)espq_node_float(call->node, "alpha", 1e-4F);
  s->beta = (double)espq_node_float(call->node, "beta", 0.75F);
  s->bias = (double)espq_node_float(call->node, "bias", 1.0F);
  s->size = espq_node_int(call->node, "size", 1);
  set_planes(call, &s->p);
  call->in[0].layout = call->out[0].layout = ESPQ_PLAIN;
  out->state = s;
  out->scratch = ((size_t)s->p.channels + 1) * sizeof(double);
  return ESPQ_OK;
}

/* sums[c]: of the squares of the channels before c, at one place. */
static void sum_squares(const planes *p, const char *x, double *sums) {
  espq_row row;
  size_t size = espq_dtype_size(p->type);
  sums[0] = 0;
  for (int64_t c = 0; c < p->channels; c += ESPQ_ROW) {
    int64_t n = p->channels - c < ESPQ_ROW ? p->channels - c : ESPQ_ROW;
    espq_row_load(p->type, x + (size_t)(c * p->places) * size, p->places, n, &row);
    for (int64_t k = 0; k < n; k++) sums[c + k + 1] = sums[c + k] + row.f[k] * row.f[k];
  }
}

static espq_status run_response(const espq_run_args *args, espq_error *err) {
  (void)err;
  const response *s = args->state;
  const planes *p = &s->p;
  size_t size = espq_dtype_size(p->type);
  double *sums = args->scratch;
  espq_row row;
  int64_t before = (s->size - 1) / 2, behind = s->size - 1 - before;
  for (int64_t i = 0; i < p->images * p->places && p->channels; i++) {
    int64_t start = i / p->places * p->channels * p->places + i % p->places;
    sum_squares(p, (const char *)args->in[0] + (size_t)start * size, sums);
    for (int64_t c = 0; c < p->channels; c++) {
      int64_t low = c < before ? 0 : c - before, high = p->channels - 1 - c < behind ? p->channels - 1 : c + behind;
      size_t at = (size_t)(start + c * p->places) * size;
      espq_row_load(p->type, (const char *)args->in[0] + at, 1, 1, &row);
      row.f[0] /= pow(s->bias + s->alpha / (double)s->size * (sums[high + 1] - sums[low]), s->beta);
      espq_row_store(p->type, 1, &row, (char *)args->out[0] + at);
    }
  }
  return ESPQ_OK;
}

static const espq_kernel response_kernel = {prepare_response, run_response, NULL};

/* ---- rows ---- */

static const char *why_not(const espq_call *call, char *text, size_t size) {
  return espq_reason(text, size, "%s has no integer form on the chip; train with BatchNormalization, which folds away",
                     call->node->op_type);
}

static const espq_attr_spec instance_attrs[] = {{"epsilon", ESPQ_ATTR_FLOAT, false, (double)1e-5F, NULL},
                                                {NULL, ESPQ_ATTR_INT, false, 0, NULL}};
static const espq_attr_spec response_attrs[] = {{"alpha", ESPQ_ATTR_FLOAT, false, (double)1e-4F, NULL},
                                                {"beta", ESPQ_ATTR_FLOAT, false, (double)0.75F, NULL},
                                                {"bias", ESPQ_ATTR_FLOAT, false, 1, NULL},
                                                {"size", ESPQ_ATTR_INT, true, 0, NULL},
                                                {NULL, ESPQ_ATTR_INT, false, 0, NULL}};

#define ROW(op, first, inputs, attributes, rule, kernel) \
  const espq_op espq_op_##op = {                         \
      .name = #op,                                       \
      .domain = "",                                      \
      .since = first,                                    \
      .min_in = inputs,                                  \
      .max_in = inputs,                                  \
      .min_out = 1,                                      \
      .max_out = 1,                                      \
      .attrs = attributes,                               \
      .infer = rule,                                     \
      .f32 = &kernel,                                    \
      .weight = -1,                                      \
      .bias = -1,                                        \
      .why_not = why_not,                                \
  }

ROW(InstanceNormalization, 6, 3, instance_attrs, infer_instance, instance_kernel);
ROW(LRN, 1, 1, response_attrs, infer_response, response_kernel);
