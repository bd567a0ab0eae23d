/* Relu, LeakyRelu, PRelu and BatchNormalization in every layout, and what they refuse. */
#include <math.h>

#include "ops/run_op.h"
#include "sim/fixed.h"

enum { MAX = 2048 };

static const espq_layout float_layouts[] = {ESPQ_PLAIN, ESPQ_C8, ESPQ_C16};
static const espq_layout integer_layouts[] = {ESPQ_PLAIN, ESPQ_NHWC16};

static const int64_t dims[][5] = {{3, 19}, {2, 3, 7}, {2, 17, 3, 5}, {2, 16, 2, 2}, {2, 3, 2, 3, 4}, {7}};
static const int ranks[] = {2, 3, 4, 4, 5, 1};
enum { SHAPES = sizeof ranks / sizeof *ranks };

static bool has_layouts(int rank) { return rank >= 2 && rank <= 4; }

/* Fills call for the node as it stands. */
static void with_call(op_case *t, espq_call *call) {
  if (op_infer(t) != ESPQ_OK || espq_call_init(call, t->g, t->node, NULL, &t->err)) op_must(0, t->err.text);
}

static void expect_reason(op_case *t, const char *piece) {
  espq_call call;
  char text[512];
  with_call(t, &call);
  const espq_op *op = t->g->nodes[t->node].op;
  const char *got = op->why_not(&call, text, sizeof text);
  if (!CHECK(piece ? got && strstr(got, piece) : !got)) fprintf(stderr, "  got '%s'\n", got ? got : "nothing");
  espq_call_free(&call);
}

/* ---- Relu, LeakyRelu ---- */

static void test_float_unary(const char *op, float alpha, espq_layout layout, int shape, const float *x) {
  op_case t;
  int64_t wrong = 0;
  op_begin(&t, op, 13);
  op_input(&t, ESPQ_F32, ranks[shape], dims[shape], x);
  if (alpha != 0 && alpha != 0.01f) op_float(&t, "alpha", alpha);
  t.layout[0] = layout;
  if (op_ran(&t)) {
    CHECK(t.out_layout == layout && t.in_place);
    for (int64_t i = 0; i < t.result[0]->count; i++) wrong += op_f32(&t, i) != (x[i] < 0 ? alpha * x[i] : x[i]);
    CHECK(wrong == 0);
  }
  op_end(&t);
}

static void test_relu_q(int bits, espq_layout layout, int shape) {
  op_case t;
  int16_t x[MAX];
  int64_t wrong = 0;
  op_fill_ints(x, bits, MAX, 3);
  op_begin(&t, "Relu", 13);
  op_integer(&t, ESPQ_ARITHMETIC_V1_TENSOR);
  op_input(&t, bits == 8 ? ESPQ_I8 : ESPQ_I16, ranks[shape], dims[shape], x);
  op_quant(&t, 0, bits, -5);
  op_quant(&t, OP_OUT, bits, -5);
  t.layout[0] = layout;
  if (op_ran(&t)) {
    CHECK(t.out_layout == layout && t.in_place);
    for (int64_t i = 0; i < t.result[0]->count; i++) {
      int64_t v = bits == 8 ? ((int8_t *)x)[i] : x[i];
      wrong += op_integer_at(&t, i) != (v > 0 ? v : 0);
    }
    CHECK(wrong == 0);
  }
  op_quant(&t, OP_OUT, bits, -4);
  op_refused(&t, op_run(&t), ESPQ_EUNSUPPORTED, "exponent -5) and output");
  CHECK(strstr(t.err.text, "exponent -4)") != NULL);
  op_end(&t);
}

