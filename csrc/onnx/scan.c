#include "onnx/scan.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "onnx.pb-c.h"

typedef ProtobufCMessageDescriptor message_type;
typedef ProtobufCFieldDescriptor field_type;

enum { VARINT = 0, FIXED64 = 1, BLOCK = 2, GROUP = 3, GROUP_END = 4, FIXED32 = 5 };
enum { MAX_FIELDS = 32 }; /* of one message in onnx.proto; checked */

/* One message being read; the chain of frames is the path in error texts. */
typedef struct frame {
  const struct frame *up;
  const message_type *type;
  const field_type *field; /* being read; NULL: none yet, or an unknown one */
  int depth;
  size_t end;
  uint32_t count[MAX_FIELDS]; /* values read so far, by the field's index */
  uint32_t rank;              /* of a tensor: dimensions read so far, and their product, saturated */
  uint64_t elements;
  bool negative; /* one of them is: an error that is told later */
} frame;

typedef struct scanner {
  const uint8_t *bytes;
  size_t at;
  size_t items, unknown, loose, nodes;
  const espq_onnx_limits *limits;
  espq_error *err;
} scanner;

const espq_onnx_limits espq_onnx_usual_limits = {
#define USUAL(name, usual, what) .name = (usual),
    ESPQ_ONNX_LIMITS(USUAL)
#undef USUAL
};

/* --- errors --- */

static size_t put(char *text, size_t size, size_t used, const char *part) {
  int n = snprintf(text + used, size - used, "%s", part);
  return n < 0 ? used : used + (size_t)n < size ? used + (size_t)n : size - 1;
}

static size_t path_of(const frame *f, char *text, size_t size) {
  size_t used = f->up ? path_of(f->up, text, size) : put(text, size, 0, f->type->short_name);
  if (!f->field) return used;
  used = put(text, size, used, ".");
  used = put(text, size, used, f->field->name);
  if (f->field->label != PROTOBUF_C_LABEL_REPEATED) return used;
  char index[16];
  snprintf(index, sizeof index, "[%u]", f->count[f->field - f->type->fields]);
  return put(text, size, used, index);
}

static espq_status __attribute__((format(printf, 5, 6)))
refuse(const scanner *s, const frame *f, espq_status status, size_t at, const char *fmt, ...) {
  char path[512], reason[512];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(reason, sizeof reason, fmt, ap);
  va_end(ap);
  path_of(f, path, sizeof path);
  return espq_fail(s->err, status, "byte %zu: %s: %s", at, path, reason);
}

static const char *wire_name(unsigned wire) {
  static const char *const names[] = {"a varint",    "a 64-bit value",     "a length-prefixed block",
                                      "a group",     "the end of a group", "a 32-bit value",
                                      "wire type 6", "wire type 7"};
  return names[wire & 7];
}

/* --- primitives --- */

static espq_status read_varint(scanner *s, const frame *f, size_t end, uint64_t *out) {
  uint64_t value = 0;
  for (unsigned i = 0; i < 10; i++) {
    if (s->at + i >= end) return refuse(s, f, ESPQ_EFORMAT, s->at, "a varint is cut off by the end of its message");
    uint8_t byte = s->bytes[s->at + i];
    if (i == 9 && byte > 1) break;
    value |= (uint64_t)(byte & 0x7f) << (7 * i);
    if (byte & 0x80) continue;
    s->at += i + 1;
    *out = value;
    return ESPQ_OK;
  }
  return refuse(s, f, ESPQ_EFORMAT, s->at, "a varint has more than 64 bits");
}

static espq_status skip(scanner *s, const frame *f, size_t n) {
  if (n > f->end - s->at)
    return refuse(s, f, ESPQ_EFORMAT, s->at, "needs %zu bytes, but its message ends after %zu", n, f->end - s->at);
  s->at += n;
  return ESPQ_OK;
}

