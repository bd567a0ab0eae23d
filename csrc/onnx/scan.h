/* scan.h - looks at every tag and length of a serialized ModelProto (or TensorProto) before protobuf-c does.
 *
 * protobuf-c trusts its input more than we do: it recurses without limit, merges a message that appears twice, and
 * allocates whatever counts a file claims. What passes this scan is well formed, within the limits, has every field in
 * its declared wire type, singular fields once, no groups, names that are short UTF-8 without NUL, and few enough
 * elements for the memory of protobuf-c to stay in proportion to the file. Tensor payloads are skipped, fields we do
 * not know are skipped and counted.
 *
 * The schema is the one of proto/onnx.proto, through the descriptors that protoc-c generates: there is no second list
 * of fields. Refusals name the place: "byte 211: ModelProto.graph.node[3].attribute[0]: ...".
 *
 *   if (espq_onnx_scan(&onnx__model_proto__descriptor, bytes, size, &espq_onnx_usual_limits, err)) return err->status;
 */
#ifndef ESPQ_ONNX_SCAN_H
#define ESPQ_ONNX_SCAN_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

#include "base/error.h"
#include "onnx/limits.h"

enum {
  ESPQ_ONNX_MAX_NAME = 65535,     /* bytes of a name */
  ESPQ_ONNX_MAX_ITEMS = 2000000,  /* messages, strings and byte strings in the whole file */
  ESPQ_ONNX_MAX_UNKNOWN = 100000, /* fields that onnx.proto does not have */
  ESPQ_ONNX_MAX_LOOSE = 1 << 25,  /* numbers that are neither packed nor raw data */
  ESPQ_ONNX_MAX_INPUTS = 4096,    /* of the graph, without the initializers that old files list there */
  ESPQ_ONNX_MAX_OUTPUTS = 4096,   /* of one node or graph */
  ESPQ_ONNX_MAX_ATTRIBUTES = 256, /* of one node */
  ESPQ_ONNX_MAX_OPSETS = 256      /* entries of opset_import */
};

/* ESPQ_EFORMAT: not the wire format of a message of this type; ESPQ_ELIMIT: one of the limits above, which the message
 * names with its option. */
espq_status espq_onnx_scan(const ProtobufCMessageDescriptor *type, const void *bytes, size_t size,
                           const espq_onnx_limits *limits, espq_error *err);

#endif
