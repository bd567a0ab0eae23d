/* Conv: shapes, refusals, float and integer columns against loops over the definition. */
#include <math.h>

#include "ops/run_op.h"
#include "sim/fixed.h"

/* ---- shape rules ---- */

typedef struct shape_case {
  int64_t x[6], w[6];
  int rank;
  const char *auto_pad;
  int64_t pads[4], strides[2], dilations[2]; /* strides 0: leave the attribute out */
  int64_t group;
  const char *expected; /* shape, or a piece of the message */
} shape_case;

static const shape_case shapes[] = {
    {{1, 3, 8, 9}, {4, 3, 3, 3}, 4, NULL, {0}, {0}, {0}, 1, "1x4x6x7"},
    {{1, 3, 8, 9}, {4, 3, 3, 3}, 4, NULL, {1, 2, 3, 0}, {2, 1}, {0}, 1, "1x4x5x9"},
    {{1, 3, 8, 9}, {4, 3, 3, 3}, 4, NULL, {0}, {1, 1}, {2, 3}, 1, "1x4x4x3"},
    {{1, 4, 7, 7}, {8, 2, 3, 3}, 4, "SAME_UPPER", {0}, {2, 3}, {0}, 2, "1x8x4x3"},
    {{1, 4, 7, 7}, {8, 2, 3, 3}, 4, "SAME_LOWER", {0}, {2, 3}, {0}, 2, "1x8x4x3"},
    {{1, 4, 7, 7}, {8, 2, 3, 3}, 4, "VALID", {9, 9, 9, 9}, {2, 2}, {0}, 2, "1x8x3x3"},
    {{1, 4, 7, 7}, {8, 2, 3, 3}, 4, "NOTSET", {1, 1, 1, 1}, {2, 2}, {0}, 2, "1x8x4x4"},
    {{-1, 3, -1, 9}, {4, 3, 3, 3}, 4, NULL, {0}, {0}, {0}, 1, "?x4x?x7"},
    {{-1, -1, 8, 9}, {4, 3, 3, 3}, 4, NULL, {0}, {0}, {0}, 1, "?x4x6x7"},
    {{1, 2, 5}, {2, 1, 3}, 3, NULL, {1, 1}, {2}, {0}, 2, "1x2x3"},
    {{1, 2, 5}, {2, 2, 4}, 3, "SAME_LOWER", {0}, {1}, {0}, 1, "1x2x5"},
    {{1, 3, 8, 9}, {4, 2, 3, 3}, 4, NULL, {0}, {0}, {0}, 1, "2 input channels per group, expected 3"},
    {{1, 3, 8, 9}, {4, 3, 9, 3}, 4, NULL, {0}, {0}, {0}, 1, "window of 9 pixels does not fit into 8"},
    {{1, 3, 8, 9}, {4, 3, 0, 3}, 4, NULL, {0}, {0}, {0}, 1, "kernel size of 0"},
    {{1, 3, 8, 9}, {4, 3, 3}, 4, NULL, {0}, {0}, {0}, 1, "kernel size of 0"},
    {{1, 3, 8, 9}, {4, 3, 3, 3}, 4, NULL, {0}, {1, -1}, {0}, 1, "'strides' holds -1"},
    {{1, 3, 8, 9}, {4, 3, 3, 3}, 4, NULL, {0}, {1, 1}, {0, 1}, 1, "'dilations' holds 0"},
    {{1, 3, 8, 9}, {4, 3, 3, 3}, 4, NULL, {0}, {1, 1}, {INT64_MAX, 1}, 1, "'dilations' holds 9223372036854775807"},
    {{1, 3, 8, 9}, {4, 3, 3, 3}, 4, NULL, {0}, {1, 1}, {1 << 30, 1}, 1, "window of 2147483649 pixels"},
    {{1, 3, 8, 9}, {4, 3, 3, 3}, 4, "SAME_UPPER", {0}, {1, 1}, {1 << 30, 1}, 1, "window of 2147483649 pixels"},
    {{1, 3, 8, 9}, {4, 3, 3, 3}, 4, NULL, {-1, 0, 0, 0}, {0}, {0}, 1, "'pads' holds -1"},
    {{1, 3, 8, 9}, {4, 3, 3, 3}, 4, NULL, {0, 0, INT64_MAX, 0}, {0}, {0}, 1, "'pads' holds 9223372036854775807"},
    {{1, 3, 8, 9}, {4, 3, 3, 3}, 4, NULL, {1 << 30, 0, 1 << 30, 0}, {0}, {0}, 1, "too large"},
    {{1, 3, 8, 9}, {4, 3, 3, 3}, 4, "SAME", {0}, {0}, {0}, 1, "auto_pad is 'SAME'"},
    {{1, 3, 8, 9}, {4, 3, 3, 3}, 4, NULL, {0}, {0}, {0}, 0, "group is 0"},
    {{1, 3, 8, 9}, {4, 3, 3, 3}, 4, NULL, {0}, {0}, {0}, 2, "group is 2"},
    {{1, 3, 8, 9}, {4, 3, 3, 3}, 4, NULL, {0}, {0}, {0}, -3, "group is -3"},
    {{1, 3, 8, 9}, {4, 3, 3, 3}, 4, NULL, {0}, {0}, {0}, INT64_MIN, "group is -9223372036854775808"},
    {{1, 3, 0, 9}, {4, 3, 1, 3}, 4, NULL, {1, 1, 1, 1}, {0}, {0}, 1, "does not fit into 0"},
    {{1, 3, INT64_MAX, 9}, {4, 3, 1, 3}, 4, NULL, {0}, {0}, {0}, 1, "has too many elements"},
    {{1, 1, (1ll << 30) + 1, 1}, {4, 1, 1, 1}, 4, NULL, {0}, {0}, {0}, 1, "at most 1073741824 pixels"},
    {{1, 3, 8, 9, 7}, {4, 3, 3, 2, 1}, 5, NULL, {0}, {0}, {0}, 1, "1x4x6x8x7"},
    {{1, 3, 8, 8, 8, 8}, {4, 3, 3, 3, 3, 3}, 6, NULL, {0}, {0}, {0}, 1, "four or more axes"},
    {{1, 3}, {4, 3}, 2, NULL, {0}, {0}, {0}, 1, "expected (N,C,L), (N,C,H,W) or (N,C,D,H,W)"},
};

