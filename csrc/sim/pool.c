#include "sim/pool.h"

#include <string.h>

#include "base/alloc.h"
#include "base/layout.h"
#include "sim/fixed.h"
#include "sim/versions.h"

enum { BLOCK = 16 };

/* Where 32-bit sums of a window cannot overflow. */
static const int64_t NARROW_INT8 = 1 << 23, NARROW_INT16 = 1 << 15;

/* ---- check ---- */

espq_status espq_sim_pool_check(const espq_sim_pool *p, espq_error *err) {
  const int positive[] = {p->channels, p->ih, p->iw, p->oh, p->ow, p->kh, p->kw, p->sh, p->sw, p->dh, p->dw};
  if (p->bits != 8 && p->bits != 16) return espq_fail(err, ESPQ_EBUG, "%d bits", p->bits);
  for (size_t i = 0; i < sizeof positive / sizeof *positive; i++)
    if (positive[i] < 1)
      return espq_fail(err, ESPQ_EFORMAT, "pooling with a size, stride or dilation of %d", positive[i]);
  if (p->pt < 0 || p->pl < 0 || p->pb < 0 || p->pr < 0)
    return espq_fail(err, ESPQ_EFORMAT, "pooling with negative pads");
  if ((int64_t)p->kh * p->kw > INT32_MAX)
    return espq_fail(err, ESPQ_ELIMIT, "a window of %d x %d is too large", p->kh, p->kw);
  int64_t in = espq_layout_channels(ESPQ_NHWC16, p->channels) * (p->bits / 8), out = in;
  if (!espq_mul64(in, p->ih, &in) || !espq_mul64(in, p->iw, &in) || !espq_mul64(out, p->oh, &out) ||
      !espq_mul64(out, p->ow, &out) || in > (int64_t)ESPQ_ALLOC_MAX || out > (int64_t)ESPQ_ALLOC_MAX)
    return espq_fail(err, ESPQ_ELIMIT, "an image of %d x %d x %d is too large", p->channels, p->ih, p->iw);
  return ESPQ_OK;
}

/* ---- windows ---- */

/* What a window covers along one axis: the first position inside of the image, how many are inside,
   and how many are in image or pads. */
typedef struct span {
  int64_t first, inside, padded;
} span;

/* How many of at, at + step, ... (n positions) are below limit. */
static int64_t below(int64_t at, int64_t step, int64_t n, int64_t limit) {
  if (at >= limit) return 0;
  int64_t k = (limit - at + step - 1) / step;
  return k < n ? k : n;
}

static span find_span(int64_t out, int64_t stride, int64_t kernel, int64_t dilation, int64_t before, int64_t after,
                      int64_t size) {
  int64_t at = out * stride - before;
  int64_t skipped = below(at, dilation, kernel, 0);
  return (span){.first = at + skipped * dilation,
                .inside = below(at, dilation, kernel, size) - skipped,
                .padded = below(at, dilation, kernel, size + after)};
}

typedef struct window {
  const char *first; /* the pixel at the top left, of those inside of the image */
  int64_t rows, columns, count;
  size_t down, across; /* bytes to the next row, column */
} window;

static window find_window(const espq_sim_pool *p, const char *image, size_t pixel, int oy, int ox) {
  span y = find_span(oy, p->sh, p->kh, p->dh, p->pt, p->pb, p->ih);
  span x = find_span(ox, p->sw, p->kw, p->dw, p->pl, p->pr, p->iw);
  window w = {.rows = y.inside, .columns = x.inside};
  bool empty = y.inside <= 0 || x.inside <= 0;
  w.first = empty ? NULL : image + (size_t)(y.first * p->iw + x.first) * pixel;
  w.count = empty ? 0 : p->count_include_pad ? y.padded * x.padded : y.inside * x.inside;
  /* Only used if there is a next one, so these fit. */
  w.down = y.inside > 1 ? (size_t)p->dh * (size_t)p->iw * pixel : 0;
  w.across = x.inside > 1 ? (size_t)p->dw * pixel : 0;
  return w;
}

