#include "sim/reorder.h"

#include "base/layout.h"
#include "sim/versions.h"
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* Both directions transpose: planes of pixels to rows of channels and back. The unit is a square of
   16 x 16 bytes or 8 x 8 int16. `flip` is what to XOR (offset binary). */

#if defined(__SSE2__)

/* One stage of a transposition: rows i and i + n / 2 interleave to rows 2i and 2i + 1. After log2(n)
   stages, row and column have changed places. */
ESPQ_BODY void interleave8(const __m128i in[16], __m128i out[16]) {
  ESPQ_UNROLL for (int i = 0; i < 8; i++) {
    out[2 * i] = _mm_unpacklo_epi8(in[i], in[i + 8]);
    out[2 * i + 1] = _mm_unpackhi_epi8(in[i], in[i + 8]);
  }
}

ESPQ_BODY void interleave16(const __m128i in[8], __m128i out[8]) {
  ESPQ_UNROLL for (int i = 0; i < 4; i++) {
    out[2 * i] = _mm_unpacklo_epi16(in[i], in[i + 4]);
    out[2 * i + 1] = _mm_unpackhi_epi16(in[i], in[i + 4]);
  }
}

/* Where there are fewer than 16 (8) rows, the others count as zeros. `rows` is a constant where that
   matters: the compiler then leaves out most of the work. */
ESPQ_BODY void square8(const uint8_t *in, int64_t in_row, const int rows, uint8_t *out, int64_t out_row, uint8_t flip) {
  __m128i a[16], b[16], mask = _mm_set1_epi8((char)flip);
  ESPQ_UNROLL for (int i = 0; i < 16; i++) a[i] = mask;
  ESPQ_UNROLL for (int i = 0; i < rows; i++) a[i] =
      _mm_xor_si128(_mm_loadu_si128((const __m128i *)(in + i * in_row)), mask);
  interleave8(a, b);
  interleave8(b, a);
  interleave8(a, b);
  interleave8(b, a);
  ESPQ_UNROLL for (int i = 0; i < 16; i++) _mm_storeu_si128((__m128i *)(out + i * out_row), a[i]);
}

ESPQ_BODY void square16(const int16_t *in, int64_t in_row, const int rows, int16_t *out, int64_t out_row) {
  __m128i a[8], b[8];
  ESPQ_UNROLL for (int i = 0; i < 8; i++) a[i] = _mm_setzero_si128();
  ESPQ_UNROLL for (int i = 0; i < rows; i++) a[i] = _mm_loadu_si128((const __m128i *)(in + i * in_row));
  interleave16(a, b);
  interleave16(b, a);
  interleave16(a, b);
  ESPQ_UNROLL for (int i = 0; i < 8; i++) _mm_storeu_si128((__m128i *)(out + i * out_row), b[i]);
}

#else

static void square8(const uint8_t *in, int64_t in_row, int rows, uint8_t *out, int64_t out_row, uint8_t flip) {
  for (int i = 0; i < 16; i++)
    for (int j = 0; j < 16; j++) out[i * out_row + j] = (j < rows ? in[j * in_row + i] : 0) ^ flip;
}

static void square16(const int16_t *in, int64_t in_row, int rows, int16_t *out, int64_t out_row) {
  for (int i = 0; i < 8; i++)
    for (int j = 0; j < 8; j++) out[i * out_row + j] = j < rows ? in[j * in_row + i] : 0;
}

#endif

/* ---- planes to pixels: a square fills whole pixels, padding lanes included ---- */

/* Gray and color images are the usual inputs. */
static void squares8(const uint8_t *in, int64_t in_row, int rows, int64_t n, uint8_t *out, int64_t out_row) {
  for (int64_t i = 0; i < n; i += 16, in += 16, out += 16 * out_row) switch (rows) {
      case 1: square8(in, in_row, 1, out, out_row, 0x80); break;
      case 3: square8(in, in_row, 3, out, out_row, 0x80); break;
      case 16: square8(in, in_row, 16, out, out_row, 0x80); break;
      default: square8(in, in_row, rows, out, out_row, 0x80);
    }
}

