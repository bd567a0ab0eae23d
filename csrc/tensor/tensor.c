#include "tensor/tensor.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

static const struct {
  const char *name;
  size_t size;
  int onnx;
} dtypes[] = {
#define ESPQ_DTYPE(id, name, size, onnx) [ESPQ_##id] = {name, size, onnx},
#include "tensor/dtype.def"
#undef ESPQ_DTYPE
    [ESPQ_DTYPE_NONE] = {"unknown", 0, 0},
};

size_t espq_dtype_size(espq_dtype dtype) { return dtypes[dtype].size; }

const char *espq_dtype_name(espq_dtype dtype) { return dtypes[dtype].name; }

int espq_dtype_onnx(espq_dtype dtype) { return dtypes[dtype].onnx; }

espq_dtype espq_dtype_parse(const char *name) {
  for (int i = 0; i < ESPQ_DTYPE_COUNT; i++)
    if (strcmp(dtypes[i].name, name) == 0) return (espq_dtype)i;
  return ESPQ_DTYPE_NONE;
}

espq_dtype espq_dtype_from_onnx(int64_t code) {
  for (int i = 0; i < ESPQ_DTYPE_COUNT; i++)
    if (dtypes[i].onnx == code) return (espq_dtype)i;
  return ESPQ_DTYPE_NONE;
}

espq_status espq_shape_count(int rank, const int64_t *dim, int64_t *count, espq_error *err) {
  if (rank < 0 || rank > ESPQ_MAX_RANK)
    return espq_fail(err, ESPQ_ELIMIT, "rank %d: at most %d dimensions are supported", rank, ESPQ_MAX_RANK);
  int64_t n = 1;
  bool empty = false;
  for (int i = 0; i < rank; i++) {
    if (dim[i] < 0) return espq_fail(err, ESPQ_EFORMAT, "dimension %d is %" PRId64 ": expected 0 or more", i, dim[i]);
    if (dim[i] == 0) empty = true;
    else if (!espq_mul64(n, dim[i], &n) || n > (int64_t)(ESPQ_ALLOC_MAX / 8)) {
      char text[160];
      return espq_fail(err, ESPQ_ELIMIT, "shape %s has too many elements",
                       espq_shape_text(rank, dim, text, sizeof text));
    }
  }
  *count = empty ? 0 : n;
  return ESPQ_OK;
}

char *espq_shape_text(int rank, const int64_t *dim, char *text, size_t size) {
  if (rank == 0) snprintf(text, size, "scalar");
  size_t used = 0;
  for (int i = 0; i < rank && used < size; i++) {
    int n = dim[i] < 0 ? snprintf(text + used, size - used, "%s?", i ? "x" : "")
                       : snprintf(text + used, size - used, "%s%" PRId64, i ? "x" : "", dim[i]);
    if (n < 0) break;
    used += (size_t)n;
  }
  return text;
}

/* Takes over the reference to storage, also when it fails. */
static espq_status tensor_on(espq_storage *storage, void *data, espq_dtype dtype, int rank, const int64_t *dim,
                             int64_t count, espq_tensor **out, espq_error *err);

static void storage_release(espq_storage *s) {
  if (atomic_fetch_sub(&s->refs, 1) != 1) return;
  if (s->release) s->release(s, s->owner);
  else espq_free(s->data);
  espq_free(s);
}

static espq_status tensor_on(espq_storage *storage, void *data, espq_dtype dtype, int rank, const int64_t *dim,
                             int64_t count, espq_tensor **out, espq_error *err) {
  espq_tensor *t = espq_calloc(1, sizeof *t);
  if (!t) {
    storage_release(storage);
    return espq_fail_memory(err);
  }
  atomic_init(&t->refs, 1);
  t->dtype = dtype;
  t->rank = rank;
  for (int i = 0; i < rank; i++) t->dim[i] = dim[i];
  t->count = count;
  t->storage = storage;
  t->data = data;
  *out = t;
  return ESPQ_OK;
}

static espq_storage *storage_new(size_t bytes) {
  espq_storage *s = espq_calloc(1, sizeof *s);
  if (!s) return NULL;
  atomic_init(&s->refs, 1);
  s->bytes = bytes;
  s->data = espq_alloc(bytes);
  if (s->data) return s;
  espq_free(s);
  return NULL;
}

