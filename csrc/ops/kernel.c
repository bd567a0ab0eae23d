/* What the kernels of several families share. */
#include "ops/kernel.h"

#include <stdio.h>

#include "base/alloc.h"

espq_image espq_image_of(const espq_shape *shape) {
  espq_image x = {1, 1, 1};
  for (int i = 0; i < shape->rank; i++) {
    if (i == 0) x.n = shape->dim[0];
    else if (i == 1) x.c = shape->dim[1];
    else x.pixels *= shape->dim[i];
  }
  return x;
}

int64_t espq_port_stored(const espq_port *port) {
  if (port->layout == ESPQ_PLAIN) return espq_shape_elements(&port->shape);
  espq_image x = espq_image_of(&port->shape);
  return x.n * espq_layout_channels(port->layout, x.c) * x.pixels;
}

espq_sim_format espq_port_format(const espq_port *port) {
  return espq_sim_format_of(port->dtype == ESPQ_I16 ? 16 : 8, port->layout);
}

espq_status espq_port_number(const espq_call *call, int input, espq_error *err) {
  if (!espq_port_has(call, input)) return ESPQ_OK;
  const espq_port *p = &call->in[input];
  bool integer = p->dtype == ESPQ_I8 || p->dtype == ESPQ_I16 || p->dtype == ESPQ_I32 ||
                 (p->dtype == ESPQ_I64 && call->node->column == ESPQ_COLUMN_V3); /* a bias beside 16 bits */
  if (p->dtype == ESPQ_F32 || p->dtype == ESPQ_DTYPE_NONE) return ESPQ_OK;
  if (integer && call->node->column != ESPQ_COLUMN_F32) return ESPQ_OK;
  return espq_call_fail(call, err, ESPQ_EUNSUPPORTED,
                        "input %d '%.100s' has type %s, expected float32; export the model in float32", input, p->name,
                        espq_dtype_name(p->dtype));
}

espq_status espq_port_type(const espq_call *call, int input, unsigned types, espq_error *err) {
  if (!espq_port_has(call, input)) return ESPQ_OK;
  const espq_port *p = &call->in[input];
  if (p->dtype == ESPQ_DTYPE_NONE || types & ESPQ_TYPES(p->dtype)) return ESPQ_OK;
  char expected[256] = "";
  size_t used = 0;
  for (int t = 0; t < ESPQ_DTYPE_COUNT && used < sizeof expected; t++)
    if (types & ESPQ_TYPES(t))
      used += (size_t)snprintf(expected + used, sizeof expected - used, "%s%s", used ? ", " : "", espq_dtype_name(t));
  return espq_call_fail(call, err, ESPQ_EUNSUPPORTED, "input %d '%.100s' has type %s, expected %s", input, p->name,
                        espq_dtype_name(p->dtype), expected);
}

espq_status espq_call_one_type(const espq_call *call, espq_error *err) {
  for (int i = 1; i < call->nin; i++) {
    espq_dtype a = call->in[0].dtype, b = call->in[i].dtype;
    if (call->in[i].present && a != b && a != ESPQ_DTYPE_NONE && b != ESPQ_DTYPE_NONE)
      return espq_call_fail(call, err, ESPQ_EFORMAT, "inputs '%.100s' and '%.100s' are %s and %s, expected one type",
                            call->in[0].name, call->in[i].name, espq_dtype_name(a), espq_dtype_name(b));
  }
  return ESPQ_OK;
}

void espq_broadcast_steps(const espq_shape *in, const espq_shape *out, int64_t *step) {
  int64_t next = 1;
  for (int i = out->rank - 1; i >= 0; i--) {
    int own = i - (out->rank - in->rank);
    int64_t d = own < 0 ? 1 : in->dim[own];
    step[i] = d == 1 ? 0 : next;
    next *= d;
  }
}

espq_status espq_call_result(espq_call *call, const espq_shape *shape) {
  call->out[0].dtype = call->in[0].dtype;
  call->out[0].shape = *shape;
  return ESPQ_OK;
}

espq_status espq_infer_elementwise(espq_call *call, espq_error *err) {
  espq_status status = espq_port_number(call, 0, err);
  return status ? status : espq_call_result(call, &call->in[0].shape);
}

