/* Every convolution kernel on every instruction set of this machine against nested loops over the
   definition in requant.h. Failures print the case. */
#include "../check.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/layout.h"
#include "random.h"
#include "sim/conv.h"
#include "sim/fixed.h"

typedef struct data {
  espq_sim_conv_params p;
  int n, ic_stored, oc_stored;
  size_t in_count, out_count;
  void *weights, *in, *out, *expected;
  int32_t *bias, *shift2;
  int64_t *bias64;
} data;

/* ---- raw elements ---- */

static int get(const void *array, size_t i, int bits) {
  return bits == 8 ? ((const uint8_t *)array)[i] - 128 : ((const int16_t *)array)[i];
}

static void set(void *array, size_t i, int bits, int value) {
  if (bits == 8) ((uint8_t *)array)[i] = (uint8_t)(value + 128);
  else ((int16_t *)array)[i] = (int16_t)value;
}

/* ---- the definition ---- */

/* A sum with one more product; on lanes, cut to 20 or 40 bits. */
static int64_t step(const espq_sim_conv_params *p, int64_t sum, int64_t product) {
  int64_t most = ((int64_t)1 << (p->bits == 8 ? 19 : 39)) - 1;
  sum += product;
  if (p->lanes && sum > most) return most;
  return p->lanes && sum < -most - 1 ? -most - 1 : sum;
}

/* With the bias that v3's sums begin with. */
static int64_t naive_sum(const data *d, int image, int o, int oy, int ox) {
  const espq_sim_conv_params *p = &d->p;
  int inputs = p->ic / p->groups, first = o / (p->oc / p->groups) * inputs;
  bool begins = p->requant.rounding != ESPQ_ROUND_FLOOR && p->requant.bias64;
  int64_t sum = begins ? p->requant.bias64[o] : 0;
  for (int ky = 0; ky < p->kh; ky++)
    for (int kx = 0; kx < p->kw; kx++) {
      int y = oy * p->sh + ky * p->dh - p->pt, x = ox * p->sw + kx * p->dw - p->pl;
      if (y < 0 || y >= p->ih || x < 0 || x >= p->iw) continue;
      size_t pixel = (((size_t)image * p->ih + y) * p->iw + x) * d->ic_stored;
      for (int c = 0; c < inputs; c++) {
        size_t w = (((size_t)o * inputs + c) * p->kh + ky) * p->kw + kx;
        int64_t weight = p->bits == 8 ? ((int8_t *)d->weights)[w] : ((int16_t *)d->weights)[w];
        sum = step(p, sum, get(d->in, pixel + first + c, p->bits) * weight);
      }
    }
  return sum;
}

static int naive_requantize(const espq_sim_requant *r, int64_t sum, int c) {
  if (r->rounding != ESPQ_ROUND_FLOOR) {
    int64_t y = espq_fixed_shift(r->rounding, sum, r->shift2[c]);
    return (int)espq_fixed_clamp(y, r->out_min, r->out_max);
  }
  int64_t v = espq_fixed_floor(espq_fixed_clip(sum, r->acc_bits), r->shift1);
  v = espq_fixed_clip(v, 62) + (r->bias ? r->bias[c] : 0);
  v = espq_fixed_clip(v, r->mid_bits);
  if (r->shift2 && r->shift2[c] == ESPQ_SIM_SHIFT_ZERO) v = 0;
  else if (r->shift2) v = espq_fixed_floor(v, r->shift2[c]);
  return (int)espq_fixed_clamp(v, r->out_min, r->out_max);
}

static void naive_conv(data *d) {
  const espq_sim_conv_params *p = &d->p;
  size_t i = 0;
  for (int image = 0; image < d->n; image++)
    for (int y = 0; y < p->oh; y++)
      for (int x = 0; x < p->ow; x++)
        for (int o = 0; o < d->oc_stored; o++, i++) {
          int v = o < p->oc ? naive_requantize(&p->requant, naive_sum(d, image, o, y, x), o) : 0;
          set(d->expected, i, p->bits, v);
        }
}

/* ---- cases ---- */

