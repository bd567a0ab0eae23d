#include "tensor/arith.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* --- float32, element by element --- */

static espq_status expect_f32(const espq_tensor *t, espq_error *err) {
  if (t->dtype == ESPQ_F32) return ESPQ_OK;
  return espq_fail(err, ESPQ_EFORMAT, "arithmetic needs float32, got %s (see astype)", espq_dtype_name(t->dtype));
}

/* A binary operation in progress: the result's shape, and each operand's stride along it (0: repeated). */
typedef struct pairing {
  int rank;
  int64_t dim[ESPQ_MAX_RANK], a[ESPQ_MAX_RANK], b[ESPQ_MAX_RANK];
} pairing;

static int64_t dim_at(const espq_tensor *t, int rank, int axis) {
  int lead = rank - t->rank;
  return axis < lead ? 1 : t->dim[axis - lead];
}

static espq_status refuse_shapes(const espq_tensor *a, const espq_tensor *b, espq_error *err) {
  char x[160], y[160];
  return espq_fail(err, ESPQ_EFORMAT, "shapes %s and %s do not broadcast",
                   espq_shape_text(a->rank, a->dim, x, sizeof x), espq_shape_text(b->rank, b->dim, y, sizeof y));
}

static espq_status pair_shapes(const espq_tensor *a, const espq_tensor *b, pairing *p, espq_error *err) {
  int64_t step_a = 1, step_b = 1;
  p->rank = a->rank > b->rank ? a->rank : b->rank;
  for (int i = p->rank - 1; i >= 0; i--) {
    int64_t m = dim_at(a, p->rank, i), n = dim_at(b, p->rank, i);
    if (m != n && m != 1 && n != 1) return refuse_shapes(a, b, err);
    p->dim[i] = m == 1 ? n : m;
    p->a[i] = m == 1 ? 0 : step_a;
    p->b[i] = n == 1 ? 0 : step_b;
    step_a *= m;
    step_b *= n;
  }
  return ESPQ_OK;
}

/* Joins neighbouring axes that both operands walk as one, so that the inner loop is long. */
static void merge_axes(const pairing *p, pairing *m) {
  *m = (pairing){.rank = 0};
  for (int i = 0; i < p->rank; i++) {
    int last = m->rank - 1;
    if (p->dim[i] == 1) continue;
    if (last >= 0 && m->a[last] == p->a[i] * p->dim[i] && m->b[last] == p->b[i] * p->dim[i]) m->dim[last] *= p->dim[i];
    else m->dim[last = m->rank++] = p->dim[i];
    m->a[last] = p->a[i];
    m->b[last] = p->b[i];
  }
  if (m->rank == 0) m->dim[m->rank++] = 1;
}

/* The first branches only let the compiler vectorize. */
#define LOOP(expression)                  \
  if (sa == 1 && sb == 1)                 \
    for (int64_t i = 0; i < n; i++) {     \
      float x = a[i], y = b[i];           \
      out[i] = expression;                \
    }                                     \
  else if (sa == 1 && sb == 0)            \
    for (int64_t i = 0; i < n; i++) {     \
      float x = a[i], y = *b;             \
      out[i] = expression;                \
    }                                     \
  else                                    \
    for (int64_t i = 0; i < n; i++) {     \
      float x = a[i * sa], y = b[i * sb]; \
      out[i] = expression;                \
    }

static void run_row(espq_arith op, int64_t n, const float *a, int64_t sa, const float *b, int64_t sb, float *out) {
  switch (op) {
    case ESPQ_ARITH_ADD: LOOP(x + y) break;
    case ESPQ_ARITH_SUB: LOOP(x - y) break;
    case ESPQ_ARITH_MUL: LOOP(x * y) break;
    case ESPQ_ARITH_DIV: LOOP(x / y) break;
    case ESPQ_ARITH_MAX: LOOP(x != x || x > y ? x : y) break;
    case ESPQ_ARITH_MIN: LOOP(x != x || x < y ? x : y) break;
  }
}

static float *run_axes(espq_arith op, const pairing *p, int axis, const float *a, const float *b, float *out) {
  if (axis == p->rank - 1) {
    run_row(op, p->dim[axis], a, p->a[axis], b, p->b[axis], out);
    return out + p->dim[axis];
  }
  for (int64_t i = 0; i < p->dim[axis]; i++)
    out = run_axes(op, p, axis + 1, a + i * p->a[axis], b + i * p->b[axis], out);
  return out;
}

