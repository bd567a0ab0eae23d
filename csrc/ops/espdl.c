/* Operators of the ESP-DL v3 runtime that ONNX does not have, or has in another form (domain "esp"): the seams of a
 * quantized graph, functions by table, and the zeros that make a Conv of a ConvTranspose. */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "ops/kernel.h"
#include "sim/convert.h"

/* ---- seams ---- */

typedef enum seam_kind { SEAM_QUANTIZE, SEAM_DEQUANTIZE, SEAM_REQUANTIZE } seam_kind;

typedef struct seam {
  seam_kind kind;
  espq_rounding rounding;
  espq_isa isa;
  int ein, eout;
  espq_sim_format in, out;
  int64_t count; /* stored elements: value 0 stays 0 in padding lanes */
} seam;

static bool is_integer(const espq_port *p) { return p->dtype == ESPQ_I8 || p->dtype == ESPQ_I16; }

static espq_status infer_to(espq_call *call, espq_dtype dtype) {
  call->out[0].dtype = dtype;
  call->out[0].shape = call->in[0].shape;
  return ESPQ_OK;
}

static espq_status infer_integer(espq_call *call, espq_error *err) {
  const espq_quant *q = call->out[0].quant;
  if (!q || (q->bits != 8 && q->bits != 16))
    return espq_call_fail(call, err, ESPQ_EFORMAT, "output '%.100s' has no exponent", call->out[0].name);
  return infer_to(call, q->bits == 8 ? ESPQ_I8 : ESPQ_I16);
}

static espq_status infer_float(espq_call *call, espq_error *err) {
  (void)err;
  return infer_to(call, ESPQ_F32);
}

static espq_status check_seam(const espq_call *call, seam_kind kind, espq_error *err) {
  bool want = kind != SEAM_QUANTIZE;
  if (is_integer(&call->in[0]) != want || (!want && call->in[0].dtype != ESPQ_F32))
    return espq_call_fail(call, err, ESPQ_EUNSUPPORTED, "input '%.100s' is %s, expected %s", call->in[0].name,
                          espq_dtype_name(call->in[0].dtype), want ? "int8 or int16" : "float32");
  return ESPQ_OK;
}

static espq_status prepare_seam(const espq_env *env, espq_call *call, seam_kind kind, espq_prepared *out,
                                espq_error *err) {
  seam s = {.kind = kind, .rounding = espq_call_rounding(call), .isa = env->isa};
  espq_status status = check_seam(call, kind, err);
  if (!status && kind != SEAM_QUANTIZE) status = espq_port_exponent(call, &call->in[0], &s.ein, err);
  if (!status && kind != SEAM_DEQUANTIZE) status = espq_port_exponent(call, &call->out[0], &s.eout, err);
  if (status) return status;
  if (kind != SEAM_REQUANTIZE) call->in[0].layout = ESPQ_PLAIN;
  call->out[0].layout = call->in[0].layout;
  s.count = espq_port_stored(&call->in[0]);
  s.in = espq_port_format(&call->in[0]);
  s.out = espq_port_format(&call->out[0]);
  seam *state = espq_alloc(sizeof *state);
  if (!state) return espq_fail_memory(err);
  *state = s;
  out->state = state;
  return ESPQ_OK;
}

static espq_status prepare_quantize(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  return prepare_seam(env, call, SEAM_QUANTIZE, out, err);
}

static espq_status prepare_dequantize(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  return prepare_seam(env, call, SEAM_DEQUANTIZE, out, err);
}

static espq_status prepare_requantize(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  return prepare_seam(env, call, SEAM_REQUANTIZE, out, err);
}

static espq_status run_seam(const espq_run_args *args, espq_error *err) {
  (void)err;
  const seam *s = args->state;
  const void *x = args->in[0];
  void *y = args->out[0];
  switch (s->kind) {
    case SEAM_QUANTIZE: espq_sim_quantize_by(s->rounding, s->count, x, s->eout, s->out, y, s->isa); break;
    case SEAM_DEQUANTIZE: espq_sim_dequantize(s->count, s->in, x, s->ein, y, s->isa); break;
    case SEAM_REQUANTIZE:
      espq_sim_requantize(s->rounding, s->count, s->in, x, s->ein, s->out, y, s->eout, s->isa);
      break;
  }
  return ESPQ_OK;
}

static const espq_kernel quantize_v3 = {prepare_quantize, run_seam, NULL};
static const espq_kernel dequantize_v3 = {prepare_dequantize, run_seam, NULL};
static const espq_kernel requantize_v3 = {prepare_requantize, run_seam, NULL};

