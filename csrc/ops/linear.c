/* The requantization of linear operators, read from a node: ESP-DL v1 per tensor and per channel, ESP-DL v3. */
#include "ops/linear.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "ops/kernel.h"
#include "ops/sums.h"
#include "sim/fixed.h"

/* Beyond any shift that leaves a bit of a 64-bit number, and safe to add and negate. */
enum { SHIFT_MAX = 4096 };

/* Everything that the arithmetic needs to know of one node. */
typedef struct linear {
  const espq_call *call;
  int bits, oc;
  int in, out; /* exponents */
  const espq_quant *weight;
  int64_t *bias;            /* owned; NULL: none */
  int32_t *bias32, *shift2; /* owned: the same for v1; NULL: none */
} linear;

static bool is_v3(const linear *l) { return espq_call_rounding(l->call) != ESPQ_ROUND_FLOOR; }

static bool has_channels(const linear *l) {
  return is_v3(l) || l->call->graph->arithmetic == ESPQ_ARITHMETIC_V1_CHANNEL;
}

static bool is_zero(int32_t exponent) { return exponent == ESPQ_OPS_EXPONENT_ZERO; }

static int32_t weight_exponent(const linear *l, int channel) {
  return l->weight->exponent[l->weight->count == 1 ? 0 : channel];
}

/* ---- checks ---- */

static espq_status check_types(linear *l, espq_error *err) {
  const espq_call *call = l->call;
  const espq_port *x = &call->in[0], *w = &call->in[1], *y = &call->out[0];
  if (!w->constant)
    return espq_call_fail(call, err, ESPQ_EUNSUPPORTED, "weight '%.100s' is computed at run time, expected a constant",
                          w->name);
  if ((x->dtype != ESPQ_I8 && x->dtype != ESPQ_I16) || w->constant->dtype != x->dtype || y->dtype != x->dtype)
    return espq_call_fail(call, err, ESPQ_EUNSUPPORTED,
                          "input, weight and output are %s, %s and %s, expected all int8 or all int16",
                          espq_dtype_name(x->dtype), espq_dtype_name(w->constant->dtype), espq_dtype_name(y->dtype));
  l->bits = x->dtype == ESPQ_I8 ? 8 : 16;
  if (call->graph->arithmetic == ESPQ_ARITHMETIC_NONE)
    return espq_call_fail(call, err, ESPQ_EBUG, "an integer node in a graph without an arithmetic");
  if (call->graph->arithmetic == ESPQ_ARITHMETIC_V1_CHANNEL && l->bits != 8)
    return espq_call_fail(call, err, ESPQ_EUNSUPPORTED, "int16 is quantized per tensor only");
  return ESPQ_OK;
}

static espq_status check_weight_exponents(const linear *l, espq_error *err) {
  const espq_quant *w = l->weight;
  const char *name = l->call->in[1].name;
  bool channels = has_channels(l);
  if (!w || !w->bits || (w->count != 1 && !(channels && w->count == l->oc)))
    return espq_call_fail(l->call, err, ESPQ_EUNSUPPORTED, "weight '%.100s' has %d exponents, expected %s%d", name,
                          w ? w->count : 0, channels ? "1 or " : "", channels ? l->oc : 1);
  for (int i = 0; i < w->count; i++)
    if (!espq_exponent_is_usable(w->exponent[i]))
      return espq_call_fail(l->call, err, ESPQ_EUNSUPPORTED, "weight '%.100s' holds NaN or infinity", name);
  return ESPQ_OK;
}

/* A bias is added as it is, so its exponent must be the one the sum has at that point. */
static espq_status check_bias_exponent(const linear *l, const espq_port *b, espq_error *err) {
  if (!b->quant || !b->quant->bits) return ESPQ_OK;
  for (int c = 0; c < b->quant->count && c < l->oc; c++) {
    int64_t got = b->quant->exponent[c], want = l->out;
    if (is_zero(b->quant->exponent[c]) || is_zero(l->in) || is_zero(l->out) || is_zero(weight_exponent(l, c))) continue;
    if (has_channels(l)) want = (int64_t)l->in + weight_exponent(l, c) + (is_v3(l) ? 0 : 4);
    if (got != want)
      return espq_call_fail(l->call, err, ESPQ_EUNSUPPORTED,
                            "bias '%.100s' has exponent %" PRId64 " (channel %d), expected %" PRId64, b->name, got, c,
                            want);
  }
  return ESPQ_OK;
}

