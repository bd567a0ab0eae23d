/* arrays.h - arrays of a storage format for the kernel tests: exactly as long as needed, so that
 * sanitizers see a step beyond the end. */
#ifndef ESPQ_SPEC_SIM_ARRAYS_H
#define ESPQ_SPEC_SIM_ARRAYS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "random.h"
#include "sim/format.h"

static inline int array_get(espq_sim_format format, const void *array, int64_t i) {
  if (format == ESPQ_SIM_I16) return ((const int16_t *)array)[i];
  if (format == ESPQ_SIM_I8) return ((const int8_t *)array)[i];
  return ((const uint8_t *)array)[i] - 128;
}

static inline void array_set(espq_sim_format format, void *array, int64_t i, int value) {
  if (format == ESPQ_SIM_I16) ((int16_t *)array)[i] = (int16_t)value;
  else if (format == ESPQ_SIM_I8) ((int8_t *)array)[i] = (int8_t)value;
  else ((uint8_t *)array)[i] = (uint8_t)(value + 128);
}

static inline void *array_new(espq_sim_format format, int64_t count) {
  void *array = malloc((size_t)count * espq_sim_format_bytes(format));
  if (!array) abort();
  return array;
}

static inline void *array_random(espq_sim_format format, int64_t count) {
  void *array = array_new(format, count);
  for (int64_t i = 0; i < count; i++) array_set(format, array, i, random_value(espq_sim_format_bits(format)));
  return array;
}

#endif
