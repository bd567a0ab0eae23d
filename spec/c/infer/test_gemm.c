/* Matrix products against a double-precision loop; a row's bits must not depend on the other rows. */
#include "fixture.h"
#include "infer/gemm.h"

static espq_infer_engine *engine;
static espq_infer_stream *stream;

typedef struct matrix {
  const float *data;
  int64_t row, column;
} matrix;

static matrix view(const float *data, int64_t rows, int64_t columns, bool transposed) {
  return transposed ? (matrix){data, 1, rows} : (matrix){data, columns, 1};
}

/* y = alpha * a * b + bias within 1e-5 of the sum of the absolute products? */
static bool matches(int64_t m, int64_t n, int64_t k, double alpha, matrix a, matrix b, const float *bias,
                    const float *y) {
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) {
      double sum = bias ? bias[j] : 0, weight = fabs(sum);
      for (int64_t q = 0; q < k; q++) {
        double t = alpha * a.data[i * a.row + q * a.column] * b.data[q * b.row + j * b.column];
        sum += t;
        weight += fabs(t);
      }
      if (!(fabs(y[i * n + j] - sum) <= 1e-5 * weight + 1e-12)) return false;
    }
  return true;
}

static float *run_gemm(espq_infer_gemm_params p, const float *a, const float *b, const float *bias) {
  espq_infer_gemm *gemm;
  if (!CHECK(!espq_infer_gemm_prepare(engine, &p, b, bias, &gemm, NULL))) return NULL;
  float *y = nan_floats(p.m * p.n);
  CHECK(!espq_infer_gemm_run(gemm, stream, a, y, NULL));
  espq_infer_gemm_free(gemm);
  return y;
}

static void test_gemm(void) {
  static const int64_t sizes[][3] = {{1, 10, 128}, {16, 10, 128}, {7, 17, 31},  {5, 1, 100},
                                     {3, 3, 7},    {2, 1001, 64}, {33, 64, 64}, {1, 1, 1}};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    for (int form = 0; form < 8; form++) {
      int64_t m = sizes[i][0], n = sizes[i][1], k = sizes[i][2];
      espq_infer_gemm_params p = {
          .m = m, .n = n, .k = k, .trans_a = form & 1, .trans_b = form & 2, .alpha = form & 4 ? 0.3f : 1};
      float *a = random_floats(m * k), *b = random_floats(k * n), *bias = form % 3 ? random_floats(n) : NULL;
      float *y = run_gemm(p, a, b, bias);
      CHECK(y && matches(m, n, k, p.alpha, view(a, m, k, p.trans_a), view(b, k, n, p.trans_b), bias, y));
      p.relu = true;
      float *z = run_gemm(p, a, b, bias);
      bool right = true; /* -0 is a zero too */
      for (int64_t j = 0; j < m * n; j++) right = right && z[j] == (y[j] < 0 ? 0 : y[j]);
      CHECK(right);
      espq_free(a), espq_free(b), espq_free(bias), espq_free(y), espq_free(z);
    }
}

/* The first and the last rows of products of many heights. */
static void test_rows(void) {
  static const int64_t sizes[][2] = {{10, 128},    {1000, 1024}, {64, 64}, {17, 31},   {256, 2304}, {10, 8192},
                                     {1001, 1280}, {1, 100},     {3, 7},   {48, 4096}, {128, 20000}};
  static const int64_t heights[] = {1, 2, 3, 4, 5, 6, 7, 8, 13, 16, 31, 32, 64};
  enum { MOST = 64 };
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    int64_t n = sizes[i][0], k = sizes[i][1];
    espq_infer_gemm_params p = {.m = MOST, .n = n, .k = k, .trans_b = true, .alpha = 1};
    float *a = random_floats(MOST * k), *b = random_floats(k * n), *bias = random_floats(n);
    float *all = run_gemm(p, a, b, bias);
    for (size_t h = 0; h < sizeof heights / sizeof *heights; h++) {
      p.m = heights[h];
      float *first = run_gemm(p, a, b, bias), *last = run_gemm(p, a + (MOST - p.m) * k, b, bias);
      CHECK(same_bits(first, all, p.m * n));
      CHECK(same_bits(last, all + (MOST - p.m) * n, p.m * n));
      espq_free(first), espq_free(last);
    }
    espq_free(a), espq_free(b), espq_free(bias), espq_free(all);
  }
}