/* The largest sums: everything lowest, or weights highest (whose low bytes are 255) and inputs lowest; and sums that go
   far up and come back: what a lane cuts off on the way is missing in the end. */
enum { MODE_RANDOM, MODE_LOWEST, MODE_OPPOSITE, MODE_SWING, MODES };

static int mode_of(int i) { return i % 10 < MODES ? i % 10 : MODE_RANDOM; }

/* Lowest for the first rows of the window, or the first of its inputs where it has one row; then highest. */
static int swing(const espq_sim_conv_params *p, size_t i) {
  int inputs = p->ic / p->groups, window = p->kh * p->kw;
  size_t tap = i % (size_t)window, input = i / (size_t)window % (size_t)inputs;
  bool early = tap * (size_t)inputs + input < (size_t)window * (size_t)inputs / 2;
  return (int)(early ? espq_fixed_min(p->bits) : espq_fixed_max(p->bits));
}

static void fill(data *d, int mode) {
  const espq_sim_conv_params *p = &d->p;
  size_t weights = (size_t)p->oc * (p->ic / p->groups) * p->kh * p->kw;
  int lo = (int)espq_fixed_min(p->bits), hi = (int)espq_fixed_max(p->bits);
  for (size_t i = 0; i < weights; i++) {
    int v = mode == MODE_LOWEST ? lo : mode == MODE_OPPOSITE ? hi : random_value(p->bits);
    if (mode == MODE_SWING) v = swing(p, i);
    if (p->bits == 8) ((int8_t *)d->weights)[i] = (int8_t)v;
    else ((int16_t *)d->weights)[i] = (int16_t)v;
  }
  for (size_t i = 0; i < d->in_count; i++) {
    bool padding = (int)(i % d->ic_stored) >= p->ic;
    set(d->in, i, p->bits, padding ? 0 : mode != MODE_RANDOM ? lo : random_value(p->bits));
  }
}

static void fill_requant(data *d) {
  espq_sim_requant *r = &d->p.requant;
  int bits = d->p.bits;
  bool per_channel = random_bits() % 2;
  *r = (espq_sim_requant){.acc_bits = bits == 8 ? 20 : 40,
                          .shift1 = per_channel ? 4 : random_between(-3, bits == 8 ? 14 : 28),
                          .out_min = (int)espq_fixed_min(bits),
                          .out_max = (int)espq_fixed_max(bits)};
  if (random_bits() % 3 == 0) r->out_min = 0;
  if (random_bits() % 4 == 0) r->acc_bits = 0;
  if (random_bits() % 16 == 0) r->shift1 = random_bits() % 2 ? 1000000000 : -1000000000;
  if (random_bits() % 4) r->bias = d->bias;
  if (per_channel) r->shift2 = d->shift2;
  if (per_channel && r->bias) r->mid_bits = 16;
  bool extreme = random_bits() % 8 == 0;
  for (int c = 0; c < d->p.oc; c++) {
    d->bias[c] = extreme ? (int32_t)random_bits() : random_value(bits == 8 && !per_channel ? 8 : 16);
    d->shift2[c] = espq_sim_shift2(random_between(-14, extreme ? 100 : 3));
  }
}

/* The same for ESP-DL v3. */
static void fill_requant_v3(data *d) {
  espq_sim_requant *r = &d->p.requant;
  int bits = d->p.bits, hi = (int)espq_fixed_max(bits), most = bits == 8 ? 14 : 28;
  *r = (espq_sim_requant){.rounding = random_bits() % 2 ? ESPQ_ROUND_HALF_UP : ESPQ_ROUND_HALF_EVEN,
                          .bias64 = random_bits() % 4 ? d->bias64 : NULL,
                          .shift2 = d->shift2,
                          .out_min = random_bits() % 3 ? -hi - 1 : 0,
                          .out_max = hi};
  int one = random_between(random_bits() % 4 ? 0 : -20, most);
  bool per_channel = random_bits() % 2, extreme = random_bits() % 8 == 0;
  for (int c = 0; c < d->p.oc; c++) {
    d->shift2[c] = per_channel ? random_between(0, most) : one;
    d->bias64[c] = (int64_t)random_value(bits == 8 ? 16 : 28) * (extreme ? 4096 : 1);
    if (d->p.lanes) d->bias64[c] = espq_fixed_clip(d->bias64[c], bits == 8 ? 20 : 40);
  }
}

