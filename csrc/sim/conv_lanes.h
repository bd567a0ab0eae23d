/* conv_lanes.h - the sums of a convolution as the lanes of the ESP32-S3 hold them; internal to csrc/sim.
 *
 * Where a channel's sums can leave its lane, they are made one product after the other, and what the exact kernels wrote
 * of that channel is overwritten. All other channels keep it: no sum on the way saturates there, so the bits are equal.
 */
#ifndef ESPQ_SIM_CONV_LANES_H
#define ESPQ_SIM_CONV_LANES_H

#include "sim/conv.h"

typedef struct espq_conv_lanes {
  int count;        /* channels that can saturate */
  int *channel;     /* [count], ascending; owned, with what follows */
  int64_t *start;   /* [count], what sums begin with: the bias of v3 */
  int16_t *weights; /* [count][kh][kw][ic / groups] */
  size_t bytes;
} espq_conv_lanes;

/* weights as for espq_sim_conv_prepare; bias NULL: sums begin with 0. params must have been checked. */
espq_status espq_conv_lanes_make(espq_conv_lanes *lanes, const espq_sim_conv_params *params, const void *weights,
                                 const int64_t *bias, espq_error *err);
void espq_conv_lanes_free(espq_conv_lanes *lanes); /* a zeroed one is allowed */

/* Overwrites the channels that can saturate in n images of the output. */
void espq_conv_run_lanes(const espq_sim_conv *conv, int64_t n, const void *in, void *out);

#endif
