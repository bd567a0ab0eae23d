/* Resize: sizes and refusals, and every supported mode against numbers that onnxruntime 1.32 gave. */
#include <math.h>

#include "ops/run_op.h"

/* ---- numbers ---- */

typedef struct resize_case {
  int64_t opset, in[2];
  float scales[2];
  int64_t sizes[2];                         /* in place of scales where not 0 */
  const char *mode, *coordinates, *nearest; /* NULL: left out */
  float expected[36];
} resize_case;

/* Pixel i of the image is i * i % 101. */
static const resize_case cases[] = {
    {13,
     {2, 3},
     {1.5f, 2.0f},
     {0},
     "nearest",
     "asymmetric",
     "floor",
     {0, 0, 1, 1, 4, 4, 0, 0, 1, 1, 4, 4, 9, 9, 16, 16, 25, 25}},
    {11, {4, 5}, {0.6f, 0.7f}, {0}, "nearest", "asymmetric", "floor", {0, 1, 4, 25, 36, 49}},
    {18, {3, 2}, {0}, {4, 5}, "nearest", "asymmetric", "floor", {0, 0, 0, 1, 1, 0,  0,  0,  1,  1,
                                                                 4, 4, 4, 9, 9, 16, 16, 16, 25, 25}},
    {13,
     {2, 3},
     {1.5f, 2.0f},
     {0},
     "nearest",
     "asymmetric",
     "ceil",
     {0, 1, 1, 4, 4, 4, 9, 16, 16, 25, 25, 25, 9, 16, 16, 25, 25, 25}},
    {11, {4, 5}, {0.6f, 0.7f}, {0}, "nearest", "asymmetric", "ceil", {0, 4, 9, 100, 43, 68}},
    {11, {3, 2}, {0}, {4, 5}, "nearest", "asymmetric", "ceil", {0,  1,  1,  1,  1,  4,  9,  9,  9,  9,
                                                                16, 25, 25, 25, 25, 16, 25, 25, 25, 25}},
    {13,
     {2, 3},
     {1.5f, 2.0f},
     {0},
     "nearest",
     "asymmetric",
     "round_prefer_floor",
     {0, 0, 1, 1, 4, 4, 9, 9, 16, 16, 25, 25, 9, 9, 16, 16, 25, 25}},
    {11, {4, 5}, {0.6f, 0.7f}, {0}, "nearest", "asymmetric", "round_prefer_floor", {0, 1, 9, 100, 20, 68}},
    {18, {3, 2}, {0}, {4, 5}, "nearest", "asymmetric", "round_prefer_floor", {0, 0, 1, 1, 1, 4,  4,  9,  9,  9,
                                                                              4, 4, 9, 9, 9, 16, 16, 25, 25, 25}},
    {13,
     {2, 3},
     {1.5f, 2.0f},
     {0},
     "nearest",
     "asymmetric",
     "round_prefer_ceil",
     {0, 1, 1, 4, 4, 4, 9, 16, 16, 25, 25, 25, 9, 16, 16, 25, 25, 25}},
    {11, {4, 5}, {0.6f, 0.7f}, {0}, "nearest", "asymmetric", "round_prefer_ceil", {0, 1, 9, 100, 20, 68}},
    {18, {3, 2}, {0}, {4, 5}, "nearest", "asymmetric", "round_prefer_ceil", {0,  0,  1,  1,  1,  4,  4,  9,  9,  9,
                                                                             16, 16, 25, 25, 25, 16, 16, 25, 25, 25}},
    {13, {2, 3}, {2.0f, 2.0f}, {0}, "linear", "asymmetric", NULL, {0,   0.5,  1,    2.5,  4,  4,    4.5, 6.5,
                                                                   8.5, 11.5, 14.5, 14.5, 9,  12.5, 16,  20.5,
                                                                   25,  25,   9,    12.5, 16, 20.5, 25,  25}},
    {11,
     {4, 5},
     {0.6f, 0.7f},
     {0},
     "linear",
     "asymmetric",
     NULL,
     {0, 2.28571439, 8.2857151, 75, 33.7619057, 63.5714264}},
    {13, {3, 2}, {0}, {5, 4}, "linear", "asymmetric", NULL, {0,          0.5,        1,          1,          2.4000001,
                                                             4.10000038, 5.80000019, 5.80000019, 6.40000057, 9.30000114,
                                                             12.2000008, 12.2000008, 13.6000004, 17.7000008, 21.8000011,
                                                             21.8000011, 16,         20.5,       25,         25}},
    {13, {3, 4}, {0}, {1, 2}, "linear", "asymmetric", NULL, {0, 4}},
    {13,
     {2, 3},
     {1.5f, 2.0f},
     {0},
     "nearest",
     "half_pixel",
     "floor",
     {0, 0, 0, 1, 1, 4, 0, 0, 0, 1, 1, 4, 9, 9, 9, 16, 16, 25}},
    {11, {4, 5}, {0.6f, 0.7f}, {0}, "nearest", "half_pixel", "floor", {0, 1, 9, 100, 20, 68}},
    {18, {3, 2}, {0}, {4, 5}, "nearest", "half_pixel", "floor", {0, 0, 0, 0, 1, 0,  0,  0,  0,  1,
                                                                 4, 4, 4, 4, 9, 16, 16, 16, 16, 25}},
    {13,
     {2, 3},
     {1.5f, 2.0f},
     {0},
     "nearest",
     "half_pixel",
     "ceil",
     {0, 1, 1, 4, 4, 4, 9, 16, 16, 25, 25, 25, 9, 16, 16, 25, 25, 25}},
    {11, {4, 5}, {0.6f, 0.7f}, {0}, "nearest", "half_pixel", "ceil", {36, 49, 81, 20, 43, 95}},
    {11, {3, 2}, {0}, {4, 5}, "nearest", "half_pixel", "ceil", {0,  1,  1,  1,  1,  4,  9,  9,  9,  9,
                                                                16, 25, 25, 25, 25, 16, 25, 25, 25, 25}},
    {13,
     {2, 3},
     {1.5f, 2.0f},
     {0},
     "nearest",
     "half_pixel",
     "round_prefer_floor",
     {0, 0, 1, 1, 4, 4, 0, 0, 1, 1, 4, 4, 9, 9, 16, 16, 25, 25}},
    {11, {4, 5}, {0.6f, 0.7f}, {0}, "nearest", "half_pixel", "round_prefer_floor", {0, 4, 9, 100, 43, 68}},
    {18, {3, 2}, {0}, {4, 5}, "nearest", "half_pixel", "round_prefer_floor", {0, 0, 0, 1, 1, 4,  4,  4,  9,  9,
                                                                              4, 4, 4, 9, 9, 16, 16, 16, 25, 25}},
    {13,
     {2, 3},
     {1.5f, 2.0f},
     {0},
     "nearest",
     "half_pixel",
     "round_prefer_ceil",
     {0, 0, 1, 1, 4, 4, 9, 9, 16, 16, 25, 25, 9, 9, 16, 16, 25, 25}},
    {11, {4, 5}, {0.6f, 0.7f}, {0}, "nearest", "half_pixel", "round_prefer_ceil", {0, 4, 9, 100, 43, 68}},
    {18, {3, 2}, {0}, {4, 5}, "nearest", "half_pixel", "round_prefer_ceil", {0, 0, 1, 1, 1, 4,  4,  9,  9,  9,
                                                                             4, 4, 9, 9, 9, 16, 16, 25, 25, 25}},
    {13, {2, 3}, {2.0f, 2.0f}, {0}, "linear", "half_pixel", NULL, {0,    0.25,  0.75,   1.75,   3.25,   4,
                                                                   2.25, 2.875, 4.125,  5.875,  8.125,  9.25,
                                                                   6.75, 8.125, 10.875, 14.125, 17.875, 19.75,
                                                                   9,    10.75, 14.25,  18.25,  22.75,  25}},
    {11,
     {4, 5},
     {0.6f, 0.7f},
     {0},
     "linear",
     "half_pixel",
     NULL,
     {9.26190472, 16.7380943, 28.0714264, 82.8571396, 34.7857132, 69.9285736}},
    {13, {3, 2}, {0}, {5, 4}, "linear", "half_pixel", NULL, {0,          0.25,       0.75,       1,          1.60000014,
                                                             2.25,       3.55000019, 4.20000029, 4,          5.25,
                                                             7.75,       9,          11.2000017, 13.0500021, 16.7500019,
                                                             18.6000023, 16,         18.25,      22.75,      25}},
    {13, {3, 4}, {0}, {1, 2}, "linear", "half_pixel", NULL, {20.5, 42.5}},
    {13,
     {2, 3},
     {1.5f, 2.0f},
     {0},
     "nearest",
     "align_corners",
     "floor",
     {0, 0, 0, 1, 1, 4, 0, 0, 0, 1, 1, 4, 9, 9, 9, 16, 16, 25}},
    {11, {4, 5}, {0}, {2, 3}, "nearest", "align_corners", "floor", {0, 4, 16, 23, 87, 58}},
    {18, {3, 2}, {0}, {4, 5}, "nearest", "align_corners", "floor", {0, 0, 0, 0, 1, 0,  0,  0,  0,  1,
                                                                    4, 4, 4, 4, 9, 16, 16, 16, 16, 25}},
    {13,
     {2, 3},
     {1.5f, 2.0f},
     {0},
     "nearest",
     "align_corners",
     "ceil",
     {0, 1, 1, 4, 4, 4, 9, 16, 16, 25, 25, 25, 9, 16, 16, 25, 25, 25}},
    {11, {4, 5}, {0}, {2, 3}, "nearest", "align_corners", "ceil", {0, 4, 16, 23, 87, 58}},
    {11, {3, 2}, {0}, {4, 5}, "nearest", "align_corners", "ceil", {0,  1,  1,  1,  1,  4,  9,  9,  9,  9,
                                                                   16, 25, 25, 25, 25, 16, 25, 25, 25, 25}},
    {13,
     {2, 3},
     {1.5f, 2.0f},
     {0},
     "nearest",
     "align_corners",
     "round_prefer_floor",
     {0, 0, 1, 1, 4, 4, 0, 0, 1, 1, 4, 4, 9, 9, 16, 16, 25, 25}},
    {11, {4, 5}, {0}, {2, 3}, "nearest", "align_corners", "round_prefer_floor", {0, 4, 16, 23, 87, 58}},
    {18, {3, 2}, {0}, {4, 5}, "nearest", "align_corners", "round_prefer_floor", {0, 0, 0, 1, 1, 4,  4,  4,  9,  9,
                                                                                 4, 4, 4, 9, 9, 16, 16, 16, 25, 25}},
    {13,
     {2, 3},
     {1.5f, 2.0f},
     {0},
     "nearest",
     "align_corners",
     "round_prefer_ceil",
     {0, 0, 1, 1, 4, 4, 9, 9, 16, 16, 25, 25, 9, 9, 16, 16, 25, 25}},
    {11, {4, 5}, {0}, {2, 3}, "nearest", "align_corners", "round_prefer_ceil", {0, 4, 16, 23, 87, 58}},
    {18, {3, 2}, {0}, {4, 5}, "nearest", "align_corners", "round_prefer_ceil", {0, 0, 1, 1, 1, 4,  4,  9,  9,  9,
                                                                                4, 4, 9, 9, 9, 16, 16, 25, 25, 25}},
    {13, {2, 3}, {2.0f, 2.0f}, {0}, "linear", "align_corners", NULL, {0,          0.400000006, 0.800000012, 1.60000014,
                                                                      2.80000019, 4,           3,           4.20000029,
                                                                      5.4000001,  7,           9,           11,
                                                                      6,          8,           10,          12.3999996,
                                                                      15.2000008, 18,          9,           11.8000002,
                                                                      14.6000004, 17.7999992,  21.4000015,  25}},
    {11, {4, 5}, {0}, {2, 3}, "linear", "align_corners", NULL, {0, 4, 16, 23, 87, 58}},
    {13, {3, 2}, {0}, {5, 4}, "linear", "align_corners", NULL, {0,  0.333333343, 0.666666687, 1,
                                                                2,  3,           4,           5,
                                                                4,  5.66666651,  7.33333302,  9,
                                                                10, 12.333333,   14.666667,   17,
                                                                16, 19,          22,          25}},
    {13, {3, 4}, {0}, {1, 2}, "linear", "align_corners", NULL, {0, 9}},
    {13,
     {2, 3},
     {1.5f, 2.0f},
     {0},
     "nearest",
     "pytorch_half_pixel",
     "floor",
     {0, 0, 0, 1, 1, 4, 0, 0, 0, 1, 1, 4, 9, 9, 9, 16, 16, 25}},
    {11, {4, 5}, {0.6f, 0.7f}, {0}, "nearest", "pytorch_half_pixel", "floor", {0, 1, 9, 100, 20, 68}},
    {18, {3, 2}, {0}, {4, 5}, "nearest", "pytorch_half_pixel", "floor", {0, 0, 0, 0, 1, 0,  0,  0,  0,  1,
                                                                         4, 4, 4, 4, 9, 16, 16, 16, 16, 25}},
    {13,
     {2, 3},
     {1.5f, 2.0f},
     {0},
     "nearest",
     "pytorch_half_pixel",
     "ceil",
     {0, 1, 1, 4, 4, 4, 9, 16, 16, 25, 25, 25, 9, 16, 16, 25, 25, 25}},
    {11, {4, 5}, {0.6f, 0.7f}, {0}, "nearest", "pytorch_half_pixel", "ceil", {36, 49, 81, 20, 43, 95}},
    {11, {3, 2}, {0}, {4, 5}, "nearest", "pytorch_half_pixel", "ceil", {0,  1,  1,  1,  1,  4,  9,  9,  9,  9,
                                                                        16, 25, 25, 25, 25, 16, 25, 25, 25, 25}},
    {13,
     {2, 3},
     {1.5f, 2.0f},
     {0},
     "nearest",
     "pytorch_half_pixel",
     "round_prefer_floor",
     {0, 0, 1, 1, 4, 4, 0, 0, 1, 1, 4, 4, 9, 9, 16, 16, 25, 25}},
    {11, {4, 5}, {0.6f, 0.7f}, {0}, "nearest", "pytorch_half_pixel", "round_prefer_floor", {0, 4, 9, 100, 43, 68}},
    {18, {3, 2}, {0}, {4, 5}, "nearest", "pytorch_half_pixel", "round_prefer_floor", {0, 0,  0,  1,  1,  4, 4,
                                                                                      4, 9,  9,  4,  4,  4, 9,
                                                                                      9, 16, 16, 16, 25, 25}},
    {13,
     {2, 3},
     {1.5f, 2.0f},
     {0},
     "nearest",
     "pytorch_half_pixel",
     "round_prefer_ceil",
     {0, 0, 1, 1, 4, 4, 9, 9, 16, 16, 25, 25, 9, 9, 16, 16, 25, 25}},
    {11, {4, 5}, {0.6f, 0.7f}, {0}, "nearest", "pytorch_half_pixel", "round_prefer_ceil", {0, 4, 9, 100, 43, 68}},
    {18, {3, 2}, {0}, {4, 5}, "nearest", "pytorch_half_pixel", "round_prefer_ceil", {0, 0,  1,  1,  1,  4, 4,
                                                                                     9, 9,  9,  4,  4,  9, 9,
                                                                                     9, 16, 16, 25, 25, 25}},
    {13, {2, 3}, {2.0f, 2.0f}, {0}, "linear", "pytorch_half_pixel", NULL, {0,    0.25,  0.75,   1.75,   3.25,   4,
                                                                           2.25, 2.875, 4.125,  5.875,  8.125,  9.25,
                                                                           6.75, 8.125, 10.875, 14.125, 17.875, 19.75,
                                                                           9,    10.75, 14.25,  18.25,  22.75,  25}},
    {11,
     {4, 5},
     {0.6f, 0.7f},
     {0},
     "linear",
     "pytorch_half_pixel",
     NULL,
     {9.26190472, 16.7380943, 28.0714264, 82.8571396, 34.7857132, 69.9285736}},
    {13, {3, 2}, {0}, {5, 4}, "linear", "pytorch_half_pixel", NULL, {0,          0.25,       0.75,       1,
                                                                     1.60000014, 2.25,       3.55000019, 4.20000029,
                                                                     4,          5.25,       7.75,       9,
                                                                     11.2000017, 13.0500021, 16.7500019, 18.6000023,
                                                                     16,         18.25,      22.75,      25}},
    {13, {3, 4}, {0}, {1, 2}, "linear", "pytorch_half_pixel", NULL, {0.5, 6.5}},
    {10, {2, 3}, {2.0f, 2.5f}, {0}, "nearest", NULL, NULL, {0, 0, 0, 1,  1,  4,  4,  0, 0, 0, 1,  1,  4,  4,
                                                            9, 9, 9, 16, 16, 25, 25, 9, 9, 9, 16, 16, 25, 25}},
    {10, {4, 5}, {0.5f, 0.7f}, {0}, "nearest", NULL, NULL, {0, 4, 9, 100, 43, 68}},
    {10,
     {2, 3},
     {2.0f, 1.5f},
     {0},
     "linear",
     NULL,
     NULL,
     {0, 0.666666687, 2, 4, 4.5, 7.16666698, 10.5, 14.5, 9, 13.666666, 19, 25, 9, 13.666666, 19, 25}},
    {11, {3, 3}, {2.0f, 2.0f}, {0}, NULL, NULL, NULL, {0,  0,  1,  1,  4,  4,  0,  0,  1,  1,  4,  4,
                                                       9,  9,  16, 16, 25, 25, 9,  9,  16, 16, 25, 25,
                                                       36, 36, 49, 49, 64, 64, 36, 36, 49, 49, 64, 64}},
};

