#include "quant/quantize.h"

#include <inttypes.h>
#include <string.h>

#include "quant/exponent.h"
#include "sim/convert.h"

/* Number of slices before the axis, along it, and elements behind it; one slice of everything for one exponent. */
typedef struct slices {
  int64_t outer, n, inner;
} slices;

static espq_status cut(const espq_tensor *t, int n, int axis, slices *s, espq_error *err) {
  *s = (slices){1, 1, t->count};
  if (n == 1) return ESPQ_OK;
  if (axis < 0 || axis >= t->rank || t->dim[axis] != n)
    return espq_fail(err, ESPQ_EFORMAT, "%d exponents for axis %d of %" PRId64 " entries", n, axis,
                     axis >= 0 && axis < t->rank ? t->dim[axis] : -1);
  *s = (slices){1, n, 1};
  for (int i = 0; i < axis; i++) s->outer *= t->dim[i];
  for (int i = axis + 1; i < t->rank; i++) s->inner *= t->dim[i];
  return ESPQ_OK;
}

/* The type that holds integers of that many bits; ESPQ_DTYPE_NONE: there are none of so many. */
static espq_dtype dtype_of(int bits) {
  switch (bits) {
    case 8: return ESPQ_I8;
    case 16: return ESPQ_I16;
    case 20:
    case 32: return ESPQ_I32;
    case 40:
    case 64: return ESPQ_I64;
    default: return ESPQ_DTYPE_NONE;
  }
}

static void store(void *q, espq_dtype dtype, int64_t i, int64_t v) {
  if (dtype == ESPQ_I8) ((int8_t *)q)[i] = (int8_t)v;
  else if (dtype == ESPQ_I16) ((int16_t *)q)[i] = (int16_t)v;
  else if (dtype == ESPQ_I32) ((int32_t *)q)[i] = (int32_t)v;
  else ((int64_t *)q)[i] = v;
}

static void quantize_slice(const float *x, int64_t count, espq_integers to, int32_t exponent, espq_isa isa, void *q) {
  espq_dtype dtype = dtype_of(to.bits);
  if (exponent == ESPQ_EXPONENT_ZERO) memset(q, 0, (size_t)count * espq_dtype_size(dtype));
  else if (to.bits <= 16)
    espq_sim_quantize_by(to.rounding, count, x, exponent, espq_sim_format_of(to.bits, ESPQ_PLAIN), q, isa);
  else
    for (int64_t i = 0; i < count; i++)
      store(q, dtype, i, espq_fixed_round(to.rounding, (double)x[i], exponent, to.bits));
}

espq_status espq_quantize(const espq_tensor *x, espq_integers to, const int32_t *exponent, int n, int axis,
                          espq_isa isa, espq_tensor **out, espq_error *err) {
  slices s;
  espq_dtype dtype = dtype_of(to.bits);
  if (x->dtype != ESPQ_F32 || dtype == ESPQ_DTYPE_NONE)
    return espq_fail(err, ESPQ_EFORMAT, "a %s tensor to %d bits: expected float32 to 8, 16, 20, 32, 40 or 64",
                     espq_dtype_name(x->dtype), to.bits);
  espq_status status = cut(x, n, axis, &s, err);
  if (!status) status = espq_tensor_new(dtype, x->rank, x->dim, out, err);
  for (int64_t i = 0; !status && i < s.outer * s.n; i++)
    quantize_slice((const float *)x->data + i * s.inner, s.inner, to, exponent[i % s.n], isa,
                   (char *)(*out)->data + i * s.inner * (int64_t)espq_dtype_size(dtype));
  return status;
}

espq_status espq_dequantize(const espq_tensor *q, const int32_t *exponent, int n, int axis, espq_isa isa,
                            espq_tensor **out, espq_error *err) {
  slices s;
  if (q->dtype != ESPQ_I8 && q->dtype != ESPQ_I16)
    return espq_fail(err, ESPQ_EFORMAT, "a %s tensor: expected int8 or int16", espq_dtype_name(q->dtype));
  int bits = q->dtype == ESPQ_I8 ? 8 : 16;
  espq_status status = cut(q, n, axis, &s, err);
  if (!status) status = espq_tensor_new(ESPQ_F32, q->rank, q->dim, out, err);
  for (int64_t i = 0; !status && i < s.outer * s.n; i++) {
    float *x = (float *)(*out)->data + i * s.inner;
    int32_t e = exponent[i % s.n];
    if (e == ESPQ_EXPONENT_ZERO) memset(x, 0, (size_t)s.inner * sizeof *x);
    else
      espq_sim_dequantize(s.inner, espq_sim_format_of(bits, ESPQ_PLAIN),
                          (const char *)q->data + i * s.inner * (bits / 8), e, x, isa);
  }
  return status;
}