espq_status espq_tensor_new(espq_dtype dtype, int rank, const int64_t *dim, espq_tensor **out, espq_error *err) {
  int64_t count;
  espq_status status = espq_shape_count(rank, dim, &count, err);
  if (status) return status;
  if (dtype < 0 || dtype >= ESPQ_DTYPE_COUNT) return espq_fail(err, ESPQ_EBUG, "tensor of unknown type");
  espq_storage *s = storage_new((size_t)count * espq_dtype_size(dtype));
  if (!s) return espq_fail_memory(err);
  return tensor_on(s, s->data, dtype, rank, dim, count, out, err);
}

espq_status espq_tensor_from_bytes(espq_dtype dtype, int rank, const int64_t *dim, const void *bytes, size_t size,
                                   espq_tensor **out, espq_error *err) {
  int64_t count;
  espq_status status = espq_shape_count(rank, dim, &count, err);
  if (status) return status;
  if ((size_t)count * espq_dtype_size(dtype) != size) {
    char text[160];
    return espq_fail(err, ESPQ_EFORMAT, "%s of shape %s needs %zu bytes, got %zu", espq_dtype_name(dtype),
                     espq_shape_text(rank, dim, text, sizeof text), (size_t)count * espq_dtype_size(dtype), size);
  }
  status = espq_tensor_new(dtype, rank, dim, out, err);
  if (status == ESPQ_OK && size) memcpy((*out)->data, bytes, size);
  return status;
}

espq_status espq_tensor_wrap(espq_dtype dtype, int rank, const int64_t *dim, void *data,
                             void (*release)(espq_storage *, void *), void *owner, espq_tensor **out, espq_error *err) {
  int64_t count;
  espq_status status = espq_shape_count(rank, dim, &count, err);
  if (status) return status;
  espq_storage *s = espq_calloc(1, sizeof *s);
  if (!s) return espq_fail_memory(err);
  atomic_init(&s->refs, 1);
  s->bytes = (size_t)count * espq_dtype_size(dtype);
  status = tensor_on(s, data, dtype, rank, dim, count, out, err);
  if (status) return status;
  s->data = data;
  s->release = release;
  s->owner = owner;
  return ESPQ_OK;
}

espq_status espq_tensor_view(espq_tensor *base, int64_t offset, int rank, const int64_t *dim, espq_tensor **out,
                             espq_error *err) {
  int64_t count;
  espq_status status = espq_shape_count(rank, dim, &count, err);
  if (status) return status;
  if (offset < 0 || offset > base->count || count > base->count - offset)
    return espq_fail(err, ESPQ_EFORMAT, "view of %" PRId64 " elements at %" PRId64 " of a tensor of %" PRId64, count,
                     offset, base->count);
  atomic_fetch_add(&base->storage->refs, 1);
  void *data = (char *)base->data + (size_t)offset * espq_dtype_size(base->dtype);
  return tensor_on(base->storage, data, base->dtype, rank, dim, count, out, err);
}

espq_tensor *espq_tensor_retain(espq_tensor *tensor) {
  if (tensor) atomic_fetch_add(&tensor->refs, 1);
  return tensor;
}

void espq_tensor_release(espq_tensor *tensor) {
  if (!tensor || atomic_fetch_sub(&tensor->refs, 1) != 1) return;
  storage_release(tensor->storage);
  espq_free(tensor);
}

espq_status espq_tensor_copy(const espq_tensor *tensor, espq_tensor **out, espq_error *err) {
  return espq_tensor_from_bytes(tensor->dtype, tensor->rank, tensor->dim, tensor->data, espq_tensor_bytes(tensor), out,
                                err);
}

size_t espq_tensor_bytes(const espq_tensor *tensor) { return (size_t)tensor->count * espq_dtype_size(tensor->dtype); }

bool espq_tensor_same_shape(const espq_tensor *a, const espq_tensor *b) {
  return a->rank == b->rank && memcmp(a->dim, b->dim, (size_t)a->rank * sizeof *a->dim) == 0;
}
