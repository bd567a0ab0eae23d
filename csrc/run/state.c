/* Observations as bytes: all numbers little-endian, 64 bits each.
 *
 *   kind, number of values; then for each value
 *   ranges       min and max (bits of the floats), whether there was NaN, count
 *   histograms   the range as above, number of bins (0: none), counts
 *   percentiles  limbs of both exact sums, infinities, count, NaNs
 */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "run/observation.h"

enum { WORD = 8, HEAD_WORDS = 2 };

/* --- writing --- */

typedef struct writer {
  char *bytes;
  size_t size, capacity;
  bool failed;
} writer;

static void put(writer *w, int64_t word) {
  char *grown = w->failed ? NULL : espq_grow(w->bytes, &w->capacity, w->size + WORD, 1);
  w->failed = !grown;
  if (!grown) return;
  w->bytes = grown;
  for (int i = 0; i < WORD; i++) grown[w->size++] = (char)((uint64_t)word >> 8 * i);
}

static void put_float(writer *w, float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  put(w, bits);
}

static void put_range(writer *w, const espq_minmax *m) {
  put_float(w, m->min);
  put_float(w, m->max);
  put(w, m->nan);
  put(w, m->count);
}

static espq_status put_histogram(writer *w, const espq_observation *o, size_t which, espq_error *err) {
  espq_histogram h;
  bool have;
  espq_status status = espq_observed_histogram(o, which, &h, &have, err);
  if (!status) {
    put_range(w, &o->ranges[which]);
    put(w, have ? h.bins : 0);
    for (int i = 0; have && i < h.bins; i++) put(w, espq_histogram_count(&h, i));
  }
  espq_histogram_free(&h);
  return status;
}

static void put_sum(writer *w, const espq_exact_sum *s) {
  for (int i = 0; i < ESPQ_EXACT_LIMBS; i++) put(w, s->limb[i]);
  for (int i = 0; i < 2; i++) put(w, s->infinities[i]);
}

static espq_status put_mean(writer *w, const espq_observation *o, size_t which, espq_error *err) {
  espq_range_mean m;
  espq_status status = espq_observed_mean(o, which, &m, err);
  put_sum(w, &m.lo);
  put_sum(w, &m.hi);
  put(w, m.count);
  put(w, m.nans);
  return status;
}

static espq_status put_value(writer *w, const espq_observation *o, size_t which, espq_error *err) {
  espq_minmax range;
  if (o->kind == ESPQ_OBSERVED_PERCENTILES) return put_mean(w, o, which, err);
  if (o->kind != ESPQ_OBSERVED_RANGES) return put_histogram(w, o, which, err);
  espq_status status = espq_observed_range(o, which, &range);
  put_range(w, &range);
  return status;
}

espq_status espq_observation_write(const espq_observation *o, char **bytes, size_t *size, espq_error *err) {
  writer w = {0};
  espq_status status = ESPQ_OK;
  put(&w, o->kind);
  put(&w, (int64_t)o->n);
  for (size_t i = 0; i < o->n && !status && !w.failed; i++) status = put_value(&w, o, i, err);
  if (w.failed) status = espq_fail_memory(err);
  if (status) espq_free(w.bytes);
  *bytes = status ? NULL : w.bytes;
  *size = status ? 0 : w.size;
  return status;
}

/* --- reading --- */

typedef struct reader {
  const unsigned char *at, *end;
  bool failed;
} reader;

static int64_t take(reader *r) {
  uint64_t word = 0;
  if (r->failed || r->end - r->at < WORD) {
    r->failed = true;
    return 0;
  }
  for (int i = 0; i < WORD; i++) word |= (uint64_t)*r->at++ << 8 * i;
  return (int64_t)word;
}

/* A number that is no negative one. */
static int64_t take_count(reader *r) {
  int64_t count = take(r);
  r->failed |= count < 0;
  return count;
}

