/* gemm.h - matrix products of row-major float matrices.
 *
 * espq_infer_gemm: the right operand is constant and packed once (Gemm, MatMul with weights, fully connected).
 * A row of the result has the same bits whatever other rows are computed with it, so a batch of images gives
 * what the images give alone. (oneDNN's inner product and sgemm do not promise that; a 1x1 convolution over an
 * image of m pixels does, so that is what runs.)
 * espq_infer_matmul: both operands arrive at run time, in batches of matrices.
 *
 *   espq_infer_gemm_params p = {.m = 16, .n = 10, .k = 128, .trans_b = true, .alpha = 1};
 *   espq_infer_gemm_prepare(engine, &p, weights, bias, &gemm, err);
 *   espq_infer_gemm_run(gemm, stream, x, y, err);     -- y = x * transposed(weights) + bias
 *   espq_infer_gemm_free(gemm);
 */
#ifndef ESPQ_INFER_GEMM_H
#define ESPQ_INFER_GEMM_H

#include <stdbool.h>

#include "infer/engine.h"

typedef struct espq_infer_gemm espq_infer_gemm;
typedef struct espq_infer_matmul espq_infer_matmul;

/* y[m,n] = alpha * op(a)[m,k] * op(b)[k,n] + bias[n]; trans_a: a is k x m, trans_b: b is n x k. */
typedef struct espq_infer_gemm_params {
  int64_t m, n, k;
  bool trans_a, trans_b;
  float alpha; /* multiplied into b, rounded to float */
  bool relu;   /* max(0, y) after the bias */
} espq_infer_gemm_params;

/* b and bias (n values or NULL) are copied. ESPQ_EFORMAT: a size below 1; ESPQ_ELIMIT: 2^29 elements or more. */
espq_status espq_infer_gemm_prepare(espq_infer_engine *engine, const espq_infer_gemm_params *params, const float *b,
                                    const float *bias, espq_infer_gemm **out, espq_error *err);

/* a and y must not overlap. Several streams may run one gemm at the same time. */
espq_status espq_infer_gemm_run(espq_infer_gemm *gemm, espq_infer_stream *stream, const float *a, float *y,
                                espq_error *err);

void espq_infer_gemm_free(espq_infer_gemm *gemm); /* NULL is allowed */

/* y = alpha * y + beta * c, where c[i,j] is c[i * row_stride + j * column_stride] (0 broadcasts): the rest of a
 * Gemm whose c is no constant row. c may be NULL when beta is 0. */
void espq_infer_gemm_add(int64_t m, int64_t n, float alpha, float beta, const float *c, int64_t row_stride,
                         int64_t column_stride, float *y);

enum { ESPQ_INFER_BATCH_RANK = 6 };

/* For each index of batch (rank axes, the last fastest): y[m,n] = op(a)[m,k] * op(b)[k,n]. Batch strides count
 * elements, 0 repeats a matrix; the result is dense. */
typedef struct espq_infer_matmul_params {
  int64_t m, n, k;
  bool trans_a, trans_b;
  int rank;
  int64_t batch[ESPQ_INFER_BATCH_RANK];
  int64_t a_stride[ESPQ_INFER_BATCH_RANK], b_stride[ESPQ_INFER_BATCH_RANK];
} espq_infer_matmul_params;

/* ESPQ_EFORMAT: a size below 1; ESPQ_ELIMIT: too large a tensor or rank. */
espq_status espq_infer_matmul_prepare(espq_infer_engine *engine, const espq_infer_matmul_params *params,
                                      espq_infer_matmul **out, espq_error *err);

/* Several streams may run one matmul at the same time. */
espq_status espq_infer_matmul_run(espq_infer_matmul *matmul, espq_infer_stream *stream, const float *a, const float *b,
                                  float *y, espq_error *err);

void espq_infer_matmul_free(espq_infer_matmul *matmul); /* NULL is allowed */

#endif