static void test_relu_refusals(void) {
  op_case t;
  op_begin(&t, "Relu", 13);
  op_input(&t, ESPQ_F64, 2, dims[0], NULL);
  op_refused(&t, op_infer(&t), ESPQ_EUNSUPPORTED, "type float64, expected float32; export the model in float32");
  op_int(&t, "axis", 1);
  op_refused(&t, op_verify(&t), ESPQ_EFORMAT, "unknown attribute 'axis'");
  op_end(&t);

  op_begin(&t, "LeakyRelu", 13);
  op_input(&t, ESPQ_F32, 2, (int64_t[]){-1, 19}, NULL);
  CHECK(op_infer(&t) == ESPQ_OK && strcmp(op_shape(&t, 0), "?x19") == 0);
  expect_reason(&t, NULL);
  op_float(&t, "alpha", -0.5f);
  expect_reason(&t, "alpha is -0.5");
  op_float(&t, "alpha", INFINITY);
  expect_reason(&t, "alpha is inf");
  op_int(&t, "alpha", 1);
  op_refused(&t, op_verify(&t), ESPQ_EFORMAT, "expected a float");
  op_end(&t);
}

/* ---- PRelu ---- */

typedef struct prelu_case {
  int rank;
  int64_t x[4];
  int slope_rank;
  int64_t slope[4];
  bool plain; /* the slope is no single number and not per channel: only PLAIN */
} prelu_case;

static const prelu_case prelus[] = {
    {4, {2, 17, 3, 2}, 1, {1}, false},
    {4, {2, 17, 3, 2}, 3, {17, 1, 1}, false},
    {4, {2, 17, 3, 2}, 4, {1, 17, 1, 1}, false},
    {4, {2, 17, 3, 2}, 0, {0}, false},
    {2, {3, 20}, 1, {20}, false},
    {3, {2, 16, 5}, 2, {16, 1}, false},
    {4, {2, 3, 4, 5}, 1, {5}, true},
    {4, {2, 3, 4, 5}, 3, {3, 4, 5}, true},
    {4, {2, 3, 4, 5}, 4, {1, 3, 1, 5}, true},
    {1, {9}, 1, {1}, false},
};

static int64_t slope_index(const prelu_case *c, int64_t i) {
  int64_t index = 0, step = 1;
  for (int axis = c->rank - 1; axis >= 0; axis--) {
    int64_t at = i % c->x[axis];
    int k = axis - (c->rank - c->slope_rank);
    i /= c->x[axis];
    if (k < 0) continue;
    if (c->slope[k] > 1) index += at * step;
    step *= c->slope[k];
  }
  return index;
}

static void test_prelu(const prelu_case *c, espq_layout layout, bool constant, const float *x, const float *slope) {
  op_case t;
  int64_t wrong = 0;
  op_begin(&t, "PRelu", 13);
  op_input(&t, ESPQ_F32, c->rank, c->x, x);
  (constant ? op_constant : op_input)(&t, ESPQ_F32, c->slope_rank, c->slope, slope);
  t.layout[0] = layout;
  if (op_ran(&t)) {
    CHECK(t.out_layout == (c->plain ? ESPQ_PLAIN : layout));
    for (int64_t i = 0; i < t.result[0]->count; i++)
      wrong += op_f32(&t, i) != (x[i] < 0 ? x[i] * slope[slope_index(c, i)] : x[i]);
    if (!CHECK(wrong == 0)) fprintf(stderr, "  prelu %d\n", (int)(c - prelus));
  }
  op_end(&t);
}

