/* The pools: shapes, refusals, both columns against loops over the definition. */
#include <math.h>

#include "ops/run_op.h"
#include "sim/fixed.h"

enum { MAX = 8192 };

/* ---- shape rules ---- */

typedef struct shape_case {
  int rank;
  int64_t x[6], kernel[4], strides[4], pads[8];
  const char *auto_pad;
  int ceil_mode;
  const char *expected; /* shape, or a piece of the message */
} shape_case;

static const shape_case shapes[] = {
    {4, {2, 3, 8, 9}, {2, 2}, {2, 2}, {0}, NULL, 0, "2x3x4x4"},
    {4, {2, 3, 8, 9}, {2, 2}, {2, 2}, {0}, NULL, 1, "2x3x4x5"},
    {4, {2, 3, 8, 9}, {3, 3}, {2, 2}, {1, 1, 1, 1}, NULL, 1, "2x3x5x5"},
    {4, {2, 3, 8, 9}, {2, 2}, {3, 3}, {0, 1, 0, 1}, NULL, 1, "2x3x3x4"},
    {4, {1, 1, 5, 5}, {1, 1}, {3, 3}, {0}, NULL, 1, "1x1x2x2"}, /* a third window would begin outside */
    {4, {2, 3, 8, 9}, {3, 3}, {2, 3}, {0}, "SAME_UPPER", 0, "2x3x4x3"},
    {4, {2, 3, 8, 9}, {3, 3}, {2, 3}, {0}, "SAME_LOWER", 1, "2x3x4x3"},
    {4, {2, 3, 8, 9}, {3, 3}, {2, 3}, {0}, "VALID", 1, "2x3x3x3"},
    {3, {2, 3, 9}, {4}, {2}, {1, 2}, NULL, 0, "2x3x5"},
    {4, {-1, 3, -1, 9}, {2, 2}, {1, 1}, {0}, NULL, 0, "?x3x?x8"},
    {4, {2, 3, 8, 9}, {0}, {1, 1}, {0}, NULL, 0, "'kernel_shape' is missing"},
    {4, {2, 3, 8, 9}, {2, 0}, {1, 1}, {0}, NULL, 0, "'kernel_shape' holds 0"},
    {4, {2, 3, 8, 9}, {2, INT64_MAX}, {1, 1}, {0}, NULL, 0, "'kernel_shape' holds 9223372036854775807"},
    {4, {2, 3, 8, 9}, {2, 2}, {1, 0}, {0}, NULL, 0, "'strides' holds 0"},
    {4, {2, 3, 8, 9}, {9, 2}, {1, 1}, {0}, NULL, 0, "window of 9 pixels does not fit into 8"},
    {4, {2, 3, 8, 9}, {2, 2}, {1, 1}, {2, 0, 0, 0}, NULL, 0, "not smaller than the window"},
    {4, {2, 3, 8, 9}, {2, 2}, {1, 1}, {0, 0, INT64_MAX, 0}, NULL, 0, "'pads' holds 9223372036854775807"},
    {4, {2, 3, 0, 9}, {1, 1}, {1, 1}, {0}, NULL, 0, "does not fit into 0"},
    {4, {2, 3, 8, 9}, {2, 2}, {1, 1}, {0}, "SAME", 0, "auto_pad is 'SAME'"},
    {5, {2, 3, 8, 9, 7}, {2, 3, 4}, {1, 1, 2}, {0}, NULL, 0, "2x3x7x7x2"},
    {6, {2, 3, 8, 9, 9, 9}, {2, 2, 2, 2}, {1, 1, 1, 1}, {0}, NULL, 0, "four or more axes"},
    {2, {2, 3}, {2}, {1}, {0}, NULL, 0, "expected (N,C,L), (N,C,H,W) or (N,C,D,H,W)"},
};

