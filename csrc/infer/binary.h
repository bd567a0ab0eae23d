/* binary.h - functions of two floats with numpy's broadcasting, and with one operand per channel.
 *
 * y may be the same array as an operand that is not broadcast. max and min give NaN when an operand is NaN.
 *
 *   int64_t shape[] = {n, c, hw}, a[] = {c * hw, hw, 1}, b[] = {0, 1, 0};
 *   espq_infer_binary(ESPQ_INFER_ADD, 3, shape, x, a, bias, b, y);      -- or, in any layout:
 *   espq_infer_channel_binary(ESPQ_INFER_ADD, ESPQ_C16, n, c, hw, x, bias, y);
 */
#ifndef ESPQ_INFER_BINARY_H
#define ESPQ_INFER_BINARY_H

#include <stdint.h>

#include "base/layout.h"

typedef enum espq_infer_binary_op { /* ORDER BINARY */
                                    ESPQ_INFER_ADD,
                                    ESPQ_INFER_SUB,
                                    ESPQ_INFER_MUL,
                                    ESPQ_INFER_DIV,
                                    ESPQ_INFER_MAX,
                                    ESPQ_INFER_MIN,
                                    ESPQ_INFER_PRELU, /* a, or a * b where a is below 0 */
                                    ESPQ_INFER_BINARY_OPS
} espq_infer_binary_op;

enum { ESPQ_INFER_MAX_RANK = 8 };

/* y = op(a, b) over the result's shape (rank <= ESPQ_INFER_MAX_RANK; rank 0 is one element); y is dense. Strides
 * count elements, 0 broadcasts; an operand of y's shape has y's strides. */
void espq_infer_binary(espq_infer_binary_op op, int rank, const int64_t *shape, const float *a, const int64_t *a_stride,
                       const float *b, const int64_t *b_stride, float *y);

/* y[i] = op(a[i], b[i]) for i < n. On blocked tensors all but DIV keep the padding lanes (0 / 0 is NaN: call
 * espq_infer_clear_lanes after it). */
void espq_infer_binary_same(espq_infer_binary_op op, int64_t n, const float *a, const float *b, float *y);

/* y = op(x, v[channel]) for x of n images, `channels` channels and `spatial` pixels in a float layout; padding lanes
 * of y become 0. */
void espq_infer_channel_binary(espq_infer_binary_op op, espq_layout layout, int64_t n, int64_t channels,
                               int64_t spatial, const float *x, const float *v, float *y);

/* y = x * scale[channel] + shift[channel] (batch normalization), rounded after the product and after the sum. */
void espq_infer_channel_affine(espq_layout layout, int64_t n, int64_t channels, int64_t spatial, const float *x,
                               const float *scale, const float *shift, float *y);

#endif
