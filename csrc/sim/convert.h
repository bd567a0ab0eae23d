/* convert.h - between float and integers, and between exponents and widths.
 *
 * Arrays of count elements in the same layout; `in` may be `out` where both have the same element size.
 *
 *   espq_sim_quantize(count, x, -5, ESPQ_SIM_I8, q, isa);          -- q = clip(nearest(x / 2^-5))
 *   espq_sim_requantize(ESPQ_ROUND_FLOOR, count, ESPQ_SIM_I8, q, -5, ESPQ_SIM_I16, r, -9, isa);
 *   espq_sim_dequantize(count, ESPQ_SIM_I16, r, -9, y, isa);       -- y = r * 2^-9
 */
#ifndef ESPQ_SIM_CONVERT_H
#define ESPQ_SIM_CONVERT_H

#include <stdint.h>

#include "base/isa.h"
#include "sim/fixed.h"
#include "sim/format.h"

/* clip(x / 2^exponent to the nearest integer, ties to even); NaN gives 0. */
void espq_sim_quantize(int64_t count, const float *x, int exponent, espq_sim_format format, void *q, espq_isa isa);

/* q * 2^exponent, to the nearest float where that is not exact. */
void espq_sim_dequantize(int64_t count, espq_sim_format format, const void *q, int exponent, float *x, espq_isa isa);

/* The same rounded as the chip at hand does. */
void espq_sim_quantize_by(espq_rounding rounding, int64_t count, const float *x, int exponent, espq_sim_format format,
                          void *q, espq_isa isa);

/* clip(in * 2^(in_exponent - out_exponent)), rounded */
void espq_sim_requantize(espq_rounding rounding, int64_t count, espq_sim_format in_format, const void *in,
                         int in_exponent, espq_sim_format out_format, void *out, int out_exponent, espq_isa isa);

/* y = table[index]: 256 entries, index x + 128 (8 bits); or 65536 / step + 1, index (x + 32768) / step, rounded (16 bits). */
void espq_sim_table(espq_rounding rounding, int64_t count, espq_sim_format format, const void *x, int32_t entries,
                    const int32_t *table, void *y, espq_isa isa);

#endif
