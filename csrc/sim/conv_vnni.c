/* AVX-512 VNNI kernels.
 *
 * Dense int8: vpdpbusd multiplies 4 stored (value + 128) bytes of one pixel with the weights of 16
 * outputs. Dense int16: w = 256 * high + low, both parts fit vpdpwssd; its 32-bit sums are exact for
 * 256 products and then move to 64 bits. Depthwise: taps go in pairs, 32 channels at once.
 *
 * The accumulators of a tile must stay in registers, so every loop over them has constant bounds and
 * is unrolled: one function per tile size.
 */
#include "sim/conv_kernel.h"
#include "sim/versions.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#define TARGET ESPQ_TARGET_AVX512
#define TILE   static inline __attribute__((always_inline)) ESPQ_TARGET_AVX512

enum { DOT8_TILE = 8, DOT8_BLOCKS = 3, DOT16_TILE = 6, DOT16_BLOCKS = 2, FLUSH_STEPS = 128 };

static inline int32_t four_bytes(const void *p) {
  int32_t v;
  memcpy(&v, p, sizeof v);
  return v;
}

/* ---- dense int8: unit [16 outputs][4 inputs] ---- */

static void put_dot8(void *unit, int lane, int slot, int weight) { ((int8_t *)unit)[lane * 4 + slot] = (int8_t)weight; }

TILE void dot8(const int M, const int B, const espq_conv_strip *s, int taps, const void *const *rows, int32_t *out) {
  __m512i acc[DOT8_TILE][DOT8_BLOCKS];
  const uint8_t *x[DOT8_TILE];
  const int8_t *w = s->weights;
  ESPQ_UNROLL for (int j = 0; j < B; j++) {
    __m512i start = _mm512_loadu_si512(s->start + 16 * j);
    ESPQ_UNROLL for (int i = 0; i < M; i++) acc[i][j] = start;
  }
  for (int t = 0; t < taps; t++) {
    ESPQ_UNROLL for (int i = 0; i < M; i++) x[i] =
        (const uint8_t *)rows[(size_t)i * (size_t)taps + (size_t)t] + s->in_offset;
    for (int k = 0; k < s->steps; k++, w += 64 * B) {
      __m512i weights[DOT8_BLOCKS];
      ESPQ_UNROLL for (int j = 0; j < B; j++) weights[j] = _mm512_load_si512(w + 64 * j);
      ESPQ_UNROLL for (int i = 0; i < M; i++) {
        __m512i value = _mm512_set1_epi32(four_bytes(x[i] + 4 * (size_t)k));
        ESPQ_UNROLL for (int j = 0; j < B; j++) acc[i][j] = _mm512_dpbusd_epi32(acc[i][j], value, weights[j]);
      }
    }
  }
  ESPQ_UNROLL for (int i = 0; i < M; i++) {
    ESPQ_UNROLL for (int j = 0; j < B; j++) _mm512_store_si512(out + 16 * (i * B + j), acc[i][j]);
  }
}

/* ---- dense int16: unit [high, low][16 outputs][2 inputs] ---- */

static void put_dot16(void *unit, int lane, int slot, int weight) {
  int16_t *w = (int16_t *)unit + lane * 2 + slot;
  w[0] = (int16_t)(weight >> 8);
  w[32] = (int16_t)(weight & 255);
}

/* out[0..15] = (first ? 0 : out) + 256 * high + low */
TILE void flush16(__m512i high, __m512i low, bool first, int64_t *out) {
  ESPQ_UNROLL for (int h = 0; h < 2; h++) {
    __m256i a = h ? _mm512_extracti64x4_epi64(high, 1) : _mm512_castsi512_si256(high);
    __m256i b = h ? _mm512_extracti64x4_epi64(low, 1) : _mm512_castsi512_si256(low);
    __m512i sum = _mm512_add_epi64(_mm512_slli_epi64(_mm512_cvtepi32_epi64(a), 8), _mm512_cvtepi32_epi64(b));
    if (!first) sum = _mm512_add_epi64(sum, _mm512_load_si512(out + 8 * h));
    _mm512_store_si512(out + 8 * h, sum);
  }
}