static void add_parameters(op_case *t, int64_t opset, int rank, const float *scales, const int64_t *sizes) {
  if (opset >= 11) { /* no roi; in opset 11 it could not be left out */
    if (opset < 13) op_constant(t, ESPQ_F32, 1, (int64_t[]){0}, NULL);
    else op_absent(t);
  }
  if (scales) op_constant(t, ESPQ_F32, 1, (int64_t[]){rank}, scales);
  else if (opset < 13) op_constant(t, ESPQ_F32, 1, (int64_t[]){0}, NULL);
  else op_absent(t);
  if (sizes) op_constant(t, ESPQ_I64, 1, (int64_t[]){rank}, sizes);
}

/* Two images of 17 channels, of which one has the numbers and the others are 0. */
static void test_numbers(const resize_case *c, espq_layout layout) {
  enum { PLANES = 34, BUSY = 21 };
  op_case t;
  static float x[PLANES * 20];
  const float scales[] = {1, 1, c->scales[0], c->scales[1]};
  const int64_t sizes[] = {2, 17, c->sizes[0], c->sizes[1]}, pixels = c->in[0] * c->in[1];
  memset(x, 0, sizeof x);
  for (int i = 0; i < pixels; i++) x[BUSY * pixels + i] = (float)(i * i % 101);
  op_begin(&t, "Resize", c->opset);
  op_input(&t, ESPQ_F32, 4, (int64_t[]){2, 17, c->in[0], c->in[1]}, x);
  add_parameters(&t, c->opset, 4, c->sizes[0] ? NULL : scales, c->sizes[0] ? sizes : NULL);
  if (c->mode) op_string(&t, "mode", c->mode);
  if (c->coordinates) op_string(&t, "coordinate_transformation_mode", c->coordinates);
  if (c->nearest) op_string(&t, "nearest_mode", c->nearest);
  t.layout[0] = layout;
  CHECK(op_verify(&t) == ESPQ_OK);
  if (op_ran(&t)) {
    int64_t out = t.result[0]->count / PLANES, wrong = 0;
    for (int64_t i = 0; i < t.result[0]->count; i++) {
      float want = i / out == BUSY ? c->expected[i % out] : 0;
      wrong += fabsf(op_f32(&t, i) - want) > 1e-5f * fabsf(want);
    }
    if (!CHECK(wrong == 0)) {
      fprintf(stderr, "  case %d:", (int)(c - cases));
      for (int64_t i = 0; i < out; i++) fprintf(stderr, " %g", (double)op_f32(&t, BUSY * out + i));
      fprintf(stderr, "\n");
    }
  }
  op_end(&t);
}

