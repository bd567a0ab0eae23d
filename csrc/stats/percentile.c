#include "stats/percentile.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "stats/minmax.h"

/* Floats as unsigned keys of the same order are counted by their upper 16 bits, and then, for the two of these that
 * hold the elements sought, by the lower 16. */
enum { KEYS = 1 << 16 };

struct espq_percentile {
  uint32_t upper[KEYS], lower[2][KEYS];
  uint32_t sought[2]; /* upper halves */
};

static uint32_t key_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

static float key_value(uint32_t key) {
  uint32_t bits = key & 0x80000000u ? key & 0x7fffffffu : ~key;
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static void count_upper(void *context, const float *span, size_t count) {
  espq_percentile *p = context;
  for (size_t i = 0; i < count; i++) p->upper[key_of(span[i]) >> 16]++;
}

static void count_lower(void *context, const float *span, size_t count) {
  espq_percentile *p = context;
  for (size_t i = 0; i < count; i++) {
    uint32_t key = key_of(span[i]), upper = key >> 16;
    if (upper == p->sought[0]) p->lower[0][key & 0xffff]++;
    if (upper == p->sought[1]) p->lower[1][key & 0xffff]++;
  }
}

/* The key under which element number *rank stands; what is left of the rank within that key. */
static uint32_t find(const uint32_t *table, int64_t *rank) {
  uint32_t key = 0;
  while (*rank >= table[key]) *rank -= table[key++];
  return key;
}

static espq_percentile_range count(espq_percentile *p, const espq_blocked *buffer, int64_t lo, int64_t hi) {
  int64_t rank[2] = {lo, hi};
  memset(p, 0, sizeof *p);
  espq_blocked_spans(buffer, count_upper, p);
  for (int i = 0; i < 2; i++) p->sought[i] = find(p->upper, &rank[i]);
  espq_blocked_spans(buffer, count_lower, p);
  float found[2];
  for (int i = 0; i < 2; i++) found[i] = key_value(p->sought[i] << 16 | find(p->lower[i], &rank[i]));
  return (espq_percentile_range){found[0], found[1]};
}

espq_status espq_percentile_new(espq_percentile **out, espq_error *err) {
  *out = espq_alloc(sizeof **out);
  return *out ? ESPQ_OK : espq_fail_memory(err);
}

void espq_percentile_free(espq_percentile *p) { espq_free(p); }

espq_percentile_range espq_percentile_of(espq_percentile *p, const espq_blocked *buffer, double part) {
  espq_minmax all;
  espq_minmax_init(&all);
  espq_minmax_update_blocked(&all, buffer);
  int64_t n = all.count, lo = (int64_t)((double)n * (1 - part)), hi = (int64_t)((double)n * part);
  if (hi > n - 1) hi = n - 1;
  if (all.nan) return (espq_percentile_range){NAN, NAN};
  if (n == 0 || (lo == 0 && hi == n - 1)) return (espq_percentile_range){all.min, all.max};
  return count(p, buffer, lo, hi);
}
