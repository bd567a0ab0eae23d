/* ScatterND: a copy of the data, in which slices named by tuples of indices are replaced by, or combined with, updates. */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "ops/indices.h"
#include "ops/kernel.h"

enum { REPLACE = -1 };

/* What a slice and its update become: REPLACE or an espq_function (add and mul since opset 16, max and min since 18). */
static espq_status read_reduction(const espq_call *call, int *f, espq_error *err) {
  static const struct {
    const char *name;
    int f, since;
  } names[] = {{"none", REPLACE, 11},
               {"add", ESPQ_FN_ADD, 16},
               {"mul", ESPQ_FN_MUL, 16},
               {"max", ESPQ_FN_MAX, 18},
               {"min", ESPQ_FN_MIN, 18}};
  const char *text = espq_node_string(call->node, "reduction", "none");
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(text, names[i].name) == 0 && call->opset >= names[i].since) {
      *f = names[i].f;
      return ESPQ_OK;
    }
  return espq_call_fail(call, err, ESPQ_EFORMAT,
                        "reduction is '%.40s', expected none, since opset 16 also add and mul, since 18 max and min",
                        text);
}

/* The updates are the indices' shape without its last axis (the tuples), then the axes of a slice. */
static espq_status check_shapes(const espq_call *call, espq_error *err) {
  const espq_shape *x = &call->in[0].shape, *k = &call->in[1].shape, *u = &call->in[2].shape;
  char a[160], b[160], c[160];
  int64_t tuple = k->rank ? k->dim[k->rank - 1] : 0;
  bool fits = k->rank > 0 && tuple <= x->rank && (tuple < 0 || u->rank == k->rank - 1 + x->rank - (int)tuple);
  for (int i = 0; i < u->rank && fits && tuple >= 0; i++) {
    int64_t want = i < k->rank - 1 ? k->dim[i] : x->dim[i - (k->rank - 1) + tuple];
    fits = want < 0 || u->dim[i] < 0 || want == u->dim[i];
  }
  if (fits) return ESPQ_OK;
  return espq_call_fail(call, err, ESPQ_EFORMAT,
                        "data of shape %s, indices of shape %s and updates of shape %s do not fit together",
                        espq_shape_text(x->rank, x->dim, a, sizeof a), espq_shape_text(k->rank, k->dim, b, sizeof b),
                        espq_shape_text(u->rank, u->dim, c, sizeof c));
}

static espq_status infer(espq_call *call, espq_error *err) {
  int f;
  espq_status status = read_reduction(call, &f, err);
  if (!status) status = espq_port_type(call, 0, f == REPLACE ? ESPQ_TYPES_ANY : ESPQ_TYPES_NUMBER, err);
  if (!status) status = espq_port_type(call, 1, ESPQ_TYPES(ESPQ_I64), err);
  if (!status && call->in[0].dtype != call->in[2].dtype)
    status = espq_call_fail(call, err, ESPQ_EFORMAT, "data is %s and updates are %s, expected one type",
                            espq_dtype_name(call->in[0].dtype), espq_dtype_name(call->in[2].dtype));
  if (!status) status = check_shapes(call, err);
  return status ? status : espq_infer_same(call, err);
}

typedef struct scatter {
  char label[256];
  espq_dtype dtype;
  int f, tuple; /* indices of a tuple */
  size_t bytes; /* of the data */
  int64_t updates, slice, dim[ESPQ_MAX_RANK], stride[ESPQ_MAX_RANK];
} scatter;

static espq_status prepare(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  const espq_shape *x = &call->in[0].shape, *k = &call->in[1].shape;
  scatter *s = espq_calloc(1, sizeof *s);
  if (!s) return espq_fail_memory(err);
  espq_status status = read_reduction(call, &s->f, err);
  if (status) {
    espq_free(s);
    return status;
  }
  espq_node_label(call->graph, call->node, s->label, sizeof s->label);
  s->dtype = call->in[0].dtype;
  s->tuple = (int)k->dim[k->rank - 1];
  s->bytes = (size_t)espq_shape_elements(x) * espq_dtype_size(s->dtype);
  s->updates = s->slice = 1;
  for (int i = 0; i < k->rank - 1; i++) s->updates *= k->dim[i];
  for (int i = x->rank - 1; i >= 0; i--) {
    if (i < s->tuple) s->stride[i] = i == s->tuple - 1 ? s->slice : s->stride[i + 1] * x->dim[i + 1];
    else s->slice *= x->dim[i];
    s->dim[i] = x->dim[i];
  }
  for (int i = 0; i < 3; i++) call->in[i].layout = ESPQ_PLAIN;
  call->out[0].layout = ESPQ_PLAIN;
  if (espq_shape_elements(&call->in[2].shape) == 0) s->updates = 0; /* however many empty slices */
  out->state = s;
  return ESPQ_OK;
}

/* Where the slice of tuple n begins, in elements. */
static espq_status locate(const scatter *s, const int64_t *indices, int64_t n, int64_t *place, espq_error *err) {
  *place = 0;
  for (int i = 0; i < s->tuple; i++) {
    int64_t k = indices[n * s->tuple + i];
    if (k < -s->dim[i] || k >= s->dim[i])
      return espq_fail(err, ESPQ_EFORMAT,
                       "%s: index %d of tuple %" PRId64 " is %" PRId64 ", which is outside of %" PRId64 " entries",
                       s->label, i, n, k, s->dim[i]);
    *place += (k < 0 ? k + s->dim[i] : k) * s->stride[i];
  }
  return ESPQ_OK;
}

static espq_status run(const espq_run_args *args, espq_error *err) {
  const scatter *s = args->state;
  size_t size = espq_dtype_size(s->dtype);
  if (s->bytes) memcpy(args->out[0], args->in[0], s->bytes);
  for (int64_t n = 0; n < s->updates; n++) {
    int64_t place;
    espq_status status = locate(s, args->in[1], n, &place, err);
    if (status) return status;
    char *y = (char *)args->out[0] + (size_t)place * size;
    const char *u = (const char *)args->in[2] + (size_t)(n * s->slice) * size;
    if (s->f != REPLACE) espq_function_binary((espq_function)s->f, s->dtype, y, 1, s->dtype, u, 1, s->slice, y);
    else if (s->slice) memcpy(y, u, (size_t)s->slice * size);
  }
  return ESPQ_OK;
}

static const espq_kernel f32 = {prepare, run, NULL};

/* ---- row ---- */

static bool always(const espq_call *call) {
  (void)call;
  return true;
}

static const char *why_not(const espq_call *call, char *text, size_t size) {
  (void)call;
  return espq_reason(text, size,
                     "ScatterND has no integer form on the chip; end the model before it, or export it without");
}

static const espq_attr_spec attrs[] = {{"reduction", ESPQ_ATTR_STRING, false, 0, "none"}, {0}};

const espq_op espq_op_ScatterND = {.name = "ScatterND",
                                   .domain = "",
                                   .since = 11,
                                   .min_in = 3,
                                   .max_in = 3,
                                   .min_out = 1,
                                   .max_out = 1,
                                   .attrs = attrs,
                                   .infer = infer,
                                   .f32 = &f32,
                                   .weight = -1,
                                   .bias = -1,
                                   .mixes_batch = always,
                                   .why_not = why_not};
