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
  char old[ESPQ_ERROR_TEXT];
  memcpy(old, err->text, sizeof old);
  va_list ap;
  va_start(ap, fmt);
  int n = vsnprintf(err->text, sizeof err->text, fmt, ap);
  va_end(ap);
  if (n >= 0 && (size_t)n < sizeof err->text)
    snprintf(err->text + n, sizeof err->text - (size_t)n, ": %s", old);
  return err->status;
}

espq_status espq_fail_memory(espq_error *err) {
  return espq_fail(err, ESPQ_EMEMORY, "not enough memory");
}

const char *espq_status_name(espq_status status) {
  static const char *const names[] = {"ok", "io", "format", "unsupported", "limit", "memory", "bug"};
  return (unsigned)status < sizeof names / sizeof *names ? names[status] : "bug";
}