/* ---- sizes ---- */

typedef struct size_case {
  int rank;
  int64_t in[5];
  bool scaled, sized;
  float scales[4];
  int64_t sizes[4];
  const char *expected; /* shape, or a piece of the message */
} size_case;

static const size_case sizes[] = {
    {4, {2, 3, 5, 7}, true, false, {1, 1, 2, 0.5f}, {0}, "2x3x10x3"},
    {4, {2, 3, 5, 7}, false, true, {0}, {2, 3, 4, 9}, "2x3x4x9"},
    {4, {-1, 3, -1, 7}, true, false, {1, 1, 2, 2}, {0}, "?x3x?x14"},
    {3, {2, 3, 7}, true, false, {1, 1, 2}, {0}, "2x3x14"},
    {4, {2, 3, 5, 7}, true, false, {1, 1, 0.1f, 1}, {0}, "leaves nothing of axis 2"},
    {4, {2, 3, 5, 7}, true, false, {1, 1, 0, 1}, {0}, "scale 2 is 0"},
    {4, {2, 3, 5, 7}, true, false, {1, 1, -1, 1}, {0}, "scale 2 is -1"},
    {4, {2, 3, 5, 7}, true, false, {1, 1, NAN, 1}, {0}, "expected a number above 0"},
    {4, {2, 3, 5, 7}, true, false, {1, 1, INFINITY, 1}, {0}, "scale 2 is inf"},
    {4, {2, 3, 5, 7}, true, false, {1, 1, 1e30f, 1}, {0}, "axis 2 would have 5e+30 entries"},
    {4, {2, 3, 5, 7}, true, false, {1, 1, 1e9f, 1e9f}, {0}, "output"},
    {4, {2, 3, 5, 7}, false, true, {0}, {2, 3, 0, 9}, "size 2 is 0"},
    {4, {2, 3, 5, 7}, false, true, {0}, {2, 3, INT64_MIN, 9}, "size 2 is -9223372036854775808"},
    {4, {2, 3, 5, 7}, false, true, {0}, {2, 3, INT64_MAX, 9}, "output"},
    {4, {2, 3, 0, 7}, false, true, {0}, {2, 3, 4, 9}, "axis 2 is empty"},
    {4, {2, 3, 5, 7}, true, true, {1, 1, 1, 1}, {2, 3, 5, 7}, "scales and sizes, expected one of them"},
    {4, {2, 3, 5, 7}, false, false, {0}, {0}, "neither scales nor sizes"},
    {5, {1, 2, 3, 5, 7}, true, false, {1, 1, 1, 2}, {0}, "4 scales or sizes, expected 5"},
};

