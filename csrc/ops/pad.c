/* Pad: attributes before opset 11, then inputs; axes since 18, wrap since 19. */
#include <inttypes.h>
#include <string.h>

#include "ops/move.h"
#include "sim/convert.h"

static espq_status read_pad_mode(const espq_call *call, espq_pad_mode *mode, espq_error *err) {
  static const char *const names[] = {"constant", "edge", "reflect", "wrap"};
  const char *text = espq_node_string(call->node, "mode", "constant");
  int last = call->opset >= 19 ? ESPQ_PAD_WRAP : ESPQ_PAD_REFLECT;
  for (int i = ESPQ_PAD_CONSTANT; i <= last; i++)
    if (strcmp(text, names[i]) == 0) {
      *mode = (espq_pad_mode)i;
      return ESPQ_OK;
    }
  return espq_call_fail(call, err, ESPQ_EFORMAT,
                        "mode is '%.40s', expected constant, edge or reflect, since opset 19 also wrap", text);
}

static espq_status check_pad_form(const espq_call *call, espq_error *err) {
  bool attributes = espq_node_attr(call->node, "pads") || espq_node_attr(call->node, "value");
  if (call->opset >= 11 && (attributes || !espq_port_has(call, 1)))
    return espq_call_fail(call, err, ESPQ_EFORMAT,
                          "pads and value are inputs since opset 11 (this is %" PRId64 "), not attributes",
                          call->opset);
  if (call->opset < 11 && call->nin > 1)
    return espq_call_fail(call, err, ESPQ_EFORMAT, "%d inputs, expected 1 before opset 11 (this is %" PRId64 ")",
                          call->nin, call->opset);
  return ESPQ_OK;
}

/* Numbers of pixels to add (or, below 0, to cut) before and after every axis. */
static espq_status read_pads(const espq_call *call, int64_t *before, int64_t *after, espq_error *err) {
  int64_t pads[2 * ESPQ_MAX_RANK];
  int n, axis[ESPQ_MAX_RANK];
  espq_status status = check_pad_form(call, err);
  if (status) return status;
  status = call->opset >= 11 ? espq_port_ints(call, 1, pads, 2 * ESPQ_MAX_RANK, &n, err)
                             : espq_call_ints(call, "pads", pads, 2 * ESPQ_MAX_RANK, &n, err);
  if (status) return status;
  if (n % 2) return espq_call_fail(call, err, ESPQ_EFORMAT, "pads has %d numbers, expected two per axis", n);
  if (!espq_port_has(call, 3) && n != 2 * call->in[0].shape.rank)
    return espq_call_fail(call, err, ESPQ_EFORMAT, "pads has %d numbers, expected %d for an input of rank %d", n,
                          2 * call->in[0].shape.rank, call->in[0].shape.rank);
  status = espq_call_axes(call, 3, NULL, n / 2, axis, err);
  for (int i = 0; i < ESPQ_MAX_RANK; i++) before[i] = after[i] = 0;
  for (int i = 0; i < n / 2 && !status; i++) {
    before[axis[i]] = pads[i];
    after[axis[i]] = pads[n / 2 + i];
  }
  return status;
}

static espq_status padded_size(const espq_call *call, int axis, int64_t before, int64_t after, espq_pad_mode mode,
                               int64_t *out, espq_error *err) {
  const int64_t limit = (int64_t)1 << 40;
  int64_t d = call->in[0].shape.dim[axis];
  *out = -1;
  if (before > limit || after > limit || d > limit || before < -limit || after < -limit)
    return espq_call_fail(call, err, ESPQ_ELIMIT,
                          "pads of %" PRId64 " and %" PRId64 " along axis %d of %" PRId64 " entries are too large",
                          before, after, axis, d);
  if (before == 0 && after == 0) *out = d;
  if (d < 0 || *out >= 0) return ESPQ_OK;
  int64_t left = d + (before < 0 ? before : 0) + (after < 0 ? after : 0);
  bool repeats = mode != ESPQ_PAD_CONSTANT && (before > 0 || after > 0);
  *out = d + before + after;
  if (*out >= 0 && left >= (repeats ? 1 : 0)) return ESPQ_OK;
  return espq_call_fail(call, err, ESPQ_EFORMAT,
                        "pads of %" PRId64 " and %" PRId64 " leave nothing of axis %d, which has %" PRId64 " entries",
                        before, after, axis, d);
}

static espq_status infer_pad(espq_call *call, espq_error *err) {
  int64_t before[ESPQ_MAX_RANK], after[ESPQ_MAX_RANK];
  espq_pad_mode mode;
  espq_shape shape = call->in[0].shape;
  espq_status status = read_pad_mode(call, &mode, err);
  if (!status && (espq_port_computed(call, 1) || espq_port_computed(call, 3)))
    return espq_call_result_unknown(call, shape.rank);
  if (!status) status = read_pads(call, before, after, err);
  for (int i = 0; i < shape.rank && !status; i++)
    status = padded_size(call, i, before[i], after[i], mode, &shape.dim[i], err);
  return status ? status : espq_call_result(call, &shape);
}

