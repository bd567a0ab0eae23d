/* Topological order, pruning, cloning: whatever walks the whole graph and changes it. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "graph/graph.h"

/* Producer nodes of n's inputs that are not placed yet, counting repeated edges. */
static int32_t count_inputs(const espq_graph *g, const espq_node *n) {
  int32_t missing = 0;
  for (int i = 0; i < n->nin; i++)
    if (n->in[i] != ESPQ_NONE && g->values[n->in[i]].producer != ESPQ_NONE) missing++;
  return missing;
}

/* A min-heap of positions keeps the order stable: of all ready nodes, the one that stood first goes first. */
typedef struct heap {
  int32_t *item;
  size_t n;
} heap;

static void heap_push(heap *h, int32_t x) {
  size_t i = h->n++;
  for (; i && h->item[(i - 1) / 2] > x; i = (i - 1) / 2) h->item[i] = h->item[(i - 1) / 2];
  h->item[i] = x;
}

static int32_t heap_pop(heap *h) {
  int32_t top = h->item[0], x = h->item[--h->n];
  size_t i = 0;
  for (;;) {
    size_t c = 2 * i + 1;
    if (c >= h->n) break;
    if (c + 1 < h->n && h->item[c + 1] < h->item[c]) c++;
    if (h->item[c] >= x) break;
    h->item[i] = h->item[c];
    i = c;
  }
  h->item[i] = x;
  return top;
}

typedef struct sorter {
  espq_graph *g;
  espq_id *at;       /* position -> node */
  int32_t *position; /* node -> position */
  int32_t *missing;  /* node -> inputs not placed */
  espq_id *order;    /* result */
  heap ready;
  size_t placed;
} sorter;

static void place(sorter *s, espq_id id) {
  s->order[s->placed++] = id;
  const espq_node *n = &s->g->nodes[id];
  for (int i = 0; i < n->nout; i++) {
    if (n->out[i] == ESPQ_NONE) continue;
    const espq_value *v = &s->g->values[n->out[i]];
    for (espq_use u = v->first_use; u.node != ESPQ_NONE; u = espq_graph_next_use(s->g, u))
      if (--s->missing[u.node] == 0) heap_push(&s->ready, s->position[u.node]);
  }
}

static espq_status report_cycle(const sorter *s, espq_error *err) {
  char text[1024] = "";
  size_t used = 0, named = 0;
  for (espq_id id = s->g->first; id != ESPQ_NONE && named < 5; id = s->g->nodes[id].next) {
    if (s->missing[id] <= 0) continue;
    char label[160];
    int n = snprintf(text + used, sizeof text - used, "%s%s", named++ ? ", " : "",
                     espq_node_label(s->g, &s->g->nodes[id], label, sizeof label));
    if (n > 0) used += (size_t)n;
  }
  return espq_fail(err, ESPQ_EFORMAT, "the graph has a cycle through or before %s", text);
}

static void relink(espq_graph *g, const espq_id *order, size_t n) {
  g->first = n ? order[0] : ESPQ_NONE;
  g->last = n ? order[n - 1] : ESPQ_NONE;
  for (size_t i = 0; i < n; i++) {
    g->nodes[order[i]].prev = i ? order[i - 1] : ESPQ_NONE;
    g->nodes[order[i]].next = i + 1 < n ? order[i + 1] : ESPQ_NONE;
  }
}

espq_status espq_graph_sort(espq_graph *graph, espq_error *err) {
  size_t n = graph->nnodes;
  sorter s = {.g = graph};
  s.at = espq_calloc(n, sizeof *s.at);
  s.position = espq_calloc(n, sizeof *s.position);
  s.missing = espq_calloc(n, sizeof *s.missing);
  s.order = espq_calloc(n, sizeof *s.order);
  s.ready.item = espq_calloc(n + 1, sizeof *s.ready.item);
  espq_status status = ESPQ_OK;
  if (!s.at || !s.position || !s.missing || !s.order || !s.ready.item) {
    status = espq_fail_memory(err);
  } else {
    int32_t p = 0;
    for (espq_id id = graph->first; id != ESPQ_NONE; id = graph->nodes[id].next) {
      s.at[p] = id;
      s.position[id] = p++;
      s.missing[id] = count_inputs(graph, &graph->nodes[id]);
    }
    for (int32_t i = 0; i < p; i++)
      if (s.missing[s.at[i]] == 0) heap_push(&s.ready, i);
    while (s.ready.n) place(&s, s.at[heap_pop(&s.ready)]);
    if (s.placed < graph->live_nodes) status = report_cycle(&s, err);
    else relink(graph, s.order, s.placed);
  }
  espq_free(s.at);
  espq_free(s.position);
  espq_free(s.missing);
  espq_free(s.order);
  espq_free(s.ready.item);
  return status;
}

