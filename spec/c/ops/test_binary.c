/* Add, Sub, Mul, Div, Max and Min: every kind of operand in every layout, in float and on integers. */
#include <math.h>

#include "ops/run_op.h"
#include "sim/fixed.h"

enum { MAX = 4096 };

typedef enum op_name { ADD, SUB, MUL, DIV, MAXIMUM, MINIMUM, OPS } op_name;
static const char *const names[OPS] = {"Add", "Sub", "Mul", "Div", "Max", "Min"};

/* Two operands. blocked: a result in blocks when the inputs are; rows_first: only if the operation commutes or is on
 * integers, as the per-channel operand comes first. */
typedef struct pair {
  int ranks[2];
  int64_t dims[2][5];
  bool constant[2];
  bool blocked, rows_first;
} pair;

static const pair pairs[] = {
    {{4, 4}, {{2, 17, 3, 2}, {2, 17, 3, 2}}, {0}, true, false},
    {{4, 4}, {{2, 17, 3, 2}, {1, 17, 1, 1}}, {0, true}, true, false},
    {{4, 3}, {{2, 17, 3, 2}, {17, 1, 1}}, {0, true}, true, false},
    {{4, 0}, {{2, 17, 3, 2}, {0}}, {0, true}, true, false},
    {{4, 4}, {{2, 17, 3, 2}, {2, 17, 1, 1}}, {0}, true, false}, /* a gate per image and channel */
    {{4, 4}, {{2, 17, 3, 2}, {1, 17, 1, 1}}, {0}, true, false},
    {{4, 4}, {{1, 17, 1, 1}, {2, 17, 3, 2}}, {true, 0}, true, true},
    {{4, 4}, {{2, 17, 1, 1}, {2, 17, 3, 2}}, {0}, true, true},
    {{1, 4}, {{1}, {2, 17, 3, 2}}, {true, 0}, true, true},
    {{4, 4}, {{2, 17, 3, 2}, {2, 17, 3, 2}}, {0, true}, true, false},
    {{4, 3}, {{2, 17, 3, 2}, {17, 3, 2}}, {0, true}, true, false}, /* an image */
    {{4, 4}, {{1, 17, 3, 2}, {2, 17, 3, 2}}, {true, 0}, true, false},
    {{4, 3}, {{2, 17, 3, 2}, {17, 3, 2}}, {0}, false, false}, /* computed, of another rank */
    {{4, 1}, {{2, 17, 3, 4}, {4}}, {0, true}, false, false},
    {{4, 4}, {{2, 17, 3, 4}, {2, 1, 3, 4}}, {0}, false, false},
    {{4, 4}, {{2, 17, 1, 4}, {1, 17, 3, 1}}, {0}, false, false},
    {{3, 2}, {{3, 16, 5}, {16, 1}}, {0, true}, true, false},
    {{2, 2}, {{3, 20}, {3, 20}}, {0}, true, false},
    {{2, 1}, {{3, 20}, {20}}, {0, true}, true, false},
    {{2, 2}, {{3, 20}, {3, 1}}, {0}, false, false},
    {{5, 4}, {{2, 3, 2, 2, 3}, {3, 1, 2, 1}}, {0, true}, false, false},
    {{1, 1}, {{7}, {1}}, {0}, false, false},
    {{0, 0}, {{0}, {0}}, {0}, false, false},
    {{4, 4}, {{2, 17, 0, 2}, {1, 17, 1, 1}}, {0, true}, true, false}, /* nothing */
};
enum { PAIRS = sizeof pairs / sizeof *pairs };

/* Where element i of a result of this shape comes from in an operand. */
static int64_t source(const espq_tensor *y, int rank, const int64_t *dim, int64_t i) {
  int64_t index = 0, step = 1;
  for (int axis = y->rank - 1; axis >= 0; axis--) {
    int64_t at = i % y->dim[axis];
    int k = axis - (y->rank - rank);
    i /= y->dim[axis];
    if (k < 0) continue;
    if (dim[k] > 1) index += at * step;
    step *= dim[k];
  }
  return index;
}

