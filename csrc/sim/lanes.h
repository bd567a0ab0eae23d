/* lanes.h - integers of any storage as blocks of int32; internal to csrc/sim.
 *
 * Element-wise kernels work in three steps on at most ESPQ_LANES elements at a time: load to int32,
 * compute there, store. So each operation is written once, not once per storage format. Blocks are
 * computed in whole sixteens: what load leaves beyond n up to the next multiple of 16 is 0.
 */
#ifndef ESPQ_SIM_LANES_H
#define ESPQ_SIM_LANES_H

#include <stddef.h>
#include <stdint.h>

#include "base/isa.h"
#include "sim/fixed.h"
#include "sim/format.h"

enum { ESPQ_LANES = 512 };

typedef struct espq_lanes {
  _Alignas(64) int32_t v[ESPQ_LANES];
} espq_lanes;

static inline int espq_lanes_rounded(int n) { return (n + 15) & ~15; }

/* Elements first, first + stride, ... of array; n <= ESPQ_LANES. */
void espq_lanes_load(espq_isa isa, espq_sim_format format, const void *array, int64_t first, int64_t stride, int n,
                     espq_lanes *out);

/* To the elements first.. of array; the values fit the format. */
void espq_lanes_store(espq_isa isa, espq_sim_format format, const espq_lanes *in, int n, void *array, int64_t first);

/* v = clamp(v / 2^right, lo, hi), rounded as in fixed.h, with lo and hi of at most 16 bits. Rounded otherwise than by floor,
 * |v| is at most 2^30. */
typedef struct espq_lanes_scale {
  espq_rounding rounding;
  int right, left;
  int32_t lo, hi;
} espq_lanes_scale;

/* The same for one v and a floor. What the first clamp changes would saturate anyway; after it a left shift of 16 fits
 * 32 bits. */
static inline int32_t espq_lanes_floor(const espq_lanes_scale *s, int32_t v) {
  v >>= s->right;
  v = v < s->lo ? s->lo : v;
  v = v > s->hi ? s->hi : v;
  v = (int32_t)((uint32_t)v << s->left);
  v = v < s->lo ? s->lo : v;
  return v > s->hi ? s->hi : v;
}

espq_lanes_scale espq_lanes_scale_to(espq_rounding rounding, int64_t right, int bits);
void espq_lanes_apply(espq_isa isa, const espq_lanes_scale *scale, int n, espq_lanes *lanes);

#endif
