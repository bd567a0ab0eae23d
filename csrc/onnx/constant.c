/* Constant nodes, and sparse tensors made dense. */
#include <inttypes.h>
#include <string.h>

#include "onnx/proto.h"

enum { MAX_DENSE = 1 << 25 };

bool espq_onnx_is_constant(const Onnx__NodeProto *n) {
  const char *domain = espq_onnx_text(n->domain);
  return n->op_type && strcmp(n->op_type, "Constant") == 0 && (!*domain || strcmp(domain, "ai.onnx") == 0);
}

static espq_status constant_value(const Onnx__AttributeProto *a, espq_onnx_source *source, espq_tensor **out,
                                  espq_error *err) {
  const char *name = espq_onnx_text(a->name);
  int64_t n = 0;
  if (strcmp(name, "value") == 0 && a->t) return espq_onnx_tensor_decode(a->t, source, out, err);
  if (strcmp(name, "sparse_value") == 0 && a->sparse_tensor)
    return espq_onnx_sparse_decode(a->sparse_tensor, source, out, err);
  if (strcmp(name, "value_float") == 0) return espq_tensor_from_bytes(ESPQ_F32, 0, &n, &a->f, sizeof a->f, out, err);
  if (strcmp(name, "value_int") == 0) return espq_tensor_from_bytes(ESPQ_I64, 0, &n, &a->i, sizeof a->i, out, err);
  if (strcmp(name, "value_floats") == 0) {
    n = (int64_t)a->n_floats;
    return espq_tensor_from_bytes(ESPQ_F32, 1, &n, a->floats, a->n_floats * sizeof *a->floats, out, err);
  }
  if (strcmp(name, "value_ints") == 0) {
    n = (int64_t)a->n_ints;
    return espq_tensor_from_bytes(ESPQ_I64, 1, &n, a->ints, a->n_ints * sizeof *a->ints, out, err);
  }
  if (strcmp(name, "value_string") == 0 || strcmp(name, "value_strings") == 0)
    return espq_fail(err, ESPQ_EUNSUPPORTED, "attribute '%s' is not supported", name);
  return espq_fail(err, ESPQ_EFORMAT, "attribute '%.100s': expected a value", name);
}

espq_status espq_onnx_constant_decode(const Onnx__NodeProto *n, espq_onnx_source *source, espq_tensor **out,
                                      espq_error *err) {
  if (n->n_output != 1 || !*n->output[0] || n->n_input)
    return espq_fail(err, ESPQ_EFORMAT, "expected no input and one output, got %zu and %zu", n->n_input, n->n_output);
  if (n->n_attribute != 1) return espq_fail(err, ESPQ_EFORMAT, "expected one attribute, got %zu", n->n_attribute);
  return constant_value(n->attribute[0], source, out, err);
}

/* --- sparse tensors --- */

/* Element number k goes to *place; indices are either that number, or one per axis. */
static espq_status place_of(const Onnx__SparseTensorProto *p, const espq_tensor *indices, int64_t k, int64_t *place,
                            espq_error *err) {
  const int64_t *index = indices->data;
  *place = 0;
  if (indices->rank == 1) *place = index[k];
  for (size_t i = 0; i < p->n_dims && indices->rank == 2; i++) {
    int64_t at = index[k * (int64_t)p->n_dims + (int64_t)i];
    if (at < 0 || at >= p->dims[i])
      return espq_fail(err, ESPQ_EFORMAT, "index %" PRId64 " is outside of axis %zu of %" PRId64, at, i, p->dims[i]);
    *place = *place * p->dims[i] + at;
  }
  return ESPQ_OK;
}

static espq_status scatter(const Onnx__SparseTensorProto *p, const espq_tensor *values, const espq_tensor *indices,
                           espq_tensor *dense, espq_error *err) {
  size_t size = espq_dtype_size(dense->dtype);
  bool columns = indices->rank == 2 && indices->dim[0] == values->count && indices->dim[1] == (int64_t)p->n_dims;
  if (indices->dtype != ESPQ_I64 || values->rank != 1 ||
      !((indices->rank == 1 && indices->count == values->count) || columns))
    return espq_fail(err, ESPQ_EFORMAT, "values and indices of a sparse tensor do not fit");
  for (int64_t k = 0; k < values->count; k++) {
    int64_t place;
    espq_status status = place_of(p, indices, k, &place, err);
    if (status) return status;
    if (place < 0 || place >= dense->count)
      return espq_fail(err, ESPQ_EFORMAT, "index %" PRId64 " is outside of %" PRId64 " elements", place, dense->count);
    memcpy((char *)dense->data + (size_t)place * size, (const char *)values->data + (size_t)k * size, size);
  }
  return ESPQ_OK;
}

/* A few bytes of a file may stand for gigabytes: what a model's sparse tensors become is bounded. */
static espq_status check_dense(const Onnx__SparseTensorProto *p, size_t size, espq_onnx_source *source,
                               espq_error *err) {
  int64_t count;
  espq_status status = espq_shape_count((int)p->n_dims, p->dims, &count, err);
  if (status) return status;
  if ((uint64_t)count > (MAX_DENSE - source->dense) / size)
    return espq_fail(err, ESPQ_ELIMIT,
                     "as dense ones, the model's sparse tensors have more than %d bytes; store it dense", MAX_DENSE);
  source->dense += (size_t)count * size;
  return ESPQ_OK;
}

static espq_status make_dense(const Onnx__SparseTensorProto *p, const espq_tensor *values, const espq_tensor *indices,
                              espq_onnx_source *source, espq_tensor **out, espq_error *err) {
  espq_status status = check_dense(p, espq_dtype_size(values->dtype), source, err);
  if (!status) status = espq_tensor_new(values->dtype, (int)p->n_dims, p->dims, out, err);
  if (status) return status;
  memset((*out)->data, 0, espq_tensor_bytes(*out));
  status = scatter(p, values, indices, *out, err);
  if (status) espq_tensor_release(*out);
  return status;
}

espq_status espq_onnx_sparse_decode(const Onnx__SparseTensorProto *p, espq_onnx_source *source, espq_tensor **out,
                                    espq_error *err) {
  espq_tensor *values = NULL, *indices = NULL;
  if (!p->values || !p->indices) return espq_fail(err, ESPQ_EFORMAT, "a sparse tensor without values or indices");
  if (p->n_dims > ESPQ_MAX_RANK)
    return espq_fail(err, ESPQ_ELIMIT, "%zu dimensions, the limit is %d", p->n_dims, ESPQ_MAX_RANK);
  espq_status status = espq_onnx_tensor_decode(p->values, source, &values, err);
  if (!status) status = espq_onnx_tensor_decode(p->indices, source, &indices, err);
  if (!status) status = make_dense(p, values, indices, source, out, err);
  espq_tensor_release(values);
  espq_tensor_release(indices);
  return status;
}
