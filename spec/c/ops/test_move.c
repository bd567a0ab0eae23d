/* Transpose, Pad, Slice and Expand: both forms of their parameters, hostile numbers, any element type. */
#include "ops/run_op.h"

enum { MAX = 4096, REST = INT32_MAX /* to the end, as exporters write it */ };

/* A list: n numbers. */
typedef struct list {
  int n;
  int64_t v[16];
} list;

static void add_list(op_case *t, const char *attr, const list *l) { op_ints(t, attr, l->n, l->v); }

static void add_constant(op_case *t, const list *l) {
  op_constant(t, ESPQ_I64, 1, (int64_t[]){l->n}, l->n ? l->v : NULL);
}

/* The shape, or the message. */
static const char *inferred(op_case *t) {
  espq_status status = op_verify(t);
  if (!status) status = op_infer(t);
  return status ? t->err.text : op_shape(t, 0);
}

static void expect(op_case *t, const char *expected, const char *what, int number) {
  const char *got = inferred(t);
  if (!CHECK(strstr(got, expected))) fprintf(stderr, "  %s %d: expected '%s', got '%s'\n", what, number, expected, got);
}

static bool mixes(op_case *t) {
  espq_call call;
  op_must(!op_infer(t), t->err.text);
  op_must(!espq_call_init(&call, t->g, t->node, NULL, &t->err), t->err.text);
  bool yes = t->g->nodes[t->node].op->mixes_batch(&call);
  espq_call_free(&call);
  return yes;
}

static const char *reason(op_case *t) {
  static char text[512];
  espq_call call;
  espq_ops_resolve(t->g);
  op_must(!espq_call_init(&call, t->g, t->node, NULL, &t->err), t->err.text);
  const char *got = t->g->nodes[t->node].op->why_not(&call, text, sizeof text);
  espq_call_free(&call);
  return got ? got : "none";
}

/* Element types of every size; the data is the same bytes for all. */
static const espq_dtype types[] = {ESPQ_F32, ESPQ_BOOL, ESPQ_F16, ESPQ_I64};
enum { TYPES = 4 };

static const void *bytes(void) {
  static int64_t data[MAX];
  if (!data[0])
    for (int i = 0; i < MAX; i++) data[i] = (int64_t)(0x0101010101010101u * (uint64_t)(i % 199 + 1));
  return data;
}

/* Coordinates of element i. */
static void locate(int rank, const int64_t *dim, int64_t i, int64_t *at) {
  for (int k = rank - 1; k >= 0; i /= dim[k--]) at[k] = i % dim[k];
}

static int64_t flat(int rank, const int64_t *dim, const int64_t *at) {
  int64_t i = 0;
  for (int k = 0; k < rank; k++) i = i * dim[k] + at[k];
  return i;
}

static bool same_element(const op_case *t, int64_t i, int64_t from) {
  size_t size = espq_dtype_size(t->result[0]->dtype);
  return memcmp((const char *)t->result[0]->data + (size_t)i * size, (const char *)bytes() + (size_t)from * size,
                size) == 0;
}

/* ---- Transpose ---- */

typedef struct transpose_case {
  int rank;
  int64_t dim[5];
  list perm; /* none: reversed */
  const char *expected;
} transpose_case;

static const transpose_case transposes[] = {
    {4, {2, 17, 3, 4}, {4, {0, 2, 3, 1}}, "2x3x4x17"},
    {4, {2, 3, 4, 5}, {4, {0, 3, 1, 2}}, "2x5x3x4"},
    {4, {2, 3, 4, 5}, {0, {0}}, "5x4x3x2"},
    {3, {2, 3, 4}, {3, {1, 0, 2}}, "3x2x4"},
    {5, {2, 1, 3, 2, 2}, {5, {0, 2, 1, 4, 3}}, "2x3x1x2x2"},
    {2, {2, 3}, {2, {0, 1}}, "2x3"},
    {1, {4}, {1, {0}}, "4"},
    {0, {0}, {0, {0}}, "scalar"},
    {2, {-1, 3}, {2, {1, 0}}, "3x?"},
    {2, {0, 3}, {2, {1, 0}}, "3x0"},
    {2, {2, 3}, {2, {0, 0}}, "perm is no order of the 2 axes"},
    {2, {2, 3}, {2, {0, 2}}, "perm is no order"},
    {2, {2, 3}, {2, {-1, 0}}, "perm is no order"},
    {2, {2, 3}, {2, {INT64_MAX, 0}}, "perm is no order"},
    {2, {2, 3}, {1, {0}}, "perm is no order"},
    {2, {2, 3}, {9, {0, 1, 2, 3, 4, 5, 6, 7, 8}}, "at most 8"},
};

