/* AVX2 kernels: everything is a product of int16 pairs (vpmaddwd), whose 32-bit sums are exact; the
 * byte product of AVX2 saturates and is of no use. int16 weights are split as in conv_vnni.c.
 *
 * The accumulators of a tile must stay in registers, so every loop over them has constant bounds and
 * is unrolled: one function per tile size.
 */
#include "sim/conv_kernel.h"
#include "sim/versions.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#define TARGET ESPQ_TARGET_AVX2
#define TILE   static inline __attribute__((always_inline)) ESPQ_TARGET_AVX2

enum { DOT8_TILE = 6, DOT16_TILE = 3, FLUSH_STEPS = 128 };

static inline int32_t four_bytes(const void *p) {
  int32_t v;
  memcpy(&v, p, sizeof v);
  return v;
}

TILE __m256i load_256(const void *p) { return _mm256_load_si256((const __m256i *)p); }

TILE __m256i add_pairs(__m256i acc, __m256i x, const int16_t *w) {
  return _mm256_add_epi32(acc, _mm256_madd_epi16(x, load_256(w)));
}

/* ---- dense int8: unit [inputs 0 2, inputs 1 3][16 outputs][2 inputs] ----
 *
 * Four stored bytes become the pairs (0, 2) and (1, 3) of int16 by a mask and a shift. */

static void put_dot8(void *unit, int lane, int slot, int weight) {
  ((int16_t *)unit)[slot % 2 * 32 + lane * 2 + slot / 2] = (int16_t)weight;
}

TILE void dot8(const int M, const espq_conv_strip *s, int taps, const void *const *rows, int32_t *out) {
  const __m256i mask = _mm256_set1_epi16(0xff);
  __m256i acc[DOT8_TILE][2];
  const uint8_t *x[DOT8_TILE];
  const int16_t *w = s->weights;
  ESPQ_UNROLL for (int i = 0; i < M; i++) {
    ESPQ_UNROLL for (int h = 0; h < 2; h++) acc[i][h] = load_256(s->start + 8 * h);
  }
  for (int t = 0; t < taps; t++) {
    ESPQ_UNROLL for (int i = 0; i < M; i++) x[i] =
        (const uint8_t *)rows[(size_t)i * (size_t)taps + (size_t)t] + s->in_offset;
    for (int k = 0; k < s->steps; k++, w += 64) {
      ESPQ_UNROLL for (int i = 0; i < M; i++) {
        __m256i value = _mm256_set1_epi32(four_bytes(x[i] + 4 * (size_t)k));
        __m256i even = _mm256_and_si256(value, mask), odd = _mm256_srli_epi16(value, 8);
        ESPQ_UNROLL for (int h = 0; h < 2; h++) {
          acc[i][h] = add_pairs(acc[i][h], even, w + 16 * h);
          acc[i][h] = add_pairs(acc[i][h], odd, w + 32 + 16 * h);
        }
      }
    }
  }
  ESPQ_UNROLL for (int i = 0; i < M; i++) {
    ESPQ_UNROLL for (int h = 0; h < 2; h++) _mm256_store_si256((__m256i *)(out + 16 * i + 8 * h), acc[i][h]);
  }
}

/* ---- dense int16: unit [high, low][16 outputs][2 inputs] ---- */

static void put_dot16(void *unit, int lane, int slot, int weight) {
  int16_t *w = (int16_t *)unit + lane * 2 + slot;
  w[0] = (int16_t)(weight >> 8);
  w[32] = (int16_t)(weight & 255);
}

/* out[0..7] = (first ? 0 : out) + 256 * high + low */
TILE void flush8(__m256i high, __m256i low, bool first, int64_t *out) {
  ESPQ_UNROLL for (int h = 0; h < 2; h++) {
    __m128i a = h ? _mm256_extracti128_si256(high, 1) : _mm256_castsi256_si128(high);
    __m128i b = h ? _mm256_extracti128_si256(low, 1) : _mm256_castsi256_si128(low);
    __m256i sum = _mm256_add_epi64(_mm256_slli_epi64(_mm256_cvtepi32_epi64(a), 8), _mm256_cvtepi32_epi64(b));
    if (!first) sum = _mm256_add_epi64(sum, load_256(out + 4 * h));
    _mm256_store_si256((__m256i *)(out + 4 * h), sum);
  }
}

