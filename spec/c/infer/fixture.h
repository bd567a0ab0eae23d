/* fixture.h - what the tests of csrc/infer share: reproducible numbers, blocked copies, comparison of bits. */
#ifndef ESPQ_SPEC_INFER_FIXTURE_H
#define ESPQ_SPEC_INFER_FIXTURE_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check.h"
#include "base/alloc.h"
#include "base/layout.h"

static uint64_t random_state = 88172645463325252u;

/* Uniform in -1 to 1. */
static inline float random_float(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return (float)((double)(random_state >> 11) / 4503599627370496.0 - 1.0);
}

static inline float *random_floats(int64_t n) {
  float *x = espq_alloc(n * sizeof *x);
  for (int64_t i = 0; i < n; i++) x[i] = random_float();
  return x;
}

/* An array full of NaN: what a kernel does not write shows. */
static inline float *nan_floats(int64_t n) {
  float *x = espq_alloc(n * sizeof *x);
  for (int64_t i = 0; i < n; i++) x[i] = NAN;
  return x;
}

static inline bool same_bits(const float *a, const float *b, int64_t n) { return !memcmp(a, b, n * sizeof *a); }

/* Position of an element in a layout, written down once more so that reorder.c is not its own judge. */
static inline int64_t position(espq_layout layout, int64_t channels, int64_t spatial, int64_t n, int64_t c, int64_t p) {
  int b = layout == ESPQ_PLAIN ? 1 : layout == ESPQ_C8 ? 8 : 16;
  int64_t blocks = (channels + b - 1) / b;
  return ((n * blocks + c / b) * spatial + p) * b + c % b;
}

static inline int64_t stored(espq_layout layout, int64_t n, int64_t channels, int64_t spatial) {
  return n * espq_layout_channels(layout, channels) * spatial;
}

static inline float *to_layout(espq_layout layout, int64_t n, int64_t channels, int64_t spatial, const float *plain) {
  int64_t total = stored(layout, n, channels, spatial);
  float *x = espq_calloc(total, sizeof *x);
  for (int64_t i = 0; i < n; i++)
    for (int64_t c = 0; c < channels; c++)
      for (int64_t p = 0; p < spatial; p++)
        x[position(layout, channels, spatial, i, c, p)] = plain[(i * channels + c) * spatial + p];
  return x;
}

static inline float *from_layout(espq_layout layout, int64_t n, int64_t channels, int64_t spatial, const float *x) {
  float *plain = espq_alloc(n * channels * spatial * sizeof *plain);
  for (int64_t i = 0; i < n; i++)
    for (int64_t c = 0; c < channels; c++)
      for (int64_t p = 0; p < spatial; p++)
        plain[(i * channels + c) * spatial + p] = x[position(layout, channels, spatial, i, c, p)];
  return plain;
}

/* Are all padding lanes exactly zero? */
static inline bool lanes_are_zero(espq_layout layout, int64_t n, int64_t channels, int64_t spatial, const float *x) {
  for (int64_t i = 0; i < n; i++)
    for (int64_t c = channels; c < espq_layout_channels(layout, channels); c++)
      for (int64_t p = 0; p < spatial; p++)
        if (x[position(layout, channels, spatial, i, c, p)] != 0) return false;
  return true;
}

/* Runs this program again under an instruction set cap, which is a setting of the whole process. */
static inline bool passes_with_isa(const char *isa) {
  pid_t child = fork();
  if (child == 0) {
    execl("/proc/self/exe", "test", isa, (char *)NULL);
    _exit(127);
  }
  int status = -1;
  return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

#endif
