#include "tensor/function.h"

#include <math.h>

#include "tensor/row.h"

/* How numbers of a type are computed with; integers but uint64 all fit into int64. */
typedef enum kind { FLOAT, SIGNED, UNSIGNED } kind;

static kind kind_of(espq_dtype t) { return espq_dtype_is_float(t) ? FLOAT : t == ESPQ_U64 ? UNSIGNED : SIGNED; }

/* --- of two numbers --- */

static double mod_f(double x, double y) {
  double m = fmod(x, y);
  return m != 0 && (m < 0) != (y < 0) ? m + y : m;
}

static double binary_f(espq_function f, double x, double y) {
  switch (f) {
    case ESPQ_FN_ADD: return x + y;
    case ESPQ_FN_SUB: return x - y;
    case ESPQ_FN_MUL: return x * y;
    case ESPQ_FN_DIV: return x / y;
    case ESPQ_FN_MOD: return mod_f(x, y);
    case ESPQ_FN_FMOD: return fmod(x, y);
    case ESPQ_FN_POW: return pow(x, y);
    case ESPQ_FN_MAX: return x != x || x > y ? x : y;
    default: return x != x || x < y ? x : y;
  }
}

/* x * x * ... wraps */
static uint64_t power(uint64_t x, uint64_t n) {
  uint64_t y = 1;
  for (; n; n >>= 1, x *= x)
    if (n & 1) y *= x;
  return y;
}

/* A negative power of an integer is a fraction, cut to 0, but for 1 and -1. */
static int64_t power_i(int64_t x, int64_t n) {
  if (n >= 0) return (int64_t)power((uint64_t)x, (uint64_t)n);
  return x == 1 || (x == -1 && !(n & 1)) ? 1 : x == -1 ? -1 : 0;
}

static int64_t binary_i(espq_function f, int64_t x, int64_t y) {
  bool none = y == 0, negate = y == -1;
  switch (f) {
    /* in two's complement the bits of sums and products do not depend on the sign; unsigned numbers may wrap */
    case ESPQ_FN_ADD: return (int64_t)((uint64_t)x + (uint64_t)y);
    case ESPQ_FN_SUB: return (int64_t)((uint64_t)x - (uint64_t)y);
    case ESPQ_FN_MUL: return (int64_t)((uint64_t)x * (uint64_t)y);
    case ESPQ_FN_DIV: return none ? 0 : negate ? (int64_t)(0 - (uint64_t)x) : x / y;
    case ESPQ_FN_MOD: return none || negate ? 0 : x % y != 0 && (x % y < 0) != (y < 0) ? x % y + y : x % y;
    case ESPQ_FN_FMOD: return none || negate ? 0 : x % y;
    case ESPQ_FN_POW: return power_i(x, y);
    case ESPQ_FN_MAX: return x > y ? x : y;
    default: return x < y ? x : y;
  }
}

static uint64_t binary_u(espq_function f, uint64_t x, uint64_t y) {
  switch (f) {
    case ESPQ_FN_ADD: return x + y;
    case ESPQ_FN_SUB: return x - y;
    case ESPQ_FN_MUL: return x * y;
    case ESPQ_FN_DIV: return y ? x / y : 0;
    case ESPQ_FN_MOD:
    case ESPQ_FN_FMOD: return y ? x % y : 0;
    case ESPQ_FN_POW: return power(x, y);
    case ESPQ_FN_MAX: return x > y ? x : y;
    default: return x < y ? x : y;
  }
}

#define COMPARE                                \
  switch (f) {                                 \
    case ESPQ_FN_EQUAL: return x == y;         \
    case ESPQ_FN_LESS: return x < y;           \
    case ESPQ_FN_LESS_EQUAL: return x <= y;    \
    case ESPQ_FN_GREATER: return x > y;        \
    case ESPQ_FN_GREATER_EQUAL: return x >= y; \
    case ESPQ_FN_AND: return x != 0 && y != 0; \
    case ESPQ_FN_OR: return x != 0 || y != 0;  \
    default: return (x != 0) != (y != 0);      \
  }

static bool compare_f(espq_function f, double x, double y) { COMPARE }
static bool compare_i(espq_function f, int64_t x, int64_t y) { COMPARE }
static bool compare_u(espq_function f, uint64_t x, uint64_t y) { COMPARE }

static double as_double(kind k, const espq_row *row, int64_t i) {
  return k == FLOAT ? row->f[i] : k == SIGNED ? (double)row->i[i] : (double)(uint64_t)row->i[i];
}

