/* window.h - the sliding windows of Conv and the pools, private to csrc/ops.
 *
 * Reads kernel_shape, strides, dilations, pads, auto_pad and (pools) ceil_mode, checks every number, and says how
 * large the output is. Axis 0 is the depth, 1 the height, 2 the width; a rank 3 tensor (N,C,L) is an image of depth and
 * height 1.
 * Unknown sizes stay -1. After success, with no -1 left: sizes, strides, dilations and pads lie in 0..2^30, kernels,
 * strides, dilations and outputs are at least 1, and `pad_begin + pad_end + in >= extent of the kernel`.
 *
 *   espq_window w;
 *   espq_status status = espq_window_read(call, NULL, &w, err);        -- pools; Conv passes the weight's dims
 *   if (!status) espq_window_shape(&w, &call->in[0].shape, channels, &call->out[0].shape);
 *   params.kh = w.kernel[1]; params.pt = w.pad_begin[1]; params.oh = w.out[1];
 */
#ifndef ESPQ_OPS_WINDOW_H
#define ESPQ_OPS_WINDOW_H

#include "ops/op.h"

enum { ESPQ_WINDOW_AXES = 3 };

typedef struct espq_window {
  int rank; /* spatial axes of the tensor: 1 to 3 */
  int64_t in[ESPQ_WINDOW_AXES], out[ESPQ_WINDOW_AXES];
  int64_t kernel[ESPQ_WINDOW_AXES], stride[ESPQ_WINDOW_AXES], dilation[ESPQ_WINDOW_AXES];
  int64_t pad_begin[ESPQ_WINDOW_AXES],
      pad_end[ESPQ_WINDOW_AXES]; /* of auto_pad too. With ceil_mode the last window may reach beyond pad_end. */
} espq_window;

/* The attributes that espq_window_read looks at, for a row's list; a pool adds ceil_mode. */
#define ESPQ_WINDOW_ATTRS                                                                             \
  {"auto_pad", ESPQ_ATTR_STRING, false, 0, "NOTSET"}, {"kernel_shape", ESPQ_ATTR_INTS, false, 0, ""}, \
      {"strides", ESPQ_ATTR_INTS, false, 0, ""}, {"dilations", ESPQ_ATTR_INTS, false, 0, ""}, {       \
    "pads", ESPQ_ATTR_INTS, false, 0, ""                                                              \
  }

/* The windows over input 0. `kernel`: the weight's spatial dims (as many as input 0 has; -1 unknown) of a Conv; NULL:
 * a pool, which must have kernel_shape, may have ceil_mode, and whose pads must be smaller than its kernel (extent).
 * ESPQ_EUNSUPPORTED: four or more spatial axes; ESPQ_EFORMAT: no windows, or numbers that make none. */
espq_status espq_window_read(const espq_call *call, const int64_t *kernel, espq_window *w, espq_error *err);

/* The chip's kernels have two axes: ESPQ_EUNSUPPORTED for three. */
espq_status espq_window_flat(const espq_call *call, const espq_window *w, espq_error *err);

/* (kernel - 1) * dilation + 1: pixels from the first to the last that a window touches. */
int64_t espq_window_extent(const espq_window *w, int axis);

/* *out = N, channels, output sizes. */
void espq_window_shape(const espq_window *w, const espq_shape *in, int64_t channels, espq_shape *out);

#endif
