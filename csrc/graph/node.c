/* Nodes: insertion, inputs, removal, attributes. */
#include <string.h>

#include "base/alloc.h"
#include "graph/graph.h"

/* --- uses --- */

static const espq_use no_use = {ESPQ_NONE, 0};

static espq_use_link *link_of(espq_graph *g, espq_use use) { return &g->nodes[use.node].links[use.slot]; }

static void set_next(espq_graph *g, espq_value *v, espq_use at, espq_use next) {
  if (at.node == ESPQ_NONE) v->first_use = next;
  else link_of(g, at)->next = next;
}

static void set_prev(espq_graph *g, espq_value *v, espq_use at, espq_use prev) {
  if (at.node == ESPQ_NONE) v->last_use = prev;
  else link_of(g, at)->prev = prev;
}

/* Order is kept: readers are listed in the order in which they came. */
static void add_use(espq_graph *g, espq_id value, espq_id node, int slot) {
  if (value == ESPQ_NONE) return;
  espq_value *v = &g->values[value];
  espq_use use = {node, slot};
  *link_of(g, use) = (espq_use_link){v->last_use, no_use};
  set_next(g, v, v->last_use, use);
  v->last_use = use;
  v->nuses++;
}

static void drop_use(espq_graph *g, espq_id value, espq_id node, int slot) {
  if (value == ESPQ_NONE) return;
  espq_value *v = &g->values[value];
  espq_use_link link = *link_of(g, (espq_use){node, slot});
  set_next(g, v, link.prev, link.next);
  set_prev(g, v, link.next, link.prev);
  v->nuses--;
}

espq_use espq_graph_next_use(const espq_graph *graph, espq_use use) {
  return graph->nodes[use.node].links[use.slot].next;
}

/* --- nodes --- */

static void unlink_node(espq_graph *g, espq_id id) {
  espq_node *n = &g->nodes[id];
  if (n->prev != ESPQ_NONE) g->nodes[n->prev].next = n->next;
  else g->first = n->next;
  if (n->next != ESPQ_NONE) g->nodes[n->next].prev = n->prev;
  else g->last = n->prev;
}

static void link_before(espq_graph *g, espq_id id, espq_id before) {
  espq_node *n = &g->nodes[id];
  n->next = before;
  n->prev = before == ESPQ_NONE ? g->last : g->nodes[before].prev;
  if (n->prev != ESPQ_NONE) g->nodes[n->prev].next = id;
  else g->first = id;
  if (before != ESPQ_NONE) g->nodes[before].prev = id;
  else g->last = id;
}

void espq_graph_move_before(espq_graph *graph, espq_id node, espq_id before) {
  if (node == before) return;
  unlink_node(graph, node);
  link_before(graph, node, before);
}

static void disclaim_outputs(espq_graph *g, int nout, const espq_id *out) {
  for (int i = 0; i < nout; i++)
    if (out[i] != ESPQ_NONE) g->values[out[i]].producer = ESPQ_NONE;
}

/* The node's outputs are its own from here on; on failure none of them is. */
static espq_status claim_outputs(espq_graph *g, espq_id node, int nout, const espq_id *out, espq_error *err) {
  for (int i = 0; i < nout; i++) {
    if (out[i] == ESPQ_NONE) continue;
    espq_value *v = &g->values[out[i]];
    if (v->producer != ESPQ_NONE || v->constant || espq_graph_is_input(g, out[i])) {
      disclaim_outputs(g, i, out);
      return espq_fail(err, ESPQ_EFORMAT, "tensor '%.200s' is defined twice", v->name);
    }
    v->producer = node;
    v->slot = i;
  }
  return ESPQ_OK;
}