espq_status espq_arith_binary(espq_arith op, const espq_tensor *a, const espq_tensor *b, espq_tensor **out,
                              espq_error *err) {
  pairing shape = {.rank = 0}, loops;
  espq_status status = expect_f32(a, err);
  if (!status) status = expect_f32(b, err);
  if (!status) status = pair_shapes(a, b, &shape, err);
  if (!status) status = espq_tensor_new(ESPQ_F32, shape.rank, shape.dim, out, err);
  if (status) return status;
  merge_axes(&shape, &loops);
  if ((*out)->count) run_axes(op, &loops, 0, a->data, b->data, (*out)->data);
  return ESPQ_OK;
}

espq_status espq_arith_unary_op(espq_arith_unary op, const espq_tensor *a, espq_tensor **out, espq_error *err) {
  espq_status status = expect_f32(a, err);
  if (!status) status = espq_tensor_new(ESPQ_F32, a->rank, a->dim, out, err);
  if (status) return status;
  const float *x = a->data;
  float *y = (*out)->data;
  switch (op) {
    case ESPQ_ARITH_NEGATE:
      for (int64_t i = 0; i < a->count; i++) y[i] = -x[i];
      break;
    case ESPQ_ARITH_ABS:
      for (int64_t i = 0; i < a->count; i++) y[i] = fabsf(x[i]);
      break;
    case ESPQ_ARITH_SQRT:
      for (int64_t i = 0; i < a->count; i++) y[i] = sqrtf(x[i]);
      break;
  }
  return ESPQ_OK;
}

/* --- reductions --- */

enum { BLOCK = 512 };

/* Runs body for blocks of n elements x, as doubles. */
#define EACH_BLOCK(t, x, n, body)                                      \
  for (int64_t from = 0; from < (t)->count; from += BLOCK) {           \
    double x[BLOCK];                                                   \
    int64_t n = (t)->count - from < BLOCK ? (t)->count - from : BLOCK; \
    espq_tensor_read(t, from, n, x);                                   \
    body                                                               \
  }

static bool is_wide(espq_dtype dtype) { return dtype == ESPQ_I64 || dtype == ESPQ_U64; }

/* int64 and uint64 do not fit into doubles. Flipping the top bit orders uint64 as int64. */
static espq_number extreme_wide(const espq_tensor *t, bool largest) {
  int64_t flip = t->dtype == ESPQ_U64 ? INT64_MIN : 0, best = espq_tensor_get(t, 0).i ^ flip;
  for (int64_t i = 1; i < t->count; i++) {
    int64_t x = espq_tensor_get(t, i).i ^ flip;
    if (largest ? x > best : x < best) best = x;
  }
  return (espq_number){.i = best ^ flip};
}

static espq_status extreme(const espq_tensor *t, bool largest, espq_number *out, espq_error *err) {
  if (!t->count) return espq_fail(err, ESPQ_EFORMAT, "a tensor without elements has no smallest or largest one");
  if (is_wide(t->dtype)) {
    *out = extreme_wide(t, largest);
    return ESPQ_OK;
  }
  double best;
  espq_tensor_read(t, 0, 1, &best);
  EACH_BLOCK(t, x, n, {
    for (int64_t i = 0; i < n; i++)
      if ((largest ? x[i] > best : x[i] < best) || isnan(x[i])) best = x[i];
  })
  bool is_float = espq_dtype_is_float(t->dtype);
  *out = is_float ? (espq_number){.is_float = true, .f = best} : (espq_number){.i = (int64_t)best};
  return ESPQ_OK;
}

espq_status espq_arith_min(const espq_tensor *t, espq_number *out, espq_error *err) {
  return extreme(t, false, out, err);
}

espq_status espq_arith_max(const espq_tensor *t, espq_number *out, espq_error *err) {
  return extreme(t, true, out, err);
}

static double sum_of_doubles(const espq_tensor *t) {
  double sum = 0;
  EACH_BLOCK(t, x, n, {
    for (int64_t i = 0; i < n; i++) sum += x[i];
  })
  return sum;
}

espq_number espq_arith_sum(const espq_tensor *t) {
  if (espq_dtype_is_float(t->dtype)) return (espq_number){.is_float = true, .f = sum_of_doubles(t)};
  uint64_t sum = 0;
  for (int64_t i = 0; i < t->count; i++) sum += (uint64_t)espq_tensor_get(t, i).i;
  return (espq_number){.i = (int64_t)sum};
}

double espq_arith_mean(const espq_tensor *t) { return sum_of_doubles(t) / (double)t->count; }