static float take_float(reader *r) {
  int64_t word = take(r);
  uint32_t bits = (uint32_t)word;
  float x;
  r->failed |= word < 0 || word > UINT32_MAX;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static espq_minmax take_range(reader *r) {
  espq_minmax m = {.min = take_float(r), .max = take_float(r)};
  int64_t nan = take(r);
  m.nan = nan != 0;
  m.count = take_count(r);
  r->failed |= nan < 0 || nan > 1 || m.min != m.min || m.max != m.max;
  return m;
}

static void take_sum(reader *r, espq_exact_sum *s) {
  for (int i = 0; i < ESPQ_EXACT_LIMBS; i++) {
    s->limb[i] = take(r);
    r->failed |= i < ESPQ_EXACT_LIMBS - 1 && (s->limb[i] < 0 || s->limb[i] > UINT32_MAX);
  }
  for (int i = 0; i < 2; i++) s->infinities[i] = take_count(r);
}

static espq_status damaged(espq_error *err) {
  return espq_fail(err, ESPQ_EFORMAT, "statistics are damaged: cut off, or numbers that cannot be");
}

static bool same_range(const espq_minmax *a, const espq_minmax *b) {
  return a->min == b->min && a->max == b->max && a->nan == b->nan && a->count == b->count;
}

static espq_status add_histogram(espq_observation *o, size_t which, reader *r, espq_error *err) {
  espq_minmax range = take_range(r);
  espq_histogram *h = &o->workers[0].histogram[which];
  int64_t bins = take_count(r);
  if (r->failed) return damaged(err);
  if (!same_range(&range, &o->ranges[which]) || bins != (h->table ? h->bins : 0))
    return espq_fail(err, ESPQ_EFORMAT, "histograms are over other ranges than expected");
  for (int i = 0; i < bins; i++)
    if (!espq_histogram_add(h, i, take_count(r))) r->failed = true;
  return r->failed ? damaged(err) : ESPQ_OK;
}

static espq_status add_mean(espq_observation *o, size_t which, reader *r, espq_error *err) {
  espq_range_mean m = {0};
  take_sum(r, &m.lo);
  take_sum(r, &m.hi);
  m.count = take_count(r);
  m.nans = take_count(r);
  return r->failed || !espq_range_mean_merge(&o->workers[0].mean[which], &m) ? damaged(err) : ESPQ_OK;
}

static espq_status add_range(espq_observation *o, size_t which, reader *r, espq_error *err) {
  espq_minmax range = take_range(r), *sum = &o->workers[0].range[which];
  if (r->failed || range.count > INT64_MAX - sum->count) return damaged(err);
  espq_minmax_merge(sum, &range);
  return ESPQ_OK;
}

static espq_status add_value(espq_observation *o, size_t which, reader *r, espq_error *err) {
  if (o->kind == ESPQ_OBSERVED_RANGES) return add_range(o, which, r, err);
  return o->kind == ESPQ_OBSERVED_PERCENTILES ? add_mean(o, which, r, err) : add_histogram(o, which, r, err);
}

static const char *kind_name(int64_t kind) {
  static const char *const names[] = {"ranges", "histograms of v1", "histograms of v3", "percentiles"};
  return kind >= 0 && kind < 4 ? names[kind] : "nothing known";
}

espq_status espq_observation_add_bytes(espq_observation *o, const void *bytes, size_t size, espq_error *err) {
  reader r = {bytes, (const unsigned char *)bytes + size, false};
  int64_t kind = take(&r), n = take(&r);
  if (r.failed) return damaged(err);
  if (kind != (int64_t)o->kind || n != (int64_t)o->n)
    return espq_fail(err, ESPQ_EFORMAT, "statistics are %s of %" PRId64 " tensors, expected %s of %zu", kind_name(kind),
                     n, kind_name(o->kind), o->n);
  espq_status status = espq_observation_prepare(o, 1, err);
  for (size_t i = 0; i < o->n && !status; i++) status = add_value(o, i, &r, err);
  return !status && r.at != r.end ? damaged(err) : status;
}

/* The ranges that histograms span, which stand in their bytes. */
static espq_status read_ranges(const void *bytes, size_t size, size_t n, espq_minmax *ranges, espq_error *err) {
  reader r = {(const unsigned char *)bytes + HEAD_WORDS * WORD, (const unsigned char *)bytes + size, false};
  for (size_t i = 0; i < n && !r.failed; i++) {
    ranges[i] = take_range(&r);
    int64_t bins = take_count(&r);
    if (r.failed || bins > (r.end - r.at) / WORD) return damaged(err);
    r.at += bins * WORD;
  }
  return r.failed ? damaged(err) : ESPQ_OK;
}

static espq_status new_for(int64_t kind, const void *bytes, size_t size, size_t n, espq_observation **out,
                           espq_error *err) {
  espq_id *ids = espq_calloc(n, sizeof *ids);
  espq_minmax *ranges = espq_calloc(n, sizeof *ranges);
  espq_status status = ids && ranges ? ESPQ_OK : espq_fail_memory(err);
  if (!status && kind == ESPQ_OBSERVED_RANGES) status = espq_observe_range(ids, n, out, err);
  else if (!status && kind == ESPQ_OBSERVED_PERCENTILES) status = espq_observe_percentile(ids, n, out, err);
  else if (!status) {
    espq_histograms histograms = kind == ESPQ_OBSERVED_HISTOGRAMS_V1 ? ESPQ_HISTOGRAMS_V1 : ESPQ_HISTOGRAMS_V3;
    status = read_ranges(bytes, size, n, ranges, err);
    if (!status) status = espq_observe_histogram(ids, n, histograms, ranges, out, err);
  }
  espq_free(ids);
  espq_free(ranges);
  return status;
}

espq_status espq_observation_read(const void *bytes, size_t size, espq_observation **out, espq_error *err) {
  reader r = {bytes, (const unsigned char *)bytes + size, false};
  int64_t kind = take(&r), n = take_count(&r);
  *out = NULL;
  if (r.failed || kind < ESPQ_OBSERVED_RANGES || kind > ESPQ_OBSERVED_PERCENTILES || n > (r.end - r.at) / WORD)
    return damaged(err);
  espq_status status = new_for(kind, bytes, size, (size_t)n, out, err);
  if (!status) status = espq_observation_add_bytes(*out, bytes, size, err);
  if (status) {
    espq_observation_free(*out);
    *out = NULL;
  }
  return status;
}
