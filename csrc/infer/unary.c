#include "infer/unary.h"

#include <math.h>

#include "infer/simd.h"

#define PARAMS (float a, float b, int64_t n, const float *src, float *dst)
#define ARGS   (a, b, n, src, dst)

SIMD_BODY float clamp(float x, float low, float high) {
  float y = x < low ? low : x;
  return y > high ? high : y;
}

SIMD_BODY float hard_sigmoid(float x, float slope, float offset) { return clamp(slope * x + offset, 0, 1); }

/* name, value as an expression of x, a and b. ORDER UNARY */
#define UNARY_LIST(X)                                 \
  X(relu, x < 0 ? 0 : x)                              \
  X(leaky_relu, x < 0 ? a * x : x)                    \
  X(clip, clamp(x, a, b))                             \
  X(sigmoid, simd_sigmoid(x))                         \
  X(tanh, simd_tanh(x))                               \
  X(hard_sigmoid, hard_sigmoid(x, a, b))              \
  X(hard_swish, (x * hard_sigmoid(x, 1.0f / 6, .5f))) \
  X(elu, x < 0 ? a * (simd_exp(x) - 1.0f) : x)        \
  X(exp, simd_exp(x))                                 \
  X(log, logf(x))                                     \
  X(sqrt, sqrtf(x))                                   \
  X(neg, -x)                                          \
  X(abs, fabsf(x))                                    \
  X(reciprocal, 1.0f / x)                             \
  X(floor, floorf(x))                                 \
  X(ceil, ceilf(x))                                   \
  X(round, rintf(x))

#define DEFINE(name, value)                                \
  SIMD_BODY void vec_##name##_body PARAMS {                \
    (void)a, (void)b;                                      \
    _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++) { \
      float x = src[i];                                    \
      dst[i] = value;                                      \
    }                                                      \
  }                                                        \
  SIMD_CLONES(vec_##name, PARAMS, ARGS)

UNARY_LIST(DEFINE)

#define ENTRY(name, value) vec_##name,

void espq_infer_unary(espq_infer_unary_op op, float a, float b, int64_t n, const float *x, float *y) {
  static void(*const table[]) PARAMS = {UNARY_LIST(ENTRY)};
  _Static_assert(sizeof table / sizeof *table == ESPQ_INFER_UNARY_OPS, "ORDER UNARY");
  table[op](a, b, n, x, y);
}

bool espq_infer_unary_keeps_zero(espq_infer_unary_op op, float a, float b) {
  float zero = 0, y;
  espq_infer_unary(op, a, b, 1, &zero, &y);
  return y == 0;
}
