/* Gemm and MatMul: shapes, refusals, both columns against loops over the definition. */
#include <math.h>

#include "ops/run_op.h"
#include "sim/fixed.h"

enum { MAX = 4096 };

typedef struct buffers {
  float a[MAX], b[MAX], c[MAX];
  int16_t qa[MAX], qb[MAX], qc[MAX];
} buffers;

static int64_t count_of(int rank, const int64_t *dim) {
  int64_t n = 1;
  for (int i = 0; i < rank; i++) n *= dim[i];
  return n;
}

/* ---- Gemm ---- */

typedef struct gemm_case {
  int64_t m, n, k;
  int trans_a, trans_b;
  float alpha, beta;
  int c_rank; /* -1: no c */
  int64_t c_dim[2];
  bool constant_b, constant_c;
} gemm_case;

static const gemm_case gemms[] = {
    {1, 10, 32, 0, 1, 1, 1, 1, {10}, true, true},       {5, 7, 33, 0, 0, 1, 1, 2, {1, 7}, true, true},
    {5, 7, 33, 1, 0, 0.5f, 2, 1, {1}, true, true},      {4, 3, 2, 1, 1, 1, 1, -1, {0}, true, true},
    {4, 3, 8, 0, 1, 2, 0, 1, {3}, true, true},          {4, 3, 8, 0, 1, 2, 3, 2, {4, 1}, true, true},
    {4, 3, 8, 0, 1, -1, 0.5f, 2, {4, 3}, true, false},  {4, 3, 8, 0, 1, 1, 1, 0, {0}, true, true},
    {4, 4, 8, 0, 0, 1, 1, 2, {4, 1}, true, true},       {4, 3, 8, 0, 0, 1, 1, 1, {3}, false, true},
    {4, 3, 8, 1, 1, 0.25f, 2, 2, {1, 3}, false, false}, {4, 3, 8, 0, 1, 3, 1, -1, {0}, false, false},
};

static void begin_gemm(op_case *t, const gemm_case *c) {
  op_begin(t, "Gemm", 13);
  op_int(t, "transA", c->trans_a);
  op_int(t, "transB", c->trans_b);
  op_float(t, "alpha", c->alpha);
  op_float(t, "beta", c->beta);
}

static int64_t a_index(const gemm_case *c, int64_t i, int64_t k) { return c->trans_a ? k * c->m + i : i * c->k + k; }
static int64_t b_index(const gemm_case *c, int64_t k, int64_t j) { return c->trans_b ? j * c->k + k : k * c->n + j; }

static double gemm_at(const gemm_case *c, const buffers *m, int64_t i, int64_t j) {
  double sum = 0;
  for (int64_t k = 0; k < c->k; k++) sum += (double)m->a[a_index(c, i, k)] * (double)m->b[b_index(c, k, j)];
  sum *= (double)c->alpha;
  if (c->c_rank < 0) return sum;
  int64_t columns = c->c_rank > 0 ? c->c_dim[c->c_rank - 1] : 1, rows = c->c_rank == 2 ? c->c_dim[0] : 1;
  return sum + (double)c->beta * (double)m->c[(rows > 1 ? i : 0) * columns + (columns > 1 ? j : 0)];
}

static void test_gemm(const gemm_case *c, const buffers *m) {
  op_case t;
  begin_gemm(&t, c);
  op_input(&t, ESPQ_F32, 2, c->trans_a ? (int64_t[]){c->k, c->m} : (int64_t[]){c->m, c->k}, m->a);
  const int64_t *b = c->trans_b ? (int64_t[]){c->n, c->k} : (int64_t[]){c->k, c->n};
  (c->constant_b ? op_constant : op_input)(&t, ESPQ_F32, 2, b, m->b);
  if (c->c_rank >= 0) (c->constant_c ? op_constant : op_input)(&t, ESPQ_F32, c->c_rank, c->c_dim, m->c);
  t.layout[0] = ESPQ_C8;
  if (op_ran(&t)) {
    double worst = 0;
    CHECK(t.result[0]->rank == 2 && t.result[0]->dim[0] == c->m && t.result[0]->dim[1] == c->n);
    for (int64_t i = 0; i < c->m; i++)
      for (int64_t j = 0; j < c->n; j++)
        worst = fmax(worst, fabs((double)op_f32(&t, i * c->n + j) - gemm_at(c, m, i, j)));
    if (!CHECK(worst < 1e-5)) fprintf(stderr, "  gemm %d: off by %g\n", (int)(c - gemms), worst);
  }
  op_end(&t);
}