static espq_status read_length(scanner *s, const frame *f, size_t *length) {
  uint64_t value;
  size_t start = s->at;
  espq_status status = read_varint(s, f, f->end, &value);
  if (status) return status;
  if (value > f->end - s->at)
    return refuse(s, f, ESPQ_EFORMAT, start, "has length %" PRIu64 ", but its message ends after %zu bytes", value,
                  f->end - s->at);
  *length = (size_t)value;
  return ESPQ_OK;
}

/* Length of the UTF-8 sequence at p, or 0. */
static size_t utf8_length(const uint8_t *p, size_t left) {
  static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (p[0] < 0x80) return 1;
  size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
  if (p[0] < 0xc2 || p[0] > 0xf4 || n > left) return 0;
  uint32_t code = p[0] & (0x7fu >> n);
  for (size_t i = 1; i < n; i++) {
    if ((p[i] & 0xc0) != 0x80) return 0;
    code = code << 6 | (p[i] & 0x3f);
  }
  return code < smallest[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0 : n;
}

/* Of ASCII or of Latin-1: names are printed line by line, on terminals too. */
static bool is_control(const uint8_t *p) { return *p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] < 0xa0); }

/* --- what the schema cannot say --- */

/* Descriptions and values of key-value pairs: any length, any encoding. */
static bool is_free_text(const field_type *field) {
  return strcmp(field->name, "doc_string") == 0 || strcmp(field->name, "value") == 0;
}

/* How many values a field may have, and the option that says so, or NULL. */
typedef struct bound {
  uint64_t most;
  const char *option;
} bound;

static bound bound_of(const scanner *s, const message_type *type, const field_type *field) {
  const bound nodes = {s->limits->nodes, "nodes"}, outputs = {ESPQ_ONNX_MAX_OUTPUTS, NULL};
  const struct {
    const message_type *type;
    uint32_t field;
    bound bound;
  } bounds[] = {
      {&onnx__graph_proto__descriptor, 5, nodes},  /* initializer */
      {&onnx__graph_proto__descriptor, 13, nodes}, /* value_info */
      {&onnx__graph_proto__descriptor, 11, nodes}, /* input: old files list the initializers here */
      {&onnx__graph_proto__descriptor, 12, outputs},
      {&onnx__node_proto__descriptor, 1, {s->limits->inputs, "inputs"}},
      {&onnx__node_proto__descriptor, 2, outputs},
      {&onnx__node_proto__descriptor, 5, {ESPQ_ONNX_MAX_ATTRIBUTES, NULL}},
      {&onnx__model_proto__descriptor, 8, {ESPQ_ONNX_MAX_OPSETS, NULL}},
      {&onnx__tensor_shape_proto__descriptor, 1, {s->limits->rank, "rank"}},
  };
  for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++)
    if (bounds[i].type == type && bounds[i].field == field->id) return bounds[i].bound;
  return (bound){UINT32_MAX, NULL};
}

static espq_status exceed(const scanner *s, const frame *f, size_t at, uint64_t got, const char *what, bound b) {
  if (!b.option)
    return refuse(s, f, ESPQ_ELIMIT, at, "%" PRIu64 " %s or more, the limit is %" PRIu64, got, what, b.most);
  return refuse(s, f, ESPQ_ELIMIT, at, "%" PRIu64 " %s or more, the limit is %" PRIu64 " (--limit-%s)", got, what,
                b.most, b.option);
}

/* Nodes count wherever they are: in the graph, in functions, in branches and bodies. */
static espq_status count_value(scanner *s, const frame *f, size_t start) {
  bound b = bound_of(s, f->type, f->field), nodes = {s->limits->nodes, "nodes"};
  uint32_t count = f->count[f->field - f->type->fields];
  if (f->field->descriptor == &onnx__node_proto__descriptor && ++s->nodes > nodes.most)
    return exceed(s, f, start, s->nodes, "nodes", nodes);
  return count < b.most ? ESPQ_OK : exceed(s, f, start, (uint64_t)count + 1, "of them", b);
}