/* Adds `steps` <= FLUSH_STEPS steps of one tap to the sums. */
TILE void dot16_part(const int M, const int B, const int16_t *const *x, int steps, const int16_t *w,
                     __m512i high[DOT16_TILE][DOT16_BLOCKS], __m512i low[DOT16_TILE][DOT16_BLOCKS]) {
  for (int k = 0; k < steps; k++, w += 64 * B) {
    __m512i wh[DOT16_BLOCKS], wl[DOT16_BLOCKS];
    ESPQ_UNROLL for (int j = 0; j < B; j++) {
      wh[j] = _mm512_load_si512(w + 64 * j);
      wl[j] = _mm512_load_si512(w + 64 * j + 32);
    }
    ESPQ_UNROLL for (int i = 0; i < M; i++) {
      __m512i value = _mm512_set1_epi32(four_bytes(x[i] + 2 * (size_t)k));
      ESPQ_UNROLL for (int j = 0; j < B; j++) {
        high[i][j] = _mm512_dpwssd_epi32(high[i][j], value, wh[j]);
        low[i][j] = _mm512_dpwssd_epi32(low[i][j], value, wl[j]);
      }
    }
  }
}

TILE void flush_tile16(const int M, const int B, __m512i high[DOT16_TILE][DOT16_BLOCKS],
                       __m512i low[DOT16_TILE][DOT16_BLOCKS], bool first, int64_t *out) {
  ESPQ_UNROLL for (int i = 0; i < M; i++) {
    ESPQ_UNROLL for (int j = 0; j < B; j++) {
      flush16(high[i][j], low[i][j], first, out + 16 * (i * B + j));
      high[i][j] = low[i][j] = _mm512_setzero_si512();
    }
  }
}

TILE void dot16(const int M, const int B, const espq_conv_strip *s, int taps, const void *const *rows, int64_t *out) {
  __m512i high[DOT16_TILE][DOT16_BLOCKS], low[DOT16_TILE][DOT16_BLOCKS];
  const int16_t *x[DOT16_TILE], *w = s->weights;
  int room = FLUSH_STEPS;
  bool first = true;
  ESPQ_UNROLL for (int i = 0; i < M; i++) {
    ESPQ_UNROLL for (int j = 0; j < B; j++) high[i][j] = low[i][j] = _mm512_setzero_si512();
  }
  for (int t = 0; t < taps; t++) {
    ESPQ_UNROLL for (int i = 0; i < M; i++) x[i] =
        (const int16_t *)((const char *)rows[(size_t)i * (size_t)taps + (size_t)t] + s->in_offset);
    for (int left = s->steps; left > 0;) {
      int steps = left < room ? left : room;
      dot16_part(M, B, x, steps, w, high, low);
      ESPQ_UNROLL for (int i = 0; i < M; i++) x[i] += 2 * (size_t)steps;
      w += 64 * B * (size_t)steps;
      left -= steps, room -= steps;
      if (room) continue;
      flush_tile16(M, B, high, low, first, out);
      first = false;
      room = FLUSH_STEPS;
    }
  }
  flush_tile16(M, B, high, low, first, out);
}

/* ---- a function for each tile size ---- */

typedef void (*tile8_function)(const espq_conv_strip *, int, const void *const *, int32_t *);
typedef void (*tile16_function)(const espq_conv_strip *, int, const void *const *, int64_t *);

#define DOT8(M, B)                                                                                               \
  TARGET static void dot8_##M##x##B(const espq_conv_strip *s, int taps, const void *const *rows, int32_t *out) { \
    dot8(M, B, s, taps, rows, out);                                                                              \
  }
#define DOT16(M, B)                                                                                               \
  TARGET static void dot16_##M##x##B(const espq_conv_strip *s, int taps, const void *const *rows, int64_t *out) { \
    dot16(M, B, s, taps, rows, out);                                                                              \
  }
#define DOT8_ROW(B)  DOT8(1, B) DOT8(2, B) DOT8(3, B) DOT8(4, B) DOT8(5, B) DOT8(6, B) DOT8(7, B) DOT8(8, B)
#define DOT16_ROW(B) DOT16(1, B) DOT16(2, B) DOT16(3, B) DOT16(4, B) DOT16(5, B) DOT16(6, B)
DOT8_ROW(1)
DOT8_ROW(2)
DOT8_ROW(3)
DOT16_ROW(1)
DOT16_ROW(2)

