#include "quant/exponent.h"

#include <math.h>

/* -floor(x) for the logarithm of a scale's reciprocal. */
static int negated_floor(double x) {
  if (isnan(x)) return ESPQ_EXPONENT_NAN;
  if (isinf(x)) return x > 0 ? ESPQ_EXPONENT_ZERO : ESPQ_EXPONENT_INF;
  return -(int)floor(x);
}

static double qmax(int bits) { return bits == 16 ? 32767.0 : 127.0; }

/* floor(log2(ratio)) is read from the binary exponent of the ratio instead of computed with log2().
 * The result is the same: a float absmax above qmax / 2^k is so by 2^-24 at least, which neither
 * the division nor a logarithm below 2^8 can round away. */
static int of_ratio(double ratio) {
  if (!(ratio > 0) || isinf(ratio)) return negated_floor(log2(ratio));
  return -ilogb(ratio);
}

bool espq_exponent_is_number(int exponent) { return exponent >= ESPQ_EXPONENT_MIN && exponent <= ESPQ_EXPONENT_MAX; }

int espq_exponent_of_absmax(float absmax, int bits) { return of_ratio(qmax(bits) / absmax); }

int espq_exponent_of_channel(float absmax, int bits) {
  return absmax == 0 ? ESPQ_EXPONENT_ZERO_CHANNEL : espq_exponent_of_absmax(absmax, bits);
}

int espq_exponent_of_alpha(float alpha, int bits) {
  return alpha == 0 ? ESPQ_EXPONENT_ZERO : of_ratio(qmax(bits) / alpha);
}

int espq_exponent_of_threshold(double threshold) { return negated_floor(log2(127.0 / threshold) + 0.25); }

int espq_exponent_of_bias(int input, int weight) {
  if (espq_exponent_is_number(input) && espq_exponent_is_number(weight))
    return input + weight + ESPQ_EXPONENT_BIAS_SHIFT;
  if (input == ESPQ_EXPONENT_NAN || weight == ESPQ_EXPONENT_NAN) return ESPQ_EXPONENT_NAN;
  if (espq_exponent_is_number(input)) return weight;
  if (espq_exponent_is_number(weight)) return input;
  return input == weight ? input : ESPQ_EXPONENT_NAN; /* 0 * inf */
}

#define LEAST_SCALE_V3 1e-8

int espq_exponent_of_absmax_v3(float absmax, int bits) {
  if (isnan(absmax)) return ESPQ_EXPONENT_NAN;
  if (isinf(absmax)) return ESPQ_EXPONENT_INF;
  return (int)ceil(log2(fmax(2 * (double)absmax / (ldexp(1, bits) - 1), LEAST_SCALE_V3)));
}

int espq_exponent_of_step_v3(double step) {
  if (isnan(step)) return ESPQ_EXPONENT_NAN;
  if (isinf(step)) return ESPQ_EXPONENT_INF;
  return (int)floor(log2(fmax(step, LEAST_SCALE_V3)) + 0.5);
}

double espq_exponent_scale(int exponent) {
  if (exponent == ESPQ_EXPONENT_NAN) return NAN;
  if (exponent == ESPQ_EXPONENT_INF) return INFINITY;
  return exponent == ESPQ_EXPONENT_ZERO ? 0.0 : ldexp(1.0, exponent);
}

bool espq_exponent_of_scale(double scale, int *exponent) {
  if (!(scale > 0) || isinf(scale)) {
    *exponent = isnan(scale) ? ESPQ_EXPONENT_NAN : scale == 0 ? ESPQ_EXPONENT_ZERO : ESPQ_EXPONENT_INF;
    return isnan(scale) || scale >= 0;
  }
  int e;
  if (frexp(scale, &e) != 0.5) return false;
  *exponent = e - 1;
  return true;
}