static void test_prelu_q(const prelu_case *c, int bits, espq_layout layout, int exponent) {
  op_case t;
  int16_t x[MAX], slope[MAX];
  int64_t wrong = 0;
  espq_dtype type = bits == 8 ? ESPQ_I8 : ESPQ_I16;
  op_fill_ints(x, bits, MAX, 5);
  op_fill_ints(slope, bits, MAX, 6);
  op_begin(&t, "PRelu", 13);
  op_integer(&t, ESPQ_ARITHMETIC_V1_TENSOR);
  op_input(&t, type, c->rank, c->x, x);
  op_constant(&t, type, c->slope_rank, c->slope, slope);
  op_quant(&t, 0, bits, -5);
  op_quant(&t, 1, bits, exponent);
  op_quant(&t, OP_OUT, bits, -5);
  t.layout[0] = layout;
  if (op_ran(&t)) {
    for (int64_t i = 0; i < t.result[0]->count; i++) {
      int64_t k = slope_index(c, i), v = bits == 8 ? ((int8_t *)x)[i] : x[i],
              a = bits == 8 ? ((int8_t *)slope)[k] : slope[k];
      if (exponent == INT32_MIN) a = 0;
      int64_t y = v >= 0 ? v : espq_fixed_clip(espq_fixed_floor(v * a, exponent == INT32_MIN ? 0 : -exponent), bits);
      wrong += op_integer_at(&t, i) != y;
    }
    if (!CHECK(wrong == 0)) fprintf(stderr, "  prelu %d, %d bits, layout %d\n", (int)(c - prelus), bits, layout);
  }
  op_end(&t);
}

static void test_prelu_rules(void) {
  op_case t;
  espq_call call;
  const int64_t x[] = {2, 3, 4, 5};
  op_begin(&t, "PRelu", 13); /* one slope per image */
  op_input(&t, ESPQ_F32, 4, x, NULL);
  op_constant(&t, ESPQ_F32, 4, (int64_t[]){2, 1, 1, 1}, NULL);
  expect_reason(&t, "differs from image to image");
  with_call(&t, &call);
  CHECK(t.g->nodes[t.node].op->mixes_batch(&call));
  espq_call_free(&call);
  op_end(&t);

  op_begin(&t, "PRelu", 13); /* computed slope */
  op_input(&t, ESPQ_F32, 4, x, NULL);
  op_input(&t, ESPQ_F32, 3, (int64_t[]){3, 1, 1}, NULL);
  expect_reason(&t, "computed at run time");
  with_call(&t, &call);
  CHECK(!t.g->nodes[t.node].op->mixes_batch(&call));
  espq_call_free(&call);
  op_end(&t);

  const int64_t bad[][5] = {{3}, {2, 1, 1}, {1, 1, 3, 4, 5}};
  const int bad_ranks[] = {1, 3, 5};
  for (int i = 0; i < 3; i++) {
    op_begin(&t, "PRelu", 13);
    op_input(&t, ESPQ_F32, 4, x, NULL);
    op_constant(&t, ESPQ_F32, bad_ranks[i], bad[i], NULL);
    op_refused(&t, op_infer(&t), ESPQ_EFORMAT, "does not broadcast to 2x3x4x5");
    op_end(&t);
  }
}

/* ---- BatchNormalization ---- */

static void begin_norm(op_case *t, int64_t opset, int nout, int shape, const float *x, const float *p) {
  op_begin_outputs(t, "BatchNormalization", opset, nout);
  op_input(t, ESPQ_F32, ranks[shape], dims[shape], x);
  for (int i = 0; i < 4; i++) op_constant(t, ESPQ_F32, 1, &dims[shape][1], p + i * 20);
}

static void test_norm(int64_t opset, espq_layout layout, int shape, const float *x) {
  op_case t;
  float p[80], epsilon = opset > 7 ? 1e-5f : 0.25f;
  double worst = 0;
  op_fill(p, 80, 9);
  for (int i = 60; i < 80; i++) p[i] = fabsf(p[i]) + 0.125f; /* variances */
  begin_norm(&t, opset, opset == 9 ? 5 : 1, shape, x, p);
  if (opset == 7) op_float(&t, "epsilon", epsilon), op_int(&t, "spatial", 1);
  t.layout[0] = layout;
  CHECK(op_verify(&t) == ESPQ_OK);
  if (op_ran(&t)) {
    CHECK(t.out_layout == layout && t.in_place);
    int64_t c = dims[shape][1], pixels = t.result[0]->count / dims[shape][0] / c;
    for (int64_t i = 0; i < t.result[0]->count; i++) {
      int64_t k = i / pixels % c;
      double y = ((double)x[i] - (double)p[40 + k]) / sqrt((double)p[60 + k] + (double)epsilon) * (double)p[k] +
                 (double)p[20 + k];
      worst = fmax(worst, fabs(y - (double)op_f32(&t, i)));
    }
    if (!CHECK(worst < 2e-6)) fprintf(stderr, "  off by %g\n", worst);
  }
  expect_reason(&t, "fuse_bn_into_conv");
  op_end(&t);
}

