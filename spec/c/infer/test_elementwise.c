/* unary.h, binary.h, softmax.h against the C library in double precision; NaN; broadcasting; padding lanes. */
#include "fixture.h"
#include "infer/binary.h"
#include "infer/softmax.h"
#include "infer/unary.h"

static double clamp(double x, double low, double high) { return x < low ? low : x > high ? high : x; }

static double unary(espq_infer_unary_op op, double a, double b, double x) {
  switch (op) {
    case ESPQ_INFER_RELU: return x < 0 ? 0 : x;
    case ESPQ_INFER_LEAKY_RELU: return x < 0 ? a * x : x;
    case ESPQ_INFER_CLIP: return clamp(x, a, b);
    case ESPQ_INFER_SIGMOID: return 1 / (1 + exp(-x));
    case ESPQ_INFER_TANH: return tanh(x);
    case ESPQ_INFER_HARD_SIGMOID: return clamp(a * x + b, 0, 1);
    case ESPQ_INFER_HARD_SWISH: return x * clamp(x / 6 + 0.5, 0, 1);
    case ESPQ_INFER_ELU: return x < 0 ? a * expm1(x) : x;
    case ESPQ_INFER_EXP: return exp(x);
    case ESPQ_INFER_LOG: return log(x);
    case ESPQ_INFER_SQRT: return sqrt(x);
    case ESPQ_INFER_NEG: return -x;
    case ESPQ_INFER_ABS: return fabs(x);
    case ESPQ_INFER_RECIPROCAL: return 1 / x;
    case ESPQ_INFER_FLOOR: return floor(x);
    case ESPQ_INFER_CEIL: return ceil(x);
    case ESPQ_INFER_ROUND: return nearbyint(x);
    default: return NAN;
  }
}

/* Relative 5e-7 (about 4 units in the last place). Some formulas cancel: absolute there; sigmoid gives 0 where its
 * value would be denormal. */
static bool close_to(espq_infer_unary_op op, double got, double want) {
  if (isnan(want)) return isnan(got);
  if (isinf(want) || fabs(want) > 3.4028235e38) return got == (want > 0 ? INFINITY : -INFINITY);
  bool cancels = op == ESPQ_INFER_ELU || op == ESPQ_INFER_HARD_SIGMOID || op == ESPQ_INFER_HARD_SWISH;
  double slack = cancels ? 1e-6 : op == ESPQ_INFER_SIGMOID ? 1e-38 : 2e-45;
  return fabs(got - want) <= 5e-7 * fabs(want) + slack;
}

static void test_unary(void) {
  enum { N = 4099 };
  float x[N], y[N];
  for (int i = 0; i < N; i++) x[i] = random_float() * (i % 3 == 0 ? 0.5f : i % 3 == 1 ? 8 : 110);
  const float special[] = {0,     -0.0f,  1,        -1,        0.5f,    1.5f,       2.5f,   -0.5f,
                           -1.5f, 88.72f, 88.73f,   -87.4f,    -103.9f, -104.5f,    1e-30f, -1e-30f,
                           1e30f, -1e30f, INFINITY, -INFINITY, NAN,     8388609.5f, 0.25f};
  memcpy(x, special, sizeof special);
  for (int op = 0; op < ESPQ_INFER_UNARY_OPS; op++) {
    float a = op == ESPQ_INFER_CLIP ? -3 : 0.2f, b = op == ESPQ_INFER_CLIP ? 6 : 0.5f;
    espq_infer_unary(op, a, b, N, x, y);
    int wrong = 0;
    for (int i = 0; i < N; i++) {
      bool limit = isinf(x[i]) && op == ESPQ_INFER_HARD_SWISH; /* infinity times 0 is NaN there */
      if (limit || (op == ESPQ_INFER_HARD_SWISH && fabs(x[i]) > 1e29)) continue;
      if (!close_to(op, y[i], unary(op, a, b, x[i])) && !wrong++)
        fprintf(stderr, "op %d: f(%.9g) = %.9g, not %.9g\n", op, x[i], y[i], unary(op, a, b, x[i]));
    }
    CHECK(wrong == 0);
    float z[N];
    memcpy(z, x, sizeof z);
    espq_infer_unary(op, a, b, N, z, z); /* in place, and from an odd address */
    CHECK(same_bits(z, y, N));
    espq_infer_unary(op, a, b, N - 1, x + 1, z);
    CHECK(same_bits(z, y + 1, N - 1));
    CHECK(espq_infer_unary_keeps_zero(op, a, b) == (y[0] == 0));
  }
}