espq_status espq_graph_add_node(espq_graph *graph, espq_id before, const char *domain, const char *op_type,
                                const char *name, int nin, const espq_id *in, int nout, const espq_id *out,
                                espq_id *node, espq_error *err) {
  if (graph->nnodes >= INT32_MAX) return espq_fail(err, ESPQ_ELIMIT, "too many nodes in one graph");
  espq_node *grown = espq_grow(graph->nodes, &graph->nodes_capacity, graph->nnodes + 1, sizeof *grown);
  if (!grown) return espq_fail_memory(err);
  graph->nodes = grown;
  espq_arena *a = graph->arena;
  espq_node n = {.alive = true,
                 .name = espq_arena_strdup(a, name ? name : ""),
                 .op_type = espq_arena_strdup(a, op_type),
                 .domain = espq_arena_strdup(a, domain ? domain : ""),
                 .nin = nin,
                 .nout = nout,
                 .in = espq_arena_alloc(a, (size_t)nin, sizeof *n.in),
                 .out = espq_arena_alloc(a, (size_t)nout, sizeof *n.out),
                 .links = espq_arena_alloc(a, (size_t)nin, sizeof *n.links)};
  if (!n.name || !n.op_type || !n.domain || !n.in || !n.out || !n.links) return espq_fail_memory(err);
  espq_id id = (espq_id)graph->nnodes;
  espq_status status = claim_outputs(graph, id, nout, out, err);
  if (status) return status;
  if (nin) memcpy(n.in, in, (size_t)nin * sizeof *in);
  if (nout) memcpy(n.out, out, (size_t)nout * sizeof *out);
  graph->nodes[id] = n;
  for (int i = 0; i < nin; i++) add_use(graph, in[i], id, i);
  graph->nnodes++;
  graph->live_nodes++;
  link_before(graph, id, before);
  *node = id;
  return ESPQ_OK;
}

espq_status espq_graph_set_input(espq_graph *graph, espq_id node, int slot, espq_id value, espq_error *err) {
  espq_node *n = &graph->nodes[node];
  if (slot < 0 || slot >= n->nin) return espq_fail(err, ESPQ_EBUG, "no input %d on this node", slot);
  if (n->in[slot] == value) return ESPQ_OK;
  drop_use(graph, n->in[slot], node, slot);
  add_use(graph, value, node, slot);
  n->in[slot] = value;
  return ESPQ_OK;
}

espq_status espq_graph_resize_inputs(espq_graph *graph, espq_id node, int nin, espq_error *err) {
  espq_node *n = &graph->nodes[node];
  for (int i = nin; i < n->nin; i++) drop_use(graph, n->in[i], node, i);
  if (nin > n->nin) {
    espq_id *in = espq_arena_alloc(graph->arena, (size_t)nin, sizeof *in);
    espq_use_link *links = espq_arena_alloc(graph->arena, (size_t)nin, sizeof *links);
    if (!in || !links) return espq_fail_memory(err);
    if (n->nin) memcpy(in, n->in, (size_t)n->nin * sizeof *in);
    if (n->nin) memcpy(links, n->links, (size_t)n->nin * sizeof *links);
    for (int i = n->nin; i < nin; i++) in[i] = ESPQ_NONE;
    n->in = in;
    n->links = links;
  }
  n->nin = nin;
  return ESPQ_OK;
}

static bool node_is_needed(const espq_graph *g, const espq_node *n) {
  for (int i = 0; i < n->nout; i++) {
    if (n->out[i] == ESPQ_NONE) continue;
    if (g->values[n->out[i]].nuses || espq_graph_is_output(g, n->out[i])) return true;
  }
  return false;
}

espq_status espq_graph_remove_node(espq_graph *graph, espq_id node, espq_error *err) {
  espq_node *n = &graph->nodes[node];
  char label[256];
  if (node_is_needed(graph, n))
    return espq_fail(err, ESPQ_EBUG, "%s is removed while its result is in use",
                     espq_node_label(graph, n, label, sizeof label));
  for (int i = 0; i < n->nin; i++) drop_use(graph, n->in[i], node, i);
  unlink_node(graph, node);
  n->alive = false;
  graph->live_nodes--;
  for (espq_attr *a = n->attrs; a; a = a->next) {
    espq_tensor_release(a->tensor);
    a->tensor = NULL;
  }
  for (int i = 0; i < n->nout; i++) {
    if (n->out[i] == ESPQ_NONE) continue;
    graph->values[n->out[i]].producer = ESPQ_NONE;
    espq_graph_remove_value(graph, n->out[i], NULL);
  }
  return ESPQ_OK;
}

espq_status espq_graph_replace_node(espq_graph *graph, espq_id node, espq_tensor *const *tensors, espq_error *err) {
  espq_node *n = &graph->nodes[node];
  for (int i = 0; i < n->nout; i++) {
    if (n->out[i] == ESPQ_NONE) continue;
    graph->values[n->out[i]].producer = ESPQ_NONE;
    espq_graph_set_constant(graph, n->out[i], tensors[i]);
    n->out[i] = ESPQ_NONE;
  }
  return espq_graph_remove_node(graph, node, err);
}

