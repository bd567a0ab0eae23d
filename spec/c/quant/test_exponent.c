/* Exponents against the logarithm of the rule, at powers of two, their neighbours and the special scales. */
#include "quant/exponent.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "check.h"

/* The rule as it is written down: in double from a float. */
static int by_logarithm(float absmax, double qmax) { return -(int)floor(log2(qmax / (double)absmax)); }

static void documented_values(void) {
  CHECK(espq_exponent_of_absmax(0.9921875f, 8) == -7);
  CHECK(espq_exponent_of_absmax(nextafterf(0.9921875f, 1), 8) == -6);
  CHECK(espq_exponent_of_absmax(127, 8) == 0);
  CHECK(espq_exponent_of_absmax(127.5f, 8) == 1 && espq_exponent_of_absmax(128, 8) == 1);
  CHECK(espq_exponent_of_absmax(1, 8) == -6 && espq_exponent_of_absmax(1, 16) == -14);
  CHECK(espq_exponent_of_absmax(2.5f, 8) == -5);
}

/* qmax * 2^e is the largest number of exponent e, over the whole range of float32. */
static void boundaries(void) {
  for (int bits = 8; bits <= 16; bits += 8) {
    float qmax = bits == 8 ? 127 : 32767;
    for (int e = -149; e <= (bits == 8 ? 121 : 113); e++) {
      float top = ldexpf(qmax, e);
      CHECK(espq_exponent_of_absmax(top, bits) == e);
      CHECK(espq_exponent_of_absmax(nextafterf(top, INFINITY), bits) == e + 1);
      CHECK(espq_exponent_of_absmax(nextafterf(top, 0), bits) == by_logarithm(nextafterf(top, 0), qmax));
    }
    CHECK(espq_exponent_of_absmax(FLT_TRUE_MIN, bits) == by_logarithm(FLT_TRUE_MIN, qmax));
    CHECK(espq_exponent_of_absmax(FLT_MAX, bits) == by_logarithm(FLT_MAX, qmax));
  }
}

/* Every 4093rd positive float. */
static void sweep(void) {
  int wrong = 0;
  for (uint32_t i = 1; i < 0x7f800000u; i += 4093) {
    float x;
    memcpy(&x, &i, sizeof x);
    wrong += espq_exponent_of_absmax(x, 8) != by_logarithm(x, 127);
    wrong += espq_exponent_of_absmax(x, 16) != by_logarithm(x, 32767);
  }
  CHECK(wrong == 0);
}

static void special_scales(void) {
  CHECK(espq_exponent_of_absmax(0, 8) == ESPQ_EXPONENT_ZERO);
  CHECK(espq_exponent_of_absmax(INFINITY, 8) == ESPQ_EXPONENT_INF);
  CHECK(espq_exponent_of_absmax(NAN, 8) == ESPQ_EXPONENT_NAN);
  CHECK(espq_exponent_of_channel(0, 8) == -15 && espq_exponent_of_channel(1, 8) == -6);
  CHECK(espq_exponent_of_channel(NAN, 8) == ESPQ_EXPONENT_NAN);
  CHECK(!espq_exponent_is_number(ESPQ_EXPONENT_ZERO) && !espq_exponent_is_number(ESPQ_EXPONENT_INF));
  CHECK(!espq_exponent_is_number(ESPQ_EXPONENT_NAN) && espq_exponent_is_number(-15) && espq_exponent_is_number(0));
  CHECK(ESPQ_EXPONENT_ZERO < ESPQ_EXPONENT_MIN && ESPQ_EXPONENT_MAX < ESPQ_EXPONENT_INF);
}

