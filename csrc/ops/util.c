/* What shape rules and kernels of all families need. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "ops/op.h"

espq_status espq_call_fail(const espq_call *call, espq_error *err, espq_status status, const char *fmt, ...) {
  char label[256], text[1024];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  return espq_fail(err, status, "%s: %s", espq_node_label(call->graph, call->node, label, sizeof label), text);
}

espq_status espq_fail_problems(espq_text *problems, espq_status status, const char *what, espq_error *err) {
  if (!problems->size && !problems->failed) return ESPQ_OK;
  char *text = espq_text_take(problems);
  if (!text) return espq_fail_memory(err);
  size_t size = strlen(text);
  if (size >= 2) text[size - 2] = '\0';
  espq_fail(err, status, "%s%s", what, text);
  espq_free(text);
  return status;
}

bool espq_port_has(const espq_call *call, int input) { return input < call->nin && call->in[input].present; }

espq_status espq_port_ints(const espq_call *call, int input, int64_t *out, int max, int *n, espq_error *err) {
  *n = 0;
  if (!espq_port_has(call, input)) return ESPQ_OK;
  const espq_port *p = &call->in[input];
  const espq_tensor *t = p->constant;
  if (!t)
    return espq_call_fail(call, err, ESPQ_EUNSUPPORTED,
                          "input %d '%.100s' must be a constant; simplify the model so that it is one", input, p->name);
  if (t->dtype != ESPQ_I64 && t->dtype != ESPQ_I32)
    return espq_call_fail(call, err, ESPQ_EFORMAT, "input %d '%.100s' has type %s, expected int64 or int32", input,
                          p->name, espq_dtype_name(t->dtype));
  if (t->count > max)
    return espq_call_fail(call, err, ESPQ_EFORMAT, "input %d '%.100s' has %" PRId64 " numbers, expected at most %d",
                          input, p->name, t->count, max);
  for (int64_t i = 0; i < t->count; i++)
    out[i] = t->dtype == ESPQ_I64 ? ((const int64_t *)t->data)[i] : ((const int32_t *)t->data)[i];
  *n = (int)t->count;
  return ESPQ_OK;
}

espq_status espq_port_float(const espq_call *call, int input, float otherwise, float *out, espq_error *err) {
  *out = otherwise;
  if (!espq_port_has(call, input)) return ESPQ_OK;
  const espq_tensor *t = call->in[input].constant;
  if (!t || t->dtype != ESPQ_F32 || t->count != 1)
    return espq_call_fail(call, err, t ? ESPQ_EFORMAT : ESPQ_EUNSUPPORTED,
                          "input %d '%.100s' must be one constant float32 number", input, call->in[input].name);
  *out = *(const float *)t->data;
  return ESPQ_OK;
}

espq_status espq_call_ints(const espq_call *call, const char *attr, int64_t *out, int max, int *n, espq_error *err) {
  *n = 0;
  const espq_attr *a = espq_node_attr(call->node, attr);
  if (!a) return ESPQ_OK;
  if (a->kind != ESPQ_ATTR_INTS || a->n > (size_t)max)
    return espq_call_fail(call, err, ESPQ_EFORMAT, "attribute '%s' must be a list of at most %d integers", attr, max);
  for (size_t i = 0; i < a->n; i++) out[i] = a->ints[i];
  *n = (int)a->n;
  return ESPQ_OK;
}

espq_status espq_call_axis(const espq_call *call, int64_t axis, int rank, int *out, espq_error *err) {
  if (axis < -rank || axis >= rank)
    return espq_call_fail(call, err, ESPQ_EFORMAT, "axis %" PRId64 " is outside of a tensor of rank %d", axis, rank);
  *out = (int)(axis < 0 ? axis + rank : axis);
  return ESPQ_OK;
}

espq_status espq_broadcast(const espq_call *call, const espq_shape *a, const espq_shape *b, espq_shape *out,
                           espq_error *err) {
  espq_shape r = {.rank = a->rank > b->rank ? a->rank : b->rank};
  for (int i = 0; i < r.rank; i++) {
    int ia = i - (r.rank - a->rank), ib = i - (r.rank - b->rank);
    int64_t da = ia < 0 ? 1 : a->dim[ia], db = ib < 0 ? 1 : b->dim[ib];
    if (da == 1) r.dim[i] = db;
    else if (db == 1 || db == da) r.dim[i] = da;
    else if (da < 0 || db < 0) r.dim[i] = da < 0 ? db : da; /* the known one: anything else would not fit */
    else {
      char ta[160], tb[160];
      return espq_call_fail(call, err, ESPQ_EFORMAT, "shapes %s and %s do not broadcast",
                            espq_shape_text(a->rank, a->dim, ta, sizeof ta),
                            espq_shape_text(b->rank, b->dim, tb, sizeof tb));
    }
  }
  *out = r;
  return ESPQ_OK;
}

espq_status espq_infer_same(espq_call *call, espq_error *err) {
  (void)err;
  call->out[0].dtype = call->in[0].dtype;
  call->out[0].shape = call->in[0].shape;
  return ESPQ_OK;
}

/* Of a claim that no tensor fulfils. Sums of bytes of such tensors do not overflow. */
#define MOST_ELEMENTS ((int64_t)1 << 40)

int64_t espq_shape_elements(const espq_shape *shape) {
  int64_t n = 1;
  for (int i = 0; i < shape->rank; i++) {
    if (shape->dim[i] < 0) return -1;
    if (!espq_mul64(n, shape->dim[i], &n) || n > MOST_ELEMENTS) n = MOST_ELEMENTS;
  }
  return n;
}
