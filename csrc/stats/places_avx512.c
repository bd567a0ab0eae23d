/* Half of what a Relu gives is 0. In a histogram of positive numbers zeros do not count, in one of magnitudes all have
 * bin 0: there an increment would wait for the one before it. So elements of other bins are moved together, and only
 * they are counted one by one. */
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

/* The same of magnitudes; f->factor is the number of bins. */
AVX512 static inline __m256i bins_of_magnitudes(__m256 x, const factors *f, unsigned *counts) {
  __m512d v = _mm512_abs_pd(_mm512_cvtps_pd(x));
  *counts = _mm512_cmp_pd_mask(v, f->hi, _CMP_LE_OQ);
  return _mm512_cvttpd_epi32(_mm512_min_pd(_mm512_div_pd(_mm512_mul_pd(v, f->factor), f->hi), f->last));
}

AVX512 static int places(const float *x, int32_t *place, int *lowest, const espq_places_rule *r) {
  const factors f = {_mm512_set1_pd(r->lo), _mm512_set1_pd(r->hi), _mm512_set1_pd(r->first),
                     _mm512_set1_pd(r->magnitude ? r->bins : r->factor), _mm512_set1_pd(r->bins - 1)};
  int n = 0, all = 0;
  for (int i = 0; i < ESPQ_PLACES_BLOCK; i += 16) {
    unsigned low, high;
    __m256 left = _mm256_loadu_ps(x + i), right = _mm256_loadu_ps(x + i + 8);
    __m256i a = r->magnitude ? bins_of_magnitudes(left, &f, &low) : bins_of(left, &f, &low);
    __m256i b = r->magnitude ? bins_of_magnitudes(right, &f, &high) : bins_of(right, &f, &high);
    __m512i bins = _mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1);
    __mmask16 counts = (__mmask16)(low | high << 8), singly = _mm512_mask_test_epi32_mask(counts, bins, bins);
    _mm512_storeu_si512(place + n, _mm512_maskz_compress_epi32(singly, bins));
    n += __builtin_popcount(singly);
    all += __builtin_popcount(counts);
  }
  *lowest = all - n;
  return n;
}

espq_places *espq_places_avx512(void) { return espq_isa_detect() >= ESPQ_ISA_AVX512_VNNI ? places : NULL; }

#else

espq_places *espq_places_avx512(void) { return NULL; }

#endif
