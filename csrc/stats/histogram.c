#include "stats/histogram.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>

#include "base/alloc.h"
#include "stats/clones.h"

/* Bins are computed for a block at a time, then counted in two tables in turn, as an increment has
 * to wait for one of the same bin just before it. Each table has one more place, for what is
 * ignored. */
enum { BLOCK = 512, TABLES = 2 };

typedef struct rule {
  double lo, hi;
  double first;  /* the smallest element that counts: lo, or the first float above it */
  double factor; /* bins / (hi - lo) */
  double bins;
  bool magnitude;
} rule;

static rule rule_of(const espq_histogram *h) {
  bool positive = h->kind == ESPQ_HISTOGRAM_POSITIVE;
  double lo = positive ? 0.0 : -(double)h->hi;
  double first = positive ? (double)FLT_TRUE_MIN : lo;
  return (rule){lo, h->hi, first, h->bins / ((double)h->hi - lo), h->bins, h->kind == ESPQ_HISTOGRAM_MAGNITUDE};
}

/* As lo is 0 or -hi and v a float, v < hi implies (v - lo) * factor < bins after rounding, too (the
 * distance is 2^-26 or more, the errors a few 2^-53): so only v == hi meets the minimum. */
ESPQ_STATS_CLONES
static void bins_of(const float *restrict x, int32_t *restrict bin, rule r) {
  for (int i = 0; i < BLOCK; i++) {
    double v = x[i], place = (v - r.lo) * r.factor;
    place = place < r.bins - 1 ? place : r.bins - 1;
    place = v >= r.first ? place : r.bins;
    place = v <= r.hi ? place : r.bins;
    bin[i] = (int32_t)place;
  }
}

/* The quotient is exact enough for its floor: two floats' ratio is a whole number, or 2^-25 away from one. */
ESPQ_STATS_CLONES
static void bins_of_magnitudes(const float *restrict x, int32_t *restrict bin, rule r) {
  for (int i = 0; i < BLOCK; i++) {
    double v = fabsf(x[i]), at = v * r.bins / r.hi;
    at = at < r.bins - 1 ? at : r.bins - 1;
    at = v <= r.hi ? at : r.bins;
    bin[i] = (int32_t)at;
  }
}

static void place(const float *x, int32_t *bin, const rule *r) {
  if (r->magnitude) bins_of_magnitudes(x, bin, *r);
  else bins_of(x, bin, *r);
}

espq_status espq_histogram_init(espq_histogram *h, espq_histogram_kind kind, float hi, int bins, espq_error *err) {
  *h = (espq_histogram){.kind = kind, .hi = hi, .bins = bins};
  if (!(hi > 0) || !isfinite(hi))
    return espq_fail(err, ESPQ_EUNSUPPORTED, "a histogram needs a finite range above 0, got %g", (double)hi);
  if (bins < 1 || bins > ESPQ_HISTOGRAM_MAX_BINS)
    return espq_fail(err, ESPQ_ELIMIT, "a histogram has 1 to %d bins, not %d", ESPQ_HISTOGRAM_MAX_BINS, bins);
  h->table = espq_calloc(TABLES * ((size_t)bins + 1), sizeof *h->table);
  return h->table ? ESPQ_OK : espq_fail_memory(err);
}

void espq_histogram_free(espq_histogram *h) {
  espq_free(h->table);
  h->table = NULL;
}

void espq_histogram_update(espq_histogram *h, const float *span, size_t count) {
  rule r = rule_of(h);
  int64_t *even = h->table, *odd = h->table + h->bins + 1;
  int32_t bin[BLOCK];
  size_t i = 0;
  for (; count - i >= BLOCK; i += BLOCK) {
    place(span + i, bin, &r);
    for (int k = 0; k < BLOCK; k += 2) {
      even[bin[k]]++;
      odd[bin[k + 1]]++;
    }
  }
  if (i == count) return;
  float rest[BLOCK];
  size_t left = count - i;
  for (size_t k = 0; k < BLOCK; k++) rest[k] = k < left ? span[i + k] : NAN;
  place(rest, bin, &r);
  for (size_t k = 0; k < left; k++) even[bin[k]]++;
}

static void visit(void *histogram, const float *span, size_t count) { espq_histogram_update(histogram, span, count); }

void espq_histogram_update_blocked(espq_histogram *h, const espq_blocked *buffer) {
  espq_blocked_spans(buffer, visit, h);
}

espq_status espq_histogram_merge(espq_histogram *h, const espq_histogram *other, espq_error *err) {
  if (h->kind != other->kind || h->hi != other->hi || h->bins != other->bins)
    return espq_fail(err, ESPQ_EBUG, "histograms of different ranges cannot be merged");
  size_t places = TABLES * ((size_t)h->bins + 1);
  for (size_t i = 0; i < places; i++) h->table[i] += other->table[i];
  return ESPQ_OK;
}