/* Adds `steps` <= FLUSH_STEPS steps of one tap to the sums. */
TILE void dot16_part(const int M, const int16_t *const *x, int steps, const int16_t *w, __m256i high[DOT16_TILE][2],
                     __m256i low[DOT16_TILE][2]) {
  for (int k = 0; k < steps; k++, w += 64) {
    ESPQ_UNROLL for (int i = 0; i < M; i++) {
      __m256i value = _mm256_set1_epi32(four_bytes(x[i] + 2 * (size_t)k));
      ESPQ_UNROLL for (int h = 0; h < 2; h++) {
        high[i][h] = add_pairs(high[i][h], value, w + 16 * h);
        low[i][h] = add_pairs(low[i][h], value, w + 32 + 16 * h);
      }
    }
  }
}

TILE void flush_tile16(const int M, __m256i high[DOT16_TILE][2], __m256i low[DOT16_TILE][2], bool first, int64_t *out) {
  ESPQ_UNROLL for (int i = 0; i < M; i++) {
    ESPQ_UNROLL for (int h = 0; h < 2; h++) {
      flush8(high[i][h], low[i][h], first, out + 16 * i + 8 * h);
      high[i][h] = low[i][h] = _mm256_setzero_si256();
    }
  }
}

TILE void dot16(const int M, const espq_conv_strip *s, int taps, const void *const *rows, int64_t *out) {
  __m256i high[DOT16_TILE][2], low[DOT16_TILE][2];
  const int16_t *x[DOT16_TILE], *w = s->weights;
  int room = FLUSH_STEPS;
  bool first = true;
  ESPQ_UNROLL for (int i = 0; i < M; i++) {
    ESPQ_UNROLL for (int h = 0; h < 2; h++) high[i][h] = low[i][h] = _mm256_setzero_si256();
  }
  for (int t = 0; t < taps; t++) {
    ESPQ_UNROLL for (int i = 0; i < M; i++) x[i] =
        (const int16_t *)((const char *)rows[(size_t)i * (size_t)taps + (size_t)t] + s->in_offset);
    for (int left = s->steps; left > 0;) {
      int steps = left < room ? left : room;
      dot16_part(M, x, steps, w, high, low);
      ESPQ_UNROLL for (int i = 0; i < M; i++) x[i] += 2 * (size_t)steps;
      w += 64 * (size_t)steps;
      left -= steps, room -= steps;
      if (room) continue;
      flush_tile16(M, high, low, first, out);
      first = false;
      room = FLUSH_STEPS;
    }
  }
  flush_tile16(M, high, low, first, out);
}

/* ---- a function for each tile size ---- */

typedef void (*tile8_function)(const espq_conv_strip *, int, const void *const *, int32_t *);
typedef void (*tile16_function)(const espq_conv_strip *, int, const void *const *, int64_t *);

#define DOT(bits, M)                                                                              \
  TARGET static void dot##bits##_##M(const espq_conv_strip *s, int taps, const void *const *rows, \
                                     int##bits##_sum *out) {                                      \
    dot##bits(M, s, taps, rows, out);                                                             \
  }
typedef int32_t int8_sum;
typedef int64_t int16_sum;
DOT(8, 1)
DOT(8, 2)
DOT(8, 3)
DOT(8, 4)
DOT(8, 5)
DOT(8, 6)
DOT(16, 1)
DOT(16, 2)
DOT(16, 3)

static void sum8(const espq_conv_strip *strip, int taps, const void *const *rows, int pixels, void *acc) {
  static const tile8_function tiles[DOT8_TILE] = {dot8_1, dot8_2, dot8_3, dot8_4, dot8_5, dot8_6};
  tiles[pixels - 1](strip, taps, rows, acc);
}

static void sum16(const espq_conv_strip *strip, int taps, const void *const *rows, int pixels, void *acc) {
  static const tile16_function tiles[DOT16_TILE] = {dot16_1, dot16_2, dot16_3};
  tiles[pixels - 1](strip, taps, rows, acc);
}

/* ---- depthwise: unit [2 halves][8 channels][2 taps], int16: high parts, then low parts ----
 *
 * Interleaving two rows of 16 channels works within 128-bit parts: half h holds the channels
 * 8i + 4h .. 8i + 4h + 3. */

