/* conv_drive.h - a prepared convolution and the two ways to run it; internal to csrc/sim. */
#ifndef ESPQ_SIM_CONV_DRIVE_H
#define ESPQ_SIM_CONV_DRIVE_H

#include "base/layout.h"
#include "sim/conv.h"
#include "sim/conv_kernel.h"
#include "sim/conv_lanes.h"
#include "sim/conv_pack.h"
#include "sim/conv_window.h"

struct espq_sim_conv {
  espq_sim_conv_params p;
  const espq_dense_kernel *dense; /* one of the kernels is NULL */
  const espq_depthwise_kernel *depthwise;
  espq_requant_plan requant;
  espq_conv_pack pack;
  espq_conv_window window; /* dense */
  void *zeros;             /* depthwise: a pixel of zeros */
  espq_conv_lanes lanes;   /* channels whose sums can saturate; none without params.lanes */
};

static inline size_t espq_conv_out_channels(const espq_sim_conv *conv) {
  return (size_t)espq_layout_channels(ESPQ_NHWC16, conv->p.oc);
}

void espq_conv_run_dense(const espq_sim_conv *conv, int64_t n, const void *in, void *out, void *scratch);

/* Does the depthwise kernel serve these parameters? Else the dense ones do: a group is their special case. */
bool espq_conv_is_depthwise(const espq_sim_conv_params *params, const espq_depthwise_kernel *kernel);
espq_status espq_conv_zeros_make(void **zeros, const espq_sim_conv_params *params, espq_error *err);
size_t espq_conv_depthwise_scratch(const espq_sim_conv_params *params, const espq_depthwise_kernel *kernel);
void espq_conv_run_depthwise(const espq_sim_conv *conv, int64_t n, const void *in, void *out, void *scratch);

#endif