static void run_transpose(const transpose_case *c, espq_dtype type, espq_layout layout) {
  op_case t;
  int64_t wrong = 0, perm[5], at[5], from[5];
  op_begin(&t, "Transpose", 13);
  op_input(&t, type, c->rank, c->dim, bytes());
  if (c->perm.n) add_list(&t, "perm", &c->perm);
  t.layout[0] = layout;
  for (int i = 0; i < c->rank; i++) perm[i] = c->perm.n ? c->perm.v[i] : c->rank - 1 - i;
  if (op_ran(&t)) {
    const espq_tensor *y = t.result[0];
    for (int64_t i = 0; i < y->count; i++) {
      locate(y->rank, y->dim, i, at);
      for (int k = 0; k < c->rank; k++) from[perm[k]] = at[k];
      wrong += !same_element(&t, i, flat(c->rank, c->dim, from));
    }
    if (!CHECK(wrong == 0)) fprintf(stderr, "  transpose %d\n", (int)(c - transposes));
    CHECK(mixes(&t) == (c->rank > 0 && perm[0] != 0));
  }
  op_end(&t);
}

static void test_transpose(void) {
  for (int i = 0; i < (int)(sizeof transposes / sizeof *transposes); i++) {
    const transpose_case *c = &transposes[i];
    op_case t;
    op_begin(&t, "Transpose", 13);
    op_input(&t, ESPQ_F32, c->rank, c->dim, NULL);
    if (c->perm.n) add_list(&t, "perm", &c->perm);
    expect(&t, c->expected, "transpose", i);
    op_end(&t);
    if (c->expected[0] == 'p' || c->expected[0] == 'a' || strchr(c->expected, '?')) continue;
    for (int k = 0; k < TYPES; k++) run_transpose(c, types[k], ESPQ_PLAIN);
    if (c->rank >= 2 && c->rank <= 4) run_transpose(c, ESPQ_F32, ESPQ_C16);
  }
}

/* ---- Slice ---- */

typedef struct slice_case {
  int rank;
  int64_t dim[4];
  list starts, ends, axes, steps;
  const char *expected;
} slice_case;

