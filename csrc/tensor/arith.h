/* arith.h - arithmetic for graph passes: float32 element by element, and reductions.
 *
 * Every operation is one float32 operation per element (no double in between, no fused multiply-add), so that a
 * pass gives the bits that numpy gives for the same expression. Results are new tensors. Sums are doubles, added in
 * index order.
 *
 *   espq_tensor *y;                                       // (a + b), shapes as numpy broadcasts them
 *   if (espq_arith_binary(ESPQ_ARITH_ADD, a, b, &y, err)) return err->status;
 */
#ifndef ESPQ_TENSOR_ARITH_H
#define ESPQ_TENSOR_ARITH_H

#include "tensor/cast.h"

typedef enum espq_arith {
  ESPQ_ARITH_ADD,
  ESPQ_ARITH_SUB,
  ESPQ_ARITH_MUL,
  ESPQ_ARITH_DIV,
  ESPQ_ARITH_MAX, /* NaN if an operand is NaN, as numpy's maximum */
  ESPQ_ARITH_MIN
} espq_arith;

typedef enum espq_arith_unary { ESPQ_ARITH_NEGATE, ESPQ_ARITH_ABS, ESPQ_ARITH_SQRT } espq_arith_unary;

/* ESPQ_EFORMAT: an operand is not float32, or the shapes do not broadcast (the text names both). */
espq_status espq_arith_binary(espq_arith op, const espq_tensor *a, const espq_tensor *b, espq_tensor **out,
                              espq_error *err);
espq_status espq_arith_unary_op(espq_arith_unary op, const espq_tensor *a, espq_tensor **out, espq_error *err);

/* Of all elements of any type; a NaN makes min, max and sum NaN. min and max of no elements: ESPQ_EFORMAT. */
espq_status espq_arith_min(const espq_tensor *t, espq_number *out, espq_error *err);
espq_status espq_arith_max(const espq_tensor *t, espq_number *out, espq_error *err);
espq_number espq_arith_sum(const espq_tensor *t); /* integers wrap at 64 bits */
double espq_arith_mean(const espq_tensor *t);     /* NaN for no elements */
bool espq_arith_is_finite(const espq_tensor *t);

/* Largest |x| of the whole tensor, or of each slice along an axis (a float32 vector as long as the axis). Floats only
 * in the second form; 0 for no elements. */
double espq_arith_maxabs(const espq_tensor *t);
espq_status espq_arith_maxabs_axis(const espq_tensor *t, int axis, espq_tensor **out, espq_error *err);
/* Index of the first largest element (or first NaN) along an axis: int64, the axis removed. */
espq_status espq_arith_argmax(const espq_tensor *t, int axis, espq_tensor **out, espq_error *err);

#endif