typedef struct shape_case {
  const char *op;
  int ar, br, cr;
  int64_t a[4], b[4], c[2];
  int trans_a, trans_b;
  const char *expected;
} shape_case;

static const shape_case shapes[] = {
    {"Gemm", 2, 2, 1, {-1, 4}, {3, 4}, {3}, 0, 1, "?x3"},
    {"Gemm", 2, 2, 0, {4, 5}, {4, 3}, {0}, 1, 0, "5x3"},
    {"Gemm", 2, 2, 2, {-1, -1}, {4, 3}, {1, 3}, 0, 0, "?x3"},
    {"Gemm", 2, 2, 1, {2, 4}, {3, 5}, {3}, 0, 1, "shapes 2x4 of"},
    {"Gemm", 3, 2, 1, {1, 2, 4}, {3, 4}, {3}, 0, 1, "cannot be multiplied"},
    {"Gemm", 2, 2, 1, {2, 4}, {3, 4}, {2}, 0, 1, "has shape 2, expected one that broadcasts to 2x3"},
    {"Gemm", 2, 2, 2, {2, 4}, {3, 4}, {3, 3}, 0, 1, "has shape 3x3, expected"},
    {"MatMul", 2, 2, -1, {-1, 4}, {4, 3}, {0}, 0, 0, "?x3"},
    {"MatMul", 1, 1, -1, {4}, {4}, {0}, 0, 0, "scalar"},
    {"MatMul", 1, 3, -1, {4}, {2, 4, 3}, {0}, 0, 0, "2x3"},
    {"MatMul", 3, 1, -1, {2, 5, 4}, {4}, {0}, 0, 0, "2x5"},
    {"MatMul", 4, 3, -1, {7, 1, 5, 4}, {6, 4, 3}, {0}, 0, 0, "7x6x5x3"},
    {"MatMul", 2, 2, -1, {2, 4}, {3, 4}, {0}, 0, 0, "cannot be multiplied"},
    {"MatMul", 3, 3, -1, {2, 5, 4}, {3, 4, 3}, {0}, 0, 0, "do not broadcast"},
    {"MatMul", 0, 2, -1, {0}, {4, 3}, {0}, 0, 0, "cannot be multiplied"},
    {"MatMul", 4, 4, -1, {1 << 20, 1, 1 << 10, 1}, {1, 1 << 20, 1, 1 << 10}, {0}, 0, 0, "too many elements"},
};

static void test_shape(const shape_case *c) {
  op_case t;
  op_begin(&t, c->op, 13);
  op_input(&t, ESPQ_F32, c->ar, c->a, NULL);
  op_input(&t, ESPQ_F32, c->br, c->b, NULL);
  if (c->cr >= 0) op_input(&t, ESPQ_F32, c->cr, c->c, NULL);
  if (c->trans_a) op_int(&t, "transA", 1);
  if (c->trans_b) op_int(&t, "transB", 1);
  espq_status status = op_infer(&t);
  const char *got = status ? t.err.text : op_shape(&t, 0);
  if (!CHECK(status ? strstr(got, c->expected) != NULL : strcmp(got, c->expected) == 0))
    fprintf(stderr, "  expected '%s', got '%s'\n", c->expected, got);
  op_end(&t);
}

/* ---- MatMul ---- */

typedef struct matmul_case {
  int ar, br;
  int64_t a[4], b[4];
  bool constant_b;
} matmul_case;

