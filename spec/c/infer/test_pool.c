/* Pooling in every layout against a loop over windows that counts and sums literally: bit for bit, on oneDNN too.
 * main runs itself once for every instruction set, as it can be capped only once in a process. */
#include "infer/pool.h"

#include <float.h>

#include "fixture.h"

static espq_infer_engine *engine;
static espq_infer_stream *stream;
static int on_onednn, in_loops;

static void run_pool(const espq_infer_pool_params *p, const float *src, float *dst) {
  espq_infer_pool *pool;
  espq_error err = {0};
  if (!CHECK(!espq_infer_pool_prepare(engine, p, &pool, &err))) return (void)fprintf(stderr, "  %s\n", err.text);
  *(espq_infer_pool_on_onednn(pool) ? &on_onednn : &in_loops) += 1;
  CHECK(!espq_infer_pool_run(pool, stream, src, dst, NULL));
  espq_infer_pool_free(pool);
}

/* The definition: float sum in index order, one division; count by the rule of the header. */
static float naive(const espq_infer_pool_params *p, const float *x, int64_t oy, int64_t ox) {
  float sum = 0, max = -FLT_MAX;
  int64_t count = 0;
  for (int64_t ky = 0; ky < p->kh; ky++)
    for (int64_t kx = 0; kx < p->kw; kx++) {
      int64_t y = oy * p->sh + ky * p->dh - p->pt, z = ox * p->sw + kx * p->dw - p->pl;
      bool inside = y >= 0 && z >= 0 && y < p->ih && z < p->iw;
      bool padded = y < p->ih + p->pb && z < p->iw + p->pr;
      if (inside || (padded && p->count_include_pad)) count++;
      if (!inside) continue;
      float v = x[y * p->iw + z];
      sum += v;
      if (v > max) max = v;
    }
  if (p->kind == ESPQ_INFER_POOL_MAX) return max;
  return count ? sum / (float)count : 0;
}

static void check_pool(espq_infer_pool_params p) {
  int64_t in = p.ih * p.iw, out = p.oh * p.ow;
  float *x = random_floats(p.n * p.c * in), *want = nan_floats(p.n * p.c * out);
  for (int64_t i = 0; i < p.n * p.c; i++)
    for (int64_t o = 0; o < out; o++) want[i * out + o] = naive(&p, x + i * in, o / p.ow, o % p.ow);
  for (int l = ESPQ_PLAIN; l <= ESPQ_C16; l++) {
    p.layout = (espq_layout)l;
    float *src = to_layout(p.layout, p.n, p.c, in, x), *dst = nan_floats(stored(p.layout, p.n, p.c, out));
    run_pool(&p, src, dst);
    float *y = from_layout(p.layout, p.n, p.c, out, dst);
    CHECK(same_bits(y, want, p.n * p.c * out));
    CHECK(lanes_are_zero(p.layout, p.n, p.c, out, dst));
    espq_free(src), espq_free(dst), espq_free(y);
  }
  espq_free(x), espq_free(want);
}

static void test_windows(void) {
  /* ih, iw, oh, ow, kh, kw, sh, sw, dh, dw, pt, pl, pb, pr */
  static const int64_t shapes[][14] = {
      {8, 8, 4, 4, 2, 2, 2, 2, 1, 1, 0, 0, 0, 0},   {9, 7, 5, 4, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1},
      {8, 8, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0, 1, 1},   {7, 7, 4, 4, 2, 2, 2, 2, 1, 1, 0, 0, 0, 0} /* overhangs */,
      {6, 6, 4, 4, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1},   {10, 11, 6, 7, 3, 3, 1, 1, 2, 2, 0, 0, 0, 0},
      {5, 5, 5, 5, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1},   {4, 4, 1, 1, 4, 4, 1, 1, 1, 1, 0, 0, 0, 0},
      {1, 20, 1, 10, 1, 3, 1, 2, 1, 1, 0, 1, 0, 1}, {3, 3, 5, 5, 2, 2, 1, 1, 1, 1, 2, 2, 1, 1} /* empty windows */,
      {5, 6, 3, 2, 1, 4, 2, 3, 1, 1, 0, 1, 0, 2},   {13, 13, 13, 13, 13, 13, 1, 1, 1, 1, 6, 6, 6, 6}};
  static const int64_t channels[] = {1, 3, 16, 17, 31};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
    for (int c = 0; c < 5; c++)
      for (int kind = 0; kind < 3; kind++) {
        const int64_t *s = shapes[i];
        check_pool((espq_infer_pool_params){.kind = kind ? ESPQ_INFER_POOL_AVERAGE : ESPQ_INFER_POOL_MAX,
                                            .n = 2,
                                            .c = channels[c],
                                            .ih = s[0],
                                            .iw = s[1],
                                            .oh = s[2],
                                            .ow = s[3],
                                            .kh = s[4],
                                            .kw = s[5],
                                            .sh = s[6],
                                            .sw = s[7],
                                            .dh = s[8],
                                            .dw = s[9],
                                            .pt = s[10],
                                            .pl = s[11],
                                            .pb = s[12],
                                            .pr = s[13],
                                            .count_include_pad = kind == 2});
      }
}