espq_status espq_port_weights(const espq_call *call, int input, const float **data, espq_error *err) {
  *data = NULL;
  if (!espq_port_has(call, input)) return ESPQ_OK;
  const espq_port *p = &call->in[input];
  if (!p->constant)
    return espq_call_fail(call, err, ESPQ_EUNSUPPORTED,
                          "input %d '%.100s' is computed at run time, expected a constant", input, p->name);
  if (p->constant->dtype != ESPQ_F32)
    return espq_call_fail(call, err, ESPQ_EFORMAT, "input %d '%.100s' has type %s, expected float32", input, p->name,
                          espq_dtype_name(p->constant->dtype));
  *data = p->constant->data;
  return ESPQ_OK;
}

espq_status espq_call_prefix(const espq_call *call, espq_error *err) {
  char label[256];
  return espq_error_prefix(err, "%s", espq_node_label(call->graph, call->node, label, sizeof label));
}

/* ---- integer column ---- */

bool espq_exponent_is_usable(int32_t exponent) { return exponent < INT32_MAX - 1; }

espq_status espq_port_exponent(const espq_call *call, const espq_port *port, int *out, espq_error *err) {
  *out = 0;
  if (!port->quant || !port->quant->bits || port->quant->count != 1)
    return espq_call_fail(call, err, ESPQ_EUNSUPPORTED, "tensor '%.100s' has %d exponents, expected one", port->name,
                          port->quant ? port->quant->count : 0);
  if (!espq_exponent_is_usable(port->quant->exponent[0]))
    return espq_call_fail(call, err, ESPQ_EUNSUPPORTED,
                          "tensor '%.100s' has no finite scale: NaN or infinity was met in calibration", port->name);
  *out = port->quant->exponent[0];
  return ESPQ_OK;
}

espq_rounding espq_call_rounding(const espq_call *call) {
  switch (call->graph->arithmetic) {
    case ESPQ_ARITHMETIC_V3_HALF_UP: return ESPQ_ROUND_HALF_UP;
    case ESPQ_ARITHMETIC_V3_HALF_EVEN: return ESPQ_ROUND_HALF_EVEN;
    default: return ESPQ_ROUND_FLOOR;
  }
}

espq_status espq_call_same_quant(const espq_call *call, espq_error *err) {
  const espq_port *in = &call->in[0], *out = &call->out[0];
  int ein, eout;
  espq_status status = espq_port_exponent(call, in, &ein, err);
  if (!status) status = espq_port_exponent(call, out, &eout, err);
  if (status) return status;
  if (ein == eout && in->dtype == out->dtype) return ESPQ_OK;
  return espq_call_fail(call, err, ESPQ_EUNSUPPORTED,
                        "input '%.100s' (%s, exponent %d) and output '%.100s' (%s, exponent %d) must be "
                        "quantized alike",
                        in->name, espq_dtype_name(in->dtype), ein, out->name, espq_dtype_name(out->dtype), eout);
}

espq_status espq_tensor_int32(const espq_tensor *tensor, int32_t **out, espq_error *err) {
  *out = NULL;
  if (tensor->dtype != ESPQ_I8 && tensor->dtype != ESPQ_I16 && tensor->dtype != ESPQ_I32)
    return espq_fail(err, ESPQ_EFORMAT, "a constant of type %s, expected int8, int16 or int32",
                     espq_dtype_name(tensor->dtype));
  int32_t *ints = espq_alloc(((size_t)tensor->count + 1) * sizeof *ints);
  if (!ints) return espq_fail_memory(err);
  for (int64_t i = 0; i < tensor->count; i++)
    ints[i] = tensor->dtype == ESPQ_I8    ? ((const int8_t *)tensor->data)[i]
              : tensor->dtype == ESPQ_I16 ? ((const int16_t *)tensor->data)[i]
                                          : ((const int32_t *)tensor->data)[i];
  *out = ints;
  return ESPQ_OK;
}

const char *espq_reason(char *text, size_t size, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, size, fmt, ap);
  va_end(ap);
  return text;
}

const char *espq_computed_why_not(const espq_call *call, char *text, size_t size) {
  for (int i = 1; i < call->nin; i++)
    if (espq_port_has(call, i) && !call->in[i].constant)
      return espq_reason(
          text, size,
          "its input %d '%.100s' is computed at run time, only a constant can be quantized; simplify the "
          "model so that it is one",
          i, call->in[i].name);
  return NULL;
}
