/* GMAC/s of one thread for layers of MobileNet and ResNet, on every instruction set of this machine.
 * Not a test. Usage: bench_conv [milliseconds per measurement, default 100] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/layout.h"
#include "random.h"
#include "sim/conv.h"

typedef struct layer {
  const char *name;
  int ic, size, oc, kernel, stride, groups;
} layer;

static const layer layers[] = {{"first 3x3 s2", 3, 224, 32, 3, 2, 1},
                               {"1x1", 32, 112, 16, 1, 1, 1},
                               {"1x1", 16, 112, 96, 1, 1, 1},
                               {"1x1", 64, 56, 256, 1, 1, 1},
                               {"1x1", 256, 14, 1024, 1, 1, 1},
                               {"1x1", 1280, 7, 320, 1, 1, 1},
                               {"3x3", 64, 56, 64, 3, 1, 1},
                               {"3x3", 128, 28, 128, 3, 1, 1},
                               {"3x3", 256, 14, 256, 3, 1, 1},
                               {"3x3", 512, 7, 512, 3, 1, 1},
                               {"7x7 s2", 3, 224, 64, 7, 2, 1},
                               {"gemm batch 1", 2048, 1, 1000, 1, 1, 1},
                               {"depthwise 3x3", 32, 112, 32, 3, 1, 32},
                               {"depthwise 3x3 s2", 96, 112, 96, 3, 2, 96},
                               {"depthwise 3x3", 384, 14, 384, 3, 1, 384},
                               {"depthwise 5x5", 240, 14, 240, 5, 1, 240},
                               {"grouped 3x3 (4)", 128, 28, 128, 3, 1, 32}};

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static espq_sim_conv_params params_of(const layer *l, int bits, espq_isa isa) {
  int out = (l->size - 1) / l->stride + 1, lo = -(1 << (bits - 1));
  return (espq_sim_conv_params){
      .bits = bits,
      .ic = l->ic,
      .ih = l->size,
      .iw = l->size,
      .oc = l->oc,
      .oh = out,
      .ow = out,
      .kh = l->kernel,
      .kw = l->kernel,
      .sh = l->stride,
      .sw = l->stride,
      .dh = 1,
      .dw = 1,
      .pt = l->kernel / 2,
      .pl = l->kernel / 2,
      .groups = l->groups,
      .isa = isa,
      .requant = {.acc_bits = bits == 8 ? 20 : 40, .shift1 = bits, .out_min = 0, .out_max = -1 - lo}};
}

static double best_time(const espq_sim_conv *conv, const void *in, void *out, void *scratch, double seconds) {
  double best = 1e9, end = now() + seconds;
  do {
    double start = now();
    espq_sim_conv_run(conv, 1, in, out, scratch);
    double t = now() - start;
    if (t < best) best = t;
  } while (now() < end);
  return best;
}

/* GMAC/s; 0 without memory. */
static double measure(const layer *l, int bits, espq_isa isa, double seconds) {
  espq_sim_conv_params p = params_of(l, bits, isa);
  size_t bytes = (size_t)bits / 8;
  size_t weights = (size_t)p.oc * (p.ic / p.groups) * p.kh * p.kw * bytes;
  size_t in_bytes = (size_t)espq_layout_channels(ESPQ_NHWC16, p.ic) * p.ih * p.iw * bytes;
  size_t out_bytes = (size_t)espq_layout_channels(ESPQ_NHWC16, p.oc) * p.oh * p.ow * bytes;
  uint8_t *w = espq_alloc(weights), *in = espq_alloc(in_bytes), *out = espq_alloc(out_bytes);
  espq_sim_conv *conv = NULL;
  double rate = 0;
  for (size_t i = 0; w && i < weights; i++) w[i] = (uint8_t)random_bits();
  if (in) memset(in, 130, in_bytes);
  if (w && in && out && espq_sim_conv_prepare(&p, w, &conv, NULL) == ESPQ_OK) {
    void *scratch = espq_alloc(espq_sim_conv_scratch(conv));
    double macs = (double)(weights / bytes) * p.oh * p.ow;
    if (scratch) rate = macs / best_time(conv, in, out, scratch, seconds) * 1e-9;
    espq_free(scratch);
  }
  espq_sim_conv_free(conv);
  espq_free(w), espq_free(in), espq_free(out);
  return rate;
}

int main(int argc, char **argv) {
  double seconds = (argc > 1 ? atof(argv[1]) : 100) * 1e-3;
  printf("%-18s %5s %5s %5s", "GMAC/s", "in", "size", "out");
  for (int isa = 0; isa <= (int)espq_isa_detect(); isa++) printf("  int8 %-11s int16", espq_isa_name((espq_isa)isa));
  printf("\n");
  for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
    const layer *l = &layers[i];
    printf("%-18s %5d %5d %5d", l->name, l->ic, l->size, l->oc);
    for (int isa = 0; isa <= (int)espq_isa_detect(); isa++)
      printf("  %16.1f %5.1f", measure(l, 8, (espq_isa)isa, seconds), measure(l, 16, (espq_isa)isa, seconds));
    printf("\n");
  }
  return 0;
}