static const matmul_case matmuls[] = {
    {2, 2, {3, 8}, {8, 5}, true},
    {2, 2, {3, 8}, {8, 5}, false},
    {3, 2, {2, 3, 8}, {8, 5}, true},
    {3, 2, {2, 3, 8}, {8, 5}, false},
    {4, 1, {2, 2, 3, 8}, {8}, true},
    {1, 2, {8}, {8, 5}, true},
    {1, 1, {8}, {8}, true},
    {1, 1, {8}, {8}, false},
    {1, 3, {8}, {2, 8, 5}, false},
    {4, 3, {2, 1, 3, 8}, {4, 8, 5}, false},
    {3, 4, {3, 2, 4}, {2, 1, 4, 3}, true},
    {3, 3, {2, 3, 4}, {2, 4, 3}, false},
};

/* Offset of the matrix that result matrix `index` takes from an operand of this shape, in a batch of 4 axes. */
static int64_t matrix_offset(int rank, const int64_t *dim, const int64_t *batch, int64_t index, int64_t matrix) {
  int64_t offset = 0, step = matrix;
  for (int axis = 3; axis >= 0; axis--) {
    int64_t at = index % batch[axis];
    index /= batch[axis];
    int k = axis - (4 - (rank - 2));
    if (k < 0) continue;
    if (dim[k] > 1) offset += at * step;
    step *= dim[k];
  }
  return offset;
}

static void test_matmul(const matmul_case *c, const buffers *m) {
  op_case t;
  op_begin(&t, "MatMul", 13);
  op_input(&t, ESPQ_F32, c->ar, c->a, m->a);
  (c->constant_b ? op_constant : op_input)(&t, ESPQ_F32, c->br, c->b, m->b);
  t.layout[0] = c->ar > 1 ? ESPQ_C8 : ESPQ_PLAIN;
  int64_t rows = c->ar > 1 ? c->a[c->ar - 2] : 1, columns = c->br > 1 ? c->b[c->br - 1] : 1, k = c->a[c->ar - 1];
  int64_t batch[4] = {1, 1, 1, 1}, total = 1;
  for (int i = 0; i < 4; i++) {
    int ka = i - (4 - (c->ar - 2)), kb = i - (4 - (c->br - 2));
    if (ka >= 0 && c->ar > 2) batch[i] = c->a[ka];
    if (kb >= 0 && c->br > 2 && c->b[kb] > batch[i]) batch[i] = c->b[kb];
    total *= batch[i];
  }
  if (op_ran(&t)) {
    double worst = 0;
    CHECK(t.result[0]->count == total * rows * columns);
    for (int64_t g = 0; g < total; g++)
      for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++) {
          int64_t oa = c->ar > 2 ? matrix_offset(c->ar, c->a, batch, g, rows * k) : 0;
          int64_t ob = c->br > 2 ? matrix_offset(c->br, c->b, batch, g, k * columns) : 0;
          double sum = 0;
          for (int64_t p = 0; p < k; p++) sum += (double)m->a[oa + i * k + p] * (double)m->b[ob + p * columns + j];
          worst = fmax(worst, fabs((double)op_f32(&t, (g * rows + i) * columns + j) - sum));
        }
    if (!CHECK(worst < 1e-5)) fprintf(stderr, "  matmul %d: off by %g\n", (int)(c - matmuls), worst);
  }
  op_end(&t);
}

/* ---- integers ---- */

typedef struct q_case {
  const char *op;
  espq_arithmetic arithmetic;
  int bits;
  int a_rank;
  int64_t a[3], n;
  int trans_b;
  float beta;
  int64_t bias; /* numbers of it: 0 none, 1 or n */
} q_case;

