/* elementwise.h on every instruction set of this machine against its own definition in 128 bits. */
#include "../check.h"

#include <limits.h>
#include <string.h>

#include "arrays.h"
#include "sim/elementwise.h"
#include "sim/fixed.h"

typedef __int128 wide;

/* ---- the definitions ---- */

/* floor(v * 2^left) cut to far beyond 16 bits; |v| < 2^80. */
static int64_t scaled(wide v, int64_t left) {
  const int64_t limit = (int64_t)1 << 40;
  if (left < -120) left = -120;
  if (v != 0 && left > 40) return v > 0 ? limit : -limit;
  v = left >= 0 ? v * ((wide)1 << left) : v >> -left;
  return v > limit ? limit : v < -limit ? -limit : (int64_t)v;
}

static int64_t naive_add(int64_t a, int64_t b, const espq_sim_binary *p) {
  int64_t larger = p->ea > p->eb ? p->ea : p->eb;
  return scaled((wide)scaled(a, p->ea - larger) + scaled(b, p->eb - larger), larger - p->eo);
}

static int64_t naive_sub(int64_t a, int64_t b, const espq_sim_binary *p) {
  int64_t smaller = p->ea < p->eb ? p->ea : p->eb;
  wide difference = (wide)a * ((wide)1 << (p->ea - smaller)) - (wide)b * ((wide)1 << (p->eb - smaller));
  return scaled(difference, smaller - p->eo);
}

static int64_t naive(int64_t a, int64_t b, const espq_sim_binary *p) {
  int bits = espq_sim_format_bits(p->format);
  int64_t x = espq_fixed_clip(scaled(a, (int64_t)p->ea - p->eo), bits);
  int64_t y = espq_fixed_clip(scaled(b, (int64_t)p->eb - p->eo), bits);
  switch (p->op) {
    case ESPQ_SIM_ADD: return espq_fixed_clip(naive_add(a, b, p), bits);
    case ESPQ_SIM_SUB: return espq_fixed_clip(naive_sub(a, b, p), bits);
    case ESPQ_SIM_MUL: return espq_fixed_clip(scaled(a * b, (int64_t)p->ea + p->eb - p->eo), bits);
    case ESPQ_SIM_MAX: return x > y ? x : y;
    default: return x < y ? x : y;
  }
}

/* ---- two operands ---- */

static espq_sim_binary random_binary(int spread) {
  return (espq_sim_binary){.op = (espq_sim_op)random_between(0, 4),
                           .format = (espq_sim_format)random_between(0, 2),
                           .ea = random_between(-spread, spread),
                           .eb = random_between(-spread, spread),
                           .eo = random_between(-spread, spread)};
}

static void check_equal(const espq_sim_binary *p, int64_t count, const void *expected, const void *got,
                        const char *what) {
  if (CHECK(memcmp(expected, got, (size_t)count * espq_sim_format_bytes(p->format)) == 0)) return;
  int64_t i = 0;
  while (array_get(p->format, expected, i) == array_get(p->format, got, i)) i++;
  fprintf(stderr, "%s op %d format %d ea %d eb %d eo %d %s: element %lld is %d, not %d\n", what, p->op, p->format,
          p->ea, p->eb, p->eo, espq_isa_name(p->isa), (long long)i, array_get(p->format, got, i),
          array_get(p->format, expected, i));
}

static void test_same(int count, int spread) {
  espq_sim_binary p = random_binary(spread);
  void *a = array_random(p.format, count), *b = array_random(p.format, count);
  void *expected = array_new(p.format, count), *got = array_new(p.format, count);
  for (int i = 0; i < count; i++)
    array_set(p.format, expected, i, (int)naive(array_get(p.format, a, i), array_get(p.format, b, i), &p));
  for (int isa = 0; isa <= (int)espq_isa_detect(); isa++) {
    p.isa = (espq_isa)isa;
    espq_sim_binary_run(&p, count, a, b, got);
    check_equal(&p, count, expected, got, "same");
  }
  espq_sim_binary_run(&p, count, a, b, a);
  check_equal(&p, count, expected, a, "in place");
  free(a), free(b), free(expected), free(got);
}

static void test_rows(int rows, int count, bool a_row, bool b_row) {
  espq_sim_binary p = random_binary(12);
  int total = rows * count;
  void *a = array_random(p.format, a_row ? total : count);
  void *b = array_random(p.format, b_row ? total : count);
  void *expected = array_new(p.format, total), *got = array_new(p.format, total);
  for (int i = 0; i < total; i++)
    array_set(
        p.format, expected, i,
        (int)naive(array_get(p.format, a, a_row ? i : i % count), array_get(p.format, b, b_row ? i : i % count), &p));
  for (int isa = 0; isa <= (int)espq_isa_detect(); isa++) {
    p.isa = (espq_isa)isa;
    espq_sim_binary_rows(&p, rows, count, a, a_row, b, b_row, got);
    check_equal(&p, total, expected, got, "rows");
  }
  free(a), free(b), free(expected), free(got);
}

