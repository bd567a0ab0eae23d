/* Pooling in every layout against a loop over windows that counts and sums literally. */
#include "infer/pool.h"

#include <float.h>

#include "fixture.h"

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
      if (!(v <= max)) max = v;
    }
  if (p->kind == ESPQ_INFER_POOL_MAX) return max;
  return count ? sum / (float)count : 0;
}

static void check_pool(espq_infer_pool_params p) {
  CHECK(!espq_infer_pool_check(&p, NULL));
  int64_t in = p.ih * p.iw, out = p.oh * p.ow;
  float *x = random_floats(p.n * p.c * in), *want = nan_floats(p.n * p.c * out);
  for (int64_t i = 0; i < p.n * p.c; i++)
    for (int64_t o = 0; o < out; o++) want[i * out + o] = naive(&p, x + i * in, o / p.ow, o % p.ow);
  for (int l = ESPQ_PLAIN; l <= ESPQ_C16; l++) {
    p.layout = (espq_layout)l;
    float *src = to_layout(p.layout, p.n, p.c, in, x), *dst = nan_floats(stored(p.layout, p.n, p.c, out));
    espq_infer_pool(&p, src, dst);
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
  espq_infer_pool(&p, x, y);
  CHECK(y[0] == 3 && y[1] == 9);
  p.count_include_pad = true; /* the overhang is no padding */
  espq_infer_pool(&p, x, y);
  CHECK(y[1] == 9);
  p.pr = 1; /* this is */
  espq_infer_pool(&p, x, y);
  CHECK(y[1] == 4.5f);
}

static void test_global(void) {
  static const int64_t channels[] = {1, 3, 8, 16, 17, 31, 64};
  for (int i = 0; i < 7; i++)
    for (int kind = 0; kind < 2; kind++)
      for (int l = ESPQ_PLAIN; l <= ESPQ_C16; l++) {
        espq_infer_pool_params p = {.kind = kind ? ESPQ_INFER_POOL_AVERAGE : ESPQ_INFER_POOL_MAX,
                                    .layout = (espq_layout)l,
                                    .n = 3,
                                    .c = channels[i],
                                    .ih = 7,
                                    .iw = 5,
                                    .oh = 1,
                                    .ow = 1,
                                    .kh = 7,
                                    .kw = 5,
                                    .sh = 1,
                                    .sw = 1,
                                    .dh = 1,
                                    .dw = 1};
        float *x = random_floats(p.n * p.c * 35), *src = to_layout(p.layout, p.n, p.c, 35, x);
        int64_t size = stored(p.layout, p.n, p.c, 1);
        float *window = nan_floats(size), *global = nan_floats(size);
        espq_infer_pool(&p, src, window);
        espq_infer_pool_global(p.kind, p.layout, p.n, p.c, 35, src, global);
        CHECK(same_bits(window, global, size));
        espq_free(x), espq_free(src), espq_free(window), espq_free(global);
      }
}

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
  espq_infer_pool(&p, x, y);
  CHECK(isnan(y[0]) && y[1] == 2 && isnan(y[2]));
  espq_infer_pool_global(ESPQ_INFER_POOL_MAX, ESPQ_PLAIN, 1, 1, 4, x, y);
  CHECK(isnan(y[0]));
}

static void test_refusals(void) {
  const espq_infer_pool_params good = {
      .n = 1, .c = 1, .ih = 4, .iw = 4, .oh = 2, .ow = 2, .kh = 2, .kw = 2, .sh = 2, .sw = 2, .dh = 1, .dw = 1};
  CHECK(!espq_infer_pool_check(&good, NULL));
#define BAD(field, value)                                   \
  do {                                                      \
    espq_infer_pool_params p = good;                        \
    p.field = value;                                        \
    CHECK(espq_infer_pool_check(&p, NULL) == ESPQ_EFORMAT); \
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
  if (CHECK(!espq_infer_pool_check(&wide, NULL))) espq_infer_pool(&wide, x, y);
}

int main(void) {
  test_windows();
  test_counts();
  test_global();
  test_nan();
  test_refusals();
  return check_report();
}