/* ---- max ---- */

/* Offset binary keeps the order, so int8 is compared as stored. */
ESPQ_BODY void max8_body(const window *w, int channels, void *out) {
  uint8_t *restrict y = out;
  memcpy(y, w->first, (size_t)channels);
  for (int64_t r = 0; r < w->rows; r++)
    for (int64_t c = 0; c < w->columns; c++) {
      const uint8_t *restrict x = (const uint8_t *)w->first + r * w->down + c * w->across;
      for (int i = 0; i < channels; i += BLOCK)
        for (int j = 0; j < BLOCK; j++) y[i + j] = x[i + j] > y[i + j] ? x[i + j] : y[i + j];
    }
}

ESPQ_BODY void max16_body(const window *w, int channels, void *out) {
  int16_t *restrict y = out;
  memcpy(y, w->first, (size_t)channels * 2);
  for (int64_t r = 0; r < w->rows; r++)
    for (int64_t c = 0; c < w->columns; c++) {
      const int16_t *restrict x = (const int16_t *)(w->first + r * w->down + c * w->across);
      for (int i = 0; i < channels; i += BLOCK)
        for (int j = 0; j < BLOCK; j++) y[i + j] = x[i + j] > y[i + j] ? x[i + j] : y[i + j];
    }
}

ESPQ_VERSIONS(max8, (const window *w, int channels, void *out), (w, channels, out))
ESPQ_VERSIONS(max16, (const window *w, int channels, void *out), (w, channels, out))

/* ---- sums of 16 channels ---- */

ESPQ_BODY void sum8_body(const window *w, size_t offset, int32_t *restrict sum) {
  int32_t total[BLOCK];
  for (int j = 0; j < BLOCK; j++) total[j] = (int32_t)(-128 * w->rows * w->columns);
  for (int64_t r = 0; r < w->rows; r++) {
    const uint8_t *restrict x = (const uint8_t *)w->first + offset + r * w->down;
    for (int64_t c = 0; c < w->columns; c++, x += w->across)
      for (int j = 0; j < BLOCK; j++) total[j] += x[j];
  }
  for (int j = 0; j < BLOCK; j++) sum[j] = total[j];
}

ESPQ_BODY void sum16_body(const window *w, size_t offset, int32_t *restrict sum) {
  int32_t total[BLOCK] = {0};
  for (int64_t r = 0; r < w->rows; r++) {
    const char *row = w->first + offset + r * w->down;
    for (int64_t c = 0; c < w->columns; c++, row += w->across) {
      const int16_t *restrict x = (const int16_t *)row;
      for (int j = 0; j < BLOCK; j++) total[j] += x[j];
    }
  }
  for (int j = 0; j < BLOCK; j++) sum[j] = total[j];
}

ESPQ_VERSIONS(sum8, (const window *w, size_t offset, int32_t *restrict sum), (w, offset, sum))
ESPQ_VERSIONS(sum16, (const window *w, size_t offset, int32_t *restrict sum), (w, offset, sum))

/* ---- averages ---- */

typedef struct divisor {
  int64_t count, right, lo, hi; /* right: shift from sum to output exponent */
} divisor;

/* clip(floor(sum / (count * 2^right))) */
static int64_t divide(const divisor *d, int64_t sum) {
  if (d->right >= 0) /* floors in sequence are one floor */
    return espq_fixed_clamp(espq_fixed_divide(espq_fixed_floor(sum, d->right), d->count), d->lo, d->hi);
  /* Beyond this the quotient is more than 16 bits; up to it sum * 2^left fits. */
  int64_t left = -d->right < 63 ? -d->right : 63, limit = (d->count << 17) >> left;
  if (sum > limit) return d->hi;
  if (sum < -limit) return d->lo;
  return espq_fixed_clamp(espq_fixed_divide(espq_fixed_left(sum, left), d->count), d->lo, d->hi);
}

/* The same for 32-bit sums and right >= 0. A correctly rounded quotient of integers below 2^52 never
   crosses an integer, so the floor of the double is exact. */
