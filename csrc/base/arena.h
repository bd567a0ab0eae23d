/* arena.h - many small blocks that die together (a graph's nodes, names and attributes).
 *
 *   espq_arena *a = espq_arena_new();
 *   char *name = espq_arena_strdup(a, "conv1");
 *   espq_arena_free(a);               -- name is gone too
 */
#ifndef ESPQ_BASE_ARENA_H
#define ESPQ_BASE_ARENA_H

#include <stddef.h>

typedef struct espq_arena espq_arena;

espq_arena *espq_arena_new(void);                                 /* NULL: no memory */
void espq_arena_free(espq_arena *arena);                          /* NULL is allowed */
void *espq_arena_alloc(espq_arena *arena, size_t n, size_t size); /* zeroed, 16-byte aligned; NULL: no memory */
char *espq_arena_strndup(espq_arena *arena, const char *text, size_t len);
char *espq_arena_strdup(espq_arena *arena, const char *text);
size_t espq_arena_bytes(const espq_arena *arena); /* bytes held, for Lua's collector */

#endif
