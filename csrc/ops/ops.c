/* The operator table, resolution and verification of a graph against it. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "base/alloc.h"
#include "ops/op.h"

#define ESPQ_OP(name) extern const espq_op espq_op_##name;
#include "ops/ops.def"
#undef ESPQ_OP

static const espq_op *const table[] = {
#define ESPQ_OP(name) &espq_op_##name,
#include "ops/ops.def"
#undef ESPQ_OP
};

size_t espq_op_count(void) {
  return sizeof table / sizeof *table;
}

const espq_op *espq_op_at(size_t index) {
  return table[index];
}

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

static const char *const kind_names[] = {"an integer",         "a float",          "a string", "a tensor", "a list of integers",
                                         "a list of floats", "a list of strings", "something opaque"};

static void check_attrs(espq_text *t, const char *label, const espq_node *n) {
  for (const espq_attr *a = n->attrs; a; a = a->next) {
    const espq_attr_spec *s = find_spec(n->op, a->name);
    if (!s) espq_text_add(t, "%s: unknown attribute '%.80s'; ", label, a->name);
    else if (s->kind != a->kind)
      espq_text_add(t, "%s: attribute '%s' is %s, expected %s; ", label, a->name, kind_names[a->kind], kind_names[s->kind]);
  }
  for (const espq_attr_spec *s = n->op->attrs; s && s->name; s++)
    if (s->required && !espq_node_attr(n, s->name)) espq_text_add(t, "%s: attribute '%s' is missing; ", label, s->name);
}

espq_status espq_ops_verify(espq_graph *graph, espq_error *err) {
  espq_text unknown = {0}, wrong = {0};
  espq_ops_resolve(graph);
  for (espq_id id = graph->first; id != ESPQ_NONE; id = graph->nodes[id].next) {
    const espq_node *n = &graph->nodes[id];
    char label[256];
    espq_node_label(graph, n, label, sizeof label);
    if (!n->op) {
      espq_text_add(&unknown, "%s%s%s%s; ", label, n->domain[0] ? " (domain '" : "", n->domain, n->domain[0] ? "')" : "");
      continue;
    }
    espq_node_check_arity(&wrong, graph, n);
    check_attrs(&wrong, label, n);
    if (graph->opset < n->op->since)
      espq_text_add(&wrong, "%s: its form of opset %d is not understood, only from %d on; ", label, (int)graph->opset,
                    n->op->since);
  }
  espq_status status = espq_fail_problems(&unknown, ESPQ_EUNSUPPORTED, "operators that espquant does not know: ", err);
  if (status) {
    espq_free(wrong.data);
    return status;
  }
  return espq_fail_problems(&wrong, ESPQ_EFORMAT, "", err);
}

const espq_kernel *espq_kernel_of(const espq_node *node) {
  if (!node->op) return NULL;
  return node->column == ESPQ_COLUMN_Q ? node->op->q : node->op->f32;
}

void espq_kernel_free(const espq_kernel *kernel, void *state) {
  if (kernel && kernel->free && state) kernel->free(state);
  else espq_free(state);
}
