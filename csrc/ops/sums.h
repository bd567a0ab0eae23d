/* sums.h - whether the sums of a node can leave the lanes of the ESP32-S3. Private to csrc/ops, but for the last. */
#ifndef ESPQ_OPS_SUMS_H
#define ESPQ_OPS_SUMS_H

#include "ops/op.h"
#include "sim/sums.h"

/* What the integers of an input of 8 or 16 bits are known to lie in: from 0 on behind a Relu, also behind what hands
 * integers on as they are; 0 where the scale is 0; else all integers of that width. */
espq_sim_interval espq_call_integers(const espq_call *call, int input, int bits);

/* Output channels of a Conv, Gemm or MatMul on integers, and how many of them have sums that some input takes out of
 * the lanes. Reads constants and the arithmetic of the graph, and wants no exponents: a bias counts where it is integers
 * and the arithmetic is v3's. 0 and 0 for nodes without integer weights or of unknown shapes. */
espq_status espq_call_saturating(const espq_call *call, int64_t *channels, int64_t *saturating, espq_error *err);

#endif