static float reference(op_name op, float a, float b) {
  switch (op) {
    case ADD: return a + b;
    case SUB: return a - b;
    case MUL: return a * b;
    case DIV: return a / b;
    case MAXIMUM: return a > b ? a : b;
    default: return a < b ? a : b;
  }
}

static bool has_layouts(const pair *p, int k) { return p->ranks[k] >= 2 && p->ranks[k] <= 4 && !p->constant[k]; }

static void add_operands(op_case *t, const pair *p, espq_dtype type, espq_layout layout, const void *const *data) {
  for (int k = 0; k < 2; k++) {
    (p->constant[k] ? op_constant : op_input)(t, type, p->ranks[k], p->dims[k], data[k]);
    if (has_layouts(p, k)) t->layout[k] = layout;
  }
}

static void test_float(op_name op, const pair *p, espq_layout layout, const float *a, const float *b) {
  op_case t;
  int64_t wrong = 0;
  op_begin(&t, names[op], 13);
  add_operands(&t, p, ESPQ_F32, layout, (const void *[]){a, b});
  CHECK(op_verify(&t) == ESPQ_OK);
  if (op_ran(&t)) {
    bool stays = p->blocked && !(p->rows_first && (op == SUB || op == DIV));
    CHECK(t.out_layout == (stays ? layout : ESPQ_PLAIN));
    for (int64_t i = 0; i < t.result[0]->count; i++) {
      float x = a[source(t.result[0], p->ranks[0], p->dims[0], i)];
      wrong += op_f32(&t, i) != reference(op, x, b[source(t.result[0], p->ranks[1], p->dims[1], i)]);
    }
    if (!CHECK(wrong == 0)) fprintf(stderr, "  %s, pair %d, layout %d\n", names[op], (int)(p - pairs), layout);
  }
  op_end(&t);
}

/* ---- integers ---- */

/* Chip rules (issue 4): Add floors twice, the others once. */
static int64_t exact(op_name op, int64_t a, int ea, int64_t b, int eb, int eo, int bits) {
  int larger = ea > eb ? ea : eb, smaller = ea < eb ? ea : eb;
  int64_t x = espq_fixed_clip(espq_fixed_floor(a, eo - ea), bits);
  int64_t y = espq_fixed_clip(espq_fixed_floor(b, eo - eb), bits);
  switch (op) {
    case ADD:
      return espq_fixed_clip(
          espq_fixed_floor(espq_fixed_floor(a, larger - ea) + espq_fixed_floor(b, larger - eb), eo - larger), bits);
    case SUB:
      return espq_fixed_clip(
          espq_fixed_floor(espq_fixed_left(a, ea - smaller) - espq_fixed_left(b, eb - smaller), eo - smaller), bits);
    case MUL: return espq_fixed_clip(espq_fixed_floor(a * b, eo - ea - eb), bits);
    case MAXIMUM: return x > y ? x : y;
    default: return x < y ? x : y;
  }
}

static int64_t at(const void *data, int bits, int64_t i) {
  return bits == 8 ? ((const int8_t *)data)[i] : ((const int16_t *)data)[i];
}

static void test_q(op_name op, const pair *p, espq_layout layout, int bits, int ea, int eb, int eo) {
  op_case t;
  static int16_t a[MAX], b[MAX];
  int64_t wrong = 0;
  op_fill_ints(a, bits, MAX, 7);
  op_fill_ints(b, bits, MAX, 8);
  op_begin(&t, names[op], 13);
  op_integer(&t, ESPQ_ARITHMETIC_V1_TENSOR);
  add_operands(&t, p, bits == 8 ? ESPQ_I8 : ESPQ_I16, layout, (const void *[]){a, b});
  op_quant(&t, 0, bits, ea);
  op_quant(&t, 1, bits, eb);
  op_quant(&t, OP_OUT, bits, eo);
  if (op_ran(&t)) {
    CHECK(t.out_layout == (p->blocked ? layout : ESPQ_PLAIN));
    for (int64_t i = 0; i < t.result[0]->count; i++) {
      int64_t x = at(a, bits, source(t.result[0], p->ranks[0], p->dims[0], i));
      int64_t y = at(b, bits, source(t.result[0], p->ranks[1], p->dims[1], i));
      int64_t want = eo == INT32_MIN ? 0 : exact(op, x, ea, y, eb, eo, bits);
      wrong += op_integer_at(&t, i) != want;
    }
    if (!CHECK(wrong == 0))
      fprintf(stderr, "  %s, pair %d, layout %d, %d bits, %d %d %d\n", names[op], (int)(p - pairs), layout, bits, ea,
              eb, eo);
  }
  op_end(&t);
}

