#include "run/plan.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "infer/reorder.h"
#include "run/batch.h"
#include "sim/reorder.h"

/* What building needs besides the plan: buffers of every value by layout, and who is needed at all. */
typedef struct builder {
  espq_plan *plan;
  const espq_env *env;
  int (*where)[4]; /* by value id and layout: buffer or -1 */
  bool *needed;    /* by value id */
} builder;

void espq_plan_geometry(const espq_shape *shape, int64_t *images, int64_t *channels, int64_t *pixels) {
  *images = shape->rank > 0 ? shape->dim[0] : 1;
  *channels = shape->rank > 1 ? shape->dim[1] : 1;
  *pixels = 1;
  for (int i = 2; i < shape->rank; i++) *pixels *= shape->dim[i];
}

size_t espq_plan_bytes(const espq_typed_shape *type, espq_layout layout) {
  int64_t n, c, p;
  espq_plan_geometry(&type->shape, &n, &c, &p);
  return (size_t)(n * espq_layout_channels(layout, c) * p) * espq_dtype_size(type->dtype);
}

espq_reorder espq_plan_reorder_of(const espq_typed_shape *type, espq_layout from, espq_layout to) {
  espq_reorder r = {.dtype = type->dtype, .from = from, .to = to};
  espq_plan_geometry(&type->shape, &r.images, &r.channels, &r.pixels);
  return r;
}

void espq_plan_reorder(const espq_reorder *r, const void *in, void *out) {
  int bits = (int)espq_dtype_size(r->dtype) * 8;
  if (r->dtype == ESPQ_F32) espq_infer_reorder(r->from, r->to, r->images, r->channels, r->pixels, in, out);
  else if (r->to == ESPQ_NHWC16) espq_sim_to_nhwc16(bits, r->images, r->channels, r->pixels, in, out);
  else espq_sim_to_plain(bits, r->images, r->channels, r->pixels, in, out);
}

static int new_buffer(espq_plan *p, size_t size, int input, espq_error *err) {
  espq_buffer *grown = espq_grow(p->buffers, &p->buffers_capacity, p->nbuffers + 1, sizeof *grown);
  if (!grown) {
    espq_fail_memory(err);
    return -1;
  }
  p->buffers = grown;
  int now = (int)p->nsteps; /* made by the step that is added next */
  p->buffers[p->nbuffers] = (espq_buffer){
      .size = (size + 63) / 64 * 64, .first = input < 0 ? now : -1, .last = now, .input = input, .same_as = -1};
  return (int)p->nbuffers++;
}

static espq_step *new_step(espq_plan *p, int nin, int nout, espq_error *err) {
  espq_step *grown = espq_grow(p->steps, &p->steps_capacity, p->nsteps + 1, sizeof *grown);
  espq_operand *operands = espq_calloc((size_t)nin + (size_t)nout, sizeof *operands);
  if (grown) p->steps = grown;
  if (!grown || !operands) {
    espq_free(operands);
    espq_fail_memory(err);
    return NULL;
  }
  for (int i = 0; i < nin + nout; i++) operands[i].buffer = -1;
  if (nin + nout > p->most_ports) p->most_ports = nin + nout;
  p->steps[p->nsteps] = (espq_step){.node = ESPQ_NONE, .nin = nin, .nout = nout, .in = operands, .out = operands + nin};
  return &p->steps[p->nsteps++];
}

static void read_by(espq_plan *p, int buffer, int step) {
  if (p->buffers[buffer].last < step) p->buffers[buffer].last = step;
}

/* A buffer with the value in `layout`, made by a reorder step if need be; -1: failed. */
static int in_layout(builder *b, espq_id value, espq_layout layout, espq_error *err) {
  espq_plan *p = b->plan;
  int there = b->where[value][layout];
  if (there >= 0) return there;
  const espq_place *home = &p->home[value];
  if (layout != ESPQ_PLAIN && home->layout != ESPQ_PLAIN && in_layout(b, value, ESPQ_PLAIN, err) < 0) return -1;
  int from = layout != ESPQ_PLAIN ? b->where[value][ESPQ_PLAIN] : home->buffer;
  int to = new_buffer(p, espq_plan_bytes(&p->values[value], layout), -1, err);
  espq_step *s = to < 0 ? NULL : new_step(p, 1, 1, err);
  if (!s) return -1;
  s->reorder = espq_plan_reorder_of(&p->values[value], layout != ESPQ_PLAIN ? ESPQ_PLAIN : home->layout, layout);
  s->in[0].buffer = from;
  s->out[0].buffer = to;
  read_by(p, from, (int)p->nsteps - 1);
  b->where[value][layout] = to;
  return to;
}

