/* Readable text of a graph: one line per input, constant-carrying node and output. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "graph/graph.h"

char *espq_node_label(const espq_graph *graph, const espq_node *node, char *text, size_t size) {
  const char *out = node->nout && node->out[0] != ESPQ_NONE ? graph->values[node->out[0]].name : "?";
  if (node->name[0]) snprintf(text, size, "%.60s '%.120s'", node->op_type, node->name);
  else snprintf(text, size, "%.60s -> '%.120s'", node->op_type, out);
  return text;
}

static void print_dim(espq_text *t, const espq_value *v, int i) {
  if (v->symbol[i]) espq_text_add(t, "%s%s", i ? "x" : "", v->symbol[i]);
  else if (v->shape.dim[i] < 0) espq_text_add(t, "%s?", i ? "x" : "");
  else espq_text_add(t, "%s%" PRId64, i ? "x" : "", v->shape.dim[i]);
}

static void print_type(espq_text *t, const espq_value *v) {
  espq_text_add(t, "%s ", espq_dtype_name(v->dtype));
  if (v->shape.rank < 0) espq_text_add(t, "?");
  if (v->shape.rank == 0) espq_text_add(t, "scalar");
  for (int i = 0; i < v->shape.rank; i++) print_dim(t, v, i);
  if (!v->quant.bits) return;
  espq_text_add(t, " q%d 2^%" PRId32, v->quant.bits, v->quant.exponent[0]);
  if (v->quant.count > 1) espq_text_add(t, "..(%d)", v->quant.count);
}

static void print_attr(espq_text *t, const espq_attr *a, bool first) {
  espq_text_add(t, "%s%s=", first ? "" : ", ", a->name);
  switch (a->kind) {
    case ESPQ_ATTR_INT: espq_text_add(t, "%" PRId64, a->i); break;
    case ESPQ_ATTR_FLOAT: espq_text_add(t, "%g", (double)a->f); break;
    case ESPQ_ATTR_STRING: espq_text_add(t, "'%s'", a->s.text); break;
    case ESPQ_ATTR_TENSOR: espq_text_add(t, "<tensor>"); break;
    case ESPQ_ATTR_INTS:
      for (size_t i = 0; i < a->n; i++) espq_text_add(t, "%s%" PRId64, i ? "," : "[", a->ints[i]);
      espq_text_add(t, a->n ? "]" : "[]");
      break;
    case ESPQ_ATTR_FLOATS:
      for (size_t i = 0; i < a->n; i++) espq_text_add(t, "%s%g", i ? "," : "[", (double)a->floats[i]);
      espq_text_add(t, a->n ? "]" : "[]");
      break;
    case ESPQ_ATTR_STRINGS: espq_text_add(t, "<%zu strings>", a->n); break;
    case ESPQ_ATTR_OPAQUE: espq_text_add(t, "<%zu bytes>", a->s.size); break;
  }
}

static void print_ids(espq_text *t, const espq_graph *g, const espq_id *ids, int n) {
  for (int i = 0; i < n; i++) {
    if (i) espq_text_add(t, ", ");
    if (ids[i] == ESPQ_NONE) espq_text_add(t, "-");
    else espq_text_add(t, "%s", g->values[ids[i]].name);
  }
}

static void print_node(espq_text *t, const espq_graph *g, const espq_node *n) {
  espq_text_add(t, "  ");
  print_ids(t, g, n->out, n->nout);
  if (n->nout == 1 && n->out[0] != ESPQ_NONE) {
    espq_text_add(t, ": ");
    print_type(t, &g->values[n->out[0]]);
  }
  espq_text_add(t, " = %s%s%s(", n->domain, n->domain[0] ? "::" : "", n->op_type);
  print_ids(t, g, n->in, n->nin);
  espq_text_add(t, ")");
  if (n->attrs) espq_text_add(t, " {");
  for (const espq_attr *a = n->attrs; a; a = a->next) print_attr(t, a, a == n->attrs);
  if (n->attrs) espq_text_add(t, "}");
  if (n->name[0]) espq_text_add(t, "  # %s", n->name);
  espq_text_add(t, "\n");
}

static void print_ports(espq_text *t, const espq_graph *g, const char *what, const espq_id *ids, size_t n) {
  for (size_t i = 0; i < n; i++) {
    espq_text_add(t, "  %s %s: ", what, g->values[ids[i]].name);
    print_type(t, &g->values[ids[i]]);
    espq_text_add(t, "\n");
  }
}

char *espq_graph_print(const espq_graph *graph) {
  espq_text t = {0};
  size_t constants = 0, bytes = 0;
  for (size_t i = 0; i < graph->nvalues; i++) {
    if (!graph->values[i].constant) continue;
    constants++;
    bytes += espq_tensor_bytes(graph->values[i].constant);
  }
  espq_text_add(&t, "graph '%s': opset %" PRId64 ", %zu nodes, %zu constants (%zu bytes)\n", graph->name, graph->opset,
                graph->live_nodes, constants, bytes);
  print_ports(&t, graph, "input", graph->inputs, graph->ninputs);
  for (espq_id n = graph->first; n != ESPQ_NONE; n = graph->nodes[n].next) print_node(&t, graph, &graph->nodes[n]);
  print_ports(&t, graph, "output", graph->outputs, graph->noutputs);
  return espq_text_take(&t);
}
