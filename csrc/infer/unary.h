/* unary.h - functions of one float, element by element.
 *
 * x and y may be the same array. NaN stays NaN. On blocked tensors (layout.h) a function with f(0) = 0 keeps the
 * padding lanes; after another one call espq_infer_clear_lanes (reorder.h).
 *
 *   espq_infer_unary(ESPQ_INFER_CLIP, 0, 6, n, x, y);
 */
#ifndef ESPQ_INFER_UNARY_H
#define ESPQ_INFER_UNARY_H

#include <stdbool.h>
#include <stdint.h>

typedef enum espq_infer_unary_op {                        /* ORDER UNARY */
                                   ESPQ_INFER_RELU,       /* max(0, x) */
                                   ESPQ_INFER_LEAKY_RELU, /* x, or a * x below 0 */
                                   ESPQ_INFER_CLIP,       /* between a and b */
                                   ESPQ_INFER_SIGMOID,
                                   ESPQ_INFER_TANH,
                                   ESPQ_INFER_HARD_SIGMOID, /* a * x + b between 0 and 1 */
                                   ESPQ_INFER_HARD_SWISH,   /* x * (x / 6 + 1/2 between 0 and 1) */
                                   ESPQ_INFER_ELU,          /* x, or a * (e^x - 1) below 0 */
                                   ESPQ_INFER_EXP,
                                   ESPQ_INFER_LOG,
                                   ESPQ_INFER_SQRT,
                                   ESPQ_INFER_NEG,
                                   ESPQ_INFER_ABS,
                                   ESPQ_INFER_RECIPROCAL,
                                   ESPQ_INFER_FLOOR,
                                   ESPQ_INFER_CEIL,
                                   ESPQ_INFER_ROUND, /* ties to even */
                                   ESPQ_INFER_UNARY_OPS
} espq_infer_unary_op;

/* y[i] = op(x[i]) for i < n; a and b as the list says, else unused. */
void espq_infer_unary(espq_infer_unary_op op, float a, float b, int64_t n, const float *x, float *y);

/* True when op(0) = 0. */
bool espq_infer_unary_keeps_zero(espq_infer_unary_op op, float a, float b);

#endif
