#include "run/evaluate.h"

#include <string.h>

#include "base/alloc.h"
#include "infer/engine.h"
#include "ops/op.h"
#include "run/plan.h"

struct espq_evaluator {
  espq_env env;
  espq_infer_stream *stream;
};

espq_status espq_evaluator_new(espq_evaluator **out, espq_error *err) {
  espq_evaluator *e = espq_calloc(1, sizeof *e);
  if (!e) return espq_fail_memory(err);
  e->env.isa = espq_isa_detect();
  espq_status status = espq_infer_engine_new(&e->env.engine, err);
  if (!status) status = espq_infer_stream_new(e->env.engine, &e->stream, err);
  if (status) espq_evaluator_free(e);
  else *out = e;
  return status;
}

void espq_evaluator_free(espq_evaluator *evaluator) {
  if (!evaluator) return;
  espq_infer_stream_free(evaluator->stream);
  espq_infer_engine_free(evaluator->env.engine);
  espq_free(evaluator);
}

/* --- one node --- */

/* What a run of one node needs, besides its call. */
typedef struct job {
  espq_evaluator *evaluator;
  espq_call call;
  const espq_kernel *kernel;
  espq_prepared prepared;
  const void **in; /* per input: data in the layout that the kernel wants */
  void **copies;   /* per input and output: memory of our own, or NULL */
  void **written;  /* per output */
  void *scratch;
  uint64_t left; /* bytes that it may take */
} job;

static void bind_inputs(espq_call *call, espq_tensor *const *in) {
  for (int i = 0; i < call->nin; i++) {
    espq_port *p = &call->in[i];
    const espq_tensor *t = p->present ? in[i] : NULL;
    p->present = t != NULL;
    if (!t) continue;
    p->constant = t;
    p->dtype = t->dtype;
    p->shape.rank = t->rank;
    memcpy(p->shape.dim, t->dim, (size_t)t->rank * sizeof *t->dim);
  }
}

static espq_typed_shape type_of(const espq_port *p) { return (espq_typed_shape){p->dtype, p->shape}; }

static espq_status check_outputs(const espq_call *call, size_t max_bytes, espq_error *err) {
  for (int i = 0; i < call->nout; i++) {
    const espq_port *p = &call->out[i];
    if (!p->present) continue;
    if (p->shape.rank < 0 || p->dtype == ESPQ_DTYPE_NONE || espq_shape_elements(&p->shape) < 0)
      return espq_call_fail(call, err, ESPQ_EUNSUPPORTED, "the shape of output %d is not known", i);
    if (max_bytes && (size_t)espq_shape_elements(&p->shape) > max_bytes / espq_dtype_size(p->dtype))
      return espq_call_fail(call, err, ESPQ_ELIMIT, "output %d would have more than %zu bytes", i, max_bytes);
  }
  return ESPQ_OK;
}

static espq_status place_inputs(job *j, espq_tensor *const *in, espq_error *err) {
  for (int i = 0; i < j->call.nin; i++) {
    const espq_port *p = &j->call.in[i];
    if (!p->present) continue;
    j->in[i] = in[i]->data;
    if (p->layout == ESPQ_PLAIN) continue;
    espq_typed_shape type = type_of(p);
    espq_reorder r = espq_plan_reorder_of(&type, ESPQ_PLAIN, p->layout);
    j->in[i] = j->copies[i] = espq_alloc(espq_plan_bytes(&type, p->layout));
    if (!j->copies[i]) return espq_fail_memory(err);
    espq_plan_reorder(&r, in[i]->data, j->copies[i]);
  }
  return ESPQ_OK;
}

