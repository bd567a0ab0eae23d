/* Concat: shapes, layouts that stay and layouts that cannot, exponents that must agree. */
#include "ops/run_op.h"

enum { MAX = 4096, PARTS = 4 };

/* ---- shape rules ---- */

typedef struct shape_case {
  int n;
  int ranks[3];
  int64_t dims[3][4];
  int64_t axis;
  const char *expected; /* shape, or a piece of the message */
} shape_case;

static const shape_case shapes[] = {
    {2, {3, 3}, {{2, 3, 4}, {2, 5, 4}}, 1, "2x8x4"},
    {2, {3, 3}, {{2, 3, 4}, {2, 3, 1}}, -1, "2x3x5"},
    {3, {3, 3, 3}, {{2, 3, 4}, {0, 3, 4}, {1, 3, 4}}, -3, "3x3x4"},
    {1, {2}, {{2, 3}}, 0, "2x3"},
    {2, {3, 3}, {{-1, 3, 4}, {2, -1, 4}}, 1, "2x?x4"},
    {2, {3, 3}, {{-1, 3, 4}, {-1, 3, 4}}, 0, "?x3x4"},
    {2, {3, 3}, {{2, 3, 4}, {2, 5, 3}}, 1, "input 1"},
    {2, {3, 3}, {{2, 3, 4}, {2, 5, 3}}, 1, "shape 2x5x3, expected 2x3x4 but for axis 1"},
    {2, {3, 2}, {{2, 3, 4}, {2, 3}}, 1, "shape 2x3, expected 2x3x4"},
    {2, {3, 3}, {{2, 3, 4}, {2, 3, 4}}, 3, "axis 3 is outside of a tensor of rank 3"},
    {2, {3, 3}, {{2, 3, 4}, {2, 3, 4}}, INT64_MIN, "axis -9223372036854775808 is outside"},
    {2, {2, 2}, {{0, INT64_MAX}, {0, INT64_MAX}}, 1, "too "},
    {2, {1, 0}, {{2}, {0}}, 0, "shape scalar, expected 2"},
    {1, {0}, {{0}}, 0, "axis 0 is outside of a tensor of rank 0"},
};

static void test_shapes(void) {
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    const shape_case *c = &shapes[i];
    op_case t;
    op_begin(&t, "Concat", 13);
    for (int k = 0; k < c->n; k++) op_input(&t, ESPQ_I32, c->ranks[k], c->dims[k], NULL);
    op_int(&t, "axis", c->axis);
    CHECK(op_verify(&t) == ESPQ_OK);
    const char *got = op_infer(&t) ? t.err.text : op_shape(&t, 0);
    if (!CHECK(strstr(got, c->expected))) fprintf(stderr, "  shapes %d: got '%s'\n", (int)i, got);
    op_end(&t);
  }
}

/* ---- numbers ---- */

typedef struct join {
  int n, rank;
  int64_t dims[PARTS][5];
  int axis;
  int block; /* channels may stay in blocks of at most so many: 0 none, 8 or 16 */
} join;

static const join joins[] = {
    {2, 4, {{2, 16, 3, 2}, {2, 16, 3, 2}}, 1, 16},
    {3, 4, {{2, 32, 3, 2}, {2, 16, 3, 2}, {2, 5, 3, 2}}, 1, 16},
    {2, 4, {{2, 8, 3, 2}, {2, 16, 3, 2}}, 1, 8},
    {2, 4, {{2, 5, 3, 2}, {2, 16, 3, 2}}, 1, 0},
    {2, 4, {{1, 19, 3, 2}, {2, 19, 3, 2}}, 0, 16},
    {2, 4, {{2, 19, 3, 2}, {2, 19, 1, 2}}, 2, 16},
    {4, 4, {{2, 3, 3, 2}, {2, 3, 3, 1}, {2, 3, 3, 0}, {2, 3, 3, 4}}, 3, 16},
    {2, 3, {{2, 16, 5}, {2, 3, 5}}, 1, 16},
    {2, 3, {{2, 18, 5}, {2, 18, 2}}, 2, 16},
    {2, 2, {{3, 48}, {3, 7}}, 1, 16},
    {2, 2, {{3, 7}, {2, 7}}, 0, 16},
    {1, 4, {{2, 17, 3, 2}}, 1, 16},
    {2, 5, {{1, 2, 3, 2, 2}, {1, 2, 1, 2, 2}}, 2, 0},
    {2, 1, {{3}, {4}}, 0, 0},
};
enum { JOINS = sizeof joins / sizeof *joins };

static int64_t product(const int64_t *dim, int from, int to) {
  int64_t n = 1;
  for (int i = from; i < to; i++) n *= dim[i];
  return n;
}

/* Where element i of the result is found: part *k, at the returned index. */
static int64_t find(const join *j, int64_t i, int *k) {
  int64_t inner = product(j->dims[0], j->axis + 1, j->rank), sum = 0;
  for (int p = 0; p < j->n; p++) sum += j->dims[p][j->axis];
  int64_t outer = i / inner / sum, along = i / inner % sum;
  for (*k = 0; along >= j->dims[*k][j->axis]; ++*k) along -= j->dims[*k][j->axis];
  return (outer * j->dims[*k][j->axis] + along) * inner + i % inner;
}

static void check_elements(op_case *t, const join *j, size_t size, const void *const *parts, const char *what) {
  int64_t wrong = 0;
  for (int64_t i = 0; i < t->result[0]->count; i++) {
    int k;
    int64_t from = find(j, i, &k);
    wrong += memcmp((const char *)t->result[0]->data + (size_t)i * size, (const char *)parts[k] + (size_t)from * size,
                    size) != 0;
  }
  if (!CHECK(wrong == 0)) fprintf(stderr, "  join %d, %s\n", (int)(j - joins), what);
}

