/* Sigmoid, Tanh, Clip, Floor, Round and Softmax: their forms by opset, layouts, refusals. */
#include <float.h>
#include <math.h>

#include "ops/run_op.h"

static const espq_layout layouts[] = {ESPQ_PLAIN, ESPQ_C8, ESPQ_C16};

enum { N = 3 * 19 * 2 };

static const float special[] = {-INFINITY, -100, -2.5f, -1.5f, -0.5f, -0.0f, 0, 0.25f, 0.5f, 1.5f, 2.5f, 100, INFINITY};

/* Special values first, then a spread over [-8, 8). */
static void fill(float *x) {
  op_fill(x, N, 1);
  for (int i = 0; i < N; i++) x[i] *= 8;
  memcpy(x, special, sizeof special);
}

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

static double round_even(double x) {
  double f = floor(x), rest = x - f;
  return rest > 0.5 || (rest == 0.5 && fmod(f, 2) != 0) ? f + 1 : f;
}

static void compare(op_case *t, const float *x, double (*reference)(double), double tolerance) {
  double worst = 0;
  for (int i = 0; i < N; i++) {
    double want = isfinite(x[i]) || reference != round_even ? reference((double)x[i]) : (double)x[i];
    double got = (double)op_f32(t, i);
    if (got != want) worst = fmax(worst, isnan(got) ? 1 : fabs(got - want));
  }
  if (!CHECK(worst <= tolerance)) fprintf(stderr, "  off by %g\n", worst);
}

static void test_function(const char *op, int64_t opset, double (*reference)(double), double tolerance) {
  float x[N];
  fill(x);
  for (int l = 0; l < 3; l++) {
    op_case t;
    op_begin(&t, op, opset);
    op_input(&t, ESPQ_F32, 3, (int64_t[]){3, 19, 2}, x);
    t.layout[0] = layouts[l];
    if (op_ran(&t)) {
      CHECK(t.out_layout == layouts[l]);
      compare(&t, x, reference, tolerance);
    }
    char text[512];
    espq_call call;
    CHECK(espq_call_init(&call, t.g, t.node, NULL, &t.err) == ESPQ_OK);
    const char *why = t.g->nodes[t.node].op->why_not(&call, text, sizeof text);
    CHECK(why && strstr(why, op) && strstr(why, "let the application compute it"));
    espq_call_free(&call);
    op_end(&t);
  }
}

/* ---- Clip ---- */

static float low, high;

static double clip(double x) { return fmin(fmax(x, (double)low), (double)high); }

static void test_clip(int64_t opset, float min, float max, bool has_min, bool has_max, espq_layout layout) {
  float x[N];
  op_case t;
  fill(x);
  low = has_min ? min : -FLT_MAX;
  high = has_max ? max : FLT_MAX;
  op_begin(&t, "Clip", opset);
  op_input(&t, ESPQ_F32, 3, (int64_t[]){3, 19, 2}, x);
  if (opset < 11) {
    if (has_min) op_float(&t, "min", min);
    if (has_max) op_float(&t, "max", max);
  } else {
    if (has_min) op_constant(&t, ESPQ_F32, 0, NULL, &min);
    else op_absent(&t);
    if (has_max) op_constant(&t, ESPQ_F32, 0, NULL, &max);
  }
  t.layout[0] = layout;
  CHECK(op_verify(&t) == ESPQ_OK);
  if (op_ran(&t)) compare(&t, x, clip, 0);
  op_end(&t);
}

static void clip_reason(float min, float max, const char *piece) {
  op_case t;
  espq_call call;
  char text[512];
  op_begin(&t, "Clip", 6);
  op_input(&t, ESPQ_F32, 2, (int64_t[]){1, 3}, NULL);
  op_float(&t, "min", min);
  op_float(&t, "max", max);
  CHECK(op_infer(&t) == ESPQ_OK && espq_call_init(&call, t.g, t.node, NULL, &t.err) == ESPQ_OK);
  CHECK(strstr(t.g->nodes[t.node].op->why_not(&call, text, sizeof text), piece) != NULL);
  espq_call_free(&call);
  op_end(&t);
}

static void test_clip_refusals(void) {
  float x[3] = {0}, bounds[2] = {0};
  op_case t;
  op_begin(&t, "Clip", 11); /* attributes of an older form */
  op_input(&t, ESPQ_F32, 2, (int64_t[]){1, 3}, x);
  op_float(&t, "min", 0);
  op_refused(&t, op_infer(&t), ESPQ_EFORMAT, "inputs since opset 11");
  op_end(&t);
  op_begin(&t, "Clip", 10); /* inputs of a newer one */
  op_input(&t, ESPQ_F32, 2, (int64_t[]){1, 3}, x);
  op_constant(&t, ESPQ_F32, 0, NULL, bounds);
  op_refused(&t, op_infer(&t), ESPQ_EFORMAT, "expected 1 before opset 11");
  op_end(&t);
  op_begin(&t, "Clip", 13);
  op_input(&t, ESPQ_F32, 2, (int64_t[]){1, 3}, x);
  op_constant(&t, ESPQ_F32, 1, (int64_t[]){2}, bounds);
  op_refused(&t, op_run(&t), ESPQ_EFORMAT, "must be one constant number");
  op_end(&t);
  op_begin(&t, "Clip", 13); /* a computed bound */
  op_input(&t, ESPQ_F32, 2, (int64_t[]){1, 3}, x);
  op_input(&t, ESPQ_F32, 0, NULL, bounds);
  op_refused(&t, op_run(&t), ESPQ_EUNSUPPORTED, "must be one constant number");
  op_end(&t);
  op_begin(&t, "Clip", 13);
  op_input(&t, ESPQ_BOOL, 2, (int64_t[]){1, 3}, NULL);
  op_refused(&t, op_infer(&t), ESPQ_EUNSUPPORTED, "type bool, expected float32");
  op_end(&t);
  clip_reason(0, 6, "with Relu in its place");
  clip_reason(-1, 6, "split_clip");
}