static const slice_case slices[] = {
    {2, {4, 6}, {2, {1, 2}}, {2, {3, 5}}, {0, {0}}, {0, {0}}, "2x3"},
    {2, {4, 6}, {1, {1}}, {1, {REST}}, {1, {1}}, {0, {0}}, "4x5"},
    {2, {4, 6}, {1, {1}}, {1, {INT64_MAX}}, {1, {-1}}, {1, {2}}, "4x3"},
    {2, {4, 6}, {1, {-1}}, {1, {INT64_MIN}}, {1, {1}}, {1, {-1}}, "4x6"},
    {2, {4, 6}, {1, {-2}}, {1, {0}}, {1, {1}}, {1, {-2}}, "4x2"},
    {2, {4, 6}, {1, {100}}, {1, {-100}}, {1, {1}}, {1, {-3}}, "4x2"},
    {2, {4, 6}, {1, {-100}}, {1, {100}}, {1, {0}}, {1, {3}}, "2x6"},
    {2, {4, 6}, {1, {4}}, {1, {2}}, {1, {1}}, {0, {0}}, "4x0"},
    {2, {4, 6}, {1, {0}}, {1, {6}}, {1, {1}}, {1, {INT64_MAX}}, "4x1"},
    {2, {4, 6}, {1, {5}}, {1, {INT64_MIN}}, {1, {1}}, {1, {INT64_MIN}}, "4x1"},
    {2, {4, 6}, {1, {0}}, {1, {6}}, {1, {1}}, {1, {5}}, "4x2"},
    {3, {2, 5, 3}, {2, {1, 0}}, {2, {4, 2}}, {2, {1, 2}}, {2, {2, 1}}, "2x2x2"},
    {2, {0, 6}, {1, {0}}, {1, {REST}}, {1, {0}}, {1, {-1}}, "0x6"},
    {2, {4, 6}, {0, {0}}, {0, {0}}, {0, {0}}, {0, {0}}, "4x6"},
    {2, {-1, 6}, {1, {1}}, {1, {3}}, {1, {1}}, {0, {0}}, "?x2"},
    {2, {-1, 6}, {1, {1}}, {1, {3}}, {1, {0}}, {0, {0}}, "?x6"},
    {2, {4, 6}, {1, {0}}, {1, {6}}, {1, {1}}, {1, {0}}, "step 0 is 0"},
    {2, {4, 6}, {1, {0}}, {2, {6, 6}}, {1, {1}}, {0, {0}}, "1 starts, 2 ends and 1 steps"},
    {2, {4, 6}, {1, {0}}, {1, {6}}, {1, {1}}, {2, {1, 1}}, "1 starts, 1 ends and 2 steps"},
    {2, {4, 6}, {1, {0}}, {1, {6}}, {2, {0, 1}}, {0, {0}}, "numbers for 1 axes, expected 2"},
    {2, {4, 6}, {3, {0}}, {3, {6}}, {0, {0}}, {0, {0}}, "numbers for 3 axes, expected 2"},
    {2, {4, 6}, {1, {0}}, {1, {6}}, {1, {2}}, {0, {0}}, "axis 2 is outside"},
    {2, {4, 6}, {1, {0}}, {1, {6}}, {1, {INT64_MIN}}, {0, {0}}, "is outside"},
    {2, {4, 6}, {2, {0}}, {2, {6, 6}}, {2, {1, -1}}, {0, {0}}, "axis 1 is named twice"},
};

static void begin_slice(op_case *t, const slice_case *c, int64_t opset, espq_dtype type, const void *x) {
  op_begin(t, "Slice", opset);
  op_input(t, type, c->rank, c->dim, x);
  if (opset < 10) {
    add_list(t, "starts", &c->starts);
    add_list(t, "ends", &c->ends);
    if (c->axes.n) add_list(t, "axes", &c->axes);
    return;
  }
  add_constant(t, &c->starts);
  add_constant(t, &c->ends);
  if (c->axes.n || c->steps.n) c->axes.n ? add_constant(t, &c->axes) : op_absent(t);
  if (c->steps.n) add_constant(t, &c->steps);
}

/* The definition: walk from the clamped start while before the clamped end. */
static int64_t walk(const slice_case *c, int axis, int64_t *list_of) {
  int64_t d = c->dim[axis], n = 0, start = 0, end = d, step = 1;
  for (int i = 0; i < c->starts.n; i++) {
    int64_t a = c->axes.n ? c->axes.v[i] : i;
    if ((a < 0 ? a + c->rank : a) != axis) continue;
    start = c->starts.v[i], end = c->ends.v[i], step = c->steps.n ? c->steps.v[i] : 1;
  }
  start += start < 0 ? d : 0, end += end < 0 ? d : 0;
  if (step < 0 && start > d - 1) start = d - 1;
  if (start < 0) start = 0;
  if (end > d) end = d;
  if (end < -1) end = -1;
  __int128 at = start;
  for (; at >= 0 && at < d && (step > 0 ? at < end : at > end); at += step) list_of[n++] = (int64_t)at;
  return n;
}

/* Whether the first axis stays whole for any number of images. */
static bool is_open(const slice_case *c) {
  bool open = true;
  for (int i = 0; i < c->starts.n; i++) {
    int64_t a = c->axes.n ? c->axes.v[i] : i;
    if ((a < 0 ? a + c->rank : a) != 0) continue;
    open = c->starts.v[i] == 0 && c->ends.v[i] >= INT32_MAX && (!c->steps.n || c->steps.v[i] == 1);
  }
  return open;
}

