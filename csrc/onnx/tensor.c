/* TensorProto <-> tensor. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "onnx/external.h"
#include "onnx/proto.h"

/* Types of TensorProto that become larger ones on the way. */
enum { BFLOAT16 = 16, UINT4 = 21, INT4 = 22 };

const char *espq_onnx_dtype_name(int32_t code) {
  static const char *const others[] = {
      [0] = "undefined",     [8] = "string",          [14] = "complex64",  [15] = "complex128",     [16] = "bfloat16",
      [17] = "float8e4m3fn", [18] = "float8e4m3fnuz", [19] = "float8e5m2", [20] = "float8e5m2fnuz", [21] = "uint4",
      [22] = "int4",         [23] = "float4e2m1",     [24] = "float8e8m0", [25] = "uint2",          [26] = "int2",
      [27] = "float6e2m3",   [28] = "float6e3m2"};
  espq_dtype dtype = espq_dtype_from_onnx(code);
  if (dtype != ESPQ_DTYPE_NONE) return espq_dtype_name(dtype);
  if (code < 0 || code >= (int32_t)(sizeof others / sizeof *others) || !others[code]) return "unknown type";
  return others[code];
}

/* --- typed data: which field holds which type --- */

typedef struct field {
  const char *name;
  size_t count;
  const void *data;
} field;

enum { FLOATS, INT32S, INT64S, DOUBLES, UINT64S, STRINGS, FIELDS };

static void list_fields(const Onnx__TensorProto *p, field out[FIELDS]) {
  out[FLOATS] = (field){"float_data", p->n_float_data, p->float_data};
  out[INT32S] = (field){"int32_data", p->n_int32_data, p->int32_data};
  out[INT64S] = (field){"int64_data", p->n_int64_data, p->int64_data};
  out[DOUBLES] = (field){"double_data", p->n_double_data, p->double_data};
  out[UINT64S] = (field){"uint64_data", p->n_uint64_data, p->uint64_data};
  out[STRINGS] = (field){"string_data", p->n_string_data, p->string_data};
}

static int field_of(espq_dtype dtype) {
  switch (dtype) {
    case ESPQ_F32: return FLOATS;
    case ESPQ_F64: return DOUBLES;
    case ESPQ_I64: return INT64S;
    case ESPQ_U32:
    case ESPQ_U64: return UINT64S;
    default: return INT32S;
  }
}

/* Writes `count` values of the field as elements of the tensor; each must fit. */
static espq_status narrow(espq_tensor *t, const field *f, int64_t lo, int64_t hi, espq_error *err) {
  const int32_t *from = f->data;
  for (size_t i = 0; i < f->count; i++) {
    int64_t v = t->dtype == ESPQ_BOOL ? from[i] != 0 : from[i];
    if (v < lo || v > hi)
      return espq_fail(err, ESPQ_EFORMAT, "element %zu of %s is %" PRId64 ", which is no %s", i, f->name, v,
                       espq_dtype_name(t->dtype));
    if (espq_dtype_size(t->dtype) == 1) ((uint8_t *)t->data)[i] = (uint8_t)v;
    else ((uint16_t *)t->data)[i] = (uint16_t)v;
  }
  return ESPQ_OK;
}

static espq_status narrow_u32(espq_tensor *t, const field *f, espq_error *err) {
  const uint64_t *from = f->data;
  for (size_t i = 0; i < f->count; i++) {
    if (from[i] > UINT32_MAX)
      return espq_fail(err, ESPQ_EFORMAT, "element %zu of %s is %" PRIu64 ", which is no uint32", i, f->name, from[i]);
    ((uint32_t *)t->data)[i] = (uint32_t)from[i];
  }
  return ESPQ_OK;
}

static espq_status fill(espq_tensor *t, const field *f, espq_error *err) {
  switch (t->dtype) {
    case ESPQ_U8: return narrow(t, f, 0, UINT8_MAX, err);
    case ESPQ_I8: return narrow(t, f, INT8_MIN, INT8_MAX, err);
    case ESPQ_U16:
    case ESPQ_F16: return narrow(t, f, 0, UINT16_MAX, err);
    case ESPQ_I16: return narrow(t, f, INT16_MIN, INT16_MAX, err);
    case ESPQ_BOOL: return narrow(t, f, 0, 1, err);
    case ESPQ_U32: return narrow_u32(t, f, err);
    default: memcpy(t->data, f->data, espq_tensor_bytes(t)); return ESPQ_OK;
  }
}

