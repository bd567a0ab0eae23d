/* convert.h on every instruction set of this machine against fixed.h, element by element. */
#include "../check.h"

#include <limits.h>
#include <string.h>

#include "arrays.h"
#include "sim/convert.h"
#include "sim/fixed.h"

static const int exponents[] = {0,    -1,  1,    -5,    -7,      -9,      3,          -15,        15,  31,
                                -31,  126, -126, -127,  127,     128,     -128,       -140,       149, -149,
                                -150, 150, 1000, -1000, INT_MAX, INT_MIN, 1000000000, -1000000000};
enum { EXPONENTS = sizeof exponents / sizeof *exponents };

static float random_float(int exponent) {
  static const float edges[] = {0.0f, -0.0f, NAN, INFINITY, -INFINITY, 3.4e38f, -3.4e38f, 1e-45f};
  if (random_bits() % 16 == 0) return edges[random_bits() % 8];
  int e = exponent < -140 ? -140 : exponent > 120 ? 120 : exponent;
  float tie = ldexpf((float)random_between(-600, 600) / 2, e);
  if (random_bits() % 3 == 0) return tie;
  if (random_bits() % 3 == 0) return nextafterf(tie, random_bits() % 2 ? INFINITY : -INFINITY);
  return ldexpf((float)random_between(-40000000, 40000000) / 1000, e);
}

static void test_quantize(int count, int exponent, espq_sim_format format) {
  float *x = malloc((size_t)count * sizeof *x);
  void *q = array_new(format, count);
  for (int i = 0; i < count; i++) x[i] = random_float(exponent);
  for (int k = 0; k < 3 * ((int)espq_isa_detect() + 1); k++) {
    espq_rounding rounding = (espq_rounding)(k % 3);
    espq_sim_quantize_by(rounding, count, x, exponent, format, q, (espq_isa)(k / 3));
    bool same = true;
    for (int i = 0; i < count; i++)
      same &= array_get(format, q, i) == espq_fixed_round(rounding, x[i], exponent, espq_sim_format_bits(format));
    CHECK(same);
  }
  free(x), free(q);
}

static void test_dequantize(int count, int exponent, espq_sim_format format) {
  float *x = malloc((size_t)count * sizeof *x);
  void *q = array_random(format, count);
  for (int isa = 0; isa <= (int)espq_isa_detect(); isa++) {
    espq_sim_dequantize(count, format, q, exponent, x, (espq_isa)isa);
    bool same = true;
    for (int i = 0; i < count; i++) same &= x[i] == espq_fixed_dequantize(array_get(format, q, i), exponent);
    CHECK(same);
  }
  free(x), free(q);
}

static void test_requantize(int count, int from, int to, espq_sim_format in, espq_sim_format out) {
  void *x = array_random(in, count), *y = array_new(out, count);
  for (int isa = 0; isa <= (int)espq_isa_detect(); isa++) {
    for (int rounding = 0; rounding < 3; rounding++) {
      espq_sim_requantize((espq_rounding)rounding, count, in, x, from, out, y, to, (espq_isa)isa);
      bool same = true;
      for (int i = 0; i < count; i++) {
        int64_t v = espq_fixed_shift((espq_rounding)rounding, array_get(in, x, i), (int64_t)to - from);
        same &= array_get(out, y, i) == espq_fixed_clip(v, espq_sim_format_bits(out));
      }
      CHECK(same);
    }
  }
  free(x), free(y);
}

/* Every integer, on every instruction set, with steps and without. */
static void test_table(int bits, int entries) {
  int count = 1 << bits, step = bits == 8 ? 1 : 65536 / (entries - 1);
  espq_sim_format format = bits == 8 ? ESPQ_SIM_I8 : ESPQ_SIM_I16;
  void *x = array_new(format, count), *y = array_new(format, count);
  int32_t *table = malloc((size_t)entries * sizeof *table);
  for (int i = 0; i < entries; i++) table[i] = random_value(bits);
  for (int i = 0; i < count; i++) array_set(format, x, i, i - count / 2);
  for (int rounding = 1; rounding < 3; rounding++) {
    bool same = true;
    espq_sim_table((espq_rounding)rounding, count, format, x, entries, table, y, espq_isa_detect());
    for (int i = 0; i < count; i++) {
      double index = espq_fixed_nearest((espq_rounding)rounding, (double)i / step);
      same &= array_get(format, y, i) == table[(int)index];
    }
    CHECK(same);
  }
  free(table), free(x), free(y);
}

int main(void) {
  static const int counts[] = {1, 15, 16, 17, 100, 512, 1030};
  for (int i = 0; i < 3 * EXPONENTS; i++) {
    espq_sim_format format = (espq_sim_format)(i % 3);
    test_quantize(counts[i % 7], exponents[i / 3], format);
    test_dequantize(counts[i % 7], exponents[i / 3], format);
  }
  for (int i = 0; i < 9 * 40; i++)
    test_requantize(counts[i % 7], exponents[random_bits() % EXPONENTS], random_between(-20, 20),
                    (espq_sim_format)(i % 3), (espq_sim_format)(i / 3 % 3));
  for (int from = -20; from <= 20; from++) test_requantize(300, from, 0, ESPQ_SIM_I16, ESPQ_SIM_I8_OFFSET);
  test_table(8, 256);
  test_table(16, 2049);
  test_table(16, 257);
  test_table(16, 65537);
  return check_report();
}
