#include "onnx/skeleton.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#include "base/alloc.h"

/* Field numbers of onnx.proto. */
enum { MODEL_GRAPH = 7, GRAPH_INITIALIZER = 5, TENSOR_RAW_DATA = 9 };

struct espq_file_bytes {
  atomic_int refs;
  unsigned char *bytes;
};

static void release(espq_file_bytes *file) {
  if (!file || atomic_fetch_sub(&file->refs, 1) > 1) return;
  espq_free(file->bytes);
  espq_free(file);
}

/* --- the wire format, already scanned: nothing is checked again --- */

typedef struct cursor {
  unsigned char *bytes;
  size_t at, end;
} cursor;

/* A field: from `start` to `end`; a block's content begins at `content`. */
typedef struct field {
  uint32_t number;
  unsigned wire;
  size_t start, content, end;
} field;

static uint64_t varint(cursor *c) {
  uint64_t value = 0;
  for (unsigned shift = 0;; shift += 7) {
    uint8_t byte = c->bytes[c->at++];
    value |= (uint64_t)(byte & 0x7f) << shift;
    if (!(byte & 0x80)) return value;
  }
}

static bool next(cursor *c, field *f) {
  if (c->at >= c->end) return false;
  f->start = c->at;
  uint64_t tag = varint(c);
  f->number = (uint32_t)(tag >> 3);
  f->wire = tag & 7;
  if (f->wire == 0) varint(c);
  size_t size = f->wire == 1 ? 8 : f->wire == 5 ? 4 : f->wire == 2 ? (size_t)varint(c) : 0;
  f->content = c->at;
  f->end = c->at += size;
  return true;
}

/* --- the copy --- */

typedef struct output {
  unsigned char *bytes;
  size_t size, capacity;
  bool failed;
} output;

static void put(output *o, const void *bytes, size_t n) {
  if (!n) return;
  unsigned char *grown = o->failed ? NULL : espq_grow(o->bytes, &o->capacity, o->size + n, 1);
  if (!grown) {
    o->failed = true;
    return;
  }
  o->bytes = grown;
  memcpy(o->bytes + o->size, bytes, n);
  o->size += n;
}

static void put_varint(output *o, uint64_t value) {
  do {
    unsigned char byte = (unsigned char)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
    put(o, &byte, 1);
    value >>= 7;
  } while (value);
}

/* The field with other content. */
static void put_message(output *o, uint32_t number, output *content) {
  put_varint(o, (uint64_t)number << 3 | 2);
  put_varint(o, content->size);
  put(o, content->bytes, content->size);
  o->failed |= content->failed;
  espq_free(content->bytes);
}

static void note_payload(espq_skeleton *s, output *o, espq_payload payload) {
  espq_payload *grown = espq_grow(s->payloads, &s->payloads_capacity, s->npayloads + 1, sizeof *grown);
  if (!grown) {
    o->failed = true;
    return;
  }
  s->payloads = grown;
  s->payloads[s->npayloads++] = payload;
}

/* Back to a multiple of 4: over bytes of the field's tag and length, which the copy has written anew. */
static espq_payload align(const cursor *c, const field *f) {
  size_t size = f->end - f->content, back = f->content % 4;
  if (f->content - f->start < back) back = 0;
  if (back) memmove(c->bytes + f->content - back, c->bytes + f->content, size);
  return (espq_payload){f->content - back, size};
}

static void copy_tensor(espq_skeleton *s, cursor c, output *o) {
  field f;
  espq_payload payload = {0};
  output inner = {0};
  while (next(&c, &f)) {
    bool large = f.number == TENSOR_RAW_DATA && f.wire == 2 && f.end - f.content >= ESPQ_SKELETON_PAYLOAD;
    if (!large) {
      put(&inner, c.bytes + f.start, f.end - f.start);
      continue;
    }
    output empty = {0};
    put_message(&inner, f.number, &empty);
    payload = align(&c, &f);
  }
  put_message(o, GRAPH_INITIALIZER, &inner);
  note_payload(s, o, payload);
}

static void copy_graph(espq_skeleton *s, cursor c, output *o) {
  field f;
  output inner = {0};
  while (next(&c, &f)) {
    if (f.number == GRAPH_INITIALIZER && f.wire == 2) copy_tensor(s, (cursor){c.bytes, f.content, f.end}, &inner);
    else put(&inner, c.bytes + f.start, f.end - f.start);
  }
  put_message(o, MODEL_GRAPH, &inner);
}

static bool copy_model(espq_skeleton *s, cursor c) {
  field f;
  output o = {0};
  while (next(&c, &f)) {
    if (f.number == MODEL_GRAPH && f.wire == 2) copy_graph(s, (cursor){c.bytes, f.content, f.end}, &o);
    else put(&o, c.bytes + f.start, f.end - f.start);
  }
  s->bytes = o.bytes;
  s->size = o.size;
  return !o.failed;
}

espq_status espq_skeleton_make(unsigned char *bytes, size_t size, espq_skeleton *out, espq_error *err) {
  *out = (espq_skeleton){.file = espq_calloc(1, sizeof *out->file)};
  if (!out->file) {
    espq_free(bytes);
    return espq_fail_memory(err);
  }
  atomic_init(&out->file->refs, 1);
  out->file->bytes = bytes;
  if (copy_model(out, (cursor){bytes, 0, size})) return ESPQ_OK;
  espq_skeleton_free(out);
  return espq_fail_memory(err);
}

void espq_skeleton_free(espq_skeleton *skeleton) {
  espq_free(skeleton->bytes);
  espq_free(skeleton->payloads);
  release(skeleton->file);
  *skeleton = (espq_skeleton){0};
}

/* --- tensors --- */

espq_payload espq_skeleton_payload(const espq_skeleton *s, size_t index) {
  return s && index < s->npayloads ? s->payloads[index] : (espq_payload){0};
}

ProtobufCBinaryData espq_skeleton_raw(const espq_skeleton *s, espq_payload payload) {
  return (ProtobufCBinaryData){payload.size, s->file->bytes + payload.offset};
}

static void drop_view(espq_storage *storage, void *owner) {
  (void)storage;
  release(owner);
}

espq_status espq_skeleton_tensor(const espq_skeleton *s, espq_payload payload, espq_dtype dtype, int rank,
                                 const int64_t *dim, espq_tensor **out, espq_error *err) {
  int64_t count;
  size_t size = espq_dtype_size(dtype);
  unsigned char *data = s->file->bytes + payload.offset;
  espq_status status = espq_shape_count(rank, dim, &count, err);
  if (status) return status;
  if ((size_t)count != payload.size / size || payload.size % size || payload.offset % size)
    return espq_tensor_from_bytes(dtype, rank, dim, data, payload.size, out, err);
  atomic_fetch_add(&s->file->refs, 1);
  status = espq_tensor_wrap(dtype, rank, dim, data, drop_view, s->file, out, err);
  if (status) release(s->file);
  return status;
}
