#include "sim/pool.h"

#include <string.h>

#include "base/alloc.h"
#include "base/layout.h"
#include "sim/fixed.h"
#include "sim/lanes.h"
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
  int64_t k = step == 1 ? limit - at : (limit - at + step - 1) / step; /* divisions are slow */
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

static window find_window(const espq_sim_pool *p, const char *image, size_t pixel, span y, int ox) {
  span x = find_span(ox, p->sw, p->kw, p->dw, p->pl, p->pr, p->iw);
  window w = {.rows = y.inside, .columns = x.inside};
  bool empty = y.inside <= 0 || x.inside <= 0;
  w.first = empty ? NULL : image + (size_t)(y.first * p->iw + x.first) * pixel;
  w.count = empty ? 0 : p->count_include_pad ? y.padded * x.padded : y.inside * x.inside;
  /* Only used if there is a next one, so these fit. */
  w.down = y.inside > 1 ? (size_t)p->dh * (size_t)p->iw * pixel : 0;
  w.across = x.inside > 1 ? (size_t)p->dw * pixel : 0;
  if (w.down && w.down == w.across * (size_t)w.columns) w.columns *= w.rows, w.rows = 1; /* one long row */
  return w;
}

/* ---- windows of n channels, a multiple of 16; 16 at a time ---- */

/* Offset binary keeps the order, so int8 is compared as stored. */
ESPQ_BODY void max_window8_body(const window *w, int n, void *out) {
  for (int b = 0; b < n; b += BLOCK) {
    uint8_t most[BLOCK];
    memcpy(most, w->first + b, sizeof most);
    for (int64_t r = 0; r < w->rows; r++)
      for (int64_t c = 0; c < w->columns; c++) {
        const uint8_t *x = (const uint8_t *)w->first + b + (size_t)r * w->down + (size_t)c * w->across;
        for (int j = 0; j < BLOCK; j++) most[j] = x[j] > most[j] ? x[j] : most[j];
      }
    memcpy((uint8_t *)out + b, most, sizeof most);
  }
}

ESPQ_BODY void max_window16_body(const window *w, int n, void *out) {
  for (int b = 0; b < n; b += BLOCK) {
    int16_t most[BLOCK];
    memcpy(most, (const int16_t *)w->first + b, sizeof most);
    for (int64_t r = 0; r < w->rows; r++)
      for (int64_t c = 0; c < w->columns; c++) {
        const int16_t *x = (const int16_t *)(w->first + (size_t)r * w->down + (size_t)c * w->across) + b;
        for (int j = 0; j < BLOCK; j++) most[j] = x[j] > most[j] ? x[j] : most[j];
      }
    memcpy((int16_t *)out + b, most, sizeof most);
  }
}

typedef int32_t sums __attribute__((vector_size(64)));

/* sum: n values as stored, `offset` the bytes of the first channel in a pixel */
ESPQ_BODY void sum_window8_body(const window *w, size_t offset, int n, int32_t *sum) {
  typedef uint8_t values __attribute__((vector_size(16)));
  for (int b = 0; b < n; b += BLOCK) {
    sums total = {0};
    for (int64_t r = 0; r < w->rows; r++)
      for (int64_t c = 0; c < w->columns; c++) {
        values x;
        memcpy(&x, w->first + offset + b + (size_t)r * w->down + (size_t)c * w->across, sizeof x);
        total += __builtin_convertvector(x, sums);
      }
    memcpy(sum + b, &total, sizeof total);
  }
}

ESPQ_BODY void sum_window16_body(const window *w, size_t offset, int n, int32_t *sum) {
  typedef int16_t values __attribute__((vector_size(32)));
  for (int b = 0; b < n; b += BLOCK) {
    sums total = {0};
    for (int64_t r = 0; r < w->rows; r++)
      for (int64_t c = 0; c < w->columns; c++) {
        values x;
        memcpy(&x, w->first + offset + 2 * (size_t)b + (size_t)r * w->down + (size_t)c * w->across, sizeof x);
        total += __builtin_convertvector(x, sums);
      }
    memcpy(sum + b, &total, sizeof total);
  }
}

ESPQ_VERSIONS(max_window8, (const window *w, int n, void *out), (w, n, out))
ESPQ_VERSIONS(max_window16, (const window *w, int n, void *out), (w, n, out))
ESPQ_VERSIONS(sum_window8, (const window *w, size_t offset, int n, int32_t *sum), (w, offset, n, sum))
ESPQ_VERSIONS(sum_window16, (const window *w, size_t offset, int n, int32_t *sum), (w, offset, n, sum))

/* ---- averages ---- */

typedef struct divisor {
  espq_rounding rounding;
  int64_t count, right, lo, hi; /* right: shift from sum to output exponent */
  float factor;                 /* rounding not FLOOR: what a sum is multiplied by */
} divisor;

