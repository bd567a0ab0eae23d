/* Plain C kernels: 16 sums at a time, which compilers vectorize for whatever the machine has. */
#include <string.h>

#include "sim/conv_kernel.h"

static void put_lane(void *unit, int lane, int slot, int weight) {
  (void)slot;
  ((int16_t *)unit)[lane] = (int16_t)weight;
}

static void sum_block8(const espq_conv_strip *strip, int taps, const void *const *rows, int32_t *restrict acc) {
  const int16_t *restrict w = strip->weights;
  memset(acc, 0, 16 * sizeof *acc);
  for (int t = 0; t < taps; t++) {
    const uint8_t *x = (const uint8_t *)rows[t] + strip->in_offset;
    for (int k = 0; k < strip->steps; k++, w += 16) {
      int16_t value = (int16_t)(x[k] - 128);
      for (int i = 0; i < 16; i++) acc[i] += value * w[i];
    }
  }
}

static void sum8(const espq_conv_strip *strip, int taps, const void *const *rows, int pixels, void *acc) {
  for (int p = 0; p < pixels; p++) sum_block8(strip, taps, rows + (size_t)p * taps, (int32_t *)acc + p * 16);
}

static void sum_block16(const espq_conv_strip *strip, int taps, const void *const *rows, int64_t *restrict acc) {
  const int16_t *restrict w = strip->weights;
  memset(acc, 0, 16 * sizeof *acc);
  for (int t = 0; t < taps; t++) {
    const int16_t *x = (const int16_t *)((const char *)rows[t] + strip->in_offset);
    for (int k = 0; k < strip->steps; k++, w += 16) {
      int32_t value = x[k];
      for (int i = 0; i < 16; i++) acc[i] += value * w[i]; /* at most 2^30 in size */
    }
  }
}

static void sum16(const espq_conv_strip *strip, int taps, const void *const *rows, int pixels, void *acc) {
  for (int p = 0; p < pixels; p++) sum_block16(strip, taps, rows + (size_t)p * taps, (int64_t *)acc + p * 16);
}

/* 16 channels of one pixel. */
static void depthwise_pixel8(const espq_conv_strip *strip, int taps, const void *const *rows, int32_t *restrict out) {
  const int16_t *restrict w = strip->weights;
  int32_t sum[16] = {0};
  for (int t = 0; t < taps; t++, w += 16) {
    const uint8_t *restrict x = (const uint8_t *)rows[t] + strip->in_offset;
    for (int i = 0; i < 16; i++) sum[i] += (int16_t)(x[i] - 128) * w[i];
  }
  memcpy(out, sum, sizeof sum);
}

static void depthwise8(const espq_conv_strip *strip, int taps, const void *const *rows, int pixels, void *acc) {
  for (int p = 0; p < pixels; p++) depthwise_pixel8(strip, taps, rows + (size_t)p * taps, (int32_t *)acc + p * 16);
}

static void depthwise_pixel16(const espq_conv_strip *strip, int taps, const void *const *rows, int64_t *restrict out) {
  const int16_t *restrict w = strip->weights;
  int64_t sum[16] = {0};
  for (int t = 0; t < taps; t++, w += 16) {
    const char *row = rows[t];
    const int16_t *restrict x = (const int16_t *)(row + strip->in_offset);
    for (int i = 0; i < 16; i++) sum[i] += x[i] * w[i];
  }
  memcpy(out, sum, sizeof sum);
}

static void depthwise16(const espq_conv_strip *strip, int taps, const void *const *rows, int pixels, void *acc) {
  for (int p = 0; p < pixels; p++) depthwise_pixel16(strip, taps, rows + (size_t)p * taps, (int64_t *)acc + p * 16);
}

const espq_conv_kernel *espq_conv_kernel_portable(int bits, bool depthwise) {
  static const espq_conv_kernel kernels[2][2] = {
      {{.tile = 8, .strip = 16, .depth = 1, .unit_bytes = 32, .put = put_lane, .sum = sum8},
       {.tile = 8, .strip = 16, .pair = 1, .unit_bytes = 32, .put = put_lane, .sum = depthwise8}},
      {{.tile = 8, .strip = 16, .depth = 1, .unit_bytes = 32, .put = put_lane, .sum = sum16},
       {.tile = 8, .strip = 16, .pair = 1, .unit_bytes = 32, .put = put_lane, .sum = depthwise16}}};
  return &kernels[bits == 16][depthwise];
}
