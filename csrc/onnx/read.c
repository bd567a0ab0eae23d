#include "onnx/read.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "onnx/proto.h"
#include "onnx/scan.h"
#include "onnx/splice.h"

enum { BY_INPUT = -1, BY_INITIALIZER = -2, LABEL = 256 };

typedef struct reader {
  const Onnx__ModelProto *model;
  const Onnx__GraphProto *proto;
  espq_functions functions;
  espq_graph *graph;
  espq_onnx_source source;
  espq_arena *arena; /* of the messages */
  int32_t *maker;    /* per value: BY_INPUT, BY_INITIALIZER or the index of the NodeProto */
  size_t maker_capacity;
  espq_error *err;
} reader;

/* --- names of things in messages --- */

static const char *node_label(const Onnx__NodeProto *n, char text[LABEL]) {
  const char *name = espq_onnx_text(n->name), *op = espq_onnx_text(n->op_type);
  if (*name) snprintf(text, LABEL, "%.60s '%.120s'", op, name);
  else snprintf(text, LABEL, "%.60s -> '%.120s'", op, n->n_output ? n->output[0] : "?");
  return text;
}

static const char *maker_label(const reader *r, int32_t maker, char text[LABEL]) {
  if (maker >= 0) return node_label(r->proto->node[maker], text);
  return maker == BY_INPUT ? "the graph's inputs" : "the initializers";
}

static const char *default_domain(const char *domain) {
  return !domain || strcmp(domain, "ai.onnx") == 0 ? "" : domain;
}

/* Several problems of one kind in one message: the first ones are written out. */
typedef struct problems {
  size_t count, used;
  char text[1500];
} problems;

static void __attribute__((format(printf, 2, 3))) add_problem(problems *p, const char *fmt, ...) {
  if (p->count++ >= 8 || p->used >= sizeof p->text - 1) return;
  if (p->used) p->used += (size_t)snprintf(p->text + p->used, sizeof p->text - p->used, "; ");
  if (p->used >= sizeof p->text) return;
  va_list ap;
  va_start(ap, fmt);
  int n = vsnprintf(p->text + p->used, sizeof p->text - p->used, fmt, ap);
  va_end(ap);
  if (n > 0) p->used += (size_t)n;
}

static espq_status report(const problems *p, espq_status status, espq_error *err) {
  if (p->count == 0) return ESPQ_OK;
  if (p->count > 8) return espq_fail(err, status, "%s; and %zu more", p->text, p->count - 8);
  return espq_fail(err, status, "%s", p->text);
}

/* --- values --- */

/* A value that must be new; `maker` is for the message when it is not. */
static espq_status define(reader *r, const char *name, int32_t maker, espq_id *out) {
  espq_id old = espq_graph_find_value(r->graph, name);
  char a[LABEL], b[LABEL];
  if (old != ESPQ_NONE)
    return espq_fail(r->err, ESPQ_EFORMAT, "tensor '%.200s' is defined twice: by %s and by %s", name,
                     maker_label(r, r->maker[old], a), maker_label(r, maker, b));
  int32_t *grown = espq_grow(r->maker, &r->maker_capacity, r->graph->nvalues + 1, sizeof *grown);
  if (!grown) return espq_fail_memory(r->err);
  r->maker = grown;
  espq_status status = espq_graph_add_value(r->graph, name, out, r->err);
  if (status == ESPQ_OK) r->maker[*out] = maker;
  return status;
}

static espq_status define_constant(reader *r, const char *name, int32_t maker, espq_tensor *tensor) {
  espq_id id;
  espq_status status = define(r, name, maker, &id);
  if (status == ESPQ_OK) espq_graph_set_constant(r->graph, id, tensor);
  return status;
}

/* Gives initializer i the raw_data that the skeleton left in the file's bytes. */
static void use_payload(reader *r, Onnx__TensorProto *p, size_t i) {
  r->source.payload = espq_skeleton_payload(r->source.skeleton, i);
  if (r->source.payload.size) p->raw_data = espq_skeleton_raw(r->source.skeleton, r->source.payload);
}

