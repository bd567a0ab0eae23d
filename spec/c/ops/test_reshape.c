/* Reshape, Flatten, Squeeze, Unsqueeze, Identity, Dropout and Shape: the shapes, and that elements stay where they are. */
#include "ops/run_op.h"

enum { MAX = 2048 };

typedef struct list {
  int n;
  int64_t v[9];
} list;

/* One node with at most one list: a constant input, or an attribute. */
typedef struct shape_case {
  const char *op;
  int64_t opset;
  int rank;
  int64_t dim[8];
  bool given;
  list list;
  const char *attr;     /* NULL: the list is input 1 */
  const char *expected; /* shape, or a piece of the message */
} shape_case;

static const shape_case shapes[] = {
    {"Reshape", 13, 4, {2, 3, 4, 5}, true, {2, {6, 20}}, NULL, "6x20"},
    {"Reshape", 13, 4, {2, 3, 4, 5}, true, {2, {0, -1}}, NULL, "2x60"},
    {"Reshape", 13, 4, {2, 3, 4, 5}, true, {3, {-1, 0, 10}}, NULL, "4x3x10"},
    {"Reshape", 13, 4, {2, 3, 4, 5}, true, {8, {1, 2, 1, 3, 2, 2, 5, 1}}, NULL, "1x2x1x3x2x2x5x1"},
    {"Reshape", 13, 1, {1}, true, {0, {0}}, NULL, "scalar"},
    {"Reshape", 13, 0, {0}, true, {1, {-1}}, NULL, "1"},
    {"Reshape", 13, 4, {-1, 3, 4, 5}, true, {2, {0, -1}}, NULL, "?x60"},
    {"Reshape", 13, 4, {-1, 3, 4, 5}, true, {2, {0, 60}}, NULL, "?x60"},
    {"Reshape", 13, 4, {-1, 3, 4, 5}, true, {2, {-1, 60}}, NULL, "?x60"},
    {"Reshape", 13, 4, {-1, 3, 4, 5}, true, {2, {0, 61}}, NULL, "convert_model_batch_to_dynamic"},
    {"Reshape", 13, 2, {0, 3}, true, {2, {0, 3}}, NULL, "0x3"},
    {"Reshape", 13, 2, {0, 3}, true, {2, {3, -1}}, NULL, "3x0"},
    {"Reshape", 13, 4, {2, 3, 4, 5}, true, {2, {7, 20}}, NULL, "shape 2x3x4x5 does not fit into shape 7x20"},
    {"Reshape", 13, 4, {2, 3, 4, 5}, true, {2, {7, -1}}, NULL, "does not fit into"},
    {"Reshape", 13, 4, {2, 3, 4, 5}, true, {2, {-1, -1}}, NULL, "two entries of -1"},
    {"Reshape", 13, 4, {2, 3, 4, 5}, true, {2, {-2, 60}}, NULL, "entry 0 of the shape is -2"},
    {"Reshape", 13, 1, {6}, true, {2, {6, 0}}, NULL, "entry 1 of the shape is 0 (copy), but the input has only rank 1"},
    {"Reshape", 13, 1, {6}, true, {3, {INT64_MAX, INT64_MAX, -1}}, NULL, "has too many elements"},
    {"Reshape", 13, 1, {6}, true, {2, {INT64_MAX, 3}}, NULL, "has too many elements"},
    {"Reshape", 13, 1, {6}, true, {9, {1, 1, 1, 1, 1, 1, 1, 1, 6}}, NULL, "has 9 numbers, expected at most 8"},
    {"Flatten", 13, 4, {2, 3, 4, 5}, false, {0}, NULL, "2x60"},
    {"Flatten", 13, 1, {6}, false, {0}, NULL, "6x1"},
    {"Flatten", 13, 4, {-1, 3, 4, 5}, false, {0}, NULL, "?x60"},
    {"Squeeze", 13, 4, {1, 3, 1, 5}, false, {0}, NULL, "3x5"},
    {"Squeeze", 13, 4, {1, 3, 1, 5}, true, {1, {2}}, NULL, "1x3x5"},
    {"Squeeze", 13, 4, {1, 3, 1, 5}, true, {2, {-2, -4}}, NULL, "3x5"},
    {"Squeeze", 11, 4, {1, 3, 1, 5}, true, {1, {2}}, "axes", "1x3x5"},
    {"Squeeze", 11, 4, {1, 3, 1, 5}, false, {0}, NULL, "3x5"},
    {"Squeeze", 13, 2, {1, 1}, false, {0}, NULL, "scalar"},
    {"Squeeze", 13, 4, {-1, 3, 1, 1}, true, {2, {2, 3}}, NULL, "?x3"},
    {"Squeeze", 13, 4, {1, 3, 1, 5}, true, {1, {1}}, NULL, "axis 1 has 3 entries, expected 1"},
    {"Squeeze", 13, 2, {0, 1}, true, {1, {0}}, NULL, "axis 0 has 0 entries, expected 1"},
    {"Squeeze", 13, 4, {1, 3, 1, 5}, true, {1, {4}}, NULL, "axis 4 is outside of a tensor of rank 4"},
    {"Squeeze", 13, 4, {1, 3, 1, 5}, true, {1, {INT64_MIN}}, NULL, "is outside"},
    {"Squeeze", 13, 4, {1, 3, 1, 5}, true, {2, {2, -2}}, NULL, "axis 2 is named twice"},
    {"Unsqueeze", 13, 2, {3, 5}, true, {2, {0, 3}}, NULL, "1x3x5x1"},
    {"Unsqueeze", 13, 2, {3, 5}, true, {2, {-1, 1}}, NULL, "3x1x5x1"},
    {"Unsqueeze", 11, 2, {3, 5}, true, {1, {1}}, "axes", "3x1x5"},
    {"Unsqueeze", 13, 0, {0}, true, {1, {0}}, NULL, "1"},
    {"Unsqueeze", 13, 2, {-1, 5}, true, {1, {2}}, NULL, "?x5x1"},
    {"Unsqueeze", 13, 2, {3, 5}, true, {1, {3}}, NULL, "axis 3 is outside of a tensor of rank 3"},
    {"Unsqueeze", 13, 2, {3, 5}, true, {2, {1, 1}}, NULL, "axis 1 is named twice"},
    {"Unsqueeze", 13, 7, {1, 1, 1, 1, 1, 1, 1}, true, {2, {0, 1}}, NULL, "rank 9: at most 8"},
    {"Identity", 13, 3, {2, -1, 3}, false, {0}, NULL, "2x?x3"},
    {"Dropout", 13, 3, {2, 4, 3}, false, {0}, NULL, "2x4x3"},
    {"Shape", 13, 3, {2, -1, 3}, false, {0}, NULL, "3"},
    {"Shape", 13, 0, {0}, false, {0}, NULL, "0"},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static void begin_case(op_case *t, const shape_case *c, espq_dtype type, const void *x) {
  op_begin(t, c->op, c->opset);
  op_input(t, type, c->rank, c->dim, x);
  if (!c->given) return;
  if (c->attr) op_ints(t, c->attr, c->list.n, c->list.v);
  else op_constant(t, ESPQ_I64, 1, (int64_t[]){c->list.n}, c->list.n ? c->list.v : NULL);
}

static bool is_shape(const char *text) {
  return text[0] == 's' ? text[1] == 'c' : text[0] == '?' || (text[0] >= '0' && text[0] <= '9');
}

static void test_shape(int i) {
  op_case t;
  const shape_case *c = &shapes[i];
  begin_case(&t, c, ESPQ_F32, NULL);
  espq_status status = op_verify(&t);
  if (!status) status = op_infer(&t);
  const char *got = status ? t.err.text : op_shape(&t, 0);
  bool right = is_shape(c->expected) ? !status && !strcmp(got, c->expected) : status && strstr(got, c->expected);
  if (!CHECK(right)) fprintf(stderr, "  %s, case %d: expected '%s', got '%s'\n", c->op, i, c->expected, got);
  op_end(&t);
}

/* ---- elements ---- */

static void test_run(const shape_case *c, espq_dtype type, espq_layout layout, bool q, bool constant) {
  static unsigned char x[MAX * 8];
  op_case t;
  int bits = type == ESPQ_I16 ? 16 : 8;
  op_fill_ints(x, 8, MAX * 8, 5);
  if (type == ESPQ_F32) op_fill((float *)x, MAX, 5);
  begin_case(&t, c, type, x);
  if (constant) {
    op_end(&t);
    op_begin(&t, c->op, c->opset);
    op_constant(&t, type, c->rank, c->dim, x);
    if (c->given && !c->attr) op_constant(&t, ESPQ_I64, 1, (int64_t[]){c->list.n}, c->list.n ? c->list.v : NULL);
    if (c->given && c->attr) op_ints(&t, c->attr, c->list.n, c->list.v);
  } else t.layout[0] = layout;
  if (q) {
    op_integer(&t, ESPQ_ARITHMETIC_V1_TENSOR);
    op_quant(&t, 0, bits, -3);
    op_quant(&t, OP_OUT, bits, -3);
  }
  if (op_ran(&t)) {
    CHECK(t.aliased == !constant);
    bool same = memcmp(t.result[0]->data, x, espq_tensor_bytes(t.result[0])) == 0;
    if (!CHECK(same)) fprintf(stderr, "  %s, case %d, layout %d\n", c->op, (int)(c - shapes), layout);
  }
  if (q) {
    op_quant(&t, OP_OUT, bits, -4);
    op_refused(&t, op_run(&t), ESPQ_EUNSUPPORTED, "must be quantized alike");
  }
  op_end(&t);
}

static void test_runs(const shape_case *c) {
  static const espq_dtype others[] = {ESPQ_BOOL, ESPQ_F16, ESPQ_I64};
  bool blocks = c->rank >= 2 && c->rank <= 4;
  if (!is_shape(c->expected) || strchr(c->expected, '?') || strcmp(c->op, "Shape") == 0) return;
  for (int constant = 0; constant < 2; constant++) {
    test_run(c, ESPQ_F32, ESPQ_PLAIN, false, constant);
    test_run(c, ESPQ_I8, ESPQ_PLAIN, true, constant);
    test_run(c, ESPQ_I16, blocks ? ESPQ_NHWC16 : ESPQ_PLAIN, true, constant);
    for (int i = 0; i < 3; i++) test_run(c, others[i], ESPQ_PLAIN, false, constant);
  }
  if (!blocks) return;
  test_run(c, ESPQ_F32, ESPQ_C8, false, false);
  test_run(c, ESPQ_F32, ESPQ_C16, false, false);
  test_run(c, ESPQ_I8, ESPQ_NHWC16, true, false);
}

/* One pixel per channel: the blocks may stay, so a pooled tensor goes on to Gemm without a copy. */
static void test_blocks_stay(void) {
  static const struct {
    const char *op;
    int rank;
    int64_t dim[4];
    bool stays;
  } cases[] = {{"Flatten", 4, {2, 20, 1, 1}, true},  {"Squeeze", 4, {2, 20, 1, 1}, true},
               {"Identity", 4, {2, 20, 3, 1}, true}, {"Dropout", 4, {2, 20, 3, 1}, true},
               {"Flatten", 4, {2, 20, 1, 3}, false}, {"Squeeze", 4, {1, 20, 1, 3}, false},
               {"Squeeze", 4, {1, 20, 1, 1}, false}};
  static float x[MAX];
  op_fill(x, MAX, 1);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    op_case t;
    op_begin(&t, cases[i].op, 13);
    op_input(&t, ESPQ_F32, cases[i].rank, cases[i].dim, x);
    t.layout[0] = ESPQ_C16;
    if (op_ran(&t)) {
      CHECK(t.out_layout == (cases[i].stays ? ESPQ_C16 : ESPQ_PLAIN));
      CHECK(memcmp(t.result[0]->data, x, espq_tensor_bytes(t.result[0])) == 0);
    }
    op_end(&t);
  }
}

