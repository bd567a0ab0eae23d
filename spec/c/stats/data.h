/* data.h - float32 test data, the same on every machine, and the layout of blocked buffers. */
#ifndef ESPQ_SPEC_STATS_DATA_H
#define ESPQ_SPEC_STATS_DATA_H

#include <stdint.h>

#include "base/layout.h"

static inline uint32_t data_next(uint32_t *seed) {
  *seed = *seed * 1664525u + 1013904223u;
  return *seed >> 8;
}

/* Uniform in [-1, 1). */
static inline float data_uniform(uint32_t *seed) { return (float)data_next(seed) / 8388608.0f - 1.0f; }

/* Roughly normal, of variance 1. */
static inline float data_normal(uint32_t *seed) {
  float sum = 0;
  for (int i = 0; i < 3; i++) sum += data_uniform(seed);
  return sum;
}

/* Copies logical N, C, spatial into blocks of channels; padding lanes get `padding`. */
static inline void data_block(const float *plain, int images, int channels, int spatial, int block, float padding,
                              float *out) {
  int stored = (channels + block - 1) / block * block;
  for (int n = 0; n < images; n++)
    for (int c = 0; c < stored; c++)
      for (int s = 0; s < spatial; s++)
        out[((n * (stored / block) + c / block) * spatial + s) * block + c % block] =
            c < channels ? plain[(n * channels + c) * spatial + s] : padding;
}

#endif
