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

static void quantize_slice(const float *x, int64_t count, int bits, int32_t exponent, espq_isa isa, void *q) {
  if (exponent == ESPQ_EXPONENT_ZERO) memset(q, 0, (size_t)count * (size_t)(bits / 8));
  else espq_sim_quantize(count, x, exponent, espq_sim_format_of(bits, ESPQ_PLAIN), q, isa);
}

espq_status espq_quantize(const espq_tensor *x, int bits, const int32_t *exponent, int n, int axis, espq_isa isa,
                          espq_tensor **out, espq_error *err) {
  slices s;
  if (x->dtype != ESPQ_F32 || (bits != 8 && bits != 16))
    return espq_fail(err, ESPQ_EFORMAT, "a %s tensor to %d bits: expected float32 to 8 or 16",
                     espq_dtype_name(x->dtype), bits);
  espq_status status = cut(x, n, axis, &s, err);
  if (!status) status = espq_tensor_new(bits == 8 ? ESPQ_I8 : ESPQ_I16, x->rank, x->dim, out, err);
  for (int64_t i = 0; !status && i < s.outer * s.n; i++)
    quantize_slice((const float *)x->data + i * s.inner, s.inner, bits, exponent[i % s.n], isa,
                   (char *)(*out)->data + i * s.inner * (bits / 8));
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
