/* Dense AVX-512 VNNI kernels.
 *
 * int8: vpdpbusd multiplies 4 stored (value + 128) bytes of one pixel with the weights of 16 outputs.
 * int16: w = 256 * high + low, both parts fit vpdpwssd. Where requantization is one shift, the weights
 * are known to keep its 32-bit sums exact; else those are for 256 products and then move to 64 bits.
 *
 * The accumulators of a tile must stay in registers, so every loop over them has constant bounds and
 * is unrolled: one function per tile size.
 */
#include "sim/conv_kernel.h"

#if defined(__x86_64__)
#include "sim/conv_vnni.h"

enum { DOT8_TILE = 8, DOT8_BLOCKS = 3, DOT16_TILE = 6, DOT16_BLOCKS = 2, FLUSH_STEPS = 128 };

/* ---- dense int8: unit [16 outputs][4 inputs] ---- */

static void put_dot8(void *unit, int lane, int slot, int weight) { ((int8_t *)unit)[lane * 4 + slot] = (int8_t)weight; }

TILE void finish8(const int M, const int B, const espq_conv_strip *s, const espq_conv_tile *t,
                  __m512i acc[DOT8_TILE][DOT8_BLOCKS]) {
  ESPQ_UNROLL for (int j = 0; j < B; j++) {
    const espq_shift16 shift = load_shift(s, 16 * j);
    ESPQ_UNROLL for (int i = 0; i < M; i++) store_shifted8(&shift, acc[i][j], t->out + i * t->out_pixel + 16 * j);
  }
}

TILE void dot8(const int M, const int B, const espq_conv_strip *s, const espq_conv_tile *t) {
  __m512i acc[DOT8_TILE][DOT8_BLOCKS];
  const char *x[DOT8_TILE];
  const int8_t *w = s->weights;
  ESPQ_UNROLL for (int j = 0; j < B; j++) {
    __m512i start = _mm512_loadu_si512(s->start + 16 * j);
    ESPQ_UNROLL for (int i = 0; i < M; i++) acc[i][j] = start;
  }
  ESPQ_UNROLL for (int i = 0; i < M; i++) x[i] = t->in + t->pixel[i] + s->in_offset;
  for (int tap = 0; tap < t->taps; tap++) {
    size_t at = t->tap[tap];
    for (int k = 0; k < s->steps; k++, w += 64 * B, at += 4) {
      __m512i weights[DOT8_BLOCKS];
      ESPQ_UNROLL for (int j = 0; j < B; j++) weights[j] = _mm512_load_si512(w + 64 * j);
      ESPQ_UNROLL for (int i = 0; i < M; i++) {
        __m512i value = _mm512_set1_epi32(four_bytes(x[i] + at));
        ESPQ_UNROLL for (int j = 0; j < B; j++) acc[i][j] = _mm512_dpbusd_epi32(acc[i][j], value, weights[j]);
      }
    }
  }
  if (s->right) {
    finish8(M, B, s, t, acc);
    return;
  }
  ESPQ_UNROLL for (int i = 0; i < M; i++) {
    ESPQ_UNROLL for (int j = 0; j < B; j++) _mm512_store_si512((int32_t *)t->acc + 16 * (i * B + j), acc[i][j]);
  }
}

/* ---- dense int16: unit [high, low][16 outputs][2 inputs] ---- */

static void put_dot16(void *unit, int lane, int slot, int weight) {
  int16_t *w = (int16_t *)unit + lane * 2 + slot;
  w[0] = (int16_t)espq_conv_high(weight);
  w[32] = (int16_t)espq_conv_low(weight);
}