static espq_status read_initializers(reader *r) {
  for (size_t i = 0; i < r->proto->n_initializer; i++) {
    Onnx__TensorProto *p = r->proto->initializer[i];
    espq_tensor *tensor;
    use_payload(r, p, i);
    if (!p->name || !*p->name) return espq_fail(r->err, ESPQ_EFORMAT, "initializer %zu has no name", i);
    espq_status status = espq_onnx_tensor_decode(p, &r->source, &tensor, r->err);
    if (status) {
      espq_error_prefix(r->err, "initializer '%.200s'", p->name);
      return status;
    }
    status = define_constant(r, p->name, BY_INITIALIZER, tensor);
    espq_tensor_release(tensor);
    if (status) return status;
  }
  r->source.payload = (espq_payload){0};
  return ESPQ_OK;
}

static espq_status read_sparse_initializers(reader *r) {
  for (size_t i = 0; i < r->proto->n_sparse_initializer; i++) {
    const Onnx__SparseTensorProto *p = r->proto->sparse_initializer[i];
    const char *name = p->values ? espq_onnx_text(p->values->name) : "";
    espq_tensor *tensor;
    if (!*name) return espq_fail(r->err, ESPQ_EFORMAT, "sparse initializer %zu has no name", i);
    espq_status status = espq_onnx_sparse_decode(p, &r->source, &tensor, r->err);
    if (status) {
      espq_error_prefix(r->err, "sparse initializer '%.200s'", name);
      return status;
    }
    status = define_constant(r, name, BY_INITIALIZER, tensor);
    espq_tensor_release(tensor);
    if (status) return status;
  }
  return ESPQ_OK;
}

/* --- types --- */

static const char *type_kind(const Onnx__TypeProto *t) {
  if (t->sequence_type) return "a sequence";
  if (t->map_type) return "a map";
  if (t->optional_type) return "an optional";
  if (t->sparse_tensor_type) return "a sparse tensor";
  return t->opaque_type ? "an opaque type" : "of no type";
}

static espq_status set_shape(reader *r, espq_value *v, const Onnx__TensorShapeProto *shape) {
  v->shape.rank = (int)shape->n_dim;
  for (size_t i = 0; i < shape->n_dim; i++) {
    const Onnx__TensorShapeProto__Dimension *d = shape->dim[i];
    bool known = d->has_dim_value && d->dim_value > 0;
    v->shape.dim[i] = known ? d->dim_value : -1;
    v->symbol[i] = NULL;
    if (known || !d->dim_param || !*d->dim_param) continue;
    v->symbol[i] = espq_arena_strdup(r->graph->arena, d->dim_param);
    if (!v->symbol[i]) return espq_fail_memory(r->err);
  }
  return ESPQ_OK;
}

/* What the file says about a value; constants know better. */
static espq_status set_type(reader *r, espq_id id, const Onnx__TypeProto *t) {
  espq_value *v = &r->graph->values[id];
  if (v->constant || !t || !t->tensor_type) return ESPQ_OK;
  v->dtype = espq_onnx_dtype(t->tensor_type->elem_type);
  const Onnx__TensorShapeProto *shape = t->tensor_type->shape;
  return shape && shape->n_dim <= ESPQ_MAX_RANK ? set_shape(r, v, shape) : ESPQ_OK;
}

static espq_status check_port_type(reader *r, const char *what, const Onnx__ValueInfoProto *p) {
  const Onnx__TypeProto *t = p->type;
  if (!t || !t->tensor_type)
    return espq_fail(r->err, t ? ESPQ_EUNSUPPORTED : ESPQ_EFORMAT, "%s '%.200s' is %s: only tensors are supported",
                     what, p->name, t ? type_kind(t) : "of no type");
  int32_t type = t->tensor_type->elem_type;
  if (type && espq_onnx_dtype(type) == ESPQ_DTYPE_NONE)
    return espq_fail(r->err, ESPQ_EUNSUPPORTED,
                     "%s '%.200s' has elements of type %s (%" PRId32 "), which is not supported", what, p->name,
                     espq_onnx_dtype_name(type), type);
  const Onnx__TensorShapeProto *shape = t->tensor_type->shape;
  if (shape && shape->n_dim > ESPQ_MAX_RANK)
    return espq_fail(r->err, ESPQ_ELIMIT, "%s '%.200s' has %zu dimensions, the limit is %d", what, p->name,
                     shape->n_dim, ESPQ_MAX_RANK);
  return ESPQ_OK;
}