size_t espq_graph_prune(espq_graph *graph) {
  size_t gone = 0;
  for (espq_id id = graph->last; id != ESPQ_NONE;) {
    espq_id prev = graph->nodes[id].prev;
    if (espq_graph_remove_node(graph, id, NULL) == ESPQ_OK) gone++;
    id = prev;
  }
  for (size_t i = 0; i < graph->nvalues; i++) {
    const espq_value *v = &graph->values[i];
    if (!v->alive || v->producer != ESPQ_NONE || v->nuses || espq_graph_is_input(graph, (espq_id)i)) continue;
    if (espq_graph_remove_value(graph, (espq_id)i, NULL) == ESPQ_OK) gone++;
  }
  return gone;
}

/* --- clone --- */

static espq_status clone_value(espq_graph *to, const espq_value *v, espq_id *id, espq_error *err) {
  espq_status status = espq_graph_add_value(to, v->name, id, err);
  if (status) return status;
  if (v->constant) espq_graph_set_constant(to, *id, v->constant);
  espq_value *w = &to->values[*id];
  w->dtype = v->dtype;
  w->shape = v->shape;
  for (int i = 0; i < ESPQ_MAX_RANK; i++) {
    if (!v->symbol[i]) continue;
    w->symbol[i] = espq_arena_strdup(to->arena, v->symbol[i]);
    if (!w->symbol[i]) return espq_fail_memory(err);
  }
  return espq_graph_set_quant(to, *id, v->quant.bits, v->quant.count, v->quant.exponent, err);
}

static espq_status clone_node(espq_graph *to, const espq_node *n, const espq_id *map, espq_id *ids, espq_error *err) {
  for (int i = 0; i < n->nin; i++) ids[i] = n->in[i] == ESPQ_NONE ? ESPQ_NONE : map[n->in[i]];
  for (int i = 0; i < n->nout; i++) ids[n->nin + i] = n->out[i] == ESPQ_NONE ? ESPQ_NONE : map[n->out[i]];
  espq_id id;
  espq_status status =
      espq_graph_add_node(to, ESPQ_NONE, n->domain, n->op_type, n->name, n->nin, ids, n->nout, ids + n->nin, &id, err);
  for (const espq_attr *a = n->attrs; a && !status; a = a->next) status = espq_node_set_attr(to, id, a, err);
  if (status) return status;
  to->nodes[id].op = n->op;
  to->nodes[id].column = n->column;
  return ESPQ_OK;
}

static espq_status clone_header(const espq_graph *g, espq_graph *to, espq_error *err) {
  to->name = espq_arena_strdup(to->arena, g->name);
  to->doc = espq_arena_strdup(to->arena, g->doc);
  to->producer = espq_arena_strdup(to->arena, g->producer);
  to->producer_version = espq_arena_strdup(to->arena, g->producer_version);
  to->domain = espq_arena_strdup(to->arena, g->domain);
  to->model_version = g->model_version;
  to->arithmetic = g->arithmetic;
  to->accumulator = g->accumulator;
  to->reshaped = g->reshaped;
  to->max_bytes = g->max_bytes;
  to->max_elements = g->max_elements;
  to->ir_version = g->ir_version;
  to->opset = g->opset;
  to->opsets = espq_grow(NULL, &to->opsets_capacity, g->nopsets + 1, sizeof *to->opsets);
  if (!to->name || !to->doc || !to->producer || !to->producer_version || !to->domain || !to->opsets)
    return espq_fail_memory(err);
  for (; to->nopsets < g->nopsets; to->nopsets++) {
    espq_opset *o = &to->opsets[to->nopsets];
    *o = g->opsets[to->nopsets];
    o->domain = espq_arena_strdup(to->arena, o->domain);
    if (!o->domain) return espq_fail_memory(err);
  }
  espq_status status = ESPQ_OK;
  for (size_t i = 0; i < g->nmetadata && !status; i++)
    status = espq_graph_add_metadata(to, g->metadata[i].key, g->metadata[i].value, err);
  return status;
}

static espq_status clone_into(const espq_graph *g, espq_graph *to, espq_id *map, espq_error *err) {
  espq_status status = clone_header(g, to, err);
  for (size_t i = 0; i < g->nvalues && !status; i++)
    if (g->values[i].alive) status = clone_value(to, &g->values[i], &map[i], err);
  for (size_t i = 0; i < g->ninputs && !status; i++) status = espq_graph_add_input(to, map[g->inputs[i]], err);
  for (espq_id n = g->first; n != ESPQ_NONE && !status; n = g->nodes[n].next) {
    size_t size = (size_t)g->nodes[n].nin + (size_t)g->nodes[n].nout;
    espq_id *ids = espq_calloc(size, sizeof *ids);
    status = ids ? clone_node(to, &g->nodes[n], map, ids, err) : espq_fail_memory(err);
    espq_free(ids);
  }
  for (size_t i = 0; i < g->noutputs && !status; i++) status = espq_graph_add_output(to, map[g->outputs[i]], err);
  return status;
}

espq_status espq_graph_clone(const espq_graph *graph, espq_graph **out, espq_error *err) {
  espq_graph *to;
  espq_status status = espq_graph_new(&to, err);
  if (status) return status;
  espq_id *map = espq_calloc(graph->nvalues, sizeof *map);
  status = map ? clone_into(graph, to, map, err) : espq_fail_memory(err);
  espq_free(map);
  if (status) espq_graph_free(to);
  else *out = to;
  return status;
}