/* Observers look at the value right after its buffer was written: a later step may write over it. */
static void settle(builder *b, espq_id value, int buffer, espq_layout layout) {
  espq_plan *p = b->plan;
  b->where[value][layout] = buffer;
  p->home[value] = (espq_place){buffer, p->buffers[buffer].first, layout};
}

/* Buffers of the inputs in the layouts that the kernel wants; -1 for those that are absent or constant. */
static espq_status input_buffers(builder *b, const espq_call *call, int *buffers, espq_error *err) {
  for (int i = 0; i < call->nin; i++) {
    buffers[i] = -1;
    if (!call->in[i].present || call->in[i].constant) continue;
    buffers[i] = in_layout(b, call->node->in[i], call->in[i].layout, err);
    if (buffers[i] < 0) return ESPQ_EMEMORY;
  }
  return ESPQ_OK;
}

static espq_status output_buffers(builder *b, const espq_call *call, int *buffers, espq_error *err) {
  for (int i = 0; i < call->nout; i++) {
    buffers[i] = -1;
    if (!call->out[i].present) continue;
    size_t bytes = espq_plan_bytes(&b->plan->values[call->node->out[i]], call->out[i].layout);
    buffers[i] = new_buffer(b->plan, bytes, -1, err);
    if (buffers[i] < 0) return ESPQ_EMEMORY;
  }
  return ESPQ_OK;
}

/* The data of a constant as the kernel wants it: constants are PLAIN. */
static espq_status bind_constant(const espq_port *p, espq_operand *o, espq_error *err) {
  o->constant = p->constant->data;
  if (p->layout == ESPQ_PLAIN) return ESPQ_OK;
  espq_typed_shape type = {p->dtype, p->shape};
  o->owned = espq_alloc(espq_plan_bytes(&type, p->layout));
  if (!o->owned) return espq_fail_memory(err);
  espq_reorder r = espq_plan_reorder_of(&type, ESPQ_PLAIN, p->layout);
  espq_plan_reorder(&r, o->constant, o->owned);
  o->constant = o->owned;
  return ESPQ_OK;
}

/* Adds the step; the plan owns the prepared state from now on. */
static espq_status add_step(builder *b, const espq_call *call, const int *buffers, const espq_kernel *kernel,
                            espq_prepared *prepared, espq_error *err) {
  espq_plan *p = b->plan;
  const espq_node *n = call->node;
  espq_step *s = new_step(p, n->nin, n->nout, err);
  if (!s) return ESPQ_EMEMORY;
  for (int i = 0; i < n->nin + n->nout; i++) s->in[i].buffer = buffers[i];
  espq_status status = ESPQ_OK;
  for (int i = 0; i < n->nin && !status; i++) {
    if (call->in[i].constant) status = bind_constant(&call->in[i], &s->in[i], err);
    if (buffers[i] >= 0) read_by(p, buffers[i], (int)p->nsteps - 1);
  }
  if (status) return status;
  s->node = (espq_id)(n - call->graph->nodes);
  s->kernel = kernel;
  s->prepared = *prepared;
  prepared->state = NULL;
  if (prepared->scratch > p->scratch) p->scratch = prepared->scratch;
  for (int i = 0; i < n->nout; i++)
    if (call->out[i].present) settle(b, n->out[i], buffers[n->nin + i], call->out[i].layout);
  return ESPQ_OK;
}

/* The kernel is prepared; inputs get their layouts, then the step and its outputs are made. */
static espq_status add_kernel(builder *b, const espq_call *call, const espq_kernel *kernel, espq_prepared *prepared,
                              espq_error *err) {
  const espq_node *n = call->node;
  int *buffers = espq_calloc((size_t)n->nin + (size_t)n->nout, sizeof *buffers);
  if (!buffers) return espq_fail_memory(err);
  espq_status status = input_buffers(b, call, buffers, err);
  bool alias = !status && prepared->alias >= 0 && buffers[prepared->alias] >= 0;
  if (alias) settle(b, n->out[0], buffers[prepared->alias], call->out[0].layout);
  if (!status && !alias) status = output_buffers(b, call, buffers + n->nin, err);
  if (!status && !alias) status = add_step(b, call, buffers, kernel, prepared, err);
  espq_free(buffers);
  return status;
}

