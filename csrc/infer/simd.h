/* simd.h - private to csrc/infer: one plain C loop compiled for SSE2, AVX2 and AVX-512, chosen at run time.
 *
 * The loops have no sum whose order a wider register could change and no fused multiply-add (contraction is
 * off), so all three give the same bits. Include it last: it raises the optimization level of what follows.
 *
 *   SIMD_BODY void negate_body(int64_t n, const float *x, float *y) { for ... }
 *   SIMD_CLONES(negate, (int64_t n, const float *x, float *y), (n, x, y))   -- defines negate
 */
#ifndef ESPQ_INFER_SIMD_H
#define ESPQ_INFER_SIMD_H

#include <stdint.h>
#include <string.h>

#define SIMD_BODY static inline __attribute__((always_inline))

#if defined(__x86_64__) && defined(__GNUC__)
#define SIMD_WIDE     __attribute__((target("avx512f,avx512vl,avx512dq,prefer-vector-width=512")))
#define SIMD_MIDDLE   __attribute__((target("avx2")))
#define SIMD_HAS_WIDE (__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
#define SIMD_CLONES(name, params, args)                              \
  SIMD_WIDE static void name##_wide params { name##_body args; }     \
  SIMD_MIDDLE static void name##_middle params { name##_body args; } \
  static void name params {                                          \
    if (SIMD_HAS_WIDE) name##_wide args;                             \
    else if (__builtin_cpu_supports("avx2")) name##_middle args;     \
    else name##_body args;                                           \
  }
#else
#define SIMD_CLONES(name, params, args) \
  static void name params { name##_body args; }
#endif

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3")
#endif

/* 2^k for -126 <= k <= 127. */
SIMD_BODY float simd_power2(int32_t k) {
  uint32_t bits = (uint32_t)(k + 127) << 23;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* e^x within 2 units in the last place; 0 and infinity beyond the range of float, NaN for NaN. */
SIMD_BODY float simd_exp(float x) {
  const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer, kept in the low bits */
  float c = x < -104.0f ? -104.0f : x;
  c = c > 89.0f ? 89.0f : c;
  float t = c * 1.44269504f + magic;
  int32_t n;
  memcpy(&n, &t, sizeof n);
  n -= 0x4B400000;
  float k = t - magic;
  float r = c - k * 0.693359375f + k * 2.12194440e-4f; /* ln 2 in two parts, the first exact in k * part */
  float p = 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  int32_t half = n >> 1; /* two factors: each is a normal number where e^x is not */
  p = p * simd_power2(half) * simd_power2(n - half);
  return x == x ? p : x;
}

SIMD_BODY float simd_sigmoid(float x) { return 1.0f / (1.0f + simd_exp(-x)); }

SIMD_BODY float simd_tanh(float x) {
  float a = x < 0 ? -x : x, s = x * x;
  float e = simd_exp(-2.0f * a);
  float large = (1.0f - e) / (1.0f + e);
  /* Near 0 the quotient cancels: the series of tanh, good to 1e-8 below 1/4. */
  float series = s * (62.0f / 2835) - 17.0f / 315;
  series = series * s + 2.0f / 15;
  series = series * s - 1.0f / 3;
  series = x + x * s * series;
  large = x < 0 ? -large : large;
  return a < 0.25f ? series : large;
}

#endif
