/* Plain C kernels: 16 sums at a time, which compilers vectorize for whatever the machine has. */
#include <string.h>

#include "sim/conv_kernel.h"

static void put_lane(void *unit, int lane, int slot, int weight) {
  (void)slot;
  ((int16_t *)unit)[lane] = (int16_t)weight;
}

/* ---- dense ---- */

static void sum_block8(const espq_conv_strip *strip, const espq_conv_tile *tile, int pixel, int32_t *restrict acc) {
  const int16_t *restrict w = strip->weights;
  memset(acc, 0, 16 * sizeof *acc);
  for (int t = 0; t < tile->taps; t++) {
    const uint8_t *x = (const uint8_t *)tile->in + tile->pixel[pixel] + tile->tap[t] + strip->in_offset;
    for (int k = 0; k < strip->steps; k++, w += 16) {
      int16_t value = (int16_t)(x[k] - 128);
      for (int i = 0; i < 16; i++) acc[i] += value * w[i];
    }
  }
}

static void sum8(const espq_conv_strip *strip, const espq_conv_tile *tile, int pixels) {
  for (int p = 0; p < pixels; p++) sum_block8(strip, tile, p, (int32_t *)tile->acc + p * 16);
}

static void sum_block16(const espq_conv_strip *strip, const espq_conv_tile *tile, int pixel, int64_t *restrict acc) {
  const int16_t *restrict w = strip->weights;
  memset(acc, 0, 16 * sizeof *acc);
  for (int t = 0; t < tile->taps; t++) {
    const int16_t *x = (const int16_t *)(tile->in + tile->pixel[pixel] + tile->tap[t] + strip->in_offset);
    for (int k = 0; k < strip->steps; k++, w += 16) {
      int32_t value = x[k];
      for (int i = 0; i < 16; i++) acc[i] += value * w[i]; /* at most 2^30 in size */
    }
  }
}

static void sum16(const espq_conv_strip *strip, const espq_conv_tile *tile, int pixels) {
  for (int p = 0; p < pixels; p++) sum_block16(strip, tile, p, (int64_t *)tile->acc + p * 16);
}

const espq_dense_kernel *espq_dense_kernel_portable(int bits) {
  static const espq_dense_kernel kernels[2] = {
      {.tile = 8, .strip = 16, .depth = 1, .unit_bytes = 32, .put = put_lane, .sum = sum8},
      {.tile = 8, .strip = 16, .depth = 1, .unit_bytes = 32, .put = put_lane, .sum = sum16}};
  return &kernels[bits == 16];
}

/* ---- depthwise: a unit of columns is 16 channels of one row, as int16 ---- */

static void gather_row8(const uint8_t *restrict x, int16_t *restrict to) {
  for (int i = 0; i < 16; i++) to[i] = (int16_t)(x[i] - 128);
}

/* Columns of row r lie kh units apart. */
static void gather_row(const espq_conv_strip *strip, const espq_conv_line *line, int r, int bits) {
  const espq_conv_walk *row = &line->rows[r];
  int16_t *to = (int16_t *)line->columns + (size_t)r * 16;
  size_t next = (size_t)line->kh * 16;
  for (int x = 0; x < line->left; x++, to += next) memset(to, 0, 32);
  for (int x = 0; x < line->middle; x++, to += next) {
    const char *from = row->pixel + (size_t)x * row->step + strip->in_offset;
    if (bits == 8) gather_row8((const uint8_t *)from, to);
    else memcpy(to, from, 32);
  }
  for (int x = 0; x < line->right; x++, to += next) memset(to, 0, 32);
}

/* `column`: where the window begins; its columns are contiguous units but for the dilation. */
static void multiply8(const int16_t *w, const espq_conv_line *line, const int16_t *column, int32_t *restrict acc) {
  int32_t sum[16] = {0};
  for (int kx = 0; kx < line->kw; kx++, column += (size_t)line->dilation * line->kh * 16)
    for (int r = 0; r < line->kh; r++, w += 16)
      for (int i = 0; i < 16; i++) sum[i] += column[r * 16 + i] * w[i];
  memcpy(acc, sum, sizeof sum);
}

static void multiply16(const int16_t *w, const espq_conv_line *line, const int16_t *column, int64_t *restrict acc) {
  int64_t sum[16] = {0};
  for (int kx = 0; kx < line->kw; kx++, column += (size_t)line->dilation * line->kh * 16)
    for (int r = 0; r < line->kh; r++, w += 16)
      for (int i = 0; i < 16; i++) sum[i] += column[r * 16 + i] * w[i];
  memcpy(acc, sum, sizeof sum);
}

static void depthwise8(const espq_conv_strip *strip, const espq_conv_line *line) {
  for (int r = 0; r < line->kh; r++) gather_row(strip, line, r, 8);
  for (int p = 0; p < line->pixels; p++)
    multiply8(strip->weights, line, (const int16_t *)line->columns + (size_t)p * line->stride * line->kh * 16,
              (int32_t *)line->acc + p * 16);
}

static void depthwise16(const espq_conv_strip *strip, const espq_conv_line *line) {
  for (int r = 0; r < line->kh; r++) gather_row(strip, line, r, 16);
  for (int p = 0; p < line->pixels; p++)
    multiply16(strip->weights, line, (const int16_t *)line->columns + (size_t)p * line->stride * line->kh * 16,
               (int64_t *)line->acc + p * 16);
}

const espq_depthwise_kernel *espq_depthwise_kernel_portable(int bits) {
  static const espq_depthwise_kernel kernels[2] = {
      {.slots = 1, .column_bytes = 32, .unit_bytes = 32, .put = put_lane, .run = depthwise8},
      {.slots = 1, .column_bytes = 32, .unit_bytes = 32, .put = put_lane, .run = depthwise16}};
  return &kernels[bits == 16];
}
