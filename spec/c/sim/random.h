/* random.h - repeatable numbers for the kernel tests. */
#ifndef ESPQ_SPEC_SIM_RANDOM_H
#define ESPQ_SPEC_SIM_RANDOM_H

#include <stdint.h>

static uint64_t random_state = 0x9e3779b97f4a7c15u;

static inline uint32_t random_bits(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return (uint32_t)(random_state >> 16);
}

static inline int random_between(int lo, int hi) {
  return (int)(lo + (int64_t)(random_bits() % (uint32_t)((int64_t)hi - lo + 1)));
}

/* A value of `bits` bits; extremes and small values are frequent. */
static inline int random_value(int bits) {
  int lo = -(1 << (bits - 1)), hi = -lo - 1;
  switch (random_bits() % 8) {
    case 0: return lo;
    case 1: return hi;
    case 2: return random_between(-2, 2);
    default: return random_between(lo, hi);
  }
}

#endif
