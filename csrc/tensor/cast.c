#include "tensor/row.h"

#include <math.h>
#include <string.h>

#include "tensor/move.h"

/* --- float16 --- */

float espq_f16_to_f32(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000u) << 16, exponent = (half >> 10) & 31u, mantissa = half & 1023u, bits;
  float value;
  if (exponent == 0) {
    value = (float)mantissa * 0x1p-24f;
    return sign ? -value : value;
  }
  bits = exponent == 31 ? 0x7F800000u | mantissa << 13 : (exponent + 112) << 23 | mantissa << 13;
  bits |= sign;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* The spacing of halves around |x| is 2^(e-10), 2^-24 at least: dividing by it is exact, nearbyint rounds ties to
 * even, and a carry into the next power of two is right as it stands. */
uint16_t espq_f16_from_f64(double x) {
  uint16_t sign = signbit(x) ? 0x8000 : 0;
  double a = fabs(x);
  if (isnan(x)) return (uint16_t)(sign | 0x7E00);
  if (a >= 65520) return (uint16_t)(sign | 0x7C00);
  int e;
  frexp(a, &e);
  e = a == 0 || e < -13 ? -14 : e - 1;
  return (uint16_t)(sign + ((e + 14) << 10) + (int)nearbyint(ldexp(a, 10 - e)));
}

/* --- facts about types --- */

bool espq_dtype_is_float(espq_dtype dtype) { return dtype == ESPQ_F32 || dtype == ESPQ_F16 || dtype == ESPQ_F64; }

void espq_dtype_range(espq_dtype dtype, int64_t *low, int64_t *high) {
  int bits = (int)espq_dtype_size(dtype) * 8;
  switch (dtype) {
    case ESPQ_BOOL: *low = 0, *high = 1; return;
    case ESPQ_U8:
    case ESPQ_U16:
    case ESPQ_U32: *low = 0, *high = ((int64_t)1 << bits) - 1; return;
    case ESPQ_U64: *low = 0, *high = INT64_MAX; return;
    default: *high = (int64_t)(UINT64_MAX >> 1 >> (64 - bits)), *low = -*high - 1;
  }
}

/* --- conversion --- */

void espq_cast(espq_dtype from, espq_dtype to, int64_t count, const void *src, void *dst) {
  espq_row row;
  for (int64_t i = 0; i < count; i += ESPQ_ROW) {
    int64_t n = count - i < ESPQ_ROW ? count - i : ESPQ_ROW;
    espq_row_load(from, (const char *)src + (size_t)i * espq_dtype_size(from), 1, n, &row);
    espq_row_store(to, n, &row, (char *)dst + (size_t)i * espq_dtype_size(to));
  }
}

espq_status espq_tensor_cast(const espq_tensor *tensor, espq_dtype dtype, espq_tensor **out, espq_error *err) {
  if (tensor->dtype == dtype) return espq_tensor_copy(tensor, out, err);
  espq_status status = espq_tensor_new(dtype, tensor->rank, tensor->dim, out, err);
  if (!status) espq_cast(tensor->dtype, dtype, tensor->count, tensor->data, (*out)->data);
  return status;
}

/* --- single elements --- */

static void *element(const espq_tensor *t, int64_t index) {
  return (char *)t->data + (size_t)index * espq_dtype_size(t->dtype);
}

espq_number espq_tensor_get(const espq_tensor *tensor, int64_t index) {
  espq_row b;
  b.f[0] = 0;
  b.i[0] = 0;
  espq_row_load(tensor->dtype, element(tensor, index), 1, 1, &b);
  return b.is_float ? (espq_number){.is_float = true, .f = b.f[0]} : (espq_number){.i = b.i[0]};
}

void espq_tensor_set(espq_tensor *tensor, int64_t index, espq_number x) {
  espq_row b;
  b.is_float = x.is_float;
  b.is_unsigned = false;
  b.f[0] = x.f;
  b.i[0] = x.i;
  espq_row_store(tensor->dtype, 1, &b, element(tensor, index));
}

void espq_tensor_fill(espq_tensor *tensor, espq_number x) {
  if (!tensor->count) return;
  espq_tensor_set(tensor, 0, x);
  size_t size = espq_dtype_size(tensor->dtype);
  unsigned char first[8];
  memcpy(first, tensor->data, size);
  espq_move_fill(size, tensor->count, first, tensor->data);
}

void espq_tensor_read(const espq_tensor *tensor, int64_t from, int64_t n, double *out) {
  espq_row b;
  for (int64_t done = 0; done < n; done += ESPQ_ROW) {
    int64_t m = n - done < ESPQ_ROW ? n - done : ESPQ_ROW;
    espq_row_load(tensor->dtype, element(tensor, from + done), 1, m, &b);
    for (int64_t k = 0; k < m; k++)
      out[done + k] = b.is_float ? b.f[k] : b.is_unsigned ? (double)(uint64_t)b.i[k] : (double)b.i[k];
  }
}

static bool differ(const espq_row *a, const espq_row *b, int64_t k) {
  if (!a->is_float) return a->i[k] != b->i[k];
  return a->f[k] != b->f[k] && !(isnan(a->f[k]) && isnan(b->f[k]));
}

int64_t espq_tensor_compare(const espq_tensor *a, const espq_tensor *b, int64_t *first) {
  espq_row x, y;
  int64_t different = 0;
  for (int64_t from = 0; from < a->count; from += ESPQ_ROW) {
    int64_t n = a->count - from < ESPQ_ROW ? a->count - from : ESPQ_ROW;
    espq_row_load(a->dtype, element(a, from), 1, n, &x);
    espq_row_load(b->dtype, element(b, from), 1, n, &y);
    for (int64_t k = 0; k < n; k++)
      if (differ(&x, &y, k) && different++ == 0) *first = from + k;
  }
  return different;
}
