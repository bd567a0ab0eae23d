/* external.h - tensor data that lies in a file beside the model.
 *
 * A location is a relative path that stays inside the model's folder: no "..", no absolute path, no symbolic link on
 * the way, a regular file with one name only (a hard link could be any file of the user). The checks are made on the
 * open file, so that swapping it afterwards changes nothing. Offset and length are held against the file's size
 * before memory is asked for, a checksum against what the file holds.
 */
#ifndef ESPQ_ONNX_EXTERNAL_H
#define ESPQ_ONNX_EXTERNAL_H

#include "onnx/checksum.h"
#include "tensor/tensor.h"

typedef struct espq_onnx_external {
  const char *location;
  uint64_t offset;
  bool has_length;
  uint64_t length;
  const char *checksum; /* SHA-1 of the file in hexadecimal digits, or NULL */
} espq_onnx_external;

/* Takes one key and value of TensorProto.external_data; unknown keys are ignored. ESPQ_EFORMAT: not a number. */
espq_status espq_onnx_external_set(espq_onnx_external *external, const char *key, const char *value, espq_error *err);

/* Makes the tensor from the file's bytes. dir: the model's folder; sums: what all tensors of a model share. */
espq_status espq_onnx_external_load(const espq_onnx_external *external, const char *dir, espq_dtype dtype, int rank,
                                    const int64_t *dim, espq_onnx_checksums *sums, espq_tensor **out, espq_error *err);

#endif
