#include "base/error.h"

#include <stdio.h>
#include <string.h>

espq_status espq_fail(espq_error *err, espq_status status, const char *fmt, ...) {
  if (err) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    err->status = status;
  }
  return status;
}

espq_status espq_error_prefix(espq_error *err, const char *fmt, ...) {
  if (!err) return ESPQ_EBUG;
  char prefix[ESPQ_ERROR_TEXT / 2];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(prefix, sizeof prefix - 2, fmt, ap);
  va_end(ap);
  strcat(prefix, ": ");
  size_t n = strlen(prefix);
  memmove(err->text + n, err->text, sizeof err->text - n);
  memcpy(err->text, prefix, n);
  err->text[sizeof err->text - 1] = '\0';
  return err->status;
}

espq_status espq_error_append(espq_error *err, const char *text) {
  if (!err) return ESPQ_EBUG;
  strncat(err->text, text, sizeof err->text - strlen(err->text) - 1);
  return err->status;
}

espq_status espq_fail_memory(espq_error *err) { return espq_fail(err, ESPQ_EMEMORY, "not enough memory"); }

const char *espq_status_name(espq_status status) {
  static const char *const names[] = {"ok", "io", "format", "unsupported", "limit", "memory", "bug"};
  return (unsigned)status < sizeof names / sizeof *names ? names[status] : "bug";
}
