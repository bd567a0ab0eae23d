#include "tensor/row.h"

#include <math.h>

#define LOAD(id, type, field)                                  \
  case ESPQ_##id: {                                            \
    const type *p = data;                                      \
    for (int64_t k = 0; k < n; k++) b->field[k] = p[k * step]; \
  } break;

#define INTEGERS(X) \
  X(U8, uint8_t)    \
  X(I8, int8_t) X(U16, uint16_t) X(I16, int16_t) X(I32, int32_t) X(U32, uint32_t) X(I64, int64_t) X(U64, uint64_t)

#define LOAD_INTEGER(id, type) LOAD(id, type, i)

void espq_row_load(espq_dtype dtype, const void *data, int64_t step, int64_t n, espq_row *b) {
  b->is_float = espq_dtype_is_float(dtype);
  b->is_unsigned = dtype == ESPQ_U64;
  switch (dtype) {
    INTEGERS(LOAD_INTEGER)
    LOAD(F32, float, f)
    LOAD(F64, double, f)
    case ESPQ_F16:
      for (int64_t k = 0; k < n; k++) b->f[k] = espq_f16_to_f32(((const uint16_t *)data)[k * step]);
      break;
    case ESPQ_BOOL:
      for (int64_t k = 0; k < n; k++) b->i[k] = ((const uint8_t *)data)[k * step] != 0;
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
static void to_integers(espq_row *b, int64_t n, espq_dtype dtype) {
  int64_t low, high;
  if (!b->is_float) return;
  espq_dtype_range(dtype, &low, &high);
  if (dtype == ESPQ_U64) {
    for (int64_t k = 0; k < n; k++) b->i[k] = (int64_t)truncated_u64(b->f[k]);
  } else {
    for (int64_t k = 0; k < n; k++) b->i[k] = truncated(b->f[k], low, high);
  }
}

static void store_floats(espq_dtype dtype, int64_t n, const espq_row *b, void *data) {
#define STORE(type, convert, value) \
  for (int64_t k = 0; k < n; k++) ((type *)data)[k] = (type)convert(value);
#define STORE_ALL(type, convert)            \
  if (b->is_float) {                        \
    STORE(type, convert, b->f[k])           \
  } else if (b->is_unsigned) {              \
    STORE(type, convert, (uint64_t)b->i[k]) \
  } else {                                  \
    STORE(type, convert, b->i[k])           \
  }
  if (dtype == ESPQ_F32) {
    STORE_ALL(float, )
  } else if (dtype == ESPQ_F64) {
    STORE_ALL(double, )
  } else {
    STORE_ALL(uint16_t, espq_f16_from_f64)
  }
#undef STORE_ALL
#undef STORE
}

#define STORE_INTEGER(id, type)                                        \
  case ESPQ_##id:                                                      \
    for (int64_t k = 0; k < n; k++) ((type *)data)[k] = (type)b->i[k]; \
    break;

void espq_row_store(espq_dtype dtype, int64_t n, espq_row *b, void *data) {
  if (espq_dtype_is_float(dtype)) {
    store_floats(dtype, n, b, data);
    return;
  }
  if (dtype == ESPQ_BOOL) {
    for (int64_t k = 0; k < n; k++) ((uint8_t *)data)[k] = b->is_float ? b->f[k] != 0 : b->i[k] != 0;
    return;
  }
  to_integers(b, n, dtype);
  switch (dtype) {
    INTEGERS(STORE_INTEGER)
    default: break;
  }
}
