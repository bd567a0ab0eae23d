/* Dense AVX2 kernels: everything is a product of int16 pairs (vpmaddwd), whose 32-bit sums are exact; the
 * byte product of AVX2 saturates and is of no use. int16 weights are split as in conv_vnni.c.
 *
 * The accumulators of a tile must stay in registers, so every loop over them has constant bounds and
 * is unrolled: one function per tile size.
 */
#include "sim/conv_kernel.h"

#if defined(__x86_64__)
#include "sim/conv_avx2.h"

enum { DOT8_TILE = 6, DOT16_TILE = 3, FLUSH_STEPS = 128 };

/* ---- int8: unit [inputs 0 2, inputs 1 3][16 outputs][2 inputs] ----
 *
 * Four stored bytes become the pairs (0, 2) and (1, 3) of int16 by a mask and a shift. */

static void put_dot8(void *unit, int lane, int slot, int weight) {
  ((int16_t *)unit)[slot % 2 * 32 + lane * 2 + slot / 2] = (int16_t)weight;
}

TILE void dot8(const int M, const espq_conv_strip *s, const espq_conv_tile *t) {
  const __m256i mask = _mm256_set1_epi16(0xff);
  __m256i acc[DOT8_TILE][2];
  const char *x[DOT8_TILE];
  const int16_t *w = s->weights;
  ESPQ_UNROLL for (int i = 0; i < M; i++) {
    ESPQ_UNROLL for (int h = 0; h < 2; h++) acc[i][h] = load_256(s->start + 8 * h);
    x[i] = t->in + t->pixel[i] + s->in_offset;
  }
  for (int tap = 0; tap < t->taps; tap++) {
    size_t at = t->tap[tap];
    for (int k = 0; k < s->steps; k++, w += 64, at += 4) {
      ESPQ_UNROLL for (int i = 0; i < M; i++) {
        __m256i value = _mm256_set1_epi32(four_bytes(x[i] + at));
        __m256i even = _mm256_and_si256(value, mask), odd = _mm256_srli_epi16(value, 8);
        ESPQ_UNROLL for (int h = 0; h < 2; h++) {
          acc[i][h] = add_pairs(acc[i][h], even, w + 16 * h);
          acc[i][h] = add_pairs(acc[i][h], odd, w + 32 + 16 * h);
        }
      }
    }
  }
  ESPQ_UNROLL for (int i = 0; i < M; i++) { ESPQ_UNROLL for (int h = 0; h < 2; h++) IN_REGISTER(acc[i][h]); }
  ESPQ_UNROLL for (int i = 0; i < M; i++) {
    int32_t *out = (int32_t *)t->acc + 16 * i;
    if (s->right) store_shifted8(s, acc[i], t->out + i * t->out_pixel);
    else ESPQ_UNROLL for (int h = 0; h < 2; h++) _mm256_store_si256((__m256i *)(out + 8 * h), acc[i][h]);
  }
}

/* ---- int16: unit [high, low][16 outputs][2 inputs] ---- */

static void put_dot16(void *unit, int lane, int slot, int weight) {
  int16_t *w = (int16_t *)unit + lane * 2 + slot;
  w[0] = (int16_t)espq_conv_high(weight);
  w[32] = (int16_t)espq_conv_low(weight);
}

/* Adds `steps` steps of one tap to the sums. */
TILE void dot16_part(const int M, const char *const *x, size_t at, int steps, const int16_t *w,
                     __m256i high[DOT16_TILE][2], __m256i low[DOT16_TILE][2]) {
  for (int k = 0; k < steps; k++, w += 64, at += 4) {
    ESPQ_UNROLL for (int i = 0; i < M; i++) {
      __m256i value = _mm256_set1_epi32(four_bytes(x[i] + at));
      ESPQ_UNROLL for (int h = 0; h < 2; h++) {
        high[i][h] = add_pairs(high[i][h], value, w + 16 * h);
        low[i][h] = add_pairs(low[i][h], value, w + 32 + 16 * h);
      }
    }
  }
}

