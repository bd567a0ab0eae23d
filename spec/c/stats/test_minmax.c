/* Minimum and maximum against a plain loop: every remainder and alignment, special values, layouts, merging. */
#include "stats/minmax.h"

#include <math.h>
#include <string.h>

#include "check.h"
#include "data.h"

static espq_minmax of(const float *x, size_t count) {
  espq_minmax m;
  espq_minmax_init(&m);
  espq_minmax_update(&m, x, count);
  return m;
}

static espq_minmax naive(const float *x, size_t count) {
  espq_minmax m = {INFINITY, -INFINITY, false, (int64_t)count};
  for (size_t i = 0; i < count; i++) {
    if (isnan(x[i])) m.nan = true;
    if (x[i] < m.min) m.min = x[i] + 0.0f;
    if (x[i] > m.max) m.max = x[i] + 0.0f;
  }
  return m;
}

/* Equal to the bit. */
static int same(espq_minmax a, espq_minmax b) {
  return !memcmp(&a.min, &b.min, 4) && !memcmp(&a.max, &b.max, 4) && a.nan == b.nan && a.count == b.count;
}

static void lengths_and_alignments(void) {
  static float x[4200];
  uint32_t seed = 7;
  for (int i = 0; i < 4200; i++) x[i] = data_normal(&seed);
  for (size_t start = 0; start < 17; start++)
    for (size_t count = 0; count < 40; count++) CHECK(same(of(x + start, count), naive(x + start, count)));
  for (size_t count = 1000; count < 1060; count++) CHECK(same(of(x + 1, count), naive(x + 1, count)));
  CHECK(same(of(x + 3, 4100), naive(x + 3, 4100)));
}

/* The extreme, and the NaN, at every place of a span with whole blocks and a remainder. */
static void every_place(void) {
  static float x[2100];
  for (size_t i = 0; i < 2100; i++) {
    x[i] = -2;
    espq_minmax low = of(x, 2100);
    x[i] = 3;
    espq_minmax high = of(x, 2100);
    x[i] = i % 2 ? NAN : -NAN;
    espq_minmax nan = of(x, 2100);
    x[i] = 0;
    CHECK(low.min == -2 && low.max == 0 && high.min == 0 && high.max == 3 && !low.nan && !high.nan);
    CHECK(nan.nan && nan.min == 0 && nan.max == 0 && nan.count == 2100);
  }
}

static void special_values(void) {
  espq_minmax none = of(NULL, 0);
  CHECK(none.count == 0 && none.min == INFINITY && none.max == -INFINITY && espq_minmax_absmax(&none) == 0);
  espq_minmax infinite = of((float[]){1, INFINITY, -INFINITY}, 3);
  CHECK(infinite.min == -INFINITY && infinite.max == INFINITY && !infinite.nan);
  CHECK(espq_minmax_absmax(&infinite) == INFINITY);
  espq_minmax nan = of((float[]){NAN, NAN}, 2);
  CHECK(nan.nan && nan.count == 2 && isnan(espq_minmax_absmax(&nan)));
  espq_minmax mixed = of((float[]){-5, NAN, 4}, 3);
  CHECK(mixed.nan && mixed.min == -5 && mixed.max == 4 && isnan(espq_minmax_absmax(&mixed)));
  espq_minmax zero = of((float[]){-0.0f, -0.0f}, 2);
  CHECK(zero.min == 0 && !signbit(zero.min) && !signbit(zero.max));
  espq_minmax tiny = of((float[]){1e-45f, -1e-45f}, 2);
  CHECK(tiny.min == -1e-45f && tiny.max == 1e-45f);
  espq_minmax negative = of((float[]){-3, -2}, 2);
  CHECK(negative.max == -2 && espq_minmax_absmax(&negative) == 3);
}

/* Any order and grouping of parts gives the same bits. */
static void merging(void) {
  float x[90];
  uint32_t seed = 3;
  for (int i = 0; i < 90; i++) x[i] = data_uniform(&seed);
  x[4] = -0.0f, x[40] = 0.0f, x[70] = NAN;
  for (int i = 1; i < 89; i++)
    for (int j = i; j < 90; j += 7) {
      espq_minmax a = of(x, i), b = of(x + i, j - i), c = of(x + j, 90 - j), left = a, right = c;
      espq_minmax_merge(&left, &b);
      espq_minmax_merge(&left, &c);
      espq_minmax_merge(&right, &b);
      espq_minmax_merge(&right, &a);
      CHECK(same(left, right) && same(left, of(x, 90)));
    }
}

/* Padding lanes hold what would be noticed. */
static void layouts(void) {
  static float plain[2 * 33 * 70], blocked[2 * 48 * 70];
  uint32_t seed = 5;
  for (int channels = 1; channels <= 33; channels++)
    for (int spatial = 1; spatial <= 70; spatial += 23)
      for (int block = 1; block <= 16; block = block == 1 ? 8 : block * 2) {
        int count = 2 * channels * spatial;
        for (int i = 0; i < count; i++) plain[i] = data_uniform(&seed) + 2;
        data_block(plain, 2, channels, spatial, block, block == 8 ? NAN : -9, blocked);
        espq_minmax m;
        espq_minmax_init(&m);
        espq_minmax_update_blocked(&m, &(espq_blocked){blocked, 2, channels, spatial, block});
        CHECK(same(m, naive(plain, (size_t)count)));
      }
  espq_minmax m;
  espq_minmax_init(&m);
  espq_minmax_update_blocked(&m, &(espq_blocked){blocked, 0, 3, 3, 8});
  CHECK(m.count == 0);
}

int main(void) {
  lengths_and_alignments();
  every_place();
  special_values();
  merging();
  layouts();
  return check_report();
}