static void test_sizes(void) {
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    const size_case *c = &sizes[i];
    op_case t;
    int n = c->rank < 4 ? c->rank : 4;
    op_begin(&t, "Resize", 13);
    op_input(&t, ESPQ_F32, c->rank, c->in, NULL);
    add_parameters(&t, 13, n, c->scaled ? c->scales : NULL, c->sized ? c->sizes : NULL);
    const char *got = op_infer(&t) ? t.err.text : op_shape(&t, 0);
    if (!CHECK(strstr(got, c->expected))) fprintf(stderr, "  sizes %d: got '%s'\n", (int)i, got);
    op_end(&t);
  }
}

/* ---- rules ---- */

static void begin_plain(op_case *t, int64_t opset, const float *scales) {
  static const float x[2 * 3 * 2 * 2] = {0};
  op_begin(t, "Resize", opset);
  op_input(t, ESPQ_F32, 4, (int64_t[]){2, 3, 2, 2}, x);
  add_parameters(t, opset, 4, scales, NULL);
}

static void test_unsupported(void) {
  static const struct {
    const char *attr, *value, *piece;
    espq_status status;
  } refusals[] = {
      {"mode", "cosine", "mode is 'cosine'", ESPQ_EFORMAT},
      {"coordinate_transformation_mode", "tf_crop_and_resize", "roi must be a constant of 8 floats", ESPQ_EFORMAT},
      {"coordinate_transformation_mode", "crop", "coordinate_transformation_mode is 'crop'", ESPQ_EFORMAT},
      {"nearest_mode", "round", "nearest_mode is 'round'", ESPQ_EFORMAT},
      {"keep_aspect_ratio_policy", "fit", "keep_aspect_ratio_policy is 'fit'", ESPQ_EFORMAT},
  };
  op_case t;
  for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
    begin_plain(&t, 19, (float[]){1, 1, 2, 2});
    op_string(&t, refusals[i].attr, refusals[i].value);
    op_refused(&t, op_run(&t), refusals[i].status, refusals[i].piece);
    op_end(&t);
  }
}

