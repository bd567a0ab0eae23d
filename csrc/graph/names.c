#include "graph/names.h"

#include <string.h>

#include "base/alloc.h"

typedef struct slot {
  const char *name; /* NULL: never used */
  int32_t id;       /* -1: removed */
} slot;

struct espq_names {
  slot *slots;
  size_t size, used; /* size is a power of two; used counts removed slots too */
};

enum { FIRST_SIZE = 64 };

static uint64_t hash(const char *name) {
  uint64_t h = 14695981039346656037u; /* FNV-1a */
  for (; *name; name++) h = (h ^ (unsigned char)*name) * 1099511628211u;
  return h ^ (h >> 32);
}

espq_names *espq_names_new(void) {
  espq_names *n = espq_calloc(1, sizeof *n);
  if (!n) return NULL;
  n->size = FIRST_SIZE;
  n->slots = espq_calloc(n->size, sizeof *n->slots);
  if (n->slots) return n;
  espq_free(n);
  return NULL;
}

void espq_names_free(espq_names *names) {
  if (!names) return;
  espq_free(names->slots);
  espq_free(names);
}

/* The slot that holds name, or the first never-used one where it would go. */
static slot *find(slot *slots, size_t size, const char *name) {
  for (size_t i = hash(name) & (size - 1);; i = (i + 1) & (size - 1))
    if (!slots[i].name || strcmp(slots[i].name, name) == 0) return &slots[i];
}

int32_t espq_names_get(const espq_names *names, const char *name) {
  const slot *s = find(names->slots, names->size, name);
  return s->name ? s->id : -1;
}

static bool grow(espq_names *names) {
  size_t size = names->size * 2;
  slot *slots = espq_calloc(size, sizeof *slots);
  if (!slots) return false;
  names->used = 0;
  for (size_t i = 0; i < names->size; i++) {
    slot s = names->slots[i];
    if (!s.name || s.id < 0) continue;
    *find(slots, size, s.name) = s;
    names->used++;
  }
  espq_free(names->slots);
  names->slots = slots;
  names->size = size;
  return true;
}

bool espq_names_set(espq_names *names, const char *name, int32_t id) {
  if (names->used * 2 >= names->size && !grow(names)) return false;
  slot *s = find(names->slots, names->size, name);
  if (!s->name) names->used++;
  *s = (slot){name, id};
  return true;
}

void espq_names_remove(espq_names *names, const char *name) {
  slot *s = find(names->slots, names->size, name);
  if (s->name) s->id = -1;
}