static espq_status place_outputs(job *j, espq_tensor **out, espq_error *err) {
  for (int i = 0; i < j->call.nout; i++) {
    const espq_port *p = &j->call.out[i];
    if (!p->present) continue;
    espq_status status = espq_tensor_new(p->dtype, p->shape.rank, p->shape.dim, &out[i], err);
    if (status) return status;
    j->written[i] = out[i]->data;
    if (p->layout == ESPQ_PLAIN) continue;
    espq_typed_shape type = type_of(p);
    j->written[i] = j->copies[j->call.nin + i] = espq_alloc(espq_plan_bytes(&type, p->layout));
    if (!j->written[i]) return espq_fail_memory(err);
  }
  return ESPQ_OK;
}

static void return_outputs(const job *j, espq_tensor **out) {
  for (int i = 0; i < j->call.nout; i++) {
    const espq_port *p = &j->call.out[i];
    if (!p->present || p->layout == ESPQ_PLAIN) continue;
    espq_typed_shape type = type_of(p);
    espq_reorder r = espq_plan_reorder_of(&type, p->layout, ESPQ_PLAIN);
    espq_plan_reorder(&r, j->written[i], out[i]->data);
  }
}

static espq_status run_kernel(job *j, espq_tensor *const *in, espq_tensor **out, espq_error *err) {
  espq_call *call = &j->call;
  size_t ports = (size_t)call->nin + (size_t)call->nout;
  j->in = espq_calloc(ports, sizeof *j->in);
  j->copies = espq_calloc(ports, sizeof *j->copies);
  j->written = espq_calloc((size_t)call->nout, sizeof *j->written);
  j->scratch = espq_alloc(j->prepared.scratch);
  if (!j->in || !j->copies || !j->written || !j->scratch) return espq_fail_memory(err);
  espq_status status = place_inputs(j, in, err);
  if (!status) status = place_outputs(j, out, err);
  espq_run_args args = {j->prepared.state, j->in, j->written, j->scratch, j->evaluator->stream};
  if (!status) status = j->kernel->run(&args, err);
  if (!status) return_outputs(j, out);
  return status;
}

/* The kernel says that output 0 is one of its inputs with another shape. */
static espq_status alias(const job *j, espq_tensor *const *in, espq_tensor **out, espq_error *err) {
  const espq_shape *s = &j->call.out[0].shape;
  return espq_tensor_view(in[j->prepared.alias], 0, s->rank, s->dim, &out[0], err);
}

static espq_status compute(job *j, espq_tensor *const *in, size_t max_bytes, espq_tensor **out, espq_error *err) {
  espq_call *call = &j->call;
  espq_status status = espq_call_infer(call, err);
  if (!status) status = check_outputs(call, max_bytes, err);
  if (!status) status = espq_call_fits(call, 0, j->left, err);
  if (!status) status = j->kernel->prepare(&j->evaluator->env, call, &j->prepared, err);
  if (!status) status = espq_call_fits(call, j->prepared.scratch, j->left, err);
  if (status) return status;
  return j->prepared.alias >= 0 ? alias(j, in, out, err) : run_kernel(j, in, out, err);
}

static void free_job(job *j) {
  for (int i = 0; j->copies && i < j->call.nin + j->call.nout; i++) espq_free(j->copies[i]);
  espq_free(j->in);
  espq_free(j->copies);
  espq_free(j->written);
  espq_free(j->scratch);
  espq_kernel_free(j->kernel, j->prepared.state);
  espq_call_free(&j->call);
}

espq_status espq_evaluate_node(espq_evaluator *evaluator, const espq_graph *graph, espq_id node, espq_tensor *const *in,
                               size_t max_bytes, uint64_t taken, espq_tensor **out, espq_error *err) {
  job j = {.evaluator = evaluator,
           .kernel = espq_kernel_of(&graph->nodes[node]),
           .prepared = {.alias = -1},
           .left = graph->max_bytes - (taken < graph->max_bytes ? taken : graph->max_bytes)};
  int nout = graph->nodes[node].nout;
  memset(out, 0, (size_t)nout * sizeof *out);
  if (!j.kernel) {
    char label[256];
    return espq_fail(err, ESPQ_EUNSUPPORTED, "no implementation for %s",
                     espq_node_label(graph, &graph->nodes[node], label, sizeof label));
  }
  espq_status status = espq_call_init(&j.call, graph, node, NULL, err);
  if (status) return status;
  bind_inputs(&j.call, in);
  status = compute(&j, in, max_bytes, out, err);
  for (int i = 0; i < nout && status; i++) {
    espq_tensor_release(out[i]);
    out[i] = NULL;
  }
  free_job(&j);
  return status;
}

