/* Shape inference: walks the graph in order and asks each row for the types and shapes of its outputs. */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "ops/kernel.h"

static void fill_port(espq_port *p, const espq_graph *g, espq_id id, const espq_typed_shape *values) {
  *p = (espq_port){.shape.rank = -1, .dtype = ESPQ_DTYPE_NONE, .name = ""};
  if (id == ESPQ_NONE) return;
  const espq_value *v = &g->values[id];
  p->present = true;
  p->name = v->name;
  p->constant = v->constant;
  p->quant = &v->quant;
  p->dtype = values && !v->constant ? values[id].dtype : v->dtype;
  p->shape = values && !v->constant ? values[id].shape : v->shape;
}

espq_status espq_call_init(espq_call *call, const espq_graph *graph, espq_id node, const espq_typed_shape *values,
                           espq_error *err) {
  const espq_node *n = &graph->nodes[node];
  *call = (espq_call){.graph = graph, .node = n, .opset = graph->opset, .nin = n->nin, .nout = n->nout};
  espq_port *ports = espq_calloc((size_t)n->nin + (size_t)n->nout, sizeof *ports);
  if (!ports) return espq_fail_memory(err);
  call->in = ports;
  call->out = ports + n->nin;
  for (int i = 0; i < n->nin; i++) fill_port(&call->in[i], graph, n->in[i], values);
  for (int i = 0; i < n->nout; i++) fill_port(&call->out[i], graph, n->out[i], values);
  return ESPQ_OK;
}

void espq_call_free(espq_call *call) {
  espq_free(call->in);
  call->in = call->out = NULL;
}

static void forget_outputs(espq_call *call) {
  for (int i = 0; i < call->nout; i++) {
    call->out[i].dtype = ESPQ_DTYPE_NONE;
    call->out[i].shape.rank = -1;
  }
}

/* Ranks stay. */
static void forget_sizes(espq_call *call) {
  for (int i = 0; i < call->nout; i++)
    for (int k = 0; k < ESPQ_MAX_RANK; k++) call->out[i].shape.dim[k] = -1;
}

/* True when every input that is there has a known rank; otherwise nothing can be said about the outputs. */
static bool inputs_known(const espq_call *call) {
  for (int i = 0; i < call->nin; i++)
    if (call->in[i].present && call->in[i].shape.rank < 0) return false;
  return true;
}

/* The sizes of tensors as far as they are known must be allowed, so that rules and kernels need not check sums and
 * products. */
static espq_status check_sizes(const espq_call *call, const espq_port *ports, int n, const char *what,
                               espq_error *err) {
  for (int i = 0; i < n; i++) {
    const espq_shape *s = &ports[i].shape;
    int64_t dim[ESPQ_MAX_RANK], count;
    if (!ports[i].present || s->rank < 0) continue;
    for (int k = 0; k < s->rank; k++) dim[k] = s->dim[k] < 0 ? 1 : s->dim[k];
    if (!espq_shape_count(s->rank, dim, &count, err)) {
      if ((uint64_t)count <= call->graph->max_elements) continue;
      espq_fail(err, ESPQ_ELIMIT, "%" PRId64 " elements, the limit is %" PRIu64 " (--limit-elements)", count,
                call->graph->max_elements);
    }
    espq_error_prefix(err, "%s '%.100s'", what, ports[i].name);
    return espq_call_prefix(call, err);
  }
  return ESPQ_OK;
}

static size_t port_bytes(const espq_port *p) {
  int64_t count = p->present && !p->constant && p->shape.rank >= 0 ? espq_shape_elements(&p->shape) : 0;
  return count > 0 ? (size_t)count * espq_dtype_size(p->dtype) : 0;
}

espq_status espq_call_fits(const espq_call *call, size_t scratch, uint64_t left, espq_error *err) {
  uint64_t need = scratch; /* at most 2^36 bytes a port, and 2^16 ports */
  for (int i = 0; i < call->nin; i++) need += port_bytes(&call->in[i]);
  for (int i = 0; i < call->nout; i++) need += port_bytes(&call->out[i]);
  if (need <= left) return ESPQ_OK;
  if (left < call->graph->max_bytes)
    return espq_call_fail(call, err, ESPQ_ELIMIT,
                          "it needs %" PRIu64 " bytes, %" PRIu64 " are left of the limit of %" PRIu64
                          " (--limit-bytes)",
                          need, left, call->graph->max_bytes);
  return espq_call_fail(call, err, ESPQ_ELIMIT, "it needs %" PRIu64 " bytes, the limit is %" PRIu64 " (--limit-bytes)",
                        need, left);
}

