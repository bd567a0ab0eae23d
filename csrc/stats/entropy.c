#include "stats/entropy.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "stats/clones.h"
#include "stats/spread.h"

/* The search is done in two rounds. The first estimates every candidate's divergence with vectorized float32
 * arithmetic and a bound of the error; the second computes exactly the few that can still be the smallest. */

typedef struct candidates {
  int first, last; /* i: whole bins inside the threshold, on one side of zero */
  bool positive;
} candidates;

static candidates candidates_of(const espq_histogram *h, int levels) {
  if (h->kind == ESPQ_HISTOGRAM_POSITIVE) return (candidates){levels, h->bins - 1, true};
  return (candidates){levels - 1, (h->bins - 1) / 2, false};
}

/* Candidates i, i + 1, ... */
static espq_entropy_refusal make(espq_spread_source *source, const espq_histogram *h, int i, int count,
                                 espq_spread *spreads) {
  for (int slot = 0; slot < count; slot++, i++) {
    bool positive = h->kind == ESPQ_HISTOGRAM_POSITIVE;
    int first = positive ? 0 : h->bins / 2 - i, bins = positive ? i : 2 * i + 1;
    espq_entropy_refusal refusal = espq_spread_make(source, slot, first, bins, &spreads[slot]);
    if (refusal != ESPQ_ENTROPY_NONE) return refusal;
  }
  return espq_spread_sum(spreads, count);
}

static double threshold_of(const espq_histogram *h, int i) {
  if (h->kind == ESPQ_HISTOGRAM_POSITIVE) return (i + 0.5) * ((double)h->hi / h->bins);
  return i * (2 * (double)h->hi / h->bins);
}

/* The divergence as the original computes it. */
static double divergence(const espq_spread *s) {
  double sum = 0;
  for (int k = 0; k < s->bins; k++) {
    float p = s->p[k] / s->p_sum, r = s->r[k] / s->r_sum, ratio = p / r;
    sum += p * logf(ratio);
  }
  return sum;
}

/* Natural logarithm of a positive normal float, within 13 * 2^-24 of its value: x = m * 2^e with m between
 * sqrt(1/2) and sqrt(2), ln m = 2 atanh((m - 1) / (m + 1)) by its series. Any number for 0. */
static inline float log_estimate(float x) {
  int32_t bits, e;
  memcpy(&bits, &x, sizeof bits);
  e = (bits - 0x3f3504f3) >> 23;
  bits -= (int32_t)((uint32_t)e << 23);
  memcpy(&x, &bits, sizeof x);
  float t = (x - 1) / (x + 1), t2 = t * t;
  float series = t2 * (1 / 3.0f + t2 * (1 / 5.0f + t2 * (1 / 7.0f + t2 * (1 / 9.0f))));
  return (float)e * 0.693147181f + 2 * (t + t * series);
}

ESPQ_STATS_CLONES
static double weighted_logs(const float *restrict p, const float *restrict r, int padded_bins, float factor) {
  double lanes[ESPQ_SPREAD_LANES] = {0}, sum = 0;
  for (int i = 0; i < padded_bins; i += ESPQ_SPREAD_LANES)
    for (int k = 0; k < ESPQ_SPREAD_LANES; k++) lanes[k] += p[i + k] * log_estimate(p[i + k] / r[i + k] * factor);
  for (int k = 0; k < ESPQ_SPREAD_LANES; k++) sum += lanes[k];
  return sum;
}

/* The divergence within error_bound. */
static double estimate(const espq_spread *s) {
  int padded_bins = (s->bins + ESPQ_SPREAD_LANES - 1) / ESPQ_SPREAD_LANES * ESPQ_SPREAD_LANES;
  return weighted_logs(s->p, s->r, padded_bins, s->r_sum / s->p_sum) / s->p_sum;
}

/* Both computations are within 7 u + 30 u S of the exact sum over the same p and r, u = 2^-24 being float32's
 * rounding and S the sum of p |ln(p / r)|. The terms with p < r add to less than 1, as p ln(r / p) <= r - p, so
 * S <= D + 2. Doubled for comfort. */
static double error_bound(double d) { return 0x1p-24 * (150 + 64 * fabs(d)); }