/* Old files list the initializers among the inputs: these stay constants. */
static espq_status read_inputs(reader *r) {
  for (size_t i = 0; i < r->proto->n_input; i++) {
    const Onnx__ValueInfoProto *p = r->proto->input[i];
    espq_id id;
    if (!p->name || !*p->name) return espq_fail(r->err, ESPQ_EFORMAT, "graph input %zu has no name", i);
    id = espq_graph_find_value(r->graph, p->name);
    if (id != ESPQ_NONE && r->maker[id] == BY_INITIALIZER) continue;
    espq_status status = check_port_type(r, "graph input", p);
    if (status == ESPQ_OK && r->graph->ninputs >= ESPQ_ONNX_MAX_INPUTS)
      status = espq_fail(r->err, ESPQ_ELIMIT, "more than %d graph inputs", ESPQ_ONNX_MAX_INPUTS);
    if (status == ESPQ_OK) status = define(r, p->name, BY_INPUT, &id);
    if (status == ESPQ_OK) status = set_type(r, id, p->type);
    if (status == ESPQ_OK) status = espq_graph_add_input(r->graph, id, r->err);
    if (status) return status;
  }
  return ESPQ_OK;
}

static espq_status read_outputs(reader *r) {
  problems missing = {0};
  if (r->proto->n_output == 0) return espq_fail(r->err, ESPQ_EFORMAT, "the graph has no outputs");
  for (size_t i = 0; i < r->proto->n_output; i++) {
    const Onnx__ValueInfoProto *p = r->proto->output[i];
    if (!p->name || !*p->name) return espq_fail(r->err, ESPQ_EFORMAT, "graph output %zu has no name", i);
    espq_id id = espq_graph_find_value(r->graph, p->name);
    if (id == ESPQ_NONE) {
      add_problem(&missing, "graph output '%.100s' is made by no node", p->name);
      continue;
    }
    if (espq_graph_is_output(r->graph, id))
      return espq_fail(r->err, ESPQ_EFORMAT, "graph output '%.200s' is listed twice", p->name);
    espq_status status = p->type ? check_port_type(r, "graph output", p) : ESPQ_OK;
    if (status == ESPQ_OK && r->maker[id] >= 0) status = set_type(r, id, p->type);
    if (status == ESPQ_OK) status = espq_graph_add_output(r->graph, id, r->err);
    if (status) return status;
  }
  return report(&missing, ESPQ_EFORMAT, r->err);
}

static bool has_known_type(const Onnx__TypeProto *t) {
  return t && t->tensor_type && espq_onnx_dtype(t->tensor_type->elem_type) != ESPQ_DTYPE_NONE;
}

static espq_status read_value_info(reader *r) {
  for (size_t i = 0; i < r->proto->n_value_info; i++) {
    const Onnx__ValueInfoProto *p = r->proto->value_info[i];
    espq_id id = p->name ? espq_graph_find_value(r->graph, p->name) : ESPQ_NONE;
    if (id == ESPQ_NONE || r->maker[id] < 0 || !has_known_type(p->type)) continue;
    espq_status status = set_type(r, id, p->type);
    if (status) return status;
  }
  return ESPQ_OK;
}

/* --- Constant nodes --- */

static espq_status read_constant_node(reader *r, size_t index) {
  const Onnx__NodeProto *n = r->proto->node[index];
  espq_tensor *tensor;
  espq_status status = espq_onnx_constant_decode(n, &r->source, &tensor, r->err);
  if (status) {
    char label[LABEL];
    espq_error_prefix(r->err, "%s", node_label(n, label));
    return status;
  }
  status = define_constant(r, n->output[0], (int32_t)index, tensor);
  espq_tensor_release(tensor);
  return status;
}

/* --- nodes --- */

static bool is_listed(const espq_graph *g, const char *domain) {
  if (!*domain) return true;
  for (size_t i = 0; i < g->nopsets; i++)
    if (strcmp(g->opsets[i].domain, domain) == 0) return true;
  return false;
}

static espq_status check_operator(reader *r, size_t index) {
  const Onnx__NodeProto *n = r->proto->node[index];
  char label[LABEL];
  if (!n->op_type || !*n->op_type)
    return espq_fail(r->err, ESPQ_EFORMAT, "node %zu (%s) has no op_type", index, node_label(n, label));
  if (!is_listed(r->graph, default_domain(n->domain)))
    return espq_fail(r->err, ESPQ_EFORMAT, "%s: domain '%.100s' is not in opset_import", node_label(n, label),
                     n->domain);
  return ESPQ_OK;
}