static espq_status decode_typed(const Onnx__TensorProto *p, espq_dtype dtype, espq_tensor **out, espq_error *err) {
  field fields[FIELDS];
  int64_t count;
  int rank = (int)p->n_dims, wanted = field_of(dtype);
  espq_status status = espq_shape_count(rank, p->dims, &count, err);
  if (status) return status;
  list_fields(p, fields);
  if (fields[wanted].count != (uint64_t)count) {
    char shape[160];
    return espq_fail(err, ESPQ_EFORMAT, "%s of shape %s needs %" PRId64 " elements in %s (or raw_data), got %zu",
                     espq_dtype_name(dtype), espq_shape_text(rank, p->dims, shape, sizeof shape), count,
                     fields[wanted].name, fields[wanted].count);
  }
  espq_tensor *t;
  status = espq_tensor_new(dtype, rank, p->dims, &t, err);
  if (status) return status;
  if (count) status = fill(t, &fields[wanted], err);
  if (status) espq_tensor_release(t);
  else *out = t;
  return status;
}

/* --- the three sources --- */

static espq_status decode_external(const Onnx__TensorProto *p, espq_onnx_source *source, espq_dtype dtype,
                                   espq_tensor **out, espq_error *err) {
  espq_onnx_external x = {0};
  int64_t count;
  if (!source->dir) return espq_fail(err, ESPQ_EUNSUPPORTED, "external data of a model that was not read from a file");
  for (size_t i = 0; i < p->n_external_data; i++) {
    const Onnx__StringStringEntryProto *e = p->external_data[i];
    espq_status status = espq_onnx_external_set(&x, espq_onnx_text(e->key), espq_onnx_text(e->value), err);
    if (status) return status;
  }
  espq_status status = espq_shape_count((int)p->n_dims, p->dims, &count, err);
  if (status) return status;
  size_t bytes = (size_t)count * espq_dtype_size(dtype);
  if (bytes > source->external_left)
    return espq_fail(err, ESPQ_ELIMIT, "external data: %zu bytes more than the limit for all external data together",
                     bytes - source->external_left);
  status = espq_onnx_external_load(&x, source->dir, dtype, (int)p->n_dims, p->dims, &source->sums, out, err);
  if (status == ESPQ_OK) source->external_left -= bytes;
  return status;
}

/* Any byte but 0 is true, and stored as 1. */
static void normalize_bool(espq_tensor *t) {
  uint8_t *b = t->data;
  if (t->dtype != ESPQ_BOOL) return;
  for (int64_t i = 0; i < t->count; i++) b[i] = b[i] != 0;
}

/* Data in a field where readers of this type do not look, or in two fields at once, is a writer's error. */
static espq_status check_fields(const Onnx__TensorProto *p, espq_dtype dtype, bool external, espq_error *err) {
  field fields[FIELDS];
  list_fields(p, fields);
  if (external && p->has_raw_data && p->raw_data.len)
    return espq_fail(err, ESPQ_EFORMAT, "has both raw_data and external data");
  for (int i = 0; i < FIELDS; i++) {
    if (!fields[i].count) continue;
    if (external || p->has_raw_data)
      return espq_fail(err, ESPQ_EFORMAT, "has both %s and %s", fields[i].name,
                       external ? "external data" : "raw_data");
    if (i != field_of(dtype))
      return espq_fail(err, ESPQ_EFORMAT, "has %s, but %s elements belong into %s", fields[i].name,
                       espq_onnx_dtype_name(p->data_type), fields[field_of(dtype)].name);
  }
  return ESPQ_OK;
}

static espq_status decode_as(const Onnx__TensorProto *p, espq_onnx_source *source, espq_dtype dtype, espq_tensor **out,
                             espq_error *err) {
  bool external = p->has_data_location && p->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
  espq_status status = check_fields(p, dtype, external, err);
  if (status) return status;
  if (external) status = decode_external(p, source, dtype, out, err);
  else if (source->payload.size)
    status = espq_skeleton_tensor(source->skeleton, source->payload, dtype, (int)p->n_dims, p->dims, out, err);
  else if (p->has_raw_data)
    status = espq_tensor_from_bytes(dtype, (int)p->n_dims, p->dims, p->raw_data.data, p->raw_data.len, out, err);
  else status = decode_typed(p, dtype, out, err);
  if (status == ESPQ_OK) normalize_bool(*out);
  return status;
}

/* bfloat16 is the upper half of a float32. */
static espq_status widen_bfloat16(espq_tensor *half, espq_tensor **out, espq_error *err) {
  espq_status status = espq_tensor_new(ESPQ_F32, half->rank, half->dim, out, err);
  if (status == ESPQ_OK)
    for (int64_t i = 0; i < half->count; i++)
      ((uint32_t *)(*out)->data)[i] = (uint32_t)((const uint16_t *)half->data)[i] << 16;
  espq_tensor_release(half);
  return status;
}

