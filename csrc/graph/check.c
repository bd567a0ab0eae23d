/* The structural verifier: what every graph must satisfy, whatever its operators mean. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "graph/graph.h"

typedef struct report {
  espq_error *err;
  size_t used;
  int problems;
} report;

static void __attribute__((format(printf, 2, 3))) problem(report *r, const char *fmt, ...) {
  r->problems++;
  if (!r->err || r->used + 2 >= sizeof r->err->text) return;
  if (r->problems > 1) r->used += (size_t)snprintf(r->err->text + r->used, sizeof r->err->text - r->used, "; ");
  va_list ap;
  va_start(ap, fmt);
  int n = vsnprintf(r->err->text + r->used, sizeof r->err->text - r->used, fmt, ap);
  va_end(ap);
  if (n > 0) r->used += (size_t)n;
  if (r->used >= sizeof r->err->text) r->used = sizeof r->err->text - 1;
}

/* Whether the list of v's uses leads to this input: what is before it points at it. */
static bool uses_have(const espq_graph *g, const espq_value *v, espq_id node, int slot) {
  espq_use prev = g->nodes[node].links[slot].prev;
  espq_use here = prev.node == ESPQ_NONE ? v->first_use : espq_graph_next_use(g, prev);
  return here.node == node && here.slot == slot;
}

static bool is_value(const espq_graph *g, espq_id id) {
  return id >= 0 && (size_t)id < g->nvalues && g->values[id].alive;
}

/* order[node] > 0: the node's place in the list, made by the caller. */
static void check_node(report *r, const espq_graph *g, espq_id id) {
  const espq_node *n = &g->nodes[id];
  char label[256];
  espq_node_label(g, n, label, sizeof label);
  for (int i = 0; i < n->nin; i++) {
    if (n->in[i] == ESPQ_NONE) continue;
    if (!is_value(g, n->in[i])) problem(r, "%s: input %d is a removed tensor", label, i);
    else if (!uses_have(g, &g->values[n->in[i]], id, i))
      problem(r, "%s: input %d is not among its tensor's uses", label, i);
    else if (g->values[n->in[i]].producer == ESPQ_NONE && !g->values[n->in[i]].constant &&
             !espq_graph_is_input(g, n->in[i]))
      problem(r, "%s: input %d '%.100s' is made by nobody", label, i, g->values[n->in[i]].name);
  }
  for (int i = 0; i < n->nout; i++) {
    if (n->out[i] == ESPQ_NONE) continue;
    if (!is_value(g, n->out[i])) problem(r, "%s: output %d is a removed tensor", label, i);
    else if (g->values[n->out[i]].producer != id || g->values[n->out[i]].slot != i)
      problem(r, "%s: output %d has another producer", label, i);
  }
}

static void check_value(report *r, const espq_graph *g, espq_id id) {
  const espq_value *v = &g->values[id];
  if (espq_graph_find_value(g, v->name) != id) problem(r, "tensor '%.100s' is not found by its name", v->name);
  int origins = (v->producer != ESPQ_NONE) + (v->constant != NULL) + espq_graph_is_input(g, id);
  if (origins > 1) problem(r, "tensor '%.100s' has %d origins", v->name, origins);
  size_t met = 0;
  for (espq_use u = v->first_use; u.node != ESPQ_NONE && met <= v->nuses; u = espq_graph_next_use(g, u)) {
    const espq_node *n = &g->nodes[u.node];
    met++;
    if (!n->alive || u.slot >= n->nin || n->in[u.slot] != id) {
      problem(r, "tensor '%.100s' lists a use that is none", v->name);
      break;
    }
  }
  if (met != v->nuses) problem(r, "tensor '%.100s' has %zu uses, its list another number", v->name, v->nuses);
}

/* Each node after the producers of its inputs. */
static void check_order(report *r, const espq_graph *g, bool *done) {
  size_t seen = 0;
  for (espq_id id = g->first; id != ESPQ_NONE && seen <= g->live_nodes; id = g->nodes[id].next) {
    seen++;
    const espq_node *n = &g->nodes[id];
    for (int i = 0; i < n->nin; i++) {
      espq_id producer = n->in[i] == ESPQ_NONE ? ESPQ_NONE : g->values[n->in[i]].producer;
      if (producer == ESPQ_NONE || done[producer]) continue;
      char label[256];
      problem(r, "%s stands before the producer of its input '%.100s'", espq_node_label(g, n, label, sizeof label),
              g->values[n->in[i]].name);
    }
    done[id] = true;
  }
  if (seen != g->live_nodes) problem(r, "the node list has %zu entries, expected %zu", seen, g->live_nodes);
}

espq_status espq_graph_verify(const espq_graph *graph, espq_error *err) {
  report r = {.err = err};
  for (size_t i = 0; i < graph->nvalues; i++)
    if (graph->values[i].alive) check_value(&r, graph, (espq_id)i);
  for (size_t i = 0; i < graph->nnodes; i++)
    if (graph->nodes[i].alive) check_node(&r, graph, (espq_id)i);
  bool *done = espq_calloc(graph->nnodes, sizeof *done);
  if (!done) return espq_fail_memory(err);
  check_order(&r, graph, done);
  espq_free(done);
  for (size_t i = 0; i < graph->noutputs; i++)
    if (!is_value(graph, graph->outputs[i])) problem(&r, "graph output %zu is a removed tensor", i);
  if (!r.problems) return ESPQ_OK;
  if (err) err->status = ESPQ_EBUG;
  return ESPQ_EBUG;
}