/* ---- rules ---- */

static void with_call(op_case *t, espq_call *call) {
  op_must(!op_infer(t), t->err.text);
  op_must(!espq_call_init(call, t->g, t->node, NULL, &t->err), t->err.text);
}

static void test_flatten_axes(void) {
  static const int64_t axes[] = {0, 2, 4, -1, -4, 5, -5, INT64_MIN};
  static const char *const expected[] = {"1x120", "6x20", "120x1", "24x5", "1x120", "axis 5", "axis -5", "axis -92"};
  for (int i = 0; i < 8; i++) {
    op_case t;
    op_begin(&t, "Flatten", 13);
    op_input(&t, ESPQ_F32, 4, (int64_t[]){2, 3, 4, 5}, NULL);
    op_int(&t, "axis", axes[i]);
    const char *got = op_infer(&t) ? t.err.text : op_shape(&t, 0);
    if (!CHECK(strstr(got, expected[i]))) fprintf(stderr, "  flatten %d: got '%s'\n", i, got);
    op_end(&t);
  }
}

static void test_allowzero(void) {
  op_case t;
  op_begin(&t, "Reshape", 14);
  op_input(&t, ESPQ_F32, 2, (int64_t[]){0, 3}, NULL);
  op_constant(&t, ESPQ_I64, 1, (int64_t[]){2}, (int64_t[]){3, 0});
  op_int(&t, "allowzero", 1);
  CHECK(op_infer(&t) == ESPQ_OK && strcmp(op_shape(&t, 0), "3x0") == 0);
  op_end(&t);
}