static void test_shape(const char *op, const shape_case *c) {
  op_case t;
  int spatial = c->rank - 2;
  op_begin(&t, op, 11);
  op_input(&t, ESPQ_F32, c->rank, c->x, NULL);
  if (c->kernel[0]) op_ints(&t, "kernel_shape", spatial ? spatial : 1, c->kernel);
  op_ints(&t, "strides", spatial ? spatial : 1, c->strides);
  op_ints(&t, "pads", 2 * spatial, c->pads);
  if (c->auto_pad) op_string(&t, "auto_pad", c->auto_pad);
  op_int(&t, "ceil_mode", c->ceil_mode);
  espq_status status = op_verify(&t);
  if (!status) status = op_infer(&t);
  const char *got = status ? t.err.text : op_shape(&t, 0);
  if (!CHECK(strstr(got, c->expected) && (!status || strstr(got, op))))
    fprintf(stderr, "  %s %d: expected '%s', got '%s'\n", op, (int)(c - shapes), c->expected, got);
  op_end(&t);
}

static void test_global_shapes(const char *op) {
  static const int64_t dims[][5] = {{2, 3, 4, 5}, {-1, 3, -1}, {2, 3, 4, 5, 6}, {2, 3}, {2, 3, 0, 4}};
  static const int ranks[] = {4, 3, 5, 2, 4};
  static const char *const expected[] = {"2x3x1x1", "?x3x1", "2x3x1x1x1", "2x3", "axis 2 of the input is empty"};
  for (int i = 0; i < 5; i++) {
    op_case t;
    op_begin(&t, op, 1);
    op_input(&t, ESPQ_F32, ranks[i], dims[i], NULL);
    const char *got = op_infer(&t) ? t.err.text : op_shape(&t, 0);
    if (!CHECK(strstr(got, expected[i]))) fprintf(stderr, "  %s %d: got '%s'\n", op, i, got);
    op_end(&t);
  }
}

/* ---- numbers ---- */

typedef struct pool_case {
  int rank; /* 3: the heights are 1 */
  int n, c, ih, iw, kh, kw, sh, sw, dh, dw, pt, pl, pb, pr, oh, ow;
  const char *auto_pad; /* which must amount to the pads above */
  bool ceil_mode;
} pool_case;

static const pool_case cases[] = {
    {4, 2, 17, 6, 8, 2, 2, 2, 2, 1, 1, 0, 0, 0, 0, 3, 4, NULL, false},
    {4, 2, 17, 7, 5, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 4, 3, NULL, false},
    {4, 1, 16, 7, 6, 2, 2, 2, 2, 1, 1, 0, 0, 0, 0, 4, 3, NULL, true},
    {4, 1, 3, 8, 8, 3, 3, 3, 2, 1, 1, 1, 0, 1, 0, 3, 4, NULL, true},
    {4, 1, 5, 7, 9, 2, 3, 1, 2, 2, 3, 1, 2, 0, 1, 6, 3, NULL, false},
    {4, 1, 20, 7, 9, 3, 2, 2, 2, 1, 1, 1, 0, 1, 1, 4, 5, "SAME_UPPER", false},
    {4, 1, 20, 7, 9, 3, 2, 2, 2, 1, 1, 1, 1, 1, 0, 4, 5, "SAME_LOWER", false},
    {4, 1, 4, 5, 5, 5, 5, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, "VALID", false},
    {3, 2, 18, 1, 11, 1, 4, 1, 3, 1, 1, 0, 2, 0, 1, 1, 4, NULL, false},
};
enum { CASES = sizeof cases / sizeof *cases };

static int64_t elements(const pool_case *p) { return (int64_t)p->n * p->c * p->ih * p->iw; }

/* Calls `see` for every pixel under output i, with its index or -1 in the padding; beyond the padding nothing counts. */
static void each_tap(const pool_case *p, int64_t i, void (*see)(void *to, int64_t index), void *to) {
  int ox = (int)(i % p->ow), oy = (int)(i / p->ow % p->oh);
  int64_t plane = i / p->ow / p->oh * p->ih * p->iw;
  for (int ky = 0; ky < p->kh; ky++)
    for (int kx = 0; kx < p->kw; kx++) {
      int y = oy * p->sh - p->pt + ky * p->dh, x = ox * p->sw - p->pl + kx * p->dw;
      if (y >= p->ih + p->pb || x >= p->iw + p->pr) continue;
      bool inside = y >= 0 && x >= 0 && y < p->ih && x < p->iw;
      see(to, inside ? plane + y * p->iw + x : -1);
    }
}

typedef struct tally {
  const float *x; /* or */
  const void *q;
  int bits;
  double most, sum;
  int64_t inside, padded;
} tally;

