/* Depthwise AVX-512 VNNI kernels. Channel c of a column is a 32-bit lane with a byte of each of 4 rows
 * (int8, vpdpbusd) or an int16 of each of 2 rows (vpdpwssd, weights in a high and a low part); no
 * shuffling, as loads extend 16 elements to lanes by themselves. */
#include "sim/conv_kernel.h"

#if defined(__x86_64__)
#include "sim/conv_vnni.h"

enum { HELD_MAX = 10 /* units of weights in registers; 16 bits: 6 */ };

/* ---- gathering columns ---- */

TILE __m512i load_lanes(const int bits, const char *p) {
  return bits == 8 ? _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p))
                   : _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
}

TILE char *repeat(__m512i v, int n, size_t next, char *to) {
  for (; n > 0; n--, to += next) _mm512_store_si512(to, v);
  return to;
}

/* One unit of each column, from `rows` rows. */
TILE void gather_rows(const int bits, const int rows, const espq_conv_strip *s, const espq_conv_line *l,
                      const espq_conv_walk *walk, size_t next, char *to) {
  const char *x[4];
  size_t step[4];
  __m512i zeros = bits == 8 ? _mm512_set1_epi8(-128) : _mm512_setzero_si512();
  ESPQ_UNROLL for (int r = 0; r < rows; r++) x[r] = walk[r].pixel + s->in_offset, step[r] = walk[r].step;
  to = repeat(zeros, l->left, next, to);
  for (int n = l->middle; n > 0; n--, to += next) {
    __m512i v = load_lanes(bits, x[0]);
    ESPQ_UNROLL for (int r = 1; r < rows; r++) v =
        _mm512_or_si512(v, _mm512_sllv_epi32(load_lanes(bits, x[r]), _mm512_set1_epi32(bits * r)));
    ESPQ_UNROLL for (int r = 0; r < rows; r++) x[r] += step[r];
    _mm512_store_si512(to, v);
  }
  repeat(zeros, l->right, next, to);
}

TILE void gather8(const espq_conv_strip *s, const espq_conv_line *l, size_t next) {
  char *to = l->columns;
  for (int r = 0; r < l->kh; r += 4, to += 64) {
    const espq_conv_walk *walk = l->rows + r;
    switch (l->kh - r) {
      case 1: gather_rows(8, 1, s, l, walk, next, to); break;
      case 2: gather_rows(8, 2, s, l, walk, next, to); break;
      case 3: gather_rows(8, 3, s, l, walk, next, to); break;
      default: gather_rows(8, 4, s, l, walk, next, to);
    }
  }
}

TILE void gather16(const espq_conv_strip *s, const espq_conv_line *l, size_t next) {
  char *to = l->columns;
  for (int r = 0; r < l->kh; r += 2, to += 64) {
    const espq_conv_walk *walk = l->rows + r;
    if (l->kh - r == 1) gather_rows(16, 1, s, l, walk, next, to);
    else gather_rows(16, 2, s, l, walk, next, to);
  }
}

/* ---- int8: unit of weights [16 channels][4 rows] ---- */

static void put8(void *unit, int lane, int slot, int weight) { ((int8_t *)unit)[lane * 4 + slot] = (int8_t)weight; }

/* `held`: kw and groups of rows are constants, and the weights stay in registers. */
TILE void multiply8(const bool held, const int kw, const int groups, const bool shifts, const espq_conv_strip *s,
                    const espq_conv_line *l) {
  __m512i w[HELD_MAX];
  const char *column = l->columns, *units = s->weights;
  const __m512i start = _mm512_loadu_si512(s->start);
  const espq_shift16 shift = shifts ? load_shift(s, 0) : (espq_shift16){start, start, start};
  size_t stride = (size_t)l->stride * 64 * groups, dilation = (size_t)l->dilation * 64 * groups;
  char *out = l->out;
  const int count = held ? kw * groups : 0;
  ESPQ_UNROLL for (int i = 0; i < count; i++) w[i] = _mm512_load_si512(units + 64 * i);
  for (int p = 0; p < l->pixels; p++, column += stride, out += l->out_pixel) {
    __m512i acc = start;
    const char *x = column;
    ESPQ_UNROLL for (int kx = 0; kx < kw; kx++, x += dilation) {
      ESPQ_UNROLL for (int g = 0; g < groups; g++) {
        int i = kx * groups + g;
        acc = _mm512_dpbusd_epi32(acc, _mm512_load_si512(x + 64 * g), held ? w[i] : _mm512_load_si512(units + 64 * i));
      }
    }
    if (shifts) store_shifted8(&shift, acc, out);
    else _mm512_store_si512((int32_t *)l->acc + 16 * p, acc);
  }
}

