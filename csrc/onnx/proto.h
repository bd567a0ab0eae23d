/* proto.h - the generated messages, and how tensors and attributes cross between them and the graph.
 *
 * Internal to csrc/onnx. Decoding: messages live in an arena that dies after the graph is made, so everything is
 * copied (espq_onnx_tensor_decode is the one place where payloads are). Encoding: messages point into the
 * graph, which must outlive them; only what has no counterpart there is made in the arena.
 */
#ifndef ESPQ_ONNX_PROTO_H
#define ESPQ_ONNX_PROTO_H

#include "graph/graph.h"
#include "onnx.pb-c.h"
#include "onnx/checksum.h"
#include "onnx/read.h"
#include "onnx/skeleton.h"

/* Where a model comes from. */
typedef struct espq_onnx_source {
  const char *dir;      /* folder of external data; NULL: none is allowed */
  size_t external_left; /* bytes that may still be read from there */
  espq_onnx_checksums sums;
  const espq_skeleton
      *skeleton; /* whose payload is the raw_data of the tensor that is decoded; NULL: raw_data itself */
  espq_payload payload;
  size_t spliced; /* nodes of functions and bodies that were put in place */
  size_t dense;   /* bytes that sparse tensors have become */
  const espq_onnx_limits *limits;
  espq_onnx_notes *notes;
} espq_onnx_source;

/* Adds a line; notes may be NULL. */
void espq_onnx_note(espq_onnx_notes *notes, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Unpacks scanned bytes; the message lives as long as the arena. */
espq_status espq_onnx_unpack(const ProtobufCMessageDescriptor *type, const void *bytes, size_t size, espq_arena *arena,
                             ProtobufCMessage **out, espq_error *err);

/* The text of an optional string: "" when it is absent. */
static inline const char *espq_onnx_text(const char *text) { return text ? text : ""; }

/* Name of a TensorProto.DataType code for messages, also of those we do not read. */
const char *espq_onnx_dtype_name(int32_t code);

/* The element type that a TensorProto.DataType becomes here: bfloat16 float32, 4-bit integers 8-bit ones. */
espq_dtype espq_onnx_dtype(int32_t code);

/* Raw, typed or external data as a new tensor. Errors do not name the tensor: the caller does. */
espq_status espq_onnx_tensor_decode(const Onnx__TensorProto *proto, espq_onnx_source *source, espq_tensor **out,
                                    espq_error *err);
void espq_onnx_tensor_encode(const espq_tensor *tensor, const char *name, Onnx__TensorProto *proto);

/* Constant nodes (constant.c): the tensor of one; and a sparse tensor as a dense one. */
bool espq_onnx_is_constant(const Onnx__NodeProto *node);
espq_status espq_onnx_constant_decode(const Onnx__NodeProto *node, espq_onnx_source *source, espq_tensor **out,
                                      espq_error *err);
espq_status espq_onnx_sparse_decode(const Onnx__SparseTensorProto *proto, espq_onnx_source *source, espq_tensor **out,
                                    espq_error *err);

/* Adds the attribute to the node; subgraphs and sparse tensors are carried along as bytes. */
espq_status espq_onnx_attribute_decode(const Onnx__AttributeProto *proto, espq_onnx_source *source, espq_graph *graph,
                                       espq_id node, espq_error *err);
espq_status espq_onnx_attribute_encode(const espq_attr *attr, espq_arena *arena, Onnx__AttributeProto **out,
                                       espq_error *err);

#endif
