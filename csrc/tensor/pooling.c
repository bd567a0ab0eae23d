#include "tensor/pooling.h"

#include <float.h>
#include <math.h>

#include "base/taps.h"

static int64_t volume(const int64_t *size) { return size[0] * size[1] * size[2]; }

size_t espq_pooling_scratch(const espq_pooling *pool) {
  return (size_t)(volume(pool->in) + volume(pool->out)) * sizeof(double);
}

static double lowest(espq_dtype dtype) {
  int64_t low = 0, high;
  if (dtype == ESPQ_F16) return -65504;
  if (espq_dtype_is_float(dtype)) return dtype == ESPQ_F64 ? -DBL_MAX : -(double)FLT_MAX;
  espq_dtype_range(dtype, &low, &high);
  return (double)low;
}

/* The part of a window that lies inside the image: where it starts and how many taps it has along each axis. */
typedef struct view {
  int64_t start[3], taps[3];
} view;

static view view_of(const espq_pooling *p, const int64_t *at) {
  view v;
  for (int i = 0; i < 3; i++) {
    int64_t start = at[i] * p->stride[i] - p->before[i], first;
    v.taps[i] = espq_taps(start, p->kernel[i], p->dilation[i], 0, p->in[i], &first);
    v.start[i] = start + first * p->dilation[i];
  }
  return v;
}

/* What an average divides by. */
static double window_count(const espq_pooling *p, const int64_t *at) {
  double count = 1;
  for (int i = 0; i < 3; i++) {
    int64_t low = p->count_include_pad ? -p->before[i] : 0, first;
    int64_t high = p->in[i] + (p->count_include_pad ? p->after[i] : 0);
    count *= (double)espq_taps(at[i] * p->stride[i] - p->before[i], p->kernel[i], p->dilation[i], low, high, &first);
  }
  return count > 0 ? count : 1;
}

static double average(const espq_pooling *p, const double *x, const int64_t *at) {
  view v = view_of(p, at);
  double sum = 0;
  for (int64_t i = 0; i < v.taps[0]; i++)
    for (int64_t j = 0; j < v.taps[1]; j++) {
      int64_t row = (v.start[0] + i * p->dilation[0]) * p->in[1] + v.start[1] + j * p->dilation[1];
      for (int64_t k = 0; k < v.taps[2]; k++) sum += x[row * p->in[2] + v.start[2] + k * p->dilation[2]];
    }
  return sum / window_count(p, at);
}

/* *best: the offset of the maximum in the plane, row by row; -1: no number. */
static double maximum(const espq_pooling *p, const double *x, const int64_t *at, int64_t *best) {
  view v = view_of(p, at);
  *best = -1;
  for (int64_t i = 0; i < v.taps[0]; i++)
    for (int64_t j = 0; j < v.taps[1]; j++) {
      int64_t row = (v.start[0] + i * p->dilation[0]) * p->in[1] + v.start[1] + j * p->dilation[1];
      for (int64_t k = 0; k < v.taps[2]; k++) {
        int64_t here = row * p->in[2] + v.start[2] + k * p->dilation[2];
        if (*best < 0 ? !isnan(x[here]) : x[here] > x[*best]) *best = here;
      }
    }
  return *best < 0 ? lowest(p->dtype) : x[*best];
}

/* Axes that a tensor lacks have size 1 and change nothing. */
static int64_t index_of(const espq_pooling *p, int64_t offset) {
  if (offset < 0 || !p->column_major) return offset < 0 ? 0 : offset;
  int64_t w = offset % p->in[2], h = offset / p->in[2] % p->in[1], d = offset / p->in[2] / p->in[1];
  return d + p->in[0] * (h + p->in[1] * w);
}

static void pool_plane(const espq_pooling *p, const double *x, double *y, int64_t *indices, int64_t base) {
  int64_t best = -1;
  for (int64_t d = 0; d < p->out[0]; d++)
    for (int64_t h = 0; h < p->out[1]; h++)
      for (int64_t w = 0; w < p->out[2]; w++, y++) {
        const int64_t at[] = {d, h, w};
        *y = p->max ? maximum(p, x, at, &best) : average(p, x, at);
        if (indices) *indices++ = base + index_of(p, best);
      }
}

void espq_pooling_run(const espq_pooling *p, const void *x, void *y, int64_t *indices, void *scratch) {
  int64_t in = volume(p->in), out = volume(p->out);
  size_t size = espq_dtype_size(p->dtype);
  double *from = scratch, *to = from + in;
  for (int64_t i = 0; i < p->planes; i++) {
    espq_cast(p->dtype, ESPQ_F64, in, (const char *)x + (size_t)(i * in) * size, from);
    pool_plane(p, from, to, indices ? indices + i * out : NULL, i * in);
    espq_cast(ESPQ_F64, p->dtype, out, to, (char *)y + (size_t)(i * out) * size);
  }
}