/* A scale of 0: the integers are 0, whatever the exponent would make of them. */
static void test_zero_scale(op_name op, int zero, espq_layout layout) {
  op_case t;
  int8_t x[40], zeros[40] = {0};
  int64_t wrong = 0;
  op_fill_ints(x, 8, 40, 4);
  op_begin(&t, names[op], 13);
  op_integer(&t, ESPQ_ARITHMETIC_V1_TENSOR);
  for (int k = 0; k < 2; k++) {
    op_input(&t, ESPQ_I8, 2, (int64_t[]){2, 20}, k == zero ? zeros : x);
    op_quant(&t, k, 8, k == zero ? INT32_MIN : -3);
  }
  op_quant(&t, OP_OUT, 8, -3);
  t.layout[0] = layout;
  if (op_ran(&t)) {
    for (int i = 0; i < 40; i++)
      wrong += op_integer_at(&t, i) != exact(op, zero == 0 ? 0 : x[i], -3, zero == 1 ? 0 : x[i], -3, -3, 8);
    CHECK(wrong == 0);
  }
  op_end(&t);
}

static void test_q_refusals(void) {
  op_case t;
  int16_t x[6] = {0};
  op_begin(&t, "Mul", 13);
  op_integer(&t, ESPQ_ARITHMETIC_V1_TENSOR);
  op_input(&t, ESPQ_I8, 2, (int64_t[]){2, 3}, x);
  op_input(&t, ESPQ_I16, 2, (int64_t[]){2, 3}, x);
  op_quant(&t, 0, 8, -3);
  op_quant(&t, 1, 16, -3);
  op_quant(&t, OP_OUT, 8, -3);
  op_refused(&t, op_run(&t), ESPQ_EUNSUPPORTED, "int16 and int8, expected both int8 or both int16");
  op_end(&t);

  op_begin(&t, "Mul", 13); /* one exponent per channel, or none, is for weights */
  op_integer(&t, ESPQ_ARITHMETIC_V1_TENSOR);
  op_input(&t, ESPQ_I8, 2, (int64_t[]){2, 3}, x);
  op_constant(&t, ESPQ_I8, 1, (int64_t[]){3}, x);
  op_quant(&t, 0, 8, -3);
  op_quants(&t, 1, 8, 3, (int32_t[]){-1, -2, -3});
  op_quant(&t, OP_OUT, 8, -3);
  op_refused(&t, op_run(&t), ESPQ_EUNSUPPORTED, "has 3 exponents, expected one");
  op_quant(&t, 1, 8, INT32_MAX);
  op_refused(&t, op_run(&t), ESPQ_EUNSUPPORTED, "no finite scale");
  op_end(&t);
}

/* ---- Max and Min of any number ---- */

static void test_many(op_name op, int n, espq_layout layout, const float *x) {
  op_case t;
  const int64_t dim[] = {2, 17, 2, 2};
  int64_t wrong = 0, count = 2 * 17 * 2 * 2;
  op_begin(&t, names[op], 8);
  for (int k = 0; k < n; k++) {
    if (k == 2) op_constant(&t, ESPQ_F32, 3, (int64_t[]){17, 1, 1}, x + 100);
    else op_input(&t, ESPQ_F32, 4, dim, x + 200 * k);
    if (k != 2) t.layout[k] = layout;
  }
  CHECK(op_verify(&t) == ESPQ_OK);
  if (op_ran(&t)) {
    CHECK(t.out_layout == layout && t.in_place == (n < 3));
    for (int64_t i = 0; i < count; i++) {
      float want = x[i];
      for (int k = 1; k < n; k++) want = reference(op, want, k == 2 ? x[100 + i / 4 % 17] : x[200 * k + i]);
      wrong += op_f32(&t, i) != want;
    }
    CHECK(wrong == 0);
  }
  op_end(&t);
}

