/* bench_infer - speed of the float kernels on one thread: GMAC/s of convolutions and products, GB/s of the rest.
 * Usage: bench_infer [sse41|avx2|avx512] */
#include <time.h>

#include "fixture.h"
#include "infer/binary.h"
#include "infer/conv.h"
#include "infer/gemm.h"
#include "infer/pool.h"
#include "infer/reorder.h"
#include "infer/softmax.h"
#include "infer/unary.h"

static espq_infer_engine *engine;
static espq_infer_stream *stream;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Best of 5 runs of at least 20 ms, in seconds a call. */
#define MEASURE(seconds, call)                                \
  do {                                                        \
    seconds = 1e9;                                            \
    for (int run_ = 0; run_ < 5; run_++) {                    \
      double start_ = now(), took_;                           \
      int calls_ = 0;                                         \
      do {                                                    \
        call;                                                 \
        calls_++;                                             \
      } while ((took_ = now() - start_) < 0.02);              \
      if (took_ / calls_ < seconds) seconds = took_ / calls_; \
    }                                                         \
  } while (0)

static void bench_conv(const char *name, espq_infer_conv_params p, int in, int out) {
  int64_t weights = p.oc * p.ic / p.groups * p.kh * p.kw;
  float *w = random_floats(weights), *b = random_floats(p.oc);
  espq_infer_conv *conv;
  espq_error err;
  double start = now(), seconds;
  if (espq_infer_conv_prepare(engine, &p, w, b, in, out, &conv, &err)) {
    printf("%-28s %s\n", name, err.text);
    return;
  }
  double prepare = now() - start;
  espq_layout from = espq_infer_conv_in_layout(conv), to = espq_infer_conv_out_layout(conv);
  float *x = random_floats(stored(from, p.n, p.ic, p.ih * p.iw));
  float *y = random_floats(stored(to, p.n, p.oc, p.oh * p.ow));
  MEASURE(seconds, espq_infer_conv_run(conv, stream, x, y, NULL));
  double macs = (double)p.n * (double)(p.oh * p.ow) * (double)weights;
  printf("%-28s layouts %d to %d  %8.1f us  %6.1f GMAC/s  (prepared in %.2f ms)\n", name, from, to, seconds * 1e6,
         macs / seconds * 1e-9, prepare * 1e3);
  espq_infer_conv_free(conv);
  espq_free(w), espq_free(b), espq_free(x), espq_free(y);
}

static espq_infer_conv_params square(int64_t n, int64_t ic, int64_t size, int64_t oc, int64_t k, int64_t s,
                                     int64_t groups) {
  int64_t out = (size + s - 1) / s, pad = k / 2;
  int64_t after = (out - 1) * s + k - size - pad;
  return (espq_infer_conv_params){.n = n,
                                  .ic = ic,
                                  .ih = size,
                                  .iw = size,
                                  .oc = oc,
                                  .oh = out,
                                  .ow = out,
                                  .kh = k,
                                  .kw = k,
                                  .sh = s,
                                  .sw = s,
                                  .dh = 1,
                                  .dw = 1,
                                  .pt = pad,
                                  .pl = pad,
                                  .pb = after < 0 ? 0 : after,
                                  .pr = after < 0 ? 0 : after,
                                  .groups = groups};
}

static void bench_convs(void) {
  static const struct {
    const char *name;
    int64_t n, ic, size, oc, k, s, groups;
  } layers[] = {{"resnet 7x7/2 3>64 @224", 1, 3, 224, 64, 7, 2, 1},
                {"resnet 3x3 64 @56", 1, 64, 56, 64, 3, 1, 1},
                {"resnet 3x3 256 @14", 1, 256, 14, 256, 3, 1, 1},
                {"resnet 3x3 512 @7", 1, 512, 7, 512, 3, 1, 1},
                {"resnet 1x1 256>1024 @14", 1, 256, 14, 1024, 1, 1, 1},
                {"mobilenet 1x1 32>64 @112", 1, 32, 112, 64, 1, 1, 1},
                {"mobilenet 1x1 96>24 @56", 1, 96, 56, 24, 1, 1, 1},
                {"mobilenet 1x1 512 @14", 1, 512, 14, 512, 1, 1, 1},
                {"mobilenet 1x1 320>1280 @3 x8", 8, 320, 3, 1280, 1, 1, 1},
                {"mobilenet dw3 96 @56", 1, 96, 56, 96, 3, 1, 96},
                {"mobilenet dw3/2 96 @112", 1, 96, 112, 96, 3, 2, 96},
                {"mobilenet dw3 512 @14", 1, 512, 14, 512, 3, 1, 512},
                {"small 1x1 8>48 @24 x8", 8, 8, 24, 48, 1, 1, 1},
                {"mnist 3x3 1>16 @28", 1, 1, 28, 16, 3, 1, 1},
                {"mnist 3x3 16>16 @14", 1, 16, 14, 16, 3, 1, 1},
                {"groups of 4, 64 @28", 1, 64, 28, 64, 3, 1, 16},
                {"dw multiplier 2, 32 @28", 1, 32, 28, 64, 3, 1, 32}};
  for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
    espq_infer_conv_params p =
        square(layers[i].n, layers[i].ic, layers[i].size, layers[i].oc, layers[i].k, layers[i].s, layers[i].groups);
    bench_conv(layers[i].name, p, ESPQ_INFER_ANY, ESPQ_INFER_ANY);
  }
  bench_conv("resnet 3x3 256 @14, plain", square(1, 256, 14, 256, 3, 1, 1), ESPQ_PLAIN, ESPQ_PLAIN);
  bench_conv("mobilenet dw3 96 @56, C8", square(1, 96, 56, 96, 3, 1, 96), ESPQ_C8, ESPQ_C8);
}

