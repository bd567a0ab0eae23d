/* Every layout and kind of convolution against a double-precision loop; bits over batches and threads. */
#include "infer/conv.h"

#include <pthread.h>

#include "fixture.h"

static espq_infer_engine *engine;
static espq_infer_stream *stream;

/* n, ic, ih, iw, oc, kh, kw, sh, sw, dh, dw, pt, pl, pb, pr, groups */
typedef int64_t shape[16];

static espq_infer_conv_params make_params(const int64_t *s) {
  espq_infer_conv_params p = {.n = s[0],
                              .ic = s[1],
                              .ih = s[2],
                              .iw = s[3],
                              .oc = s[4],
                              .kh = s[5],
                              .kw = s[6],
                              .sh = s[7],
                              .sw = s[8],
                              .dh = s[9],
                              .dw = s[10],
                              .pt = s[11],
                              .pl = s[12],
                              .pb = s[13],
                              .pr = s[14],
                              .groups = s[15]};
  p.oh = (p.ih + p.pt + p.pb - p.dh * (p.kh - 1) - 1) / p.sh + 1;
  p.ow = (p.iw + p.pl + p.pr - p.dw * (p.kw - 1) - 1) / p.sw + 1;
  return p;
}

/* One output in double; *weight gets the sum of the absolute products. */
static double naive(const espq_infer_conv_params *p, const float *x, const float *w, int64_t o, int64_t oy, int64_t ox,
                    double *weight) {
  int64_t per = p->ic / p->groups, first = o / (p->oc / p->groups) * per;
  double sum = 0;
  *weight = 0;
  for (int64_t c = 0; c < per; c++)
    for (int64_t ky = 0; ky < p->kh; ky++)
      for (int64_t kx = 0; kx < p->kw; kx++) {
        int64_t y = oy * p->sh - p->pt + ky * p->dh, z = ox * p->sw - p->pl + kx * p->dw;
        if (y < 0 || z < 0 || y >= p->ih || z >= p->iw) continue;
        double t = (double)x[((first + c) * p->ih + y) * p->iw + z] * w[((o * per + c) * p->kh + ky) * p->kw + kx];
        sum += t;
        *weight += fabs(t);
      }
  return sum;
}

static bool matches(const espq_infer_conv_params *p, const float *x, const float *w, const float *b, const float *y) {
  for (int64_t n = 0; n < p->n; n++)
    for (int64_t o = 0; o < p->oc; o++)
      for (int64_t i = 0; i < p->oh * p->ow; i++) {
        double weight;
        double want = naive(p, x + n * p->ic * p->ih * p->iw, w, o, i / p->ow, i % p->ow, &weight);
        if (b) want += b[o], weight += fabs(b[o]);
        if (p->relu && want < 0) want = 0;
        double got = y[(n * p->oc + o) * p->oh * p->ow + i];
        if (!(fabs(got - want) <= 1e-5 * weight + 1e-12)) return false;
      }
  return true;
}

/* Runs conv on a plain x; the result is plain, or NULL when padding lanes are not zero. */
static float *run_plain(espq_infer_conv *conv, const espq_infer_conv_params *p, const float *x) {
  espq_layout in = espq_infer_conv_in_layout(conv), out = espq_infer_conv_out_layout(conv);
  float *src = to_layout(in, p->n, p->ic, p->ih * p->iw, x);
  float *dst = nan_floats(stored(out, p->n, p->oc, p->oh * p->ow));
  CHECK(!espq_infer_conv_run(conv, stream, src, dst, NULL));
  float *y = NULL;
  if (CHECK(lanes_are_zero(out, p->n, p->oc, p->oh * p->ow, dst)))
    y = from_layout(out, p->n, p->oc, p->oh * p->ow, dst);
  espq_free(src);
  espq_free(dst);
  return y;
}

/* Each image alone must give the bits it has in the batch. */
static bool images_alone_agree(const espq_infer_conv_params *p, int in, int out, const float *x, const float *w,
                               const float *b, const float *y) {
  espq_infer_conv_params one = *p;
  espq_infer_conv *conv;
  one.n = 1;
  if (espq_infer_conv_prepare(engine, &one, w, b, in, out, &conv, NULL)) return false;
  bool same = true;
  int64_t size = p->oc * p->oh * p->ow;
  for (int64_t n = 0; n < p->n; n++) {
    float *z = run_plain(conv, &one, x + n * p->ic * p->ih * p->iw);
    same = same && z && same_bits(z, y + n * size, size);
    espq_free(z);
  }
  espq_infer_conv_free(conv);
  return same;
}

