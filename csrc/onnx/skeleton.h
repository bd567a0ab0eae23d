/* skeleton.h - a model without its large payloads, so that weights need not be copied.
 *
 * Internal to csrc/onnx. Of a scanned ModelProto everything is copied but the raw_data of the graph's initializers that
 * have ESPQ_SKELETON_PAYLOAD bytes or more; in the copy, whose lengths are corrected, these are empty. The payloads stay
 * in the file's bytes, which become theirs: each is moved back by up to 3 bytes, over its own length field, so that
 * float32 elements are aligned. Tensors of wider elements are copied out of it by their reader.
 *
 *   espq_skeleton s;
 *   espq_skeleton_make(bytes, size, &s, err);     -- takes over bytes
 *   ... unpack s.bytes ... espq_skeleton_payload(&s, i) ...
 *   espq_skeleton_free(&s);                       -- payloads live as long as the tensors that view them
 */
#ifndef ESPQ_ONNX_SKELETON_H
#define ESPQ_ONNX_SKELETON_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

#include "tensor/tensor.h"

enum { ESPQ_SKELETON_PAYLOAD = 4096 };

/* Where the raw_data of an initializer lies; size 0: in the skeleton. */
typedef struct espq_payload {
  size_t offset, size;
} espq_payload;

typedef struct espq_file_bytes espq_file_bytes; /* counted: the file's bytes, shared by the tensors in them */

typedef struct espq_skeleton {
  unsigned char *bytes;
  size_t size;
  espq_payload *payloads; /* by initializer */
  size_t npayloads, payloads_capacity;
  espq_file_bytes *file;
} espq_skeleton;

/* bytes: of espq_alloc, scanned as a ModelProto; released with the skeleton and the last tensor, also on failure. */
espq_status espq_skeleton_make(unsigned char *bytes, size_t size, espq_skeleton *out, espq_error *err);
void espq_skeleton_free(espq_skeleton *skeleton);

/* The payload of initializer `index`, or one of size 0. */
espq_payload espq_skeleton_payload(const espq_skeleton *skeleton, size_t index);

/* A payload as the field that it was. */
ProtobufCBinaryData espq_skeleton_raw(const espq_skeleton *skeleton, espq_payload payload);

/* A tensor whose elements are a payload: a view of the file's bytes where it is aligned for its type, else a copy.
 * ESPQ_EFORMAT: the payload has not as many bytes as the shape needs. */
espq_status espq_skeleton_tensor(const espq_skeleton *skeleton, espq_payload payload, espq_dtype dtype, int rank,
                                 const int64_t *dim, espq_tensor **out, espq_error *err);

#endif