static void sum8(const espq_conv_strip *strip, int taps, const void *const *rows, int pixels, void *acc) {
  static const tile8_function tiles[DOT8_BLOCKS][DOT8_TILE] = {
      {dot8_1x1, dot8_2x1, dot8_3x1, dot8_4x1, dot8_5x1, dot8_6x1, dot8_7x1, dot8_8x1},
      {dot8_1x2, dot8_2x2, dot8_3x2, dot8_4x2, dot8_5x2, dot8_6x2, dot8_7x2, dot8_8x2},
      {dot8_1x3, dot8_2x3, dot8_3x3, dot8_4x3, dot8_5x3, dot8_6x3, dot8_7x3, dot8_8x3}};
  tiles[strip->channels / 16 - 1][pixels - 1](strip, taps, rows, acc);
}

static void sum16(const espq_conv_strip *strip, int taps, const void *const *rows, int pixels, void *acc) {
  static const tile16_function tiles[DOT16_BLOCKS][DOT16_TILE] = {
      {dot16_1x1, dot16_2x1, dot16_3x1, dot16_4x1, dot16_5x1, dot16_6x1},
      {dot16_1x2, dot16_2x2, dot16_3x2, dot16_4x2, dot16_5x2, dot16_6x2}};
  tiles[strip->channels / 16 - 1][pixels - 1](strip, taps, rows, acc);
}

/* ---- depthwise int8: unit [4 parts][8 channels][4 taps] ----
 *
 * Four rows of 32 channels become parts of 8 channels x 4 taps by interleaving bytes, then pairs, in
 * each 128-bit half. So part q holds the channels 4q..4q+3 and 16+4q..16+4q+3. */

static void put_depthwise8(void *unit, int lane, int slot, int weight) {
  int part = lane % 16 / 4, place = lane / 16 * 4 + lane % 4;
  ((int8_t *)unit)[part * 32 + place * 4 + slot] = (int8_t)weight;
}

TILE void add_four_taps(const __m256i x[4], const int8_t *w, __m256i acc[4]) {
  __m256i a = _mm256_unpacklo_epi8(x[0], x[1]), b = _mm256_unpacklo_epi8(x[2], x[3]);
  __m256i c = _mm256_unpackhi_epi8(x[0], x[1]), d = _mm256_unpackhi_epi8(x[2], x[3]);
  const __m256i parts[4] = {_mm256_unpacklo_epi16(a, b), _mm256_unpackhi_epi16(a, b), _mm256_unpacklo_epi16(c, d),
                            _mm256_unpackhi_epi16(c, d)};
  ESPQ_UNROLL for (int q = 0; q < 4; q++) acc[q] =
      _mm256_dpbusd_epi32(acc[q], parts[q], _mm256_load_si256((const __m256i *)(w + 32 * q)));
}

TILE void store_parts(const __m256i acc[4], int half, const int32_t *start, int32_t *out) {
  ESPQ_UNROLL for (int q = 0; q < 4; q += 2) {
    __m256i eight = half ? _mm256_permute2x128_si256(acc[q], acc[q + 1], 0x31)
                         : _mm256_permute2x128_si256(acc[q], acc[q + 1], 0x20);
    eight = _mm256_add_epi32(eight, _mm256_loadu_si256((const __m256i *)(start + 4 * q)));
    _mm256_store_si256((__m256i *)(out + 4 * q), eight);
  }
}

/* A whole load where the strip is full: masked ones are slower. */
TILE __m256i load_bytes(const bool full, const char *row) {
  return full ? _mm256_loadu_si256((const __m256i *)row)
              : _mm256_zextsi128_si256(_mm_loadu_si128((const __m128i *)row));
}

TILE void depthwise_pixel8(const bool full, const espq_conv_strip *s, int taps, const void *const *rows, int32_t *out) {
  const int8_t *w = s->weights;
  __m256i zero = _mm256_setzero_si256(), sums[4] = {zero, zero, zero, zero}, x[4];
  int t = 0;
  for (; t + 4 <= taps; t += 4, w += 128) {
    ESPQ_UNROLL for (int i = 0; i < 4; i++) x[i] = load_bytes(full, (const char *)rows[t + i] + s->in_offset);
    add_four_taps(x, w, sums);
  }
  if (t < taps) { /* beyond the last tap weights are 0 */
    ESPQ_UNROLL for (int i = 0; i < 4; i++) x[i] =
        load_bytes(full, (const char *)rows[t + i < taps ? t + i : t] + s->in_offset);
    add_four_taps(x, w, sums);
  }
  store_parts(sums, 0, s->start, out);
  if (full) store_parts(sums, 1, s->start + 16, out + 16);
}