static const q_case quantized[] = {
    {"Gemm", ESPQ_ARITHMETIC_V1_TENSOR, 8, 2, {3, 33}, 17, 1, 1, 17},
    {"Gemm", ESPQ_ARITHMETIC_V1_TENSOR, 8, 2, {3, 33}, 17, 0, 1, 17},
    {"Gemm", ESPQ_ARITHMETIC_V1_TENSOR, 8, 2, {3, 5}, 4, 0, 0, 4},
    {"Gemm", ESPQ_ARITHMETIC_V1_TENSOR, 8, 2, {2, 5}, 4, 0, 1, 1},
    {"Gemm", ESPQ_ARITHMETIC_V1_CHANNEL, 8, 2, {3, 33}, 17, 0, 1, 17},
    {"Gemm", ESPQ_ARITHMETIC_V1_CHANNEL, 8, 2, {3, 33}, 17, 1, 1, 0},
    {"Gemm", ESPQ_ARITHMETIC_V1_TENSOR, 16, 2, {3, 33}, 17, 0, 1, 17},
    {"MatMul", ESPQ_ARITHMETIC_V1_TENSOR, 8, 2, {3, 20}, 6, 0, 1, 0},
    {"MatMul", ESPQ_ARITHMETIC_V1_CHANNEL, 8, 3, {2, 3, 20}, 6, 0, 1, 0},
    {"MatMul", ESPQ_ARITHMETIC_V1_TENSOR, 16, 3, {2, 3, 20}, 17, 0, 1, 0},
    {"MatMul", ESPQ_ARITHMETIC_V1_TENSOR, 8, 1, {20}, 6, 0, 1, 0},
};

enum { E_IN = -7, E_OUT = -4 };

static int64_t integer_at(const void *p, int bits, int64_t i) {
  return bits == 8 ? ((const int8_t *)p)[i] : ((const int16_t *)p)[i];
}

static int64_t requantize(int64_t sum, const q_case *c, int ew, bool has_bias, int64_t bias) {
  sum = espq_fixed_clip(sum, c->bits == 8 ? 20 : 40);
  if (c->arithmetic == ESPQ_ARITHMETIC_V1_TENSOR)
    return espq_fixed_clip(espq_fixed_floor(sum, E_OUT - E_IN - ew) + bias, c->bits);
  int64_t v = espq_fixed_floor(sum, 4);
  if (has_bias) v = espq_fixed_clip(v + bias, 16);
  return espq_fixed_clip(espq_fixed_floor(v, -(E_IN + ew + 4 - E_OUT)), 8);
}

static void begin_quantized(op_case *t, const q_case *c, buffers *m, int32_t *ew) {
  bool channels = c->arithmetic == ESPQ_ARITHMETIC_V1_CHANNEL, gemm = c->op[0] == 'G';
  espq_dtype type = c->bits == 8 ? ESPQ_I8 : ESPQ_I16;
  int bias_bits = channels ? 16 : c->bits;
  int64_t k = c->a[c->a_rank - 1];
  int32_t eb[32];
  for (int i = 0; i < 32; i++) {
    ew[i] = channels ? -6 - i % 5 : c->bits == 8 ? -6 : -14;
    eb[i] = channels ? E_IN + ew[i] + 4 : E_OUT;
  }
  op_begin(t, c->op, 13);
  op_integer(t, c->arithmetic);
  if (gemm) op_int(t, "transB", c->trans_b), op_float(t, "beta", c->beta);
  op_fill_ints(m->qa, c->bits, MAX, 11);
  op_fill_ints(m->qb, c->bits, MAX, 12);
  op_fill_ints(m->qc, bias_bits, MAX, 13);
  op_input(t, type, c->a_rank, c->a, m->qa);
  op_constant(t, type, 2, c->trans_b ? (int64_t[]){c->n, k} : (int64_t[]){k, c->n}, m->qb);
  if (c->bias) op_constant(t, bias_bits == 8 ? ESPQ_I8 : ESPQ_I16, 1, &c->bias, m->qc);
  if (c->bias) op_quants(t, 2, bias_bits, channels ? (int)c->bias : 1, eb);
  op_quant(t, 0, c->bits, E_IN);
  op_quants(t, 1, c->bits, channels ? (int)c->n : 1, ew);
  op_quant(t, OP_OUT, c->bits, E_OUT);
}