/* A requantization that saturates nothing: a wrong bit in the upper half of a large sum is seen. */
static void show_sums(data *d) {
  espq_sim_requant *r = &d->p.requant;
  int hi = (int)espq_fixed_max(d->p.bits);
  *r = (espq_sim_requant){.shift1 = d->p.bits == 8 ? 16 : 27, .out_min = -hi - 1, .out_max = hi};
}

static bool allocate(data *d) {
  const espq_sim_conv_params *p = &d->p;
  d->ic_stored = (int)espq_layout_channels(ESPQ_NHWC16, p->ic);
  d->oc_stored = (int)espq_layout_channels(ESPQ_NHWC16, p->oc);
  d->in_count = (size_t)d->n * p->ih * p->iw * d->ic_stored;
  d->out_count = (size_t)d->n * p->oh * p->ow * d->oc_stored;
  size_t bytes = (size_t)p->bits / 8;
  d->weights = malloc((size_t)p->oc * (p->ic / p->groups) * p->kh * p->kw * bytes);
  d->in = malloc(d->in_count * bytes); /* malloc: sanitizers see a read past the end */
  d->out = malloc(d->out_count * bytes);
  d->expected = malloc(d->out_count * bytes);
  d->bias = malloc((size_t)p->oc * 4);
  d->bias64 = malloc((size_t)p->oc * 8);
  d->shift2 = malloc((size_t)p->oc * 4);
  return d->weights && d->in && d->out && d->expected && d->bias && d->bias64 && d->shift2;
}

static void release(data *d) {
  free(d->weights);
  free(d->in);
  free(d->out);
  free(d->expected);
  free(d->bias);
  free(d->bias64);
  free(d->shift2);
}

static void print_case(const data *d, espq_isa isa, const char *what) {
  const espq_sim_conv_params *p = &d->p;
  fprintf(stderr,
          "%s: %s %d bits n%d in %dx%dx%d out %dx%dx%d kernel %dx%d stride %d,%d dilation %d,%d "
          "pad %d,%d groups %d shift1 %d acc %d mid %d %s %s %s\n",
          what, espq_isa_name(isa), p->bits, d->n, p->ic, p->ih, p->iw, p->oc, p->oh, p->ow, p->kh, p->kw, p->sh, p->sw,
          p->dh, p->dw, p->pt, p->pl, p->groups, p->requant.shift1, p->requant.acc_bits, p->requant.mid_bits,
          p->requant.bias ? "bias" : "", p->requant.shift2 ? "per channel" : "", p->lanes ? "lanes" : "");
}

static void run_isa(data *d, espq_isa isa) {
  espq_sim_conv *conv = NULL;
  espq_error err = {0};
  d->p.isa = isa;
  size_t bytes = d->out_count * (size_t)d->p.bits / 8;
  if (!CHECK(espq_sim_conv_prepare(&d->p, d->weights, &conv, &err) == ESPQ_OK)) {
    print_case(d, isa, err.text);
    return;
  }
  void *scratch = malloc(espq_sim_conv_scratch(conv));
  memset(d->out, 0x55, bytes);
  espq_sim_conv_run(conv, d->n, d->in, d->out, scratch);
  if (!CHECK(memcmp(d->out, d->expected, bytes) == 0)) print_case(d, isa, "differs");
  free(scratch);
  espq_sim_conv_free(conv);
}

static int saturated[2]; /* cases of each width whose lanes give other results than exact sums */

static void count_saturated(data *d) {
  memcpy(d->out, d->expected, d->out_count * (size_t)d->p.bits / 8);
  d->p.lanes = false;
  naive_conv(d);
  saturated[d->p.bits == 16] += memcmp(d->out, d->expected, d->out_count * (size_t)d->p.bits / 8) != 0;
  d->p.lanes = true;
  naive_conv(d);
}

