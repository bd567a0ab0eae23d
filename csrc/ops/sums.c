#include "ops/sums.h"

#include <string.h>

#include "base/alloc.h"
#include "ops/kernel.h"

/* ---- what an input can be ---- */

static const espq_node *producer_of(const espq_graph *g, espq_id value) {
  espq_id id = value == ESPQ_NONE ? ESPQ_NONE : g->values[value].producer;
  return id == ESPQ_NONE ? NULL : &g->nodes[id];
}

static bool is_one_of(const char *name, const char *const *list, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (strcmp(name, list[i]) == 0) return true;
  return false;
}

/* Pooling windows that lie outside of the image as a whole would give what is no element of it. */
static bool pads(const espq_node *n) {
  const espq_attr *pad = espq_node_attr(n, "pads");
  if (strcmp(espq_node_string(n, "auto_pad", "NOTSET"), "NOTSET") != 0 || espq_node_int(n, "ceil_mode", 0)) return true;
  for (size_t i = 0; pad && pad->kind == ESPQ_ATTR_INTS && i < pad->n; i++)
    if (pad->ints[i]) return true;
  return false;
}

/* Elements of the output are elements of input 0. */
static bool hands_on(const espq_node *n) {
  static const char *const moves[] = {"Reshape",   "Flatten",  "Transpose",   "Squeeze",
                                      "Unsqueeze", "Identity", "DepthToSpace"};
  if (*n->domain || n->nin < 1) return false;
  return is_one_of(n->op_type, moves, sizeof moves / sizeof *moves) || (!strcmp(n->op_type, "MaxPool") && !pads(n));
}

static bool ends_in_relu(const espq_graph *g, const espq_node *n) {
  static const char *const fuses[] = {"Conv", "Gemm", "MatMul"};
  if (*n->domain) return false;
  if (!strcmp(n->op_type, "Relu")) return true;
  bool v3 = g->arithmetic == ESPQ_ARITHMETIC_V3_HALF_UP || g->arithmetic == ESPQ_ARITHMETIC_V3_HALF_EVEN;
  return v3 && is_one_of(n->op_type, fuses, 3) && !strcmp(espq_node_string(n, "activation", "Linear"), "Relu");
}

espq_sim_interval espq_call_integers(const espq_call *call, int input, int bits) {
  const espq_quant *quant = call->in[input].quant;
  espq_sim_interval all = espq_sim_integers(bits);
  if (quant && quant->bits && quant->count == 1 && quant->exponent[0] == ESPQ_OPS_EXPONENT_ZERO)
    return (espq_sim_interval){0, 0};
  const espq_node *n = producer_of(call->graph, call->node->in[input]);
  while (n && hands_on(n)) n = producer_of(call->graph, n->in[0]);
  if (n && ends_in_relu(call->graph, n)) all.lo = 0;
  return all;
}

/* ---- the sums of a node ---- */

/* Element (stack, channel, k) of the weight is at stack * count * channels + channel * channel_step + k * step. */
typedef struct weights {
  int bits;
  const espq_tensor *tensor; /* NULL: computed at run time */
  int64_t stacks, channels, count, channel_step, step;
} weights;

static int bits_of(espq_dtype dtype) { return dtype == ESPQ_I8 ? 8 : dtype == ESPQ_I16 ? 16 : 0; }

static bool channels_are_rows(const espq_call *call) {
  return strcmp(call->node->op_type, "Conv") == 0 ||
         (strcmp(call->node->op_type, "Gemm") == 0 && espq_node_int(call->node, "transB", 0) != 0);
}

/* False: no sums of products of integers, or not known how many. */
static bool read_weights(const espq_call *call, weights *w) {
  static const char *const types[] = {"Conv", "Gemm", "MatMul"};
  if (!is_one_of(call->node->op_type, types, 3) || *call->node->domain || !espq_port_has(call, 1)) return false;
  const espq_port *b = &call->in[1];
  *w = (weights){.tensor = b->constant, .bits = bits_of(b->constant ? b->constant->dtype : b->dtype)};
  int64_t elements = b->shape.rank > 0 ? espq_shape_elements(&b->shape) : 0;
  if (!w->bits || elements < 1 || (b->constant && b->constant->count != elements)) return false;
  bool rows = channels_are_rows(call);
  int rank = b->shape.rank;
  w->channels = rows ? b->shape.dim[0] : rank > 1 ? b->shape.dim[rank - 1] : 1;
  w->count = rows ? elements / w->channels : rank > 1 ? b->shape.dim[rank - 2] : elements;
  w->channel_step = rows ? w->count : 1;
  w->step = rows ? 1 : w->channels;
  w->stacks = elements / (w->channels * w->count);
  return w->count < INT32_MAX;
}

static espq_sim_interval largest(int64_t count, espq_sim_interval x, espq_sim_interval y) {
  int64_t low = x.lo * y.hi < x.hi * y.lo ? x.lo * y.hi : x.hi * y.lo;
  int64_t high = x.lo * y.lo > x.hi * y.hi ? x.lo * y.lo : x.hi * y.hi;
  return (espq_sim_interval){low < 0 ? count * low : 0, high > 0 ? count * high : 0};
}

static bool saturates(const weights *w, int64_t channel, espq_sim_interval input, int64_t start) {
  for (int64_t s = 0; s < w->stacks; s++) {
    size_t at = (size_t)(s * w->count * w->channels + channel * w->channel_step) * (size_t)(w->bits / 8);
    espq_sim_interval sums =
        espq_sim_sums(w->bits, (const char *)w->tensor->data + at, w->count, w->step, input, start);
    if (!espq_sim_fits(sums, espq_fixed_lane_bits(w->bits))) return true;
  }
  return false;
}

/* What the sums of v3 begin with: integers, or NULL. */
static espq_status read_bias(const espq_call *call, espq_tensor **bias, espq_error *err) {
  *bias = NULL;
  if (espq_call_rounding(call) == ESPQ_ROUND_FLOOR || call->node->nin < 3 || !espq_port_has(call, 2)) return ESPQ_OK;
  const espq_tensor *b = call->in[2].constant;
  if (!b || b->dtype == ESPQ_F32 || espq_node_float(call->node, "beta", 1) == 0) return ESPQ_OK;
  return espq_tensor_cast(b, ESPQ_I64, bias, err);
}

espq_status espq_call_saturating(const espq_call *call, int64_t *channels, int64_t *saturating, espq_error *err) {
  weights w;
  *channels = *saturating = 0;
  if (!read_weights(call, &w)) return ESPQ_OK;
  espq_sim_interval input = espq_call_integers(call, 0, w.bits);
  *channels = w.channels;
  if (!w.tensor) {
    espq_sim_interval sums = largest(w.count, input, espq_call_integers(call, 1, w.bits));
    *saturating = espq_sim_fits(sums, espq_fixed_lane_bits(w.bits)) ? 0 : w.channels;
    return ESPQ_OK;
  }
  espq_tensor *bias;
  espq_status status = read_bias(call, &bias, err);
  for (int64_t c = 0; c < w.channels && !status; c++) {
    bool one = bias && bias->count == 1, each = bias && bias->count == w.channels;
    *saturating += saturates(&w, c, input, one || each ? ((const int64_t *)bias->data)[one ? 0 : c] : 0);
  }
  espq_tensor_release(bias);
  return status;
}
