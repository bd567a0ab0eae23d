/* pool.h - max and average pooling in ESPQ_NHWC16.
 *
 * Max: the largest element under the window; padding never wins. Average: the exact sum, then one
 * floor to the output exponent: y = clip(floor(sum * 2^(e_in - e_out) / count)). The count of a window
 * is the number of its elements inside of the image (count_include_pad false) or of image and pads
 * (true); what sticks out beyond the pads (ceil_mode) never counts. A window without any element gives
 * 0. Global pooling is a window of the size of the image. Where rounding is not FLOOR, the average is ESP-DL v3's:
 * y = clip(round(float32(sum) * float32(2^(e_in - e_out) / (kh * kw)))), pads counted, the product in float32.
 *
 *   espq_sim_pool p = {.kind = ESPQ_SIM_POOL_MAX, .bits = 8, .channels = 32, .ih = 28, .iw = 28,
 *     .oh = 14, .ow = 14, .kh = 2, .kw = 2, .sh = 2, .sw = 2, .dh = 1, .dw = 1, .isa = isa};
 *   if (espq_sim_pool_check(&p, &err)) return err.status;
 *   espq_sim_pool_run(&p, batch, in, out);
 */
#ifndef ESPQ_SIM_POOL_H
#define ESPQ_SIM_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/isa.h"
#include "sim/fixed.h"

typedef enum espq_sim_pool_kind { ESPQ_SIM_POOL_MAX, ESPQ_SIM_POOL_AVERAGE } espq_sim_pool_kind;

typedef struct espq_sim_pool {
  espq_sim_pool_kind kind;
  int bits;     /* 8 or 16 */
  int channels; /* logical or as stored */
  int ih, iw, oh, ow, kh, kw, sh, sw, dh, dw;
  int pt, pl, pb, pr;
  bool count_include_pad; /* average */
  int e_in, e_out;        /* average; max keeps the integers */
  espq_rounding rounding; /* average */
  espq_isa isa;
} espq_sim_pool;

/* Parameters of global pooling. */
static inline espq_sim_pool espq_sim_pool_global(espq_sim_pool_kind kind, int bits, int channels, int ih, int iw,
                                                 int e_in, int e_out, espq_isa isa) {
  return (espq_sim_pool){.kind = kind,
                         .bits = bits,
                         .channels = channels,
                         .ih = ih,
                         .iw = iw,
                         .oh = 1,
                         .ow = 1,
                         .kh = ih,
                         .kw = iw,
                         .sh = 1,
                         .sw = 1,
                         .dh = 1,
                         .dw = 1,
                         .e_in = e_in,
                         .e_out = e_out,
                         .isa = isa};
}

/* ESPQ_EFORMAT for sizes that make no window, ESPQ_ELIMIT beyond 2^31 - 1 elements in a window or an
   image beyond memory. */
espq_status espq_sim_pool_check(const espq_sim_pool *p, espq_error *err);

/* n images; the parameters must have passed the check. `in` and `out` must not overlap. */
void espq_sim_pool_run(const espq_sim_pool *p, int64_t n, const void *in, void *out);

#endif