static bool is_integer(const espq_port *p) {
  return (p->dtype == ESPQ_I8 || p->dtype == ESPQ_I16) && p->quant && p->quant->bits;
}

/* The rules are ONNX's, for floats: so that is what quantized tensors of ESP-DL v3 are to them. */
static espq_status infer_as_float(espq_call *call, espq_error *err) {
  espq_dtype was[ESPQ_MAX_RANK * 2];
  int n = call->nin < ESPQ_MAX_RANK * 2 ? call->nin : ESPQ_MAX_RANK * 2;
  for (int i = 0; i < n; i++) {
    was[i] = call->in[i].dtype;
    if (is_integer(&call->in[i])) call->in[i].dtype = ESPQ_F32;
  }
  espq_status status = call->node->op->infer(call, err);
  for (int i = 0; i < n; i++) call->in[i].dtype = was[i];
  for (int i = 0; i < call->nout && !status; i++) {
    const espq_quant *q = call->out[i].quant;
    if (q && q->bits && call->out[i].dtype == ESPQ_F32) call->out[i].dtype = q->bits <= 8 ? ESPQ_I8 : ESPQ_I16;
  }
  return status;
}

static espq_status infer_outputs(espq_call *call, espq_error *err) {
  const espq_op *op = call->node->op;
  bool v3 = call->node->column == ESPQ_COLUMN_V3 && !op->domain[0];
  bool own = v3 && (op->v3 || espq_op_v3(op)->flags & ESPQ_V3_BY_FLOAT);
  return own ? infer_as_float(call, err) : op->infer(call, err);
}

espq_status espq_call_infer(espq_call *call, espq_error *err) {
  espq_status status = espq_node_check_form(call->graph, call->node, err); /* rules and kernels rely on it */
  if (!status) status = check_sizes(call, call->in, call->nin, "input", err);
  if (!status && inputs_known(call)) status = infer_outputs(call, err);
  if (!status) status = check_sizes(call, call->out, call->nout, "output", err);
  return status ? status : espq_call_fits(call, 0, call->graph->max_bytes, err);
}

/* Walks of the graph, here and in the policies, rely on producers standing before their readers. */
static espq_status check_order(const espq_call *call, const bool *made, espq_error *err) {
  for (int i = 0; i < call->nin; i++) {
    espq_id v = call->node->in[i];
    if (v != ESPQ_NONE && call->graph->values[v].producer != ESPQ_NONE && !made[v])
      return espq_call_fail(call, err, ESPQ_EFORMAT,
                            "input %d '%.100s' is made by a node that comes later: sort the graph, if it has no cycle",
                            i, call->in[i].name);
  }
  return ESPQ_OK;
}

static espq_status infer_node(const espq_graph *g, espq_id id, espq_typed_shape *values, bool *made, espq_error *err) {
  espq_call call;
  espq_status status = espq_call_init(&call, g, id, values, err);
  if (status) return status;
  status = check_order(&call, made, err);
  const espq_op *op = g->nodes[id].op;
  bool known = op && inputs_known(&call); /* else what the file claims is all there is */
  if (known) forget_outputs(&call);
  if (!known && g->reshaped) forget_sizes(&call);
  if (op && !status) status = espq_call_infer(&call, err);
  if (status) forget_outputs(&call);
  for (int i = 0; i < call.nout; i++) {
    if (!call.out[i].present) continue;
    values[call.node->out[i]] = (espq_typed_shape){call.out[i].dtype, call.out[i].shape};
    made[call.node->out[i]] = true;
  }
  espq_call_free(&call);
  return status;
}

espq_status espq_ops_infer_node(const espq_graph *graph, espq_id node, espq_error *err) {
  espq_call call;
  espq_status status = espq_call_init(&call, graph, node, NULL, err);
  if (status) return status;
  forget_outputs(&call);
  status = espq_call_infer(&call, err);
  espq_call_free(&call);
  return status;
}

/* All nodes: what follows a misfit is unknown, so each is told once. */
static espq_status infer_nodes(const espq_graph *g, espq_typed_shape *values, bool *made, espq_error *err) {
  espq_status first = ESPQ_OK;
  espq_text problems = {0};
  for (espq_id id = g->first; id != ESPQ_NONE; id = g->nodes[id].next) {
    espq_error one;
    espq_status status = infer_node(g, id, values, made, &one);
    if (!status) continue;
    if (!first) first = status;
    if (status == ESPQ_EMEMORY) problems.failed = true;
    espq_text_add(&problems, "%s; ", one.text);
  }
  return espq_fail_problems(&problems, first, "", err);
}