static void test_shape(const shape_case *c) {
  op_case t;
  op_begin(&t, "Conv", 11);
  op_input(&t, ESPQ_F32, c->rank, c->x, NULL);
  op_constant(&t, ESPQ_F32, c->rank, c->w, NULL);
  if (c->auto_pad) op_string(&t, "auto_pad", c->auto_pad);
  if (c->pads[0] || c->pads[2]) op_ints(&t, "pads", 2 * (c->rank - 2), c->pads);
  if (c->strides[0]) op_ints(&t, "strides", c->rank - 2, c->strides);
  if (c->dilations[0] || c->dilations[1]) op_ints(&t, "dilations", c->rank - 2, c->dilations);
  op_int(&t, "group", c->group);
  espq_status status = op_infer(&t);
  if (status ? !CHECK(strstr(t.err.text, c->expected) && strstr(t.err.text, "Conv 'n'"))
             : !CHECK(strcmp(op_shape(&t, 0), c->expected) == 0))
    fprintf(stderr, "  expected '%s', got '%s'\n", c->expected, status ? t.err.text : op_shape(&t, 0));
  op_end(&t);
}

static void test_refusals(void) {
  op_case t;
  op_begin(&t, "Conv", 11); /* kernel_shape that contradicts the weight */
  op_input(&t, ESPQ_F32, 4, (int64_t[]){1, 3, 8, 9}, NULL);
  op_constant(&t, ESPQ_F32, 4, (int64_t[]){4, 3, 3, 3}, NULL);
  op_ints(&t, "kernel_shape", 2, (int64_t[]){3, 5});
  op_refused(&t, op_infer(&t), ESPQ_EFORMAT, "kernel_shape says 5");
  op_ints(&t, "kernel_shape", 3, (int64_t[]){3, 3, 3});
  op_refused(&t, op_infer(&t), ESPQ_EFORMAT, "'kernel_shape' has 3 numbers, expected 2");
  op_ints(&t, "kernel_shape", 2, (int64_t[]){3, 3});
  op_ints(&t, "pads", 2, (int64_t[]){1, 1});
  op_refused(&t, op_infer(&t), ESPQ_EFORMAT, "'pads' has 2 numbers, expected 4");
  op_int(&t, "padding", 1);
  op_refused(&t, op_verify(&t), ESPQ_EFORMAT, "unknown attribute 'padding'");
  op_end(&t);

  op_begin(&t, "Conv", 11); /* bias of another length; float16 */
  op_input(&t, ESPQ_F32, 4, (int64_t[]){1, 3, 8, 9}, NULL);
  op_constant(&t, ESPQ_F32, 4, (int64_t[]){4, 3, 3, 3}, NULL);
  op_constant(&t, ESPQ_F32, 1, (int64_t[]){3}, NULL);
  op_refused(&t, op_infer(&t), ESPQ_EFORMAT, "has shape 3, expected 4");
  t.g->values[t.g->inputs[0]].dtype = ESPQ_F16;
  op_refused(&t, op_infer(&t), ESPQ_EUNSUPPORTED, "type float16, expected float32");
  op_end(&t);

  float x[9] = {0};
  const float ones[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1}, five = 5;
  op_begin(&t, "Conv", 11); /* weight and bias that are computed */
  op_input(&t, ESPQ_F32, 4, (int64_t[]){1, 1, 3, 3}, ones);
  op_input(&t, ESPQ_F32, 4, (int64_t[]){1, 1, 3, 3}, ones);
  op_input(&t, ESPQ_F32, 1, (int64_t[]){1}, &five);
  if (CHECK(op_run(&t) == ESPQ_OK)) CHECK(*(float *)t.result[0]->data == 14);
  char text[512];
  espq_call call;
  CHECK(espq_call_init(&call, t.g, t.node, NULL, &t.err) == ESPQ_OK);
  const espq_op *op = t.g->nodes[t.node].op;
  CHECK(op->mixes_batch(&call));
  CHECK(op->why_not(&call, text, sizeof text) && strstr(text, "only constants can be quantized"));
  espq_call_free(&call);
  op_end(&t);

  x[4] = NAN;
  op_begin(&t, "Conv", 11);
  op_input(&t, ESPQ_F32, 4, (int64_t[]){1, 1, 3, 3}, x);
  op_constant(&t, ESPQ_F32, 4, (int64_t[]){1, 1, 3, 3}, x);
  CHECK(op_infer(&t) == ESPQ_OK && espq_call_init(&call, t.g, t.node, NULL, &t.err) == ESPQ_OK);
  CHECK(!op->mixes_batch(&call));
  CHECK(op->why_not(&call, text, sizeof text) && strstr(text, "holds nan at index 4"));
  espq_call_free(&call);
  op_end(&t);
}