/* --- a graph --- */

/* Which values are needed for the outputs; released with espq_free. */
static bool *mark_needed(const espq_graph *g, const espq_id *outputs, size_t n) {
  bool *needed = espq_calloc(g->nvalues, sizeof *needed);
  for (size_t i = 0; needed && i < n; i++) needed[outputs[i]] = true;
  for (espq_id id = g->last; needed && id != ESPQ_NONE; id = g->nodes[id].prev) {
    const espq_node *node = &g->nodes[id];
    bool wanted = false;
    for (int i = 0; i < node->nout; i++) wanted |= node->out[i] != ESPQ_NONE && needed[node->out[i]];
    for (int i = 0; wanted && i < node->nin; i++)
      if (node->in[i] != ESPQ_NONE) needed[node->in[i]] = true;
  }
  return needed;
}

static bool is_needed(const espq_node *n, const bool *needed) {
  for (int i = 0; i < n->nout; i++)
    if (n->out[i] != ESPQ_NONE && needed[n->out[i]]) return true;
  return false;
}

/* Space for the tensors of one node's inputs, then its outputs. */
static espq_tensor **new_ports(const espq_node *n) {
  return espq_calloc((size_t)n->nin + (size_t)n->nout, sizeof(espq_tensor *));
}

/* at[value]: its tensor; a reference for what nodes made, borrowed for constants and inputs. */
static espq_status evaluate_into(espq_evaluator *e, const espq_graph *g, espq_id id, espq_tensor **at, uint64_t *taken,
                                 espq_error *err) {
  const espq_node *n = &g->nodes[id];
  espq_tensor **in = new_ports(n);
  if (!in) return espq_fail_memory(err);
  espq_tensor **out = in + n->nin;
  for (int i = 0; i < n->nin; i++) in[i] = n->in[i] == ESPQ_NONE ? NULL : at[n->in[i]];
  espq_status status = espq_evaluate_node(e, g, id, in, 0, *taken, out, err);
  for (int i = 0; i < n->nout && !status; i++) {
    if (n->out[i] == ESPQ_NONE) {
      espq_tensor_release(out[i]);
      continue;
    }
    at[n->out[i]] = out[i];
    *taken += espq_tensor_bytes(out[i]);
  }
  espq_free(in);
  return status;
}

static espq_status evaluate_needed(espq_evaluator *e, const espq_graph *g, const bool *needed, espq_tensor **at,
                                   espq_error *err) {
  espq_status status = ESPQ_OK;
  uint64_t taken = 0; /* by all tensors so far: they live until the end */
  for (espq_id id = g->first; id != ESPQ_NONE && !status; id = g->nodes[id].next)
    if (is_needed(&g->nodes[id], needed)) status = evaluate_into(e, g, id, at, &taken, err);
  return status;
}

static espq_status return_results(const espq_graph *g, espq_tensor **at, const espq_id *outputs, size_t n,
                                  espq_tensor **results, espq_error *err) {
  for (size_t i = 0; i < n; i++)
    if (!at[outputs[i]])
      return espq_fail(err, ESPQ_EFORMAT, "output '%.200s' is made by nobody", g->values[outputs[i]].name);
  for (size_t i = 0; i < n; i++) results[i] = espq_tensor_retain(at[outputs[i]]);
  return ESPQ_OK;
}