static void test_axes(void) {
  op_case t;
  const float x[] = {1, 2, 3, 4};
  op_begin(&t, "Resize", 18);
  op_input(&t, ESPQ_F32, 4, (int64_t[]){1, 1, 2, 2}, x);
  add_parameters(&t, 18, 2, NULL, (int64_t[]){4, 2});
  op_ints(&t, "axes", 2, (int64_t[]){3, -2});
  if (op_ran(&t)) {
    CHECK(strcmp(op_shape(&t, 0), "1x1x2x4") == 0);
    CHECK(memcmp(t.result[0]->data, (float[]){1, 1, 2, 2, 3, 3, 4, 4}, 8 * sizeof(float)) == 0);
  }
  op_ints(&t, "axes", 2, (int64_t[]){2, -2});
  op_refused(&t, op_infer(&t), ESPQ_EFORMAT, "axis 2 is named twice");
  op_ints(&t, "axes", 2, (int64_t[]){2, 4});
  op_refused(&t, op_infer(&t), ESPQ_EFORMAT, "axis 4 is outside");
  op_ints(&t, "axes", 3, (int64_t[]){1, 2, 3});
  op_refused(&t, op_infer(&t), ESPQ_EFORMAT, "2 scales or sizes, expected 3");
  op_end(&t);
}

