/* The requantization chain in 32-bit lanes and in 64 bits, on every instruction set of this machine,
   against its definition in 128 bits: sums of every magnitude, shifts of every kind. */
#include "../check.h"

#include <stdlib.h>
#include <string.h>

#include "random.h"
#include "sim/fixed.h"
#include "sim/requant.h"

typedef __int128 wide;

enum { CHANNELS = 19, STORED = 32, ROWS = 5 };

static wide clip(wide v, int bits) {
  wide hi = bits ? ((wide)1 << (bits - 1)) - 1 : (wide)1 << 120;
  return v > hi ? hi : v < -hi - 1 ? -hi - 1 : v;
}

/* floor(v / 2^right) cut to 2^120 in size */
static wide shift(wide v, int64_t right) {
  if (right >= 0) return v >> (right > 120 ? 120 : right);
  while (right++ < 0 && v != 0) {
    v = clip(v * 2, 0);
    if (v == clip(v * 2, 0)) break;
  }
  return v;
}

/* round(v / 2^right) */
static wide rounded(espq_rounding rounding, wide v, int64_t right) {
  if (right <= 0 || right > 100) return right <= 0 ? shift(v, right) : 0;
  wide q = v >> right, rest = v - q * ((wide)1 << right), half = (wide)1 << (right - 1);
  if (rounding == ESPQ_ROUND_HALF_UP) return q + (rest >= half);
  return q + (rest > half || (rest == half && q % 2 != 0));
}

static int64_t naive(const espq_sim_requant *r, int64_t sum, int c) {
  if (r->rounding != ESPQ_ROUND_FLOOR) {
    wide y = rounded(r->rounding, (wide)sum + (r->bias64 ? r->bias64[c] : 0), r->shift2[c]);
    return y < r->out_min ? r->out_min : y > r->out_max ? r->out_max : (int64_t)y;
  }
  wide v = shift(clip(sum, r->acc_bits), r->shift1);
  v = clip(v + (r->bias ? r->bias[c] : 0), r->mid_bits);
  if (r->shift2) v = r->shift2[c] == ESPQ_SIM_SHIFT_ZERO ? 0 : shift(v, r->shift2[c]);
  return v < r->out_min ? r->out_min : v > r->out_max ? r->out_max : (int64_t)v;
}

static int random_shift(void) {
  switch (random_bits() % 8) {
    case 0: return random_between(-70, 70);
    case 1: return random_bits() % 2 ? 1000000000 : -1000000000;
    case 2: return random_between(-32, -12);
    case 3: return 0;
    default: return random_between(-4, 20);
  }
}

static int32_t random_bias(int kind) {
  if (kind == 0) return (int32_t)random_bits();
  if (kind == 1) return random_between(-(1 << 30), 1 << 30);
  return random_between(-40000, 40000);
}

/* ESP-DL v3, with biases of up to 62 bits. */
static espq_sim_requant random_v3(espq_sim_requant r, int64_t *bias, int32_t *shift2) {
  r.rounding = random_bits() % 2 ? ESPQ_ROUND_HALF_UP : ESPQ_ROUND_HALF_EVEN;
  int size = random_bits() % 2 ? random_between(1, 16) : random_between(1, 62);
  bool plain = random_bits() % 2;
  for (int c = 0; c < CHANNELS; c++) {
    bias[c] = (int64_t)(((uint64_t)random_bits() << 32 | random_bits()) >> 1) >> (63 - size);
    if (random_bits() % 2) bias[c] = -bias[c];
    shift2[c] = plain ? random_between(0, 20) : random_shift();
  }
  r.bias64 = random_bits() % 4 ? bias : NULL;
  r.bias = NULL;
  r.shift2 = shift2;
  return r;
}

static espq_sim_requant random_spec(int bits, int32_t *bias, int64_t *bias64, int32_t *shift2) {
  static const int acc_bits[] = {0, 20, 32, 40}, mid_bits[] = {0, 0, 8, 16, 16, 20, 31, 32};
  espq_sim_requant r = {.acc_bits = acc_bits[random_bits() % 4],
                        .shift1 = random_shift(),
                        .mid_bits = mid_bits[random_bits() % 8],
                        .out_min = random_bits() % 3 ? -(1 << (bits - 1)) : random_between(-100, 0),
                        .out_max = random_bits() % 3 ? (1 << (bits - 1)) - 1 : random_between(0, 100)};
  int kind = random_between(0, 5), right_only = random_bits() % 2;
  for (int c = 0; c < CHANNELS; c++) {
    bias[c] = random_bias(kind);
    shift2[c] = random_bits() % 8 ? random_shift() : ESPQ_SIM_SHIFT_ZERO;
    if (right_only) shift2[c] = random_between(0, 30);
    /* 2^120 stands for infinity above: see test_common_factor for what that cannot say */
    if (r.shift1 < -100 && shift2[c] > 70 && shift2[c] != ESPQ_SIM_SHIFT_ZERO) shift2[c] = 70;
  }
  if (random_bits() % 4) r.bias = bias;
  if (random_bits() % 3) r.shift2 = shift2;
  return random_bits() % 2 ? r : random_v3(r, bias64, shift2);
}

