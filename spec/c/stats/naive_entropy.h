/* naive_entropy.h - the KL search step by step, as it is specified: slow, and with nothing shared or skipped. */
#ifndef ESPQ_SPEC_STATS_NAIVE_ENTROPY_H
#define ESPQ_SPEC_STATS_NAIVE_ENTROPY_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "stats/entropy.h"

enum { NAIVE_MAX = 2048 };

static inline espq_entropy_refusal naive_smooth(const double *x, int n, float *out) {
  const double eps = 0.0001;
  int zeros = 0, bad = 0;
  for (int i = 0; i < n; i++) zeros += x[i] == 0;
  if (zeros == n) return ESPQ_ENTROPY_EMPTY;
  double off = eps * zeros / (n - zeros);
  for (int i = 0; i < n; i++) {
    out[i] = x[i] == 0 ? (float)eps : (float)(x[i] - off);
    bad += out[i] <= 0;
  }
  return bad ? ESPQ_ENTROPY_SMOOTHING : ESPQ_ENTROPY_NONE;
}

/* Merges the slice into `levels` levels of fractional width and expands them where p is not zero. */
static inline void naive_quantize(const int64_t *slice, const double *p, int n, int levels, double *q) {
  double width = (double)n / levels;
  for (int k = 0; k < n; k++) q[k] = 0;
  for (int j = 0; j < levels; j++) {
    double a = j * width, b = (j + 1) * width, sum = 0, weight = 0;
    int from = (int)ceil(a), to = (int)floor(b);
    double left = from - a, right = b - to;
    if (to >= n) right = 0; /* b may be one rounding beyond n, for other sizes than the original's */
    if (left > 0) sum += left * (double)slice[from - 1];
    if (right > 0) sum += right * (double)slice[to];
    for (int k = from; k < to; k++) sum += (double)slice[k];
    if (left > 0 && p[from - 1] != 0) weight += left;
    if (right > 0 && p[to] != 0) weight += right;
    for (int k = from; k < to; k++) weight += p[k] != 0;
    if (weight == 0) continue;
    if (left > 0 && p[from - 1] != 0) q[from - 1] += sum / weight * left;
    if (right > 0 && p[to] != 0) q[to] += sum / weight * right;
    for (int k = from; k < to; k++) q[k] += sum / weight;
  }
}

static inline void naive_normalise(float *x, int n) {
  float sum = 0;
  for (int k = 0; k < n; k++) sum += x[k];
  for (int k = 0; k < n; k++) x[k] /= sum;
}

static inline espq_entropy_refusal naive_divergence(const int64_t *counts, int bins, int first, int n, int levels,
                                                    double *divergence) {
  static double p[NAIVE_MAX], q[NAIVE_MAX];
  static float smooth_p[NAIVE_MAX], smooth_q[NAIVE_MAX];
  for (int k = 0; k < n; k++) p[k] = (double)counts[first + k];
  for (int k = 0; k < first; k++) p[0] += (double)counts[k];
  for (int k = first + n; k < bins; k++) p[n - 1] += (double)counts[k];
  naive_quantize(counts + first, p, n, levels, q);
  espq_entropy_refusal refusal = naive_smooth(p, n, smooth_p);
  if (refusal == ESPQ_ENTROPY_NONE) refusal = naive_smooth(q, n, smooth_q);
  if (refusal != ESPQ_ENTROPY_NONE) return refusal;
  naive_normalise(smooth_p, n);
  naive_normalise(smooth_q, n);
  *divergence = 0;
  for (int k = 0; k < n; k++) {
    float ratio = smooth_p[k] / smooth_q[k];
    *divergence += smooth_p[k] * logf(ratio);
  }
  return ESPQ_ENTROPY_NONE;
}

static inline espq_entropy_refusal naive_threshold(espq_histogram_kind kind, float hi, const int64_t *counts, int bins,
                                                   int levels, double *threshold) {
  bool positive = kind == ESPQ_HISTOGRAM_POSITIVE;
  int first = positive ? levels : levels - 1, last = positive ? bins - 1 : (bins - 1) / 2;
  double smallest = INFINITY;
  for (int i = first; i <= last; i++) {
    double d;
    espq_entropy_refusal refusal = positive
                                       ? naive_divergence(counts, bins, 0, i, levels, &d)
                                       : naive_divergence(counts, bins, bins / 2 - i, 2 * i + 1, 2 * levels - 1, &d);
    if (refusal != ESPQ_ENTROPY_NONE) return refusal;
    if (d >= smallest) continue;
    smallest = d;
    *threshold = positive ? (i + 0.5) * ((double)hi / bins) : i * (2 * (double)hi / bins);
  }
  return ESPQ_ENTROPY_NONE;
}

#endif