static void run_slice(const slice_case *c, int64_t opset, espq_dtype type, espq_layout layout) {
  op_case t;
  int64_t wrong = 0, from[4][8], at[4], of[4], length[4];
  begin_slice(&t, c, opset, type, bytes());
  t.layout[0] = layout;
  if (op_ran(&t)) {
    const espq_tensor *y = t.result[0];
    for (int k = 0; k < c->rank; k++) CHECK((length[k] = walk(c, k, from[k])) == y->dim[k]);
    for (int64_t i = 0; i < y->count; i++) {
      locate(y->rank, y->dim, i, at);
      for (int k = 0; k < c->rank; k++) of[k] = from[k][at[k]];
      wrong += !same_element(&t, i, flat(c->rank, c->dim, of));
    }
    if (!CHECK(wrong == 0)) fprintf(stderr, "  slice %d\n", (int)(c - slices));
    bool whole = length[0] == c->dim[0] && (!length[0] || (from[0][0] == 0 && (length[0] < 2 || from[0][1] == 1)));
    CHECK(mixes(&t) == !(whole && is_open(c)));
  }
  op_end(&t);
}

static void test_slice(void) {
  for (int i = 0; i < (int)(sizeof slices / sizeof *slices); i++) {
    const slice_case *c = &slices[i];
    for (int64_t opset = 9; opset <= 13; opset += 4) {
      op_case t;
      if (opset == 9 && c->steps.n) continue;
      begin_slice(&t, c, opset, ESPQ_F32, NULL);
      expect(&t, c->expected, "slice", i);
      op_end(&t);
      if (strchr(c->expected, ' ') || strchr(c->expected, '?')) continue;
      for (int k = 0; k < TYPES; k++) run_slice(c, opset, types[k], ESPQ_PLAIN);
      run_slice(c, opset, ESPQ_F32, ESPQ_C8);
    }
  }
}

static void test_slice_forms(void) {
  op_case t;
  begin_slice(&t, &slices[0], 9, ESPQ_F32, NULL);
  t.g->opset = 13;
  expect(&t, "starts and ends are inputs since opset 10 (this is 13)", "slice form", 0);
  op_end(&t);
  begin_slice(&t, &slices[0], 13, ESPQ_F32, NULL);
  t.g->opset = 9;
  expect(&t, "3 inputs, expected 1 before opset 10 (this is 9)", "slice form", 1);
  op_end(&t);
  op_begin(&t, "Slice", 13); /* bounds that only a run knows */
  op_input(&t, ESPQ_F32, 3, (int64_t[]){2, 3, 4}, NULL);
  op_input(&t, ESPQ_I64, 1, (int64_t[]){1}, NULL);
  op_input(&t, ESPQ_I64, 1, (int64_t[]){1}, NULL);
  expect(&t, "?x?x?", "slice form", 2);
  CHECK(strstr(reason(&t), "is computed at run time") != NULL);
  CHECK(mixes(&t));
  op_end(&t);
  begin_slice(&t, &slices[0], 13, ESPQ_F32, NULL);
  CHECK(strcmp(reason(&t), "none") == 0);
  op_end(&t);
  op_begin(&t, "Slice", 13);
  op_input(&t, ESPQ_F32, 1, (int64_t[]){4}, NULL);
  op_constant(&t, ESPQ_F32, 1, (int64_t[]){1}, NULL);
  op_constant(&t, ESPQ_F32, 1, (int64_t[]){1}, NULL);
  expect(&t, "type float32, expected int64 or int32", "slice form", 3);
  op_end(&t);
}

/* ---- Pad ---- */

typedef struct pad_case {
  int rank;
  int64_t dim[4];
  list pads, axes;
  const char *mode; /* NULL: left out */
  const char *expected;
} pad_case;

