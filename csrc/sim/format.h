/* format.h - how one integer of an activation is stored.
 *
 * int8 in ESPQ_NHWC16 is offset binary, everything else is two's complement (base/layout.h).
 */
#ifndef ESPQ_SIM_FORMAT_H
#define ESPQ_SIM_FORMAT_H

#include <stddef.h>

#include "base/layout.h"

typedef enum espq_sim_format {
  ESPQ_SIM_I8 = 0,    /* int8_t */
  ESPQ_SIM_I8_OFFSET, /* uint8_t: value + 128 */
  ESPQ_SIM_I16        /* int16_t */
} espq_sim_format;

static inline espq_sim_format espq_sim_format_of(int bits, espq_layout layout) {
  if (bits == 16) return ESPQ_SIM_I16;
  return layout == ESPQ_NHWC16 ? ESPQ_SIM_I8_OFFSET : ESPQ_SIM_I8;
}

static inline int espq_sim_format_bits(espq_sim_format format) { return format == ESPQ_SIM_I16 ? 16 : 8; }

static inline size_t espq_sim_format_bytes(espq_sim_format format) { return format == ESPQ_SIM_I16 ? 2 : 1; }

#endif
