#include "onnx/proto.h"

#include <stdio.h>

void espq_onnx_note(espq_onnx_notes *notes, const char *fmt, ...) {
  if (!notes) return;
  size_t used = 0;
  while (used < sizeof notes->text && notes->text[used]) used++;
  if (notes->count++) used += (size_t)snprintf(notes->text + used, sizeof notes->text - used, "\n");
  if (used >= sizeof notes->text) return;
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(notes->text + used, sizeof notes->text - used, fmt, ap);
  va_end(ap);
}

/* protobuf-c allocates from an arena and gives nothing back: one free for the whole message. */
typedef struct pool {
  espq_arena *arena;
  bool failed;
} pool;

static void *pool_alloc(void *data, size_t size) {
  pool *p = data;
  void *block = espq_arena_alloc(p->arena, 1, size);
  if (!block) p->failed = true;
  return block;
}

static void pool_free(void *data, void *block) {
  (void)data;
  (void)block;
}

espq_status espq_onnx_unpack(const ProtobufCMessageDescriptor *type, const void *bytes, size_t size, espq_arena *arena,
                             ProtobufCMessage **out, espq_error *err) {
  pool p = {.arena = arena};
  ProtobufCAllocator allocator = {pool_alloc, pool_free, &p};
  *out = protobuf_c_message_unpack(type, &allocator, size, bytes);
  if (*out) return ESPQ_OK;
  return p.failed ? espq_fail_memory(err) : espq_fail(err, ESPQ_EFORMAT, "not a valid %s", type->short_name);
}