static void test_norm_refusals(const float *x) {
  op_case t;
  begin_norm(&t, 14, 1, 2, x, x);
  op_int(&t, "training_mode", 1);
  op_refused(&t, op_infer(&t), ESPQ_EUNSUPPORTED, "training_mode is on");
  op_end(&t);
  begin_norm(&t, 14, 1, 5, x, x);
  op_refused(&t, op_infer(&t), ESPQ_EFORMAT, "has rank 1, expected 2 or more");
  op_end(&t);
  begin_norm(&t, 9, 3, 2, x, x); /* somebody reads the mean */
  CHECK(espq_graph_add_output(t.g, t.g->nodes[t.node].out[1], &t.err) == ESPQ_OK);
  op_refused(&t, op_infer(&t), ESPQ_EUNSUPPORTED, "statistic of training");
  op_end(&t);
  op_begin(&t, "BatchNormalization", 14); /* as many numbers as pixels, not channels */
  op_input(&t, ESPQ_F32, 4, (int64_t[]){1, 3, 2, 2}, NULL);
  for (int i = 0; i < 4; i++) op_constant(&t, ESPQ_F32, 1, (int64_t[]){i == 2 ? 4 : 3}, NULL);
  op_refused(&t, op_infer(&t), ESPQ_EFORMAT, "expected one number for each of 3 channels");
  CHECK(strstr(t.err.text, "mean '") != NULL);
  op_end(&t);
}

int main(void) {
  static float x[MAX], slope[MAX];
  op_fill(x, MAX, 1);
  op_fill(slope, MAX, 2);
  for (int s = 0; s < SHAPES; s++) {
    for (int l = 0; l < (has_layouts(ranks[s]) ? 3 : 1); l++) {
      test_float_unary("Relu", 0, float_layouts[l], s, x);
      test_float_unary("LeakyRelu", 0.25f, float_layouts[l], s, x);
      test_float_unary("LeakyRelu", 0.01f, float_layouts[l], s, x);
      for (int64_t opset = 7; opset <= 15 && ranks[s] > 1; opset += opset == 7 ? 2 : opset == 9 ? 5 : 1)
        test_norm(opset, float_layouts[l], s, x);
    }
    for (int l = 0; l < (has_layouts(ranks[s]) ? 2 : 1); l++)
      for (int bits = 8; bits <= 16; bits += 8) test_relu_q(bits, integer_layouts[l], s);
  }
  test_relu_refusals();
  for (size_t i = 0; i < sizeof prelus / sizeof *prelus; i++) {
    for (int l = 0; l < (has_layouts(prelus[i].rank) ? 3 : 1); l++) {
      test_prelu(&prelus[i], float_layouts[l], true, x, slope);
      test_prelu(&prelus[i], float_layouts[l], false, x, slope);
    }
    for (int l = 0; l < (has_layouts(prelus[i].rank) ? 2 : 1); l++) {
      test_prelu_q(&prelus[i], 8, integer_layouts[l], -7);
      test_prelu_q(&prelus[i], 8, integer_layouts[l], -3);
      test_prelu_q(&prelus[i], 16, integer_layouts[l], -15);
      test_prelu_q(&prelus[i], 8, integer_layouts[l], INT32_MIN);
    }
  }
  test_prelu_rules();
  test_norm_refusals(x);
  return check_report();
}
