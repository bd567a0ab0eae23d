/* alloc.h - memory whose size comes from files.
 *
 * Sizes are products of numbers that strangers wrote, so every product is checked. Blocks are 64-byte
 * aligned (a cache line, an AVX-512 register) and are released with espq_free. All functions return
 * NULL (or false) for an overflow as for lack of memory; the caller says which file asked for it.
 */
#ifndef ESPQ_BASE_ALLOC_H
#define ESPQ_BASE_ALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One allocation never exceeds this: a model is at most 2 GB, an activation far less. */
#define ESPQ_ALLOC_MAX ((size_t)1 << 36)

void *espq_alloc(size_t bytes);               /* uninitialised */
void *espq_calloc(size_t count, size_t size); /* zeroed */
/* Grows an array of *capacity elements to at least `need` (doubling); old contents kept; NULL: unchanged. */
void *espq_grow(void *array, size_t *capacity, size_t need, size_t size);
void espq_free(void *block);

/* Bytes of memory that this machine has. */
size_t espq_memory_size(void);

/* *out = a * b (or a + b); false when it does not fit in an int64_t or an operand is negative. */
bool espq_mul64(int64_t a, int64_t b, int64_t *out);
bool espq_add64(int64_t a, int64_t b, int64_t *out);

#endif