TARGET static void depthwise8(const espq_conv_strip *s, int taps, const void *const *rows, int pixels, void *acc) {
  int32_t *out = acc;
  if (s->channels == 32)
    for (int p = 0; p < pixels; p++, rows += taps) depthwise_pixel8(true, s, taps, rows, out + 32 * p);
  else
    for (int p = 0; p < pixels; p++, rows += taps) depthwise_pixel8(false, s, taps, rows, out + 16 * p);
}

/* ---- depthwise int16: unit [high, low part of the weights][2 halves][16 channels][2 taps] ----
 *
 * Likewise two rows of 32 channels; half h holds the channels 8i + 4h .. 8i + 4h + 3. */

static void put_depthwise16(void *unit, int lane, int slot, int weight) {
  int half = lane / 4 % 2, place = lane / 8 * 4 + lane % 4;
  int16_t *w = (int16_t *)unit + half * 32 + place * 2 + slot;
  w[0] = (int16_t)(weight >> 8);
  w[64] = (int16_t)(weight & 255);
}

/* The first or the last 16 channels of two halves. */
TILE __m512i in_order(__m512i even, __m512i odd, bool last) {
  const __m512i a = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
  const __m512i b = _mm512_setr_epi32(8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31);
  return _mm512_permutex2var_epi32(even, last ? b : a, odd);
}

TARGET static void depthwise16(const espq_conv_strip *s, int taps, const void *const *rows, int pixels, void *acc) {
  __mmask32 lanes = s->channels == 32 ? 0xffffffffu : 0xffffu;
  int64_t *out = acc;
  for (int p = 0; p < pixels; p++, rows += taps, out += s->channels) {
    const int16_t *w = s->weights;
    __m512i zero = _mm512_setzero_si512(), high[2] = {zero, zero}, low[2] = {zero, zero};
    for (int t = 0; t < taps; t += 2, w += 128) {
      const char *x = (const char *)rows[t] + s->in_offset;
      const char *y = (const char *)rows[t + 1 < taps ? t + 1 : t] + s->in_offset;
      __m512i a = _mm512_maskz_loadu_epi16(lanes, x), b = _mm512_maskz_loadu_epi16(lanes, y);
      __m512i pairs[2] = {_mm512_unpacklo_epi16(a, b), _mm512_unpackhi_epi16(a, b)};
      ESPQ_UNROLL for (int h = 0; h < 2; h++) {
        high[h] = _mm512_dpwssd_epi32(high[h], pairs[h], _mm512_load_si512(w + 32 * h));
        low[h] = _mm512_dpwssd_epi32(low[h], pairs[h], _mm512_load_si512(w + 64 + 32 * h));
      }
    }
    flush16(in_order(high[0], high[1], false), in_order(low[0], low[1], false), true, out);
    if (s->channels == 32) flush16(in_order(high[0], high[1], true), in_order(low[0], low[1], true), true, out + 16);
  }
}

const espq_conv_kernel *espq_conv_kernel_vnni(int bits, bool depthwise) {
  static const espq_conv_kernel kernels[2][2] = {
      {{.tile = DOT8_TILE,
        .strip = 16 * DOT8_BLOCKS,
        .depth = 4,
        .offset = true,
        .unit_bytes = 64,
        .put = put_dot8,
        .sum = sum8},
       {.tile = 8,
        .strip = 32,
        .pair = 4,
        .offset = true,
        .unit_bytes = 128,
        .put = put_depthwise8,
        .sum = depthwise8}},
      {{.tile = DOT16_TILE, .strip = 16 * DOT16_BLOCKS, .depth = 2, .unit_bytes = 128, .put = put_dot16, .sum = sum16},
       {.tile = 8, .strip = 32, .pair = 2, .unit_bytes = 256, .put = put_depthwise16, .sum = depthwise16}}};
  return &kernels[bits == 16][depthwise];
}
#endif