/* clip(floor(sum / (count * 2^right))), or ESP-DL v3's product */
static int64_t divide(const divisor *d, int64_t sum) {
  if (d->rounding != ESPQ_ROUND_FLOOR) {
    double y = espq_fixed_nearest(d->rounding, (double)((float)sum * d->factor));
    return y < (double)d->lo ? d->lo : y > (double)d->hi ? d->hi : (int64_t)y;
  }
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
ESPQ_BODY void divide_lanes_body(int n, int right, double count, int32_t lo, int32_t hi, int32_t *restrict v) {
  for (int i = 0; i < n; i += BLOCK)
    for (int j = 0; j < BLOCK; j++) {
      double quotient = (double)(v[i + j] >> right) / count;
      int32_t q = (int32_t)quotient;
      q -= (double)q > quotient;
      q = q < lo ? lo : q;
      v[i + j] = q > hi ? hi : q;
    }
}

ESPQ_VERSIONS(divide_lanes, (int n, int right, double count, int32_t lo, int32_t hi, int32_t *restrict v),
              (n, right, count, lo, hi, v))

static void average_narrow(const espq_sim_pool *p, const divisor *d, const window *w, size_t offset, int n,
                           espq_lanes *v) {
  (p->bits == 8 ? sum_window8_versions : sum_window16_versions)[p->isa](w, offset, n, v->v);
  int32_t stored = p->bits == 8 ? (int32_t)(128 * w->rows * w->columns) : 0;
  for (int j = 0; j < n; j++) v->v[j] -= stored;
  if (d->right >= 0 && d->rounding == ESPQ_ROUND_FLOOR) {
    int right = d->right < 31 ? (int)d->right : 31;
    divide_lanes_versions[p->isa](n, right, (double)d->count, (int32_t)d->lo, (int32_t)d->hi, v->v);
    return;
  }
  for (int j = 0; j < n; j++) v->v[j] = (int32_t)divide(d, v->v[j]);
}

/* Windows too large for 32-bit sums. */
static void average_wide(const espq_sim_pool *p, const divisor *d, const window *w, size_t offset, int n,
                         espq_lanes *v) {
  int64_t sum[ESPQ_LANES] = {0};
  espq_lanes x;
  for (int64_t r = 0; r < w->rows; r++)
    for (int64_t c = 0; c < w->columns; c++) {
      espq_sim_format format = espq_sim_format_of(p->bits, ESPQ_NHWC16);
      espq_lanes_load(p->isa, format, w->first + offset + r * w->down + c * w->across, 0, 1, n, &x);
      for (int j = 0; j < n; j++) sum[j] += x.v[j];
    }
  for (int j = 0; j < n; j++) v->v[j] = (int32_t)divide(d, sum[j]);
}

static void average_pixel(const espq_sim_pool *p, const window *w, int channels, void *out) {
  divisor d = {.rounding = p->rounding,
               .factor = ldexpf(1.0f / (float)((int64_t)p->kh * p->kw),
                                (int)espq_fixed_clamp((int64_t)p->e_in - p->e_out, -1000, 1000)),
               .count = w->count,
               .right = (int64_t)p->e_out - p->e_in,
               .lo = espq_fixed_min(p->bits),
               .hi = espq_fixed_max(p->bits)};
  bool narrow = w->rows * w->columns <= (p->bits == 8 ? NARROW_INT8 : NARROW_INT16);
  espq_lanes v;
  for (int c = 0; c < channels; c += ESPQ_LANES) {
    int n = channels - c < ESPQ_LANES ? channels - c : ESPQ_LANES;
    (narrow ? average_narrow : average_wide)(p, &d, w, (size_t)c * (size_t)(p->bits / 8), n, &v);
    espq_lanes_store(p->isa, espq_sim_format_of(p->bits, ESPQ_NHWC16), &v, n, out, c);
  }
}

static void max_pixel(const espq_sim_pool *p, const window *w, int channels, void *out) {
  (p->bits == 8 ? max_window8_versions : max_window16_versions)[p->isa](w, channels, out);
}

/* ---- running ---- */

static void pool_pixel(const espq_sim_pool *p, const window *w, int channels, void *out) {
  if (!w->first) memset(out, p->bits == 8 ? 128 : 0, (size_t)channels * (size_t)(p->bits / 8));
  else if (p->kind == ESPQ_SIM_POOL_AVERAGE) average_pixel(p, w, channels, out);
  else max_pixel(p, w, channels, out);
}

void espq_sim_pool_run(const espq_sim_pool *p, int64_t n, const void *in, void *out) {
  int channels = (int)espq_layout_channels(ESPQ_NHWC16, p->channels);
  size_t pixel = (size_t)channels * (size_t)(p->bits / 8);
  const char *image = in;
  char *y = out;
  for (; n > 0; n--, image += pixel * (size_t)p->ih * (size_t)p->iw)
    for (int oy = 0; oy < p->oh; oy++) {
      span rows = find_span(oy, p->sh, p->kh, p->dh, p->pt, p->pb, p->ih);
      for (int ox = 0; ox < p->ow; ox++, y += pixel) {
        window w = find_window(p, image, pixel, rows, ox);
        pool_pixel(p, &w, channels, y);
      }
    }
}
