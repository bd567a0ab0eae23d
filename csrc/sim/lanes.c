#include "sim/lanes.h"

#include <string.h>

#include "sim/fixed.h"
#include "sim/versions.h"

/* ---- loading ---- */

ESPQ_BODY void load_i8_body(const void *array, int n, int32_t *restrict v) {
  const int8_t *restrict x = array;
  for (int i = 0; i < n; i += 16)
    for (int j = 0; j < 16; j++) v[i + j] = x[i + j];
}

ESPQ_BODY void load_offset_body(const void *array, int n, int32_t *restrict v) {
  const uint8_t *restrict x = array;
  for (int i = 0; i < n; i += 16)
    for (int j = 0; j < 16; j++) v[i + j] = x[i + j] - 128;
}

ESPQ_BODY void load_i16_body(const void *array, int n, int32_t *restrict v) {
  const int16_t *restrict x = array;
  for (int i = 0; i < n; i += 16)
    for (int j = 0; j < 16; j++) v[i + j] = x[i + j];
}

ESPQ_VERSIONS(load_i8, (const void *array, int n, int32_t *restrict v), (array, n, v))
ESPQ_VERSIONS(load_offset, (const void *array, int n, int32_t *restrict v), (array, n, v))
ESPQ_VERSIONS(load_i16, (const void *array, int n, int32_t *restrict v), (array, n, v))

static int32_t load_one(espq_sim_format format, const void *array, int64_t i) {
  if (format == ESPQ_SIM_I16) return ((const int16_t *)array)[i];
  if (format == ESPQ_SIM_I8) return ((const int8_t *)array)[i];
  return ((const uint8_t *)array)[i] - 128;
}

static void load_dense(espq_isa isa, espq_sim_format format, const void *array, int n, int32_t *v) {
  if (format == ESPQ_SIM_I8) load_i8_versions[isa](array, n, v);
  else if (format == ESPQ_SIM_I8_OFFSET) load_offset_versions[isa](array, n, v);
  else load_i16_versions[isa](array, n, v);
}

void espq_lanes_load(espq_isa isa, espq_sim_format format, const void *array, int64_t first, int64_t stride, int n,
                     espq_lanes *out) {
  int done = 0;
  if (stride == 1) {
    done = n & ~15;
    const char *from = (const char *)array + first * (int64_t)espq_sim_format_bytes(format);
    load_dense(isa, format, from, done, out->v);
  }
  for (; done < n; done++) out->v[done] = load_one(format, array, first + done * stride);
  for (; done < espq_lanes_rounded(n); done++) out->v[done] = 0;
}

/* ---- storing ---- */

ESPQ_BODY void store_8_body(const int32_t *restrict v, int n, int offset, void *array) {
  uint8_t *restrict y = array;
  for (int i = 0; i < n; i += 16)
    for (int j = 0; j < 16; j++) y[i + j] = (uint8_t)(v[i + j] + offset);
}

ESPQ_BODY void store_16_body(const int32_t *restrict v, int n, int offset, void *array) {
  int16_t *restrict y = array;
  for (int i = 0; i < n; i += 16)
    for (int j = 0; j < 16; j++) y[i + j] = (int16_t)(v[i + j] + offset);
}

ESPQ_VERSIONS(store_8, (const int32_t *restrict v, int n, int offset, void *array), (v, n, offset, array))
ESPQ_VERSIONS(store_16, (const int32_t *restrict v, int n, int offset, void *array), (v, n, offset, array))