static const pad_case padded[] = {
    {4, {1, 2, 3, 3}, {8, {0, 0, 1, 2, 0, 0, 3, 0}}, {0, {0}}, NULL, "1x2x7x5"},
    {4, {1, 2, 3, 3}, {8, {0, 0, 1, 2, 0, 0, 3, 0}}, {0, {0}}, "edge", "1x2x7x5"},
    {4, {1, 2, 4, 3}, {8, {0, 0, 1, 2, 0, 0, 3, 0}}, {0, {0}}, "reflect", "1x2x8x5"},
    {2, {4, 5}, {4, {-1, 2, 1, -3}}, {0, {0}}, "constant", "4x4"},
    {2, {4, 5}, {4, {-1, 2, 1, -3}}, {0, {0}}, "edge", "4x4"},
    {2, {4, 5}, {4, {-1, 1, 1, -3}}, {0, {0}}, "reflect", "4x3"},
    {2, {4, 5}, {4, {0, 0, 0, 0}}, {0, {0}}, "constant", "4x5"},
    {2, {4, 5}, {4, {-4, 0, 0, 0}}, {0, {0}}, "constant", "0x5"},
    {2, {0, 5}, {4, {1, 0, 1, 0}}, {0, {0}}, "constant", "2x5"},
    {3, {2, 3, 4}, {2, {1, 2}}, {1, {-1}}, "constant", "2x3x7"},
    {3, {2, 3, 4}, {4, {1, 2, 3, 4}}, {2, {2, 1}}, "edge", "2x9x8"},
    {2, {-1, 5}, {4, {0, 1, 0, 1}}, {0, {0}}, "constant", "?x7"},
    {2, {4, 5}, {4, {-3, 0, -2, 0}}, {0, {0}}, "constant", "pads of -3 and -2 leave nothing of axis 0"},
    {2, {0, 5}, {4, {1, 0, 1, 0}}, {0, {0}}, "edge", "leave nothing of axis 0"},
    {2, {4, 5}, {4, {-4, 0, 2, 0}}, {0, {0}}, "reflect", "leave nothing of axis 0"},
    {2, {4, 5}, {4, {-5, 0, 2, 0}}, {0, {0}}, "constant", "leave nothing of axis 0"},
    {2, {4, 5}, {4, {INT64_MAX, 0, INT64_MAX, 0}}, {0, {0}}, "constant", "are too large"},
    {2, {4, 5}, {4, {INT64_MIN, 0, 0, 0}}, {0, {0}}, "constant", "are too large"},
    {2, {4, 5}, {4, {1ll << 40, 0, 0, 1ll << 40}}, {0, {0}}, "constant", "output"},
    {2, {4, 5}, {3, {0, 0, 0}}, {0, {0}}, NULL, "pads has 3 numbers, expected two per axis"},
    {2, {4, 5}, {2, {0, 0}}, {0, {0}}, NULL, "pads has 2 numbers, expected 4"},
    {2, {4, 5}, {2, {0, 0}}, {2, {0, 1}}, NULL, "numbers for 1 axes, expected 2"},
    {2, {4, 5}, {4, {0, 0, 0, 0}}, {2, {0, -2}}, NULL, "axis 0 is named twice"},
    {2, {4, 5}, {2, {0, 0}}, {1, {2}}, NULL, "axis 2 is outside"},
    {2, {4, 5}, {4, {0, 0, 0, 0}}, {0, {0}}, "wrap", "mode is 'wrap', expected constant, edge or reflect"},
    {2, {4, 5}, {4, {0, 0, 0, 0}}, {0, {0}}, "mirror", "mode is 'mirror'"},
};

/* value: element number of the test data, or -1 for none. */
static void begin_pad(op_case *t, const pad_case *c, int64_t opset, espq_dtype type, const void *x, int value) {
  op_begin(t, "Pad", c->axes.n ? 18 : opset); /* axes came with opset 18 */
  op_input(t, type, c->rank, c->dim, x);
  if (c->mode) op_string(t, "mode", c->mode);
  if (opset < 11) {
    add_list(t, "pads", &c->pads);
    if (value >= 0) op_float(t, "value", ((const float *)bytes())[value]);
    return;
  }
  add_constant(t, &c->pads);
  if (value >= 0) op_constant(t, type, 0, NULL, (const char *)bytes() + (size_t)value * espq_dtype_size(type));
  else if (c->axes.n) op_absent(t);
  if (c->axes.n) add_constant(t, &c->axes);
}

