/* fixed.h against 128-bit arithmetic and known values; counts of any size. */
#include "../check.h"

#include <limits.h>

#include "random.h"
#include "sim/fixed.h"

typedef __int128 wide;

static int64_t saturated(wide v) { return v < INT64_MIN ? INT64_MIN : v > INT64_MAX ? INT64_MAX : (int64_t)v; }

static wide floor_div(wide a, wide b) { return a / b - (a % b < 0); }

/* twice = 2 * v / 2^right, floored, plus whether there was a rest. */
static void check_right(int64_t v, int right) {
  wide unit = (wide)1 << right, whole = floor_div(v, unit), rest = v - whole * unit;
  wide up = whole + (2 * rest >= unit);
  wide even = 2 * rest == unit ? whole + (whole & 1) : up;
  CHECK(espq_fixed_floor(v, right) == saturated(whole));
  CHECK(espq_fixed_half_up(v, right) == saturated(right ? up : whole));
  CHECK(espq_fixed_half_even(v, right) == saturated(right ? even : whole));
}

static void check_left(int64_t v, int left) {
  int64_t expected = saturated((wide)v * ((wide)1 << left));
  CHECK(espq_fixed_floor(v, -left) == expected);
  CHECK(espq_fixed_half_up(v, -left) == expected);
  CHECK(espq_fixed_half_even(v, -left) == expected);
}

static void test_shifts(void) {
  static const int64_t edges[] = {0,
                                  1,
                                  -1,
                                  2,
                                  -2,
                                  3,
                                  -3,
                                  7,
                                  -7,
                                  127,
                                  -128,
                                  INT32_MAX,
                                  INT32_MIN,
                                  INT64_MAX,
                                  INT64_MIN,
                                  INT64_MAX - 1,
                                  INT64_MIN + 1,
                                  (int64_t)1 << 62,
                                  -((int64_t)1 << 62)};
  for (size_t i = 0; i < sizeof edges / sizeof *edges; i++)
    for (int s = 0; s <= 63; s++) check_right(edges[i], s), check_left(edges[i], s);
  for (int i = 0; i < 2000; i++) {
    int64_t v = (int64_t)(((uint64_t)random_bits() << 32 | random_bits())) >> random_between(0, 63);
    check_right(v, random_between(0, 63));
    check_left(v, random_between(0, 62));
  }
}

static void test_far_shifts(void) {
  static const int64_t far[] = {64, 65, 1000, INT32_MAX, (int64_t)1 << 40, INT64_MAX};
  for (size_t i = 0; i < sizeof far / sizeof *far; i++) {
    CHECK(espq_fixed_floor(-1, far[i]) == -1 && espq_fixed_floor(INT64_MAX, far[i]) == 0);
    CHECK(espq_fixed_half_up(INT64_MIN, far[i]) == 0 && espq_fixed_half_up(INT64_MAX, far[i]) == 0);
    CHECK(espq_fixed_half_even(INT64_MIN, far[i]) == 0 && espq_fixed_half_even(-1, far[i]) == 0);
    CHECK(espq_fixed_floor(1, -far[i]) == INT64_MAX && espq_fixed_floor(-1, -far[i]) == INT64_MIN);
    CHECK(espq_fixed_floor(0, -far[i]) == 0);
  }
  CHECK(espq_fixed_floor(-3, INT64_MIN) == INT64_MIN);
}

static void test_clip(void) {
  CHECK(espq_fixed_clip(128, 8) == 127 && espq_fixed_clip(-129, 8) == -128);
  CHECK(espq_fixed_clip(1 << 19, 20) == (1 << 19) - 1 && espq_fixed_clip(-(1 << 20), 20) == -(1 << 19));
  CHECK(espq_fixed_clip(INT64_MAX, 40) == ((int64_t)1 << 39) - 1);
  CHECK(espq_fixed_clip(INT64_MIN, 0) == INT64_MIN && espq_fixed_clip(5, 0) == 5);
  CHECK(espq_fixed_divide(-1, 3) == -1 && espq_fixed_divide(-3, 3) == -1);
  CHECK(espq_fixed_divide(7, 3) == 2 && espq_fixed_divide(-7, 3) == -3);
}

static void test_float(void) {
  CHECK(espq_fixed_quantize(0.5f, 0, 8) == 0 && espq_fixed_quantize(1.5f, 0, 8) == 2);
  CHECK(espq_fixed_quantize(-2.5f, 0, 8) == -2 && espq_fixed_quantize(127.6f, 0, 8) == 127);
  CHECK(espq_fixed_quantize(NAN, 0, 8) == 0 && espq_fixed_quantize(INFINITY, 0, 16) == 32767);
  CHECK(espq_fixed_quantize(-INFINITY, 1000000000, 16) == -32768);
  CHECK(espq_fixed_quantize(1e-40f, INT_MIN, 8) == 127 && espq_fixed_quantize(3e38f, INT_MAX, 8) == 0);
  CHECK(espq_fixed_quantize(1.0f, -7, 8) == 127 && espq_fixed_quantize(-1.0f, -7, 8) == -128);
  CHECK(espq_fixed_dequantize(3, -2) == 0.75f && espq_fixed_dequantize(-5, 1) == -10.0f);
  CHECK(espq_fixed_dequantize(1, INT_MAX) == INFINITY && espq_fixed_dequantize(1, INT_MIN) == 0.0f);
  CHECK(espq_fixed_dequantize(1, -149) == 0x1p-149f);
}

int main(void) {
  test_shifts();
  test_far_shifts();
  test_clip();
  test_float();
  return check_report();
}
