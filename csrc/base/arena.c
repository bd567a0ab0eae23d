#include "base/arena.h"

#include <stdint.h>
#include <string.h>

#include "base/alloc.h"

enum { CHUNK = 16 * 1024, ALIGN = 16 };

typedef struct chunk {
  struct chunk *next;
  size_t used, size;
  _Alignas(16) unsigned char data[];
} chunk;

struct espq_arena {
  chunk *head;
  size_t bytes;
};

espq_arena *espq_arena_new(void) { return espq_calloc(1, sizeof(espq_arena)); }

void espq_arena_free(espq_arena *arena) {
  if (!arena) return;
  for (chunk *c = arena->head; c;) {
    chunk *next = c->next;
    espq_free(c);
    c = next;
  }
  espq_free(arena);
}

static chunk *chunk_new(espq_arena *arena, size_t bytes) {
  size_t size = bytes > CHUNK ? bytes : CHUNK;
  chunk *c = espq_alloc(sizeof *c + size);
  if (!c) return NULL;
  *c = (chunk){.next = arena->head, .size = size};
  arena->head = c;
  arena->bytes += sizeof *c + size;
  return c;
}

void *espq_arena_alloc(espq_arena *arena, size_t n, size_t size) {
  if (size && n > ESPQ_ALLOC_MAX / size) return NULL;
  size_t bytes = (n * size + ALIGN - 1) / ALIGN * ALIGN;
  chunk *c = arena->head;
  if (!c || c->size - c->used < bytes) c = chunk_new(arena, bytes);
  if (!c) return NULL;
  void *block = c->data + c->used;
  c->used += bytes;
  memset(block, 0, bytes);
  return block;
}

char *espq_arena_strndup(espq_arena *arena, const char *text, size_t len) {
  if (len == SIZE_MAX) return NULL;
  char *copy = espq_arena_alloc(arena, len + 1, 1);
  if (copy && len) memcpy(copy, text, len);
  return copy;
}

char *espq_arena_strdup(espq_arena *arena, const char *text) { return espq_arena_strndup(arena, text, strlen(text)); }

size_t espq_arena_bytes(const espq_arena *arena) { return arena->bytes; }
