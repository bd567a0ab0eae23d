#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/alloc.h"

void espq_text_add(espq_text *text, const char *fmt, ...) {
  if (text->failed) return;
  va_list ap;
  va_start(ap, fmt);
  int n = vsnprintf(NULL, 0, fmt, ap);
  va_end(ap);
  char *grown = n < 0 ? NULL : espq_grow(text->data, &text->capacity, text->size + (size_t)n + 1, 1);
  if (!grown) {
    text->failed = true;
    return;
  }
  text->data = grown;
  va_start(ap, fmt);
  vsnprintf(text->data + text->size, (size_t)n + 1, fmt, ap);
  va_end(ap);
  text->size += (size_t)n;
}

char *espq_text_take(espq_text *text) {
  if (!text->data && !text->failed) espq_text_add(text, "%s", "");
  char *data = text->data;
  if (text->failed) {
    espq_free(data);
    data = NULL;
  }
  *text = (espq_text){0};
  return data;
}