/* Returns false when these layouts are refused. */
static bool check_layouts(const espq_infer_conv_params *p, int in, int out, bool bias) {
  espq_infer_conv *conv;
  espq_error err;
  float *x = random_floats(p->n * p->ic * p->ih * p->iw);
  float *w = random_floats(p->oc * p->ic / p->groups * p->kh * p->kw);
  float *b = bias ? random_floats(p->oc) : NULL;
  espq_status status = espq_infer_conv_prepare(engine, p, w, b, in, out, &conv, &err);
  if (!status) {
    if (in != ESPQ_INFER_ANY) CHECK(espq_infer_conv_in_layout(conv) == (espq_layout)in);
    if (out != ESPQ_INFER_ANY) CHECK(espq_infer_conv_out_layout(conv) == (espq_layout)out);
    float *y = run_plain(conv, p, x);
    if (!CHECK(y && matches(p, x, w, b, y)) || !CHECK(images_alone_agree(p, in, out, x, w, b, y)))
      fprintf(stderr, "  ic %d oc %d groups %d k %dx%d s %d d %d layouts %d %d n %d\n", (int)p->ic, (int)p->oc,
              (int)p->groups, (int)p->kh, (int)p->kw, (int)p->sh, (int)p->dh, in, out, (int)p->n);
    espq_free(y);
    espq_infer_conv_free(conv);
  } else {
    CHECK(status == ESPQ_EUNSUPPORTED && err.status == status && err.text[0]);
  }
  espq_free(x);
  espq_free(w);
  espq_free(b);
  return !status;
}

static void test_layouts(void) {
  static const shape shapes[] = {{2, 3, 9, 11, 16, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1},    /* first layer */
                                 {3, 1, 12, 12, 8, 5, 5, 1, 1, 1, 1, 2, 2, 2, 2, 1},    /* one channel */
                                 {2, 16, 8, 8, 32, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},    /* the usual one */
                                 {2, 17, 7, 6, 31, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},    /* odd channels */
                                 {5, 31, 5, 5, 17, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1},    /* pointwise, odd */
                                 {4, 64, 7, 7, 64, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1},    /* pointwise */
                                 {3, 32, 8, 8, 48, 1, 1, 2, 2, 1, 1, 0, 0, 0, 0, 1},    /* pointwise with stride */
                                 {2, 24, 9, 9, 24, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 24},   /* depthwise */
                                 {2, 19, 9, 10, 19, 3, 3, 2, 2, 1, 1, 0, 0, 1, 1, 19},  /* depthwise, odd, asymmetric */
                                 {2, 32, 12, 12, 32, 5, 5, 2, 2, 1, 1, 2, 2, 2, 2, 32}, /* depthwise 5x5 */
                                 {2, 32, 9, 9, 64, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 2},    /* groups that fill blocks */
                                 {2, 16, 9, 9, 32, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 2},    /* groups of 8 */
                                 {2, 12, 9, 9, 18, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 3},    /* groups that fill nothing */
                                 {2, 6, 9, 9, 12, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 6},    /* depthwise, two outputs each */
                                 {2, 20, 13, 13, 20, 3, 3, 1, 1, 2, 3, 2, 3, 2, 3, 1}, /* dilation */
                                 {2, 16, 13, 13, 16, 3, 3, 1, 1, 2, 2, 2, 2, 2, 2, 16}, /* depthwise, dilation */
                                 {2, 8, 10, 9, 8, 3, 2, 2, 3, 1, 1, 0, 1, 2, 0, 1},   /* asymmetric pads and strides */
                                 {2, 10, 1, 33, 12, 1, 5, 1, 2, 1, 1, 0, 2, 0, 2, 1}, /* 1-D */
                                 {2, 40, 1, 20, 40, 1, 3, 1, 1, 1, 2, 0, 4, 0, 0, 1}, /* 1-D, causal, dilated */
                                 {2, 16, 4, 4, 10, 4, 4, 1, 1, 1, 1, 0, 0, 0, 0, 1},  /* whole image */
                                 {2, 3, 6, 6, 5, 1, 7, 1, 1, 1, 1, 0, 3, 0, 3, 1},    /* 1 x k */
                                 {2, 4, 3, 3, 7, 3, 3, 1, 1, 1, 1, 3, 3, 3, 3, 1},    /* pads as large as the kernel */
                                 {2, 1, 5, 5, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1},    /* nothing to it */
                                 {16, 96, 6, 6, 24, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1}, /* a micro-batch */
                                 {8, 320, 3, 3, 1280, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1}, /* long sums */
                                 {7, 128, 4, 4, 128, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},
                                 {6, 512, 2, 2, 130, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1}};
  static const int pairs[][2] = {
      {ESPQ_INFER_ANY, ESPQ_INFER_ANY}, {ESPQ_PLAIN, ESPQ_PLAIN},  {ESPQ_C16, ESPQ_C16}, {ESPQ_C8, ESPQ_C8},
      {ESPQ_PLAIN, ESPQ_INFER_ANY},     {ESPQ_INFER_ANY, ESPQ_C16}};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    espq_infer_conv_params p = make_params(shapes[i]);
    for (int j = 0; j < 6; j++) {
      p.relu = (i + j) % 2;
      bool works = check_layouts(&p, pairs[j][0], pairs[j][1], (i + j) % 3);
      if (j < 2 || j == 4) CHECK(works);
    }
  }
}

