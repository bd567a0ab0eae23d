/* Depthwise AVX2 kernels. Channel c of a column is a 32-bit lane with an int16 of each of 2 rows, for
 * vpmaddwd; loads extend 8 elements to lanes by themselves. int16 weights have a high and a low part. */
#include "sim/conv_kernel.h"

#if defined(__x86_64__)
#include "sim/conv_avx2.h"

/* ---- gathering columns ---- */

TILE __m256i load_lanes(const int bits, const char *p) {
  return bits == 8 ? _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p))
                   : _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
}

TILE void store_column(__m256i first, __m256i last, char *to) {
  _mm256_store_si256((__m256i *)to, first);
  _mm256_store_si256((__m256i *)(to + 32), last);
}

TILE char *repeat(__m256i v, int n, size_t next, char *to) {
  for (; n > 0; n--, to += next) store_column(v, v, to);
  return to;
}

/* One unit of each column, from one row or two. */
TILE void gather_rows(const int bits, const bool two, const espq_conv_strip *s, const espq_conv_line *l,
                      const espq_conv_walk *walk, size_t next, char *to) {
  const __m256i zeros = _mm256_set1_epi16(bits == 8 ? 128 : 0);
  const char *x = walk[0].pixel + s->in_offset, *y = walk[two].pixel + s->in_offset;
  const int half = bits; /* bytes of 8 channels */
  to = repeat(zeros, l->left, next, to);
  for (int n = l->middle; n > 0; n--, x += walk[0].step, y += walk[two].step, to += next) {
    __m256i a = load_lanes(bits, x), b = load_lanes(bits, x + half);
    if (two) {
      a = _mm256_or_si256(a, _mm256_slli_epi32(load_lanes(bits, y), 16));
      b = _mm256_or_si256(b, _mm256_slli_epi32(load_lanes(bits, y + half), 16));
    }
    store_column(a, b, to);
  }
  repeat(zeros, l->right, next, to);
}

TILE void gather(const int bits, const espq_conv_strip *s, const espq_conv_line *l, size_t next) {
  char *to = l->columns;
  for (int r = 0; r < l->kh; r += 2, to += 64) {
    if (l->kh - r == 1) gather_rows(bits, false, s, l, l->rows + r, next, to);
    else gather_rows(bits, true, s, l, l->rows + r, next, to);
  }
}

/* ---- int8: unit of weights [16 channels][2 rows] ---- */

static void put8(void *unit, int lane, int slot, int weight) { ((int16_t *)unit)[lane * 2 + slot] = (int16_t)weight; }

/* kw and groups of rows are constants in the common case. */
TILE void multiply8(const int kw, const int groups, const espq_conv_strip *s, const espq_conv_line *l) {
  const char *column = l->columns;
  size_t stride = (size_t)l->stride * 64 * groups, dilation = (size_t)l->dilation * 64 * groups;
  char *out = l->out;
  for (int p = 0; p < l->pixels; p++, column += stride, out += l->out_pixel) {
    __m256i acc[2] = {load_256(s->start), load_256(s->start + 8)};
    const int16_t *w = s->weights;
    const char *x = column;
    ESPQ_UNROLL for (int kx = 0; kx < kw; kx++, x += dilation) {
      ESPQ_UNROLL for (int g = 0; g < groups; g++, w += 32) {
        acc[0] = add_pairs(acc[0], load_256(x + 64 * g), w);
        acc[1] = add_pairs(acc[1], load_256(x + 64 * g + 32), w + 16);
      }
    }
    if (s->right) store_shifted8(s, acc, out);
    else
      ESPQ_UNROLL for (int h = 0; h < 2; h++)
          _mm256_store_si256((__m256i *)((int32_t *)l->acc + 16 * p + 8 * h), acc[h]);
  }
}

TARGET static void run8(const espq_conv_strip *s, const espq_conv_line *l) {
  int groups = (l->kh + 1) / 2;
  gather(8, s, l, 64 * (size_t)groups);
  if (l->kw == 3 && groups == 2) multiply8(3, 2, s, l);
  else multiply8(l->kw, groups, s, l);
}

/* ---- int16: unit of weights [high, low][16 channels][2 rows]; up to 256 products are exact ---- */

static void put16(void *unit, int lane, int slot, int weight) {
  int16_t *w = (int16_t *)unit + lane * 2 + slot;
  w[0] = (int16_t)espq_conv_high(weight);
  w[32] = (int16_t)espq_conv_low(weight);
}

TILE void multiply16(const int kw, const int groups, const espq_conv_strip *s, const espq_conv_line *l) {
  const char *column = l->columns;
  size_t stride = (size_t)l->stride * 64 * groups, dilation = (size_t)l->dilation * 64 * groups;
  char *out = l->out;
  for (int p = 0; p < l->pixels; p++, column += stride, out += l->out_pixel) {
    __m256i high[2] = {load_256(s->start), load_256(s->start + 8)};
    __m256i low[2] = {load_256(s->start_low), load_256(s->start_low + 8)};
    const int16_t *w = s->weights;
    const char *x = column;
    ESPQ_UNROLL for (int kx = 0; kx < kw; kx++, x += dilation) {
      ESPQ_UNROLL for (int g = 0; g < groups; g++, w += 64) {
        ESPQ_UNROLL for (int h = 0; h < 2; h++) {
          __m256i value = load_256(x + 64 * g + 32 * h);
          high[h] = add_pairs(high[h], value, w + 16 * h);
          low[h] = add_pairs(low[h], value, w + 32 + 16 * h);
        }
      }
    }
    if (s->right) store_shifted16(s, high, low, out);
    else ESPQ_UNROLL for (int h = 0; h < 2; h++) add_to_wide(high[h], low[h], true, (int64_t *)l->acc + 16 * p + 8 * h);
  }
}

TARGET static void run16(const espq_conv_strip *s, const espq_conv_line *l) {
  int groups = (l->kh + 1) / 2;
  gather(16, s, l, 64 * (size_t)groups);
  if (l->kw == 3 && groups == 2) multiply16(3, 2, s, l);
  else multiply16(l->kw, groups, s, l);
}

const espq_depthwise_kernel *espq_depthwise_kernel_avx2(int bits) {
  static const espq_depthwise_kernel kernels[2] = {
      {.slots = 2, .column_bytes = 64, .offset = true, .shifts = true, .unit_bytes = 64, .put = put8, .run = run8},
      {.slots = 2, .column_bytes = 64, .shifts = true, .unit_bytes = 128, .put = put16, .run = run16}};
  return &kernels[bits == 16];
}
#endif
