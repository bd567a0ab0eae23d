/* softmax.h - softmax and log-softmax along one axis of a dense float array outer x axis x inner.
 *
 * x and y may be the same array. The maximum is subtracted first; sums run in index order.
 *
 *   espq_infer_softmax(false, 1, 10, 1, logits, probabilities);
 */
#ifndef ESPQ_INFER_SOFTMAX_H
#define ESPQ_INFER_SOFTMAX_H

#include <stdbool.h>
#include <stdint.h>

void espq_infer_softmax(bool logarithm, int64_t outer, int64_t axis, int64_t inner, const float *x, float *y);

#endif