static void test_computed(void) {
  op_case t;
  op_begin(&t, "Reshape", 13); /* a shape that only a run knows */
  op_input(&t, ESPQ_F32, 2, (int64_t[]){2, 3}, NULL);
  op_input(&t, ESPQ_I64, 1, (int64_t[]){2}, NULL);
  CHECK(op_infer(&t) == ESPQ_OK && strcmp(op_shape(&t, 0), "unknown") == 0 && op_output(&t, 0)->dtype == ESPQ_F32);
  op_end(&t);
  op_begin(&t, "Squeeze", 13);
  op_input(&t, ESPQ_F32, 2, (int64_t[]){2, 1}, NULL);
  op_input(&t, ESPQ_I64, 1, (int64_t[]){1}, NULL);
  CHECK(op_infer(&t) == ESPQ_OK && strcmp(op_shape(&t, 0), "unknown") == 0);
  op_end(&t);
  op_begin(&t, "Reshape", 13);
  op_input(&t, ESPQ_F32, 2, (int64_t[]){2, 3}, NULL);
  op_constant(&t, ESPQ_F32, 1, (int64_t[]){2}, NULL);
  op_refused(&t, op_infer(&t), ESPQ_EFORMAT, "type float32, expected int64 or int32");
  op_end(&t);
}

