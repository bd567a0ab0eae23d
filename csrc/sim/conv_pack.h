/* conv_pack.h - weights and requantization in the order a kernel reads them; internal to csrc/sim.
 *
 * Cuts the outputs of a convolution into strips and packs the weights of each. Everything is owned by
 * the pack and freed with it (a zeroed one is allowed).
 */
#ifndef ESPQ_SIM_CONV_PACK_H
#define ESPQ_SIM_CONV_PACK_H

#include "sim/conv.h"
#include "sim/conv_kernel.h"

typedef struct espq_conv_pack {
  espq_conv_strip *strips;
  int count;
  int32_t *tables; /* what strips point to, [stored output channels] each */
  char *weights;
  size_t bytes; /* of all three */
} espq_conv_pack;

/* Exactly one of the kernels; `compact` as in conv_window.h. params must have been checked. */
typedef struct espq_conv_packing {
  const espq_sim_conv_params *params;
  const void *weights;
  const espq_requant_plan *requant;
  const espq_dense_kernel *dense;
  const espq_depthwise_kernel *depthwise;
  bool compact;
} espq_conv_packing;

espq_status espq_conv_pack_make(espq_conv_pack *pack, const espq_conv_packing *packing, espq_error *err);
void espq_conv_pack_free(espq_conv_pack *pack);

#endif