static void run_case(data *d, int mode) {
  d->p.lanes = random_bits() % 2;
  if (allocate(d)) {
    fill(d, mode);
    if (random_bits() % 2) fill_requant(d);
    else fill_requant_v3(d);
    if (mode == MODE_LOWEST || mode == MODE_OPPOSITE) show_sums(d);
    naive_conv(d);
    if (d->p.lanes) count_saturated(d);
    for (int isa = 0; isa <= (int)espq_isa_detect(); isa++) run_isa(d, (espq_isa)isa);
  }
  release(d);
}

/* ---- which cases ---- */

static int pick(const int *list, int n) { return list[random_bits() % (uint32_t)n]; }

static void random_geometry(data *d) {
  espq_sim_conv_params *p = &d->p;
  p->kh = random_between(1, 4), p->kw = random_between(1, 5);
  p->sh = random_between(1, 3), p->sw = random_between(1, 3);
  p->dh = random_between(1, 2), p->dw = random_between(1, 2);
  p->ih = random_between(1, 11), p->iw = random_between(1, 11);
  p->pt = random_between(-1, 3), p->pl = random_between(-1, 3);
  p->oh = random_between(1, 8), p->ow = random_between(1, 8);
  d->n = random_between(1, 3);
}

static void test_random(int bits, int count) {
  static const int channels[] = {1, 3, 4, 15, 16, 17, 31, 33, 48, 65, 100};
  for (int i = 0; i < count; i++) {
    data d = {.p = {.bits = bits, .groups = 1}};
    random_geometry(&d);
    d.p.ic = pick(channels, 11), d.p.oc = pick(channels, 11);
    run_case(&d, mode_of(i));
  }
}

static void test_groups(int bits, int count) {
  static const int per_group[] = {1, 2, 3, 4, 5, 8, 16, 17, 20};
  for (int i = 0; i < count; i++) {
    data d = {.p = {.bits = bits}};
    random_geometry(&d);
    d.p.groups = random_between(2, 9);
    d.p.ic = d.p.groups * pick(per_group, 9), d.p.oc = d.p.groups * pick(per_group, 9);
    run_case(&d, mode_of(i));
  }
}

static void test_depthwise(int bits, int count) {
  static const int channels[] = {2, 3, 15, 16, 17, 31, 32, 33, 48, 65, 100};
  for (int i = 0; i < count; i++) {
    data d = {.p = {.bits = bits}};
    random_geometry(&d);
    if (i % 8 == 0) d.p.kh = 20, d.p.kw = random_between(10, 14); /* around 256 taps */
    d.p.ic = d.p.oc = d.p.groups = pick(channels, 11);
    run_case(&d, mode_of(i));
  }
}

/* Rows of a Gemm: every remainder of every tile, and sums long enough to need flushing. */
static void test_gemm(int bits) {
  for (int n = 1; n <= 40; n++) { /* long sums, and one in ten of each mode */
    data d = {.n = n, .p = {.bits = bits, .groups = 1, .ic = n % 2 ? 1100 : 37, .oc = 10 + 3 * n}};
    espq_sim_conv_params *p = &d.p;
    p->ih = p->iw = p->oh = p->ow = p->kh = p->kw = p->sh = p->sw = p->dh = p->dw = 1;
    run_case(&d, mode_of(n / 2));
  }
}

/* Sums long enough for lanes of 40 bits, dense, in groups and depthwise. */
static void test_long(int bits, int count) {
  for (int i = 0; i < count; i++) {
    data d = {.p = {.bits = bits}};
    espq_sim_conv_params *p = &d.p;
    random_geometry(&d);
    p->groups = i % 3 == 0 ? 1 : random_between(2, 5), d.n = 1;
    p->ic = p->groups * (i % 3 == 2 ? 1 : random_between(30, 90)),
    p->oc = p->groups * random_between(1, i % 3 == 2 ? 1 : 9);
    p->kh = p->kw = i % 3 == 2 ? random_between(8, 40) : random_between(3, 6);
    p->ih = p->iw = p->kh + 1, p->oh = p->ow = 2, p->dh = p->dw = 1;
    run_case(&d, i % 4 ? MODE_SWING : mode_of(i));
  }
}

