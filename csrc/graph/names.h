/* names.h - a hash table from value name to id. Names are borrowed: they live in the graph's arena.
 *
 *   espq_names *n = espq_names_new();
 *   espq_names_set(n, "x", 3);  espq_names_get(n, "x") == 3
 */
#ifndef ESPQ_GRAPH_NAMES_H
#define ESPQ_GRAPH_NAMES_H

#include <stdbool.h>
#include <stdint.h>

typedef struct espq_names espq_names;

espq_names *espq_names_new(void); /* NULL: no memory */
void espq_names_free(espq_names *names);
int32_t espq_names_get(const espq_names *names, const char *name);    /* -1: absent */
bool espq_names_set(espq_names *names, const char *name, int32_t id); /* false: no memory */
void espq_names_remove(espq_names *names, const char *name);

#endif
