/* pool.h on every instruction set of this machine against nested loops over its definition. */
#include "../check.h"

#include <limits.h>
#include <string.h>

#include "arrays.h"
#include "sim/fixed.h"
#include "sim/pool.h"

typedef __int128 wide;

static int clip_average(const espq_sim_pool *p, wide sum, wide count) {
  int64_t lo = espq_fixed_min(p->bits), hi = espq_fixed_max(p->bits);
  int64_t left = (int64_t)p->e_in - p->e_out;
  if (left > 60) left = 60;
  if (left < -60) left = -60;
  if (left >= 0) sum *= (wide)1 << left;
  else count *= (wide)1 << -left;
  wide q = sum / count - (sum % count < 0);
  return q < lo ? (int)lo : q > hi ? (int)hi : (int)q;
}

static int naive_window(const espq_sim_pool *p, int stored, const void *image, int c, int oy, int ox) {
  espq_sim_format format = espq_sim_format_of(p->bits, ESPQ_NHWC16);
  int64_t sum = 0, inside = 0, padded = 0, best = INT_MIN;
  for (int ky = 0; ky < p->kh; ky++)
    for (int kx = 0; kx < p->kw; kx++) {
      int y = oy * p->sh - p->pt + ky * p->dh, x = ox * p->sw - p->pl + kx * p->dw;
      if (y < p->ih + p->pb && x < p->iw + p->pr) padded++;
      if (y < 0 || y >= p->ih || x < 0 || x >= p->iw) continue;
      int v = array_get(format, image, ((int64_t)y * p->iw + x) * stored + c);
      sum += v, inside++;
      if (v > best) best = v;
    }
  if (inside == 0) return 0;
  if (p->kind == ESPQ_SIM_POOL_MAX) return (int)best;
  return clip_average(p, sum, p->count_include_pad ? padded : inside);
}

static void print_case(const espq_sim_pool *p) {
  fprintf(stderr,
          "%s %d bits %dx%dx%d -> %dx%d kernel %dx%d stride %d,%d dilation %d,%d pads %d,%d,%d,%d "
          "include %d exponents %d %d %s\n",
          p->kind ? "average" : "max", p->bits, p->channels, p->ih, p->iw, p->oh, p->ow, p->kh, p->kw, p->sh, p->sw,
          p->dh, p->dw, p->pt, p->pl, p->pb, p->pr, p->count_include_pad, p->e_in, p->e_out, espq_isa_name(p->isa));
}

static void test_case(espq_sim_pool p, int n) {
  espq_sim_format format = espq_sim_format_of(p.bits, ESPQ_NHWC16);
  int stored = (int)espq_layout_channels(ESPQ_NHWC16, p.channels);
  int64_t in_image = (int64_t)p.ih * p.iw * stored, out_count = (int64_t)n * p.oh * p.ow * stored;
  void *in = array_random(format, n * in_image);
  void *expected = array_new(format, out_count), *got = array_new(format, out_count);
  for (int64_t i = 0; i < n * in_image; i++)
    if (i % stored >= p.channels) array_set(format, in, i, 0);
  for (int64_t i = 0; i < out_count; i++) {
    int64_t pixel = i / stored, image = pixel / (p.oh * p.ow);
    const char *from = (const char *)in + image * in_image * p.bits / 8;
    array_set(format, expected, i,
              naive_window(&p, stored, from, (int)(i % stored), (int)(pixel / p.ow % p.oh), (int)(pixel % p.ow)));
  }
  CHECK(espq_sim_pool_check(&p, NULL) == ESPQ_OK);
  for (int isa = 0; isa <= (int)espq_isa_detect(); isa++) {
    p.isa = (espq_isa)isa;
    espq_sim_pool_run(&p, n, in, got);
    if (!CHECK(memcmp(expected, got, (size_t)out_count * (size_t)p.bits / 8) == 0)) print_case(&p);
  }
  free(in), free(expected), free(got);
}

static void test_random(void) {
  static const int channels[] = {1, 3, 15, 16, 17, 31, 48, 70};
  espq_sim_pool p = {.kind = (espq_sim_pool_kind)(random_bits() % 2),
                     .bits = random_bits() % 2 ? 8 : 16,
                     .channels = channels[random_bits() % 8],
                     .ih = random_between(1, 9),
                     .iw = random_between(1, 9),
                     .oh = random_between(1, 5),
                     .ow = random_between(1, 5),
                     .kh = random_between(1, 4),
                     .kw = random_between(1, 4),
                     .sh = random_between(1, 3),
                     .sw = random_between(1, 3),
                     .dh = random_between(1, 2),
                     .dw = random_between(1, 2),
                     .pt = random_between(0, 3),
                     .pl = random_between(0, 3),
                     .pb = random_between(0, 3),
                     .pr = random_between(0, 3),
                     .count_include_pad = random_bits() % 2,
                     .e_in = random_between(-9, 3),
                     .e_out = random_between(-9, 3)};
  test_case(p, random_between(1, 3));
}

static void test_exponents(void) {
  static const int far[] = {16, 17, 18, 25, 48, 49, 62, 63, 64, 1000000000, INT_MAX};
  for (int i = 0; i < 44; i++) {
    int e = i % 2 ? far[i / 4] : -far[i / 4], bits = i / 2 % 2 ? 8 : 16;
    test_case(espq_sim_pool_global(ESPQ_SIM_POOL_AVERAGE, bits, 17, 7, 7, e, 0, ESPQ_ISA_PORTABLE), 2);
  }
  test_case(espq_sim_pool_global(ESPQ_SIM_POOL_AVERAGE, 16, 3, 200, 190, -3, -4, ESPQ_ISA_PORTABLE), 1);
  test_case(espq_sim_pool_global(ESPQ_SIM_POOL_AVERAGE, 16, 3, 200, 190, INT_MAX, INT_MIN, 0), 1);
  test_case(espq_sim_pool_global(ESPQ_SIM_POOL_MAX, 8, 33, 13, 11, 0, 0, ESPQ_ISA_PORTABLE), 3);
}

static void test_refusals(void) {
  espq_sim_pool ok = espq_sim_pool_global(ESPQ_SIM_POOL_MAX, 8, 3, 4, 4, 0, 0, ESPQ_ISA_PORTABLE), p;
  p = ok, p.sh = 0;
  CHECK(espq_sim_pool_check(&p, NULL) == ESPQ_EFORMAT);
  p = ok, p.pl = -1;
  CHECK(espq_sim_pool_check(&p, NULL) == ESPQ_EFORMAT);
  p = ok, p.kh = p.kw = INT_MAX;
  CHECK(espq_sim_pool_check(&p, NULL) == ESPQ_ELIMIT);
  p = ok, p.oh = p.ow = INT_MAX;
  CHECK(espq_sim_pool_check(&p, NULL) == ESPQ_ELIMIT);
  /* Extreme but legal: one output, nearly all of the window beyond the image. */
  p = ok, p.kh = 3, p.kw = 3, p.dh = p.dw = INT_MAX, p.pt = p.pl = INT_MAX, p.pb = p.pr = INT_MAX;
  uint8_t in[4 * 4 * 16], out[16];
  memset(in, 7, sizeof in);
  CHECK(espq_sim_pool_check(&p, NULL) == ESPQ_OK);
  espq_sim_pool_run(&p, 1, in, out);
  CHECK(out[0] == 7);
}

int main(void) {
  for (int i = 0; i < 500; i++) test_random();
  test_exponents();
  test_refusals();
  return check_report();
}
