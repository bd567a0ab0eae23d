#include "stats/range_mean.h"

#include <math.h>
#include <string.h>

enum { LIMBS = ESPQ_EXACT_LIMBS, FRACTION_BITS = 23, OFTEN = 1 << 20 };

static void normalize(espq_exact_sum *s) {
  int64_t carry = 0;
  for (int k = 0; k < LIMBS - 1; k++) {
    int64_t v = s->limb[k] + carry;
    s->limb[k] = v & UINT32_MAX;
    carry = v >> 32;
  }
  s->limb[LIMBS - 1] += carry;
}

/* A float is a number of 24 bits times 2^(place - 149). */
static void add(espq_exact_sum *s, float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  if (isinf(x)) {
    s->infinities[x > 0]++;
    return;
  }
  uint32_t exponent = bits >> FRACTION_BITS & 0xff, fraction = bits & ((1u << FRACTION_BITS) - 1);
  if (exponent) fraction |= 1u << FRACTION_BITS;
  int place = exponent ? (int)exponent - 1 : 0, sign = x < 0 ? -1 : 1;
  uint64_t wide = (uint64_t)fraction << place % 32;
  s->limb[place / 32] += sign * (int64_t)(wide & UINT32_MAX);
  s->limb[place / 32 + 1] += sign * (int64_t)(wide >> 32);
}

void espq_range_mean_add(espq_range_mean *m, espq_percentile_range range) {
  if (range.lo > range.hi) return;
  m->count++;
  if (isnan(range.lo) || isnan(range.hi)) {
    m->nans++;
    return;
  }
  add(&m->lo, range.lo);
  add(&m->hi, range.hi);
  if (m->count % OFTEN == 0) espq_range_mean_normalize(m); /* a limb has room for 2^31 additions */
}

void espq_range_mean_normalize(espq_range_mean *m) {
  normalize(&m->lo);
  normalize(&m->hi);
}

static bool merge(espq_exact_sum *s, const espq_exact_sum *other) {
  bool fits = true;
  for (int k = 0; k < LIMBS; k++) fits &= !__builtin_add_overflow(s->limb[k], other->limb[k], &s->limb[k]);
  for (int k = 0; k < 2; k++)
    fits &= !__builtin_add_overflow(s->infinities[k], other->infinities[k], &s->infinities[k]);
  return fits;
}

bool espq_range_mean_merge(espq_range_mean *m, const espq_range_mean *other) {
  espq_range_mean sum = *m, more = *other;
  bool fits = !__builtin_add_overflow(sum.count, more.count, &sum.count) &&
              !__builtin_add_overflow(sum.nans, more.nans, &sum.nans) && merge(&sum.lo, &more.lo) &&
              merge(&sum.hi, &more.hi);
  if (!fits) return false;
  espq_range_mean_normalize(&sum);
  *m = sum;
  return true;
}

/* From the top: each step is exact as long as only the sign's ones were added. */
static double value(const espq_exact_sum *sum) {
  espq_exact_sum s = *sum;
  double v = 0;
  normalize(&s);
  for (int k = LIMBS - 1; k >= 0; k--) v += ldexp((double)s.limb[k], 32 * k - 149);
  if (s.infinities[0] && s.infinities[1]) return NAN;
  return s.infinities[0] ? -INFINITY : s.infinities[1] ? INFINITY : v;
}

espq_minmax espq_range_mean_of(const espq_range_mean *m) {
  espq_minmax mean;
  espq_minmax_init(&mean);
  mean.count = m->count;
  mean.nan = m->nans > 0;
  if (!m->count || m->nans) return mean;
  mean.min = (float)(value(&m->lo) / (double)m->count);
  mean.max = (float)(value(&m->hi) / (double)m->count);
  return mean;
}