/* Sums that 32 bits hold: parts 0, 1 are the high ones of both halves of the outputs, 2, 3 the low ones. */
TILE void dot16_short(const int M, const espq_conv_strip *s, const espq_conv_tile *t) {
  __m256i acc[DOT16_TILE][4];
  const char *x[DOT16_TILE];
  const int16_t *w = s->weights;
  ESPQ_UNROLL for (int i = 0; i < M; i++) {
    ESPQ_UNROLL for (int q = 0; q < 4; q++) acc[i][q] = load_256((q < 2 ? s->start : s->start_low) + 8 * (q % 2));
    x[i] = t->in + t->pixel[i] + s->in_offset;
  }
  for (int tap = 0; tap < t->taps; tap++) {
    size_t at = t->tap[tap];
    for (int k = 0; k < s->steps; k++, w += 64, at += 4) {
      ESPQ_UNROLL for (int i = 0; i < M; i++) {
        __m256i value = _mm256_set1_epi32(four_bytes(x[i] + at));
        ESPQ_UNROLL for (int q = 0; q < 4; q++) acc[i][q] = add_pairs(acc[i][q], value, w + 16 * q);
      }
    }
  }
  ESPQ_UNROLL for (int i = 0; i < M; i++) { ESPQ_UNROLL for (int q = 0; q < 4; q++) IN_REGISTER(acc[i][q]); }
  ESPQ_UNROLL for (int i = 0; i < M; i++) store_shifted16(s, acc[i], acc[i] + 2, t->out + i * t->out_pixel);
}

TILE void flush_tile16(const int M, __m256i high[DOT16_TILE][2], __m256i low[DOT16_TILE][2], bool first, int64_t *out) {
  ESPQ_UNROLL for (int i = 0; i < M; i++) {
    ESPQ_UNROLL for (int h = 0; h < 2; h++) {
      add_to_wide(high[i][h], low[i][h], first, out + 16 * i + 8 * h);
      high[i][h] = low[i][h] = _mm256_setzero_si256();
    }
  }
}

/* The sums to t->acc, whatever their size. */
TILE void dot16_long(const int M, const espq_conv_strip *s, const espq_conv_tile *t) {
  __m256i high[DOT16_TILE][2], low[DOT16_TILE][2];
  const char *x[DOT16_TILE];
  const int16_t *w = s->weights;
  int room = FLUSH_STEPS;
  bool first = true;
  ESPQ_UNROLL for (int i = 0; i < M; i++) {
    ESPQ_UNROLL for (int h = 0; h < 2; h++) high[i][h] = low[i][h] = _mm256_setzero_si256();
  }
  ESPQ_UNROLL for (int i = 0; i < M; i++) x[i] = t->in + t->pixel[i] + s->in_offset;
  for (int tap = 0; tap < t->taps; tap++) {
    size_t at = t->tap[tap];
    for (int left = s->steps; left > 0;) {
      int steps = left < room ? left : room;
      dot16_part(M, x, at, steps, w, high, low);
      at += 4 * (size_t)steps;
      w += 64 * (size_t)steps;
      left -= steps, room -= steps;
      if (room) continue;
      flush_tile16(M, high, low, first, t->acc);
      first = false;
      room = FLUSH_STEPS;
    }
  }
  flush_tile16(M, high, low, first, t->acc);
}

/* ---- a function for each tile size ---- */

typedef void (*tile_function)(const espq_conv_strip *, const espq_conv_tile *);

#define DOT(name, M) \
  TARGET static void name##_##M(const espq_conv_strip *s, const espq_conv_tile *t) { name(M, s, t); }
DOT(dot8, 1)
DOT(dot8, 2)
DOT(dot8, 3)
DOT(dot8, 4)
DOT(dot8, 5)
DOT(dot8, 6)
DOT(dot16_short, 1)
DOT(dot16_short, 2)
DOT(dot16_short, 3)
DOT(dot16_long, 1)
DOT(dot16_long, 2)
DOT(dot16_long, 3)

static void sum8(const espq_conv_strip *strip, const espq_conv_tile *tile, int pixels) {
  static const tile_function tiles[DOT8_TILE] = {dot8_1, dot8_2, dot8_3, dot8_4, dot8_5, dot8_6};
  tiles[pixels - 1](strip, tile);
}

static void sum16(const espq_conv_strip *strip, const espq_conv_tile *tile, int pixels) {
  static const tile_function tiles[2][DOT16_TILE] = {{dot16_long_1, dot16_long_2, dot16_long_3},
                                                     {dot16_short_1, dot16_short_2, dot16_short_3}};
  tiles[strip->right != NULL][pixels - 1](strip, tile);
}

const espq_dense_kernel *espq_dense_kernel_avx2(int bits) {
  static const espq_dense_kernel kernels[2] = {
      {.tile = DOT8_TILE,
       .strip = 16,
       .depth = 4,
       .offset = true,
       .shifts = true,
       .unit_bytes = 128,
       .put = put_dot8,
       .sum = sum8},
      {.tile = DOT16_TILE, .strip = 16, .depth = 2, .shifts = true, .unit_bytes = 128, .put = put_dot16, .sum = sum16}};
  return &kernels[bits == 16];
}
#endif