static int64_t total(const join *j) {
  int64_t n = 0;
  for (int k = 0; k < j->n; k++) n += product(j->dims[k], 0, j->rank);
  return n;
}

/* Every part in `layout`, but one of them PLAIN: the executor brings it along. */
static void test_join(const join *j, espq_dtype type, espq_layout layout, int plain, bool constant) {
  op_case t;
  static unsigned char data[PARTS][MAX * 8];
  const void *parts[PARTS] = {data[0], data[1], data[2], data[3]};
  bool q = type == ESPQ_I8 || type == ESPQ_I16;
  for (int k = 0; k < PARTS; k++) {
    op_fill_ints(data[k], 8, MAX * 8, (uint32_t)k + 1);
    if (type == ESPQ_F32) op_fill((float *)data[k], MAX, (uint32_t)k + 1);
  }
  op_begin(&t, "Concat", 13);
  if (q) op_integer(&t, ESPQ_ARITHMETIC_V1_TENSOR);
  for (int k = 0; k < j->n; k++) {
    bool fixed = constant && k == j->n - 1;
    (fixed ? op_constant : op_input)(&t, type, j->rank, j->dims[k], data[k]);
    if (k != plain) t.layout[k] = layout;
    if (q) op_quant(&t, k, type == ESPQ_I8 ? 8 : 16, -5);
  }
  if (q) op_quant(&t, OP_OUT, type == ESPQ_I8 ? 8 : 16, -5);
  op_int(&t, "axis", j->axis);
  if (op_ran(&t)) {
    bool stays = j->block >= espq_layout_block(layout) && !constant && !(plain == 0 && j->n == 1);
    CHECK(t.out_layout == (stays ? layout : ESPQ_PLAIN));
    CHECK(t.result[0]->count == total(j));
    check_elements(&t, j, espq_dtype_size(type), parts, espq_dtype_name(type));
  }
  op_end(&t);
}

static void test_joins(const join *j) {
  static const espq_dtype others[] = {ESPQ_BOOL, ESPQ_F16, ESPQ_I64};
  bool blocks = j->rank >= 2 && j->rank <= 4;
  for (int constant = 0; constant < 2; constant++)
    for (int plain = -1; plain < 2; plain++) {
      test_join(j, ESPQ_F32, ESPQ_PLAIN, plain, constant);
      test_join(j, ESPQ_I8, ESPQ_PLAIN, plain, constant);
      if (!blocks) continue;
      test_join(j, ESPQ_F32, ESPQ_C8, plain, constant);
      test_join(j, ESPQ_F32, ESPQ_C16, plain, constant);
      test_join(j, ESPQ_I8, ESPQ_NHWC16, plain, constant);
      test_join(j, ESPQ_I16, ESPQ_NHWC16, plain, constant);
    }
  for (int i = 0; i < 3; i++) test_join(j, others[i], ESPQ_PLAIN, -1, false);
}

/* ---- rules ---- */

static void test_exponents(void) {
  op_case t;
  int8_t x[4] = {1, 2, 3, 4}, zero[4] = {0};
  op_begin(&t, "Concat", 13);
  op_integer(&t, ESPQ_ARITHMETIC_V1_TENSOR);
  op_input(&t, ESPQ_I8, 2, (int64_t[]){2, 2}, x);
  op_input(&t, ESPQ_I8, 2, (int64_t[]){2, 2}, zero);
  op_int(&t, "axis", 1);
  op_quant(&t, 0, 8, -5);
  op_quant(&t, 1, 8, -4);
  op_quant(&t, OP_OUT, 8, -5);
  op_refused(&t, op_run(&t), ESPQ_EUNSUPPORTED, "has exponent -4 and output");
  op_quant(&t, 1, 8, INT32_MIN); /* nothing but zeros */
  if (op_ran(&t)) CHECK(memcmp(t.result[0]->data, (int8_t[]){1, 2, 0, 0, 3, 4, 0, 0}, 8) == 0);
  op_end(&t);
}

static void test_rules(void) {
  op_case t;
  espq_call call;
  op_begin(&t, "Concat", 13);
  op_input(&t, ESPQ_F32, 2, (int64_t[]){2, 3}, NULL);
  op_input(&t, ESPQ_I64, 2, (int64_t[]){2, 3}, NULL);
  op_refused(&t, op_verify(&t), ESPQ_EFORMAT, "attribute 'axis' is missing");
  op_int(&t, "axis", 0);
  op_refused(&t, op_infer(&t), ESPQ_EFORMAT, "type int64, expected float32 like input 0");
  for (int axis = -2; axis < 2; axis++) {
    op_int(&t, "axis", axis);
    op_must(!espq_call_init(&call, t.g, t.node, NULL, &t.err), t.err.text);
    CHECK(t.g->nodes[t.node].op->mixes_batch(&call) == (axis == 0 || axis == -2));
    espq_call_free(&call);
  }
  op_end(&t);

  op_begin(&t, "Concat", 13);
  op_input(&t, ESPQ_F32, 2, (int64_t[]){2, 3}, NULL);
  op_absent(&t);
  op_int(&t, "axis", 0);
  op_refused(&t, op_infer(&t), ESPQ_EFORMAT, "input 1 is missing");
  op_end(&t);
}

int main(void) {
  test_shapes();
  for (int i = 0; i < JOINS; i++) test_joins(&joins[i]);
  test_exponents();
  test_rules();
  return check_report();
}