static void test_squeeze_mixes(void) {
  for (int form = 0; form < 3; form++) { /* no axes, an attribute, an input */
    op_case t;
    espq_call call;
    op_begin(&t, "Squeeze", form == 1 ? 11 : 13);
    op_input(&t, ESPQ_F32, 3, (int64_t[]){4, 1, 3}, NULL);
    if (form == 1) op_ints(&t, "axes", 1, (int64_t[]){1});
    if (form == 2) op_constant(&t, ESPQ_I64, 1, (int64_t[]){1}, (int64_t[]){1});
    with_call(&t, &call);
    CHECK(t.g->nodes[t.node].op->mixes_batch(&call) == (form == 0));
    espq_call_free(&call);
    op_end(&t);
  }
}

static void test_dropout(void) {
  op_case t;
  espq_call call;
  char text[512];
  float x[6] = {1, 2, 3, 4, 5, 6};
  for (int training = 0; training < 2; training++) {
    op_begin(&t, "Dropout", 13);
    op_input(&t, ESPQ_F32, 2, (int64_t[]){2, 3}, x);
    op_constant(&t, ESPQ_F32, 0, NULL, (float[]){0.25f});
    op_constant(&t, ESPQ_BOOL, 0, NULL, (unsigned char[]){(unsigned char)training});
    with_call(&t, &call);
    const char *why = t.g->nodes[t.node].op->why_not(&call, text, sizeof text);
    CHECK(training ? why && strstr(why, "training mode") : !why);
    espq_call_free(&call);
    op_end(&t);
  }
  op_begin_outputs(&t, "Dropout", 10, 2);
  op_input(&t, ESPQ_F32, 2, (int64_t[]){2, 3}, x);
  CHECK(op_infer(&t) == ESPQ_OK && op_output(&t, 1)->dtype == ESPQ_BOOL && strcmp(op_shape(&t, 1), "2x3") == 0);
  op_end(&t);
}

static void test_shape_values(void) {
  static const struct {
    bool start_given, end_given;
    int64_t start, end, expected[4];
    int n;
  } cases[] = {{false, false, 0, 0, {2, 5, 3}, 3},
               {true, false, 1, 0, {5, 3}, 2},
               {true, true, -2, -1, {5}, 1},
               {true, true, 2, 1, {0}, 0},
               {true, true, -9, 9, {2, 5, 3}, 3},
               {true, true, 9, 9, {0}, 0},
               {true, true, INT64_MIN, INT64_MAX, {2, 5, 3}, 3},
               {true, true, INT64_MAX, INT64_MIN, {0}, 0}};
  float x[30] = {0};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    op_case t;
    espq_call call;
    op_begin(&t, "Shape", 15);
    op_input(&t, ESPQ_F32, 3, (int64_t[]){2, 5, 3}, x);
    if (cases[i].start_given) op_int(&t, "start", cases[i].start);
    if (cases[i].end_given) op_int(&t, "end", cases[i].end);
    if (op_ran(&t)) {
      CHECK(t.result[0]->dtype == ESPQ_I64 && t.result[0]->count == cases[i].n);
      for (int k = 0; k < cases[i].n && k < t.result[0]->count; k++)
        CHECK(op_integer_at(&t, k) == cases[i].expected[k]);
    }
    with_call(&t, &call);
    CHECK(t.g->nodes[t.node].op->mixes_batch(&call));
    espq_call_free(&call);
    op_end(&t);
  }
}

int main(void) {
  for (int i = 0; i < SHAPES; i++) {
    test_shape(i);
    test_runs(&shapes[i]);
  }
  test_blocks_stay();
  test_flatten_axes();
  test_allowzero();
  test_computed();
  test_squeeze_mixes();
  test_dropout();
  test_shape_values();
  return check_report();
}