/* ---- numbers ---- */

typedef struct conv_case {
  int rank; /* 3: ih, kh, sh, dh are 1, pt and pb 0 */
  int n, ic, ih, iw, oc, kh, kw, sh, sw, dh, dw, pt, pl, pb, pr, groups;
  const char *auto_pad; /* with the pads it must amount to above */
  bool bias;
  espq_layout in; /* in the float column */
} conv_case;

static const conv_case cases[] = {
    {4, 1, 3, 9, 8, 16, 3, 3, 1, 1, 1, 1, 0, 0, 0, 0, 1, NULL, true, ESPQ_PLAIN},
    {4, 2, 5, 9, 8, 7, 3, 2, 2, 1, 1, 1, 1, 0, 2, 1, 1, NULL, true, ESPQ_PLAIN},
    {4, 2, 16, 6, 6, 16, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 16, NULL, true, ESPQ_C8},
    {4, 1, 19, 6, 7, 19, 3, 3, 2, 2, 1, 1, 0, 1, 1, 1, 19, "SAME_UPPER", false, ESPQ_C16},
    {4, 1, 6, 7, 8, 9, 2, 2, 1, 1, 2, 3, 1, 2, 1, 1, 3, "SAME_LOWER", true, ESPQ_PLAIN},
    {4, 1, 32, 5, 5, 20, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, NULL, true, ESPQ_C16},
    {4, 1, 4, 5, 5, 8, 1, 1, 2, 2, 1, 1, 0, 0, 0, 0, 2, "VALID", false, ESPQ_PLAIN},
    {4, 1, 1, 12, 3, 1, 5, 1, 3, 1, 2, 1, 4, 0, 0, 0, 1, NULL, true, ESPQ_PLAIN},
    {3, 2, 6, 1, 11, 12, 1, 3, 1, 2, 1, 2, 0, 3, 0, 1, 2, NULL, true, ESPQ_PLAIN},
    {3, 1, 17, 1, 9, 17, 1, 4, 1, 1, 1, 1, 0, 2, 0, 1, 17, "SAME_LOWER", true, ESPQ_C8},
};