static void slopes(void) {
  CHECK(espq_exponent_of_alpha(0.01f, 8) == by_logarithm(0.01f, 127));
  CHECK(espq_exponent_of_alpha(0.1f, 16) == by_logarithm(0.1f, 32767));
  CHECK(espq_exponent_of_alpha(0, 8) == ESPQ_EXPONENT_ZERO && espq_exponent_of_alpha(-0.0f, 8) == ESPQ_EXPONENT_ZERO);
  CHECK(espq_exponent_of_alpha(-0.1f, 8) == ESPQ_EXPONENT_NAN);
  CHECK(espq_exponent_of_alpha(INFINITY, 8) == ESPQ_EXPONENT_INF);
}

/* Thresholds and exponents that the original returned, and both sides of 127 * 2^(k + 1/4). */
static void thresholds(void) {
  CHECK(espq_exponent_of_threshold(0x1.2082ef258p+1) == -6);
  CHECK(espq_exponent_of_threshold(0x1.b672585ep+5) == -1);
  CHECK(espq_exponent_of_threshold(0x1.072c419d4p+2) == -5);
  CHECK(espq_exponent_of_threshold(0x1.426d8c0ep+2) == -4);
  CHECK(espq_exponent_of_threshold(0x1.43b9b9bbp-4) == -10);
  CHECK(espq_exponent_of_threshold(110.66090098023415) == 0);
  for (int k = -20; k < 10; k++) {
    double edge = 127 * exp2(k + 0.25);
    CHECK(espq_exponent_of_threshold(edge * (1 - 1e-9)) == k);
    CHECK(espq_exponent_of_threshold(edge * (1 + 1e-9)) == k + 1);
    CHECK(espq_exponent_of_threshold(ldexp(127, k)) == k); /* minmax's boundary is none here */
  }
  CHECK(espq_exponent_of_threshold(0) == ESPQ_EXPONENT_ZERO && espq_exponent_of_threshold(NAN) == ESPQ_EXPONENT_NAN);
}

static void biases(void) {
  CHECK(espq_exponent_of_bias(-7, -9) == -12);
  CHECK(espq_exponent_of_bias(ESPQ_EXPONENT_ZERO, -9) == ESPQ_EXPONENT_ZERO);
  CHECK(espq_exponent_of_bias(-7, ESPQ_EXPONENT_INF) == ESPQ_EXPONENT_INF);
  CHECK(espq_exponent_of_bias(ESPQ_EXPONENT_INF, ESPQ_EXPONENT_INF) == ESPQ_EXPONENT_INF);
  CHECK(espq_exponent_of_bias(ESPQ_EXPONENT_INF, ESPQ_EXPONENT_ZERO) == ESPQ_EXPONENT_NAN);
  CHECK(espq_exponent_of_bias(ESPQ_EXPONENT_NAN, ESPQ_EXPONENT_ZERO) == ESPQ_EXPONENT_NAN);
}

static void scales(void) {
  int e;
  for (int k = ESPQ_EXPONENT_MIN; k <= ESPQ_EXPONENT_MAX; k++)
    CHECK(espq_exponent_is_number(k) && espq_exponent_of_scale(espq_exponent_scale(k), &e) && e == k);
  CHECK(espq_exponent_scale(-7) == 1.0 / 128);
  CHECK(espq_exponent_scale(ESPQ_EXPONENT_ZERO) == 0 && espq_exponent_of_scale(0, &e) && e == ESPQ_EXPONENT_ZERO);
  CHECK(espq_exponent_of_scale(INFINITY, &e) && e == ESPQ_EXPONENT_INF && isinf(espq_exponent_scale(e)));
  CHECK(espq_exponent_of_scale(NAN, &e) && e == ESPQ_EXPONENT_NAN && isnan(espq_exponent_scale(e)));
  CHECK(!espq_exponent_of_scale(0.75, &e) && !espq_exponent_of_scale(-0.5, &e));
  CHECK(!espq_exponent_of_scale(-INFINITY, &e));
}

int main(void) {
  documented_values();
  boundaries();
  sweep();
  special_scales();
  slopes();
  thresholds();
  biases();
  scales();
  return check_report();
}