static void count_tap(void *to, int64_t index) {
  tally *t = to;
  t->padded++;
  if (index < 0) return;
  double v = t->x ? (double)t->x[index] : t->bits == 8 ? ((const int8_t *)t->q)[index] : ((const int16_t *)t->q)[index];
  if (!t->inside++ || v > t->most) t->most = v;
  t->sum += v;
}

static void begin_pool(op_case *t, const char *op, const pool_case *p, espq_dtype type, espq_layout layout,
                       const void *x) {
  int64_t dim[] = {p->n, p->c, p->ih, p->iw}, line[] = {p->n, p->c, p->iw};
  int skip = 4 - p->rank;
  op_begin(t, op, strcmp(op, "MaxPool") ? 19 : 10);
  op_input(t, type, p->rank, skip ? line : dim, x);
  t->layout[0] = layout;
  op_ints(t, "kernel_shape", 2 - skip, (int64_t[]){p->kh, p->kw} + skip);
  op_ints(t, "strides", 2 - skip, (int64_t[]){p->sh, p->sw} + skip);
  op_ints(t, "dilations", 2 - skip, (int64_t[]){p->dh, p->dw} + skip);
  if (p->auto_pad) op_string(t, "auto_pad", p->auto_pad);
  else if (skip) op_ints(t, "pads", 2, (int64_t[]){p->pl, p->pr});
  else op_ints(t, "pads", 4, (int64_t[]){p->pt, p->pl, p->pb, p->pr});
  if (p->ceil_mode) op_int(t, "ceil_mode", 1);
}

static void check_shape(const op_case *t, const pool_case *p) {
  const espq_tensor *y = t->result[0];
  CHECK(y->rank == p->rank && y->count == (int64_t)p->n * p->c * p->oh * p->ow && y->dim[p->rank - 1] == p->ow);
}

static void test_max(const pool_case *p, espq_layout layout, const float *x) {
  op_case t;
  int64_t wrong = 0;
  begin_pool(&t, "MaxPool", p, ESPQ_F32, layout, x);
  CHECK(op_verify(&t) == ESPQ_OK);
  if (op_ran(&t)) {
    CHECK(t.out_layout == layout);
    check_shape(&t, p);
    for (int64_t i = 0; i < t.result[0]->count; i++) {
      tally s = {.x = x};
      each_tap(p, i, count_tap, &s);
      wrong += op_f32(&t, i) != (float)s.most;
    }
    if (!CHECK(wrong == 0)) fprintf(stderr, "  case %d, layout %d\n", (int)(p - cases), layout);
  }
  op_end(&t);
}

static void test_average(const pool_case *p, bool include, espq_layout layout, const float *x) {
  op_case t;
  double worst = 0;
  begin_pool(&t, "AveragePool", p, ESPQ_F32, layout, x);
  if (include) op_int(&t, "count_include_pad", 1);
  if (op_ran(&t)) {
    CHECK(t.out_layout == layout);
    check_shape(&t, p);
    for (int64_t i = 0; i < t.result[0]->count; i++) {
      tally s = {.x = x};
      each_tap(p, i, count_tap, &s);
      worst = fmax(worst, fabs((double)op_f32(&t, i) - s.sum / (double)(include ? s.padded : s.inside)));
    }
    if (!CHECK(worst < 1e-6)) fprintf(stderr, "  case %d, layout %d: off by %g\n", (int)(p - cases), layout, worst);
  }
  op_end(&t);
}

static void quantize(op_case *t, int bits, int e_in, int e_out) {
  op_integer(t, ESPQ_ARITHMETIC_V1_TENSOR);
  op_quant(t, 0, bits, e_in);
  op_quant(t, OP_OUT, bits, e_out);
}