/* Adds `steps` steps of one tap to the sums. */
TILE void dot16_part(const int M, const int B, const char *const *x, size_t at, int steps, const int16_t *w,
                     __m512i high[DOT16_TILE][DOT16_BLOCKS], __m512i low[DOT16_TILE][DOT16_BLOCKS]) {
  for (int k = 0; k < steps; k++, w += 64 * B, at += 4) {
    __m512i wh[DOT16_BLOCKS], wl[DOT16_BLOCKS];
    ESPQ_UNROLL for (int j = 0; j < B; j++) {
      wh[j] = _mm512_load_si512(w + 64 * j);
      wl[j] = _mm512_load_si512(w + 64 * j + 32);
    }
    ESPQ_UNROLL for (int i = 0; i < M; i++) {
      __m512i value = _mm512_set1_epi32(four_bytes(x[i] + at));
      ESPQ_UNROLL for (int j = 0; j < B; j++) {
        high[i][j] = _mm512_dpwssd_epi32(high[i][j], value, wh[j]);
        low[i][j] = _mm512_dpwssd_epi32(low[i][j], value, wl[j]);
      }
    }
  }
}

/* Sums that 32 bits hold; high and low parts are columns of one array. */
TILE void dot16_short(const int M, const int B, const espq_conv_strip *s, const espq_conv_tile *t) {
  __m512i acc[DOT16_TILE][2 * DOT16_BLOCKS];
  const char *x[DOT16_TILE];
  const int16_t *w = s->weights;
  ESPQ_UNROLL for (int j = 0; j < 2 * B; j++) {
    __m512i start = _mm512_loadu_si512((j % 2 ? s->start_low : s->start) + 16 * (j / 2));
    ESPQ_UNROLL for (int i = 0; i < M; i++) acc[i][j] = start;
  }
  ESPQ_UNROLL for (int i = 0; i < M; i++) x[i] = t->in + t->pixel[i] + s->in_offset;
  for (int tap = 0; tap < t->taps; tap++) {
    size_t at = t->tap[tap];
    for (int k = 0; k < s->steps; k++, w += 64 * B, at += 4) {
      __m512i weights[2 * DOT16_BLOCKS];
      ESPQ_UNROLL for (int j = 0; j < 2 * B; j++) weights[j] = _mm512_load_si512(w + 32 * j);
      ESPQ_UNROLL for (int i = 0; i < M; i++) {
        __m512i value = _mm512_set1_epi32(four_bytes(x[i] + at));
        ESPQ_UNROLL for (int j = 0; j < 2 * B; j++) acc[i][j] = _mm512_dpwssd_epi32(acc[i][j], value, weights[j]);
      }
    }
  }
  ESPQ_UNROLL for (int i = 0; i < M; i++) { ESPQ_UNROLL for (int j = 0; j < 2 * B; j++) IN_REGISTER(acc[i][j]); }
  ESPQ_UNROLL for (int j = 0; j < B; j++) {
    const espq_shift16 shift = load_shift(s, 16 * j);
    ESPQ_UNROLL for (int i = 0; i < M; i++)
        store_shifted16(&shift, acc[i][2 * j], acc[i][2 * j + 1], t->out + i * t->out_pixel + 32 * j);
  }
}

TILE void flush_tile16(const int M, const int B, __m512i high[DOT16_TILE][DOT16_BLOCKS],
                       __m512i low[DOT16_TILE][DOT16_BLOCKS], bool first, int64_t *out) {
  ESPQ_UNROLL for (int i = 0; i < M; i++) {
    ESPQ_UNROLL for (int j = 0; j < B; j++) {
      add_to_wide(high[i][j], low[i][j], first, out + 16 * (i * B + j));
      high[i][j] = low[i][j] = _mm512_setzero_si512();
    }
  }
}