/* Values first, because a node may stand before the maker of its input. */
static espq_status define_outputs(reader *r) {
  for (size_t i = 0; i < r->proto->n_node; i++) {
    const Onnx__NodeProto *n = r->proto->node[i];
    espq_id id;
    espq_status status = check_operator(r, i);
    if (status) return status;
    if (espq_onnx_is_constant(n)) status = read_constant_node(r, i);
    else
      for (size_t k = 0; k < n->n_output && !status; k++)
        if (*n->output[k]) status = define(r, n->output[k], (int32_t)i, &id);
    if (status) return status;
  }
  return ESPQ_OK;
}

static espq_status check_inputs(reader *r) {
  problems missing = {0};
  char label[LABEL];
  for (size_t i = 0; i < r->proto->n_node; i++) {
    const Onnx__NodeProto *n = r->proto->node[i];
    for (size_t k = 0; k < n->n_input; k++)
      if (*n->input[k] && espq_graph_find_value(r->graph, n->input[k]) == ESPQ_NONE)
        add_problem(&missing, "%s: input %zu '%.100s' is made by nobody", node_label(n, label), k, n->input[k]);
  }
  return report(&missing, ESPQ_EFORMAT, r->err);
}

static espq_status read_attributes(reader *r, const Onnx__NodeProto *n, espq_id node) {
  char label[LABEL];
  for (size_t i = 0; i < n->n_attribute; i++) {
    const Onnx__AttributeProto *a = n->attribute[i];
    espq_status status;
    if (!a->name || !*a->name) status = espq_fail(r->err, ESPQ_EFORMAT, "has no name");
    else if (espq_node_attr(&r->graph->nodes[node], a->name)) status = espq_fail(r->err, ESPQ_EFORMAT, "appears twice");
    else status = espq_onnx_attribute_decode(a, &r->source, r->graph, node, r->err);
    if (status) {
      espq_error_prefix(r->err, "%s: attribute '%.100s'", node_label(n, label), espq_onnx_text(a->name));
      return status;
    }
  }
  return ESPQ_OK;
}

static void find_ids(const reader *r, char **names, size_t n, espq_id *ids) {
  for (size_t i = 0; i < n; i++) ids[i] = *names[i] ? espq_graph_find_value(r->graph, names[i]) : ESPQ_NONE;
}

/* What a splice made belongs to the node that called. */
static espq_status note_makers(reader *r, size_t from, int32_t maker) {
  int32_t *grown = espq_grow(r->maker, &r->maker_capacity, r->graph->nvalues, sizeof *grown);
  if (!grown) return espq_fail_memory(r->err);
  r->maker = grown;
  for (size_t i = from; i < r->graph->nvalues; i++) r->maker[i] = maker;
  return ESPQ_OK;
}

/* The body of a function in place of its call; its results go on under the call's names. */
static espq_status read_call(reader *r, size_t index, const espq_id *in, const espq_id *out) {
  const Onnx__NodeProto *n = r->proto->node[index];
  const Onnx__FunctionProto *f = espq_splice_find(&r->functions, n);
  espq_splice s = {
      .graph = r->graph, .source = &r->source, .functions = &r->functions, .before = ESPQ_NONE, .arena = r->arena};
  size_t before = r->graph->nvalues;
  espq_id *results = espq_calloc(f->n_output + 1, sizeof *results), node;
  if (!results) return espq_fail_memory(r->err);
  espq_status status = espq_splice_function(&s, n, in, results, r->err);
  for (size_t i = 0; i < n->n_output && !status; i++)
    if (out[i] != ESPQ_NONE)
      status = espq_graph_add_node(r->graph, ESPQ_NONE, "", "Identity", "", 1, &results[i], 1, &out[i], &node, r->err);
  espq_free(results);
  return status ? status : note_makers(r, before, (int32_t)index);
}