static espq_status add_node(builder *b, espq_id id, espq_error *err) {
  const espq_graph *g = b->plan->graph;
  const espq_kernel *kernel = espq_kernel_of(&g->nodes[id]);
  espq_call call;
  espq_status status = espq_call_init(&call, g, id, b->plan->values, err);
  if (status) return status;
  for (int i = 0; i < call.nin && !status; i++) {
    if (!call.in[i].present || call.in[i].constant) continue;
    const espq_place *home = &b->plan->home[g->nodes[id].in[i]];
    call.in[i].layout = home->layout;
    if (home->buffer < 0)
      status =
          espq_call_fail(&call, err, ESPQ_EFORMAT, "input %d '%.100s' is made by nobody before it", i, call.in[i].name);
  }
  espq_prepared prepared = {.alias = -1};
  if (!status) status = espq_call_fits(&call, 0, g->max_bytes, err);
  if (!status) status = kernel->prepare(b->env, &call, &prepared, err);
  if (!status) status = espq_call_fits(&call, prepared.scratch, g->max_bytes, err);
  if (!status) status = add_kernel(b, &call, kernel, &prepared, err);
  espq_kernel_free(kernel, prepared.state); /* of aliases and failures; NULL once the plan owns it */
  espq_call_free(&call);
  return status;
}

static bool node_needed(const builder *b, const espq_node *n) {
  for (int i = 0; i < n->nout; i++)
    if (n->out[i] != ESPQ_NONE && b->needed[n->out[i]]) return true;
  return false;
}

static void mark_needed(builder *b, const espq_plan_options *o) {
  const espq_graph *g = b->plan->graph;
  for (size_t i = 0; i < o->noutputs; i++) b->needed[o->outputs[i]] = true;
  for (size_t i = 0; i < o->nobserved; i++) b->needed[o->observed[i]] = true;
  for (espq_id id = g->last; id != ESPQ_NONE; id = g->nodes[id].prev) {
    const espq_node *n = &g->nodes[id];
    for (int i = 0; node_needed(b, n) && i < n->nin; i++)
      if (n->in[i] != ESPQ_NONE) b->needed[n->in[i]] = true;
  }
}

/* All nodes without a kernel, in one message. */
static espq_status check_kernels(const builder *b, espq_error *err) {
  const espq_graph *g = b->plan->graph;
  espq_text text = {0};
  for (espq_id id = g->first; id != ESPQ_NONE; id = g->nodes[id].next) {
    const espq_node *n = &g->nodes[id];
    char label[256];
    if (!node_needed(b, n) || espq_kernel_of(n)) continue;
    espq_text_add(&text, "%s%s", text.size ? ", " : "", espq_node_label(g, n, label, sizeof label));
  }
  if (!text.size) return ESPQ_OK;
  espq_status status =
      espq_fail(err, ESPQ_EUNSUPPORTED, "no implementation for %s", text.data ? text.data : "some nodes");
  espq_free(text.data);
  return status;
}

static espq_status add_inputs(builder *b, espq_error *err) {
  espq_plan *p = b->plan;
  for (size_t i = 0; i < p->graph->ninputs; i++) {
    espq_id v = p->graph->inputs[i];
    int buffer = new_buffer(p, espq_plan_bytes(&p->values[v], ESPQ_PLAIN), (int)i, err);
    if (buffer < 0) return ESPQ_EMEMORY;
    settle(b, v, buffer, ESPQ_PLAIN);
  }
  return ESPQ_OK;
}

static espq_status add_outputs(builder *b, const espq_plan_options *o, espq_error *err) {
  espq_plan *p = b->plan;
  for (size_t i = 0; i < o->noutputs; i++) {
    espq_id v = o->outputs[i];
    if (p->graph->values[v].constant) continue;
    if (p->home[v].buffer < 0)
      return espq_fail(err, ESPQ_EFORMAT, "output '%.200s' is made by nobody", p->graph->values[v].name);
    int buffer = in_layout(b, v, ESPQ_PLAIN, err);
    if (buffer < 0) return ESPQ_EMEMORY;
    p->buffers[buffer].last = INT_MAX;
    p->plain[v] = buffer;
  }
  return ESPQ_OK;
}

static espq_status check_known(const espq_plan *p, espq_error *err) {
  const espq_graph *g = p->graph;
  for (espq_id id = g->first; id != ESPQ_NONE; id = g->nodes[id].next) {
    const espq_node *n = &g->nodes[id];
    for (int i = 0; i < n->nout; i++) {
      if (n->out[i] == ESPQ_NONE) continue;
      const espq_typed_shape *t = &p->values[n->out[i]];
      if (t->shape.rank >= 0 && espq_shape_elements(&t->shape) >= 0 && t->dtype != ESPQ_DTYPE_NONE) continue;
      char label[256];
      return espq_fail(err, ESPQ_EFORMAT, "the shape of '%.200s' (%s) is not known before the model runs",
                       g->values[n->out[i]].name, espq_node_label(g, n, label, sizeof label));
    }
  }
  return ESPQ_OK;
}

