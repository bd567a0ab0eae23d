/* elementwise.h - activations and two-operand arithmetic on arrays of integers.
 *
 * Exponents are the powers of two of the values (value = integer * 2^e) and may be any int. Every
 * operation has one result in exact arithmetic, stated below; floor and saturation as in fixed.h.
 * Output may be an input (in place), else arrays must not overlap. Operands and result of one call
 * share a storage format. Padding lanes stay 0 if they are 0 in the operands: so a scalar operand in
 * ESPQ_NHWC16 is given as a vector of channels with zeros in the padding.
 *
 *   espq_sim_binary add = {.op = ESPQ_SIM_ADD, .format = ESPQ_SIM_I8_OFFSET,
 *                          .ea = -4, .eb = -5, .eo = -4, .isa = isa};
 *   espq_sim_binary_run(&add, count, a, b, out);
 */
#ifndef ESPQ_SIM_ELEMENTWISE_H
#define ESPQ_SIM_ELEMENTWISE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/isa.h"
#include "sim/fixed.h"
#include "sim/format.h"

/* ---- two operands ---- */

typedef enum espq_sim_op {
  ESPQ_SIM_ADD, /* the operand with the smaller exponent is floored to the larger one e; then
                   y = clip(floor((a + b) * 2^(e - eo))): two floors, as the chip does */
  ESPQ_SIM_SUB, /* y = clip(floor((a * 2^ea - b * 2^eb) / 2^eo)) */
  ESPQ_SIM_MUL, /* y = clip(a * b * 2^(ea + eb - eo)), rounded as asked for */
  ESPQ_SIM_MAX, /* each operand is brought to eo, floor and clip; then the larger one */
  ESPQ_SIM_MIN
} espq_sim_op;

typedef struct espq_sim_binary {
  espq_sim_op op;
  espq_sim_format format;
  int ea, eb, eo;
  espq_rounding rounding; /* of MUL; the others floor, and ESP-DL v3 gives them equal exponents */
  espq_isa isa;
} espq_sim_binary;

/* Two arrays of count elements. */
void espq_sim_binary_run(const espq_sim_binary *p, int64_t count, const void *a, const void *b, void *out);

/* `rows` rows of `count` elements. An operand with a_row (b_row) false is one row, used for all: a
   vector of channels in ESPQ_NHWC16 (rows = pixels), the trailing dimensions in ESPQ_PLAIN. */
void espq_sim_binary_rows(const espq_sim_binary *p, int64_t rows, int64_t count, const void *a, bool a_row,
                          const void *b, bool b_row, void *out);

/* Any broadcasting: dims[rank] of the dense output, and for each operand the elements to step along
   each dimension (0: broadcast). 0 <= rank <= ESPQ_SIM_RANK_MAX. */
enum { ESPQ_SIM_RANK_MAX = 8 };
void espq_sim_binary_strided(const espq_sim_binary *p, int rank, const int64_t *dims, const int64_t *a_steps,
                             const int64_t *b_steps, const void *a, const void *b, void *out);

/* ---- one operand ---- */

/* y = max(x, 0) */
void espq_sim_relu(espq_sim_format format, int64_t count, const void *x, void *y, espq_isa isa);

/* y = x >= 0 ? x : clip(floor(x * slope * 2^slope_exponent)); LeakyRelu, PRelu with one slope. */
void espq_sim_leaky_relu(espq_sim_format format, int64_t count, const void *x, int32_t slope, int slope_exponent,
                         void *y, espq_isa isa);

/* The same with slopes[channels]: x is `pixels` rows of `channels` elements (ESPQ_NHWC16: channels as
   stored, slopes padded with anything). */
void espq_sim_prelu(espq_sim_format format, int64_t pixels, int64_t channels, const void *x, const int32_t *slopes,
                    int slope_exponent, void *y, espq_isa isa);

/* The same in ESPQ_PLAIN: n images of `channels` planes of `plane` elements. */
void espq_sim_prelu_planes(espq_sim_format format, int64_t n, int64_t channels, int64_t plane, const void *x,
                           const int32_t *slopes, int slope_exponent, void *y, espq_isa isa);

#endif
