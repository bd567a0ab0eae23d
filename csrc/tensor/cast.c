#include "tensor/cast.h"

#include <math.h>
#include <string.h>

#include "tensor/move.h"

enum { BLOCK = 512 };

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

bool espq_dtype_is_float(espq_dtype dtype) {
  return dtype == ESPQ_F32 || dtype == ESPQ_F16 || dtype == ESPQ_F64;
}

void espq_dtype_range(espq_dtype dtype, int64_t *low, int64_t *high) {
  int bits = (int)espq_dtype_size(dtype) * 8;
  switch (dtype) {
    case ESPQ_BOOL: *low = 0, *high = 1; return;
    case ESPQ_U8: case ESPQ_U16: case ESPQ_U32: *low = 0, *high = ((int64_t)1 << bits) - 1; return;
    case ESPQ_U64: *low = 0, *high = INT64_MAX; return;
    default: *high = (int64_t)(UINT64_MAX >> 1 >> (64 - bits)), *low = -*high - 1;
  }
}

/* --- blocks: elements on their way from one type to another --- */

typedef struct block {
  bool is_float, is_unsigned; /* is_unsigned: i holds the bits of uint64 */
  double f[BLOCK];
  int64_t i[BLOCK];
} block;

#define LOAD(id, type, field)                                \
  case ESPQ_##id: {                                          \
    const type *p = (const type *)tensor->data + from;       \
    for (int64_t k = 0; k < n; k++) b->field[k] = p[k];      \
  } break;

#define INTEGERS(X) \
  X(U8, uint8_t) X(I8, int8_t) X(U16, uint16_t) X(I16, int16_t) X(I32, int32_t) X(U32, uint32_t) X(I64, int64_t) \
  X(U64, uint64_t)

#define LOAD_INTEGER(id, type) LOAD(id, type, i)

static void load(const espq_tensor *tensor, int64_t from, int64_t n, block *b) {
  b->is_float = espq_dtype_is_float(tensor->dtype);
  b->is_unsigned = tensor->dtype == ESPQ_U64;
  switch (tensor->dtype) {
    INTEGERS(LOAD_INTEGER)
    LOAD(F32, float, f)
    LOAD(F64, double, f)
    case ESPQ_F16:
      for (int64_t k = 0; k < n; k++) b->f[k] = espq_f16_to_f32(((const uint16_t *)tensor->data)[from + k]);
      break;
    case ESPQ_BOOL:
      for (int64_t k = 0; k < n; k++) b->i[k] = ((const uint8_t *)tensor->data)[from + k] != 0;
      break;
    case ESPQ_DTYPE_NONE: break;
  }
}

/* low <= high are exact as doubles or one too large (2^63 - 1), which >= takes care of. */
static int64_t truncated(double x, int64_t low, int64_t high) {
  if (isnan(x)) return 0;
  if (x >= (double)high) return high;
  if (x <= (double)low) return low;
  return (int64_t)x;
}

static uint64_t truncated_u64(double x) {
  if (!(x > 0)) return 0;
  return x >= 0x1p64 ? UINT64_MAX : (uint64_t)x;
}

/* Makes b's elements integers (their low bits are what integer types store). */
static void to_integers(block *b, int64_t n, espq_dtype dtype) {
  int64_t low, high;
  if (!b->is_float) return;
  espq_dtype_range(dtype, &low, &high);
  if (dtype == ESPQ_U64) {
    for (int64_t k = 0; k < n; k++) b->i[k] = (int64_t)truncated_u64(b->f[k]);
  } else {
    for (int64_t k = 0; k < n; k++) b->i[k] = truncated(b->f[k], low, high);
  }
}

static void store_floats(espq_tensor *t, int64_t from, int64_t n, const block *b) {
#define STORE(type, convert, value) \
  for (int64_t k = 0; k < n; k++) ((type *)t->data)[from + k] = (type)convert(value);
#define STORE_ALL(type, convert)                               \
  if (b->is_float) { STORE(type, convert, b->f[k]) }           \
  else if (b->is_unsigned) { STORE(type, convert, (uint64_t)b->i[k]) } \
  else { STORE(type, convert, b->i[k]) }
  if (t->dtype == ESPQ_F32) { STORE_ALL(float, ) }
  else if (t->dtype == ESPQ_F64) { STORE_ALL(double, ) }
  else { STORE_ALL(uint16_t, espq_f16_from_f64) }
#undef STORE_ALL
#undef STORE
}