/* Where position `at` of the padded axis comes from; -1: the value. */
static int64_t pad_source(const pad_case *c, int axis, int64_t at) {
  int64_t d = c->dim[axis], before = 0, after = 0;
  for (int i = 0; i < c->pads.n / 2; i++) {
    int64_t a = c->axes.n ? c->axes.v[i] : i;
    if ((a < 0 ? a + c->rank : a) == axis) before = c->pads.v[i], after = c->pads.v[i + c->pads.n / 2];
  }
  /* What a negative number cuts is gone before anything is repeated. */
  int64_t low = before < 0 ? -before : 0, high = d + (after < 0 ? after : 0);
  int64_t from = at - before;
  if (from >= low && from < high) return from;
  if (!c->mode || !strcmp(c->mode, "constant")) return -1;
  if (!strcmp(c->mode, "edge")) return from < low ? low : high - 1;
  while (from < low || from >= high) from = from < low ? 2 * low - from : 2 * (high - 1) - from;
  return from;
}

static void run_pad(const pad_case *c, int64_t opset, espq_dtype type, int value) {
  static const char zero[8] = {0};
  op_case t;
  int64_t wrong = 0, at[4], from[4];
  size_t size = espq_dtype_size(type);
  begin_pad(&t, c, opset, type, bytes(), value);
  if (op_ran(&t)) {
    const espq_tensor *y = t.result[0];
    const char *fill = value < 0 ? zero : (const char *)bytes() + (size_t)value * size;
    for (int64_t i = 0; i < y->count; i++) {
      bool inside = true;
      locate(y->rank, y->dim, i, at);
      for (int k = 0; k < c->rank; k++) inside &= (from[k] = pad_source(c, k, at[k])) >= 0;
      wrong += inside ? !same_element(&t, i, flat(c->rank, c->dim, from))
                      : memcmp((const char *)y->data + (size_t)i * size, fill, size) != 0;
    }
    if (!CHECK(wrong == 0)) fprintf(stderr, "  pad %d, opset %d\n", (int)(c - padded), (int)opset);
  }
  op_end(&t);
}

static void test_pad(void) {
  for (int i = 0; i < (int)(sizeof padded / sizeof *padded); i++) {
    const pad_case *c = &padded[i];
    for (int64_t opset = 10; opset <= 18; opset += 4) {
      op_case t;
      if (opset == 10 && c->axes.n) continue;
      begin_pad(&t, c, opset, ESPQ_F32, NULL, -1);
      expect(&t, c->expected, "pad", i);
      op_end(&t);
      if (strchr(c->expected, ' ') || strchr(c->expected, '?') || !strcmp(c->expected, "output")) continue;
      for (int value = -1; value < 8; value += 8) {
        run_pad(c, opset, ESPQ_F32, value);
        for (int k = 1; k < TYPES && opset > 10; k++) run_pad(c, opset, types[k], value);
      }
    }
  }
}

static void test_pad_q(int bits) {
  op_case t;
  int16_t x[6];
  const pad_case c = {2, {2, 3}, {4, {0, 1, 0, 1}}, {0, {0}}, NULL, ""};
  espq_dtype type = bits == 8 ? ESPQ_I8 : ESPQ_I16;
  op_fill_ints(x, bits, 6, 9);
  for (int form = 0; form < 4; form++) { /* an attribute; nothing; an integer; a float that was left */
    begin_pad(&t, &c, form ? 13 : 10, type, x, -1);
    if (form == 0) op_float(&t, "value", 1.5f);
    if (form == 2) op_constant(&t, type, 0, NULL, bits == 8 ? (const void *)(int8_t[]){12} : (int16_t[]){12});
    if (form == 3) op_constant(&t, ESPQ_F32, 1, (int64_t[]){1}, (float[]){1.5f});
    op_integer(&t, ESPQ_ARITHMETIC_V1_TENSOR);
    op_quant(&t, 0, bits, -3);
    op_quant(&t, OP_OUT, bits, -3);
    if (form == 2) op_quant(&t, 2, bits, -3);
    if (op_ran(&t))
      for (int64_t i = 0; i < 10; i++) {
        int64_t k = i % 5 - 1, from = i / 5 * 3 + k, want = form == 1 ? 0 : 12;
        if (k >= 0 && k < 3) want = bits == 8 ? ((int8_t *)x)[from] : x[from];
        CHECK(op_integer_at(&t, i) == want);
      }
    if (form == 2) {
      op_quant(&t, 2, bits, -4);
      op_refused(&t, op_run(&t), ESPQ_EUNSUPPORTED, "has exponent -4 and output");
    }
    op_quant(&t, OP_OUT, bits, -2);
    op_refused(&t, op_run(&t), ESPQ_EUNSUPPORTED, "must be quantized alike");
    op_end(&t);
  }
}

