#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ALIGNMENT = 64 };

#if defined(__SANITIZE_ADDRESS__) || defined(ESPQ_EXACT_ALLOC)
/* The sanitizer's own allocator, and valgrind's (scripts/soak), see where a block begins and ends. */
void *espq_alloc(size_t bytes) {
  if (bytes > ESPQ_ALLOC_MAX) return NULL;
  size_t rounded = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  return aligned_alloc(ALIGNMENT, rounded ? rounded : ALIGNMENT);
}

void espq_free(void *block) { free(block); }
#else
/* Not aligned_alloc: glibc before 2.38 does not reuse a freed aligned block for the next request of its size, and the
 * heap grows without end. The word before a block says where malloc's block begins. */
enum { WORD = sizeof(void *) };

void *espq_alloc(size_t bytes) {
  if (bytes > ESPQ_ALLOC_MAX) return NULL;
  unsigned char *raw = malloc(bytes + ALIGNMENT + WORD);
  if (!raw) return NULL;
  unsigned char *block = raw + WORD;
  block += (ALIGNMENT - (uintptr_t)block % ALIGNMENT) % ALIGNMENT;
  memcpy(block - WORD, &raw, WORD);
  return block;
}

void espq_free(void *block) {
  unsigned char *raw;
  if (!block) return;
  memcpy(&raw, (unsigned char *)block - WORD, WORD);
  free(raw);
}
#endif

void *espq_calloc(size_t count, size_t size) {
  if (size && count > ESPQ_ALLOC_MAX / size) return NULL;
  void *block = espq_alloc(count * size);
  if (block) memset(block, 0, count * size);
  return block;
}

void *espq_grow(void *array, size_t *capacity, size_t need, size_t size) {
  if (need <= *capacity) return array;
  size_t n = *capacity ? *capacity : 8;
  while (n < need) n *= 2;
  if (size && n > ESPQ_ALLOC_MAX / size) return NULL;
  void *grown = espq_alloc(n * size);
  if (!grown) return NULL;
  if (array) memcpy(grown, array, *capacity * size);
  espq_free(array);
  *capacity = n;
  return grown;
}

size_t espq_memory_size(void) {
  long pages = sysconf(_SC_PHYS_PAGES), bytes = sysconf(_SC_PAGESIZE);
  return pages > 0 && bytes > 0 ? (size_t)pages * (size_t)bytes : ESPQ_ALLOC_MAX;
}

bool espq_mul64(int64_t a, int64_t b, int64_t *out) { return a >= 0 && b >= 0 && !__builtin_mul_overflow(a, b, out); }

bool espq_add64(int64_t a, int64_t b, int64_t *out) { return a >= 0 && b >= 0 && !__builtin_add_overflow(a, b, out); }