static void test_quantized(const q_case *c, buffers *m) {
  op_case t;
  int32_t ew[32];
  bool channels = c->arithmetic == ESPQ_ARITHMETIC_V1_CHANNEL;
  int64_t k = c->a[c->a_rank - 1], rows = count_of(c->a_rank, c->a) / k, wrong = 0;
  begin_quantized(&t, c, m, ew);
  if (op_ran(&t)) {
    CHECK(t.out_layout == (c->a_rank == 2 ? ESPQ_NHWC16 : ESPQ_PLAIN));
    CHECK(t.result[0]->count == rows * c->n);
    for (int64_t i = 0; i < rows; i++)
      for (int64_t j = 0; j < c->n; j++) {
        int64_t sum = 0, bias = 0;
        for (int64_t p = 0; p < k; p++)
          sum +=
              integer_at(m->qa, c->bits, i * k + p) * integer_at(m->qb, c->bits, c->trans_b ? j * k + p : p * c->n + j);
        bool has_bias = c->bias && c->beta != 0;
        if (has_bias) bias = integer_at(m->qc, channels ? 16 : c->bits, c->bias == 1 ? 0 : j);
        wrong += op_integer_at(&t, i * c->n + j) != requantize(sum, c, ew[j], has_bias, bias);
      }
    if (!CHECK(wrong == 0)) fprintf(stderr, "  case %d: %d wrong\n", (int)(c - quantized), (int)wrong);
  }
  op_end(&t);
}

static void test_integer_refusals(void) {
  int8_t a[8] = {0}, b[8] = {0};
  op_case t;
  op_begin(&t, "Gemm", 13);
  op_integer(&t, ESPQ_ARITHMETIC_V1_TENSOR);
  op_input(&t, ESPQ_I8, 2, (int64_t[]){2, 4}, a);
  op_constant(&t, ESPQ_I8, 2, (int64_t[]){4, 2}, b);
  op_quant(&t, 0, 8, -7);
  op_quant(&t, 1, 8, -7);
  op_quant(&t, OP_OUT, 8, -7);
  op_float(&t, "alpha", 0.5f);
  op_refused(&t, op_run(&t), ESPQ_EUNSUPPORTED, "alpha 0.5");
  op_float(&t, "alpha", 1);
  CHECK(op_run(&t) == ESPQ_OK);
  t.g->arithmetic = ESPQ_ARITHMETIC_NONE;
  op_refused(&t, op_run(&t), ESPQ_EBUG, "without an arithmetic");
  op_end(&t);
}

/* ---- batch rule and reasons ---- */

static bool mixes(op_case *t) {
  espq_call call;
  CHECK(op_infer(t) == ESPQ_OK && espq_call_init(&call, t->g, t->node, NULL, &t->err) == ESPQ_OK);
  bool answer = t->g->nodes[t->node].op->mixes_batch(&call);
  espq_call_free(&call);
  return answer;
}

static bool matmul_mixes(int ar, const int64_t *a, bool constant_a, int br, const int64_t *b, bool constant_b) {
  op_case t;
  op_begin(&t, "MatMul", 13);
  (constant_a ? op_constant : op_input)(&t, ESPQ_F32, ar, a, NULL);
  (constant_b ? op_constant : op_input)(&t, ESPQ_F32, br, b, NULL);
  bool answer = mixes(&t);
  op_end(&t);
  return answer;
}

static bool gemm_mixes(bool constant_b, int trans_a, int c_rank, const int64_t *c, bool constant_c) {
  op_case t;
  op_begin(&t, "Gemm", 13);
  op_int(&t, "transA", trans_a);
  op_input(&t, ESPQ_F32, 2, (int64_t[]){4, 4}, NULL);
  (constant_b ? op_constant : op_input)(&t, ESPQ_F32, 2, (int64_t[]){4, 4}, NULL);
  if (c_rank >= 0) (constant_c ? op_constant : op_input)(&t, ESPQ_F32, c_rank, c, NULL);
  bool answer = mixes(&t);
  op_end(&t);
  return answer;
}

