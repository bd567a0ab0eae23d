/* quantize.h - tensors to integers and back, with one exponent or one per slice of an axis.
 *
 *   int32_t e[] = {-7, -6};
 *   espq_quantize(weight, 8, e, 2, 0, isa, &q, err);      -- weight of two output channels on axis 0
 */
#ifndef ESPQ_QUANT_QUANTIZE_H
#define ESPQ_QUANT_QUANTIZE_H

#include "base/isa.h"
#include "tensor/tensor.h"

/* q = clip(round_half_even(x / 2^exponent)) as int8 or int16 (bits 8 or 16). An exponent of ESPQ_EXPONENT_ZERO gives
 * zeros. n is 1 or the length of the axis; ESPQ_EFORMAT otherwise, or when x is no float32. */
espq_status espq_quantize(const espq_tensor *x, int bits, const int32_t *exponent, int n, int axis, espq_isa isa,
                          espq_tensor **out, espq_error *err);
/* x = q * 2^exponent as float32, for int8 and int16 tensors. */
espq_status espq_dequantize(const espq_tensor *q, const int32_t *exponent, int n, int axis, espq_isa isa,
                            espq_tensor **out, espq_error *err);

#endif