static void compare_row(espq_function f, kind k, int64_t n, espq_row *a, const espq_row *b) {
  for (int64_t i = 0; i < n; i++)
    a->i[i] = k == FLOAT    ? compare_f(f, a->f[i], b->f[i])
              : k == SIGNED ? compare_i(f, a->i[i], b->i[i])
                            : compare_u(f, (uint64_t)a->i[i], (uint64_t)b->i[i]);
  a->is_float = a->is_unsigned = false;
}

/* Numbers of different kinds (a Pow's) meet as doubles. */
static void mixed_row(espq_function f, kind ka, kind kb, int64_t n, espq_row *a, const espq_row *b) {
  for (int64_t i = 0; i < n; i++) a->f[i] = binary_f(f, as_double(ka, a, i), as_double(kb, b, i));
  a->is_float = true;
}

static void binary_row(espq_function f, kind k, int64_t n, espq_row *a, const espq_row *b) {
  for (int64_t i = 0; i < n; i++) {
    if (k == FLOAT) a->f[i] = binary_f(f, a->f[i], b->f[i]);
    else if (k == SIGNED) a->i[i] = binary_i(f, a->i[i], b->i[i]);
    else a->i[i] = (int64_t)binary_u(f, (uint64_t)a->i[i], (uint64_t)b->i[i]);
  }
}

void espq_function_binary(espq_function f, espq_dtype a_type, const void *a, int64_t a_step, espq_dtype b_type,
                          const void *b, int64_t b_step, int64_t n, void *y) {
  espq_row x, z;
  espq_dtype result = espq_function_result(f, a_type);
  size_t a_size = espq_dtype_size(a_type), b_size = espq_dtype_size(b_type), size = espq_dtype_size(result);
  kind ka = kind_of(a_type), kb = kind_of(b_type);
  for (int64_t i = 0; i < n; i += ESPQ_ROW) {
    int64_t m = n - i < ESPQ_ROW ? n - i : ESPQ_ROW;
    espq_row_load(a_type, (const char *)a + i * a_step * (int64_t)a_size, a_step, m, &x);
    espq_row_load(b_type, (const char *)b + i * b_step * (int64_t)b_size, b_step, m, &z);
    if (f >= ESPQ_FN_EQUAL) compare_row(f, ka, m, &x, &z);
    else if (ka != kb) mixed_row(f, ka, kb, m, &x, &z);
    else binary_row(f, ka, m, &x, &z);
    espq_row_store(result, m, &x, (char *)y + (size_t)i * size);
  }
}

void espq_function_strided(espq_function f, int rank, const int64_t *dim, espq_dtype a_type, const void *a,
                           const int64_t *a_step, espq_dtype b_type, const void *b, const int64_t *b_step, void *y) {
  if (rank <= 1) {
    espq_function_binary(f, a_type, a, rank ? *a_step : 0, b_type, b, rank ? *b_step : 0, rank ? *dim : 1, y);
    return;
  }
  int64_t below = 1;
  for (int i = 1; i < rank; i++) below *= dim[i];
  if (below == 0) return; /* however large dim[0] is */
  size_t row = (size_t)below * espq_dtype_size(espq_function_result(f, a_type));
  for (int64_t i = 0; i < dim[0]; i++)
    espq_function_strided(f, rank - 1, dim + 1, a_type,
                          (const char *)a + i * a_step[0] * (int64_t)espq_dtype_size(a_type), a_step + 1, b_type,
                          (const char *)b + i * b_step[0] * (int64_t)espq_dtype_size(b_type), b_step + 1,
                          (char *)y + (size_t)i * row);
}

/* --- of one number --- */

static double gelu_tanh(double x) { return 0.5 * x * (1 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x))); }

static double bound(double x, double low, double high) { return x < low ? low : x > high ? high : x; }

static double softplus(double x) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }

static double unary_f(espq_function f, double a, double b, double x) {
  switch (f) {
    case ESPQ_FN_ABS: return fabs(x);
    case ESPQ_FN_NEG: return -x;
    case ESPQ_FN_CEIL: return ceil(x);
    case ESPQ_FN_FLOOR: return floor(x);
    case ESPQ_FN_ROUND: return nearbyint(x);
    case ESPQ_FN_SQRT: return sqrt(x);
    case ESPQ_FN_RECIPROCAL: return 1 / x;
    case ESPQ_FN_EXP: return exp(x);
    case ESPQ_FN_LOG: return log(x);
    case ESPQ_FN_ERF: return erf(x);
    case ESPQ_FN_TANH: return tanh(x);
    case ESPQ_FN_SIGMOID: return 1 / (1 + exp(-x));
    case ESPQ_FN_SOFTPLUS: return softplus(x);
    case ESPQ_FN_MISH: return x * tanh(softplus(x));
    case ESPQ_FN_GELU: return 0.5 * x * (1 + erf(x * 0.70710678118654752440));
    case ESPQ_FN_GELU_TANH: return gelu_tanh(x);
    case ESPQ_FN_HARDSWISH: return x * bound(x / 6 + 0.5, 0, 1);
    case ESPQ_FN_SWISH: return x / (1 + exp(-a * x));
    case ESPQ_FN_ELU: return x < 0 ? a * expm1(x) : x;
    case ESPQ_FN_HARDSIGMOID: return bound(a * x + b, 0, 1);
    case ESPQ_FN_CLIP: return bound(x, a, b);
    default: return x == 0;
  }
}

static void unary_row_f(espq_function f, double a, double b, int64_t n, espq_row *x) {
  for (int64_t i = 0; i < n; i++) x->f[i] = unary_f(f, a, b, x->f[i]);
}

static int64_t unary_i(espq_function f, int64_t x) {
  if (f == ESPQ_FN_NOT) return x == 0;
  return f == ESPQ_FN_NEG || x < 0 ? (int64_t)(0 - (uint64_t)x) : x;
}

static int64_t clip(kind k, int64_t x, int64_t low, int64_t high) {
  if (k == SIGNED) return binary_i(ESPQ_FN_MIN, binary_i(ESPQ_FN_MAX, x, low), high);
  return (int64_t)binary_u(ESPQ_FN_MIN, binary_u(ESPQ_FN_MAX, (uint64_t)x, (uint64_t)low), (uint64_t)high);
}

/* x as the nearest integer of the type, in 64 bits. */
static int64_t bound_of(espq_dtype type, double x) {
  unsigned char stored[8];
  espq_row row = {.is_float = true, .f = {x}};
  espq_row_store(type, 1, &row, stored);
  espq_row_load(type, stored, 1, 1, &row);
  return row.i[0];
}

static void unary_row_i(espq_function f, double a, double b, espq_dtype type, int64_t n, espq_row *x) {
  if (f == ESPQ_FN_CLIP) {
    int64_t low = bound_of(type, a), high = bound_of(type, b);
    for (int64_t i = 0; i < n; i++) x->i[i] = clip(kind_of(type), x->i[i], low, high);
  } else if (f != ESPQ_FN_ABS || kind_of(type) == SIGNED) {
    for (int64_t i = 0; i < n; i++) x->i[i] = unary_i(f, x->i[i]);
  }
}

void espq_function_unary(espq_function f, double a, double b, espq_dtype type, int64_t n, const void *x, void *y) {
  espq_row row;
  size_t size = espq_dtype_size(type);
  for (int64_t i = 0; i < n; i += ESPQ_ROW) {
    int64_t m = n - i < ESPQ_ROW ? n - i : ESPQ_ROW;
    espq_row_load(type, (const char *)x + (size_t)i * size, 1, m, &row);
    if (row.is_float) unary_row_f(f, a, b, m, &row);
    else unary_row_i(f, a, b, type, m, &row);
    espq_row_store(type, m, &row, (char *)y + (size_t)i * size);
  }
}

/* --- types --- */

unsigned espq_function_types(espq_function f) {
  switch (f) {
    case ESPQ_FN_AND:
    case ESPQ_FN_OR:
    case ESPQ_FN_XOR:
    case ESPQ_FN_NOT: return ESPQ_TYPES(ESPQ_BOOL);
    case ESPQ_FN_EQUAL: return ESPQ_TYPES_ANY;
    case ESPQ_FN_NEG: return ESPQ_TYPES_FLOAT | ESPQ_TYPES_SIGNED;
    default: return f <= ESPQ_FN_XOR || f == ESPQ_FN_ABS || f == ESPQ_FN_CLIP ? ESPQ_TYPES_NUMBER : ESPQ_TYPES_FLOAT;
  }
}

espq_dtype espq_function_result(espq_function f, espq_dtype dtype) {
  return f >= ESPQ_FN_EQUAL && f <= ESPQ_FN_NOT ? ESPQ_BOOL : dtype;
}