/* ---- tables ---- */

typedef struct table {
  espq_rounding rounding;
  espq_isa isa;
  espq_sim_format format;
  int64_t count;
  int32_t entries, *values;
} table;

static void free_table(void *state) {
  table *s = state;
  if (s) espq_free(s->values);
  espq_free(s);
}

/* 256 entries for 8 bits; one more than a power of two up to 65536 for 16. */
static bool is_table(const espq_port *x, const espq_tensor *t) {
  if (!t || t->dtype != x->dtype) return false;
  if (t->dtype == ESPQ_I8) return t->count == 256;
  int64_t steps = t->count - 1;
  return steps >= 1 && steps <= 65536 && (steps & (steps - 1)) == 0;
}

static espq_status infer_table(espq_call *call, espq_error *err) {
  if (!is_integer(&call->in[0]) && call->in[0].dtype != ESPQ_DTYPE_NONE)
    return espq_call_fail(call, err, ESPQ_EUNSUPPORTED, "input '%.100s' is %s, expected int8 or int16",
                          call->in[0].name, espq_dtype_name(call->in[0].dtype));
  if (call->in[0].dtype != ESPQ_DTYPE_NONE && !is_table(&call->in[0], call->in[1].constant))
    return espq_call_fail(call, err, ESPQ_EFORMAT,
                          "table '%.100s' must be a constant of the input's type with 256 entries (int8) or 2^n + 1 "
                          "(int16)",
                          call->in[1].name);
  return infer_to(call, call->in[0].dtype);
}

/* A table may give 0 another value, so there may be no padding lanes. */
static espq_status prepare_table(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  espq_port *x = &call->in[0];
  table *s = espq_calloc(1, sizeof *s);
  espq_status status = s ? ESPQ_OK : espq_fail_memory(err);
  if (!status) status = espq_tensor_int32(call->in[1].constant, &s->values, err);
  if (status) {
    free_table(s);
    return status;
  }
  if (espq_port_stored(x) != espq_shape_elements(&x->shape)) x->layout = ESPQ_PLAIN;
  call->out[0].layout = x->layout;
  s->rounding = espq_call_rounding(call);
  s->isa = env->isa;
  s->format = espq_port_format(x);
  s->count = espq_port_stored(x);
  s->entries = (int32_t)call->in[1].constant->count;
  out->state = s;
  out->in_place = true;
  return ESPQ_OK;
}

static espq_status run_table(const espq_run_args *args, espq_error *err) {
  (void)err;
  const table *s = args->state;
  espq_sim_table(s->rounding, s->count, s->format, args->in[0], s->entries, s->values, args->out[0], s->isa);
  return ESPQ_OK;
}

static const espq_kernel table_v3 = {prepare_table, run_table, free_table};

/* ---- InsertZeros: stride - 1 zeros between neighbours along each spatial axis, output_padding behind the last ---- */

typedef struct zeros {
  int64_t planes, ih, iw, oh, ow, sh, sw;
  size_t size;
} zeros;

static espq_status read_zeros(const espq_call *call, espq_shape *y, int64_t *stride, espq_error *err) {
  const espq_shape *x = &call->in[0].shape;
  int64_t more[2] = {0, 0};
  int axes = x->rank - 2, n, m;
  if (axes < 1 || axes > 2)
    return espq_call_fail(call, err, ESPQ_EFORMAT, "input '%.100s' has rank %d, expected 3 or 4", call->in[0].name,
                          x->rank);
  espq_status status = espq_call_ints(call, "stride", stride, 2, &n, err);
  if (!status) status = espq_call_ints(call, "output_padding", more, 2, &m, err);
  if (status) return status;
  if (n != axes || (m != 0 && m != axes))
    return espq_call_fail(call, err, ESPQ_EFORMAT, "%d strides and %d output_paddings for %d axes", n, m, axes);
  *y = *x;
  for (int i = 0; i < axes; i++) {
    if (stride[i] < 1 || stride[i] > 1 << 20 || more[i] < 0 || more[i] > 1 << 20)
      return espq_call_fail(call, err, ESPQ_EFORMAT, "stride %" PRId64 ", output_padding %" PRId64, stride[i], more[i]);
    int64_t *d = &y->dim[i + 2];
    if (*d > INT32_MAX) return espq_call_fail(call, err, ESPQ_ELIMIT, "axis %d is too long", i + 2);
    if (*d > 0) *d = *d + (stride[i] - 1) * (*d - 1) + more[i];
  }
  return ESPQ_OK;
}