static void test_choice(void) {
  espq_layout best = espq_infer_block_layout();
  static const shape first = {1, 3, 8, 8, 17, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  static const shape usual = {1, 17, 8, 8, 31, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  static const shape depthwise = {1, 17, 8, 8, 17, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 17};
  static const shape groups = {1, 6, 8, 8, 6, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 2};
  const struct {
    const int64_t *shape;
    espq_layout in, out;
  } cases[] = {
      {first, ESPQ_PLAIN, best}, {usual, best, best}, {depthwise, best, best}, {groups, ESPQ_PLAIN, ESPQ_PLAIN}};
  for (int i = 0; i < 4; i++) {
    espq_infer_conv_params p = make_params(cases[i].shape);
    float *w = random_floats(p.oc * p.ic * p.kh * p.kw);
    espq_infer_conv *conv;
    if (CHECK(!espq_infer_conv_prepare(engine, &p, w, NULL, ESPQ_INFER_ANY, ESPQ_INFER_ANY, &conv, NULL))) {
      CHECK(espq_infer_conv_in_layout(conv) == cases[i].in);
      CHECK(espq_infer_conv_out_layout(conv) == cases[i].out);
    }
    espq_infer_conv_free(conv);
    espq_free(w);
  }
}

typedef struct job {
  espq_infer_conv *conv;
  espq_infer_stream *stream;
  const float *src;
  float *dst;
  int64_t size;
  const float *want;
  bool same;
} job;

static void *work(void *arg) {
  job *j = arg;
  espq_infer_thread_init();
  j->same = true;
  for (int i = 0; i < 200; i++) {
    memset(j->dst, 0xff, j->size * sizeof *j->dst);
    j->same = j->same && !espq_infer_conv_run(j->conv, j->stream, j->src, j->dst, NULL) &&
              same_bits(j->dst, j->want, j->size);
  }
  return NULL;
}

static void test_threads(const int64_t *s) {
  espq_infer_conv_params p = make_params(s);
  float *w = random_floats(p.oc * p.ic / p.groups * p.kh * p.kw), *b = random_floats(p.oc);
  espq_infer_conv *conv;
  CHECK(!espq_infer_conv_prepare(engine, &p, w, b, ESPQ_INFER_ANY, ESPQ_INFER_ANY, &conv, NULL));
  job jobs[2] = {0};
  pthread_t threads[2];
  for (int i = 0; i < 2; i++) {
    int64_t in = stored(espq_infer_conv_in_layout(conv), p.n, p.ic, p.ih * p.iw);
    int64_t out = stored(espq_infer_conv_out_layout(conv), p.n, p.oc, p.oh * p.ow);
    float *want = nan_floats(out);
    jobs[i] = (job){conv, NULL, random_floats(in), nan_floats(out), out, want, false};
    CHECK(!espq_infer_stream_new(engine, &jobs[i].stream, NULL));
    CHECK(!espq_infer_conv_run(conv, stream, jobs[i].src, want, NULL));
  }
  for (int i = 0; i < 2; i++) pthread_create(&threads[i], NULL, work, &jobs[i]);
  for (int i = 0; i < 2; i++) {
    pthread_join(threads[i], NULL);
    CHECK(jobs[i].same);
    espq_infer_stream_free(jobs[i].stream);
    espq_free((void *)jobs[i].src);
    espq_free((void *)jobs[i].want);
    espq_free(jobs[i].dst);
  }
  espq_infer_conv_free(conv);
  espq_free(w);
  espq_free(b);
}

static espq_status prepare_status(espq_infer_conv_params p, int in, int out) {
  float w[1024] = {0};
  espq_infer_conv *conv = (void *)w;
  espq_error err = {0};
  espq_status status = espq_infer_conv_prepare(engine, &p, w, NULL, in, out, &conv, &err);
  CHECK(status == ESPQ_OK || (conv == NULL && err.status == status && err.text[0]));
  espq_infer_conv_free(status ? NULL : conv);
  return status;
}

static void test_refusals(void) {
  static const shape s = {1, 4, 8, 8, 4, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  const espq_infer_conv_params good = make_params(s);
  CHECK(prepare_status(good, ESPQ_INFER_ANY, ESPQ_INFER_ANY) == ESPQ_OK);
  CHECK(prepare_status(good, ESPQ_C16, ESPQ_PLAIN) == ESPQ_EUNSUPPORTED);
  CHECK(prepare_status(good, ESPQ_NHWC16, ESPQ_NHWC16) == ESPQ_EUNSUPPORTED);
#define BAD(field, value, want)                                       \
  do {                                                                \
    espq_infer_conv_params p = good;                                  \
    p.field = value;                                                  \
    CHECK(prepare_status(p, ESPQ_INFER_ANY, ESPQ_INFER_ANY) == want); \
  } while (0)
  BAD(n, 0, ESPQ_EFORMAT);
  BAD(ic, -1, ESPQ_EFORMAT);
  BAD(groups, 3, ESPQ_EFORMAT);
  BAD(groups, 0, ESPQ_EFORMAT);
  BAD(oh, 9, ESPQ_EFORMAT);
  BAD(ow, 7, ESPQ_EFORMAT);
  BAD(kh, 11, ESPQ_EFORMAT);
  BAD(kh, INT64_MAX, ESPQ_EFORMAT);
  BAD(dw, INT64_MAX, ESPQ_EFORMAT);
  BAD(sh, 0, ESPQ_EFORMAT);
  BAD(pt, -1, ESPQ_EFORMAT);
  BAD(pr, INT64_MAX, ESPQ_EFORMAT);
  BAD(n, 1 << 28, ESPQ_ELIMIT);
}

static void test_streams(void) {
  espq_infer_stream *many[ESPQ_INFER_STREAMS] = {0};
  int made = 0;
  while (made < ESPQ_INFER_STREAMS && !espq_infer_stream_new(engine, &many[made], NULL)) made++;
  CHECK(made == ESPQ_INFER_STREAMS - 1); /* `stream` is one more */
  espq_infer_stream_free(many[5]);
  CHECK(!espq_infer_stream_new(engine, &many[5], NULL));
  for (int i = 0; i < made; i++) espq_infer_stream_free(many[i]);
  CHECK(espq_infer_set_isa("mmx", NULL) == ESPQ_EUNSUPPORTED);
  CHECK(espq_infer_set_isa("avx2", NULL) == ESPQ_EUNSUPPORTED); /* too late */
}

int main(int argc, char **argv) {
  if (argc > 1) CHECK(!espq_infer_set_isa(argv[1], NULL));
  else CHECK(passes_with_isa("avx2") && passes_with_isa("sse41"));
  CHECK(!espq_infer_engine_new(&engine, NULL));
  if (argc > 1) CHECK(!strcmp(espq_infer_isa(), argv[1]));
  CHECK(!espq_infer_stream_new(engine, &stream, NULL));
  test_layouts();
  test_choice();
  static const shape usual = {2, 40, 14, 14, 40, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  static const shape grouped = {2, 12, 14, 14, 12, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 3}; /* needs scratch */
  test_threads(usual);
  test_threads(grouped);
  test_refusals();
  test_streams();
  espq_infer_engine_free(engine); /* the stream keeps it alive */
  espq_infer_stream_free(stream);
  return check_report();
}
