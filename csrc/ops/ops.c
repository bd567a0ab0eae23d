/* The operator table, resolution and verification of a graph against it. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "ops/kernel.h"

#define ESPQ_OP(name) extern const espq_op espq_op_##name;
#include "ops/ops.def"
#undef ESPQ_OP

static const espq_op *const table[] = {
#define ESPQ_OP(name) &espq_op_##name,
#include "ops/ops.def"
#undef ESPQ_OP
};

size_t espq_op_count(void) { return sizeof table / sizeof *table; }

const espq_op *espq_op_at(size_t index) { return table[index]; }

const espq_op *espq_op_find(const char *domain, const char *op_type) {
  for (size_t i = 0; i < espq_op_count(); i++)
    if (strcmp(table[i]->name, op_type) == 0 && strcmp(table[i]->domain, domain) == 0) return table[i];
  return NULL;
}

void espq_ops_resolve(espq_graph *graph) {
  for (espq_id id = graph->first; id != ESPQ_NONE; id = graph->nodes[id].next) {
    espq_node *n = &graph->nodes[id];
    n->op = espq_op_find(n->domain, n->op_type);
  }
}

static const espq_attr_spec *find_spec(const espq_op *op, const char *name) {
  for (const espq_attr_spec *s = op->attrs; s && s->name; s++)
    if (strcmp(s->name, name) == 0) return s;
  return NULL;
}

static const char *const kind_names[] = {
    "an integer",         "a float",          "a string",          "a tensor",
    "a list of integers", "a list of floats", "a list of strings", "something opaque"};

static void check_attrs(espq_text *t, const espq_node *n) {
  for (const espq_attr *a = n->attrs; a; a = a->next) {
    const espq_attr_spec *s = find_spec(n->op, a->name);
    if (!s) espq_text_add(t, "unknown attribute '%.80s', ", a->name);
    else if (s->kind != a->kind)
      espq_text_add(t, "attribute '%s' is %s, expected %s, ", a->name, kind_names[a->kind], kind_names[s->kind]);
  }
  for (const espq_attr_spec *s = n->op->attrs; s && s->name; s++)
    if (s->required && !espq_node_attr(n, s->name)) espq_text_add(t, "attribute '%s' is missing, ", s->name);
}

/* "<Op> '<name>': " and what is wrong with the form of a node that has a row, shapes apart. */
static espq_status check_form(const espq_graph *graph, const espq_node *n, espq_error *err) {
  espq_text wrong = {0};
  char label[256];
  espq_node_check_arity(&wrong, n);
  check_attrs(&wrong, n);
  if (graph->opset < n->op->since)
    espq_text_add(&wrong, "its form of opset %d is not understood, only from %d on, ", (int)graph->opset, n->op->since);
  bool old = graph->opset < n->op->since;
  espq_status status = espq_fail_problems(&wrong, old ? ESPQ_EUNSUPPORTED : ESPQ_EFORMAT, "", err);
  return status ? espq_error_prefix(err, "%s", espq_node_label(graph, n, label, sizeof label)) : ESPQ_OK;
}

espq_status espq_ops_verify(espq_graph *graph, espq_error *err) {
  espq_text unknown = {0}, wrong = {0};
  espq_status worst = ESPQ_EFORMAT; /* a file that we do not understand may well be right */
  espq_ops_resolve(graph);
  for (espq_id id = graph->first; id != ESPQ_NONE; id = graph->nodes[id].next) {
    const espq_node *n = &graph->nodes[id];
    espq_error one;
    char label[256];
    const char *domain = n->domain;
    if (n->op && check_form(graph, n, &one)) {
      espq_text_add(&wrong, "%s; ", one.text);
      if (one.status == ESPQ_EUNSUPPORTED) worst = ESPQ_EUNSUPPORTED;
    }
    if (!n->op)
      espq_text_add(&unknown, "%s%s%s%s; ", espq_node_label(graph, n, label, sizeof label),
                    domain[0] ? " (domain '" : "", domain, domain[0] ? "')" : "");
  }
  espq_status status = espq_fail_problems(&unknown, ESPQ_EUNSUPPORTED, "operators that espquant does not know: ", err);
  if (status) {
    espq_free(wrong.data);
    return status;
  }
  return espq_fail_problems(&wrong, worst, "", err);
}

const espq_kernel *espq_kernel_of(const espq_node *node) {
  if (!node->op) return NULL;
  return node->column == ESPQ_COLUMN_Q ? node->op->q : node->op->f32;
}

void espq_kernel_free(const espq_kernel *kernel, void *state) {
  if (kernel && kernel->free && state) kernel->free(state);
  else espq_free(state);
}

espq_status espq_ops_check_node(espq_graph *graph, espq_id node, espq_error *err) {
  espq_node *n = &graph->nodes[node];
  n->op = espq_op_find(n->domain, n->op_type);
  if (!n->op) return ESPQ_OK;
  espq_status status = check_form(graph, n, err);
  return status ? status : espq_ops_infer_node(graph, node, err);
}