/* The sums to t->acc, whatever their size. */
TILE void dot16_long(const int M, const int B, const espq_conv_strip *s, const espq_conv_tile *t) {
  __m512i high[DOT16_TILE][DOT16_BLOCKS], low[DOT16_TILE][DOT16_BLOCKS];
  const char *x[DOT16_TILE];
  const int16_t *w = s->weights;
  int room = FLUSH_STEPS;
  bool first = true;
  ESPQ_UNROLL for (int i = 0; i < M; i++) {
    ESPQ_UNROLL for (int j = 0; j < B; j++) high[i][j] = low[i][j] = _mm512_setzero_si512();
  }
  ESPQ_UNROLL for (int i = 0; i < M; i++) x[i] = t->in + t->pixel[i] + s->in_offset;
  for (int tap = 0; tap < t->taps; tap++) {
    size_t at = t->tap[tap];
    for (int left = s->steps; left > 0;) {
      int steps = left < room ? left : room;
      dot16_part(M, B, x, at, steps, w, high, low);
      at += 4 * (size_t)steps;
      w += 64 * B * (size_t)steps;
      left -= steps, room -= steps;
      if (room) continue;
      flush_tile16(M, B, high, low, first, t->acc);
      first = false;
      room = FLUSH_STEPS;
    }
  }
  flush_tile16(M, B, high, low, first, t->acc);
}

/* ---- a function for each tile size ---- */

typedef void (*tile_function)(const espq_conv_strip *, const espq_conv_tile *);

#define DOT(name, M, B) \
  TARGET static void name##_##M##x##B(const espq_conv_strip *s, const espq_conv_tile *t) { name(M, B, s, t); }
#define DOT8_ROW(B) \
  DOT(dot8, 1, B)   \
  DOT(dot8, 2, B) DOT(dot8, 3, B) DOT(dot8, 4, B) DOT(dot8, 5, B) DOT(dot8, 6, B) DOT(dot8, 7, B) DOT(dot8, 8, B)
#define DOT16_ROW(name, B) \
  DOT(name, 1, B) DOT(name, 2, B) DOT(name, 3, B) DOT(name, 4, B) DOT(name, 5, B) DOT(name, 6, B)
DOT8_ROW(1)
DOT8_ROW(2)
DOT8_ROW(3)
DOT16_ROW(dot16_short, 1)
DOT16_ROW(dot16_short, 2)
DOT16_ROW(dot16_long, 1)
DOT16_ROW(dot16_long, 2)

static void sum8(const espq_conv_strip *strip, const espq_conv_tile *tile, int pixels) {
  static const tile_function tiles[DOT8_BLOCKS][DOT8_TILE] = {
      {dot8_1x1, dot8_2x1, dot8_3x1, dot8_4x1, dot8_5x1, dot8_6x1, dot8_7x1, dot8_8x1},
      {dot8_1x2, dot8_2x2, dot8_3x2, dot8_4x2, dot8_5x2, dot8_6x2, dot8_7x2, dot8_8x2},
      {dot8_1x3, dot8_2x3, dot8_3x3, dot8_4x3, dot8_5x3, dot8_6x3, dot8_7x3, dot8_8x3}};
  tiles[strip->channels / 16 - 1][pixels - 1](strip, tile);
}

#define DOT16_NAMES(name, B) \
  { name##_1x##B, name##_2x##B, name##_3x##B, name##_4x##B, name##_5x##B, name##_6x##B }

static void sum16(const espq_conv_strip *strip, const espq_conv_tile *tile, int pixels) {
  static const tile_function tiles[2][DOT16_BLOCKS][DOT16_TILE] = {
      {DOT16_NAMES(dot16_long, 1), DOT16_NAMES(dot16_long, 2)},
      {DOT16_NAMES(dot16_short, 1), DOT16_NAMES(dot16_short, 2)}};
  tiles[strip->right != NULL][strip->channels / 16 - 1][pixels - 1](strip, tile);
}

const espq_dense_kernel *espq_dense_kernel_vnni(int bits) {
  static const espq_dense_kernel kernels[2] = {{.tile = DOT8_TILE,
                                                .strip = 16 * DOT8_BLOCKS,
                                                .depth = 4,
                                                .offset = true,
                                                .shifts = true,
                                                .unit_bytes = 64,
                                                .put = put_dot8,
                                                .sum = sum8},
                                               {.tile = DOT16_TILE,
                                                .strip = 16 * DOT16_BLOCKS,
                                                .depth = 2,
                                                .shifts = true,
                                                .unit_bytes = 128,
                                                .put = put_dot16,
                                                .sum = sum16}};
  return &kernels[bits == 16];
}
#endif