static espq_status read_node(reader *r, size_t index) {
  const Onnx__NodeProto *n = r->proto->node[index];
  espq_id node;
  espq_id *ids = espq_calloc(n->n_input + n->n_output, sizeof *ids);
  if (!ids) return espq_fail_memory(r->err);
  find_ids(r, n->input, n->n_input, ids);
  find_ids(r, n->output, n->n_output, ids + n->n_input);
  if (espq_splice_find(&r->functions, n)) {
    espq_status spliced = read_call(r, index, ids, ids + n->n_input);
    espq_free(ids);
    return spliced;
  }
  espq_status status =
      espq_graph_add_node(r->graph, ESPQ_NONE, default_domain(n->domain), n->op_type, espq_onnx_text(n->name),
                          (int)n->n_input, ids, (int)n->n_output, ids + n->n_input, &node, r->err);
  espq_free(ids);
  return status ? status : read_attributes(r, n, node);
}

static espq_status read_nodes(reader *r) {
  espq_status status = define_outputs(r);
  if (status == ESPQ_OK) status = check_inputs(r);
  for (size_t i = 0; i < r->proto->n_node && !status; i++)
    if (!espq_onnx_is_constant(r->proto->node[i])) status = read_node(r, i);
  return status;
}

/* --- the model --- */

static espq_status check_versions(reader *r) {
  int64_t ir = r->model->ir_version;
  if (ir < ESPQ_ONNX_IR_MIN)
    return espq_fail(r->err, ir > 0 ? ESPQ_EUNSUPPORTED : ESPQ_EFORMAT, "IR version is %" PRId64 ", expected %d to %d",
                     ir, ESPQ_ONNX_IR_MIN, ESPQ_ONNX_IR_MAX);
  if (ir > ESPQ_ONNX_IR_MAX)
    espq_onnx_note(r->source.notes, "IR version %" PRId64 " is newer than %d: what is new in it is ignored", ir,
                   ESPQ_ONNX_IR_MAX);
  r->graph->ir_version = ir;
  return ESPQ_OK;
}

static espq_status set_opset(reader *r, int64_t version) {
  if (version < ESPQ_ONNX_OPSET_MIN)
    return espq_fail(r->err, version > 0 ? ESPQ_EUNSUPPORTED : ESPQ_EFORMAT,
                     "opset version is %" PRId64 ", expected %d to %d", version, ESPQ_ONNX_OPSET_MIN,
                     ESPQ_ONNX_OPSET_MAX);
  if (version > ESPQ_ONNX_OPSET_MAX)
    espq_onnx_note(r->source.notes, "opset version %" PRId64 " is newer than %d: operators are read as in %d", version,
                   ESPQ_ONNX_OPSET_MAX, ESPQ_ONNX_OPSET_MAX);
  r->graph->opset = version;
  return ESPQ_OK;
}

static espq_status add_opset(reader *r, const char *domain, int64_t version) {
  espq_graph *g = r->graph;
  for (size_t i = 0; i < g->nopsets; i++)
    if (strcmp(g->opsets[i].domain, domain) == 0)
      return espq_fail(r->err, ESPQ_EFORMAT, "opset_import lists domain '%.100s' twice", domain);
  espq_opset *grown = espq_grow(g->opsets, &g->opsets_capacity, g->nopsets + 1, sizeof *grown);
  if (!grown) return espq_fail_memory(r->err);
  g->opsets = grown;
  const char *own = espq_arena_strdup(g->arena, domain);
  if (!own) return espq_fail_memory(r->err);
  g->opsets[g->nopsets++] = (espq_opset){own, version};
  return ESPQ_OK;
}

static espq_status read_opsets(reader *r) {
  bool found = false;
  for (size_t i = 0; i < r->model->n_opset_import; i++) {
    const Onnx__OperatorSetIdProto *p = r->model->opset_import[i];
    const char *domain = default_domain(p->domain);
    espq_status status;
    if (*domain) status = add_opset(r, domain, p->version);
    else if (found) status = espq_fail(r->err, ESPQ_EFORMAT, "opset_import lists the default domain twice");
    else status = set_opset(r, p->version);
    if (status) return status;
    found |= *domain == 0;
  }
  return found ? ESPQ_OK : espq_fail(r->err, ESPQ_EFORMAT, "opset_import does not list the default domain");
}

static espq_status check_supported(reader *r) {
  const Onnx__ModelProto *m = r->model;
  if (m->n_training_info) return espq_fail(r->err, ESPQ_EUNSUPPORTED, "training_info is not supported");
  return ESPQ_OK;
}