static void test_many_q(op_name op, int n, espq_layout layout) {
  op_case t;
  const int64_t dim[] = {2, 17, 2, 2};
  const int exponent[] = {-4, -2, -6, -3}, eo = -3;
  int8_t x[800];
  int64_t wrong = 0;
  op_fill_ints(x, 8, 800, 12);
  op_begin(&t, names[op], 8);
  op_integer(&t, ESPQ_ARITHMETIC_V1_TENSOR);
  for (int k = 0; k < n; k++) {
    op_input(&t, ESPQ_I8, 4, dim, x + 200 * k);
    op_quant(&t, k, 8, exponent[k]);
    t.layout[k] = layout;
  }
  op_quant(&t, OP_OUT, 8, eo);
  if (op_ran(&t)) {
    CHECK(t.out_layout == layout);
    for (int64_t i = 0; i < 2 * 17 * 2 * 2; i++) {
      int64_t want = exact(op, x[i], exponent[0], x[i], exponent[0], eo, 8);
      for (int k = 1; k < n; k++) want = exact(op, want, eo, x[200 * k + i], exponent[k], eo, 8);
      wrong += op_integer_at(&t, i) != want;
    }
    CHECK(wrong == 0);
  }
  op_end(&t);
}

/* ---- rules ---- */

typedef struct shape_case {
  int ranks[2];
  int64_t dims[2][4];
  const char *expected; /* shape, or a piece of the message */
} shape_case;

static const shape_case shapes[] = {
    {{2, 2}, {{2, 3}, {2, 3}}, "2x3"},
    {{3, 1}, {{2, 1, 3}, {4, 0}}, "shapes 2x1x3 and 4 do not broadcast"},
    {{3, 2}, {{2, 1, 3}, {4, 1}}, "2x4x3"},
    {{2, 2}, {{-1, 3}, {1, 3}}, "?x3"},
    {{2, 2}, {{-1, 3}, {5, 3}}, "5x3"},
    {{2, 2}, {{0, 3}, {1, 3}}, "0x3"},
    {{2, 2}, {{0, 3}, {2, 3}}, "shapes 0x3 and 2x3 do not broadcast"},
    {{2, 2}, {{1ll << 40, 1}, {1, 1ll << 40}}, "has too many elements"},
    {{0, 2}, {{0}, {3, 4}}, "3x4"},
};

static void test_shapes(void) {
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    op_case t;
    op_begin(&t, "Add", 13);
    for (int k = 0; k < 2; k++) op_input(&t, ESPQ_F32, shapes[i].ranks[k], shapes[i].dims[k], NULL);
    espq_status status = op_infer(&t);
    const char *got = status ? t.err.text : op_shape(&t, 0);
    if (!CHECK(strstr(got, shapes[i].expected))) fprintf(stderr, "  shapes %d: got '%s'\n", (int)i, got);
    op_end(&t);
  }
}

static void test_rules(void) {
  op_case t;
  op_begin(&t, "Add", 13);
  op_input(&t, ESPQ_BOOL, 1, (int64_t[]){2}, NULL);
  op_input(&t, ESPQ_BOOL, 1, (int64_t[]){2}, NULL);
  op_refused(&t, op_infer(&t), ESPQ_EUNSUPPORTED, "type bool, expected float32");
  op_int(&t, "broadcast", 1);
  op_refused(&t, op_verify(&t), ESPQ_EFORMAT, "unknown attribute 'broadcast'");
  op_end(&t);

  op_begin(&t, "Add", 6); /* its broadcasting was another */
  op_input(&t, ESPQ_F32, 1, (int64_t[]){2}, NULL);
  op_input(&t, ESPQ_F32, 1, (int64_t[]){2}, NULL);
  op_refused(&t, op_verify(&t), ESPQ_EUNSUPPORTED, "opset 6 is not understood, only from 7 on");
  op_end(&t);

  op_begin(&t, "Max", 13);
  op_input(&t, ESPQ_F32, 1, (int64_t[]){2}, NULL);
  op_absent(&t);
  op_refused(&t, op_infer(&t), ESPQ_EFORMAT, "input 1 is missing");
  op_end(&t);
}

