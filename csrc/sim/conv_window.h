/* conv_window.h - where a dense convolution finds the inputs of its output pixels; internal to csrc/sim.
 *
 * Output pixels are computed in groups. For each, `fetch` gives an address such that tap t of pixel i
 * of the group is at address + pixel[i] + tap[t]: the image itself where no window leaves it, else a
 * copy with zeros around it. So kernels know no edges, and the two tables serve all groups.
 *
 * A pixel takes 16 channels at least, also where one of them carries anything. If that makes fewer
 * steps, a copy is "compact": it holds the logical channels alone, so that a row of the window is one
 * run of kw * ic inputs, and a tap is a row.
 */
#ifndef ESPQ_SIM_CONV_WINDOW_H
#define ESPQ_SIM_CONV_WINDOW_H

#include "sim/conv.h"

typedef enum espq_conv_access {
  ESPQ_CONV_FLAT,     /* 1x1: output pixel i of the batch is made of input pixel i */
  ESPQ_CONV_IN_PLACE, /* groups are rows of an image */
  ESPQ_CONV_COPIED,   /* the same of a copy */
  ESPQ_CONV_GATHERED  /* far-off windows: a copy of each */
} espq_conv_access;

typedef struct espq_conv_window {
  espq_conv_access access;
  bool compact;
  int taps, group;           /* group: output pixels that are computed together */
  size_t *tap, *pixel;       /* [taps], [group]; owned by tap */
  size_t in_pixel, in_image; /* bytes */
  size_t cell;               /* bytes of a pixel of the copy */
  int64_t columns;           /* of the copy */
  size_t scratch, bytes;     /* of the copy; of the tables */
} espq_conv_window;

/* For a kernel that takes `depth` inputs a step. params must have been checked. */
espq_status espq_conv_window_make(espq_conv_window *window, const espq_sim_conv_params *params, int depth,
                                  espq_error *err);
void espq_conv_window_free(espq_conv_window *window); /* a zeroed one is allowed */

/* The address for output pixels first .. first + pixels - 1 of an image, `first` a multiple of the group. */
const char *espq_conv_window_fetch(const espq_conv_window *window, const espq_sim_conv_params *params,
                                   const char *image, int64_t first, int pixels, void *scratch);

#endif
