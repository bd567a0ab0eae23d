/* fixed.h - the arithmetic of the chips: shifting, rounding, saturation, and nothing else.
 *
 * This is the only definition. Vector code elsewhere computes the same function in narrower registers
 * and is tested against these. Shifts take any count, positive to the right (divide by 2^right),
 * negative to the left; a left shift that leaves 64 bits saturates. Nothing here overflows or depends
 * on undefined behaviour, whatever the arguments.
 *
 *   int64_t v = espq_fixed_floor(espq_fixed_clip(sum, 20), e_out - e_in - e_w);
 *   int8_t y = (int8_t)espq_fixed_clip(v + bias, 8);
 */
#ifndef ESPQ_SIM_FIXED_H
#define ESPQ_SIM_FIXED_H

#include <math.h>
#include <stdint.h>

typedef enum espq_rounding { ESPQ_ROUND_FLOOR, ESPQ_ROUND_HALF_UP, ESPQ_ROUND_HALF_EVEN } espq_rounding;

static inline int64_t espq_fixed_clamp(int64_t v, int64_t lo, int64_t hi) { return v < lo ? lo : v > hi ? hi : v; }

/* The smallest and largest signed integer of `bits` bits, 1 <= bits <= 64; bits 0 means 64. */
static inline int64_t espq_fixed_min(int bits) { return bits == 0 ? INT64_MIN : INT64_MIN >> (64 - bits); }
static inline int64_t espq_fixed_max(int bits) { return bits == 0 ? INT64_MAX : INT64_MAX >> (64 - bits); }

/* Saturates to `bits` bits; bits 0: v itself. */
static inline int64_t espq_fixed_clip(int64_t v, int bits) {
  return espq_fixed_clamp(v, espq_fixed_min(bits), espq_fixed_max(bits));
}

/* Bits of the lane of the ESP32-S3 that sums products of integers of `bits` bits. */
static inline int espq_fixed_lane_bits(int bits) { return bits == 8 ? 20 : 40; }

/* One step of such a lane: it holds sum, adds a product, and saturates. */
static inline int64_t espq_fixed_accumulate(int64_t sum, int64_t product, int lane_bits) {
  return espq_fixed_clip(sum + product, lane_bits);
}

/* v * 2^left, saturated to 64 bits; left >= 0. */
static inline int64_t espq_fixed_left(int64_t v, int64_t left) {
  if (v == 0) return 0;
  if (left > 63) left = 63;
  if (v > INT64_MAX >> left) return INT64_MAX;
  if (v < INT64_MIN >> left) return INT64_MIN;
  return (int64_t)((uint64_t)v << left);
}

/* floor(v / 2^right): the rounding of ESP-DL v1. */
static inline int64_t espq_fixed_floor(int64_t v, int64_t right) {
  if (right < 0) return espq_fixed_left(v, right < -63 ? 63 : -right);
  return v >> (right > 63 ? 63 : right);
}

/* floor(v / 2^right + 1/2): ESP-DL v3 on all chips but the P4. */
static inline int64_t espq_fixed_half_up(int64_t v, int64_t right) {
  if (right <= 0) return espq_fixed_floor(v, right);
  if (right > 63) return 0;
  return (v >> right) + ((v >> (right - 1)) & 1);
}

/* v / 2^right to the nearest integer, ties to the even one: ESP-DL v3 on the P4. */
static inline int64_t espq_fixed_half_even(int64_t v, int64_t right) {
  if (right <= 0) return espq_fixed_floor(v, right);
  if (right > 63) return 0;
  int64_t quotient = v >> right;
  uint64_t rest = (uint64_t)v - ((uint64_t)quotient << right), half = (uint64_t)1 << (right - 1);
  return quotient + (rest > half || (rest == half && (quotient & 1)));
}

/* v / 2^right, rounded as the chip at hand does. */
static inline int64_t espq_fixed_shift(espq_rounding rounding, int64_t v, int64_t right) {
  if (rounding == ESPQ_ROUND_FLOOR) return espq_fixed_floor(v, right);
  return rounding == ESPQ_ROUND_HALF_UP ? espq_fixed_half_up(v, right) : espq_fixed_half_even(v, right);
}

/* The integer nearest to x, or below it; NaN gives 0. The sum x + 1/2 is not made: it would round by itself. */
static inline double espq_fixed_nearest(espq_rounding rounding, double x) {
  if (x != x) return 0;
  if (rounding == ESPQ_ROUND_HALF_EVEN) return nearbyint(x);
  double below = floor(x);
  return rounding == ESPQ_ROUND_HALF_UP && x - below >= 0.5 ? below + 1 : below;
}

/* floor(a / b), b > 0. */
static inline int64_t espq_fixed_divide(int64_t a, int64_t b) { return a / b - (a % b < 0); }

/* x / 2^exponent, rounded and saturated to bits <= 64 bits; NaN gives 0. */
static inline int64_t espq_fixed_round(espq_rounding rounding, double x, int64_t exponent, int bits) {
  double scaled = ldexp(x, (int)espq_fixed_clamp(-exponent, -2000, 2000));
  if (scaled <= (double)espq_fixed_min(bits)) return espq_fixed_min(bits);
  if (scaled >= (double)espq_fixed_max(bits)) return espq_fixed_max(bits);
  return (int64_t)espq_fixed_nearest(rounding, scaled);
}

/* The same to the nearest integer, ties to even: ESP-DL v1. */
static inline int64_t espq_fixed_quantize(float x, int64_t exponent, int bits) {
  return espq_fixed_round(ESPQ_ROUND_HALF_EVEN, (double)x, exponent, bits);
}

/* q * 2^exponent as the nearest float (or infinity). */
static inline float espq_fixed_dequantize(int64_t q, int64_t exponent) {
  return (float)ldexp((double)q, (int)espq_fixed_clamp(exponent, -1000, 1000));
}

#endif
