/* The form of a node, shapes apart: how many inputs and outputs it has, which attributes, and whether its operator has
 * these in the model's version. */
#include <inttypes.h>
#include <string.h>

#include "ops/kernel.h"

#define ESPQ_OP(name) extern const espq_op espq_op_##name;
#include "ops/ops.def"
#undef ESPQ_OP

/* Where an attribute, or an input (attr NULL), exists. */
typedef struct form {
  const espq_op *op;
  const char *attr;
  int input;
  int64_t first, last;
} form;

#define LAST INT64_MAX

static const form forms[] = {
#define ESPQ_ATTR(op, attr, first, last) {&espq_op_##op, #attr, -1, first, last},
#define ESPQ_INPUT(op, input, first)     {&espq_op_##op, NULL, input, first, LAST},
#include "ops/forms.def"
#undef ESPQ_ATTR
#undef ESPQ_INPUT
};

static bool is_used(const espq_node *n, const form *f) {
  if (f->attr) return espq_node_attr(n, f->attr) != NULL;
  return f->input < n->nin && n->in[f->input] != ESPQ_NONE;
}

static void check_version(espq_text *t, const espq_node *n, int64_t opset) {
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    const form *f = &forms[i];
    if (f->op != n->op || (opset >= f->first && opset <= f->last) || !is_used(n, f)) continue;
    if (f->attr) espq_text_add(t, "attribute '%s' exists ", f->attr);
    else espq_text_add(t, "input %d exists ", f->input);
    if (opset < f->first) espq_text_add(t, "since opset %" PRId64 ", this is %" PRId64 ", ", f->first, opset);
    else espq_text_add(t, "up to opset %" PRId64 ", this is %" PRId64 ", ", f->last, opset);
  }
}

static void check_arity(espq_text *problems, const espq_node *node) {
  const espq_op *op = node->op;
  if (op->max_in < 0 && node->nin < op->min_in)
    espq_text_add(problems, "%d inputs, expected %d or more, ", node->nin, op->min_in);
  if (op->max_in >= 0 && (node->nin < op->min_in || node->nin > op->max_in))
    espq_text_add(problems, "%d inputs, expected %d to %d, ", node->nin, op->min_in, op->max_in);
  if (op->max_out < 0 && node->nout < op->min_out)
    espq_text_add(problems, "%d outputs, expected %d or more, ", node->nout, op->min_out);
  if (op->max_out >= 0 && (node->nout < op->min_out || node->nout > op->max_out))
    espq_text_add(problems, "%d outputs, expected %d to %d, ", node->nout, op->min_out, op->max_out);
  int needed = op->max_in < 0 ? node->nin : op->min_in; /* of any number of inputs none can be left out */
  for (int i = 0; i < needed && i < node->nin; i++)
    if (node->in[i] == ESPQ_NONE) espq_text_add(problems, "input %d is missing, ", i);
  if (op->min_out > 0 && node->nout && node->out[0] == ESPQ_NONE) espq_text_add(problems, "output 0 is missing, ");
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
    bool fused = n->column == ESPQ_COLUMN_V3 && !strcmp(a->name, "activation"); /* ESP-DL v3's Relu in a Conv */
    if (!s && !fused) espq_text_add(t, "unknown attribute '%.80s', ", a->name);
    else if (s && s->kind != a->kind)
      espq_text_add(t, "attribute '%s' is %s, expected %s, ", a->name, kind_names[a->kind], kind_names[s->kind]);
  }
  for (const espq_attr_spec *s = n->op->attrs; s && s->name; s++)
    if (s->required && !espq_node_attr(n, s->name)) espq_text_add(t, "attribute '%s' is missing, ", s->name);
}

espq_status espq_node_check_form(const espq_graph *graph, const espq_node *node, espq_error *err) {
  espq_text wrong = {0};
  char label[256];
  bool old = graph->opset < node->op->since;
  check_arity(&wrong, node);
  check_attrs(&wrong, node);
  if (old)
    espq_text_add(&wrong, "its form of opset %d is not understood, only from %d on, ", (int)graph->opset,
                  node->op->since);
  else check_version(&wrong, node, graph->opset);
  espq_status status = espq_fail_problems(&wrong, old ? ESPQ_EUNSUPPORTED : ESPQ_EFORMAT, "", err);
  return status ? espq_error_prefix(err, "%s", espq_node_label(graph, node, label, sizeof label)) : ESPQ_OK;
}
