/* wire.h - writes protobuf's wire format by hand, so that tests can also write what no library would.
 *
 *   wire node = {0}, graph = {0};
 *   wire_text(&node, 4, "Relu");
 *   wire_message(&graph, 1, &node);      -- and empties node
 *   wire_free(&graph);
 */
#ifndef ESPQ_SPEC_WIRE_H
#define ESPQ_SPEC_WIRE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct wire {
  unsigned char *bytes;
  size_t size, capacity;
} wire;

static inline void wire_raw(wire *w, const void *bytes, size_t n) {
  if (w->size + n > w->capacity) {
    w->capacity = 2 * (w->size + n) + 64;
    w->bytes = realloc(w->bytes, w->capacity);
    if (!w->bytes) abort();
  }
  if (n) memcpy(w->bytes + w->size, bytes, n);
  w->size += n;
}

static inline void wire_varint(wire *w, uint64_t v) {
  do {
    unsigned char byte = (unsigned char)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
    wire_raw(w, &byte, 1);
    v >>= 7;
  } while (v);
}

static inline void wire_tag(wire *w, uint64_t field, unsigned type) { wire_varint(w, field << 3 | type); }

static inline void wire_int(wire *w, uint64_t field, int64_t v) {
  wire_tag(w, field, 0);
  wire_varint(w, (uint64_t)v);
}

static inline void wire_bytes(wire *w, uint64_t field, const void *bytes, size_t n) {
  wire_tag(w, field, 2);
  wire_varint(w, n);
  wire_raw(w, bytes, n);
}

static inline void wire_text(wire *w, uint64_t field, const char *text) { wire_bytes(w, field, text, strlen(text)); }

static inline void wire_float(wire *w, uint64_t field, float v) {
  wire_tag(w, field, 5);
  wire_raw(w, &v, sizeof v);
}

static inline void wire_free(wire *w) {
  free(w->bytes);
  *w = (wire){0};
}

/* Puts inner into w and empties it. */
static inline void wire_message(wire *w, uint64_t field, wire *inner) {
  wire_bytes(w, field, inner->bytes, inner->size);
  wire_free(inner);
}

/* `depth` messages inside each other, fields taken in turn from the list; made from the innermost outwards. */
static inline wire wire_nested(const uint64_t *fields, size_t nfields, size_t depth) {
  size_t room = depth * 12 + 16, at = room;
  unsigned char *buffer = malloc(room);
  if (!buffer) abort();
  for (size_t level = depth; level-- > 0;) {
    wire head = {0};
    wire_tag(&head, fields[level % nfields], 2);
    wire_varint(&head, room - at);
    at -= head.size;
    memcpy(buffer + at, head.bytes, head.size);
    wire_free(&head);
  }
  wire w = {0};
  wire_raw(&w, buffer + at, room - at);
  free(buffer);
  return w;
}

#endif