static bool is_dims(const frame *f) {
  return (f->type == &onnx__tensor_proto__descriptor || f->type == &onnx__sparse_tensor_proto__descriptor) &&
         strcmp(f->field->name, "dims") == 0;
}

static espq_status take_dim(scanner *s, frame *f, uint64_t dim) {
  if (!is_dims(f)) return ESPQ_OK;
  if (f->rank >= s->limits->rank)
    return exceed(s, f, s->at, f->rank + 1, "dimensions", (bound){s->limits->rank, "rank"});
  uint64_t before = f->rank++ ? f->elements : 1;
  f->negative |= dim > INT64_MAX;
  if (__builtin_mul_overflow(before, dim, &f->elements)) f->elements = UINT64_MAX;
  return ESPQ_OK;
}

/* When all dimensions of a tensor are known: one of them may be 0. */
static espq_status check_elements(scanner *s, frame *f) {
  if (!f->rank || f->negative || f->elements <= s->limits->elements) return ESPQ_OK;
  f->field = NULL;
  return exceed(s, f, s->at, f->elements, "elements", (bound){s->limits->elements, "elements"});
}

static unsigned wire_of(ProtobufCType type) {
  switch (type) {
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT: return FIXED32;
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE: return FIXED64;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE: return BLOCK;
    default: return VARINT;
  }
}

/* --- values --- */

static espq_status scan_message(scanner *s, frame *f);

static espq_status scan_string(scanner *s, const frame *f, size_t length) {
  const uint8_t *text = s->bytes + s->at;
  if (memchr(text, 0, length)) return refuse(s, f, ESPQ_EFORMAT, s->at, "a string holds a NUL character");
  if (!is_free_text(f->field)) {
    if (length > ESPQ_ONNX_MAX_NAME)
      return refuse(s, f, ESPQ_ELIMIT, s->at, "a name of %zu bytes, the limit is %d", length, ESPQ_ONNX_MAX_NAME);
    for (size_t i = 0, n; i < length; i += n) {
      if (!(n = utf8_length(text + i, length - i)))
        return refuse(s, f, ESPQ_EFORMAT, s->at + i, "a name is not valid UTF-8");
      if (is_control(text + i)) return refuse(s, f, ESPQ_EFORMAT, s->at + i, "a name holds a control character");
    }
  }
  return skip(s, f, length);
}

static espq_status scan_packed(scanner *s, frame *f, size_t length) {
  unsigned wire = wire_of(f->field->type);
  if (wire == VARINT) {
    uint64_t value;
    for (size_t end = s->at + length; s->at < end;) {
      espq_status status = read_varint(s, f, end, &value);
      if (!status) status = take_dim(s, f, value);
      if (status) return status;
    }
    return ESPQ_OK;
  }
  size_t width = wire == FIXED32 ? 4 : 8;
  if (length % width)
    return refuse(s, f, ESPQ_EFORMAT, s->at, "has %zu bytes, expected a multiple of %zu", length, width);
  return skip(s, f, length);
}

static espq_status scan_block(scanner *s, frame *f) {
  size_t length;
  espq_status status = read_length(s, f, &length);
  if (status) return status;
  if (wire_of(f->field->type) != BLOCK) return scan_packed(s, f, length);
  if (s->items++ >= ESPQ_ONNX_MAX_ITEMS)
    return refuse(s, f, ESPQ_ELIMIT, s->at, "the model has more than %d messages and strings", ESPQ_ONNX_MAX_ITEMS);
  if (f->field->type == PROTOBUF_C_TYPE_STRING) return scan_string(s, f, length);
  if (f->field->type == PROTOBUF_C_TYPE_BYTES) return skip(s, f, length);
  frame inner = {.up = f, .type = f->field->descriptor, .depth = f->depth + 1, .end = s->at + length};
  return scan_message(s, &inner);
}