static void test_max_q(const pool_case *p, int bits, espq_layout layout) {
  op_case t;
  static int16_t x[MAX];
  int64_t wrong = 0;
  op_fill_ints(x, bits, elements(p), 5);
  begin_pool(&t, "MaxPool", p, bits == 8 ? ESPQ_I8 : ESPQ_I16, layout, x);
  quantize(&t, bits, -4, -4);
  if (op_ran(&t)) {
    CHECK(t.out_layout == ESPQ_NHWC16);
    for (int64_t i = 0; i < t.result[0]->count; i++) {
      tally s = {.q = x, .bits = bits};
      each_tap(p, i, count_tap, &s);
      wrong += op_integer_at(&t, i) != (int64_t)s.most;
    }
    if (!CHECK(wrong == 0)) fprintf(stderr, "  case %d, %d bits\n", (int)(p - cases), bits);
  }
  op_quant(&t, OP_OUT, bits, -5);
  op_refused(&t, op_run(&t), ESPQ_EUNSUPPORTED, "exponent -4) and output");
  op_end(&t);
}

static int64_t floor_average(double sum, int64_t count, int shift, int bits) {
  return espq_fixed_clip((int64_t)floor(ldexp(sum, shift) / (double)count), bits);
}

static void test_average_q(const pool_case *p, bool include, int bits, int e_out) {
  op_case t;
  static int16_t x[MAX];
  int64_t wrong = 0;
  op_fill_ints(x, bits, elements(p), 6);
  begin_pool(&t, "AveragePool", p, bits == 8 ? ESPQ_I8 : ESPQ_I16, ESPQ_PLAIN, x);
  quantize(&t, bits, -4, e_out);
  if (include) op_int(&t, "count_include_pad", 1);
  if (op_ran(&t)) {
    for (int64_t i = 0; i < t.result[0]->count; i++) {
      tally s = {.q = x, .bits = bits};
      each_tap(p, i, count_tap, &s);
      int64_t want = e_out == INT32_MIN ? 0 : floor_average(s.sum, include ? s.padded : s.inside, -4 - e_out, bits);
      wrong += op_integer_at(&t, i) != want;
    }
    if (!CHECK(wrong == 0)) fprintf(stderr, "  case %d, %d bits, to %d\n", (int)(p - cases), bits, e_out);
  }
  op_end(&t);
}

/* ---- global ---- */

static const int64_t images[][5] = {{2, 17, 3, 4}, {1, 32, 5, 5}, {2, 5, 7}, {1, 3, 2, 2, 3}, {2, 4, 1, 1}};
static const int image_ranks[] = {4, 4, 3, 5, 4};
enum { IMAGES = 5 };

static int64_t pixels_of(int i) {
  int64_t n = 1;
  for (int k = 2; k < image_ranks[i]; k++) n *= images[i][k];
  return n;
}

static void test_global(bool max, int image, espq_layout layout, const float *x) {
  op_case t;
  int64_t pixels = pixels_of(image);
  double worst = 0;
  op_begin(&t, max ? "GlobalMaxPool" : "GlobalAveragePool", 1);
  op_input(&t, ESPQ_F32, image_ranks[image], images[image], x);
  t.layout[0] = layout;
  if (op_ran(&t)) {
    CHECK(t.out_layout == layout && t.result[0]->count == images[image][0] * images[image][1]);
    for (int64_t i = 0; i < t.result[0]->count; i++) {
      tally s = {.x = x};
      for (int64_t k = 0; k < pixels; k++) count_tap(&s, i * pixels + k);
      worst = fmax(worst, fabs((double)op_f32(&t, i) - (max ? s.most : s.sum / (double)pixels)));
    }
    CHECK(worst <= (max ? 0 : 1e-6));
  }
  op_end(&t);
}

static void test_global_q(bool max, int image, int bits, int e_out) {
  op_case t;
  static int16_t x[MAX];
  int64_t pixels = pixels_of(image), wrong = 0;
  op_fill_ints(x, bits, MAX / 2, 8);
  op_begin(&t, max ? "GlobalMaxPool" : "GlobalAveragePool", 1);
  op_input(&t, bits == 8 ? ESPQ_I8 : ESPQ_I16, image_ranks[image], images[image], x);
  quantize(&t, bits, -4, e_out);
  if (image_ranks[image] > 4) op_refused(&t, op_run(&t), ESPQ_EUNSUPPORTED, "rank 5, expected (N,C,L) or (N,C,H,W)");
  else if (op_ran(&t)) {
    for (int64_t i = 0; i < t.result[0]->count; i++) {
      tally s = {.q = x, .bits = bits};
      for (int64_t k = 0; k < pixels; k++) count_tap(&s, i * pixels + k);
      int64_t want = max ? (int64_t)s.most : floor_average(s.sum, pixels, -4 - e_out, bits);
      wrong += op_integer_at(&t, i) != want;
    }
    CHECK(wrong == 0);
  }
  op_end(&t);
}

