/* error.h - how the core reports what went wrong.
 *
 * Every function that can fail returns an espq_status and, on failure, fills the caller's espq_error
 * (NULL is allowed: the text is dropped). Nothing is printed, raised or aborted here; csrc/lua turns
 * an error into `nil, message, code`.
 *
 *   espq_error err = {0};
 *   if (espq_file_read(path, limit, &bytes, &size, &err)) return err.status;
 */
#ifndef ESPQ_BASE_ERROR_H
#define ESPQ_BASE_ERROR_H

#include <stdarg.h>

typedef enum espq_status {
  ESPQ_OK = 0,
  ESPQ_EIO,          /* the operating system refused: missing file, no space, no permission */
  ESPQ_EFORMAT,      /* the bytes are not what they should be, or shapes and types do not fit */
  ESPQ_EUNSUPPORTED, /* valid, but not something we can do */
  ESPQ_ELIMIT,       /* larger than a stated limit */
  ESPQ_EMEMORY,      /* out of memory */
  ESPQ_EBUG          /* cannot happen */
} espq_status;

enum { ESPQ_ERROR_TEXT = 2048 };

typedef struct espq_error {
  espq_status status;
  char text[ESPQ_ERROR_TEXT];
} espq_error;

/* Fills err (if not NULL) with the formatted text, cut to fit, and returns status. */
espq_status espq_fail(espq_error *err, espq_status status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " in front of the text of err; returns err's status. */
espq_status espq_error_prefix(espq_error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts the text behind that of err; returns err's status. */
espq_status espq_error_append(espq_error *err, const char *text);

/* Returns espq_fail(err, ESPQ_EMEMORY, "not enough memory"). */
espq_status espq_fail_memory(espq_error *err);

/* "io", "format", "unsupported", "limit", "memory" or "bug"; "ok" for ESPQ_OK. */
const char *espq_status_name(espq_status status);

#endif