/* Few channels under wide windows: rows of the window as one run of inputs. */
static void test_compact(int bits, int count) {
  for (int i = 0; i < count; i++) {
    data d = {.p = {.bits = bits, .groups = 1}};
    random_geometry(&d);
    d.p.kh = random_between(1, 6), d.p.kw = random_between(2, 9), d.p.dw = 1;
    d.p.ic = random_between(1, 7), d.p.oc = random_between(1, 50);
    run_case(&d, mode_of(i));
  }
}

/* Several groups of rows, rows longer than a group, lines longer than one depthwise call. */
static void test_large(int bits) {
  static const struct {
    int channels, oc, groups, h, w, stride;
  } cases[] = {{3, 17, 1, 30, 31, 1},
               {20, 5, 1, 3, 300, 1},
               {80, 3, 1, 40, 40, 2},
               {20, 20, 20, 4, 150, 1},
               {17, 17, 17, 9, 140, 2}};
  for (int i = 0; i < 5; i++) {
    int s = cases[i].stride;
    data d = {.n = 2, .p = {.bits = bits, .groups = cases[i].groups, .ic = cases[i].channels, .oc = cases[i].oc}};
    espq_sim_conv_params *p = &d.p;
    p->ih = cases[i].h, p->iw = cases[i].w, p->sh = p->sw = s;
    p->oh = (p->ih + s - 1) / s, p->ow = (p->iw + s - 1) / s;
    p->kh = p->kw = 3, p->dh = p->dw = p->pt = p->pl = 1;
    run_case(&d, MODE_RANDOM);
  }
}

/* Windows whose inputs are so far apart that nobody copies what lies between. */
static void test_far(int bits) {
  for (int i = 0; i < 8; i++) {
    int far = 70000, channels = i % 4 < 2 ? 5 : 20;
    bool depthwise = i % 2, strides = i / 4;
    data d = {.n = 2, .p = {.bits = bits, .groups = depthwise ? channels : 1, .ic = channels, .oc = channels}};
    espq_sim_conv_params *p = &d.p;
    p->ih = p->iw = 4, p->oh = p->ow = 3, p->kh = p->kw = 2;
    p->sh = p->sw = strides ? far : 1, p->dh = p->dw = strides ? 1 : far;
    p->pt = strides ? far - 1 : far - 2, p->pl = strides ? 0 : 1;
    run_case(&d, MODE_RANDOM);
  }
}

static void test_refusals(void) {
  espq_sim_conv_params ok = {.bits = 8,
                             .ic = 1,
                             .ih = 1,
                             .iw = 1,
                             .oc = 1,
                             .oh = 1,
                             .ow = 1,
                             .kh = 1,
                             .kw = 1,
                             .sh = 1,
                             .sw = 1,
                             .dh = 1,
                             .dw = 1,
                             .groups = 1,
                             .requant = {.out_min = -128, .out_max = 127}};
  int8_t weight = 1;
  espq_sim_conv *conv;
  espq_error err;
  espq_sim_conv_params p = ok;
  CHECK(espq_sim_conv_prepare(&p, &weight, &conv, &err) == ESPQ_OK);
  espq_sim_conv_free(conv);
  p = ok, p.groups = 2;
  CHECK(espq_sim_conv_prepare(&p, &weight, &conv, &err) == ESPQ_EFORMAT && conv == NULL);
  p = ok, p.sh = 0;
  CHECK(espq_sim_conv_prepare(&p, &weight, &conv, &err) == ESPQ_EFORMAT);
  p = ok, p.kh = 512, p.kw = 256;
  CHECK(espq_sim_conv_prepare(&p, &weight, &conv, &err) == ESPQ_ELIMIT);
  p = ok, p.oh = p.ow = INT32_MAX;
  CHECK(espq_sim_conv_prepare(&p, &weight, &conv, &err) == ESPQ_ELIMIT);
  p = ok, p.requant.out_min = 1;
  CHECK(espq_sim_conv_prepare(&p, &weight, &conv, &err) == ESPQ_EUNSUPPORTED);
  p = ok, p.requant.out_max = 128;
  CHECK(espq_sim_conv_prepare(&p, &weight, &conv, &err) == ESPQ_EUNSUPPORTED);
  int64_t bias = (int64_t)1 << 19;
  int32_t shift = 0;
  p = ok, p.lanes = true;
  p.requant.rounding = ESPQ_ROUND_HALF_UP, p.requant.bias64 = &bias, p.requant.shift2 = &shift;
  CHECK(espq_sim_conv_prepare(&p, &weight, &conv, &err) == ESPQ_EUNSUPPORTED);
  CHECK(strstr(err.text, "524288") && strstr(err.text, "20 bits"));
  p.lanes = false;
  CHECK(espq_sim_conv_prepare(&p, &weight, &conv, &err) == ESPQ_OK);
  espq_sim_conv_free(conv);
  espq_sim_conv_free(NULL);
}