static int16_t *interleaved(void *unit, int channel, int tap) {
  return (int16_t *)unit + channel / 4 % 2 * 16 + (channel / 8 * 4 + channel % 4) * 2 + tap;
}

static void put_depthwise8(void *unit, int lane, int slot, int weight) {
  *interleaved(unit, lane, slot) = (int16_t)weight;
}

static void put_depthwise16(void *unit, int lane, int slot, int weight) {
  int16_t *w = interleaved(unit, lane, slot);
  w[0] = (int16_t)(weight >> 8);
  w[32] = (int16_t)(weight & 255);
}

/* The first or the last 8 channels of two halves. */
TILE __m256i in_order(const __m256i halves[2], bool last) {
  return last ? _mm256_permute2x128_si256(halves[0], halves[1], 0x31)
              : _mm256_permute2x128_si256(halves[0], halves[1], 0x20);
}

TILE __m256i load_bytes(const char *row) { return _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)row)); }

TARGET static void depthwise8(const espq_conv_strip *s, int taps, const void *const *rows, int pixels, void *acc) {
  int32_t *out = acc;
  for (int p = 0; p < pixels; p++, rows += taps, out += 16) {
    const int16_t *w = s->weights;
    __m256i sums[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    for (int t = 0; t < taps; t += 2, w += 32) { /* beyond the last tap weights are 0 */
      __m256i a = load_bytes((const char *)rows[t] + s->in_offset);
      __m256i b = load_bytes((const char *)rows[t + 1 < taps ? t + 1 : t] + s->in_offset);
      sums[0] = add_pairs(sums[0], _mm256_unpacklo_epi16(a, b), w);
      sums[1] = add_pairs(sums[1], _mm256_unpackhi_epi16(a, b), w + 16);
    }
    ESPQ_UNROLL for (int h = 0; h < 2; h++)
        _mm256_store_si256((__m256i *)(out + 8 * h), _mm256_add_epi32(in_order(sums, h), load_256(s->start + 8 * h)));
  }
}

TARGET static void depthwise16(const espq_conv_strip *s, int taps, const void *const *rows, int pixels, void *acc) {
  int64_t *out = acc;
  for (int p = 0; p < pixels; p++, rows += taps, out += 16) {
    const int16_t *w = s->weights;
    __m256i zero = _mm256_setzero_si256(), high[2] = {zero, zero}, low[2] = {zero, zero};
    for (int t = 0; t < taps; t += 2, w += 64) {
      const char *x = (const char *)rows[t] + s->in_offset;
      const char *y = (const char *)rows[t + 1 < taps ? t + 1 : t] + s->in_offset;
      __m256i a = _mm256_loadu_si256((const __m256i *)x), b = _mm256_loadu_si256((const __m256i *)y);
      __m256i pairs[2] = {_mm256_unpacklo_epi16(a, b), _mm256_unpackhi_epi16(a, b)};
      ESPQ_UNROLL for (int h = 0; h < 2; h++) {
        high[h] = add_pairs(high[h], pairs[h], w + 16 * h);
        low[h] = add_pairs(low[h], pairs[h], w + 32 + 16 * h);
      }
    }
    ESPQ_UNROLL for (int h = 0; h < 2; h++) flush8(in_order(high, h), in_order(low, h), true, out + 8 * h);
  }
}

const espq_conv_kernel *espq_conv_kernel_avx2(int bits, bool depthwise) {
  static const espq_conv_kernel kernels[2][2] = {
      {{.tile = DOT8_TILE, .strip = 16, .depth = 4, .offset = true, .unit_bytes = 128, .put = put_dot8, .sum = sum8},
       {.tile = 8, .strip = 16, .pair = 2, .offset = true, .unit_bytes = 64, .put = put_depthwise8, .sum = depthwise8}},
      {{.tile = DOT16_TILE, .strip = 16, .depth = 2, .unit_bytes = 128, .put = put_dot16, .sum = sum16},
       {.tile = 8, .strip = 16, .pair = 2, .unit_bytes = 128, .put = put_depthwise16, .sum = depthwise16}}};
  return &kernels[bits == 16][depthwise];
}
#endif
