/* conv_avx2.h - what the dense and the depthwise AVX2 kernels share: products of int16 pairs, and 16 sums
 * requantized by one shift (requant.h). Internal to csrc/sim, x86-64 only. */
#ifndef ESPQ_SIM_CONV_AVX2_H
#define ESPQ_SIM_CONV_AVX2_H

#include <immintrin.h>
#include <string.h>

#include "sim/conv_kernel.h"
#include "sim/versions.h"

#define TARGET ESPQ_TARGET_AVX2
#define TILE   static inline __attribute__((always_inline)) ESPQ_TARGET_AVX2

/* Keeps gcc 12 from storing a sum in each step of the loop before, for use after it. */
#define IN_REGISTER(v) __asm__("" : "+x"(v))

static inline int32_t four_bytes(const void *p) {
  int32_t v;
  memcpy(&v, p, sizeof v);
  return v;
}

TILE __m256i load_256(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }

TILE __m256i add_pairs(__m256i acc, __m256i x, const int16_t *w) {
  return _mm256_add_epi32(acc, _mm256_madd_epi16(x, load_256(w)));
}

/* y = clamp(sum >> right, lo, hi) of channels c .. c + 7 of the strip. */
TILE __m256i apply_shift(const espq_conv_strip *s, int c, __m256i sum) {
  __m256i v = _mm256_srav_epi32(sum, load_256(s->right + c));
  return _mm256_min_epi32(_mm256_max_epi32(v, load_256(s->lo + c)), load_256(s->hi + c));
}

/* 16 int32 as int16; they fit. */
TILE __m256i narrow16(__m256i a, __m256i b) { return _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xd8); }

/* The first 16 channels of the strip, to offset binary. */
TILE void store_shifted8(const espq_conv_strip *s, const __m256i sum[2], void *out) {
  __m256i v = narrow16(apply_shift(s, 0, sum[0]), apply_shift(s, 8, sum[1]));
  __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  _mm_storeu_si128((__m128i *)out, _mm_xor_si128(bytes, _mm_set1_epi8(-128)));
}

/* Of the sums 256 * high + low. */
TILE void store_shifted16(const espq_conv_strip *s, const __m256i high[2], const __m256i low[2], void *out) {
  __m256i a = _mm256_add_epi32(high[0], _mm256_srai_epi32(low[0], 8));
  __m256i b = _mm256_add_epi32(high[1], _mm256_srai_epi32(low[1], 8));
  _mm256_storeu_si256((__m256i *)out, narrow16(apply_shift(s, 0, a), apply_shift(s, 8, b)));
}

/* out[0..7] = (first ? 0 : out) + 256 * high + low */
TILE void add_to_wide(__m256i high, __m256i low, bool first, int64_t *out) {
  ESPQ_UNROLL for (int h = 0; h < 2; h++) {
    __m128i a = h ? _mm256_extracti128_si256(high, 1) : _mm256_castsi256_si128(high);
    __m128i b = h ? _mm256_extracti128_si256(low, 1) : _mm256_castsi256_si128(low);
    __m256i sum = _mm256_add_epi64(_mm256_slli_epi64(_mm256_cvtepi32_epi64(a), 8), _mm256_cvtepi32_epi64(b));
    if (!first) sum = _mm256_add_epi64(sum, load_256(out + 4 * h));
    _mm256_store_si256((__m256i *)(out + 4 * h), sum);
  }
}

#endif