/* The sums' interval against every input of two values at each place, and its use of a known sign. */
static void test_sums(void) {
  static const int8_t w[] = {127, 9, -128, 9, 3, 9};
  espq_sim_interval all = espq_sim_sums(8, w, 3, 2, espq_sim_integers(8), 5);
  CHECK(all.lo == 5 - 127 * 128 - 128 * 127 - 3 * 128 && all.hi == 5 + 127 * 127 + 128 * 128 + 3 * 127);
  espq_sim_interval positive = espq_sim_sums(8, w, 3, 2, (espq_sim_interval){0, 127}, 0);
  CHECK(positive.lo == -128 * 127 && positive.hi == 130 * 127);
  CHECK(espq_sim_fits((espq_sim_interval){-524288, 524287}, 20));
  CHECK(!espq_sim_fits((espq_sim_interval){-524289, 0}, 20) && !espq_sim_fits((espq_sim_interval){0, 524288}, 20));
}

/* Known inputs take channels off the lanes that need not be on them; the results stay. */
static void test_known_inputs(void) {
  int8_t weights[2 * 48];
  memset(weights, 127, 48);
  for (int i = 0; i < 48; i++) weights[48 + i] = i % 2 ? 127 : -127;
  espq_sim_conv_params p = {.bits = 8,
                            .ic = 48,
                            .ih = 1,
                            .iw = 1,
                            .oc = 2,
                            .oh = 1,
                            .ow = 1,
                            .kh = 1,
                            .kw = 1,
                            .sh = 1,
                            .sw = 1,
                            .dh = 1,
                            .dw = 1,
                            .groups = 1,
                            .lanes = true,
                            .requant = {.acc_bits = 20, .shift1 = 13, .out_min = -128, .out_max = 127}};
  espq_sim_conv *any, *positive;
  CHECK(espq_sim_conv_prepare(&p, weights, &any, NULL) == ESPQ_OK);
  p.input = (espq_sim_interval){0, 127};
  CHECK(espq_sim_conv_prepare(&p, weights, &positive, NULL) == ESPQ_OK);
  CHECK(espq_sim_conv_bytes(any) > espq_sim_conv_bytes(positive)); /* two channels on lanes, and one */
  _Alignas(64) uint8_t in[48], out[2][16];
  void *scratch = malloc(espq_sim_conv_scratch(any));
  memset(in, 255, sizeof in);
  espq_sim_conv_run(any, 1, in, out[0], scratch);
  espq_sim_conv_run(positive, 1, in, out[1], scratch);
  CHECK(memcmp(out[0], out[1], 16) == 0);
  CHECK(out[0][0] == 128 + (524287 >> 13) && out[0][1] == 128);
  free(scratch);
  espq_sim_conv_free(any);
  espq_sim_conv_free(positive);
}

int main(void) {
  for (int bits = 8; bits <= 16; bits += 8) {
    test_random(bits, 150);
    test_groups(bits, 100);
    test_depthwise(bits, 100);
    test_compact(bits, 100);
    test_gemm(bits);
    test_large(bits);
    test_far(bits);
    test_long(bits, 100);
  }
  CHECK(saturated[0] >= 50 && saturated[1] >= 10);
  test_sums();
  test_known_inputs();
  test_refusals();
  return check_report();
}