static espq_status check_observed(const espq_plan *p, const espq_plan_options *o, espq_error *err) {
  for (size_t i = 0; i < o->nobserved; i++) {
    espq_id v = o->observed[i];
    if (p->values[v].dtype != ESPQ_F32)
      return espq_fail(err, ESPQ_EUNSUPPORTED, "tensor '%.200s' cannot be observed: it is %s, expected float32",
                       p->graph->values[v].name, espq_dtype_name(p->values[v].dtype));
  }
  return ESPQ_OK;
}

/* Lists the observed values by the step that makes them, for those who run the steps. */
static espq_status list_observed(espq_plan *p, const espq_plan_options *o, espq_error *err) {
  p->observed = espq_calloc(p->nsteps + 1, sizeof *p->observed);
  p->next_observed = espq_calloc(o->nobserved, sizeof *p->next_observed);
  if (!p->observed || !p->next_observed) return espq_fail_memory(err);
  memset(p->observed, -1, (p->nsteps + 1) * sizeof *p->observed);
  for (size_t i = 0; i < o->nobserved; i++) {
    const espq_place *home = &p->home[o->observed[i]];
    if (home->buffer < 0) continue;
    p->next_observed[i] = p->observed[home->step + 1];
    p->observed[home->step + 1] = (int)i;
  }
  return ESPQ_OK;
}

static espq_status infer_shapes(espq_plan *p, int64_t batch, espq_error *err) {
  espq_shape *shapes = espq_calloc(p->graph->ninputs, sizeof *shapes);
  if (!shapes) return espq_fail_memory(err);
  espq_status status = espq_batch_input_shapes(p->graph, batch, shapes, err);
  if (!status) status = espq_ops_infer_at(p->graph, shapes, p->values, err);
  espq_free(shapes);
  return status;
}

static espq_status build(builder *b, const espq_plan_options *o, espq_error *err) {
  espq_plan *p = b->plan;
  const espq_graph *g = p->graph;
  mark_needed(b, o);
  espq_status status = check_kernels(b, err);
  if (!status) status = infer_shapes(p, o->batch, err);
  if (!status) status = check_known(p, err);
  if (!status) status = check_observed(p, o, err);
  if (!status) status = add_inputs(b, err);
  for (espq_id id = g->first; id != ESPQ_NONE && !status; id = g->nodes[id].next)
    if (node_needed(b, &g->nodes[id])) status = add_node(b, id, err);
  if (!status) status = add_outputs(b, o, err);
  if (!status) status = list_observed(p, o, err);
  if (!status) status = espq_plan_place_buffers(p, err);
  return status;
}

espq_status espq_plan_new(const espq_graph *graph, const espq_env *env, const espq_plan_options *options,
                          espq_plan **out, espq_error *err) {
  espq_plan *p = espq_calloc(1, sizeof *p);
  builder b = {.plan = p, .env = env};
  size_t n = graph->nvalues;
  b.where = espq_calloc(n, sizeof *b.where);
  b.needed = espq_calloc(n, sizeof *b.needed);
  espq_status status = ESPQ_OK;
  if (p) {
    *p = (espq_plan){.graph = graph, .batch = options->batch};
    p->values = espq_calloc(n, sizeof *p->values);
    p->home = espq_calloc(n, sizeof *p->home);
    p->plain = espq_calloc(n, sizeof *p->plain);
  }
  if (!p || !b.where || !b.needed || !p->values || !p->home || !p->plain) {
    status = espq_fail_memory(err);
  } else {
    memset(b.where, -1, n * sizeof *b.where);
    for (size_t i = 0; i < n; i++) {
      p->home[i].buffer = -1;
      p->plain[i] = -1;
    }
    status = build(&b, options, err);
  }
  espq_free(b.where);
  espq_free(b.needed);
  if (status) espq_plan_free(p);
  else *out = p;
  return status;
}

void espq_plan_free(espq_plan *plan) {
  if (!plan) return;
  for (size_t i = 0; i < plan->nsteps; i++) {
    espq_step *s = &plan->steps[i];
    espq_kernel_free(s->kernel, s->prepared.state);
    for (int k = 0; k < s->nin; k++) espq_free(s->in[k].owned);
    espq_free(s->in);
  }
  espq_free(plan->steps);
  espq_free(plan->buffers);
  espq_free(plan->values);
  espq_free(plan->home);
  espq_free(plan->plain);
  espq_free(plan->observed);
  espq_free(plan->next_observed);
  espq_free(plan);
}
