/* product.h - matrix products of any number type: what csrc/infer/gemm.h, which is fast, does not take.
 *
 * Floats are summed as doubles and rounded once, integers wrap at their width, as in numpy.
 *
 *   // y (m x n) = alpha * a (m x k) * b (k x n) + beta * c; a transposed matrix has its steps exchanged
 *   espq_product p = {.dtype = ESPQ_I32, .m = 2, .n = 3, .k = 4, .a_row = 4, .a_column = 1, .b_row = 3, .b_column = 1,
 *                     .alpha = 1};
 *   espq_product_run(&p, a, b, NULL, y);
 */
#ifndef ESPQ_TENSOR_PRODUCT_H
#define ESPQ_TENSOR_PRODUCT_H

#include "tensor/cast.h"

/* Steps count elements. Integers with alpha or beta other than 0 and 1 are scaled as doubles and cut. */
typedef struct espq_product {
  espq_dtype dtype;
  int64_t m, n, k; /* any may be 0 */
  int64_t a_row, a_column, b_row, b_column, c_row, c_column;
  double alpha, beta;
} espq_product;

/* c NULL: none. y is contiguous. */
void espq_product_run(const espq_product *product, const void *a, const void *b, const void *c, void *y);

#endif