/* Who made the model, and what they noted in it. */
static espq_status read_about(reader *r) {
  espq_graph *g = r->graph;
  const Onnx__ModelProto *m = r->model;
  g->producer = espq_arena_strdup(g->arena, espq_onnx_text(m->producer_name));
  g->producer_version = espq_arena_strdup(g->arena, espq_onnx_text(m->producer_version));
  g->domain = espq_arena_strdup(g->arena, espq_onnx_text(m->domain));
  g->model_version = m->model_version;
  espq_status status = g->producer && g->producer_version && g->domain ? ESPQ_OK : espq_fail_memory(r->err);
  for (size_t i = 0; i < m->n_metadata_props && !status; i++) {
    const Onnx__StringStringEntryProto *p = m->metadata_props[i];
    status = espq_graph_add_metadata(g, espq_onnx_text(p->key), espq_onnx_text(p->value), r->err);
  }
  return status;
}

static espq_status read_header(reader *r) {
  espq_graph *g = r->graph;
  const char *name = espq_onnx_text(r->proto->name);
  espq_status status = check_versions(r);
  if (status == ESPQ_OK) status = read_opsets(r);
  if (status == ESPQ_OK) status = check_supported(r);
  if (status) return status;
  g->name = espq_arena_strdup(g->arena, *name ? name : "main_graph");
  g->doc = espq_arena_strdup(g->arena, espq_onnx_text(r->proto->doc_string));
  return g->name && g->doc ? read_about(r) : espq_fail_memory(r->err);
}

static espq_status read_graph(reader *r) {
  espq_status status = read_header(r);
  if (status == ESPQ_OK) status = read_initializers(r);
  if (status == ESPQ_OK) status = read_sparse_initializers(r);
  if (status == ESPQ_OK) status = read_inputs(r);
  if (status == ESPQ_OK) status = read_nodes(r);
  if (status == ESPQ_OK) status = read_value_info(r);
  if (status == ESPQ_OK) status = read_outputs(r);
  if (status == ESPQ_OK) status = espq_graph_sort(r->graph, r->err);
  return status;
}

static espq_status build(const Onnx__ModelProto *model, espq_onnx_source source, espq_arena *arena, espq_graph **out,
                         espq_error *err) {
  reader r = {.model = model, .proto = model->graph, .source = source, .arena = arena, .err = err};
  if (!r.proto) return espq_fail(err, ESPQ_EFORMAT, "not an ONNX model: it holds no graph");
  espq_status status = espq_graph_new(&r.graph, err);
  if (status) return status;
  r.graph->max_bytes = source.limits->bytes;
  r.graph->max_elements = source.limits->elements;
  status = espq_functions_init(&r.functions, model, arena, err);
  if (!status) status = read_graph(&r);
  espq_names_free(r.functions.by_key);
  espq_free(r.maker);
  if (status) espq_graph_free(r.graph);
  else *out = r.graph;
  return status;
}

/* A protobuf message has at most ESPQ_ONNX_MAX_BYTES, whatever a user allows for external data. */
static size_t file_limit(const espq_onnx_limits *limits) {
  return limits->bytes < ESPQ_ONNX_MAX_BYTES ? (size_t)limits->bytes : ESPQ_ONNX_MAX_BYTES;
}

static espq_onnx_source source_of(const char *dir, const espq_onnx_limits *limits, espq_onnx_notes *notes) {
  return (espq_onnx_source){
      .dir = dir, .external_left = limits->bytes, .sums = {.left = limits->bytes}, .limits = limits, .notes = notes};
}

/* Scans a message, which errors call `what`. */
static espq_status check(const ProtobufCMessageDescriptor *type, const char *what, const void *bytes, size_t size,
                         const espq_onnx_limits *limits, espq_error *err) {
  if (size > file_limit(limits))
    return espq_fail(err, ESPQ_ELIMIT, "the %s has %zu bytes, the limit is %zu (--limit-bytes)", what, size,
                     file_limit(limits));
  if (size == 0) return espq_fail(err, ESPQ_EFORMAT, "not an ONNX %s: it is empty", what);
  espq_status status = espq_onnx_scan(type, bytes, size, limits, err);
  if (status) espq_error_prefix(err, "not a valid ONNX %s", what);
  return status;
}

