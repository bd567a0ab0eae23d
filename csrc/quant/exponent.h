/* exponent.h - which power of two a range of numbers is quantized with.
 *
 * The scale of exponent e is 2^e; an int8 holds -128..127 steps of it, an int16 -32768..32767. The
 * rules are those of the original tool (ESP-DL v1). It works with scales, which may be 0, infinite
 * or NaN; here these are three exponents of their own, ordered as their scales are (ZERO below
 * every number, INF above, NAN last), so that max() of exponents is plain integer max(). Pure
 * functions of numbers; nothing is owned. Those of ESP-DL v3 end in _v3.
 *
 *   int e = espq_exponent_of_absmax(2.5f, 8);               -- -5: 127 * 2^-5 = 3.97
 *   double scale = espq_exponent_scale(e);                  -- 0.03125
 */
#ifndef ESPQ_QUANT_EXPONENT_H
#define ESPQ_QUANT_EXPONENT_H

#include <limits.h>
#include <stdbool.h>

enum {
  ESPQ_EXPONENT_MIN = -1074, /* powers of two that a double holds */
  ESPQ_EXPONENT_MAX = 1023,
  ESPQ_EXPONENT_ZERO = INT_MIN,     /* scale 0: an all-zero tensor */
  ESPQ_EXPONENT_INF = INT_MAX - 1,  /* scale inf: a tensor with an infinity */
  ESPQ_EXPONENT_NAN = INT_MAX,      /* scale NaN: a tensor with a NaN */
  ESPQ_EXPONENT_ZERO_CHANNEL = -15, /* what an all-zero channel of a per-channel weight gets */
  ESPQ_EXPONENT_BIAS_SHIFT = 4      /* added to a per-channel bias' exponent */
};

/* True for the exponent of a finite scale above 0, false for the three special ones. */
bool espq_exponent_is_number(int exponent);

/* e = -floor(log2(qmax / absmax)), qmax = 127 or 32767 for bits 8 or 16: activations (minmax),
 * weights, and the slopes of PRelu. absmax 0 gives ZERO, inf INF, NaN NAN. */
int espq_exponent_of_absmax(float absmax, int bits);
/* The same for one channel of a per-channel weight: absmax 0 gives ESPQ_EXPONENT_ZERO_CHANNEL. */
int espq_exponent_of_channel(float absmax, int bits);
/* The same for the alpha of a LeakyRelu; below 0 gives NAN. For 0 the original raised
 * ZeroDivisionError: ZERO. */
int espq_exponent_of_alpha(float alpha, int bits);
/* e = -floor(log2(127 / threshold) + 0.25): int8 activations with the threshold of a KL search. */
int espq_exponent_of_threshold(double threshold);

/* A per-channel bias: input + weight + 4. (Per-tensor, a bias has the exponent of its node's
 * output.) */
int espq_exponent_of_bias(int input, int weight);

/* --- ESP-DL v3, by the rules of esp-ppq. Its scales are at least 1e-8, so nothing finite gives ZERO. --- */

/* e = ceil(log2(2 * absmax / (2^bits - 1))): minmax and percentile, activations and weights. absmax inf gives INF, NaN
 * NAN. */
int espq_exponent_of_absmax_v3(float absmax, int bits);
/* e = floor(log2(step) + 0.5): a step that the KL search found, 0 where all data are zero. */
int espq_exponent_of_step_v3(double step);

/* 2^exponent, or 0, inf, NaN. */
double espq_exponent_scale(int exponent);
/* The exponent of a scale, the special ones included; false if it is no power of two. */
bool espq_exponent_of_scale(double scale, int *exponent);

#endif
