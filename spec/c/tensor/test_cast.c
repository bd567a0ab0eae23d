/* Half precision over its whole range, and the rules of conversion between types. */
#include "tensor/cast.h"

#include <math.h>
#include <string.h>

#include "check.h"

static bool is_nan_half(uint16_t h) { return (h & 0x7C00) == 0x7C00 && (h & 0x3FF); }

static void test_every_half(void) {
  int wrong = 0;
  for (uint32_t h = 0; h < 65536; h++) {
    float f = espq_f16_to_f32((uint16_t)h);
    if (is_nan_half((uint16_t)h)) wrong += !isnan(f) || !is_nan_half(espq_f16_from_f64(f));
    else wrong += espq_f16_from_f64(f) != h;
  }
  CHECK(wrong == 0);
  CHECK(espq_f16_to_f32(0x3C00) == 1.0f && espq_f16_to_f32(0x0001) == 0x1p-24f);
  CHECK(espq_f16_to_f32(0x7BFF) == 65504.0f && espq_f16_to_f32(0xFC00) == -INFINITY);
}

/* Between two neighbours the middle goes to the even one, everything else to the nearer one. */
static void test_ties(void) {
  int wrong = 0;
  for (uint32_t h = 0; h < 0x7BFF; h++) {
    double a = espq_f16_to_f32((uint16_t)h), b = espq_f16_to_f32((uint16_t)(h + 1)), middle = (a + b) / 2;
    wrong += espq_f16_from_f64(middle) != (h & 1 ? h + 1 : h);
    wrong += espq_f16_from_f64(nextafter(middle, 0)) != h;
    wrong += espq_f16_from_f64(nextafter(middle, 1e9)) != h + 1;
    wrong += espq_f16_from_f64(-middle) != ((h & 1 ? h + 1 : h) | 0x8000);
  }
  CHECK(wrong == 0);
  CHECK(espq_f16_from_f64(65519.999) == 0x7BFF && espq_f16_from_f64(65520) == 0x7C00);
  CHECK(espq_f16_from_f64(1e300) == 0x7C00 && espq_f16_from_f64(-INFINITY) == 0xFC00);
  CHECK(espq_f16_from_f64(1e-300) == 0 && espq_f16_from_f64(-1e-300) == 0x8000);
}

#ifdef __FLT16_MAX__
static void test_against_compiler(void) {
  int wrong = 0;
  uint64_t random = 88172645463325252u;
  for (int i = 0; i < 200000; i++) {
    random ^= random << 13, random ^= random >> 7, random ^= random << 17;
    double x = ldexp((double)(int64_t)random, -63 + (int)(random % 48) - 28);
    _Float16 expected = (_Float16)x;
    uint16_t bits, got = espq_f16_from_f64(x);
    memcpy(&bits, &expected, sizeof bits);
    wrong += bits != got;
  }
  CHECK(wrong == 0);
}
#else
static void test_against_compiler(void) {}
#endif

/* One element converted. */
static espq_number converted(espq_dtype from, espq_number x, espq_dtype to) {
  espq_tensor *a = NULL, *b = NULL;
  espq_number y = {0};
  CHECK(espq_tensor_new(from, 0, NULL, &a, NULL) == ESPQ_OK);
  espq_tensor_set(a, 0, x);
  CHECK(espq_tensor_cast(a, to, &b, NULL) == ESPQ_OK);
  y = espq_tensor_get(b, 0);
  espq_tensor_release(a);
  espq_tensor_release(b);
  return y;
}

static int64_t float_to(double x, espq_dtype to) {
  return converted(ESPQ_F64, (espq_number){.is_float = true, .f = x}, to).i;
}

static int64_t integer_to(int64_t x, espq_dtype to) { return converted(ESPQ_I64, (espq_number){.i = x}, to).i; }

static void test_rules(void) {
  CHECK(float_to(2.9, ESPQ_I32) == 2 && float_to(-2.9, ESPQ_I32) == -2);
  CHECK(float_to(300, ESPQ_I8) == 127 && float_to(-300, ESPQ_I8) == -128 && float_to(-1, ESPQ_U8) == 0);
  CHECK(float_to(NAN, ESPQ_I16) == 0 && float_to(NAN, ESPQ_BOOL) == 1 && float_to(0.25, ESPQ_BOOL) == 1);
  CHECK(float_to(INFINITY, ESPQ_I64) == INT64_MAX && float_to(-INFINITY, ESPQ_I64) == INT64_MIN);
  CHECK(float_to(0x1p63, ESPQ_I64) == INT64_MAX && float_to(1e30, ESPQ_U64) == -1);
  CHECK(float_to(0x1p63, ESPQ_U64) == INT64_MIN && float_to(4294967295.0, ESPQ_U32) == 4294967295);
  CHECK(integer_to(300, ESPQ_I8) == 44 && integer_to(-1, ESPQ_U16) == 65535 && integer_to(256, ESPQ_BOOL) == 1);
  /* 2^24 + 1 is a tie for float32, 2^60 + 1 would round twice by way of a double only if it were nearer to a tie */
  CHECK(converted(ESPQ_I64, (espq_number){.i = 16777217}, ESPQ_F32).f == 16777216.0);
  CHECK(converted(ESPQ_I64, (espq_number){.i = 0x4000004000000001}, ESPQ_F32).f == 0x4000008000000000);
  CHECK(converted(ESPQ_U64, (espq_number){.i = -1}, ESPQ_F64).f == 0x1p64);
  CHECK(converted(ESPQ_F64, (espq_number){.is_float = true, .f = 1.0 + 0x1p-11 + 0x1p-40}, ESPQ_F16).f == 1 + 0x1p-10);
}

int main(void) {
  test_every_half();
  test_ties();
  test_against_compiler();
  test_rules();
  return check_report();
}