static void squares16(const int16_t *in, int64_t in_row, int rows, int64_t n, int16_t *out, int64_t out_row) {
  for (int64_t i = 0; i < n; i += 8, in += 8, out += 8 * out_row) switch (rows) {
      case 0: square16(in, in_row, 0, out, out_row); break;
      case 1: square16(in, in_row, 1, out, out_row); break;
      case 3: square16(in, in_row, 3, out, out_row); break;
      case 8: square16(in, in_row, 8, out, out_row); break;
      default: square16(in, in_row, rows, out, out_row);
    }
}

static void fill8(int64_t channels, int64_t stored, int64_t pixels, const uint8_t *plain, uint8_t *blocked) {
  int64_t whole = pixels & ~(int64_t)15;
  for (int64_t c = 0; c < stored; c += 16) {
    int rows = channels - c < 16 ? (int)(channels - c) : 16;
    squares8(plain + c * pixels, pixels, rows, whole, blocked + c, stored);
  }
  for (int64_t i = whole; i < pixels; i++)
    for (int64_t c = 0; c < stored; c++) blocked[i * stored + c] = (c < channels ? plain[c * pixels + i] : 0) ^ 0x80;
}

static void fill16(int64_t channels, int64_t stored, int64_t pixels, const int16_t *plain, int16_t *blocked) {
  int64_t whole = pixels & ~(int64_t)7;
  for (int64_t c = 0; c < stored; c += 8) {
    int rows = c >= channels ? 0 : channels - c < 8 ? (int)(channels - c) : 8;
    squares16(rows ? plain + c * pixels : plain, pixels, rows, whole, blocked + c, stored);
  }
  for (int64_t i = whole; i < pixels; i++)
    for (int64_t c = 0; c < stored; c++) blocked[i * stored + c] = c < channels ? plain[c * pixels + i] : 0;
}

void espq_sim_to_nhwc16(int bits, int64_t n, int64_t channels, int64_t pixels, const void *plain, void *blocked) {
  int64_t stored = espq_layout_channels(ESPQ_NHWC16, channels);
  for (int64_t i = 0; i < n; i++) {
    int64_t from = i * channels * pixels, to = i * stored * pixels;
    if (bits == 8) fill8(channels, stored, pixels, (const uint8_t *)plain + from, (uint8_t *)blocked + to);
    else fill16(channels, stored, pixels, (const int16_t *)plain + from, (int16_t *)blocked + to);
  }
}

/* ---- pixels to planes: 16 x 16 bytes or 8 x 8 int16 at a time, edges one by one ---- */

static void spread8(int64_t channels, int64_t stored, int64_t pixels, const uint8_t *blocked, uint8_t *plain) {
  for (int64_t i = 0; i < pixels; i += 16) {
    int64_t end = pixels - i < 16 ? pixels : i + 16, done = end - i == 16 ? channels & ~(int64_t)15 : 0;
    for (int64_t c = 0; c < done; c += 16)
      square8(blocked + i * stored + c, stored, 16, plain + c * pixels + i, pixels, 0x80);
    for (int64_t c = done; c < channels; c++)
      for (int64_t k = i; k < end; k++) plain[c * pixels + k] = blocked[k * stored + c] ^ 0x80;
  }
}

static void spread16(int64_t channels, int64_t stored, int64_t pixels, const int16_t *blocked, int16_t *plain) {
  for (int64_t i = 0; i < pixels; i += 8) {
    int64_t end = pixels - i < 8 ? pixels : i + 8, done = end - i == 8 ? channels & ~(int64_t)7 : 0;
    for (int64_t c = 0; c < done; c += 8) square16(blocked + i * stored + c, stored, 8, plain + c * pixels + i, pixels);
    for (int64_t c = done; c < channels; c++)
      for (int64_t k = i; k < end; k++) plain[c * pixels + k] = blocked[k * stored + c];
  }
}

void espq_sim_to_plain(int bits, int64_t n, int64_t channels, int64_t pixels, const void *blocked, void *plain) {
  int64_t stored = espq_layout_channels(ESPQ_NHWC16, channels);
  for (int64_t i = 0; i < n; i++) {
    int64_t from = i * stored * pixels, to = i * channels * pixels;
    if (bits == 8) spread8(channels, stored, pixels, (const uint8_t *)blocked + from, (uint8_t *)plain + to);
    else spread16(channels, stored, pixels, (const int16_t *)blocked + from, (int16_t *)plain + to);
  }
}