/* The same, and unpacks it; afterwards the bytes are no longer needed. */
static espq_status parse(const ProtobufCMessageDescriptor *type, const char *what, const void *bytes, size_t size,
                         const espq_onnx_limits *limits, espq_arena *arena, void *out, espq_error *err) {
  espq_status status = check(type, what, bytes, size, limits, err);
  return status ? status : espq_onnx_unpack(type, bytes, size, arena, out, err);
}

espq_status espq_onnx_decode(const void *bytes, size_t size, const char *dir, const espq_onnx_limits *limits,
                             espq_graph **out, espq_onnx_notes *notes, espq_error *err) {
  Onnx__ModelProto *model;
  if (!limits) limits = &espq_onnx_usual_limits;
  espq_arena *arena = espq_arena_new();
  if (!arena) return espq_fail_memory(err);
  espq_status status = parse(&onnx__model_proto__descriptor, "model", bytes, size, limits, arena, &model, err);
  if (status == ESPQ_OK) status = build(model, source_of(dir, limits, notes), arena, out, err);
  espq_arena_free(arena);
  return status;
}

/* The folder part of a path, "" for the current one; NULL: no memory. */
static char *folder_of(const char *path, espq_arena *arena) {
  const char *slash = strrchr(path, '/');
  if (!slash) return espq_arena_strdup(arena, "");
  return espq_arena_strndup(arena, path, slash == path ? 1 : (size_t)(slash - path));
}

static espq_status read_in(const char *path, const espq_onnx_limits *limits, espq_arena *arena, espq_graph **out,
                           espq_onnx_notes *notes, espq_error *err) {
  unsigned char *bytes;
  size_t size;
  Onnx__ModelProto *model;
  espq_onnx_source source = source_of(folder_of(path, arena), limits, notes);
  if (!source.dir) return espq_fail_memory(err);
  espq_skeleton skeleton = {0};
  espq_status status = espq_file_read(path, file_limit(limits), &bytes, &size, err);
  if (status == ESPQ_ELIMIT) espq_error_append(err, " (--limit-bytes)");
  if (status) return status;
  status = check(&onnx__model_proto__descriptor, "model", bytes, size, limits, err);
  if (status) espq_free(bytes);
  else status = espq_skeleton_make(bytes, size, &skeleton, err);
  if (status == ESPQ_OK) {
    source.skeleton = &skeleton;
    status = espq_onnx_unpack(&onnx__model_proto__descriptor, skeleton.bytes, skeleton.size, arena,
                              (ProtobufCMessage **)&model, err);
  }
  if (status == ESPQ_OK) status = build(model, source, arena, out, err);
  espq_skeleton_free(&skeleton);
  if (status) espq_error_prefix(err, "%s", path);
  return status;
}

espq_status espq_onnx_read(const char *path, const espq_onnx_limits *limits, espq_graph **out, espq_onnx_notes *notes,
                           espq_error *err) {
  espq_arena *arena = espq_arena_new();
  if (!arena) return espq_fail_memory(err);
  espq_status status = read_in(path, limits ? limits : &espq_onnx_usual_limits, arena, out, notes, err);
  espq_arena_free(arena);
  return status;
}

static espq_status read_tensor_in(const char *path, espq_arena *arena, espq_tensor **out, espq_error *err) {
  unsigned char *bytes;
  size_t size;
  Onnx__TensorProto *proto;
  espq_onnx_source source = {.limits = &espq_onnx_usual_limits};
  espq_status status = espq_file_read(path, ESPQ_ONNX_MAX_BYTES, &bytes, &size, err);
  if (status) return status;
  status = parse(&onnx__tensor_proto__descriptor, "tensor", bytes, size, source.limits, arena, &proto, err);
  espq_free(bytes);
  if (status == ESPQ_OK) status = espq_onnx_tensor_decode(proto, &source, out, err);
  if (status) espq_error_prefix(err, "%s", path);
  return status;
}

espq_status espq_onnx_read_tensor(const char *path, espq_tensor **out, espq_error *err) {
  espq_arena *arena = espq_arena_new();
  if (!arena) return espq_fail_memory(err);
  espq_status status = read_tensor_in(path, arena, out, err);
  espq_arena_free(arena);
  return status;
}