static int out_size(int in, int k, int s, int d, int p) { return (in + p - (k - 1) * d - 1) / s + 1; }

/* Input and weight of one kind, and the sum of one output element. */
typedef struct sums {
  const float *xf, *wf;
  const void *x, *w;
  int bits;
  double f;
  int64_t q;
} sums;

static int64_t integer_at(const void *p, int bits, int64_t i) {
  return bits == 8 ? ((const int8_t *)p)[i] : ((const int16_t *)p)[i];
}

static void sum_window(const conv_case *c, int n, int o, int y, int x, sums *s) {
  int per = c->ic / c->groups, first = o / (c->oc / c->groups) * per;
  s->f = 0;
  s->q = 0;
  for (int i = 0; i < per; i++)
    for (int a = 0; a < c->kh; a++)
      for (int b = 0; b < c->kw; b++) {
        int iy = y * c->sh - c->pt + a * c->dh, ix = x * c->sw - c->pl + b * c->dw;
        if (iy < 0 || ix < 0 || iy >= c->ih || ix >= c->iw) continue;
        int64_t wi = ((int64_t)(o * per + i) * c->kh + a) * c->kw + b;
        int64_t xi = ((int64_t)(n * c->ic + first + i) * c->ih + iy) * c->iw + ix;
        if (s->xf) s->f += (double)s->xf[xi] * (double)s->wf[wi];
        else s->q += integer_at(s->x, s->bits, xi) * integer_at(s->w, s->bits, wi);
      }
}

static void begin_case(op_case *t, const conv_case *c) {
  op_begin(t, "Conv", 13);
  if (c->auto_pad) op_string(t, "auto_pad", c->auto_pad);
  else if (c->rank == 4) op_ints(t, "pads", 4, (int64_t[]){c->pt, c->pl, c->pb, c->pr});
  else op_ints(t, "pads", 2, (int64_t[]){c->pl, c->pr});
  op_ints(t, "strides", c->rank - 2, (int64_t[]){c->rank == 4 ? c->sh : c->sw, c->sw});
  op_ints(t, "dilations", c->rank - 2, (int64_t[]){c->rank == 4 ? c->dh : c->dw, c->dw});
  op_int(t, "group", c->groups);
}

static void case_dims(const conv_case *c, int64_t *x, int64_t *w) {
  x[0] = c->n;
  x[1] = c->ic;
  w[0] = c->oc;
  w[1] = c->ic / c->groups;
  x[2] = c->rank == 4 ? c->ih : c->iw;
  w[2] = c->rank == 4 ? c->kh : c->kw;
  x[3] = c->iw;
  w[3] = c->kw;
}

typedef struct buffers {
  float x[8192], w[8192], b[64];
  int16_t qx[8192], qw[8192], qb[64];
} buffers;

static void check_size(const conv_case *c, op_case *t, int *oh, int *ow) {
  char want[64];
  *oh = out_size(c->ih, c->kh, c->sh, c->dh, c->pt + c->pb);
  *ow = out_size(c->iw, c->kw, c->sw, c->dw, c->pl + c->pr);
  if (c->rank == 4) snprintf(want, sizeof want, "%dx%dx%dx%d", c->n, c->oc, *oh, *ow);
  else snprintf(want, sizeof want, "%dx%dx%d", c->n, c->oc, *ow);
  if (!CHECK(strcmp(op_shape(t, 0), want) == 0)) fprintf(stderr, "  expected %s, got %s\n", want, op_shape(t, 0));
}