/* Dense steps for the dimensions that are not broadcast; returns the number of elements. */
static int64_t operand_steps(int rank, const int64_t *dims, unsigned broadcast, int64_t *steps) {
  int64_t count = 1;
  for (int i = rank - 1; i >= 0; i--) {
    bool once = broadcast >> i & 1;
    steps[i] = once ? 0 : count;
    count *= once ? 1 : dims[i];
  }
  return count;
}

static int64_t offset_of(int64_t flat, int rank, const int64_t *dims, const int64_t *steps) {
  int64_t offset = 0;
  for (int i = rank - 1; i >= 0; i--) offset += flat % dims[i] * steps[i], flat /= dims[i];
  return offset;
}

static void test_strided(int rank) {
  espq_sim_binary p = random_binary(12);
  int64_t dims[ESPQ_SIM_RANK_MAX], a_steps[ESPQ_SIM_RANK_MAX], b_steps[ESPQ_SIM_RANK_MAX], none[8];
  for (int i = 0; i < rank; i++) dims[i] = random_between(1, 4);
  if (rank && random_bits() % 4 == 0) dims[rank - 1] = 700;
  int64_t total = operand_steps(rank, dims, 0, none);
  int64_t an = operand_steps(rank, dims, random_bits() & 0xff, a_steps);
  int64_t bn = operand_steps(rank, dims, random_bits() & 0xff, b_steps);
  void *a = array_random(p.format, an), *b = array_random(p.format, bn);
  void *expected = array_new(p.format, total), *got = array_new(p.format, total);
  for (int64_t i = 0; i < total; i++)
    array_set(p.format, expected, i,
              (int)naive(array_get(p.format, a, offset_of(i, rank, dims, a_steps)),
                         array_get(p.format, b, offset_of(i, rank, dims, b_steps)), &p));
  for (int isa = 0; isa <= (int)espq_isa_detect(); isa++) {
    p.isa = (espq_isa)isa;
    espq_sim_binary_strided(&p, rank, dims, a_steps, b_steps, a, b, got);
    check_equal(&p, total, expected, got, "strided");
  }
  free(a), free(b), free(expected), free(got);
}

/* Exponents that no sane table holds: the result is still the mathematical one. */
static int one(espq_sim_op op, int a, int ea, int b, int eb, int eo) {
  espq_sim_binary p = {.op = op, .format = ESPQ_SIM_I8, .ea = ea, .eb = eb, .eo = eo, .isa = espq_isa_detect()};
  int8_t x = (int8_t)a, y = (int8_t)b, out = 99;
  espq_sim_binary_run(&p, 1, &x, &y, &out);
  return out;
}

static void test_hostile(void) {
  const int far = 1000000000;
  CHECK(one(ESPQ_SIM_ADD, 5, 0, -1, -far, 0) == 4 && one(ESPQ_SIM_ADD, 5, 0, 1, -far, 0) == 5);
  CHECK(one(ESPQ_SIM_ADD, 1, far, 1, -far, 0) == 127 && one(ESPQ_SIM_ADD, -1, -far, 0, -far, far) == -1);
  CHECK(one(ESPQ_SIM_SUB, 5, 0, 1, -far, 0) == 4 && one(ESPQ_SIM_SUB, 5, 0, -1, -far, 0) == 5);
  CHECK(one(ESPQ_SIM_SUB, 0, far, 3, 0, 0) == -3 && one(ESPQ_SIM_SUB, -7, 0, 0, far, 0) == -7);
  CHECK(one(ESPQ_SIM_SUB, 0, 0, 1, far, 0) == -128 && one(ESPQ_SIM_SUB, 1, far, 127, -far, -far) == 127);
  CHECK(one(ESPQ_SIM_MUL, 2, far, 3, -far, 0) == 6 && one(ESPQ_SIM_MUL, -1, -far, 1, -far, far) == -1);
  CHECK(one(ESPQ_SIM_MUL, 1, far, 1, far, -far) == 127 && one(ESPQ_SIM_MUL, 0, far, 1, far, -far) == 0);
  CHECK(one(ESPQ_SIM_MAX, 1, -far, -1, far, 0) == 0 && one(ESPQ_SIM_MIN, -1, -far, 1, far, 0) == -1);
  CHECK(one(ESPQ_SIM_ADD, 1, INT_MAX, 1, INT_MIN, INT_MIN) == 127);
  CHECK(one(ESPQ_SIM_SUB, -1, INT_MIN, 1, INT_MAX, INT_MIN) == -128);
}

