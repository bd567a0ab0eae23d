/* The KL search against a plain transcription of its specification, and against the original's own answers. */
#include "stats/entropy.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "check.h"
#include "data.h"
#include "naive_entropy.h"

enum { BINS = 2048, LEVELS = 128 };

static int searches[ESPQ_ENTROPY_SMOOTHING + 1]; /* by outcome, so that the test knows what it has seen */

/* Both searches of one histogram must agree in the outcome and in every bit of the threshold. */
static void compare(espq_histogram_kind kind, float hi, const int64_t *counts, int bins, int levels) {
  espq_histogram h;
  if (!CHECK(espq_histogram_init(&h, kind, hi, bins, NULL) == ESPQ_OK)) return;
  memcpy(h.table, counts, sizeof *counts * (size_t)bins);
  double expected = 0, threshold = 0;
  espq_entropy_refusal refusal, naive = naive_threshold(kind, hi, counts, bins, levels, &expected);
  espq_status status = espq_entropy_threshold(&h, levels, &threshold, &refusal, NULL);
  CHECK(refusal == naive);
  CHECK(status == (naive == ESPQ_ENTROPY_NONE ? ESPQ_OK : ESPQ_EUNSUPPORTED));
  CHECK(naive != ESPQ_ENTROPY_NONE || memcmp(&threshold, &expected, sizeof threshold) == 0);
  searches[naive]++;
  espq_histogram_free(&h);
}

/* --- histograms of many shapes ---------------------------------------------------------------------------------- */

/* Normal, exponential, uniform or lone values, of `draws` numbers; bins beyond the range get none. */
static void draw_counts(uint32_t *seed, int shape, int draws, int bins, int64_t *counts) {
  memset(counts, 0, sizeof *counts * (size_t)bins);
  for (int i = 0; i < draws; i++) {
    double u = (data_next(seed) + 0.5) / 0x1p24, place = u;
    if (shape == 0) place = 0.5 + data_normal(seed) / 7;
    if (shape == 1) place = 0.5 + (data_next(seed) % 2 ? 1 : -1) * log(u) / -20;
    if (shape == 2) place = -log(u) / 9;
    if (shape == 3) place = (double)(data_next(seed) % 7) / 7;
    int bin = (int)floor(place * bins);
    if (bin >= 0 && bin < bins) counts[bin] += shape == 4 ? 1 + data_next(seed) % 100000 : 1;
  }
}

static void small_sizes(void) {
  static const int sizes[][2] = {{64, 8}, {256, 16}, {100, 7}, {255, 9}, {33, 2}, {64, 31}};
  static int64_t counts[BINS];
  uint32_t seed = 2024;
  for (int round = 0; round < 120; round++)
    for (int k = 0; k < 6; k++) {
      int bins = sizes[k][0], draws = 1 + (int)(data_next(&seed) % (round % 2 ? 40 : 4000));
      draw_counts(&seed, round % 5, draws, bins, counts);
      compare(ESPQ_HISTOGRAM_SYMMETRIC, 0.1f + data_uniform(&seed) / 20, counts, bins, sizes[k][1]);
      compare(ESPQ_HISTOGRAM_POSITIVE, 3.3f, counts, bins, sizes[k][1]);
    }
}

static void full_size(void) {
  static const int draws[] = {20, 300, 5000, 60000};
  static int64_t counts[BINS];
  uint32_t seed = 77;
  for (int shape = 0; shape < 5; shape++)
    for (int k = 0; k < 4; k++) {
      draw_counts(&seed, shape, draws[k], BINS, counts);
      compare(k % 2 ? ESPQ_HISTOGRAM_SYMMETRIC : ESPQ_HISTOGRAM_POSITIVE, 5.1f, counts, BINS, LEVELS);
    }
}

/* Flat histograms: many candidates lie closer together than the estimate can tell. */
static void ties(void) {
  static int64_t counts[256];
  for (int step = 1; step < 9; step++) {
    for (int i = 0; i < 256; i++) counts[i] = i % step == 0;
    compare(ESPQ_HISTOGRAM_SYMMETRIC, 1, counts, 256, 16);
    compare(ESPQ_HISTOGRAM_POSITIVE, 1, counts, 256, 16);
    for (int i = 0; i < 256; i++) counts[i] = 1000000000 + i % step;
    compare(ESPQ_HISTOGRAM_SYMMETRIC, 1, counts, 256, 16);
    compare(ESPQ_HISTOGRAM_POSITIVE, 1, counts, 256, 16);
  }
}

