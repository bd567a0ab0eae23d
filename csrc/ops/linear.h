/* linear.h - Conv, Gemm and MatMul on integers: from a node's constants and exponents to a prepared convolution.
 * Private to csrc/ops. Input 1 is the weight; the arithmetic is the graph's (ESP-DL v1, sim/requant.h).
 *
 *   espq_sim_conv_params p = {.ic = k, .oc = n, .ih = 1, ...};            -- all but bits and requant
 *   espq_status status = espq_linear_prepare(call, &p, 2, NULL, &conv, err);
 */
#ifndef ESPQ_OPS_LINEAR_H
#define ESPQ_OPS_LINEAR_H

#include "ops/op.h"
#include "sim/conv.h"

/* bias: its input index (an absent input is no bias), or -1. weights: [oc][ic / groups][kh][kw] of the weight's type,
 * NULL: as the constant lies. ESPQ_EUNSUPPORTED: types or exponents that the arithmetic does not have. */
espq_status espq_linear_prepare(const espq_call *call, const espq_sim_conv_params *p, int bias, const void *weights,
                                espq_sim_conv **out, espq_error *err);

/* MatMul on integers with a single constant matrix at the right (gemm.c); of ESP-DL v3 with any operands. */
extern const espq_kernel espq_matmul_one, espq_matmul_v3;

/* The reason when weight or bias cannot be quantized: not a constant, not float32, not finite. */
const char *espq_linear_why_not(const espq_call *call, int bias, char *text, size_t size);

#endif
