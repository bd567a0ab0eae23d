/* conv_kernel.h - what the drivers (conv_dense.c, conv_depthwise.c) ask of kernels; internal to csrc/sim.
 *
 * The output channels are cut into strips. A kernel sums a strip for some pixels, then requantizes: by
 * itself where that is one shift (requant.h), else it hands out the sums. The drivers find the input
 * pixels, so a kernel knows neither padding nor images.
 *
 * Dense kernels see a strip as a small matrix product: its channels times `taps` x `steps` x `depth`
 * inputs, for "a tile" of a few pixels. With groups a strip's input is the range of channels that its
 * groups read, foreign weights being 0. The packed weights are units, written by `put`:
 * unit (tap, step, block) holds 16 outputs ("lanes") x depth inputs ("slots").
 *
 * Depthwise kernels multiply channel by channel, a strip of 16 along one row of output pixels. First
 * they gather the columns that the windows share: unit (column, g) interleaves the rows g * slots .. of
 * the window. Then unit (kx, g) of the weights, lane channel x slot row, belongs to it.
 */
#ifndef ESPQ_SIM_CONV_KERNEL_H
#define ESPQ_SIM_CONV_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/isa.h"

enum { ESPQ_CONV_TILE_MAX = 8, ESPQ_CONV_STRIP_MAX = 48, ESPQ_CONV_LINE_MAX = 64, ESPQ_CONV_ROWS_MAX = 256 };

typedef struct espq_conv_strip {
  int first, channels; /* output channels, multiples of 16 */
  size_t in_offset;    /* first input channel in bytes */
  int steps;           /* dense: of `depth` inputs */
  const void *weights;
  const int32_t *start, *start_low; /* what sums begin with; 16 bits: 256 * start + start_low */
  const int32_t *right, *lo, *hi;   /* y = clamp(sum >> right, lo, hi), 16 bits: sum >> (8 + right);
                                         right NULL: the sums are wanted */
} espq_conv_strip;

/* What all pixels of a call share; where the results go. */
typedef struct espq_conv_tile {
  const char *in;
  const size_t *pixel; /* bytes from `in` to the pixel under the first tap, for each output pixel */
  const size_t *tap;   /* and from there to the one under tap t */
  int taps;
  char *out; /* the first pixel's element of the strip's first channel */
  size_t out_pixel;
  void *acc; /* sums: int32 (8 bits) or int64 [pixels][strip->channels], 64-byte aligned */
} espq_conv_tile;

typedef struct espq_dense_kernel {
  int tile;          /* most pixels of one call */
  int strip;         /* most output channels of one call */
  int depth;         /* inputs of a step */
  bool offset;       /* 8 bits: inputs are used as stored, value + 128; `start` undoes it */
  bool shifts;       /* can requantize by one shift */
  size_t unit_bytes; /* of weights */
  void (*put)(void *unit, int lane, int slot, int weight);
  void (*sum)(const espq_conv_strip *strip, const espq_conv_tile *tile, int pixels);
} espq_dense_kernel;

/* Pixels along a row of the input; step 0: the same one again and again. */
typedef struct espq_conv_walk {
  const char *pixel;
  size_t step;
} espq_conv_walk;

typedef struct espq_conv_line {
  const espq_conv_walk *rows; /* [kh] */
  int kh, kw;
  int left, middle, right; /* columns: of zeros, of pixels from the walks, of zeros */
  int stride, dilation;    /* columns from one output to the next, from one kx to the next */
  int pixels;              /* of the output, at most ESPQ_CONV_LINE_MAX */
  char *columns;           /* scratch: [left + middle + right][groups of rows] units, 64-byte aligned */
  char *out;
  size_t out_pixel;
  void *acc; /* as in a tile */
} espq_conv_line;

typedef struct espq_depthwise_kernel {
  int slots;           /* rows of a unit */
  size_t column_bytes; /* of a unit of columns */
  bool offset, shifts; /* as above */
  size_t unit_bytes;   /* of weights */
  void (*put)(void *unit, int lane, int slot, int weight);
  void (*run)(const espq_conv_strip *strip, const espq_conv_line *line); /* kh * kw <= 256 */
} espq_depthwise_kernel;

static inline int espq_depthwise_groups(const espq_depthwise_kernel *kernel, int kh) {
  return (kh + kernel->slots - 1) / kernel->slots;
}

/* 16-bit weights in two parts: w = 256 * high + low, |low| <= 128, |high| <= 128. */
static inline int espq_conv_low(int weight) { return (int8_t)(weight & 255); }
static inline int espq_conv_high(int weight) { return (weight - espq_conv_low(weight)) / 256; }

/* Never NULL. */
const espq_dense_kernel *espq_dense_kernel_portable(int bits);
const espq_depthwise_kernel *espq_depthwise_kernel_portable(int bits);
#if defined(__x86_64__)
const espq_dense_kernel *espq_dense_kernel_avx2(int bits);
const espq_dense_kernel *espq_dense_kernel_vnni(int bits);
const espq_depthwise_kernel *espq_depthwise_kernel_avx2(int bits);
const espq_depthwise_kernel *espq_depthwise_kernel_vnni(int bits);
#endif

#endif