ESPQ_BODY void divide_lanes_body(int right, double count, int32_t lo, int32_t hi, int32_t *restrict v) {
  for (int j = 0; j < BLOCK; j++) {
    double quotient = (double)(v[j] >> right) / count;
    int32_t q = (int32_t)quotient;
    q -= (double)q > quotient;
    q = q < lo ? lo : q;
    v[j] = q > hi ? hi : q;
  }
}

ESPQ_VERSIONS(divide_lanes, (int right, double count, int32_t lo, int32_t hi, int32_t *restrict v),
              (right, count, lo, hi, v))

static void divide_block(const espq_sim_pool *p, const divisor *d, int32_t *v) {
  if (d->right >= 0) {
    int right = d->right < 31 ? (int)d->right : 31;
    divide_lanes_versions[p->isa](right, (double)d->count, (int32_t)d->lo, (int32_t)d->hi, v);
    return;
  }
  for (int j = 0; j < BLOCK; j++) v[j] = (int32_t)divide(d, v[j]);
}

/* Windows too large for 32-bit sums. */
static void average_wide(const espq_sim_pool *p, const divisor *d, const window *w, size_t offset, int32_t *v) {
  int64_t sum[BLOCK] = {0};
  for (int64_t r = 0; r < w->rows; r++)
    for (int64_t c = 0; c < w->columns; c++) {
      const char *x = w->first + offset + r * w->down + c * w->across;
      for (int j = 0; j < BLOCK; j++) sum[j] += p->bits == 8 ? ((const uint8_t *)x)[j] - 128 : ((const int16_t *)x)[j];
    }
  for (int j = 0; j < BLOCK; j++) v[j] = (int32_t)divide(d, sum[j]);
}

static void average_block(const espq_sim_pool *p, const divisor *d, const window *w, size_t offset, int32_t *v) {
  if (w->rows * w->columns > (p->bits == 8 ? NARROW_INT8 : NARROW_INT16)) {
    average_wide(p, d, w, offset, v);
    return;
  }
  (p->bits == 8 ? sum8_versions : sum16_versions)[p->isa](w, offset, v);
  divide_block(p, d, v);
}

static void average_pixel(const espq_sim_pool *p, const window *w, int channels, void *out) {
  divisor d = {.count = w->count,
               .right = (int64_t)p->e_out - p->e_in,
               .lo = espq_fixed_min(p->bits),
               .hi = espq_fixed_max(p->bits)};
  int32_t v[BLOCK];
  for (int c = 0; c < channels; c += BLOCK) {
    average_block(p, &d, w, (size_t)c * (size_t)(p->bits / 8), v);
    for (int j = 0; j < BLOCK; j++) {
      if (p->bits == 8) ((uint8_t *)out)[c + j] = (uint8_t)(v[j] + 128);
      else ((int16_t *)out)[c + j] = (int16_t)v[j];
    }
  }
}

/* ---- running ---- */

static void pool_pixel(const espq_sim_pool *p, const window *w, int channels, void *out) {
  if (!w->first) memset(out, p->bits == 8 ? 128 : 0, (size_t)channels * (size_t)(p->bits / 8));
  else if (p->kind == ESPQ_SIM_POOL_AVERAGE) average_pixel(p, w, channels, out);
  else (p->bits == 8 ? max8_versions : max16_versions)[p->isa](w, channels, out);
}

void espq_sim_pool_run(const espq_sim_pool *p, int64_t n, const void *in, void *out) {
  int channels = (int)espq_layout_channels(ESPQ_NHWC16, p->channels);
  size_t pixel = (size_t)channels * (size_t)(p->bits / 8);
  const char *image = in;
  char *y = out;
  for (; n > 0; n--, image += pixel * (size_t)p->ih * (size_t)p->iw)
    for (int oy = 0; oy < p->oh; oy++)
      for (int ox = 0; ox < p->ow; ox++, y += pixel) {
        window w = find_window(p, image, pixel, oy, ox);
        pool_pixel(p, &w, channels, y);
      }
}
