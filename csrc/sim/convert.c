#include "sim/convert.h"

#include <stdbool.h>

#include "sim/fixed.h"
#include "sim/lanes.h"
#include "sim/versions.h"

/* 2^e as a float where that is a normal number: then one float product is what fixed.h defines. */
static bool power_of_two(int64_t e, float *power) {
  if (e < -126 || e > 127) return false;
  *power = ldexpf(1.0f, (int)e);
  return true;
}

/* Adding and subtracting 1.5 * 2^23 rounds to an integer, ties to even. */
ESPQ_BODY void quantize_body(int n, const float *restrict x, float factor, float lo, float hi, int32_t *restrict q) {
  const float round = 12582912.0f;
  for (int i = 0; i < n; i += 16)
    for (int j = 0; j < 16; j++) {
      float v = x[i + j] * factor;
      v = v == v ? v : 0.0f;
      v = v < lo ? lo : v;
      v = v > hi ? hi : v;
      q[i + j] = (int32_t)((v + round) - round);
    }
}

/* To the nearest, halves up. The difference to the floor is exact, but for x between -1/2 and 0, where it is above 1/2
 * however it is rounded. */
ESPQ_BODY void quantize_up_body(int n, const float *restrict x, float factor, float lo, float hi, int32_t *restrict q) {
  for (int i = 0; i < n; i += 16)
    for (int j = 0; j < 16; j++) {
      float v = x[i + j] * factor;
      v = v == v ? v : 0.0f;
      v = v < lo ? lo : v;
      v = v > hi ? hi : v;
      int32_t below = (int32_t)v;
      below -= (float)below > v ? 1 : 0;
      q[i + j] = below + (v - (float)below >= 0.5f ? 1 : 0);
    }
}

ESPQ_BODY void dequantize_body(int n, const int32_t *restrict q, float factor, float *restrict x) {
  for (int i = 0; i < n; i += 16)
    for (int j = 0; j < 16; j++) x[i + j] = (float)q[i + j] * factor;
}

#define QUANTIZE_PARAMS (int n, const float *restrict x, float factor, float lo, float hi, int32_t *restrict q)
ESPQ_VERSIONS(quantize, QUANTIZE_PARAMS, (n, x, factor, lo, hi, q))
ESPQ_VERSIONS(quantize_up, QUANTIZE_PARAMS, (n, x, factor, lo, hi, q))
ESPQ_VERSIONS(dequantize, (int n, const int32_t *restrict q, float factor, float *restrict x), (n, q, factor, x))

static void quantize_block(espq_rounding rounding, const float *x, int n, int exponent, int bits, espq_isa isa,
                           espq_lanes *q) {
  float factor;
  int done = 0;
  if (rounding != ESPQ_ROUND_FLOOR && power_of_two(-(int64_t)exponent, &factor)) {
    done = n & ~15;
    (rounding == ESPQ_ROUND_HALF_EVEN ? quantize_versions : quantize_up_versions)[isa](
        done, x, factor, (float)espq_fixed_min(bits), (float)espq_fixed_max(bits), q->v);
  }
  for (; done < n; done++) q->v[done] = (int32_t)espq_fixed_round(rounding, (double)x[done], exponent, bits);
  for (; done < espq_lanes_rounded(n); done++) q->v[done] = 0;
}

static int block_at(int64_t i, int64_t count) { return count - i < ESPQ_LANES ? (int)(count - i) : ESPQ_LANES; }

void espq_sim_quantize_by(espq_rounding rounding, int64_t count, const float *x, int exponent, espq_sim_format format,
                          void *q, espq_isa isa) {
  espq_lanes lanes;
  for (int64_t i = 0; i < count; i += ESPQ_LANES) {
    int n = block_at(i, count);
    quantize_block(rounding, x + i, n, exponent, espq_sim_format_bits(format), isa, &lanes);
    espq_lanes_store(isa, format, &lanes, n, q, i);
  }
}

void espq_sim_quantize(int64_t count, const float *x, int exponent, espq_sim_format format, void *q, espq_isa isa) {
  espq_sim_quantize_by(ESPQ_ROUND_HALF_EVEN, count, x, exponent, format, q, isa);
}

void espq_sim_dequantize(int64_t count, espq_sim_format format, const void *q, int exponent, float *x, espq_isa isa) {
  espq_lanes lanes;
  float factor;
  bool fast = power_of_two(exponent, &factor);
  for (int64_t i = 0; i < count; i += ESPQ_LANES) {
    int n = block_at(i, count), done = fast ? n & ~15 : 0;
    espq_lanes_load(isa, format, q, i, 1, n, &lanes);
    dequantize_versions[isa](done, lanes.v, fast ? factor : 0.0f, x + i);
    for (; done < n; done++) x[i + done] = espq_fixed_dequantize(lanes.v[done], exponent);
  }
}

void espq_sim_requantize(espq_rounding rounding, int64_t count, espq_sim_format in_format, const void *in,
                         int in_exponent, espq_sim_format out_format, void *out, int out_exponent, espq_isa isa) {
  espq_lanes lanes;
  int bits = espq_sim_format_bits(out_format);
  espq_lanes_scale scale = espq_lanes_scale_to(rounding, (int64_t)out_exponent - in_exponent, bits);
  for (int64_t i = 0; i < count; i += ESPQ_LANES) {
    int n = block_at(i, count);
    espq_lanes_load(isa, in_format, in, i, 1, n, &lanes);
    espq_lanes_apply(isa, &scale, n, &lanes);
    espq_lanes_store(isa, out_format, &lanes, n, out, i);
  }
}

void espq_sim_table(espq_rounding rounding, int64_t count, espq_sim_format format, const void *x, int32_t entries,
                    const int32_t *table, void *y, espq_isa isa) {
  espq_lanes lanes;
  int bits = espq_sim_format_bits(format), shift = 0;
  while (bits == 16 && 65536 >> shift > entries) shift++;
  for (int64_t i = 0; i < count; i += ESPQ_LANES) {
    int n = block_at(i, count);
    espq_lanes_load(isa, format, x, i, 1, n, &lanes);
    for (int k = 0; k < n; k++) {
      int64_t index = (int64_t)lanes.v[k] - espq_fixed_min(bits);
      lanes.v[k] = table[espq_fixed_shift(rounding, index, shift)];
    }
    espq_lanes_store(isa, format, &lanes, n, y, i);
  }
}
