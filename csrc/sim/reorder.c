#include "sim/reorder.h"

#include <stddef.h>
#include <string.h>

#include "base/layout.h"
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* Both directions transpose: planes of pixels to rows of channels and back. The unit is a square of
   16 x 16 bytes or 8 x 8 int16; edges go one by one. `flip` is what to XOR (offset binary). */

#if defined(__SSE2__)

/* One stage of a transposition: rows i and i + n / 2 interleave to rows 2i and 2i + 1. After log2(n)
   stages, row and column have changed places. */
static inline void interleave8(const __m128i in[16], __m128i out[16]) {
  for (int i = 0; i < 8; i++) {
    out[2 * i] = _mm_unpacklo_epi8(in[i], in[i + 8]);
    out[2 * i + 1] = _mm_unpackhi_epi8(in[i], in[i + 8]);
  }
}

static inline void interleave16(const __m128i in[8], __m128i out[8]) {
  for (int i = 0; i < 4; i++) {
    out[2 * i] = _mm_unpacklo_epi16(in[i], in[i + 4]);
    out[2 * i + 1] = _mm_unpackhi_epi16(in[i], in[i + 4]);
  }
}

static void square8(const uint8_t *in, int64_t in_row, uint8_t *out, int64_t out_row, uint8_t flip) {
  __m128i a[16], b[16], mask = _mm_set1_epi8((char)flip);
  for (int i = 0; i < 16; i++) a[i] = _mm_xor_si128(_mm_loadu_si128((const __m128i *)(in + i * in_row)), mask);
  interleave8(a, b);
  interleave8(b, a);
  interleave8(a, b);
  interleave8(b, a);
  for (int i = 0; i < 16; i++) _mm_storeu_si128((__m128i *)(out + i * out_row), a[i]);
}

static void square16(const int16_t *in, int64_t in_row, int16_t *out, int64_t out_row) {
  __m128i a[8], b[8];
  for (int i = 0; i < 8; i++) a[i] = _mm_loadu_si128((const __m128i *)(in + i * in_row));
  interleave16(a, b);
  interleave16(b, a);
  interleave16(a, b);
  for (int i = 0; i < 8; i++) _mm_storeu_si128((__m128i *)(out + i * out_row), b[i]);
}

#else

static void square8(const uint8_t *in, int64_t in_row, uint8_t *out, int64_t out_row, uint8_t flip) {
  for (int i = 0; i < 16; i++)
    for (int j = 0; j < 16; j++) out[i * out_row + j] = in[j * in_row + i] ^ flip;
}

static void square16(const int16_t *in, int64_t in_row, int16_t *out, int64_t out_row) {
  for (int i = 0; i < 8; i++)
    for (int j = 0; j < 8; j++) out[i * out_row + j] = in[j * in_row + i];
}

#endif

/* out[j * out_row + i] = in[i * in_row + j] ^ flip for i < rows, j < columns */
static void transpose8(int64_t rows, int64_t columns, const uint8_t *in, int64_t in_row, uint8_t *out, int64_t out_row,
                       uint8_t flip) {
  int64_t whole = columns & ~(int64_t)15;
  for (int64_t i = 0; i < rows; i += 16) {
    int64_t end = rows - i < 16 ? rows : i + 16, done = end - i == 16 ? whole : 0;
    for (int64_t j = 0; j < done; j += 16) square8(in + i * in_row + j, in_row, out + j * out_row + i, out_row, flip);
    for (int64_t k = i; k < end; k++)
      for (int64_t j = done; j < columns; j++) out[j * out_row + k] = in[k * in_row + j] ^ flip;
  }
}

static void transpose16(int64_t rows, int64_t columns, const int16_t *in, int64_t in_row, int16_t *out,
                        int64_t out_row) {
  int64_t whole = columns & ~(int64_t)7;
  for (int64_t i = 0; i < rows; i += 8) {
    int64_t end = rows - i < 8 ? rows : i + 8, done = end - i == 8 ? whole : 0;
    for (int64_t j = 0; j < done; j += 8) square16(in + i * in_row + j, in_row, out + j * out_row + i, out_row);
    for (int64_t k = i; k < end; k++)
      for (int64_t j = done; j < columns; j++) out[j * out_row + k] = in[k * in_row + j];
  }
}

static void clear_padding(int bits, int64_t channels, int64_t stored, int64_t pixels, void *blocked) {
  size_t bytes = (size_t)bits / 8, lanes = (size_t)(stored - channels) * bytes;
  char *row = (char *)blocked + (size_t)channels * bytes;
  for (int64_t i = 0; i < pixels && lanes; i++, row += (size_t)stored * bytes) memset(row, bits == 8 ? 128 : 0, lanes);
}

void espq_sim_to_nhwc16(int bits, int64_t n, int64_t channels, int64_t pixels, const void *plain, void *blocked) {
  int64_t stored = espq_layout_channels(ESPQ_NHWC16, channels);
  for (int64_t i = 0; i < n; i++) {
    int64_t from = i * channels * pixels, to = i * stored * pixels;
    if (bits == 8)
      transpose8(channels, pixels, (const uint8_t *)plain + from, pixels, (uint8_t *)blocked + to, stored, 0x80);
    else transpose16(channels, pixels, (const int16_t *)plain + from, pixels, (int16_t *)blocked + to, stored);
  }
  clear_padding(bits, channels, stored, n * pixels, blocked);
}

void espq_sim_to_plain(int bits, int64_t n, int64_t channels, int64_t pixels, const void *blocked, void *plain) {
  int64_t stored = espq_layout_channels(ESPQ_NHWC16, channels);
  for (int64_t i = 0; i < n; i++) {
    int64_t from = i * stored * pixels, to = i * channels * pixels;
    if (bits == 8)
      transpose8(pixels, channels, (const uint8_t *)blocked + from, stored, (uint8_t *)plain + to, pixels, 0x80);
    else transpose16(pixels, channels, (const int16_t *)blocked + from, stored, (int16_t *)plain + to, pixels);
  }
}