/* ---- what requant.h wants ---- */

/* One integer per channel, from as many or from a single number. */
static espq_status read_bias(linear *l, int input, espq_error *err) {
  if (input < 0 || !espq_port_has(l->call, input)) return ESPQ_OK;
  const espq_port *b = &l->call->in[input];
  if (!b->constant || (b->constant->count != l->oc && b->constant->count != 1))
    return espq_call_fail(l->call, err, ESPQ_EUNSUPPORTED, "bias '%.100s' must be a constant of %d numbers", b->name,
                          l->oc);
  espq_tensor *ints = NULL;
  espq_status status = check_bias_exponent(l, b, err);
  if (!status && b->constant->dtype == ESPQ_F32)
    status = espq_call_fail(l->call, err, ESPQ_EFORMAT, "bias '%.100s' is float32, expected integers", b->name);
  if (!status) status = espq_tensor_cast(b->constant, ESPQ_I64, &ints, err);
  if (status) return status;
  l->bias = espq_calloc((size_t)l->oc, sizeof *l->bias);
  l->bias32 = espq_calloc((size_t)l->oc, sizeof *l->bias32);
  for (int c = 0; l->bias && l->bias32 && c < l->oc; c++) {
    l->bias[c] = ((const int64_t *)ints->data)[b->constant->count == 1 ? 0 : c];
    l->bias32[c] = (int32_t)espq_fixed_clip(l->bias[c], 32);
  }
  espq_tensor_release(ints);
  return l->bias && l->bias32 ? ESPQ_OK : espq_fail_memory(err);
}

static espq_sim_requant per_tensor(const linear *l) {
  int64_t shift = 0;
  if (!is_zero(l->in) && !is_zero(l->out)) shift = (int64_t)l->out - l->in - weight_exponent(l, 0);
  return (espq_sim_requant){.acc_bits = espq_fixed_lane_bits(l->bits),
                            .shift1 = (int)espq_fixed_clamp(shift, -SHIFT_MAX, SHIFT_MAX),
                            .bias = l->bias32};
}

static int32_t channel_shift(const linear *l, int channel) {
  int32_t w = weight_exponent(l, channel);
  if (is_zero(l->in) || is_zero(l->out) || is_zero(w)) return ESPQ_SIM_SHIFT_ZERO;
  return espq_sim_shift2((int64_t)l->in + w + 4 - l->out);
}

static espq_status per_channel(linear *l, espq_sim_requant *r, espq_error *err) {
  l->shift2 = espq_calloc((size_t)l->oc, sizeof *l->shift2);
  if (!l->shift2) return espq_fail_memory(err);
  for (int c = 0; c < l->oc; c++) l->shift2[c] = channel_shift(l, c);
  *r = (espq_sim_requant){
      .acc_bits = 20, .shift1 = 4, .bias = l->bias32, .mid_bits = l->bias ? 16 : 0, .shift2 = l->shift2};
  return ESPQ_OK;
}

static espq_status rounded(linear *l, espq_sim_requant *r, espq_error *err) {
  l->shift2 = espq_calloc((size_t)l->oc, sizeof *l->shift2);
  if (!l->shift2) return espq_fail_memory(err);
  for (int c = 0; c < l->oc; c++)
    l->shift2[c] = (int32_t)espq_fixed_clamp((int64_t)l->out - l->in - weight_exponent(l, c), -SHIFT_MAX, SHIFT_MAX);
  *r = (espq_sim_requant){.rounding = espq_call_rounding(l->call), .bias64 = l->bias, .shift2 = l->shift2};
  return ESPQ_OK;
}

/* What the operator's own activation leaves below 0. */
static bool has_relu(const linear *l) {
  return strcmp(espq_node_string(l->call->node, "activation", "Linear"), "Relu") == 0;
}