static void test_nan(void) {
  op_case t;
  float a[] = {NAN, 1, 0, -INFINITY}, b[] = {1, NAN, 0, 2};
  for (int k = 0; k < 2; k++) {
    op_begin(&t, k ? "Max" : "Min", 13);
    op_input(&t, ESPQ_F32, 1, (int64_t[]){4}, a);
    op_input(&t, ESPQ_F32, 1, (int64_t[]){4}, b);
    if (op_ran(&t)) CHECK(isnan(op_f32(&t, 0)) && isnan(op_f32(&t, 1)) && op_f32(&t, 3) == (k ? 2 : -INFINITY));
    op_end(&t);
  }
}

static void expect_reason(const char *op, espq_dtype type, bool constant, const char *piece) {
  op_case t;
  espq_call call;
  char text[512];
  op_begin(&t, op, 13);
  op_input(&t, ESPQ_F32, 1, (int64_t[]){2}, NULL);
  (constant ? op_constant : op_input)(&t, type, 1, (int64_t[]){2}, NULL);
  espq_ops_resolve(t.g);
  op_must(!espq_call_init(&call, t.g, t.node, NULL, &t.err), t.err.text);
  const char *got = t.g->nodes[t.node].op->why_not(&call, text, sizeof text);
  if (!CHECK(piece ? got && strstr(got, piece) : !got)) fprintf(stderr, "  got '%s'\n", got ? got : "nothing");
  espq_call_free(&call);
  op_end(&t);
}

int main(void) {
  static const espq_layout float_layouts[] = {ESPQ_PLAIN, ESPQ_C8, ESPQ_C16};
  static const int exponents[][3] = {{-4, -6, -3}, {-6, -4, -5}, {-7, -7, -14}, {2, -3, 0}, {-4, -6, INT32_MIN}};
  static float a[MAX], b[MAX];
  op_fill(a, MAX, 1);
  op_fill(b, MAX, 2);
  for (int i = 0; i < MAX; i++)
    if (b[i] == 0) b[i] = 1; /* for Div */
  for (int i = 0; i < PAIRS; i++) {
    const pair *p = &pairs[i];
    bool layouts = has_layouts(p, 0) || has_layouts(p, 1);
    for (int op = ADD; op < OPS; op++)
      for (int l = 0; l < (layouts ? 3 : 1); l++) test_float((op_name)op, p, float_layouts[l], a, b);
    for (int op = ADD; op < OPS; op++)
      for (size_t e = 0; e < sizeof exponents / sizeof *exponents && op != DIV; e++)
        for (int l = 0; l < (layouts ? 2 : 1); l++)
          for (int bits = 8; bits <= 16; bits += 8)
            test_q((op_name)op, p, l ? ESPQ_NHWC16 : ESPQ_PLAIN, bits, exponents[e][0], exponents[e][1],
                   exponents[e][2]);
  }
  for (int n = 1; n <= 4; n++)
    for (int op = MAXIMUM; op <= MINIMUM; op++) {
      for (int l = 0; l < 3; l++) test_many((op_name)op, n, float_layouts[l], a);
      test_many_q((op_name)op, n, ESPQ_PLAIN);
      test_many_q((op_name)op, n, ESPQ_NHWC16);
    }
  for (int op = ADD; op < OPS; op++)
    for (int zero = 0; zero < 2 && op != DIV; zero++) {
      test_zero_scale((op_name)op, zero, ESPQ_PLAIN);
      test_zero_scale((op_name)op, zero, ESPQ_NHWC16);
    }
  test_q_refusals();
  test_shapes();
  test_rules();
  test_nan();
  expect_reason("Add", ESPQ_F32, true, NULL);
  expect_reason("Add", ESPQ_F32, false, NULL);
  expect_reason("Sub", ESPQ_I64, true, "type int64; export the model in float32");
  expect_reason("Div", ESPQ_F32, true, "multiply by the reciprocal");
  expect_reason("Div", ESPQ_F32, false, "let the application divide");
  return check_report();
}