static espq_status infer_zeros(espq_call *call, espq_error *err) {
  espq_shape y;
  int64_t stride[2];
  espq_status status = read_zeros(call, &y, stride, err);
  return status ? status : espq_call_result(call, &y);
}

static espq_status prepare_zeros(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  espq_shape y;
  int64_t stride[2];
  espq_status status = read_zeros(call, &y, stride, err);
  if (status) return status;
  const espq_shape *x = &call->in[0].shape;
  zeros *s = espq_alloc(sizeof *s);
  if (!s) return espq_fail_memory(err);
  bool flat = x->rank == 3;
  *s = (zeros){.planes = x->dim[0] * x->dim[1],
               .ih = flat ? 1 : x->dim[2],
               .iw = x->dim[x->rank - 1],
               .oh = flat ? 1 : y.dim[2],
               .ow = y.dim[y.rank - 1],
               .sh = flat ? 1 : stride[0],
               .sw = stride[flat ? 0 : 1],
               .size = espq_dtype_size(call->in[0].dtype)};
  call->in[0].layout = call->out[0].layout = ESPQ_PLAIN;
  out->state = s;
  return ESPQ_OK;
}

static espq_status run_zeros(const espq_run_args *args, espq_error *err) {
  (void)err;
  const zeros *s = args->state;
  const char *x = args->in[0];
  char *y = args->out[0];
  memset(y, 0, (size_t)(s->planes * s->oh * s->ow) * s->size);
  for (int64_t p = 0; p < s->planes; p++, y += (size_t)(s->oh * s->ow) * s->size)
    for (int64_t r = 0; r < s->ih; r++)
      for (int64_t c = 0; c < s->iw; c++, x += s->size)
        memcpy(y + (size_t)(r * s->sh * s->ow + c * s->sw) * s->size, x, s->size);
  return ESPQ_OK;
}

static const espq_kernel zeros_any = {prepare_zeros, run_zeros, NULL};

/* ---- rows ---- */

static const espq_attr_spec no_attrs[] = {{0}};
static const espq_attr_spec zeros_attrs[] = {
    {"stride", ESPQ_ATTR_INTS, true, 0, NULL}, {"output_padding", ESPQ_ATTR_INTS, false, 0, NULL}, {0}};

/* What a table was made of: the attributes of all operators that can become one. */
static const espq_attr_spec table_attrs[] = {{"original_op_type", ESPQ_ATTR_STRING, true, 0, NULL},
                                             {"alpha", ESPQ_ATTR_FLOAT, false, 0, NULL},
                                             {"beta", ESPQ_ATTR_FLOAT, false, 0, NULL},
                                             {"gamma", ESPQ_ATTR_FLOAT, false, 0, NULL},
                                             {"approximate", ESPQ_ATTR_STRING, false, 0, "none"},
                                             {"int16_lut_step", ESPQ_ATTR_INT, false, 32, NULL},
                                             {"min", ESPQ_ATTR_INT, false, 0, NULL}, /* Clip's and PRelu's integers */
                                             {"max", ESPQ_ATTR_INT, false, 0, NULL},
                                             {"slope", ESPQ_ATTR_INT, false, 0, NULL},
                                             {"slope_exponent", ESPQ_ATTR_INT, false, 0, NULL},
                                             {0}};

#define ESP_ROW(op, inputs, list, rule, floats, integers) \
  const espq_op espq_op_Esp##op = {                       \
      .name = #op,                                        \
      .domain = "esp",                                    \
      .since = 1,                                         \
      .min_in = inputs,                                   \
      .max_in = inputs,                                   \
      .min_out = 1,                                       \
      .max_out = 1,                                       \
      .attrs = list,                                      \
      .infer = rule,                                      \
      .f32 = floats,                                      \
      .v3 = integers,                                     \
      .weight = -1,                                       \
      .bias = -1,                                         \
  }

ESP_ROW(QuantizeLinear, 1, no_attrs, infer_integer, NULL, &quantize_v3);
ESP_ROW(DequantizeLinear, 1, no_attrs, infer_float, NULL, &dequantize_v3);
ESP_ROW(RequantizeLinear, 1, no_attrs, infer_integer, NULL, &requantize_v3);
ESP_ROW(LUT, 2, table_attrs, infer_table, NULL, &table_v3);
ESP_ROW(InsertZeros, 1, zeros_attrs, infer_zeros, &zeros_any, &zeros_any);