static float binary(espq_infer_binary_op op, float a, float b) {
  switch (op) {
    case ESPQ_INFER_ADD: return a + b;
    case ESPQ_INFER_SUB: return a - b;
    case ESPQ_INFER_MUL: return a * b;
    case ESPQ_INFER_DIV: return a / b;
    case ESPQ_INFER_MAX: return isnan(a) || isnan(b) ? NAN : fmaxf(a, b);
    case ESPQ_INFER_MIN: return isnan(a) || isnan(b) ? NAN : fminf(a, b);
    case ESPQ_INFER_PRELU: return a < 0 ? a * b : a;
    default: return NAN;
  }
}

static bool equal(float a, float b) { return a == b || (isnan(a) && isnan(b)); }

static void test_binary_same(void) {
  enum { N = 1003 };
  float *a = random_floats(N), *b = random_floats(N), *y = nan_floats(N);
  a[0] = NAN, b[1] = NAN, a[2] = b[2] = NAN, a[3] = INFINITY, b[4] = 0, a[5] = -INFINITY;
  for (int op = 0; op < ESPQ_INFER_BINARY_OPS; op++) {
    espq_infer_binary_same(op, N, a, b, y);
    bool right = true;
    for (int i = 0; i < N; i++) right = right && equal(y[i], binary(op, a[i], b[i]));
    CHECK(right);
    float z[N];
    memcpy(z, a, sizeof z);
    espq_infer_binary_same(op, N, z, b, z);
    CHECK(same_bits(z, y, N));
  }
  espq_free(a), espq_free(b), espq_free(y);
}

/* Strides of an operand: dense over the axes whose bit is set in `has`, 0 on the others. */
static int64_t strides_of(int rank, const int64_t *shape, unsigned has, int64_t *stride) {
  int64_t size = 1;
  for (int i = rank - 1; i >= 0; i--) {
    stride[i] = has >> i & 1 ? size : 0;
    if (has >> i & 1) size *= shape[i];
  }
  return size;
}

static void check_broadcast(int rank, const int64_t *shape, unsigned a_has, unsigned b_has) {
  int64_t sa[ESPQ_INFER_MAX_RANK], sb[ESPQ_INFER_MAX_RANK], sy[ESPQ_INFER_MAX_RANK];
  float *a = random_floats(strides_of(rank, shape, a_has, sa)), *b = random_floats(strides_of(rank, shape, b_has, sb));
  int64_t size = strides_of(rank, shape, ~0u, sy);
  float *y = nan_floats(size);
  espq_infer_binary(ESPQ_INFER_SUB, rank, shape, a, sa, b, sb, y);
  bool right = true;
  for (int64_t i = 0; i < size; i++) {
    int64_t ia = 0, ib = 0;
    for (int d = 0; d < rank; d++) {
      ia += i / sy[d] % shape[d] * sa[d];
      ib += i / sy[d] % shape[d] * sb[d];
    }
    right = right && y[i] == a[ia] - b[ib];
  }
  CHECK(right);
  espq_free(a), espq_free(b), espq_free(y);
}

