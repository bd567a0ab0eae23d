/* layout.h - how the elements of a logical N,C,(spatial...) tensor lie in memory.
 *
 * Graph shapes are always logical NCHW. The plan (csrc/run) picks one of these per tensor, kernels say
 * which they take. Rank 2 (N,C), 3 (N,C,L) and 4 (N,C,H,W) tensors can have any of them, other ranks
 * only PLAIN. C' is C rounded up to the block.
 */
#ifndef ESPQ_BASE_LAYOUT_H
#define ESPQ_BASE_LAYOUT_H

#include <stdint.h>

typedef enum espq_layout {
  ESPQ_PLAIN = 0, /* N C H W, as in ONNX */
  ESPQ_C8,        /* N C'/8 H W 8, float only; padding lanes hold 0 */
  ESPQ_C16,       /* N C'/16 H W 16, float only; padding lanes hold 0 */
  ESPQ_NHWC16     /* N H W C' with C' a multiple of 16, integers only. int8 is stored in offset binary
                     (value + 128 as uint8); padding lanes hold the value 0 (byte 128). int16 is signed. */
} espq_layout;

static inline int espq_layout_block(espq_layout layout) {
  return layout == ESPQ_PLAIN ? 1 : layout == ESPQ_C8 ? 8 : 16;
}

/* Channels as stored. */
static inline int64_t espq_layout_channels(espq_layout layout, int64_t channels) {
  int64_t b = espq_layout_block(layout);
  return (channels + b - 1) / b * b;
}

#endif