espq_status espq_ops_infer_at(const espq_graph *graph, const espq_shape *input_shapes, espq_typed_shape *values,
                              espq_error *err) {
  for (size_t i = 0; i < graph->nvalues; i++)
    values[i] = (espq_typed_shape){graph->values[i].dtype, graph->values[i].shape};
  for (size_t i = 0; input_shapes && i < graph->ninputs; i++) values[graph->inputs[i]].shape = input_shapes[i];
  bool *made = espq_calloc(graph->nvalues, sizeof *made);
  espq_status status = made ? infer_nodes(graph, values, made, err) : espq_fail_memory(err);
  espq_free(made);
  return status;
}

/* Two batch sizes that are rarely other dimensions: a first dimension that is both in turn is the batch. */
enum { BATCHES = 2 };
static const int64_t batches[BATCHES] = {5, 7};

/* The symbol that the first input has for its unknown first dimension, or NULL. */
static const char *batch_symbol(const espq_graph *g) {
  const espq_value *v = g->ninputs ? &g->values[g->inputs[0]] : NULL;
  return v && v->shape.rank > 0 && v->shape.dim[0] < 0 ? v->symbol[0] : NULL;
}

/* Shapes for this batch, as far as they are known; what does not fit it stays unknown. Fails for lack of memory only. */
static espq_status infer_for(const espq_graph *g, int64_t batch, espq_shape *inputs, espq_typed_shape *values,
                             espq_error *err) {
  espq_error ignored;
  for (size_t i = 0; i < g->ninputs; i++) {
    const espq_value *v = &g->values[g->inputs[i]];
    inputs[i] = v->shape;
    if (v->shape.rank > 0 && v->shape.dim[0] < 0 && v->symbol[0] && !strcmp(v->symbol[0], batch_symbol(g)))
      inputs[i].dim[0] = batch;
  }
  bool failed = espq_ops_infer_at(g, inputs, values, &ignored) == ESPQ_EMEMORY;
  return failed ? espq_fail_memory(err) : ESPQ_OK;
}

/* Whether what the file claims is all that is known of the node's results. */
static bool is_claimed(const espq_graph *g, const espq_node *n) {
  for (int i = 0; i < n->nin; i++)
    if (n->in[i] != ESPQ_NONE && g->values[n->in[i]].shape.rank < 0) return true;
  return !n->op;
}

/* The symbol goes to every unknown first dimension that is that of the first input. */
static espq_status carry_symbol(espq_graph *g, espq_error *err) {
  const char *symbol = batch_symbol(g);
  espq_shape *inputs = espq_calloc(g->ninputs, sizeof *inputs);
  espq_typed_shape *values = espq_calloc(BATCHES * g->nvalues, sizeof *values);
  espq_status status = inputs && values ? ESPQ_OK : espq_fail_memory(err);
  for (int b = 0; symbol && !status && b < BATCHES; b++)
    status = infer_for(g, batches[b], inputs, values + (size_t)b * g->nvalues, err);
  for (size_t i = 0; i < g->nvalues && !status; i++) {
    espq_value *v = &g->values[i];
    if (!v->alive || v->producer == ESPQ_NONE || is_claimed(g, &g->nodes[v->producer])) continue;
    bool open = symbol && v->shape.rank > 0 && v->shape.dim[0] < 0;
    for (int b = 0; open && b < BATCHES; b++) open = values[(size_t)b * g->nvalues + i].shape.dim[0] == batches[b];
    memset(v->symbol, 0, sizeof v->symbol);
    if (open) v->symbol[0] = symbol;
  }
  espq_free(inputs);
  espq_free(values);
  return status;
}

espq_status espq_ops_infer(espq_graph *graph, espq_error *err) {
  espq_ops_resolve(graph);
  espq_typed_shape *values = espq_calloc(graph->nvalues, sizeof *values);
  if (!values) return espq_fail_memory(err);
  espq_status status = espq_ops_infer_at(graph, NULL, values, err);
  for (size_t i = 0; i < graph->nvalues; i++) {
    espq_value *v = &graph->values[i];
    if (!v->alive || v->producer == ESPQ_NONE) continue;
    v->dtype = values[i].dtype;
    v->shape = values[i].shape;
  }
  espq_free(values);
  graph->reshaped = false;
  return status ? status : carry_symbol(graph, err);
}