/* ---- rules ---- */

static void expect_reason(op_case *t, const char *piece) {
  espq_call call;
  char text[512];
  espq_ops_resolve(t->g);
  op_must(!espq_call_init(&call, t->g, t->node, NULL, &t->err), t->err.text);
  const char *got = t->g->nodes[t->node].op->why_not(&call, text, sizeof text);
  if (!CHECK(piece ? got && strstr(got, piece) : !got)) fprintf(stderr, "  got '%s'\n", got ? got : "nothing");
  espq_call_free(&call);
}

static void test_rules(const float *x) {
  op_case t;
  op_begin_outputs(&t, "MaxPool", 12, 2); /* Indices */
  op_input(&t, ESPQ_F32, 4, (int64_t[]){1, 2, 4, 4}, x);
  op_ints(&t, "kernel_shape", 2, (int64_t[]){2, 2});
  op_int(&t, "storage_order", 1);
  CHECK(op_verify(&t) == ESPQ_OK && op_infer(&t) == ESPQ_OK);
  CHECK(strcmp(op_shape(&t, 1), "1x2x3x3") == 0 && op_output(&t, 1)->dtype == ESPQ_I64);
  expect_reason(&t, "Indices, has no integer form");
  op_int(&t, "storage_order", 2);
  op_refused(&t, op_infer(&t), ESPQ_EFORMAT, "storage_order is 2");
  op_end(&t);

  op_begin(&t, "GlobalAveragePool", 12);
  op_input(&t, ESPQ_F32, 4, (int64_t[]){1, 2, 4, 4}, x);
  expect_reason(&t, NULL);
  t.g->values[t.g->inputs[0]].shape = (espq_shape){5, {1, 2, 3, 4, 5}};
  expect_reason(&t, "three or more axes");
  t.g->values[t.g->inputs[0]].dtype = ESPQ_I64;
  op_refused(&t, op_infer(&t), ESPQ_EUNSUPPORTED, "type int64, expected float32");
  op_end(&t);

  op_begin(&t, "MaxPool", 12); /* no images are no error */
  op_input(&t, ESPQ_F32, 4, (int64_t[]){0, 2, 4, 4}, x);
  op_ints(&t, "kernel_shape", 2, (int64_t[]){2, 2});
  if (op_ran(&t)) CHECK(t.result[0]->count == 0);
  op_end(&t);
}

int main(void) {
  static const espq_layout layouts[] = {ESPQ_PLAIN, ESPQ_C8, ESPQ_C16};
  static float x[MAX];
  op_fill(x, MAX, 1);
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
    test_shape("MaxPool", &shapes[i]), test_shape("AveragePool", &shapes[i]);
  test_global_shapes("GlobalMaxPool");
  test_global_shapes("GlobalAveragePool");
  for (int i = 0; i < CASES; i++) {
    for (int l = 0; l < 3; l++) {
      test_max(&cases[i], layouts[l], x);
      test_average(&cases[i], false, layouts[l], x);
      test_average(&cases[i], true, layouts[l], x);
    }
    for (int bits = 8; bits <= 16; bits += 8) {
      test_max_q(&cases[i], bits, ESPQ_PLAIN);
      test_max_q(&cases[i], bits, ESPQ_NHWC16);
      for (int e = -6; e <= -2; e++) test_average_q(&cases[i], e & 1, bits, e);
      test_average_q(&cases[i], true, bits, -4);
      test_average_q(&cases[i], false, bits, INT32_MIN);
    }
  }
  for (int i = 0; i < IMAGES; i++) {
    for (int l = 0; l < (image_ranks[i] > 4 ? 1 : 3); l++)
      test_global(true, i, layouts[l], x), test_global(false, i, layouts[l], x);
    for (int bits = 8; bits <= 16; bits += 8) {
      test_global_q(true, i, bits, -4);
      for (int e = -6; e <= -2; e++) test_global_q(false, i, bits, e);
    }
  }
  test_rules(x);
  return check_report();
}
