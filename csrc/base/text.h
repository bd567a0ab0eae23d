/* text.h - a string that grows: printing of graphs, lists of problems.
 *
 *   espq_text t = {0};
 *   espq_text_add(&t, "%d nodes", n);
 *   char *s = espq_text_take(&t);    -- NULL when memory ran out on the way; release with espq_free
 */
#ifndef ESPQ_BASE_TEXT_H
#define ESPQ_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct espq_text {
  char *data;
  size_t size, capacity;
  bool failed;
} espq_text;

void espq_text_add(espq_text *text, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *espq_text_take(espq_text *text);

#endif