/* ---- one operand ---- */

static int naive_leaky(int x, int slope, int exponent, int bits) {
  return x >= 0 ? x : (int)espq_fixed_clip(scaled((wide)x * slope, exponent), bits);
}

static void test_prelu(int pixels, int channels, int slope_limit) {
  espq_sim_format format = (espq_sim_format)random_between(0, 2);
  int bits = espq_sim_format_bits(format), total = pixels * channels;
  int exponent = random_bits() % 4 ? 1 - bits : random_between(-40, 20);
  void *x = array_random(format, total), *y = array_new(format, total);
  int32_t *slopes = malloc((size_t)channels * sizeof *slopes);
  for (int c = 0; c < channels; c++) slopes[c] = random_between(-slope_limit, slope_limit);
  for (int isa = 0; isa <= (int)espq_isa_detect(); isa++) {
    bool rows = true, planes = true, single = true;
    espq_sim_prelu(format, pixels, channels, x, slopes, exponent, y, (espq_isa)isa);
    for (int i = 0; i < total; i++)
      rows &= array_get(format, y, i) == naive_leaky(array_get(format, x, i), slopes[i % channels], exponent, bits);
    espq_sim_prelu_planes(format, 1, channels, pixels, x, slopes, exponent, y, (espq_isa)isa);
    for (int i = 0; i < total; i++)
      planes &= array_get(format, y, i) == naive_leaky(array_get(format, x, i), slopes[i / pixels], exponent, bits);
    espq_sim_leaky_relu(format, total, x, slopes[0], exponent, y, (espq_isa)isa);
    for (int i = 0; i < total; i++)
      single &= array_get(format, y, i) == naive_leaky(array_get(format, x, i), slopes[0], exponent, bits);
    CHECK(rows), CHECK(planes), CHECK(single);
  }
  free(x), free(y), free(slopes);
}

/* Every int8 with every slope of int8, and shifts around those that 16 bits are enough for. */
static void test_prelu_of_int8(espq_sim_format format, int exponent) {
  enum { N = 256 };
  int32_t slopes[N];
  void *x = array_new(format, N * N), *y = array_new(format, N * N);
  for (int i = 0; i < N * N; i++) array_set(format, x, i, i / N - 128);
  for (int i = 0; i < N; i++) slopes[i] = i - 128;
  for (int isa = 0; isa <= (int)espq_isa_detect(); isa++) {
    bool good = true;
    espq_sim_prelu(format, N, N, x, slopes, exponent, y, (espq_isa)isa);
    for (int i = 0; i < N * N; i++)
      good &= array_get(format, y, i) == naive_leaky(i / N - 128, slopes[i % N], exponent, 8);
    CHECK(good);
  }
  free(x), free(y);
}

static void test_relu(int count) {
  for (int f = 0; f < 3; f++) {
    espq_sim_format format = (espq_sim_format)f;
    size_t bytes = (size_t)count * espq_sim_format_bytes(format);
    void *x = array_random(format, count), *y = array_new(format, count), *expected = array_new(format, count);
    for (int i = 0; i < count; i++) {
      int v = array_get(format, x, i);
      array_set(format, expected, i, v > 0 ? v : 0);
    }
    for (int isa = 0; isa <= (int)espq_isa_detect(); isa++) {
      espq_sim_relu(format, count, x, y, (espq_isa)isa);
      CHECK(memcmp(y, expected, bytes) == 0);
    }
    espq_sim_relu(format, count, x, x, espq_isa_detect());
    CHECK(memcmp(x, expected, bytes) == 0);
    free(x), free(y), free(expected);
  }
}

int main(void) {
  static const int counts[] = {1, 15, 16, 17, 31, 33, 100, 511, 512, 513, 1030};
  for (int i = 0; i < 600; i++) test_same(counts[i % 11], i % 3 == 0 ? 30 : 8);
  for (int i = 0; i < 120; i++) {
    test_rows(random_between(1, 70), 16 * random_between(1, 3), i % 3 != 0, i % 3 != 1);
    test_rows(random_between(1, 4), random_between(1, 600), i % 3 != 0, i % 3 != 1);
    test_strided(i % (ESPQ_SIM_RANK_MAX + 1));
    test_prelu(random_between(1, 40), random_between(1, 40), i % 2 ? 300 : INT_MAX / 2);
  }
  test_prelu(3, 1040, 128);
  for (int exponent = -18; exponent <= 2; exponent++) {
    test_prelu_of_int8(ESPQ_SIM_I8, exponent);
    test_prelu_of_int8(ESPQ_SIM_I8_OFFSET, exponent);
  }
  for (int i = 0; i < 11; i++) test_relu(counts[i]);
  test_hostile();
  return check_report();
}
