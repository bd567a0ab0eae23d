/* simd.h promises the same bits from each instruction set it compiles for: here are the static variants. */
#include "fixture.h"
#include "infer/binary.c"
#include "infer/unary.c"

enum { N = 5003 };

static float source[N], other[N], base[N], result[N];

static void compare_unary(void(*plain) PARAMS, void(*variant) PARAMS) {
  plain(-3, 6, N, source, base);
  variant(-3, 6, N, source, result);
  CHECK(same_bits(base, result, N));
}

static void compare_run(void(*plain) RUN_PARAMS, void(*variant) RUN_PARAMS) {
  for (int steps = 0; steps < 4; steps++) {
    plain(N, source, steps & 1, other, steps >> 1, base);
    variant(N, source, steps & 1, other, steps >> 1, result);
    CHECK(same_bits(base, result, N));
  }
}

#ifdef SIMD_HAS_WIDE
#define EACH_VARIANT(compare, plain, name)                           \
  compare(plain, name);                                              \
  if (__builtin_cpu_supports("avx2")) compare(plain, name##_middle); \
  if (SIMD_HAS_WIDE) compare(plain, name##_wide)
#else
#define EACH_VARIANT(compare, plain, name) compare(plain, name)
#endif

#define CHECK_UNARY(name, value)                              \
  static void plain_##name PARAMS { vec_##name##_body ARGS; } \
  static void unary_##name(void) { EACH_VARIANT(compare_unary, plain_##name, vec_##name); }
UNARY_LIST(CHECK_UNARY)

#define CHECK_RUN(name, value)                                            \
  static void plain_run_##name RUN_PARAMS { run_##name##_body RUN_ARGS; } \
  static void binary_##name(void) { EACH_VARIANT(compare_run, plain_run_##name, run_##name); }
BINARY_LIST(CHECK_RUN)

#define CALL_UNARY(name, value)  unary_##name();
#define CALL_BINARY(name, value) binary_##name();

int main(void) {
  for (int i = 0; i < N; i++) {
    source[i] = random_float() * (i % 2 ? 2 : 100);
    other[i] = random_float();
  }
  UNARY_LIST(CALL_UNARY)
  BINARY_LIST(CALL_BINARY)
  return check_report();
}