/* A lone value in the bin that an outer level's boundary cuts just inside, with an outlier beyond: that level becomes
 * smaller than what smoothing takes off. Candidates of 255 k + 1 or 2 bins have such a cut, on either side. */
static void lone_values(void) {
  static int64_t counts[BINS];
  for (int k = 2; k <= 8; k++) {
    int i = 255 * k / 2;
    for (int side = -1; side <= 1; side += 2) {
      memset(counts, 0, sizeof counts);
      counts[BINS / 2] = counts[BINS / 2 + side * (i - k)] = counts[side < 0 ? 0 : BINS - 1] = 1;
      compare(ESPQ_HISTOGRAM_SYMMETRIC, 1, counts, BINS, LEVELS);
    }
  }
}

/* --- from data to threshold --------------------------------------------------------------------------------------- */

static espq_entropy_refusal search(const float *data, size_t count, double *threshold) {
  espq_minmax range;
  espq_histogram h;
  espq_error err = {0};
  espq_entropy_refusal refusal;
  espq_minmax_init(&range);
  espq_minmax_update(&range, data, count);
  espq_status status = espq_entropy_histogram(&h, &range, BINS, &refusal, &err);
  if (status == ESPQ_OK) {
    espq_histogram_update(&h, data, count);
    status = espq_entropy_threshold(&h, LEVELS, threshold, &refusal, &err);
  }
  CHECK((status == ESPQ_OK) == (refusal == ESPQ_ENTROPY_NONE));
  CHECK(status == ESPQ_OK || (status == ESPQ_EUNSUPPORTED && err.text[0]));
  espq_histogram_free(&h);
  return refusal;
}

/* Multiples of 1/255 and what the original answered for them (arrays 08 and 32 of entropy_unit). */
static void original_answers(void) {
  static const uint8_t first[] = {
      59,  147, 12,  159, 39,  238, 184, 217, 48,  98,  39,  114, 229, 151, 244, 168, 82,  156, 1,   229, 117, 58,  249,
      51,  162, 84,  36,  223, 171, 246, 20,  132, 252, 117, 111, 125, 137, 45,  183, 253, 202, 221, 76,  234, 50,  140,
      157, 215, 225, 126, 138, 120, 37,  230, 36,  171, 236, 142, 100, 177, 3,   77,  197, 38,  34,  146, 38,  229, 124,
      152, 132, 135, 23,  177, 167, 149, 45,  90,  215, 184, 200, 113, 171, 53,  224, 119, 1,   95,  10,  67,  174, 245,
      131, 204, 248, 44,  46,  30,  97,  232, 216, 59,  104, 61,  74,  62,  117, 112, 7,   151, 44,  51,  120, 76,  254,
      243, 140, 174, 239, 175, 3,   248, 112, 74,  159, 236, 35,  228, 99,  223, 220, 238, 181, 105, 81,  242, 143, 133,
      86,  8,   6,   155, 41,  216, 117, 196, 151, 123, 107, 166, 209, 48,  107, 84,  60,  234, 116, 49,  236, 24,  113,
      73,  232, 74,  37,  34,  42,  223, 201, 30,  159, 191, 71,  224, 56,  71,  117, 90,  77,  238, 147, 152, 162, 20,
      144, 150, 201, 25,  205, 162, 140, 233, 211, 180, 182, 229, 66,  162, 237, 128,
  };
  static const uint8_t second[] = {
      114, 159, 236, 81,  8,   101, 188, 42,  20,  21,  228, 191, 29,  235, 189, 46,  79,  16,  50,  192, 120, 70,  202,
      232, 202, 53,  219, 53,  85,  162, 126, 106, 37,  48,  205, 6,   207, 151, 80,  61,  173, 180, 175, 197, 222, 166,
      71,  205, 181, 243, 91,  118, 191, 38,  59,  138, 108, 81,  5,   40,  186, 46,  98,  213, 254, 126, 114, 221, 85,
      241, 9,   5,   195, 16,  211, 211, 66,  60,  3,   236, 76,  138, 49,  86,  166, 177, 224, 56,  184, 10,  72,  254,
      10,  201, 92,  89,  79,  103, 195, 79,  124, 152, 53,  71,  199, 100, 128, 127, 78,  153, 123, 153, 221, 232, 218,
      221, 229, 139, 108, 84,  163, 199, 227, 57,  154, 68,  168, 236, 153, 203, 210, 235, 157, 61,  206, 214, 167, 123,
      105, 94,  0,   213, 143, 173, 104, 44,  191, 115, 57,  99,  19,  108, 115, 179, 212, 63,  122, 240, 217, 214, 143,
      111, 99,  198, 123, 226, 247, 223, 82,  136, 146, 248, 168, 171, 40,  232, 98,  188, 97,  184, 247, 146, 177, 165,
      131, 167, 245, 153, 151, 14,  44,  173, 231, 56,  144, 217, 67,  11,  82,  81,
  };
  float data[sizeof first];
  double threshold = 0;
  for (size_t i = 0; i < sizeof first; i++) data[i] = (float)first[i] / 255.0f;
  CHECK(search(data, sizeof first, &threshold) == ESPQ_ENTROPY_NONE && threshold == 0x1.43b9b9bb00000p-4);
  for (size_t i = 0; i < sizeof second; i++) data[i] = (float)second[i] / 255.0f;
  CHECK(search(data, sizeof second, &threshold) == ESPQ_ENTROPY_NONE && threshold == 0x1.03f9f9fb00000p-4);
}