/* The uses of `from` go behind those of v. */
static void append_uses(espq_graph *g, espq_value *v, espq_value *from) {
  if (!from->nuses) return;
  set_next(g, v, v->last_use, from->first_use);
  set_prev(g, v, from->first_use, v->last_use);
  v->last_use = from->last_use;
  v->nuses += from->nuses;
  from->first_use = from->last_use = no_use;
  from->nuses = 0;
}

espq_status espq_graph_replace_value(espq_graph *graph, espq_id old, espq_id with, espq_error *err) {
  if (old == with) return ESPQ_OK;
  espq_value *o = &graph->values[old], *w = &graph->values[with];
  bool is_output = espq_graph_is_output(graph, old);
  if (is_output && (w->constant || espq_graph_is_input(graph, with) || espq_graph_is_output(graph, with)))
    return espq_fail(err, ESPQ_EUNSUPPORTED,
                     "graph output '%.200s' cannot be replaced by '%.200s', whose name must stay", o->name, w->name);
  for (espq_use u = o->first_use; u.node != ESPQ_NONE; u = espq_graph_next_use(graph, u))
    graph->nodes[u.node].in[u.slot] = with;
  append_uses(graph, w, o);
  if (!is_output) return ESPQ_OK;
  for (size_t i = 0; i < graph->noutputs; i++)
    if (graph->outputs[i] == old) graph->outputs[i] = with;
  return espq_graph_swap_names(graph, old, with, err);
}

/* --- attributes --- */

const espq_attr *espq_node_attr(const espq_node *node, const char *name) {
  for (const espq_attr *a = node->attrs; a; a = a->next)
    if (strcmp(a->name, name) == 0) return a;
  return NULL;
}

static bool copy_string(espq_arena *arena, espq_string *s) {
  if (!s->text) return true;
  s->text = espq_arena_strndup(arena, s->text, s->size);
  return s->text != NULL;
}

static void *copy_list(espq_arena *arena, const void *list, size_t n, size_t size) {
  void *copy = espq_arena_alloc(arena, n, size);
  if (copy && n) memcpy(copy, list, n * size);
  return copy;
}

/* Replaces what *a points to by copies in the arena. */
static bool own_contents(espq_arena *arena, espq_attr *a) {
  a->name = espq_arena_strdup(arena, a->name);
  if (!a->name || !copy_string(arena, &a->s)) return false;
  if (a->ints && !(a->ints = copy_list(arena, a->ints, a->n, sizeof *a->ints))) return false;
  if (a->floats && !(a->floats = copy_list(arena, a->floats, a->n, sizeof *a->floats))) return false;
  if (!a->strings) return true;
  if (!(a->strings = copy_list(arena, a->strings, a->n, sizeof *a->strings))) return false;
  for (size_t i = 0; i < a->n; i++)
    if (!copy_string(arena, &a->strings[i])) return false;
  return true;
}

espq_status espq_node_set_attr(espq_graph *graph, espq_id node, const espq_attr *attr, espq_error *err) {
  espq_attr *own = espq_arena_alloc(graph->arena, 1, sizeof *own);
  if (!own) return espq_fail_memory(err);
  *own = *attr;
  if (!own_contents(graph->arena, own)) return espq_fail_memory(err);
  own->tensor = espq_tensor_retain(attr->tensor);
  own->next = NULL;
  espq_attr **link = &graph->nodes[node].attrs;
  while (*link && strcmp((*link)->name, own->name) != 0) link = &(*link)->next;
  if (*link) {
    espq_tensor_release((*link)->tensor);
    own->next = (*link)->next;
  }
  *link = own;
  return ESPQ_OK;
}

void espq_node_remove_attr(espq_graph *graph, espq_id node, const char *name) {
  for (espq_attr **link = &graph->nodes[node].attrs; *link; link = &(*link)->next) {
    if (strcmp((*link)->name, name) != 0) continue;
    espq_tensor_release((*link)->tensor);
    *link = (*link)->next;
    return;
  }
}

int64_t espq_node_int(const espq_node *node, const char *name, int64_t otherwise) {
  const espq_attr *a = espq_node_attr(node, name);
  return a && a->kind == ESPQ_ATTR_INT ? a->i : otherwise;
}

float espq_node_float(const espq_node *node, const char *name, float otherwise) {
  const espq_attr *a = espq_node_attr(node, name);
  return a && a->kind == ESPQ_ATTR_FLOAT ? a->f : otherwise;
}

const char *espq_node_string(const espq_node *node, const char *name, const char *otherwise) {
  const espq_attr *a = espq_node_attr(node, name);
  return a && a->kind == ESPQ_ATTR_STRING ? a->s.text : otherwise;
}
