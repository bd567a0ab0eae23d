/* reduce.h - sums, extrema and norms along any axes, of any number type.
 *
 * Floats are accumulated as doubles in index order and rounded once; integers wrap at their width. Nothing fails: the
 * caller has checked shapes and asked espq_reduce_types.
 *
 *   bool along[] = {false, true};
 *   espq_reduce(ESPQ_REDUCE_SUM, ESPQ_F32, 2, dim, along, x, y);          // y[i] = x[i][0] + x[i][1] + ...
 */
#ifndef ESPQ_TENSOR_REDUCE_H
#define ESPQ_TENSOR_REDUCE_H

#include "tensor/cast.h"

typedef enum espq_reduction {
  ESPQ_REDUCE_SUM,
  ESPQ_REDUCE_MEAN, /* integers: towards zero; 0 / 0 is 0 */
  ESPQ_REDUCE_MAX,  /* NaN if an element is NaN; of nothing: the lowest value of the type, -infinity */
  ESPQ_REDUCE_MIN,
  ESPQ_REDUCE_PROD,
  ESPQ_REDUCE_L1,
  ESPQ_REDUCE_L2,
  ESPQ_REDUCE_SUM_SQUARE,
  ESPQ_REDUCE_LOG_SUM,
  ESPQ_REDUCE_LOG_SUM_EXP
} espq_reduction;

/* Element types, as bits 1 << dtype (tensor/function.h). */
unsigned espq_reduce_types(espq_reduction kind);

/* y: an element for each index of the axes that are not `along`, in C order; of x's type. */
void espq_reduce(espq_reduction kind, espq_dtype type, int rank, const int64_t *dim, const bool *along, const void *x,
                 void *y);

#endif