static void test_float(const conv_case *c, buffers *m) {
  op_case t;
  int64_t xd[4], wd[4], i = 0;
  int oh, ow;
  case_dims(c, xd, wd);
  op_fill(m->x, 8192, 1);
  op_fill(m->w, 8192, 2);
  op_fill(m->b, 64, 3);
  begin_case(&t, c);
  op_input(&t, ESPQ_F32, c->rank, xd, m->x);
  op_constant(&t, ESPQ_F32, c->rank, wd, m->w);
  if (c->bias) op_constant(&t, ESPQ_F32, 1, (int64_t[]){c->oc}, m->b);
  t.layout[0] = c->in;
  if (op_ran(&t)) {
    sums s = {.xf = m->x, .wf = m->w};
    double worst = 0;
    check_size(c, &t, &oh, &ow);
    for (int n = 0; n < c->n; n++)
      for (int o = 0; o < c->oc; o++)
        for (int y = 0; y < oh; y++)
          for (int x = 0; x < ow; x++, i++) {
            sum_window(c, n, o, y, x, &s);
            worst = fmax(worst, fabs((double)op_f32(&t, i) - s.f - (c->bias ? (double)m->b[o] : 0)));
          }
    if (!CHECK(worst < 1e-4)) fprintf(stderr, "  case %d: off by %g\n", (int)(c - cases), worst);
  }
  op_end(&t);
}

enum { E_IN = -7, E_OUT = -4 };

/* legacy-tool.md 6.2 and 6.3 */
static int64_t quantize_sum(int64_t sum, espq_arithmetic arithmetic, int bits, int ew, const int16_t *b, int o) {
  sum = espq_fixed_clip(sum, bits == 8 ? 20 : 40);
  if (arithmetic == ESPQ_ARITHMETIC_V1_TENSOR)
    return espq_fixed_clip(espq_fixed_floor(sum, E_OUT - E_IN - ew) + (b ? b[o] : 0), bits);
  int64_t v = espq_fixed_floor(sum, 4);
  if (b) v = espq_fixed_clip(v + b[o], 16);
  int k = E_IN + ew + 4 - E_OUT;
  return espq_fixed_clip(k < -12 ? 0 : espq_fixed_floor(v, -k), 8);
}

static void add_bias(op_case *t, const conv_case *c, espq_arithmetic arithmetic, int bits, const int32_t *ew,
                     buffers *m) {
  bool channels = arithmetic == ESPQ_ARITHMETIC_V1_CHANNEL;
  int32_t exponents[64];
  if (!c->bias) return;
  op_fill_ints(m->qb, channels ? 16 : bits, 64, 6);
  op_constant(t, channels || bits == 16 ? ESPQ_I16 : ESPQ_I8, 1, (int64_t[]){c->oc}, m->qb);
  for (int o = 0; o < c->oc; o++) exponents[o] = channels ? E_IN + ew[o] + 4 : E_OUT;
  op_quants(t, 2, channels || bits == 16 ? 16 : 8, channels ? c->oc : 1, exponents);
  for (int o = 63; o >= 0 && !channels && bits == 8; o--) m->qb[o] = ((int8_t *)m->qb)[o];
}

static void test_integer(const conv_case *c, espq_arithmetic arithmetic, int bits, espq_isa isa, buffers *m) {
  op_case t;
  int64_t xd[4], wd[4], i = 0, wrong = 0;
  int32_t ew[64];
  int oh, ow;
  bool channels = arithmetic == ESPQ_ARITHMETIC_V1_CHANNEL;
  espq_dtype type = bits == 8 ? ESPQ_I8 : ESPQ_I16;
  case_dims(c, xd, wd);
  op_fill_ints(m->qx, bits, 8192, 4);
  op_fill_ints(m->qw, bits, 8192, 5);
  for (int o = 0; o < 64; o++) ew[o] = channels ? -5 - o % 11 : bits == 8 ? -6 : -14;
  begin_case(&t, c);
  t.isa = isa;
  op_integer(&t, arithmetic);
  op_input(&t, type, c->rank, xd, m->qx);
  op_constant(&t, type, c->rank, wd, m->qw);
  op_quant(&t, 0, bits, E_IN);
  op_quants(&t, 1, bits, channels ? c->oc : 1, ew);
  op_quant(&t, OP_OUT, bits, E_OUT);
  add_bias(&t, c, arithmetic, bits, ew, m);
  if (op_ran(&t)) {
    sums s = {.x = m->qx, .w = m->qw, .bits = bits};
    check_size(c, &t, &oh, &ow);
    CHECK(t.out_layout == ESPQ_NHWC16);
    for (int n = 0; n < c->n; n++)
      for (int o = 0; o < c->oc; o++)
        for (int y = 0; y < oh; y++)
          for (int x = 0; x < ow; x++, i++) {
            sum_window(c, n, o, y, x, &s);
            wrong += op_integer_at(&t, i) != quantize_sum(s.q, arithmetic, bits, ew[o], c->bias ? m->qb : NULL, o);
          }
    if (!CHECK(wrong == 0)) fprintf(stderr, "  case %d, %d bits: %d wrong\n", (int)(c - cases), bits, (int)wrong);
  }
  op_end(&t);
}