/* --- 4-bit integers: two in a byte, the first in the low half --- */

/* The packed bytes, from raw data or one in each entry of int32_data; NULL: neither has as many as `count` needs. */
static const uint8_t *packed_bytes(const Onnx__TensorProto *p, size_t count, uint8_t **copy) {
  size_t bytes = (count + 1) / 2;
  *copy = NULL;
  if (p->has_raw_data) return p->raw_data.len == bytes ? p->raw_data.data : NULL;
  if (p->n_int32_data != bytes) return NULL;
  *copy = espq_alloc(bytes + 1);
  for (size_t i = 0; *copy && i < bytes; i++) (*copy)[i] = (uint8_t)p->int32_data[i];
  return *copy;
}

static espq_status decode_4bit(const Onnx__TensorProto *p, espq_onnx_source *source, espq_tensor **out,
                               espq_error *err) {
  bool sign = p->data_type == INT4;
  int64_t count;
  uint8_t *copy;
  espq_status status = espq_shape_count((int)p->n_dims, p->dims, &count, err);
  if (status) return status;
  if (p->has_data_location && p->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL)
    return espq_fail(err, ESPQ_EUNSUPPORTED, "external data of 4-bit integers");
  const uint8_t *bytes = packed_bytes(p, (size_t)count, &copy);
  if (!bytes && count)
    return espq_fail(err, ESPQ_EFORMAT, "%" PRId64 " 4-bit integers need %" PRId64 " bytes", count, (count + 1) / 2);
  status = espq_tensor_new(sign ? ESPQ_I8 : ESPQ_U8, (int)p->n_dims, p->dims, out, err);
  for (int64_t i = 0; i < count && !status; i++) {
    int x = bytes[i / 2] >> (i % 2 ? 4 : 0) & 15;
    ((uint8_t *)(*out)->data)[i] = (uint8_t)(sign && x > 7 ? x - 16 : x);
  }
  espq_free(copy);
  espq_onnx_note(source->notes, "tensor '%.100s': 4-bit integers are read as 8-bit ones", espq_onnx_text(p->name));
  return status;
}

espq_dtype espq_onnx_dtype(int32_t code) {
  if (code == BFLOAT16) return ESPQ_F32;
  if (code == INT4 || code == UINT4) return code == INT4 ? ESPQ_I8 : ESPQ_U8;
  return espq_dtype_from_onnx(code);
}

espq_status espq_onnx_tensor_decode(const Onnx__TensorProto *p, espq_onnx_source *source, espq_tensor **out,
                                    espq_error *err) {
  espq_dtype dtype = p->data_type == BFLOAT16 ? ESPQ_U16 : espq_onnx_dtype(p->data_type);
  if (dtype == ESPQ_DTYPE_NONE && p->data_type >= 1 && p->data_type <= 28)
    return espq_fail(err, ESPQ_EUNSUPPORTED, "elements of type %s are not supported",
                     espq_onnx_dtype_name(p->data_type));
  if (dtype == ESPQ_DTYPE_NONE)
    return espq_fail(err, ESPQ_EFORMAT, "data_type is %" PRId32 ", expected a type of ONNX (1 to 28)", p->data_type);
  if (p->segment) return espq_fail(err, ESPQ_EUNSUPPORTED, "a tensor in segments is not supported");
  if (p->n_dims > ESPQ_MAX_RANK)
    return espq_fail(err, ESPQ_ELIMIT, "%zu dimensions, the limit is %d", p->n_dims, ESPQ_MAX_RANK);
  if (p->data_type == INT4 || p->data_type == UINT4) return decode_4bit(p, source, out, err);
  espq_status status = decode_as(p, source, dtype, out, err);
  if (status || p->data_type != BFLOAT16) return status;
  espq_onnx_note(source->notes, "tensor '%.100s': bfloat16 is read as float32", espq_onnx_text(p->name));
  return widen_bfloat16(*out, out, err);
}

void espq_onnx_tensor_encode(const espq_tensor *tensor, const char *name, Onnx__TensorProto *proto) {
  onnx__tensor_proto__init(proto);
  proto->name = (char *)name;
  proto->n_dims = (size_t)tensor->rank;
  proto->dims = (int64_t *)tensor->dim;
  proto->has_data_type = 1;
  proto->data_type = espq_dtype_onnx(tensor->dtype);
  proto->has_raw_data = 1;
  proto->raw_data = (ProtobufCBinaryData){espq_tensor_bytes(tensor), tensor->data};
}
