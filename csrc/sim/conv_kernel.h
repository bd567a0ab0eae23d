/* conv_kernel.h - what the driver (conv.c) asks of a convolution kernel; internal to csrc/sim.
 *
 * The output channels are cut into strips. A kernel sums a strip for a few pixels ("a tile") into an
 * array of accumulators; conv.c finds the input pixels and requantizes. So a kernel knows neither
 * padding nor strides, dilation, rounding.
 *
 * Dense kernels see a strip as a small matrix product: its channels times `taps` x `steps` x `depth`
 * inputs. With groups a strip's input is the range of channels that its groups read, foreign weights
 * being 0. Depthwise kernels multiply channel by channel; steps is then 1 and depth 0.
 *
 * Packed weights are a list of units, written by `put`:
 *   dense      unit (tap, step, block) holds 16 outputs ("lanes") x depth inputs ("slots")
 *   depthwise  unit (tap / pair) holds lane channel x slot tap % pair
 */
#ifndef ESPQ_SIM_CONV_KERNEL_H
#define ESPQ_SIM_CONV_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/isa.h"

enum { ESPQ_CONV_TILE_MAX = 8, ESPQ_CONV_STRIP_MAX = 64 };

typedef struct espq_conv_strip {
  int first, channels; /* output channels, multiples of 16 */
  size_t in_offset;    /* first input channel in bytes */
  int steps;           /* of `depth` input channels */
  const void *weights;
  const int32_t *start; /* 8 bits: what each sum begins with */
} espq_conv_strip;

typedef struct espq_conv_kernel {
  int tile;          /* most pixels of one call */
  int strip;         /* most output channels of one call */
  int depth;         /* dense: input channels of a step; 0: a depthwise kernel */
  int pair;          /* depthwise: taps of a unit */
  bool offset;       /* 8 bits: inputs are used as stored, value + 128; `start` undoes it */
  size_t unit_bytes; /* of one unit; depthwise: of a full strip, also where fewer channels are left */
  void (*put)(void *unit, int lane, int slot, int weight);
  /* rows[i * taps + t]: the input pixel under tap t of pixel i; acc: int32 (8 bits) or int64
     [pixels][strip->channels], 64-byte aligned. */
  void (*sum)(const espq_conv_strip *strip, int taps, const void *const *rows, int pixels, void *acc);
} espq_conv_kernel;

/* Never NULL; depthwise kernels exist for up to 256 taps. */
const espq_conv_kernel *espq_conv_kernel_portable(int bits, bool depthwise);
#if defined(__x86_64__)
const espq_conv_kernel *espq_conv_kernel_avx2(int bits, bool depthwise);
const espq_conv_kernel *espq_conv_kernel_vnni(int bits, bool depthwise);
#endif

#endif