/* A scale of 0 at input, weight or output: no product counts, or nothing does. */
static void test_zero_scales(void) {
  int8_t x[] = {100, -100}, w[] = {3, 4}, b[] = {7};
  for (int which = 0; which < 3; which++) {
    op_case t;
    op_begin(&t, "Conv", 13);
    op_integer(&t, ESPQ_ARITHMETIC_V1_TENSOR);
    op_input(&t, ESPQ_I8, 3, (int64_t[]){1, 2, 1}, x);
    op_constant(&t, ESPQ_I8, 3, (int64_t[]){1, 2, 1}, w);
    op_constant(&t, ESPQ_I8, 1, (int64_t[]){1}, b);
    op_quant(&t, 0, 8, which == 0 ? INT32_MIN : -7);
    op_quant(&t, 1, 8, which == 1 ? INT32_MIN : -7);
    op_quant(&t, OP_OUT, 8, which == 2 ? INT32_MIN : -4);
    if (op_ran(&t)) CHECK(op_integer_at(&t, 0) == (which == 2 ? 0 : 7));
    op_end(&t);
  }
}

static void test_integer_refusals(void) {
  int8_t x[2] = {0}, w[2] = {0}, b[1] = {0};
  op_case t;
  op_begin(&t, "Conv", 13);
  op_input(&t, ESPQ_I8, 3, (int64_t[]){1, 2, 1}, x);
  op_constant(&t, ESPQ_I8, 3, (int64_t[]){1, 2, 1}, w);
  op_constant(&t, ESPQ_I8, 1, (int64_t[]){1}, b);
  op_refused(&t, op_run(&t), ESPQ_EUNSUPPORTED, "type int8, expected float32");
  op_integer(&t, ESPQ_ARITHMETIC_V1_TENSOR);
  op_refused(&t, op_run(&t), ESPQ_EUNSUPPORTED, "has 0 exponents");
  op_quant(&t, 0, 8, -7);
  op_quants(&t, 1, 8, 2, (int32_t[]){-7, -6});
  op_quant(&t, OP_OUT, 8, -4);
  op_refused(&t, op_run(&t), ESPQ_EUNSUPPORTED, "has 2 exponents, expected 1");
  op_quant(&t, 1, 8, INT32_MAX);
  op_refused(&t, op_run(&t), ESPQ_EUNSUPPORTED, "NaN or infinity");
  op_quant(&t, 1, 8, -7);
  op_quant(&t, 2, 8, -5);
  op_refused(&t, op_run(&t), ESPQ_EUNSUPPORTED, "has exponent -5 (channel 0), expected -4");
  op_quant(&t, 2, 8, -4);
  CHECK(op_run(&t) == ESPQ_OK);
  op_end(&t);
}

int main(void) {
  static buffers m;
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) test_shape(&shapes[i]);
  test_refusals();
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    test_float(&cases[i], &m);
    for (int isa = 0; isa <= (int)espq_isa_detect(); isa++) {
      test_integer(&cases[i], ESPQ_ARITHMETIC_V1_TENSOR, 8, (espq_isa)isa, &m);
      test_integer(&cases[i], ESPQ_ARITHMETIC_V1_CHANNEL, 8, (espq_isa)isa, &m);
      test_integer(&cases[i], ESPQ_ARITHMETIC_V1_TENSOR, 16, (espq_isa)isa, &m);
    }
  }
  test_zero_scales();
  test_integer_refusals();
  return check_report();
}