#define STORE_INTEGER(id, type)                                                        \
  case ESPQ_##id:                                                                      \
    for (int64_t k = 0; k < n; k++) ((type *)tensor->data)[from + k] = (type)b->i[k];  \
    break;

static void store(espq_tensor *tensor, int64_t from, int64_t n, block *b) {
  if (espq_dtype_is_float(tensor->dtype)) {
    store_floats(tensor, from, n, b);
    return;
  }
  if (tensor->dtype == ESPQ_BOOL) {
    for (int64_t k = 0; k < n; k++) ((uint8_t *)tensor->data)[from + k] = b->is_float ? b->f[k] != 0 : b->i[k] != 0;
    return;
  }
  to_integers(b, n, tensor->dtype);
  switch (tensor->dtype) {
    INTEGERS(STORE_INTEGER)
    default: break;
  }
}

espq_status espq_tensor_cast(const espq_tensor *tensor, espq_dtype dtype, espq_tensor **out, espq_error *err) {
  if (tensor->dtype == dtype) return espq_tensor_copy(tensor, out, err);
  espq_status status = espq_tensor_new(dtype, tensor->rank, tensor->dim, out, err);
  if (status) return status;
  block b;
  for (int64_t from = 0; from < tensor->count; from += BLOCK) {
    int64_t n = tensor->count - from < BLOCK ? tensor->count - from : BLOCK;
    load(tensor, from, n, &b);
    store(*out, from, n, &b);
  }
  return ESPQ_OK;
}

/* --- single elements --- */

espq_number espq_tensor_get(const espq_tensor *tensor, int64_t index) {
  block b;
  b.f[0] = 0;
  b.i[0] = 0;
  load(tensor, index, 1, &b);
  return b.is_float ? (espq_number){.is_float = true, .f = b.f[0]} : (espq_number){.i = b.i[0]};
}

void espq_tensor_set(espq_tensor *tensor, int64_t index, espq_number x) {
  block b;
  b.is_float = x.is_float;
  b.is_unsigned = false;
  b.f[0] = x.f;
  b.i[0] = x.i;
  store(tensor, index, 1, &b);
}

void espq_tensor_fill(espq_tensor *tensor, espq_number x) {
  if (!tensor->count) return;
  espq_tensor_set(tensor, 0, x);
  size_t size = espq_dtype_size(tensor->dtype);
  unsigned char element[8];
  memcpy(element, tensor->data, size);
  espq_move_fill(size, tensor->count, element, tensor->data);
}

void espq_tensor_read(const espq_tensor *tensor, int64_t from, int64_t n, double *out) {
  block b;
  for (int64_t done = 0; done < n; done += BLOCK) {
    int64_t m = n - done < BLOCK ? n - done : BLOCK;
    load(tensor, from + done, m, &b);
    for (int64_t k = 0; k < m; k++)
      out[done + k] = b.is_float ? b.f[k] : b.is_unsigned ? (double)(uint64_t)b.i[k] : (double)b.i[k];
  }
}

static bool differ(const block *a, const block *b, int64_t k) {
  if (!a->is_float) return a->i[k] != b->i[k];
  return a->f[k] != b->f[k] && !(isnan(a->f[k]) && isnan(b->f[k]));
}

int64_t espq_tensor_compare(const espq_tensor *a, const espq_tensor *b, int64_t *first) {
  block x, y;
  int64_t different = 0;
  for (int64_t from = 0; from < a->count; from += BLOCK) {
    int64_t n = a->count - from < BLOCK ? a->count - from : BLOCK;
    load(a, from, n, &x);
    load(b, from, n, &y);
    for (int64_t k = 0; k < n; k++)
      if (differ(&x, &y, k) && different++ == 0) *first = from + k;
  }
  return different;
}