static void test_pad_forms(void) {
  op_case t;
  const pad_case c = {2, {2, 3}, {4, {0, 1, 0, 1}}, {0, {0}}, NULL, ""},
                 batch = {2, {2, 3}, {4, {0, 0, 1, 0}}, {0, {0}}, NULL, ""};
  begin_pad(&t, &c, 10, ESPQ_F32, NULL, -1);
  CHECK(!mixes(&t));
  t.g->opset = 13;
  expect(&t, "pads and value are inputs since opset 11 (this is 13)", "pad form", 0);
  op_end(&t);
  begin_pad(&t, &batch, 13, ESPQ_F32, NULL, -1);
  CHECK(mixes(&t) && strcmp(reason(&t), "none") == 0);
  t.g->opset = 10;
  expect(&t, "2 inputs, expected 1 before opset 11 (this is 10)", "pad form", 1);
  op_end(&t);
  op_begin(&t, "Pad", 13);
  op_input(&t, ESPQ_F32, 2, (int64_t[]){2, 3}, NULL);
  op_input(&t, ESPQ_I64, 1, (int64_t[]){4}, NULL);
  expect(&t, "?x?", "pad form", 2);
  CHECK(strstr(reason(&t), "is computed at run time") != NULL);
  op_end(&t);
  begin_pad(&t, &c, 13, ESPQ_F32, bytes(), -1); /* a value that is none */
  op_input(&t, ESPQ_F32, 0, NULL, bytes());
  op_refused(&t, op_run(&t), ESPQ_EUNSUPPORTED, "computed at run time, expected a constant");
  op_end(&t);
  begin_pad(&t, &c, 13, ESPQ_F32, bytes(), -1);
  op_constant(&t, ESPQ_I64, 1, (int64_t[]){2}, NULL);
  op_refused(&t, op_run(&t), ESPQ_EFORMAT, "holds 2 numbers of int64, expected one float32");
  op_end(&t);
  begin_pad(&t, &c, 10, ESPQ_I64, bytes(), 3);
  op_refused(&t, op_run(&t), ESPQ_EFORMAT, "a float value for a tensor of type int64");
  op_end(&t);
}

/* ---- Expand ---- */

typedef struct expand_case {
  int rank;
  int64_t dim[4];
  list shape;
  const char *expected;
} expand_case;

static const expand_case expands[] = {
    {2, {3, 1}, {2, {3, 4}}, "3x4"},
    {2, {3, 1}, {1, {4}}, "3x4"},
    {2, {3, 1}, {3, {2, 1, 6}}, "2x3x6"},
    {2, {3, 4}, {2, {1, 1}}, "3x4"},
    {0, {0}, {2, {2, 3}}, "2x3"},
    {1, {5}, {0, {0}}, "5"},
    {2, {3, 1}, {2, {1, 0}}, "3x0"},
    {2, {-1, 1}, {2, {1, 7}}, "?x7"},
    {2, {3, 4}, {2, {3, 0}}, "shapes 3x4 and 3x0 do not broadcast"},
    {2, {3, 4}, {2, {3, 5}}, "shapes 3x4 and 3x5 do not broadcast"},
    {2, {3, 1}, {2, {-1, 4}}, "entry 0 of the shape is -1"},
    {2, {1, 1}, {2, {1ll << 40, 1ll << 40}}, "output"},
    {2, {1, 1}, {9, {1, 1, 1, 1, 1, 1, 1, 1, 1}}, "at most 8"},
};