static espq_status scan_value(scanner *s, frame *f, unsigned wire) {
  uint64_t value;
  if (wire == BLOCK) return scan_block(s, f);
  if (f->field->label == PROTOBUF_C_LABEL_REPEATED && s->loose++ >= ESPQ_ONNX_MAX_LOOSE)
    return refuse(s, f, ESPQ_ELIMIT, s->at, "more than %d numbers that are not packed", ESPQ_ONNX_MAX_LOOSE);
  if (wire != VARINT) return skip(s, f, wire == FIXED32 ? 4 : 8);
  espq_status status = read_varint(s, f, f->end, &value);
  return status ? status : take_dim(s, f, value);
}

static espq_status scan_known(scanner *s, frame *f, unsigned wire, size_t start) {
  unsigned expected = wire_of(f->field->type);
  bool repeated = f->field->label == PROTOBUF_C_LABEL_REPEATED;
  if (wire != expected && !(repeated && wire == BLOCK))
    return refuse(s, f, ESPQ_EFORMAT, start, "expected %s, got %s", wire_name(expected), wire_name(wire));
  uint32_t *count = &f->count[f->field - f->type->fields];
  if (!repeated && *count) return refuse(s, f, ESPQ_EFORMAT, start, "appears twice");
  espq_status status = wire == BLOCK ? count_value(s, f, start) : ESPQ_OK;
  if (!status) status = scan_value(s, f, wire);
  if (status == ESPQ_OK && *count < UINT32_MAX) ++*count;
  return status;
}

static espq_status scan_unknown(scanner *s, frame *f, unsigned wire, uint32_t number) {
  uint64_t ignored;
  size_t length;
  if (s->unknown++ >= ESPQ_ONNX_MAX_UNKNOWN)
    return refuse(s, f, ESPQ_ELIMIT, s->at, "more than %d unknown fields (this one is field %u)", ESPQ_ONNX_MAX_UNKNOWN,
                  number);
  if (wire == VARINT) return read_varint(s, f, f->end, &ignored);
  if (wire != BLOCK) return skip(s, f, wire == FIXED32 ? 4 : 8);
  espq_status status = read_length(s, f, &length);
  return status ? status : skip(s, f, length);
}

/* Tag: field number and wire type, at most five bytes. */
static espq_status read_tag(scanner *s, const frame *f, uint32_t *number, unsigned *wire) {
  uint64_t tag;
  size_t start = s->at;
  espq_status status = read_varint(s, f, f->end, &tag);
  if (status) return status;
  *wire = tag & 7;
  *number = (uint32_t)(tag >> 3);
  if (tag > UINT32_MAX || s->at - start > 5 || *number == 0)
    return refuse(s, f, ESPQ_EFORMAT, start, "field number %" PRIu64 " is out of range", tag >> 3);
  if (*wire == GROUP || *wire == GROUP_END || *wire > FIXED32)
    return refuse(s, f, ESPQ_EFORMAT, start, "field %u is %s, which no ONNX file has", *number, wire_name(*wire));
  return ESPQ_OK;
}

static espq_status scan_message(scanner *s, frame *f) {
  if ((uint64_t)f->depth > s->limits->depth)
    return exceed(s, f, s->at, (uint64_t)f->depth, "messages inside messages", (bound){s->limits->depth, "depth"});
  if (f->type->n_fields > MAX_FIELDS) return refuse(s, f, ESPQ_EBUG, s->at, "MAX_FIELDS is too small");
  while (s->at < f->end) {
    uint32_t number;
    unsigned wire;
    size_t start = s->at;
    f->field = NULL;
    espq_status status = read_tag(s, f, &number, &wire);
    if (status) return status;
    f->field = protobuf_c_message_descriptor_get_field(f->type, number);
    status = f->field ? scan_known(s, f, wire, start) : scan_unknown(s, f, wire, number);
    if (status) return status;
  }
  return check_elements(s, f);
}

espq_status espq_onnx_scan(const ProtobufCMessageDescriptor *type, const void *bytes, size_t size,
                           const espq_onnx_limits *limits, espq_error *err) {
  scanner s = {.bytes = bytes, .limits = limits, .err = err};
  frame root = {.type = type, .depth = 1, .end = size};
  return scan_message(&s, &root);
}