static void test_rules(void) {
  op_case t;
  espq_call call;
  char text[512];
  op_begin(&t, "Resize", 13); /* scales that only a run knows */
  op_input(&t, ESPQ_F32, 4, (int64_t[]){2, 3, 2, 2}, NULL);
  op_absent(&t);
  op_input(&t, ESPQ_F32, 1, (int64_t[]){4}, NULL);
  CHECK(op_infer(&t) == ESPQ_OK && strcmp(op_shape(&t, 0), "?x?x?x?") == 0);
  op_must(!espq_call_init(&call, t.g, t.node, NULL, &t.err), t.err.text);
  const char *why = t.g->nodes[t.node].op->why_not(&call, text, sizeof text);
  CHECK(why && strstr(why, "resize the images before the model"));
  espq_call_free(&call);
  op_end(&t);
  op_begin(&t, "Resize", 13);
  op_input(&t, ESPQ_F32, 4, (int64_t[]){2, 3, 2, 2}, NULL);
  op_absent(&t);
  op_constant(&t, ESPQ_I64, 1, (int64_t[]){4}, NULL);
  op_refused(&t, op_infer(&t), ESPQ_EFORMAT, "are of type int64, expected float32");
  op_end(&t);
}

int main(void) {
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    test_numbers(&cases[i], ESPQ_PLAIN);
    test_numbers(&cases[i], ESPQ_C16);
  }
  test_sizes();
  test_unsupported();
  test_axes();
  test_rules();
  return check_report();
}
