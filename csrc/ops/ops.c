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

const espq_v3_facts *espq_op_v3(const espq_op *op) {
  static const espq_v3_facts rows[] = {
#define ESPQ_V3(domain, name, layout, flags) {domain, #name, ESPQ_V3_##layout, flags},
#include "ops/v3.def"
#undef ESPQ_V3
  };
  static const espq_v3_facts nothing = {"", "", ESPQ_V3_ORIGINAL, 0};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (!strcmp(rows[i].name, op->name) && !strcmp(rows[i].domain, op->domain)) return &rows[i];
  return &nothing;
}

void espq_ops_resolve(espq_graph *graph) {
  for (espq_id id = graph->first; id != ESPQ_NONE; id = graph->nodes[id].next) {
    espq_node *n = &graph->nodes[id];
    n->op = espq_op_find(n->domain, n->op_type);
  }
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
    espq_status form = n->op ? espq_node_check_form(graph, n, &one) : ESPQ_OK;
    if (form == ESPQ_EMEMORY) wrong.failed = true;
    else if (form) {
      espq_text_add(&wrong, "%s; ", one.text);
      if (form == ESPQ_EUNSUPPORTED) worst = ESPQ_EUNSUPPORTED;
    }
    if (!n->op)
      espq_text_add(&unknown, "%s%s%s%s; ", espq_node_label(graph, n, label, sizeof label),
                    domain[0] ? " (domain '" : "", domain, domain[0] ? "')" : "");
  }
  espq_status status = espq_fail_problems(&unknown, ESPQ_EUNSUPPORTED, "operators that espquant does not know: ", err);
  if (status && !wrong.failed) {
    espq_free(wrong.data);
    return status;
  }
  return espq_fail_problems(&wrong, worst, "", err);
}

const espq_kernel *espq_kernel_of(const espq_node *node) {
  if (!node->op) return NULL;
  switch (node->column) {
    case ESPQ_COLUMN_F32: return node->op->f32;
    case ESPQ_COLUMN_Q: return node->op->q;
    case ESPQ_COLUMN_V3: break;
  }
  if (node->op->v3) return node->op->v3;
  unsigned flags = espq_op_v3(node->op)->flags;
  if (flags & ESPQ_V3_BY_FLOAT) return &espq_v3_by_float;
  if (!(flags & ESPQ_V3_SAME_KERNEL)) return NULL;
  return node->op->q ? node->op->q : node->op->f32;
}

void espq_kernel_free(const espq_kernel *kernel, void *state) {
  if (kernel && kernel->free && state) kernel->free(state);
  else espq_free(state);
}

espq_status espq_ops_check_node(espq_graph *graph, espq_id node, espq_error *err) {
  espq_node *n = &graph->nodes[node];
  n->op = espq_op_find(n->domain, n->op_type);
  if (!n->op) return ESPQ_OK;
  espq_status status = espq_node_check_form(graph, n, err);
  return status ? status : espq_ops_infer_node(graph, node, err);
}
