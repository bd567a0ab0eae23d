#include "infer/softmax.h"

#include <math.h>

#include "infer/simd.h"

enum { LANES = 16 }; /* neighbours along inner that are done together */

SIMD_BODY float larger(float a, float b) { return a > b || a != a ? a : b; }

static float maximum(int64_t axis, int64_t inner, const float *x) {
  float m = x[0];
  for (int64_t i = 1; i < axis; i++) m = larger(x[i * inner], m);
  return m;
}

#define ROW_PARAMS (int64_t axis, const float *x, float *y)

/* inner is 1: all but the sum vectorizes. */
SIMD_BODY void softmax_row_body ROW_PARAMS {
  float lane[LANES], m = x[0], sum = 0;
  int64_t i = 0;
  for (int l = 0; l < LANES; l++) lane[l] = m;
  for (; i + LANES <= axis; i += LANES)
    for (int l = 0; l < LANES; l++) lane[l] = larger(x[i + l], lane[l]);
  for (int l = 0; l < LANES; l++) m = larger(lane[l], m);
  for (; i < axis; i++) m = larger(x[i], m);
  _Pragma("GCC ivdep") for (int64_t k = 0; k < axis; k++) y[k] = simd_exp(x[k] - m);
  for (int64_t k = 0; k < axis; k++) sum += y[k];
  for (int64_t k = 0; k < axis; k++) y[k] /= sum;
}
SIMD_CLONES(softmax_row, ROW_PARAMS, (axis, x, y))

#define COLUMN_PARAMS (int64_t axis, int64_t inner, const float *src, float *dst)
/* LANES columns at once. */
SIMD_BODY void softmax_columns_body COLUMN_PARAMS {
  float m[LANES], sum[LANES];
  for (int l = 0; l < LANES; l++) m[l] = src[l], sum[l] = 0;
  for (int64_t i = 1; i < axis; i++)
    for (int l = 0; l < LANES; l++) m[l] = larger(src[i * inner + l], m[l]);
  for (int64_t i = 0; i < axis; i++)
    for (int l = 0; l < LANES; l++) {
      float e = simd_exp(src[i * inner + l] - m[l]);
      sum[l] += e;
      dst[i * inner + l] = e;
    }
  for (int64_t i = 0; i < axis; i++)
    for (int l = 0; l < LANES; l++) dst[i * inner + l] /= sum[l];
}
SIMD_CLONES(softmax_columns, COLUMN_PARAMS, (axis, inner, src, dst))

static void softmax_column(int64_t axis, int64_t inner, const float *x, float *y) {
  float m = maximum(axis, inner, x), sum = 0;
  for (int64_t i = 0; i < axis; i++) {
    y[i * inner] = simd_exp(x[i * inner] - m);
    sum += y[i * inner];
  }
  for (int64_t i = 0; i < axis; i++) y[i * inner] /= sum;
}

static void log_softmax_column(int64_t axis, int64_t inner, const float *x, float *y) {
  float m = maximum(axis, inner, x), sum = 0;
  for (int64_t i = 0; i < axis; i++) sum += simd_exp(x[i * inner] - m);
  /* cppcheck-suppress invalidFunctionArg  // 0 only where axis is 0: then nothing is written */
  float log_sum = logf(sum);
  for (int64_t i = 0; i < axis; i++) y[i * inner] = x[i * inner] - m - log_sum;
}

static void softmax_plane(bool logarithm, int64_t axis, int64_t inner, const float *x, float *y) {
  int64_t i = 0;
  if (!logarithm)
    for (; i + LANES <= inner; i += LANES) softmax_columns(axis, inner, x + i, y + i);
  for (; i < inner; i++) {
    if (logarithm) log_softmax_column(axis, inner, x + i, y + i);
    else softmax_column(axis, inner, x + i, y + i);
  }
}

void espq_infer_softmax(bool logarithm, int64_t outer, int64_t axis, int64_t inner, const float *x, float *y) {
  if (axis < 1 || inner < 1) return;
  for (int64_t i = 0; i < outer; i++, x += axis * inner, y += axis * inner) {
    if (inner == 1 && !logarithm) softmax_row(axis, x, y);
    else softmax_plane(logarithm, axis, inner, x, y);
  }
}