static void refusals(void) {
  static float data[1000];
  const char *text;
  double threshold = 42;
  uint32_t seed = 1;
  CHECK(search(data, 1000, &threshold) == ESPQ_ENTROPY_ALL_ZERO &&
        search(data, 0, &threshold) == ESPQ_ENTROPY_ALL_ZERO);
  CHECK(!strcmp(espq_entropy_exception(ESPQ_ENTROPY_ALL_ZERO, &text), "AssertionError") && !*text);
  for (int i = 0; i < 1000; i++) data[i] = 5 + 0.1f * data_uniform(&seed);
  CHECK(search(data, 1000, &threshold) == ESPQ_ENTROPY_EMPTY);
  CHECK(!strcmp(espq_entropy_exception(ESPQ_ENTROPY_EMPTY, &text), "ValueError"));
  CHECK(!strcmp(text, "All entries are 0 for this distribution"));
  for (int i = 0; i < 1000; i++) data[i] = -3;
  CHECK(search(data, 1000, &threshold) == ESPQ_ENTROPY_EMPTY);
  data[500] = INFINITY;
  CHECK(search(data, 1000, &threshold) == ESPQ_ENTROPY_INFINITE &&
        !espq_entropy_exception(ESPQ_ENTROPY_INFINITE, &text));
  data[501] = NAN;
  CHECK(search(data, 1000, &threshold) == ESPQ_ENTROPY_NAN);
  CHECK(!strcmp(espq_entropy_exception(ESPQ_ENTROPY_NAN, &text), "ValueError") && strstr(text, "max must be larger"));
  CHECK(threshold == 42);
}

static void wrong_sizes(void) {
  espq_histogram h;
  espq_entropy_refusal refusal;
  double threshold;
  CHECK(espq_histogram_init(&h, ESPQ_HISTOGRAM_POSITIVE, 1, 64, NULL) == ESPQ_OK);
  CHECK(espq_entropy_threshold(&h, 1, &threshold, &refusal, NULL) == ESPQ_ELIMIT);
  CHECK(espq_entropy_threshold(&h, 32, &threshold, &refusal, NULL) == ESPQ_ELIMIT);
  CHECK(espq_entropy_threshold(&h, -5, &threshold, &refusal, NULL) == ESPQ_ELIMIT && refusal == ESPQ_ENTROPY_NONE);
  espq_histogram_free(&h);
}

int main(void) {
  small_sizes();
  full_size();
  ties();
  lone_values();
  CHECK(searches[ESPQ_ENTROPY_NONE] > 500);
  CHECK(searches[ESPQ_ENTROPY_EMPTY] > 20);
  CHECK(searches[ESPQ_ENTROPY_SMOOTHING] > 5);
  original_answers();
  refusals();
  wrong_sizes();
  return check_report();
}
