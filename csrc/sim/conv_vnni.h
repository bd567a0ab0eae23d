/* conv_vnni.h - what the dense and the depthwise AVX-512 kernels share: requantization of 16 sums by one
 * shift (requant.h), and sums in two parts. Internal to csrc/sim, x86-64 only. */
#ifndef ESPQ_SIM_CONV_VNNI_H
#define ESPQ_SIM_CONV_VNNI_H

#include <immintrin.h>
#include <string.h>

#include "sim/conv_kernel.h"
#include "sim/versions.h"

#define TARGET ESPQ_TARGET_AVX512
#define TILE   static inline __attribute__((always_inline)) ESPQ_TARGET_AVX512

/* Keeps gcc 12 from storing a sum in each step of the loop before, for use after it. */
#define IN_REGISTER(v) __asm__("" : "+v"(v))

static inline int32_t four_bytes(const void *p) {
  int32_t v;
  memcpy(&v, p, sizeof v);
  return v;
}

typedef struct espq_shift16 {
  __m512i right, lo, hi;
} espq_shift16;

/* Of 16 channels from number c of the strip. */
TILE espq_shift16 load_shift(const espq_conv_strip *s, int c) {
  return (espq_shift16){_mm512_loadu_si512(s->right + c), _mm512_loadu_si512(s->lo + c), _mm512_loadu_si512(s->hi + c)};
}

TILE __m512i apply_shift(const espq_shift16 *s, __m512i sum) {
  return _mm512_min_epi32(_mm512_max_epi32(_mm512_srav_epi32(sum, s->right), s->lo), s->hi);
}

/* To offset binary. */
TILE void store_shifted8(const espq_shift16 *s, __m512i sum, void *out) {
  __m128i narrow = _mm512_cvtepi32_epi8(apply_shift(s, sum));
  _mm_storeu_si128((__m128i *)out, _mm_xor_si128(narrow, _mm_set1_epi8(-128)));
}

/* Of the sum 256 * high + low. */
TILE void store_shifted16(const espq_shift16 *s, __m512i high, __m512i low, void *out) {
  __m512i sum = _mm512_add_epi32(high, _mm512_srai_epi32(low, 8));
  _mm256_storeu_si256((__m256i *)out, _mm512_cvtepi32_epi16(apply_shift(s, sum)));
}

/* out[0..15] = (first ? 0 : out) + 256 * high + low */
TILE void add_to_wide(__m512i high, __m512i low, bool first, int64_t *out) {
  ESPQ_UNROLL for (int h = 0; h < 2; h++) {
    __m256i a = h ? _mm512_extracti64x4_epi64(high, 1) : _mm512_castsi512_si256(high);
    __m256i b = h ? _mm512_extracti64x4_epi64(low, 1) : _mm512_castsi512_si256(low);
    __m512i sum = _mm512_add_epi64(_mm512_slli_epi64(_mm512_cvtepi32_epi64(a), 8), _mm512_cvtepi32_epi64(b));
    if (!first) sum = _mm512_add_epi64(sum, _mm512_load_si512(out + 8 * h));
    _mm512_store_si512(out + 8 * h, sum);
  }
}

#endif