TARGET static void run8(const espq_conv_strip *s, const espq_conv_line *l) {
  int groups = (l->kh + 3) / 4;
  gather8(s, l, 64 * (size_t)groups);
  if (!s->right) multiply8(false, l->kw, groups, false, s, l);
  else if (l->kw == 3 && groups == 1) multiply8(true, 3, 1, true, s, l);
  else if (l->kw == 5 && groups == 2) multiply8(true, 5, 2, true, s, l);
  else multiply8(false, l->kw, groups, true, s, l);
}

/* ---- int16: unit of weights [high, low][16 channels][2 rows]; up to 256 products are exact ---- */

static void put16(void *unit, int lane, int slot, int weight) {
  int16_t *w = (int16_t *)unit + lane * 2 + slot;
  w[0] = (int16_t)espq_conv_high(weight);
  w[32] = (int16_t)espq_conv_low(weight);
}

TILE void multiply16(const bool held, const int kw, const int groups, const bool shifts, const espq_conv_strip *s,
                     const espq_conv_line *l) {
  __m512i w[2 * HELD_MAX];
  const char *column = l->columns, *units = s->weights;
  const __m512i start = _mm512_loadu_si512(s->start), start_low = _mm512_loadu_si512(s->start_low);
  const espq_shift16 shift = shifts ? load_shift(s, 0) : (espq_shift16){start, start, start};
  size_t stride = (size_t)l->stride * 64 * groups, dilation = (size_t)l->dilation * 64 * groups;
  char *out = l->out;
  const int count = held ? 2 * kw * groups : 0;
  ESPQ_UNROLL for (int i = 0; i < count; i++) w[i] = _mm512_load_si512(units + 64 * i);
  for (int p = 0; p < l->pixels; p++, column += stride, out += l->out_pixel) {
    __m512i high = start, low = start_low;
    const char *x = column;
    ESPQ_UNROLL for (int kx = 0; kx < kw; kx++, x += dilation) {
      ESPQ_UNROLL for (int g = 0; g < groups; g++) {
        int i = 2 * (kx * groups + g);
        __m512i value = _mm512_load_si512(x + 64 * g);
        high = _mm512_dpwssd_epi32(high, value, held ? w[i] : _mm512_load_si512(units + 64 * i));
        low = _mm512_dpwssd_epi32(low, value, held ? w[i + 1] : _mm512_load_si512(units + 64 * i + 64));
      }
    }
    if (shifts) store_shifted16(&shift, high, low, out);
    else add_to_wide(high, low, true, (int64_t *)l->acc + 16 * p);
  }
}

TARGET static void run16(const espq_conv_strip *s, const espq_conv_line *l) {
  int groups = (l->kh + 1) / 2;
  gather16(s, l, 64 * (size_t)groups);
  if (!s->right) multiply16(false, l->kw, groups, false, s, l);
  else if (l->kw == 3 && groups == 2) multiply16(true, 3, 2, true, s, l);
  else multiply16(false, l->kw, groups, true, s, l);
}

const espq_depthwise_kernel *espq_depthwise_kernel_vnni(int bits) {
  static const espq_depthwise_kernel kernels[2] = {
      {.slots = 4, .column_bytes = 64, .offset = true, .shifts = true, .unit_bytes = 64, .put = put8, .run = run8},
      {.slots = 2, .column_bytes = 64, .shifts = true, .unit_bytes = 128, .put = put16, .run = run16}};
  return &kernels[bits == 16];
}
#endif
