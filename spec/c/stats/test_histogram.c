/* Histograms against a transcription of the binning rule; bin edges and their neighbours, layouts, merging. */
#include "stats/histogram.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "check.h"
#include "data.h"
#include "stats/places.h"

enum { BINS = 2048, COUNT = 40000 };

static float x[COUNT];

/* One histogram, filled or to be filled. */
static espq_histogram empty(espq_histogram_kind kind, float hi, int bins) {
  espq_histogram h;
  CHECK(espq_histogram_init(&h, kind, hi, bins, NULL) == ESPQ_OK);
  return h;
}

static void naive(espq_histogram_kind kind, float hi, int bins, const float *data, size_t count, int64_t *counts) {
  double lo = kind == ESPQ_HISTOGRAM_POSITIVE ? 0.0 : -(double)hi, factor = bins / (hi - lo);
  memset(counts, 0, sizeof *counts * (size_t)bins);
  for (size_t i = 0; i < count; i++) {
    double v = data[i], bin = floor((v - lo) * factor);
    if (kind == ESPQ_HISTOGRAM_POSITIVE && v == 0) continue;
    if (bin >= 0 && bin < bins) counts[(int)bin]++;
    else if (v == hi) counts[bins - 1]++;
  }
}

static bool same(const espq_histogram *h, const int64_t *counts) {
  for (int i = 0; i < h->bins; i++)
    if (espq_histogram_count(h, i) != counts[i]) return false;
  return true;
}

static void compare(espq_histogram_kind kind, float hi, int bins, const float *data, size_t count) {
  static int64_t counts[BINS];
  espq_histogram h = empty(kind, hi, bins);
  espq_histogram_update(&h, data, count);
  naive(kind, hi, bins, data, count, counts);
  CHECK(same(&h, counts));
  espq_histogram_free(&h);
}

static float absmax(const float *data, size_t count) {
  float max = 0;
  for (size_t i = 0; i < count; i++) max = fmaxf(max, fabsf(data[i]));
  return max;
}

static void fill(uint32_t seed) {
  for (int i = 0; i < COUNT; i++) x[i] = data_normal(&seed) * (i % 3 ? 1.0f : 0.01f);
  for (int i = 0; i < COUNT; i += 5) x[i] = 0;
}

static void ordinary_data(void) {
  static const int bins[] = {BINS, 255, 64, 1};
  for (uint32_t seed = 1; seed <= 4; seed++) {
    fill(seed);
    for (int k = 0; k < 4; k++) {
      compare(ESPQ_HISTOGRAM_SYMMETRIC, absmax(x, COUNT), bins[k], x, COUNT);
      compare(ESPQ_HISTOGRAM_SYMMETRIC, 0.7f, bins[k], x, COUNT); /* many out of range */
      compare(ESPQ_HISTOGRAM_POSITIVE, 1.3f, bins[k], x, COUNT);
    }
  }
}

static void lengths_and_alignments(void) {
  fill(9);
  for (size_t start = 0; start < 16; start++)
    for (size_t count = 0; count < 40; count++) compare(ESPQ_HISTOGRAM_SYMMETRIC, 2, 64, x + start, count);
  for (size_t count = 500; count < 1040; count++) compare(ESPQ_HISTOGRAM_POSITIVE, 2, 64, x + 1, count);
}

/* Every bin's edge, as a float, and its two neighbours: where a different order of rounding would show. */
static void edges(float hi) {
  size_t count = 0;
  for (int i = -BINS; i <= BINS; i++) {
    float edge = (float)((double)hi * i / BINS);
    x[count++] = edge;
    x[count++] = nextafterf(edge, INFINITY);
    x[count++] = nextafterf(edge, -INFINITY);
  }
  compare(ESPQ_HISTOGRAM_SYMMETRIC, hi, BINS, x, count);
  compare(ESPQ_HISTOGRAM_POSITIVE, hi, BINS, x, count);
  compare(ESPQ_HISTOGRAM_SYMMETRIC, hi, 255, x, count);
}

static void special_values(void) {
  const float data[] = {NAN,
                        -NAN,
                        INFINITY,
                        -INFINITY,
                        0.0f,
                        -0.0f,
                        1.0f,
                        nextafterf(1, 2),
                        nextafterf(1, 0),
                        -1.0f,
                        nextafterf(-1, -2),
                        1e-45f,
                        -1e-45f,
                        FLT_MAX,
                        -FLT_MAX,
                        0.5f};
  for (int repeat = 1; repeat <= 40; repeat += 39) { /* the second goes through whole blocks */
    for (int i = 0; i < 16 * repeat; i++) x[i] = data[i % 16];
    for (int bins = 1; bins < 5; bins++) {
      compare(ESPQ_HISTOGRAM_SYMMETRIC, 1, bins, x, (size_t)(16 * repeat));
      compare(ESPQ_HISTOGRAM_POSITIVE, 1, bins, x, (size_t)(16 * repeat));
    }
  }
  espq_histogram h = empty(ESPQ_HISTOGRAM_POSITIVE, 1, 2);
  espq_histogram_update(&h, data, 16);
  CHECK(espq_histogram_count(&h, 0) == 1); /* 1e-45, but neither zero */
  CHECK(espq_histogram_count(&h, 1) == 3); /* 0.5, 1 and the float below it */
  espq_histogram_free(&h);
}