static void run_expand(const expand_case *c, espq_dtype type, bool q) {
  op_case t;
  int64_t wrong = 0, at[4];
  op_begin(&t, "Expand", 13);
  op_input(&t, type, c->rank, c->dim, bytes());
  add_constant(&t, &c->shape);
  if (q) {
    op_integer(&t, ESPQ_ARITHMETIC_V1_TENSOR);
    op_quant(&t, 0, 8, -1);
    op_quant(&t, OP_OUT, 8, -1);
  }
  if (op_ran(&t)) {
    const espq_tensor *y = t.result[0];
    for (int64_t i = 0; i < y->count; i++) {
      locate(y->rank, y->dim, i, at);
      for (int k = 0; k < c->rank; k++)
        if (c->dim[k] == 1) at[k + y->rank - c->rank] = 0;
      wrong += !same_element(&t, i, flat(c->rank, c->dim, at + y->rank - c->rank));
    }
    if (!CHECK(wrong == 0)) fprintf(stderr, "  expand %d\n", (int)(c - expands));
  }
  op_end(&t);
}

static void test_expand(void) {
  op_case t;
  for (int i = 0; i < (int)(sizeof expands / sizeof *expands); i++) {
    const expand_case *c = &expands[i];
    op_begin(&t, "Expand", 13);
    op_input(&t, ESPQ_F32, c->rank, c->dim, NULL);
    add_constant(&t, &c->shape);
    expect(&t, c->expected, "expand", i);
    op_end(&t);
    if (strchr(c->expected, ' ') || strchr(c->expected, '?') || !strcmp(c->expected, "output")) continue;
    for (int k = 0; k < TYPES; k++) run_expand(c, types[k], false);
    run_expand(c, ESPQ_I8, true);
  }
  op_begin(&t, "Expand", 13);
  op_input(&t, ESPQ_F32, 2, (int64_t[]){2, 3}, NULL);
  op_input(&t, ESPQ_I64, 1, (int64_t[]){4}, NULL);
  expect(&t, "unknown", "expand", 100);
  CHECK(strstr(reason(&t), "is computed at run time") != NULL);
  op_end(&t);
}

/* ---- integers: movement leaves them as they are, from blocks too ---- */

static void test_moves_q(int bits, espq_layout layout) {
  op_case t;
  int16_t x[2 * 17 * 6];
  espq_dtype type = bits == 8 ? ESPQ_I8 : ESPQ_I16;
  op_fill_ints(x, bits, 2 * 17 * 6, 3);
  for (int slice = 0; slice < 2; slice++) {
    int64_t wrong = 0;
    op_begin(&t, slice ? "Slice" : "Transpose", 13);
    op_integer(&t, ESPQ_ARITHMETIC_V1_CHANNEL);
    op_input(&t, type, 4, (int64_t[]){2, 17, 2, 3}, x);
    if (slice) add_constant(&t, &(list){1, {1}}), add_constant(&t, &(list){1, {17}}), add_constant(&t, &(list){1, {1}});
    else op_ints(&t, "perm", 4, (int64_t[]){0, 2, 3, 1});
    op_quant(&t, 0, bits, -6);
    op_quant(&t, OP_OUT, bits, -6);
    t.layout[0] = layout;
    if (op_ran(&t)) {
      for (int64_t i = 0; i < t.result[0]->count; i++) {
        int64_t from = slice ? i / 96 * 102 + 6 + i % 96 : i / 102 * 102 + i % 17 * 6 + i / 17 % 6;
        wrong += op_integer_at(&t, i) != (bits == 8 ? ((int8_t *)x)[from] : x[from]);
      }
      CHECK(wrong == 0);
    }
    op_quant(&t, OP_OUT, bits, -7);
    op_refused(&t, op_run(&t), ESPQ_EUNSUPPORTED, "must be quantized alike");
    op_end(&t);
  }
}

int main(void) {
  test_transpose();
  test_slice();
  test_slice_forms();
  test_pad();
  test_pad_q(8);
  test_pad_q(16);
  test_pad_forms();
  test_expand();
  for (int bits = 8; bits <= 16; bits += 8) test_moves_q(bits, ESPQ_PLAIN), test_moves_q(bits, ESPQ_NHWC16);
  return check_report();
}