static void test_broadcast(void) {
  static const int64_t shape[] = {2, 3, 1, 5}, deep[] = {2, 1, 3, 2, 1, 2, 3, 2};
  for (unsigned a = 0; a < 16; a++)
    for (unsigned b = 0; b < 16; b++) check_broadcast(4, shape, a, b);
  for (unsigned b = 0; b < 256; b += 5) check_broadcast(8, deep, 255, b);
  for (unsigned b = 0; b < 256; b += 7) check_broadcast(8, deep, 255 - b, b);
  check_broadcast(0, shape, 0, 0);
  float y = 7, x = 1;
  const int64_t empty[] = {2, 0}, none[] = {0, 0};
  espq_infer_binary(ESPQ_INFER_ADD, 2, empty, &x, none, &x, none, &y);
  CHECK(y == 7);
  /* A transposed operand: strides that no broadcast makes. */
  const int64_t square[] = {3, 3}, rows[] = {3, 1}, columns[] = {1, 3};
  const float m[] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
  float t[9];
  espq_infer_binary(ESPQ_INFER_SUB, 2, square, m, rows, m, columns, t);
  CHECK(t[0] == 0 && t[1] == -2 && t[3] == 2 && t[5] == -2 && t[7] == 2);
}

static void test_channels(void) {
  static const int64_t channels[] = {1, 3, 16, 17, 31};
  enum { N = 2, PIXELS = 7 };
  for (int i = 0; i < 5; i++)
    for (int l = ESPQ_PLAIN; l <= ESPQ_C16; l++)
      for (int op = 0; op <= ESPQ_INFER_BINARY_OPS; op++) { /* the last is affine */
        int64_t c = channels[i];
        float *x = random_floats(N * c * PIXELS), *v = random_floats(c), *w = random_floats(c);
        float *src = to_layout((espq_layout)l, N, c, PIXELS, x), *y = nan_floats(stored((espq_layout)l, N, c, PIXELS));
        if (op < ESPQ_INFER_BINARY_OPS) espq_infer_channel_binary(op, (espq_layout)l, N, c, PIXELS, src, v, y);
        else espq_infer_channel_affine((espq_layout)l, N, c, PIXELS, src, v, w, y);
        CHECK(lanes_are_zero((espq_layout)l, N, c, PIXELS, y));
        float *plain = from_layout((espq_layout)l, N, c, PIXELS, y);
        bool right = true;
        for (int64_t j = 0; j < N * c * PIXELS; j++) {
          int64_t k = j / PIXELS % c;
          float product = x[j] * v[k];
          right = right && plain[j] == (op < ESPQ_INFER_BINARY_OPS ? binary(op, x[j], v[k]) : product + w[k]);
        }
        CHECK(right);
        espq_free(x), espq_free(v), espq_free(w), espq_free(src), espq_free(y), espq_free(plain);
      }
}

static void check_softmax(bool logarithm, int64_t outer, int64_t axis, int64_t inner) {
  float *x = random_floats(outer * axis * inner), *y = nan_floats(outer * axis * inner);
  for (int64_t i = 0; i < outer * axis * inner; i++) x[i] *= 20;
  x[0] = 500; /* without the maximum subtracted this overflows */
  espq_infer_softmax(logarithm, outer, axis, inner, x, y);
  bool right = true;
  for (int64_t o = 0; o < outer; o++)
    for (int64_t i = 0; i < inner; i++) {
      const float *from = x + o * axis * inner + i, *to = y + o * axis * inner + i;
      double max = -INFINITY, sum = 0;
      for (int64_t k = 0; k < axis; k++) max = fmax(max, from[k * inner]);
      for (int64_t k = 0; k < axis; k++) sum += exp(from[k * inner] - max);
      for (int64_t k = 0; k < axis; k++) {
        double want = from[k * inner] - max;
        want = logarithm ? want - log(sum) : exp(want) / sum;
        right = right && fabs(to[k * inner] - want) <= 1e-5 * fabs(want) + 1e-7;
      }
    }
  CHECK(right);
  espq_infer_softmax(logarithm, outer, axis, inner, x, x);
  CHECK(same_bits(x, y, outer * axis * inner));
  espq_free(x), espq_free(y);
}

static void test_softmax(void) {
  for (int logarithm = 0; logarithm < 2; logarithm++) {
    check_softmax(logarithm, 3, 10, 1);
    check_softmax(logarithm, 1, 1000, 1);
    check_softmax(logarithm, 2, 1, 5);
    check_softmax(logarithm, 2, 7, 35);
    check_softmax(logarithm, 1, 21, 16);
  }
}

int main(void) {
  test_unary();
  test_binary_same();
  test_broadcast();
  test_channels();
  test_softmax();
  return check_report();
}
