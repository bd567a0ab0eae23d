/* conv_pack.h - weights in the order a kernel reads them; internal to csrc/sim.
 *
 * Chooses the kernel for a convolution, cuts its outputs into strips and packs the weights of each.
 * Everything is owned by the pack and freed with it (a zeroed one is allowed).
 */
#ifndef ESPQ_SIM_CONV_PACK_H
#define ESPQ_SIM_CONV_PACK_H

#include "sim/conv.h"
#include "sim/conv_kernel.h"

typedef struct espq_conv_pack {
  const espq_conv_kernel *kernel;
  espq_conv_strip *strips;
  int count;
  int32_t *start; /* [stored output channels] */
  char *weights;
  size_t bytes; /* of all three */
} espq_conv_pack;

/* params must have been checked. */
espq_status espq_conv_pack_make(espq_conv_pack *pack, const espq_sim_conv_params *params, const void *weights,
                                espq_error *err);
void espq_conv_pack_free(espq_conv_pack *pack);

#endif
