#include "tensor/resample.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"

/* --- positions --- */

static float position(const espq_resample_options *o, const espq_resample_axis *a, int64_t at) {
  float x = (float)at, last = (float)(a->in - 1);
  double part = a->end - a->start;
  switch (o->coordinates) {
    case ESPQ_ASYMMETRIC: return x / a->scale;
    case ESPQ_ALIGN_CORNERS: return a->width == 1 || at == 0 ? 0 : x * last / (a->width - 1);
    case ESPQ_PYTORCH_HALF_PIXEL: return a->out == 1 ? 0 : (x + 0.5F) / a->scale - 0.5F;
    case ESPQ_HALF_PIXEL_FOR_NN: return (x + 0.5F) / a->scale;
    case ESPQ_HALF_SYMMETRIC: return (float)a->in / 2 * (1 - (float)a->out / a->width) + ((x + 0.5F) / a->scale - 0.5F);
    case ESPQ_CROP:
      if (a->out == 1) return (float)(0.5 * (a->start + a->end) * (double)last);
      return (float)(a->start * (double)last + (double)at * part * (double)last / ((double)a->width - 1));
    default: return (x + 0.5F) / a->scale - 0.5F;
  }
}

static int64_t clamp(int64_t v, int64_t low, int64_t high) { return v < low ? low : v > high ? high : v; }

static int64_t nearest(espq_nearest kind, float x, float scale) {
  switch (kind) {
    case ESPQ_FLOOR: return (int64_t)floorf(x);
    case ESPQ_CEIL: return (int64_t)ceilf(x);
    case ESPQ_SIMPLE: return (int64_t)(scale < 1 ? ceilf(x) : x);
    case ESPQ_PREFER_FLOOR:
      if (x == (float)(int64_t)x + 0.5F) return (int64_t)floorf(x);
      return (int64_t)roundf(x);
    default: return (int64_t)roundf(x);
  }
}

/* --- weights --- */

/* How much a neighbour at this distance counts. */
static double kernel(const espq_resample_options *o, double d) {
  double a = (double)o->cubic_a;
  if (o->interpolation == ESPQ_LINEAR) return d < 1 ? 1 - d : 0;
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

/* Antialiasing widens the kernel by as much as the axis shrinks. */
static double pace_of(const espq_resample_options *o, const espq_resample_axis *a) {
  return o->antialias && a->scale < 1 ? (double)a->scale : 1;
}

/* The first neighbour that counts, from the entry before the position. */
static int64_t first_of(const espq_resample_options *o, const espq_resample_axis *a) {
  return (int64_t)floor(-(o->interpolation == ESPQ_CUBIC ? 2 : 1) / pace_of(o, a)) + 1;
}

/* The neighbours beyond the ends are the ends, unless they are excluded; weights add up to 1. */
static void weigh(const espq_resample_options *o, const espq_resample_axis *a, float x, int64_t n, int64_t *index,
                  double *weight) {
  if (o->interpolation == ESPQ_LINEAR && !o->antialias) x = fminf(fmaxf(x, 0), (float)(a->in - 1));
  double whole = floor((double)x), ratio = (double)x - whole, sum = 0, pace = pace_of(o, a);
  if (ratio == 0) whole -= 1, ratio = 1;
  for (int64_t k = 0, first = first_of(o, a); k < n; k++) {
    int64_t at = (int64_t)whole + first + k;
    weight[k] = kernel(o, fabs(((double)(first + k) - ratio) * pace));
    if (o->exclude_outside && (at < 0 || at >= a->in)) weight[k] = 0;
    index[k] = clamp(at, 0, a->in - 1);
    sum += weight[k];
  }
  for (int64_t k = 0; k < n && sum != 0; k++) weight[k] /= sum;
}

static void fill_taps(const espq_resample_options *o, const espq_resample_axis *a, espq_resample_taps *t) {
  for (int64_t i = 0; i < t->out; i++) {
    float x = position(o, a, i);
    bool inside = x >= 0 && x <= (float)(a->in - 1);
    if (t->outside) t->outside[i] = !inside;
    if (t->outside && !inside) x = 0; /* it may be no number */
    if (t->weight) weigh(o, a, x, t->n, t->index + i * t->n, t->weight + i * t->n);
    else t->index[i] = clamp(nearest(o->nearest, x, a->scale), 0, a->in - 1);
  }
}

espq_status espq_resample_taps_new(const espq_resample_options *o, const espq_resample_axis *a, espq_resample_taps *t,
                                   espq_error *err) {
  bool weighed = o->interpolation != ESPQ_NEAREST;
  *t = (espq_resample_taps){.out = a->out, .n = weighed ? 2 - 2 * first_of(o, a) : 1};
  int64_t count;
  if (!espq_mul64(t->out, t->n, &count) || count > (int64_t)(ESPQ_ALLOC_MAX / sizeof(double)))
    return espq_fail_memory(err);
  t->index = espq_calloc((size_t)count, sizeof *t->index);
  if (weighed) t->weight = espq_calloc((size_t)count, sizeof *t->weight);
  if (o->coordinates == ESPQ_CROP) t->outside = espq_calloc((size_t)t->out, sizeof *t->outside);
  if (!t->index || (weighed && !t->weight) || (o->coordinates == ESPQ_CROP && !t->outside)) {
    espq_resample_taps_free(t);
    return espq_fail_memory(err);
  }
  fill_taps(o, a, t);
  return ESPQ_OK;
}

void espq_resample_taps_free(espq_resample_taps *t) {
  espq_free(t->index);
  espq_free(t->weight);
  espq_free(t->outside);
  *t = (espq_resample_taps){0};
}

/* --- sums --- */

/* Line by line of what lies behind the axis. Neighbours of weight 0 do not matter, not even infinite ones. */
#define RESAMPLE(name, real)                                                                                        \
  static void name##_line(const espq_resample_taps *t, int64_t i, int64_t inner, const real *x, real *y) {          \
    memset(y, 0, (size_t)inner * sizeof *y);                                                                        \
    for (int64_t k = i * t->n; k < (i + 1) * t->n; k++) {                                                           \
      real w = (real)t->weight[k];                                                                                  \
      const real *from = x + t->index[k] * inner;                                                                   \
      for (int64_t j = 0; j < inner && w != 0; j++) y[j] += w * from[j];                                            \
    }                                                                                                               \
  }                                                                                                                 \
  void espq_##name(const espq_resample_taps *t, int64_t outer, int64_t in, int64_t inner, const real *x, real *y) { \
    for (int64_t o = 0; o < outer && inner > 0; o++, x += in * inner, y += t->out * inner)                          \
      for (int64_t i = 0; i < t->out; i++) name##_line(t, i, inner, x, y + i * inner);                              \
  }

RESAMPLE(resample_f32, float)
RESAMPLE(resample_f64, double)