static void test_add(void) {
  float y[6] = {1, 2, 3, 4, 5, 6};
  const float row[] = {10, 20, 30}, column[] = {100, 200};
  espq_infer_gemm_add(2, 3, 2, 0.5f, row, 0, 1, y);
  const float want[] = {7, 14, 21, 13, 20, 27};
  CHECK(same_bits(y, want, 6));
  espq_infer_gemm_add(2, 3, 1, 1, column, 1, 0, y);
  CHECK(y[0] == 107 && y[2] == 121 && y[3] == 213 && y[5] == 227);
  espq_infer_gemm_add(2, 3, 3, 0, NULL, 0, 0, y);
  CHECK(y[0] == 321);
}

/* a: 2 x 3 matrices, b: the same 3 for both: strides of 0 and the odometer's carry. */
static void test_matmul(void) {
  for (int form = 0; form < 4; form++) {
    enum { M = 5, N = 9, K = 21 };
    espq_infer_matmul_params p = {.m = M,
                                  .n = N,
                                  .k = K,
                                  .trans_a = form & 1,
                                  .trans_b = form & 2,
                                  .rank = 2,
                                  .batch = {2, 3},
                                  .a_stride = {3 * M * K, M * K},
                                  .b_stride = {0, K * N}};
    float *a = random_floats(6 * M * K), *b = random_floats(3 * K * N), *y = nan_floats(6 * M * N);
    espq_infer_matmul *matmul;
    if (CHECK(!espq_infer_matmul_prepare(engine, &p, &matmul, NULL))) {
      CHECK(!espq_infer_matmul_run(matmul, stream, a, b, y, NULL));
      for (int i = 0; i < 6; i++)
        CHECK(matches(M, N, K, 1, view(a + i * M * K, M, K, p.trans_a), view(b + i % 3 * K * N, K, N, p.trans_b), NULL,
                      y + i * M * N));
    }
    espq_infer_matmul_free(matmul);
    espq_free(a), espq_free(b), espq_free(y);
  }
}

static void test_refusals(void) {
  espq_infer_gemm *gemm;
  espq_infer_matmul *matmul;
  espq_infer_gemm_params p = {.m = 0, .n = 1, .k = 1, .alpha = 1};
  float one = 1;
  CHECK(espq_infer_gemm_prepare(engine, &p, &one, NULL, &gemm, NULL) == ESPQ_EFORMAT && !gemm);
  p.m = INT64_MAX;
  CHECK(espq_infer_gemm_prepare(engine, &p, &one, NULL, &gemm, NULL) == ESPQ_ELIMIT && !gemm);
  espq_infer_matmul_params q = {.m = 1, .n = 1, .k = 1, .rank = 7};
  CHECK(espq_infer_matmul_prepare(engine, &q, &matmul, NULL) == ESPQ_ELIMIT && !matmul);
  q.rank = 1;
  CHECK(espq_infer_matmul_prepare(engine, &q, &matmul, NULL) == ESPQ_EFORMAT && !matmul);
  q.batch[0] = INT64_MAX;
  CHECK(espq_infer_matmul_prepare(engine, &q, &matmul, NULL) == ESPQ_ELIMIT && !matmul);
}

int main(int argc, char **argv) {
  if (argc > 1) CHECK(!espq_infer_set_isa(argv[1], NULL));
  else CHECK(passes_with_isa("avx2") && passes_with_isa("sse41"));
  CHECK(!espq_infer_engine_new(&engine, NULL));
  CHECK(!espq_infer_stream_new(engine, &stream, NULL));
  test_gemm();
  test_rows();
  test_add();
  test_matmul();
  test_refusals();
  espq_infer_stream_free(stream);
  espq_infer_engine_free(engine);
  return check_report();
}