/* One element from a float: as it is, or quantized like the output. */
static espq_status pad_with(const espq_call *call, float number, espq_move *s, espq_error *err) {
  const espq_port *y = &call->out[0];
  int exponent;
  if (y->dtype == ESPQ_F32) memcpy(s->value, &number, sizeof number);
  else if (number != 0 && call->node->column == ESPQ_COLUMN_F32)
    return espq_call_fail(call, err, ESPQ_EFORMAT, "a float value for a tensor of type %s", espq_dtype_name(y->dtype));
  if (y->dtype == ESPQ_F32 || number == 0) return ESPQ_OK;
  espq_status status = espq_port_exponent(call, y, &exponent, err);
  if (!status && exponent != ESPQ_OPS_EXPONENT_ZERO)
    espq_sim_quantize(1, &number, exponent, espq_port_format(y), s->value, ESPQ_ISA_PORTABLE);
  return status;
}

/* A constant of the output's type is taken as it is; one of a quantized tensor has the tensor's exponent. */
static espq_status read_pad_value(const espq_call *call, espq_move *s, espq_error *err) {
  if (!espq_port_has(call, 2)) return pad_with(call, espq_node_float(call->node, "value", 0), s, err);
  const espq_port *p = &call->in[2];
  const espq_tensor *t = p->constant;
  if (!t)
    return espq_call_fail(call, err, ESPQ_EUNSUPPORTED, "value '%.100s' is computed at run time, expected a constant",
                          p->name);
  bool fits = t->dtype == call->out[0].dtype || (t->dtype == ESPQ_F32 && call->node->column != ESPQ_COLUMN_F32);
  if (t->count != 1 || !fits)
    return espq_call_fail(call, err, ESPQ_EFORMAT, "value '%.100s' holds %" PRId64 " numbers of %s, expected one %s",
                          p->name, t->count, espq_dtype_name(t->dtype), espq_dtype_name(call->out[0].dtype));
  if (t->dtype != call->out[0].dtype) return pad_with(call, *(const float *)t->data, s, err);
  int own = 0, want = 0;
  espq_status status = ESPQ_OK;
  memcpy(s->value, t->data, espq_tensor_bytes(t));
  if (call->node->column == ESPQ_COLUMN_F32 || !p->quant || !p->quant->bits) return ESPQ_OK;
  status = espq_port_exponent(call, p, &own, err);
  if (!status) status = espq_port_exponent(call, &call->out[0], &want, err);
  if (status || own == want) return status;
  return espq_call_fail(call, err, ESPQ_EUNSUPPORTED,
                        "value '%.100s' has exponent %d and output '%.100s' %d; both must be the same", p->name, own,
                        call->out[0].name, want);
}

static espq_status prepare_pad(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  espq_move s = {0};
  espq_status status = read_pad_mode(call, &s.mode, err);
  if (!status) status = read_pads(call, s.a, s.b, err);
  if (!status) status = read_pad_value(call, &s, err);
  return status ? status : espq_move_keep(call, &s, out, err);
}

static espq_status run_pad(const espq_run_args *args, espq_error *err) {
  (void)err;
  const espq_move *s = args->state;
  espq_move_pad(s->size, s->rank, s->dim, s->a, s->b, s->mode, s->value, args->in[0], args->out[0]);
  return ESPQ_OK;
}

ESPQ_MOVE_KERNELS(pad);

static bool pad_mixes(const espq_call *call) {
  int64_t before[ESPQ_MAX_RANK], after[ESPQ_MAX_RANK];
  return read_pads(call, before, after, NULL) || before[0] || after[0];
}

/* ---- row ---- */

/* The value is quantized like the data that it stands beside. */
static const char *pad_why_not(const espq_call *call, char *text, size_t size) {
  const espq_tensor *t = espq_port_has(call, 2) ? call->in[2].constant : NULL;
  if (t && t->dtype != ESPQ_F32)
    return espq_reason(text, size, "its value '%.100s' has type %s; export the model in float32", call->in[2].name,
                       espq_dtype_name(t->dtype));
  return espq_computed_why_not(call, text, size);
}

static const espq_attr_spec pad_attrs[] = {{"mode", ESPQ_ATTR_STRING, false, 0, "constant"},
                                           {"pads", ESPQ_ATTR_INTS, false, 0, ""}, /* opset 2 */
                                           {"value", ESPQ_ATTR_FLOAT, false, 0, NULL},
                                           {0}};

const espq_op espq_op_Pad = {.name = "Pad",
                             .domain = "",
                             .since = 2,
                             .min_in = 1,
                             .max_in = 4,
                             .min_out = 1,
                             .max_out = 1,
                             .attrs = pad_attrs,
                             .infer = infer_pad,
                             .f32 = &pad_f32,
                             .q = &pad_q,
                             .v1 = ESPQ_MOVE_V1_OURS,
                             .weight = -1,
                             .bias = -1,
                             .mixes_batch = pad_mixes,
                             .why_not = pad_why_not};
