/* tensor.h - dense arrays: an element type, a shape, and a view into refcounted storage.
 *
 * Invariants: elements are contiguous in C order, little endian; rank <= ESPQ_MAX_RANK; no dimension is
 * negative; count is their product and fits the storage. A tensor's elements may be shared with views:
 * who writes must have made the tensor (passes and kernels only write tensors they created).
 * Ownership: *_new, *_view, *_cast ... give the caller one reference, to be given back with
 * espq_tensor_release. Reference counts are atomic, contents are not.
 *
 *   int64_t dims[] = {2, 3};
 *   espq_tensor *t;
 *   if (espq_tensor_new(ESPQ_F32, 2, dims, &t, err)) return err->status;
 *   ((float *)t->data)[5] = 1;
 *   espq_tensor_release(t);
 */
#ifndef ESPQ_TENSOR_TENSOR_H
#define ESPQ_TENSOR_TENSOR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { ESPQ_MAX_RANK = 8 };

typedef enum espq_dtype {
#define ESPQ_DTYPE(id, name, size, onnx) ESPQ_##id,
#include "tensor/dtype.def"
#undef ESPQ_DTYPE
  ESPQ_DTYPE_COUNT,
  ESPQ_DTYPE_NONE = ESPQ_DTYPE_COUNT /* not known */
} espq_dtype;

size_t espq_dtype_size(espq_dtype dtype);      /* bytes of one element; 0 for NONE */
const char *espq_dtype_name(espq_dtype dtype); /* "float32" ...; "unknown" for NONE */
espq_dtype espq_dtype_parse(const char *name); /* NONE when there is none of this name */
int espq_dtype_onnx(espq_dtype dtype);         /* TensorProto.DataType code; 0 for NONE */
espq_dtype espq_dtype_from_onnx(int64_t code); /* NONE for strings, complex, ... */

typedef struct espq_storage {
  atomic_int refs;
  size_t bytes;
  unsigned char *data;
  void (*release)(struct espq_storage *storage, void *owner); /* NULL: data is an espq_alloc block */
  void *owner;
} espq_storage;

typedef struct espq_tensor {
  atomic_int refs;
  espq_dtype dtype;
  int rank;
  int64_t dim[ESPQ_MAX_RANK];
  int64_t count;
  espq_storage *storage;
  void *data;
} espq_tensor;

/* Number of elements of a shape. ESPQ_EFORMAT: rank or a dimension out of range; ESPQ_ELIMIT: overflow. */
espq_status espq_shape_count(int rank, const int64_t *dim, int64_t *count, espq_error *err);
/* Writes "2x3x4" (or "scalar"; a negative dimension as "?") into text; returns text. */
char *espq_shape_text(int rank, const int64_t *dim, char *text, size_t size);

espq_status espq_tensor_new(espq_dtype dtype, int rank, const int64_t *dim, espq_tensor **out, espq_error *err);
/* A copy of `bytes`, whose number must be exactly count * element size. */
espq_status espq_tensor_from_bytes(espq_dtype dtype, int rank, const int64_t *dim, const void *bytes, size_t size,
                                   espq_tensor **out, espq_error *err);
/* A tensor that looks at memory of somebody else; release(storage, owner) is called with the last reference,
 * and not on failure. */
espq_status espq_tensor_wrap(espq_dtype dtype, int rank, const int64_t *dim, void *data,
                             void (*release)(espq_storage *, void *), void *owner, espq_tensor **out, espq_error *err);
/* Shares base's elements [offset, offset + product of dim). */
espq_status espq_tensor_view(espq_tensor *base, int64_t offset, int rank, const int64_t *dim, espq_tensor **out,
                             espq_error *err);
espq_tensor *espq_tensor_retain(espq_tensor *tensor);
void espq_tensor_release(espq_tensor *tensor); /* NULL is allowed */
espq_status espq_tensor_copy(const espq_tensor *tensor, espq_tensor **out, espq_error *err);
size_t espq_tensor_bytes(const espq_tensor *tensor);
bool espq_tensor_same_shape(const espq_tensor *a, const espq_tensor *b);

#endif
