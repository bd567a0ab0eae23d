/* quantize.h - tensors to integers and back, with one exponent or one per slice of an axis.
 *
 *   int32_t e[] = {-7, -6};
 *   espq_integers to = {8, ESPQ_ROUND_HALF_EVEN};
 *   espq_quantize(weight, to, e, 2, 0, isa, &q, err);      -- weight of two output channels on axis 0
 */
#ifndef ESPQ_QUANT_QUANTIZE_H
#define ESPQ_QUANT_QUANTIZE_H

#include "base/isa.h"
#include "sim/fixed.h"
#include "tensor/tensor.h"

/* What a float becomes: clip(round(x / 2^exponent)) to 8, 16, 20, 32, 40 or 64 bits, as int8, int16, int32 (20, 32) or
 * int64 (40, 64). */
typedef struct espq_integers {
  int bits;
  espq_rounding rounding;
} espq_integers;

/* An exponent of ESPQ_EXPONENT_ZERO gives zeros. n is 1 or the length of the axis; ESPQ_EFORMAT otherwise, for another
 * number of bits, or when x is no float32. */
espq_status espq_quantize(const espq_tensor *x, espq_integers to, const int32_t *exponent, int n, int axis,
                          espq_isa isa, espq_tensor **out, espq_error *err);
/* x = q * 2^exponent as float32, for int8 and int16 tensors. */
espq_status espq_dequantize(const espq_tensor *q, const int32_t *exponent, int n, int axis, espq_isa isa,
                            espq_tensor **out, espq_error *err);

#endif
