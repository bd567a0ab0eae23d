/* kernel.h - what the kernels and shape rules of several families share, private to csrc/ops.
 *
 *   espq_image x = espq_image_of(&call->in[0].shape);           -- n images of c channels of `pixels` pixels
 *   espq_status status = espq_port_exponent(call, &call->in[0], &e, err);
 */
#ifndef ESPQ_OPS_KERNEL_H
#define ESPQ_OPS_KERNEL_H

#include "ops/op.h"
#include "sim/fixed.h"
#include "sim/format.h"
#include "tensor/function.h"

/* A known shape as images: axis 0, axis 1, all the others. Missing axes count 1. */
typedef struct espq_image {
  int64_t n, c, pixels;
} espq_image;

espq_image espq_image_of(const espq_shape *shape);

/* Elements in memory, padding lanes included. */
int64_t espq_port_stored(const espq_port *port);

/* How the integers of a port's present layout are stored. */
espq_sim_format espq_port_format(const espq_port *port);

/* Arithmetic is done on float32, and on int8 or int16 in a node of the integer column: other types are refused with
 * advice (ESPQ_EUNSUPPORTED), an unknown one is let through. Absent inputs pass. */
espq_status espq_port_number(const espq_call *call, int input, espq_error *err);

/* Input `input` has one of the types (ESPQ_TYPES_*, tensor/function.h), or an unknown one; absent inputs pass.
 * ESPQ_EUNSUPPORTED names both. */
espq_status espq_port_type(const espq_call *call, int input, unsigned types, espq_error *err);
/* All inputs have the type of input 0, as far as they are known. */
espq_status espq_call_one_type(const espq_call *call, espq_error *err);

/* Elements from one index to the next along each axis of `out`; 0 where the operand has one element there. */
void espq_broadcast_steps(const espq_shape *in, const espq_shape *out, int64_t *step);

/* The shape rule of functions of one number: espq_port_number, then output 0 is like input 0. */
espq_status espq_infer_elementwise(espq_call *call, espq_error *err);

/* Output 0 is like input 0, with this shape. */
espq_status espq_call_result(espq_call *call, const espq_shape *shape);

/* The constant tensor of an input that must be one, of type float32. ESPQ_EUNSUPPORTED when it is computed at run time,
 * ESPQ_EFORMAT for another type. */
espq_status espq_port_weights(const espq_call *call, int input, const float **data, espq_error *err);

/* Whether the shapes that the graph has now fit this node; changes nothing. */
espq_status espq_ops_infer_node(const espq_graph *graph, espq_id node, espq_error *err);

/* Puts "<Op> '<name>'" in front of the text of err; returns err's status. */
espq_status espq_call_prefix(const espq_call *call, espq_error *err);

/* ---- integer column ---- */

/* Exponent of a port that has one; ESPQ_EUNSUPPORTED for none, several, or the exponents of infinity and NaN. May be
 * ESPQ_OPS_EXPONENT_ZERO: all values are 0. */
#define ESPQ_OPS_EXPONENT_ZERO INT32_MIN
espq_status espq_port_exponent(const espq_call *call, const espq_port *port, int *out, espq_error *err);

/* False for the exponents of infinity and NaN (quant/exponent.h). */
bool espq_exponent_is_usable(int32_t exponent);

/* How the integer kernels of the graph round: FLOOR for ESP-DL v1. */
espq_rounding espq_call_rounding(const espq_call *call);

/* ESP-DL v3 by way of the row's float kernel (v3_float.c). */
extern const espq_kernel espq_v3_by_float;

/* Input 0 and output 0 must be of one width and exponent: operators that only move or bound numbers. */
espq_status espq_call_same_quant(const espq_call *call, espq_error *err);

/* A constant int8, int16 or int32 tensor as int32_t; released with espq_free. */
espq_status espq_tensor_int32(const espq_tensor *tensor, int32_t **out, espq_error *err);

/* The reason of an operator whose inputs but the first must be constants, when one of them is not; else NULL. */
const char *espq_computed_why_not(const espq_call *call, char *text, size_t size);

/* Formats into text and returns it: for why_not. */
const char *espq_reason(char *text, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