static espq_status check_inputs(const espq_graph *g, espq_tensor *const *inputs, espq_error *err) {
  for (size_t i = 0; i < g->ninputs; i++) {
    const espq_value *v = &g->values[g->inputs[i]];
    if (v->dtype != ESPQ_DTYPE_NONE && v->dtype != inputs[i]->dtype)
      return espq_fail(err, ESPQ_EFORMAT, "input '%.200s' is %s, expected %s", v->name,
                       espq_dtype_name(inputs[i]->dtype), espq_dtype_name(v->dtype));
  }
  return ESPQ_OK;
}

espq_status espq_evaluate(espq_evaluator *evaluator, const espq_graph *graph, espq_tensor *const *inputs,
                          const espq_id *outputs, size_t noutputs, espq_tensor **results, espq_error *err) {
  espq_status status = check_inputs(graph, inputs, err);
  if (status) return status;
  bool *needed = mark_needed(graph, outputs, noutputs);
  espq_tensor **at = espq_calloc(graph->nvalues, sizeof *at);
  status = needed && at ? ESPQ_OK : espq_fail_memory(err);
  if (!status) {
    for (size_t i = 0; i < graph->nvalues; i++) at[i] = graph->values[i].constant;
    for (size_t i = 0; i < graph->ninputs; i++) at[graph->inputs[i]] = inputs[i];
    status = evaluate_needed(evaluator, graph, needed, at, err);
    if (!status) status = return_results(graph, at, outputs, noutputs, results, err);
  }
  for (size_t i = 0; at && i < graph->nvalues; i++)
    if (graph->values[i].producer != ESPQ_NONE) espq_tensor_release(at[i]);
  espq_free(at);
  espq_free(needed);
  return status;
}

/* --- folding --- */

static bool is_foldable(const espq_graph *g, const espq_node *n) {
  if (!n->op || n->column != ESPQ_COLUMN_F32 || !espq_kernel_of(n)) return false;
  for (int i = 0; i < n->nin; i++)
    if (n->in[i] != ESPQ_NONE && !g->values[n->in[i]].constant) return false;
  return true;
}

/* A node that cannot be computed is left to whoever runs the model. */
static espq_status fold(espq_evaluator *e, espq_graph *g, espq_id id, size_t max_bytes, size_t *left, size_t *folded,
                        espq_error *err) {
  const espq_node *n = &g->nodes[id];
  int nout = n->nout;
  espq_tensor **in = new_ports(n);
  if (!in) return espq_fail_memory(err);
  espq_tensor **out = in + n->nin;
  for (int i = 0; i < n->nin; i++) in[i] = n->in[i] == ESPQ_NONE ? NULL : g->values[n->in[i]].constant;
  espq_status status = espq_evaluate_node(e, g, id, in, max_bytes, 0, out, err);
  size_t bytes = 0;
  for (int i = 0; i < nout && !status; i++) bytes += out[i] ? espq_tensor_bytes(out[i]) : 0;
  if (!status && bytes <= *left) {
    *left -= bytes;
    ++*folded;
    status = espq_graph_replace_node(g, id, out, err);
  } else if (status != ESPQ_EMEMORY) status = ESPQ_OK;
  for (int i = 0; i < nout; i++) espq_tensor_release(out[i]);
  espq_free(in);
  return status;
}

espq_status espq_fold_constants(espq_evaluator *evaluator, espq_graph *graph, size_t max_bytes, size_t max_total,
                                size_t *folded, espq_error *err) {
  espq_status status = ESPQ_OK;
  size_t left = max_total;
  *folded = 0;
  espq_ops_resolve(graph);
  for (espq_id id = graph->first, next; id != ESPQ_NONE && !status; id = next) {
    next = graph->nodes[id].next;
    if (is_foldable(graph, &graph->nodes[id])) status = fold(evaluator, graph, id, max_bytes, &left, folded, err);
  }
  return status;
}