enum { LANES = 16 }; /* of loops that compilers make vectors of */

static uint32_t magnitude_bits(const float *x) {
  uint32_t bits;
  memcpy(&bits, x, sizeof bits);
  return bits & INT32_MAX;
}

/* Floats without their sign have the order of their bits, and NaN is above all numbers. Returns the largest of the
 * bits, `most` being one of them. */
static uint32_t maxabs_run(const float *x, int64_t n, uint32_t most) {
  uint32_t lane[LANES] = {0};
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES)
    for (int k = 0; k < LANES; k++) {
      uint32_t bits = magnitude_bits(x + i + k);
      lane[k] = bits > lane[k] ? bits : lane[k];
    }
  for (int k = 0; k < LANES; k++) most = lane[k] > most ? lane[k] : most;
  for (; i < n; i++) most = magnitude_bits(x + i) > most ? magnitude_bits(x + i) : most;
  return most;
}

bool espq_arith_is_finite(const espq_tensor *t) {
  if (t->dtype == ESPQ_F32) {
    static const float infinity = INFINITY;
    return maxabs_run(t->data, t->count, 0) < magnitude_bits(&infinity);
  }
  if (!espq_dtype_is_float(t->dtype)) return true;
  EACH_BLOCK(t, x, n, {
    for (int64_t i = 0; i < n; i++)
      if (!isfinite(x[i])) return false;
  })
  return true;
}

double espq_arith_maxabs(const espq_tensor *t) {
  double most = 0;
  EACH_BLOCK(t, x, n, {
    for (int64_t i = 0; i < n; i++)
      if (fabs(x[i]) > most || isnan(x[i])) most = fabs(x[i]);
  })
  return most;
}

/* --- along an axis --- */

/* A tensor seen as outer x n x inner around one axis. */
typedef struct around {
  int64_t outer, n, inner;
} around;

static around split(const espq_tensor *t, int axis) {
  around s = {1, t->dim[axis], 1};
  for (int i = 0; i < axis; i++) s.outer *= t->dim[i];
  for (int i = axis + 1; i < t->rank; i++) s.inner *= t->dim[i];
  return s;
}

espq_status espq_arith_maxabs_axis(const espq_tensor *t, int axis, espq_tensor **out, espq_error *err) {
  around s = split(t, axis);
  espq_status status = expect_f32(t, err);
  if (!status) status = espq_tensor_new(ESPQ_F32, 1, &s.n, out, err);
  if (status) return status;
  uint32_t *most = (*out)->data; /* bits of the floats */
  for (int64_t k = 0; k < s.n; k++) most[k] = 0;
  for (int64_t o = 0; o < s.outer; o++)
    for (int64_t k = 0; k < s.n; k++)
      most[k] = maxabs_run((const float *)t->data + (o * s.n + k) * s.inner, s.inner, most[k]);
  return ESPQ_OK;
}

static bool larger(espq_dtype dtype, espq_number x, espq_number best) {
  if (x.is_float) return x.f > best.f || (isnan(x.f) && !isnan(best.f));
  return dtype == ESPQ_U64 ? (uint64_t)x.i > (uint64_t)best.i : x.i > best.i;
}

static int64_t argmax_run(const espq_tensor *t, int64_t first, int64_t n, int64_t step) {
  espq_number best = espq_tensor_get(t, first);
  int64_t at = 0;
  for (int64_t k = 1; k < n; k++) {
    espq_number x = espq_tensor_get(t, first + k * step);
    if (!larger(t->dtype, x, best)) continue;
    best = x;
    at = k;
  }
  return at;
}

espq_status espq_arith_argmax(const espq_tensor *t, int axis, espq_tensor **out, espq_error *err) {
  around s = split(t, axis);
  int64_t dim[ESPQ_MAX_RANK] = {0};
  if (!s.n) return espq_fail(err, ESPQ_EFORMAT, "argmax along axis %d, which has no elements", axis);
  for (int i = 0; i < t->rank - 1; i++) dim[i] = t->dim[i < axis ? i : i + 1];
  espq_status status = espq_tensor_new(ESPQ_I64, t->rank - 1, dim, out, err);
  if (status) return status;
  int64_t *at = (*out)->data;
  for (int64_t o = 0; o < s.outer; o++)
    for (int64_t i = 0; i < s.inner; i++) *at++ = argmax_run(t, o * s.n * s.inner + i, s.n, s.inner);
  return ESPQ_OK;
}