/* Fills estimates[0] for the first candidate and so on; *limit is above the smallest divergence. */
static espq_entropy_refusal estimate_all(espq_spread_source *source, const espq_histogram *h, candidates c,
                                         double *estimates, double *limit) {
  espq_spread spreads[ESPQ_SPREAD_SLOTS];
  for (int i = c.first; i <= c.last; i += ESPQ_SPREAD_SLOTS) {
    int count = c.last - i + 1 < ESPQ_SPREAD_SLOTS ? c.last - i + 1 : ESPQ_SPREAD_SLOTS;
    espq_entropy_refusal refusal = make(source, h, i, count, spreads);
    if (refusal != ESPQ_ENTROPY_NONE) return refusal;
    for (int slot = 0; slot < count; slot++) {
      double d = estimate(&spreads[slot]), upper = d + error_bound(d);
      estimates[i - c.first + slot] = d;
      if (upper < *limit) *limit = upper;
    }
  }
  return ESPQ_ENTROPY_NONE;
}

/* The first candidate of the smallest divergence. */
static espq_entropy_refusal search(espq_spread_source *source, const espq_histogram *h, candidates c, double *estimates,
                                   int *best) {
  double limit = INFINITY, smallest = INFINITY;
  espq_entropy_refusal refusal = estimate_all(source, h, c, estimates, &limit);
  if (refusal != ESPQ_ENTROPY_NONE) return refusal;
  for (int i = c.first; i <= c.last; i++) {
    double d = estimates[i - c.first];
    if (d - error_bound(d) > limit) continue;
    espq_spread spread;
    make(source, h, i, 1, &spread);
    d = divergence(&spread);
    if (d < smallest) smallest = d, *best = i;
    if (d < limit) limit = d;
  }
  return ESPQ_ENTROPY_NONE;
}

static espq_status refuse(espq_entropy_refusal reason, espq_entropy_refusal *refusal, espq_error *err) {
  static const char *const texts[] = {
      [ESPQ_ENTROPY_NAN] = "the data contain NaN",
      [ESPQ_ENTROPY_INFINITE] = "the data contain an infinity",
      [ESPQ_ENTROPY_ALL_ZERO] = "all data are zero",
      [ESPQ_ENTROPY_EMPTY] = "all data lie far from zero, none near it",
      [ESPQ_ENTROPY_SMOOTHING] = "the data have too few distinct values",
  };
  *refusal = reason;
  return espq_fail(err, ESPQ_EUNSUPPORTED, "no entropy threshold: %s", texts[reason]);
}

const char *espq_entropy_exception(espq_entropy_refusal refusal, const char **text) {
  *text = "";
  switch (refusal) {
    case ESPQ_ENTROPY_NAN: *text = "histogram(): max must be larger than min in range parameter"; return "ValueError";
    case ESPQ_ENTROPY_EMPTY: *text = "All entries are 0 for this distribution"; return "ValueError";
    case ESPQ_ENTROPY_ALL_ZERO:
    case ESPQ_ENTROPY_SMOOTHING: return "AssertionError";
    default: return NULL;
  }
}

espq_status espq_entropy_histogram(espq_histogram *h, const espq_minmax *range, int bins, espq_entropy_refusal *refusal,
                                   espq_error *err) {
  *h = (espq_histogram){0};
  *refusal = ESPQ_ENTROPY_NONE;
  float absmax = espq_minmax_absmax(range);
  if (range->nan) return refuse(ESPQ_ENTROPY_NAN, refusal, err);
  if (isinf(absmax)) return refuse(ESPQ_ENTROPY_INFINITE, refusal, err);
  if (absmax == 0) return refuse(ESPQ_ENTROPY_ALL_ZERO, refusal, err);
  bool positive = range->min >= 0;
  return espq_histogram_init(h, positive ? ESPQ_HISTOGRAM_POSITIVE : ESPQ_HISTOGRAM_SYMMETRIC, absmax, bins, err);
}

espq_status espq_entropy_threshold(const espq_histogram *h, int levels, double *threshold,
                                   espq_entropy_refusal *refusal, espq_error *err) {
  *refusal = ESPQ_ENTROPY_NONE;
  if (levels < 2 || levels > (h->bins - 1) / 2)
    return espq_fail(err, ESPQ_ELIMIT, "%d bins cannot be searched for %d levels", h->bins, levels);
  candidates c = candidates_of(h, levels);
  espq_spread_source *source = espq_spread_source_new(h, c.positive ? levels : 2 * levels - 1);
  double *estimates = espq_calloc((size_t)(c.last - c.first + 1), sizeof *estimates);
  espq_status status = ESPQ_OK;
  int best = c.first;
  if (!source || !estimates) {
    status = espq_fail_memory(err);
  } else {
    espq_entropy_refusal reason = search(source, h, c, estimates, &best);
    if (reason != ESPQ_ENTROPY_NONE) status = refuse(reason, refusal, err);
  }
  espq_free(estimates);
  espq_spread_source_free(source);
  if (status == ESPQ_OK) *threshold = threshold_of(h, best);
  return status;
}