/* Counts by hand: 3 wide, window 2, stride 2, output 2 by ceil: the second window holds one real column. */
static void test_counts(void) {
  espq_infer_pool_params p = {.kind = ESPQ_INFER_POOL_AVERAGE,
                              .n = 1,
                              .c = 1,
                              .ih = 1,
                              .iw = 3,
                              .oh = 1,
                              .ow = 2,
                              .kh = 1,
                              .kw = 2,
                              .sh = 1,
                              .sw = 2,
                              .dh = 1,
                              .dw = 1};
  const float x[] = {2, 4, 9};
  float y[2];
  run_pool(&p, x, y);
  CHECK(y[0] == 3 && y[1] == 9);
  p.count_include_pad = true; /* the overhang is no padding */
  run_pool(&p, x, y);
  CHECK(y[1] == 9);
  p.pr = 1; /* this is */
  run_pool(&p, x, y);
  CHECK(y[1] == 4.5f);
}

static void test_global(void) {
  static const int64_t channels[] = {1, 3, 8, 16, 17, 31, 64};
  for (int i = 0; i < 7; i++)
    for (int kind = 0; kind < 2; kind++)
      check_pool(espq_infer_pool_global((espq_infer_pool_kind)kind, ESPQ_PLAIN, 3, channels[i], 7, 5));
  check_pool(espq_infer_pool_global(ESPQ_INFER_POOL_AVERAGE, ESPQ_PLAIN, 1, 2, 100000, 1)); /* in index order */
}

/* Where the loops stand in, so that a change of oneDNN or of the rule shows. */
static void expect_onednn(bool expected, espq_infer_pool_params p) {
  espq_infer_pool *pool;
  if (!CHECK(!espq_infer_pool_prepare(engine, &p, &pool, NULL))) return;
  CHECK(espq_infer_pool_on_onednn(pool) == expected);
  espq_infer_pool_free(pool);
}

static void test_choice(void) {
  espq_infer_pool_params p = {.layout = espq_infer_block_layout(),
                              .n = 1,
                              .c = 16,
                              .ih = 9,
                              .iw = 9,
                              .oh = 4,
                              .ow = 4,
                              .kh = 3,
                              .kw = 3,
                              .sh = 2,
                              .sw = 2,
                              .dh = 1,
                              .dw = 1};
  expect_onednn(true, p);
  p.oh = p.ow = 3; /* the last window left out */
  expect_onednn(false, p);
  p.oh = p.ow = 5, p.pt = p.pl = p.pb = p.pr = 1, p.kind = ESPQ_INFER_POOL_AVERAGE, p.count_include_pad = true;
  expect_onednn(true, p);
  p.pb = 0; /* now the last window hangs over */
  expect_onednn(false, p);
  p.count_include_pad = false;
  expect_onednn(true, p);
  p.dh = 2, p.oh = 4;
  expect_onednn(false, p);
  expect_onednn(true, espq_infer_pool_global(ESPQ_INFER_POOL_MAX, ESPQ_PLAIN, 2, 3, 7, 7));
}

/* A maximum passes over NaN, an average does not. */
static void test_nan(void) {
  espq_infer_pool_params p = {.kind = ESPQ_INFER_POOL_MAX,
                              .n = 1,
                              .c = 1,
                              .ih = 1,
                              .iw = 4,
                              .oh = 1,
                              .ow = 3,
                              .kh = 1,
                              .kw = 2,
                              .sh = 1,
                              .sw = 1,
                              .dh = 1,
                              .dw = 1};
  const float x[] = {NAN, 1, 2, NAN};
  float y[3];
  run_pool(&p, x, y);
  CHECK(y[0] == 1 && y[1] == 2 && y[2] == 2);
  p.dw = 2, p.ow = 2; /* the loops */
  run_pool(&p, x, y);
  CHECK(y[0] == 2 && y[1] == 1);
  espq_infer_pool_params whole = espq_infer_pool_global(ESPQ_INFER_POOL_AVERAGE, ESPQ_PLAIN, 1, 1, 1, 4);
  run_pool(&whole, x, y);
  CHECK(isnan(y[0]));
}

static void test_refusals(void) {
  const espq_infer_pool_params good = {
      .n = 1, .c = 1, .ih = 4, .iw = 4, .oh = 2, .ow = 2, .kh = 2, .kw = 2, .sh = 2, .sw = 2, .dh = 1, .dw = 1};
  espq_infer_pool *pool;
#define BAD(field, value)                                                             \
  do {                                                                                \
    espq_infer_pool_params p = good;                                                  \
    p.field = value;                                                                  \
    CHECK(espq_infer_pool_prepare(engine, &p, &pool, NULL) == ESPQ_EFORMAT && !pool); \
  } while (0)
  BAD(n, 0);
  BAD(c, -1);
  BAD(ih, 0);
  BAD(ow, 3);
  BAD(sh, 0);
  BAD(dw, INT64_MAX);
  BAD(pt, -1);
  BAD(pl, INT64_MAX);
  BAD(kh, INT64_MIN);
  espq_infer_pool_params wide = good; /* a hostile kernel costs no more than the image */
  wide.kh = wide.kw = wide.pt = (1 << 29) - 1;
  float x[16] = {1}, y[4];
  run_pool(&wide, x, y);
  wide.kw = 2, wide.pt = 0, wide.pl = 0, wide.kh = 1 << 28;
  run_pool(&wide, x, y);
}

int main(int argc, char **argv) {
  if (argc > 1) CHECK(!espq_infer_set_isa(argv[1], NULL));
  else CHECK(passes_with_isa("avx2") && passes_with_isa("sse41"));
  if (!CHECK(!espq_infer_engine_new(&engine, NULL) && !espq_infer_stream_new(engine, &stream, NULL))) return 1;
  test_windows();
  test_counts();
  test_global();
  test_choice();
  test_nan();
  test_refusals();
  CHECK(on_onednn > in_loops);
  espq_infer_stream_free(stream);
  espq_infer_engine_free(engine);
  return check_report();
}