/* ---- Softmax ---- */

typedef struct softmax_case {
  int64_t opset;
  bool has_axis;
  int64_t axis;
  int64_t outer, length, inner; /* of 3 x 19 x 2 */
  bool mixes;
} softmax_case;

static const softmax_case softmaxes[] = {
    {12, false, 0, 3, 38, 1, false}, {12, true, 2, 57, 2, 1, false},  {12, true, 0, 1, 114, 1, true},
    {11, true, -2, 3, 38, 1, false}, {13, false, 0, 57, 2, 1, false}, {13, true, 1, 3, 19, 2, false},
    {13, true, -3, 1, 3, 38, true},  {7, true, 1, 3, 38, 1, false},
};

static double softmax_at(const softmax_case *c, const float *x, int64_t o, int64_t a, int64_t i) {
  const float *row = x + o * c->length * c->inner + i;
  double sum = 0;
  for (int64_t k = 0; k < c->length; k++) sum += exp((double)row[k * c->inner]);
  return exp((double)row[a * c->inner]) / sum;
}

static void test_softmax(const softmax_case *c, espq_layout layout) {
  float x[N];
  op_case t;
  espq_call call;
  double worst = 0;
  op_fill(x, N, 4);
  op_begin(&t, "Softmax", c->opset);
  op_input(&t, ESPQ_F32, 3, (int64_t[]){3, 19, 2}, x);
  if (c->has_axis) op_int(&t, "axis", c->axis);
  t.layout[0] = layout;
  if (op_ran(&t)) {
    for (int64_t o = 0; o < c->outer; o++)
      for (int64_t a = 0; a < c->length; a++)
        for (int64_t i = 0; i < c->inner; i++)
          worst = fmax(worst, fabs(softmax_at(c, x, o, a, i) - (double)op_f32(&t, (o * c->length + a) * c->inner + i)));
    if (!CHECK(worst < 1e-6)) fprintf(stderr, "  softmax %d: off by %g\n", (int)(c - softmaxes), worst);
  }
  CHECK(espq_call_init(&call, t.g, t.node, NULL, &t.err) == ESPQ_OK);
  CHECK(t.g->nodes[t.node].op->mixes_batch(&call) == c->mixes);
  espq_call_free(&call);
  op_end(&t);
}

static void test_softmax_refusals(void) {
  const int64_t axes[] = {3, -4, INT64_MAX, INT64_MIN};
  for (int i = 0; i < 4; i++) {
    op_case t;
    op_begin(&t, "Softmax", 13);
    op_input(&t, ESPQ_F32, 3, (int64_t[]){3, 19, 2}, NULL);
    op_int(&t, "axis", axes[i]);
    op_refused(&t, op_infer(&t), ESPQ_EFORMAT, "is outside of a tensor of rank 3");
    op_end(&t);
  }
  op_case t;
  op_begin(&t, "Round", 10);
  op_input(&t, ESPQ_F32, 3, (int64_t[]){3, 19, 2}, NULL);
  op_refused(&t, op_verify(&t), ESPQ_EUNSUPPORTED, "only from 11 on");
  op_end(&t);
}

int main(void) {
  test_function("Sigmoid", 6, sigmoid, 1e-6);
  test_function("Sigmoid", 13, sigmoid, 1e-6);
  test_function("Tanh", 13, tanh, 1e-6);
  test_function("Floor", 13, floor, 0);
  test_function("Round", 11, round_even, 0);
  for (int l = 0; l < 3; l++) {
    test_clip(6, -1, 2, true, true, layouts[l]);
    test_clip(10, 0.5f, 3, true, true, layouts[l]); /* f(0) is not 0: padding lanes */
    test_clip(11, -3, -1, true, true, layouts[l]);
    test_clip(13, 0, 6, true, false, layouts[l]);
    test_clip(13, 0, 6, false, true, layouts[l]);
    test_clip(13, 0, 6, false, false, layouts[l]);
    test_clip(13, 5, 1, true, true, layouts[l]); /* the upper bound wins */
  }
  test_clip_refusals();
  for (size_t i = 0; i < sizeof softmaxes / sizeof *softmaxes; i++)
    for (int l = 0; l < 3; l++) test_softmax(&softmaxes[i], layouts[l]);
  test_softmax_refusals();
  return check_report();
}