static void bench_gemm(int64_t m, int64_t n, int64_t k) {
  espq_infer_gemm_params p = {.m = m, .n = n, .k = k, .trans_b = true, .alpha = 1};
  float *a = random_floats(m * k), *b = random_floats(k * n), *y = random_floats(m * n);
  espq_infer_gemm *gemm;
  double seconds;
  if (!espq_infer_gemm_prepare(engine, &p, b, NULL, &gemm, NULL)) {
    MEASURE(seconds, espq_infer_gemm_run(gemm, stream, a, y, NULL));
    printf("gemm %4d x %4d x %4d          %8.2f us  %6.1f GMAC/s\n", (int)m, (int)n, (int)k, seconds * 1e6,
           (double)(m * n * k) / seconds * 1e-9);
  }
  espq_infer_gemm_free(gemm);
  espq_free(a), espq_free(b), espq_free(y);
}

static void report(const char *name, int64_t bytes, double seconds) {
  printf("%-28s %8.2f us  %6.1f GB/s\n", name, seconds * 1e6, (double)bytes / seconds * 1e-9);
}

/* 64 channels of 28 x 28: input and output stay in the L2 cache. */
static void bench_pool(const char *what, espq_infer_pool_params p, const float *x, float *y) {
  char name[60];
  double s;
  espq_infer_pool *pool;
  if (espq_infer_pool_prepare(engine, &p, &pool, NULL)) return;
  MEASURE(s, espq_infer_pool_run(pool, stream, x, y, NULL));
  snprintf(name, sizeof name, "%s, layout %d, %s", what, p.layout,
           espq_infer_pool_on_onednn(pool) ? "oneDNN" : "loops");
  report(name, p.n * p.c * p.ih * p.iw * 4, s);
  espq_infer_pool_free(pool);
}

static void bench_elementwise(void) {
  enum { C = 64, P = 28 * 28, N = C * P, BYTES = 2 * N * 4 };
  float *x = random_floats(N), *y = random_floats(N), *z = random_floats(N);
  static const char *const names[] = {"relu", "leaky_relu", "clip", "sigmoid", "tanh"};
  double s;
  for (int op = 0; op < 5; op++) {
    MEASURE(s, espq_infer_unary((espq_infer_unary_op)op, 0.1f, 0.6f, N, x, y));
    report(names[op], BYTES, s);
  }
  MEASURE(s, espq_infer_unary(ESPQ_INFER_ROUND, 0, 0, N, x, y));
  report("round", BYTES, s);
  MEASURE(s, espq_infer_binary_same(ESPQ_INFER_ADD, N, x, y, z));
  report("add", BYTES + N * 4, s);
  MEASURE(s, espq_infer_channel_binary(ESPQ_INFER_PRELU, ESPQ_C16, 1, C, P, x, z, y));
  report("prelu by channel, C16", BYTES, s);
  MEASURE(s, espq_infer_channel_affine(ESPQ_PLAIN, 1, C, P, x, z, z, y));
  report("affine by channel, plain", BYTES, s);
  MEASURE(s, espq_infer_softmax(false, P, C, 1, x, y));
  report("softmax of 64", BYTES, s);
  MEASURE(s, espq_infer_softmax(false, 1, C, P, x, y));
  report("softmax over channels", BYTES, s);
  MEASURE(s, espq_infer_reorder(ESPQ_PLAIN, ESPQ_C16, 1, C, P, x, y));
  report("plain to C16", BYTES, s);
  MEASURE(s, espq_infer_reorder(ESPQ_C16, ESPQ_PLAIN, 1, C, P, x, y));
  report("C16 to plain", BYTES, s);
  for (int l = ESPQ_PLAIN; l <= ESPQ_C16; l++) {
    espq_infer_pool_params p = {.layout = (espq_layout)l,
                                .n = 1,
                                .c = C,
                                .ih = 28,
                                .iw = 28,
                                .oh = 14,
                                .ow = 14,
                                .kh = 2,
                                .kw = 2,
                                .sh = 2,
                                .sw = 2,
                                .dh = 1,
                                .dw = 1};
    bench_pool("max 2x2/2", p, x, y);
    p.kh = p.kw = 3, p.pt = p.pl = 1, p.kind = ESPQ_INFER_POOL_AVERAGE;
    bench_pool("average 3x3/2", p, x, y);
    p.dh = p.dw = 2, p.pb = p.pr = 2;
    bench_pool("average 3x3/2 dilated", p, x, y);
    bench_pool("global average", espq_infer_pool_global(ESPQ_INFER_POOL_AVERAGE, (espq_layout)l, 1, C, 28, 28), x, y);
  }
  espq_free(x), espq_free(y), espq_free(z);
}

int main(int argc, char **argv) {
  espq_error err;
  if (argc > 1 && espq_infer_set_isa(argv[1], &err)) return fprintf(stderr, "%s\n", err.text), 2;
  if (espq_infer_engine_new(&engine, NULL) || espq_infer_stream_new(engine, &stream, NULL)) return 1;
  printf("%s\n", espq_infer_isa());
  bench_convs();
  bench_gemm(1, 1000, 1024);
  bench_gemm(16, 1000, 1024);
  bench_gemm(1, 10, 128);
  bench_gemm(16, 10, 128);
  bench_elementwise();
  espq_infer_stream_free(stream);
  espq_infer_engine_free(engine);
  return 0;
}
