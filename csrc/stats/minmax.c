#include "stats/minmax.h"

#include <math.h>
#include <string.h>

#include "stats/clones.h"

/* Floats are compared as integer keys: of the same sign and order as the numbers, with the NaNs of
 * either sign outside the infinities. One integer minimum and maximum thus find NaN as well, which
 * float comparisons would need a third operation for (and a compiler option to be vectorized). */
enum { BLOCK = 1024, LANES = 16, KEY_INF = 0x7f800000, KEY_MINUS_INF = -0x7f800001 };

typedef struct keys {
  int32_t lo, hi;
} keys;

static inline int32_t key_of(float x) {
  int32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits ^ ((bits >> 31) & INT32_MAX);
}

static float key_value(int32_t key) {
  int32_t bits = key ^ ((key >> 31) & INT32_MAX);
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static inline int32_t lower(int32_t a, int32_t b) { return a < b ? a : b; }
static inline int32_t higher(int32_t a, int32_t b) { return a > b ? a : b; }

/* Whole blocks, read as four streams: the minimum of one vector waits for that of the one before.
 */
ESPQ_STATS_CLONES
static keys scan_blocks(const float *x, size_t blocks, keys k) {
  enum { Q = BLOCK / 4 };
  for (; blocks > 0; blocks--, x += BLOCK) {
    int32_t lo = k.lo, hi = k.hi;
    for (int i = 0; i < Q; i++) {
      int32_t a = key_of(x[i]), b = key_of(x[i + Q]), c = key_of(x[i + 2 * Q]), d = key_of(x[i + 3 * Q]);
      lo = lower(lo, lower(lower(a, b), lower(c, d)));
      hi = higher(hi, higher(higher(a, b), higher(c, d)));
    }
    k = (keys){lo, hi};
  }
  return k;
}

/* `count` is a multiple of LANES. */
ESPQ_STATS_CLONES
static keys scan_run(const float *x, size_t count, keys k) {
  int32_t lo[LANES], hi[LANES];
  for (int i = 0; i < LANES; i++) lo[i] = k.lo, hi[i] = k.hi;
  for (; count > 0; count -= LANES, x += LANES)
    for (int i = 0; i < LANES; i++) {
      int32_t key = key_of(x[i]);
      lo[i] = lower(lo[i], key);
      hi[i] = higher(hi[i], key);
    }
  for (int i = 0; i < LANES; i++) k = (keys){lower(k.lo, lo[i]), higher(k.hi, hi[i])};
  return k;
}

/* What is left over is scanned as part of the last LANES elements: to see some of them twice does no harm. */
static keys scan(const float *x, size_t count, keys k) {
  size_t blocks = count / BLOCK, done = blocks * BLOCK, run = (count - done) / LANES * LANES;
  k = scan_run(x + done, run, scan_blocks(x, blocks, k));
  if (done + run < count && count >= LANES) return scan_run(x + count - LANES, LANES, k);
  for (size_t i = done + run; i < count; i++) {
    int32_t key = key_of(x[i]);
    k = (keys){lower(k.lo, key), higher(k.hi, key)};
  }
  return k;
}

/* The same without NaN: rare, so plain. */
static keys scan_numbers(const float *x, size_t count, keys k) {
  for (size_t i = 0; i < count; i++)
    if (!isnan(x[i])) k = (keys){lower(k.lo, key_of(x[i])), higher(k.hi, key_of(x[i]))};
  return k;
}

void espq_minmax_init(espq_minmax *m) { *m = (espq_minmax){INFINITY, -INFINITY, false, 0}; }

void espq_minmax_update(espq_minmax *m, const float *span, size_t count) {
  keys k = scan(span, count, (keys){INT32_MAX, INT32_MIN});
  if (count == 0) return;
  bool nan = k.lo < KEY_MINUS_INF || k.hi > KEY_INF;
  if (nan) k = scan_numbers(span, count, (keys){KEY_INF, KEY_MINUS_INF});
  espq_minmax_merge(m, &(espq_minmax){key_value(k.lo), key_value(k.hi), nan, (int64_t)count});
}

static void visit(void *minmax, const float *span, size_t count) { espq_minmax_update(minmax, span, count); }

void espq_minmax_update_blocked(espq_minmax *m, const espq_blocked *buffer) { espq_blocked_spans(buffer, visit, m); }

void espq_minmax_merge(espq_minmax *m, const espq_minmax *other) {
  if (other->min < m->min) m->min = other->min;
  if (other->max > m->max) m->max = other->max;
  m->min += 0.0f; /* -0 becomes +0, whichever zero came first */
  m->max += 0.0f;
  m->nan = m->nan || other->nan;
  m->count += other->count;
}

float espq_minmax_absmax(const espq_minmax *m) {
  if (m->nan) return NAN;
  if (m->count == 0) return 0;
  return fmaxf(fabsf(m->min), fabsf(m->max));
}