static void test_batch_rule(void) {
  const int64_t s1[] = {4}, s22[] = {4, 4}, s122[] = {1, 4, 4}, s222[] = {2, 4, 4};
  CHECK(!matmul_mixes(2, s22, false, 2, s22, true));
  CHECK(!matmul_mixes(3, s222, false, 2, s22, true));
  CHECK(!matmul_mixes(3, s222, false, 3, s122, true));
  CHECK(matmul_mixes(3, s222, false, 3, s222, true));
  CHECK(matmul_mixes(2, s22, false, 3, s122, true));
  CHECK(matmul_mixes(1, s1, false, 2, s22, true));
  CHECK(matmul_mixes(2, s22, false, 2, s22, false));
  CHECK(!matmul_mixes(3, s222, false, 3, s222, false));
  CHECK(!matmul_mixes(2, s22, true, 3, s222, false));
  CHECK(matmul_mixes(2, s22, true, 2, s22, false));
  CHECK(matmul_mixes(3, s222, true, 3, s222, false));
  CHECK(!gemm_mixes(true, 0, -1, NULL, true));
  CHECK(gemm_mixes(true, 1, -1, NULL, true));
  CHECK(gemm_mixes(false, 0, -1, NULL, true));
  CHECK(!gemm_mixes(true, 0, 1, s1, true));
  CHECK(gemm_mixes(true, 0, 1, s1, false));
  CHECK(gemm_mixes(true, 0, 2, s22, true));
  CHECK(!gemm_mixes(true, 0, 2, s22, false));
}

static void why_not(const gemm_case *c, const char *piece) {
  op_case t;
  espq_call call;
  char text[512];
  begin_gemm(&t, c);
  op_input(&t, ESPQ_F32, 2, c->trans_a ? (int64_t[]){c->k, c->m} : (int64_t[]){c->m, c->k}, NULL);
  const int64_t *b = c->trans_b ? (int64_t[]){c->n, c->k} : (int64_t[]){c->k, c->n};
  (c->constant_b ? op_constant : op_input)(&t, ESPQ_F32, 2, b, NULL);
  if (c->c_rank >= 0) (c->constant_c ? op_constant : op_input)(&t, ESPQ_F32, c->c_rank, c->c_dim, NULL);
  CHECK(op_infer(&t) == ESPQ_OK && espq_call_init(&call, t.g, t.node, NULL, &t.err) == ESPQ_OK);
  const char *got = t.g->nodes[t.node].op->why_not(&call, text, sizeof text);
  if (!CHECK(piece ? got && strstr(got, piece) : !got)) fprintf(stderr, "  got '%s'\n", got ? got : "nothing");
  espq_call_free(&call);
  op_end(&t);
}

static void test_reasons(void) {
  why_not(&gemms[0], NULL);
  why_not(&gemms[1], NULL);
  why_not(&gemms[2], "transA is not 0");
  why_not(&gemms[4], "alpha is 2");
  why_not(&(gemm_case){4, 3, 8, 0, 0, 1, 0.5f, 1, {3}, true, true}, "beta is 0.5");
  why_not(&gemms[8], "differs from row to row");
  why_not(&gemms[9], "computed at run time");
}

int main(void) {
  static buffers m;
  op_fill(m.a, MAX, 1);
  op_fill(m.b, MAX, 2);
  op_fill(m.c, MAX, 3);
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) test_shape(&shapes[i]);
  for (size_t i = 0; i < sizeof gemms / sizeof *gemms; i++) test_gemm(&gemms[i], &m);
  for (size_t i = 0; i < sizeof matmuls / sizeof *matmuls; i++) test_matmul(&matmuls[i], &m);
  for (size_t i = 0; i < sizeof quantized / sizeof *quantized; i++) test_quantized(&quantized[i], &m);
  test_integer_refusals();
  test_batch_rule();
  test_reasons();
  return check_report();
}