static void merging(void) {
  fill(21);
  espq_histogram a = empty(ESPQ_HISTOGRAM_SYMMETRIC, 3, BINS), b = empty(ESPQ_HISTOGRAM_SYMMETRIC, 3, BINS);
  espq_histogram_update(&a, x, 12345);
  espq_histogram_update(&b, x + 12345, COUNT - 12345);
  CHECK(espq_histogram_merge(&b, &a, NULL) == ESPQ_OK);
  static int64_t counts[BINS];
  naive(ESPQ_HISTOGRAM_SYMMETRIC, 3, BINS, x, COUNT, counts);
  CHECK(same(&b, counts));
  espq_histogram other = empty(ESPQ_HISTOGRAM_SYMMETRIC, 2, BINS);
  espq_error err = {0};
  CHECK(espq_histogram_merge(&b, &other, &err) == ESPQ_EBUG && err.text[0] && same(&b, counts));
  espq_histogram_free(&a);
  espq_histogram_free(&b);
  espq_histogram_free(&other);
}

/* Padding lanes hold a number inside the range, so that counting one would show. */
static void layouts(void) {
  static float plain[2 * 33 * 50], blocked[2 * 48 * 50];
  static int64_t counts[64];
  uint32_t seed = 5;
  for (int channels = 1; channels <= 33; channels++)
    for (int block = 1; block <= 16; block = block == 1 ? 8 : block * 2) {
      int count = 2 * channels * 50;
      for (int i = 0; i < count; i++) plain[i] = data_uniform(&seed);
      data_block(plain, 2, channels, 50, block, 0.0f, blocked);
      espq_histogram h = empty(ESPQ_HISTOGRAM_SYMMETRIC, 1, 64);
      espq_histogram_update_blocked(&h, &(espq_blocked){blocked, 2, channels, 50, block});
      naive(ESPQ_HISTOGRAM_SYMMETRIC, 1, 64, plain, (size_t)count, counts);
      CHECK(same(&h, counts));
      espq_histogram_free(&h);
    }
}

static void refusals(void) {
  espq_histogram h;
  espq_error err = {0};
  CHECK(espq_histogram_init(&h, ESPQ_HISTOGRAM_POSITIVE, 0, BINS, &err) == ESPQ_EUNSUPPORTED && err.text[0]);
  espq_histogram_free(&h);
  CHECK(espq_histogram_init(&h, ESPQ_HISTOGRAM_POSITIVE, NAN, BINS, &err) == ESPQ_EUNSUPPORTED);
  CHECK(espq_histogram_init(&h, ESPQ_HISTOGRAM_POSITIVE, INFINITY, BINS, &err) == ESPQ_EUNSUPPORTED);
  CHECK(espq_histogram_init(&h, ESPQ_HISTOGRAM_SYMMETRIC, -1, BINS, &err) == ESPQ_EUNSUPPORTED);
  CHECK(espq_histogram_init(&h, ESPQ_HISTOGRAM_SYMMETRIC, 1, 0, &err) == ESPQ_ELIMIT);
  CHECK(espq_histogram_init(&h, ESPQ_HISTOGRAM_SYMMETRIC, 1, ESPQ_HISTOGRAM_MAX_BINS + 1, &err) == ESPQ_ELIMIT);
  espq_histogram_free(&h);
}

/* The processor's own way finds the places of the portable one, those that count. */
static void ways(void) {
  static const float special[] = {0, -0.0f, FLT_TRUE_MIN, -FLT_TRUE_MIN, 1.3f, -1.3f, INFINITY, -INFINITY, NAN, 1.4f};
  espq_places *own = espq_places_avx512();
  int32_t a[ESPQ_PLACES_BLOCK + ESPQ_PLACES_SLACK], b[ESPQ_PLACES_BLOCK + ESPQ_PLACES_SLACK];
  for (int kind = 0; own && kind < 3; kind++) {
    double lo = kind == ESPQ_HISTOGRAM_SYMMETRIC ? -1.3f : 0;
    double first = kind == ESPQ_HISTOGRAM_POSITIVE ? (double)FLT_TRUE_MIN : lo;
    espq_places_rule r = {lo, 1.3f, first, BINS / (1.3f - lo), BINS, kind == ESPQ_HISTOGRAM_MAGNITUDE};
    fill((uint32_t)kind + 20);
    for (int i = 0; i < COUNT; i += 37) x[i] = special[i / 37 % 10];
    for (int at = 0; at + ESPQ_PLACES_BLOCK <= COUNT; at += ESPQ_PLACES_BLOCK) {
      int none, lowest, n = espq_places_portable(x + at, a, &none, &r), kept = 0, m = own(x + at, b, &lowest, &r);
      for (int i = 0; i < n; i++) {
        lowest -= a[i] == 0;
        if (a[i] > 0 && a[i] < BINS) a[kept++] = a[i];
      }
      n = kept;
      CHECK(none == 0 && lowest == 0);
      CHECK(n == m && memcmp(a, b, sizeof *a * (size_t)n) == 0);
    }
  }
}

int main(void) {
  ways();
  static const float ranges[] = {1, 0.1f, 3.14159f, 1e-45f, 1e-38f, FLT_MAX, 127, 5.0999966f};
  ordinary_data();
  lengths_and_alignments();
  for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) edges(ranges[i]);
  special_values();
  merging();
  layouts();
  refusals();
  return check_report();
}