static espq_status make_requant(linear *l, espq_sim_requant *r, espq_error *err) {
  espq_status status = ESPQ_OK;
  if (is_v3(l)) status = rounded(l, r, err);
  else if (l->call->graph->arithmetic == ESPQ_ARITHMETIC_V1_TENSOR) *r = per_tensor(l);
  else status = per_channel(l, r, err);
  /* An output of scale 0 means 0 whatever its integers are. */
  r->out_min = is_zero(l->out) || (is_v3(l) && has_relu(l)) ? 0 : (int)espq_fixed_min(l->bits);
  r->out_max = is_zero(l->out) ? 0 : (int)espq_fixed_max(l->bits);
  return status;
}

/* ---- interface ---- */

static espq_status read_node(linear *l, int bias, espq_error *err) {
  espq_status status = check_types(l, err);
  if (!status) status = espq_port_exponent(l->call, &l->call->in[0], &l->in, err);
  if (!status) status = espq_port_exponent(l->call, &l->call->out[0], &l->out, err);
  if (!status) status = check_weight_exponents(l, err);
  return status ? status : read_bias(l, bias, err);
}

/* Input or weight of scale 0: every product is 0, whatever the integers are. */
static bool products_are_zero(const linear *l) {
  return is_zero(l->in) || (l->weight->count == 1 && is_zero(l->weight->exponent[0]));
}

static espq_status prepare_conv(const linear *l, espq_sim_conv_params p, const void *weights, espq_sim_conv **out,
                                espq_error *err) {
  const espq_tensor *w = l->call->in[1].constant;
  void *zeros = products_are_zero(l) ? espq_calloc((size_t)w->count, espq_dtype_size(w->dtype)) : NULL;
  if (products_are_zero(l) && !zeros) return espq_fail_memory(err);
  p.bits = l->bits;
  espq_status status = espq_sim_conv_prepare(&p, zeros ? zeros : weights ? weights : w->data, out, err);
  espq_free(zeros);
  return status ? espq_call_prefix(l->call, err) : ESPQ_OK;
}

espq_status espq_linear_prepare(const espq_call *call, const espq_sim_conv_params *p, int bias, const void *weights,
                                espq_sim_conv **out, espq_error *err) {
  linear l = {.call = call, .oc = p->oc, .weight = call->in[1].quant};
  espq_sim_conv_params full = *p;
  *out = NULL;
  espq_status status = read_node(&l, bias, err);
  if (!status) status = make_requant(&l, &full.requant, err);
  full.lanes = !status && call->graph->accumulator == ESPQ_ACCUMULATOR_LANES;
  if (full.lanes) full.input = espq_call_integers(call, 0, l.bits);
  if (!status) status = prepare_conv(&l, full, weights, out, err);
  espq_free(l.bias);
  espq_free(l.bias32);
  espq_free(l.shift2);
  return status;
}

static const char *constant_why_not(const espq_call *call, int input, const char *what, char *text, size_t size) {
  if (input < 0 || !espq_port_has(call, input)) return NULL;
  const espq_port *p = &call->in[input];
  if (!p->constant)
    return espq_reason(text, size,
                       "its %s '%.100s' is computed at run time; only constants can be quantized: "
                       "simplify the model so that it is one",
                       what, p->name);
  if (p->constant->dtype != ESPQ_F32)
    return espq_reason(text, size, "its %s '%.100s' has type %s; export the model in float32", what, p->name,
                       espq_dtype_name(p->constant->dtype));
  const float *data = p->constant->data;
  for (int64_t i = 0; i < p->constant->count; i++)
    if (!isfinite(data[i]))
      return espq_reason(text, size, "its %s '%.100s' holds %f at index %" PRId64 "; train or export it anew", what,
                         p->name, (double)data[i], i);
  return NULL;
}

const char *espq_linear_why_not(const espq_call *call, int bias, char *text, size_t size) {
  const char *reason = constant_why_not(call, 1, "weight", text, size);
  return reason ? reason : constant_why_not(call, bias, "bias", text, size);
}
