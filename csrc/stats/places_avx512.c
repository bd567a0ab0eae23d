/* Half of what a Relu gives is 0, which does not count in a histogram of positive numbers: the elements that count are
 * moved together, as each of the others would cost as much. */
#include <stddef.h>

#include "base/isa.h"
#include "stats/places.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw")))

typedef struct factors {
  __m512d lo, hi, first, factor, last;
} factors;

/* The bins of eight elements; *counts has a bit for each that counts. Compared as doubles: as floats the smallest
 * would count as 0 for a thread that flushes them. */
AVX512 static inline __m256i bins_of(__m256 x, const factors *f, unsigned *counts) {
  __m512d v = _mm512_cvtps_pd(x);
  *counts = _mm512_mask_cmp_pd_mask(_mm512_cmp_pd_mask(v, f->first, _CMP_GE_OQ), v, f->hi, _CMP_LE_OQ);
  return _mm512_cvttpd_epi32(_mm512_min_pd(_mm512_mul_pd(_mm512_sub_pd(v, f->lo), f->factor), f->last));
}

AVX512 static int places(const float *x, int32_t *place, const espq_places_rule *r) {
  if (r->magnitude) return espq_places_portable(x, place, r);
  const factors f = {_mm512_set1_pd(r->lo), _mm512_set1_pd(r->hi), _mm512_set1_pd(r->first), _mm512_set1_pd(r->factor),
                     _mm512_set1_pd(r->bins - 1)};
  int n = 0;
  for (int i = 0; i < ESPQ_PLACES_BLOCK; i += 16) {
    unsigned low, high;
    __m256i a = bins_of(_mm256_loadu_ps(x + i), &f, &low), b = bins_of(_mm256_loadu_ps(x + i + 8), &f, &high);
    __m512i bins = _mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1);
    unsigned counts = low | high << 8;
    _mm512_storeu_si512(place + n, _mm512_maskz_compress_epi32((__mmask16)counts, bins));
    n += __builtin_popcount(counts);
  }
  return n;
}

espq_places *espq_places_avx512(void) { return espq_isa_detect() >= ESPQ_ISA_AVX512_VNNI ? places : NULL; }

#else

espq_places *espq_places_avx512(void) { return NULL; }

#endif
