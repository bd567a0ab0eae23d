/* check.h - the whole C test framework: CHECK counts, check_report prints "N passed, N failed".
 *
 *   int main(void) { CHECK(1 + 1 == 2); return check_report(); }
 */
#ifndef ESPQ_SPEC_CHECK_H
#define ESPQ_SPEC_CHECK_H

#include <stdio.h>

static int check_passed, check_failed;

#define CHECK(cond) check_that((cond) != 0, #cond, __FILE__, __LINE__)

static inline int check_that(int ok, const char *text, const char *file, int line) {
  if (ok) check_passed++;
  else if (++check_failed <= 20) fprintf(stderr, "%s:%d: failed: %s\n", file, line, text);
  return ok;
}

static inline int check_report(void) {
  printf("%d passed, %d failed\n", check_passed, check_failed);
  return check_failed != 0;
}

#endif
