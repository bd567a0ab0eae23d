/* pooling.h - maximum and average over windows of up to three axes, of float and 8-bit types, with the indices of maxima:
 * what csrc/infer/pool.h, which is fast, has no kernel for.
 *
 * Windows count as they do there: an average is over the elements inside the image, or with count_include_pad inside
 * the padded image; of nothing it is 0. A maximum passes over NaN; of no number it is the lowest of its type. Of equal
 * maxima the first counts.
 *
 *   espq_pooling p = {.max = true, .dtype = ESPQ_U8, .planes = n * c, .in = {1, 8, 8}, .out = {1, 4, 4}, ...};
 *   espq_pooling_run(&p, x, y, NULL, scratch);          // scratch of espq_pooling_scratch(&p) bytes
 */
#ifndef ESPQ_TENSOR_POOLING_H
#define ESPQ_TENSOR_POOLING_H

#include "tensor/cast.h"

/* Sizes, strides, dilations and kernels are at least 1, pads at least 0, all below 2^31. */
typedef struct espq_pooling {
  bool max;
  bool count_include_pad;
  bool column_major; /* of the indices */
  espq_dtype dtype;
  int64_t planes; /* images times channels */
  int64_t in[3], out[3], kernel[3], stride[3], dilation[3], before[3], after[3];
} espq_pooling;

size_t espq_pooling_scratch(const espq_pooling *pool);
/* indices: of each maximum in the whole of x, counted row by row or with column_major column by column inside each
 * plane; NULL: not wanted. */
void espq_pooling_run(const espq_pooling *pool, const void *x, void *y, int64_t *indices, void *scratch);

#endif
