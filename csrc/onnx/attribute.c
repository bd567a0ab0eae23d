/* AttributeProto <-> attribute. */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "onnx/proto.h"

#define KIND(name) ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__##name

/* An empty byte string comes as NULL; in the graph NULL means that there is none. */
static espq_string string_of(ProtobufCBinaryData bytes) {
  return bytes.len ? (espq_string){(const char *)bytes.data, bytes.len} : (espq_string){"", 0};
}

static ProtobufCBinaryData bytes_of(espq_string s) { return (ProtobufCBinaryData){s.size, (uint8_t *)s.text}; }

/* --- decode --- */

static espq_status set_strings(const Onnx__AttributeProto *p, espq_attr *a, espq_graph *graph, espq_id node,
                               espq_error *err) {
  a->kind = ESPQ_ATTR_STRINGS;
  a->n = p->n_strings;
  a->strings = espq_calloc(a->n, sizeof *a->strings);
  if (!a->strings) return espq_fail_memory(err);
  for (size_t i = 0; i < a->n; i++) a->strings[i] = string_of(p->strings[i]);
  espq_status status = espq_node_set_attr(graph, node, a, err);
  espq_free(a->strings);
  return status;
}

static espq_status set_tensor(const Onnx__AttributeProto *p, espq_attr *a, espq_onnx_source *source, espq_graph *graph,
                              espq_id node, espq_error *err) {
  a->kind = ESPQ_ATTR_TENSOR;
  if (!p->t) return espq_fail(err, ESPQ_EFORMAT, "is a tensor, but has none");
  espq_status status = espq_onnx_tensor_decode(p->t, source, &a->tensor, err);
  if (status) return status;
  status = espq_node_set_attr(graph, node, a, err);
  espq_tensor_release(a->tensor);
  return status;
}

static espq_status set_opaque(const Onnx__AttributeProto *p, espq_attr *a, espq_graph *graph, espq_id node,
                              espq_error *err) {
  a->kind = ESPQ_ATTR_OPAQUE;
  a->s.size = onnx__attribute_proto__get_packed_size(p);
  uint8_t *bytes = espq_alloc(a->s.size);
  if (!bytes) return espq_fail_memory(err);
  onnx__attribute_proto__pack(p, bytes);
  a->s.text = (const char *)bytes;
  espq_status status = espq_node_set_attr(graph, node, a, err);
  espq_free(bytes);
  return status;
}

espq_status espq_onnx_attribute_decode(const Onnx__AttributeProto *p, espq_onnx_source *source, espq_graph *graph,
                                       espq_id node, espq_error *err) {
  espq_attr a = {.name = p->name};
  if (p->ref_attr_name && *p->ref_attr_name)
    return espq_fail(err, ESPQ_EFORMAT, "refers to attribute '%.100s' of a function, outside of any", p->ref_attr_name);
  switch (p->type) {
    case KIND(FLOAT): a.kind = ESPQ_ATTR_FLOAT, a.f = p->f; break;
    case KIND(INT): a.kind = ESPQ_ATTR_INT, a.i = p->i; break;
    case KIND(STRING): a.kind = ESPQ_ATTR_STRING, a.s = string_of(p->s); break;
    case KIND(FLOATS): a.kind = ESPQ_ATTR_FLOATS, a.n = p->n_floats, a.floats = p->floats; break;
    case KIND(INTS): a.kind = ESPQ_ATTR_INTS, a.n = p->n_ints, a.ints = p->ints; break;
    case KIND(STRINGS): return set_strings(p, &a, graph, node, err);
    case KIND(TENSOR): return set_tensor(p, &a, source, graph, node, err);
    case KIND(GRAPH):
    case KIND(GRAPHS):
    case KIND(TENSORS):
    case KIND(SPARSE_TENSOR):
    case KIND(SPARSE_TENSORS):
    case KIND(TYPE_PROTO):
    case KIND(TYPE_PROTOS): return set_opaque(p, &a, graph, node, err);
    default: return espq_fail(err, ESPQ_EFORMAT, "type is %d, expected 1 to 14", (int)p->type);
  }
  return espq_node_set_attr(graph, node, &a, err);
}

/* --- encode --- */

static espq_status encode_strings(const espq_attr *a, espq_arena *arena, Onnx__AttributeProto *p, espq_error *err) {
  p->type = KIND(STRINGS);
  p->n_strings = a->n;
  p->strings = espq_arena_alloc(arena, a->n, sizeof *p->strings);
  if (!p->strings) return espq_fail_memory(err);
  for (size_t i = 0; i < a->n; i++) p->strings[i] = bytes_of(a->strings[i]);
  return ESPQ_OK;
}

static espq_status encode_tensor(const espq_attr *a, espq_arena *arena, Onnx__AttributeProto *p, espq_error *err) {
  p->type = KIND(TENSOR);
  p->t = espq_arena_alloc(arena, 1, sizeof *p->t);
  if (!p->t) return espq_fail_memory(err);
  espq_onnx_tensor_encode(a->tensor, NULL, p->t);
  return ESPQ_OK;
}

static espq_status encode_value(const espq_attr *a, espq_arena *arena, Onnx__AttributeProto *p, espq_error *err) {
  switch (a->kind) {
    case ESPQ_ATTR_INT: p->type = KIND(INT), p->has_i = 1, p->i = a->i; return ESPQ_OK;
    case ESPQ_ATTR_FLOAT: p->type = KIND(FLOAT), p->has_f = 1, p->f = a->f; return ESPQ_OK;
    case ESPQ_ATTR_STRING: p->type = KIND(STRING), p->has_s = 1, p->s = bytes_of(a->s); return ESPQ_OK;
    case ESPQ_ATTR_INTS: p->type = KIND(INTS), p->n_ints = a->n, p->ints = a->ints; return ESPQ_OK;
    case ESPQ_ATTR_FLOATS: p->type = KIND(FLOATS), p->n_floats = a->n, p->floats = a->floats; return ESPQ_OK;
    case ESPQ_ATTR_STRINGS: return encode_strings(a, arena, p, err);
    case ESPQ_ATTR_TENSOR: return encode_tensor(a, arena, p, err);
    default: return espq_fail(err, ESPQ_EBUG, "attribute '%.100s' has no kind", a->name);
  }
}

espq_status espq_onnx_attribute_encode(const espq_attr *a, espq_arena *arena, Onnx__AttributeProto **out,
                                       espq_error *err) {
  if (a->kind == ESPQ_ATTR_OPAQUE)
    return espq_onnx_unpack(&onnx__attribute_proto__descriptor, a->s.text, a->s.size, arena, (ProtobufCMessage **)out,
                            err);
  Onnx__AttributeProto *p = espq_arena_alloc(arena, 1, sizeof *p);
  if (!p) return espq_fail_memory(err);
  onnx__attribute_proto__init(p);
  p->name = (char *)a->name;
  p->has_type = 1;
  *out = p;
  return encode_value(a, arena, p, err);
}