void espq_lanes_store(espq_isa isa, espq_sim_format format, const espq_lanes *in, int n, void *array, int64_t first) {
  size_t bytes = espq_sim_format_bytes(format);
  char *to = (char *)array + first * (int64_t)bytes;
  int offset = format == ESPQ_SIM_I8_OFFSET ? 128 : 0, dense = n & ~15;
  if (bytes == 1) store_8_versions[isa](in->v, dense, offset, to);
  else store_16_versions[isa](in->v, dense, offset, to);
  _Alignas(64) int16_t last[16];
  if (dense == n) return;
  if (bytes == 1) store_8_versions[isa](in->v + dense, 16, offset, last);
  else store_16_versions[isa](in->v + dense, 16, offset, last);
  memcpy(to + (size_t)dense * bytes, last, (size_t)(n - dense) * bytes);
}

/* ---- scaling ---- */

espq_lanes_scale espq_lanes_scale_to(espq_rounding rounding, int64_t right, int bits) {
  if (rounding != ESPQ_ROUND_FLOOR && right > 31) return (espq_lanes_scale){.right = 31}; /* all are 0 */
  return (espq_lanes_scale){.rounding = right > 0 ? rounding : ESPQ_ROUND_FLOOR,
                            .right = (int)espq_fixed_clamp(right, 0, 31),
                            .left = (int)-espq_fixed_clamp(right, -16, 0),
                            .lo = (int32_t)espq_fixed_min(bits),
                            .hi = (int32_t)espq_fixed_max(bits)};
}

ESPQ_BODY void half_up_body(int right, int32_t lo, int32_t hi, int n, int32_t *restrict v) {
  for (int i = 0; i < n; i += 16)
    for (int j = 0; j < 16; j++) {
      int32_t x = (v[i + j] >> right) + ((v[i + j] >> (right - 1)) & 1);
      x = x < lo ? lo : x;
      v[i + j] = x > hi ? hi : x;
    }
}

ESPQ_BODY void half_even_body(int right, int32_t lo, int32_t hi, int n, int32_t *restrict v) {
  uint32_t half = (uint32_t)1 << (right - 1);
  for (int i = 0; i < n; i += 16)
    for (int j = 0; j < 16; j++) {
      int32_t x = v[i + j] >> right;
      uint32_t rest = (uint32_t)v[i + j] - ((uint32_t)x << right);
      x += (rest > half) | ((rest == half) & (x & 1));
      x = x < lo ? lo : x;
      v[i + j] = x > hi ? hi : x;
    }
}

ESPQ_VERSIONS(half_up, (int right, int32_t lo, int32_t hi, int n, int32_t *restrict v), (right, lo, hi, n, v))
ESPQ_VERSIONS(half_even, (int right, int32_t lo, int32_t hi, int n, int32_t *restrict v), (right, lo, hi, n, v))

/* What the cut to 16 bits changes would saturate anyway; after it a left shift of 16 fits 32 bits. */
ESPQ_BODY void scale_body(int right, int left, int32_t lo, int32_t hi, int n, int32_t *restrict v) {
  for (int i = 0; i < n; i += 16)
    for (int j = 0; j < 16; j++) {
      int32_t x = v[i + j] >> right;
      x = x < INT16_MIN ? INT16_MIN : x;
      x = x > INT16_MAX ? INT16_MAX : x;
      x = (int32_t)((uint32_t)x << left);
      x = x < lo ? lo : x;
      v[i + j] = x > hi ? hi : x;
    }
}

ESPQ_VERSIONS(scale, (int right, int left, int32_t lo, int32_t hi, int n, int32_t *restrict v),
              (right, left, lo, hi, n, v))

void espq_lanes_apply(espq_isa isa, const espq_lanes_scale *s, int n, espq_lanes *lanes) {
  int whole = espq_lanes_rounded(n);
  switch (s->rounding) {
    case ESPQ_ROUND_FLOOR: scale_versions[isa](s->right, s->left, s->lo, s->hi, whole, lanes->v); break;
    case ESPQ_ROUND_HALF_UP: half_up_versions[isa](s->right, s->lo, s->hi, whole, lanes->v); break;
    case ESPQ_ROUND_HALF_EVEN: half_even_versions[isa](s->right, s->lo, s->hi, whole, lanes->v); break;
  }
}
