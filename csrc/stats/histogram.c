#include "stats/histogram.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>

#include "base/alloc.h"
#include "stats/places.h"

/* Bins are computed for a block at a time, then counted in two tables in turn, as an increment has
 * to wait for one of the same bin just before it. Each table has one more place, for what is
 * ignored. */
enum { BLOCK = ESPQ_PLACES_BLOCK, TABLES = 2 };

static espq_places_rule rule_of(const espq_histogram *h) {
  bool positive = h->kind == ESPQ_HISTOGRAM_POSITIVE;
  double lo = positive ? 0.0 : -(double)h->hi;
  double first = positive ? (double)FLT_TRUE_MIN : lo;
  bool magnitude = h->kind == ESPQ_HISTOGRAM_MAGNITUDE;
  return (espq_places_rule){lo, h->hi, first, h->bins / ((double)h->hi - lo), h->bins, magnitude};
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

static void count_block(espq_histogram *h, espq_places *places, const espq_places_rule *rule, const float *x) {
  int64_t *even = h->table, *odd = h->table + h->bins + 1;
  int32_t place[BLOCK + ESPQ_PLACES_SLACK];
  int lowest, n = places(x, place, &lowest, rule);
  even[0] += lowest;
  if (n % 2) even[place[--n]]++;
  for (int k = 0; k < n; k += 2) {
    even[place[k]]++;
    odd[place[k + 1]]++;
  }
}

void espq_histogram_update(espq_histogram *h, const float *span, size_t count) {
  espq_places_rule rule = rule_of(h);
  espq_places *places = espq_places_avx512() ? espq_places_avx512() : espq_places_portable;
  for (; count >= BLOCK; count -= BLOCK, span += BLOCK) count_block(h, places, &rule, span);
  if (!count) return;
  float rest[BLOCK];
  for (size_t k = 0; k < BLOCK; k++) rest[k] = k < count ? span[k] : NAN;
  count_block(h, places, &rule, rest);
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