/* |sum| <= bound, of any magnitude below. */
static int64_t random_sum(int64_t bound) {
  if (random_bits() % 8 == 0) return random_bits() % 2 ? bound : -bound;
  uint64_t raw = (uint64_t)random_bits() << 32 | random_bits();
  int64_t v = (int64_t)(raw >> 1) >> random_between(0, 62);
  v = v > bound ? v % (bound + 1) : v;
  return random_bits() % 2 ? v : -v;
}

static int get(int bits, const void *out, int i) {
  return bits == 8 ? ((const uint8_t *)out)[i] - 128 : ((const int16_t *)out)[i];
}

static int shifts_seen;

/* Where the chain of a channel is said to be one shift, it is. */
static bool shift_agrees(const espq_requant_plan *plan, const espq_sim_requant *spec, const int64_t *sums) {
  const espq_requant_shift *s = &plan->shift;
  for (int i = 0; i < ROWS * STORED; i++) {
    int c = i % STORED;
    if (s->right[c] < 0) continue;
    shifts_seen += c < CHANNELS;
    int64_t y = espq_fixed_clamp((sums[i] + s->add[c]) >> s->right[c], s->lo[c], s->hi[c]);
    if (y != (c < CHANNELS ? naive(spec, sums[i], c) : 0)) return false;
  }
  return true;
}

static void test_plan(int bits, int64_t bound) {
  int64_t bias64[CHANNELS];
  int32_t bias[CHANNELS], shift2[CHANNELS];
  espq_sim_requant spec = random_spec(bits, bias, bias64, shift2);
  _Alignas(64) int64_t acc64[ROWS * STORED] = {0};
  _Alignas(64) int32_t acc32[ROWS * STORED];
  for (int i = 0; i < ROWS * STORED; i++) {
    acc64[i] = i % STORED < CHANNELS ? random_sum(bound) : 0;
    acc32[i] = (int32_t)acc64[i];
  }
  for (int isa = 0; isa <= (int)espq_isa_detect(); isa++) {
    espq_requant_plan plan = {0};
    int16_t out[ROWS * STORED];
    CHECK(espq_requant_prepare(&plan, &spec, bits, CHANNELS, bound, (espq_isa)isa, NULL) == ESPQ_OK);
    plan.rows(&plan, bits == 8 ? (void *)acc32 : (void *)acc64, ROWS, 0, STORED, out, STORED);
    bool same = shift_agrees(&plan, &spec, acc64);
    for (int i = 0; i < ROWS * STORED; i++) {
      int c = i % STORED;
      same &= get(bits, out, i) == (c < CHANNELS ? naive(&spec, acc64[i], c) : 0);
    }
    if (!CHECK(same))
      fprintf(stderr, "%s rounding %d bits %d bound %lld acc %d shift1 %d mid %d bias %d shift2 %d\n",
              espq_isa_name((espq_isa)isa), (int)spec.rounding, bits, (long long)bound, spec.acc_bits, spec.shift1,
              spec.mid_bits, spec.bias != NULL, spec.shift2 != NULL);
    espq_requant_free(&plan);
  }
}

/* Far to the left, then as far to the right. */
static void test_common_factor(void) {
  _Alignas(64) int64_t acc[16] = {3, 3, -3, -3, 40, 1};
  int32_t bias[6] = {0, 5, 5, -5, 0, -1},
          shift2[6] = {1000000000, 1000000000, 1000000000, 1000000000, 1000000003, 999999980};
  static const int expected[6] = {3, 3, -3, -4, 5, 32767};
  espq_sim_requant spec = {.shift1 = -1000000000, .bias = bias, .shift2 = shift2, .out_min = -32768, .out_max = 32767};
  for (int isa = 0; isa <= (int)espq_isa_detect(); isa++) {
    espq_requant_plan plan = {0};
    int16_t out[16];
    CHECK(espq_requant_prepare(&plan, &spec, 16, 6, 40, (espq_isa)isa, NULL) == ESPQ_OK);
    plan.rows(&plan, acc, 1, 0, 16, out, 16);
    for (int c = 0; c < 6; c++) CHECK(out[c] == expected[c]);
    espq_requant_free(&plan);
  }
}

static void test_shift2(void) {
  CHECK(espq_sim_shift2(0) == 0 && espq_sim_shift2(-12) == 12 && espq_sim_shift2(5) == -5);
  CHECK(espq_sim_shift2(-13) == ESPQ_SIM_SHIFT_ZERO && espq_sim_shift2(INT64_MIN) == ESPQ_SIM_SHIFT_ZERO);
  CHECK(espq_sim_shift2(INT64_MAX) == -64);
}

int main(void) {
  for (int i = 0; i < 3000; i++) {
    test_plan(8, i % 2 ? INT32_MAX : ((int64_t)1 << random_between(1, 30)));
    test_plan(16, (int64_t)1 << random_between(1, 61));
  }
  CHECK(shifts_seen > 100000);
  test_common_factor();
  test_shift2();
  return check_report();
}
