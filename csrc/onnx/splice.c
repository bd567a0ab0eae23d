#include "onnx/splice.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "graph/names.h"
#include "onnx/scan.h"

/* Stands in a scope for an input that the caller leaves out. */
enum { ABSENT = -2, LABEL = 256 };

/* One body while it is spliced. */
typedef struct body {
  espq_splice *s;
  const char *prefix;
  espq_names *scope;                   /* the body's names -> values */
  bool captures;                       /* names that are not in scope are looked for in the graph */
  const Onnx__NodeProto *call;         /* whose attributes the body's refer to; NULL: none may */
  const Onnx__FunctionProto *function; /* with its defaults, or NULL */
  espq_error *err;
} body;

static const char *domain_of(const char *domain) { return !domain || strcmp(domain, "ai.onnx") == 0 ? "" : domain; }

/* --- which function --- */

enum { MAX_KEY = 1024 };

/* "domain\nname\noverload", cut to fit. */
static void key_of(char *key, size_t size, const char *domain, const char *name, const char *overload) {
  snprintf(key, size, "%s\n%s\n%s", domain_of(domain), espq_onnx_text(name), espq_onnx_text(overload));
}

espq_status espq_functions_init(espq_functions *functions, const Onnx__ModelProto *model, espq_arena *arena,
                                espq_error *err) {
  *functions = (espq_functions){model, espq_names_new()};
  if (!functions->by_key) return espq_fail_memory(err);
  for (size_t i = 0; i < model->n_functions; i++) {
    const Onnx__FunctionProto *f = model->functions[i];
    char key[MAX_KEY];
    key_of(key, sizeof key, f->domain, f->name, f->overload);
    if (espq_names_get(functions->by_key, key) >= 0)
      return espq_fail(err, ESPQ_EFORMAT, "function '%.200s' of domain '%.200s' is defined twice",
                       espq_onnx_text(f->name), domain_of(f->domain));
    const char *own = espq_arena_strdup(arena, key);
    if (!own || !espq_names_set(functions->by_key, own, (int32_t)i)) return espq_fail_memory(err);
  }
  return ESPQ_OK;
}

static bool is_called(const Onnx__FunctionProto *f, const Onnx__NodeProto *call) {
  return strcmp(espq_onnx_text(f->name), espq_onnx_text(call->op_type)) == 0 &&
         strcmp(domain_of(f->domain), domain_of(call->domain)) == 0 &&
         strcmp(espq_onnx_text(f->overload), espq_onnx_text(call->overload)) == 0;
}

const Onnx__FunctionProto *espq_splice_find(const espq_functions *functions, const Onnx__NodeProto *call) {
  if (!functions || !functions->model->n_functions) return NULL;
  char key[MAX_KEY];
  key_of(key, sizeof key, call->domain, call->op_type, call->overload);
  int32_t index = espq_names_get(functions->by_key, key);
  const Onnx__FunctionProto *f = index < 0 ? NULL : functions->model->functions[index];
  return f && is_called(f, call) ? f : NULL;
}

/* --- names --- */

static espq_status bind(body *b, const char *name, espq_id value) {
  return espq_names_set(b->scope, name, value == ESPQ_NONE ? ABSENT : value) ? ESPQ_OK : espq_fail_memory(b->err);
}

static espq_status resolve(const body *b, const char *name, espq_id *out) {
  *out = ESPQ_NONE;
  if (!*name) return ESPQ_OK;
  int32_t id = espq_names_get(b->scope, name);
  if (id == ESPQ_NONE && b->captures) id = espq_graph_find_value(b->s->graph, name);
  if (id == ESPQ_NONE) return espq_fail(b->err, ESPQ_EFORMAT, "%.100s: '%.100s' is made by nobody", b->prefix, name);
  *out = id == ABSENT ? ESPQ_NONE : id;
  return ESPQ_OK;
}

/* "<prefix>/<name>" in the arena; NULL: no memory. */
static const char *inner_name(const body *b, const char *name) {
  espq_text text = {0};
  espq_text_add(&text, "%s/%s", b->prefix, name);
  char *whole = espq_text_take(&text);
  const char *kept = whole ? espq_arena_strdup(b->s->arena, whole) : NULL;
  espq_free(whole);
  return kept;
}

/* The name that a value may have: NULL leaves it to the graph. */
static const char *free_name(const body *b, const char *name) {
  const char *own = inner_name(b, name);
  return own && espq_graph_find_value(b->s->graph, own) == ESPQ_NONE ? own : NULL;
}

static espq_status define(body *b, const char *name, espq_id value) {
  if (espq_names_get(b->scope, name) != ESPQ_NONE)
    return espq_fail(b->err, ESPQ_EFORMAT, "%.100s: '%.100s' is defined twice", b->prefix, name);
  return bind(b, name, value);
}

/* --- attributes --- */

static espq_status copy_attribute(const body *b, const Onnx__AttributeProto *a, Onnx__AttributeProto **out) {
  size_t size = onnx__attribute_proto__get_packed_size(a);
  uint8_t *bytes = espq_alloc(size + 1);
  if (!bytes) return espq_fail_memory(b->err);
  onnx__attribute_proto__pack(a, bytes);
  espq_status status =
      espq_onnx_unpack(&onnx__attribute_proto__descriptor, bytes, size, b->s->arena, (ProtobufCMessage **)out, b->err);
  espq_free(bytes);
  return status;
}

/* Lets the nodes of a subgraph that stays a subgraph read the values that the names of this body now have. The scan
 * bounds the depth. */
static espq_status rename_captures(const body *b, Onnx__GraphProto *g) {
  for (size_t i = 0; i < g->n_node; i++) {
    Onnx__NodeProto *n = g->node[i];
    for (size_t k = 0; k < n->n_input; k++) {
      int32_t id = espq_names_get(b->scope, n->input[k]);
      if (id == ABSENT)
        return espq_fail(b->err, ESPQ_EUNSUPPORTED, "%.100s: a subgraph reads an input left out", b->prefix);
      if (id != ESPQ_NONE) n->input[k] = (char *)b->s->graph->values[id].name;
    }
    for (size_t k = 0; k < n->n_attribute; k++) {
      espq_status status = n->attribute[k]->g ? rename_captures(b, n->attribute[k]->g) : ESPQ_OK;
      if (status) return status;
    }
  }
  for (size_t i = 0; i < g->n_output; i++) {
    int32_t id = g->output[i]->name ? espq_names_get(b->scope, g->output[i]->name) : ESPQ_NONE;
    if (id >= 0) g->output[i]->name = (char *)b->s->graph->values[id].name;
  }
  return ESPQ_OK;
}

static const Onnx__AttributeProto *find_attribute(Onnx__AttributeProto *const *list, size_t n, const char *name) {
  for (size_t i = 0; i < n; i++)
    if (strcmp(espq_onnx_text(list[i]->name), name) == 0) return list[i];
  return NULL;
}

/* The attribute as it is meant here; *out NULL: the caller gave none. */
static espq_status resolve_attribute(const body *b, const Onnx__AttributeProto *a, const Onnx__AttributeProto **out) {
  const char *reference = espq_onnx_text(a->ref_attr_name);
  Onnx__AttributeProto *copy = NULL;
  *out = a;
  if (!*reference && !a->g) return ESPQ_OK;
  if (*reference) {
    const Onnx__AttributeProto *given =
        b->call ? find_attribute(b->call->attribute, b->call->n_attribute, reference) : NULL;
    if (!given && b->function)
      given = find_attribute(b->function->attribute_proto, b->function->n_attribute_proto, reference);
    *out = NULL;
    if (!given) return ESPQ_OK;
    copy = espq_arena_alloc(b->s->arena, 1, sizeof *copy);
    if (!copy) return espq_fail_memory(b->err);
    *copy = *given;
    copy->name = a->name;
    *out = copy;
    return ESPQ_OK;
  }
  espq_status status = copy_attribute(b, a, &copy);
  if (!status) status = rename_captures(b, copy->g);
  *out = copy;
  return status;
}

static const char *label_of(const Onnx__NodeProto *n) {
  if (n->name && *n->name) return n->name;
  return n->n_output && *n->output[0] ? n->output[0] : espq_onnx_text(n->op_type);
}

/* The node with its attributes resolved, in the arena, under a name that tells where it is. */
static espq_status resolve_node(const body *b, const Onnx__NodeProto *n, Onnx__NodeProto **out) {
  Onnx__NodeProto *copy = espq_arena_alloc(b->s->arena, 1, sizeof *copy);
  if (!copy) return espq_fail_memory(b->err);
  *copy = *n;
  copy->n_attribute = 0;
  copy->attribute = espq_arena_alloc(b->s->arena, n->n_attribute + 1, sizeof *copy->attribute);
  copy->name = (char *)inner_name(b, label_of(n));
  if (!copy->attribute || !copy->name) return espq_fail_memory(b->err);
  for (size_t i = 0; i < n->n_attribute; i++) {
    const Onnx__AttributeProto *a;
    espq_status status = resolve_attribute(b, n->attribute[i], &a);
    if (status) return status;
    if (a) copy->attribute[copy->n_attribute++] = (Onnx__AttributeProto *)a;
  }
  *out = copy;
  return ESPQ_OK;
}

/* --- nodes --- */

static espq_status add_constant(body *b, const char *name, espq_tensor *tensor) {
  espq_id id;
  espq_status status = espq_graph_add_constant(b->s->graph, free_name(b, name), tensor, &id, b->err);
  espq_tensor_release(tensor);
  return status ? status : define(b, name, id);
}

static espq_status splice_constant(body *b, const Onnx__NodeProto *n) {
  espq_tensor *tensor;
  espq_status status = espq_onnx_constant_decode(n, b->s->source, &tensor, b->err);
  return status ? status : add_constant(b, n->output[0], tensor);
}

static espq_status splice_call(body *b, const Onnx__NodeProto *n, const Onnx__FunctionProto *f, const espq_id *in) {
  espq_id *results = espq_calloc(f->n_output + 1, sizeof *results);
  if (!results) return espq_fail_memory(b->err);
  espq_status status = espq_splice_function(b->s, n, in, results, b->err);
  for (size_t i = 0; i < n->n_output && !status; i++)
    if (*n->output[i]) status = i < f->n_output ? define(b, n->output[i], results[i]) : ESPQ_OK;
  espq_free(results);
  return status;
}

static espq_status splice_plain(body *b, const Onnx__NodeProto *n, const espq_id *in, espq_id *out) {
  espq_graph *g = b->s->graph;
  espq_id node;
  espq_status status = ESPQ_OK;
  for (size_t i = 0; i < n->n_output && !status; i++) {
    out[i] = ESPQ_NONE;
    if (!*n->output[i]) continue;
    status = espq_graph_add_value(g, free_name(b, n->output[i]), &out[i], b->err);
    if (!status) status = define(b, n->output[i], out[i]);
  }
  if (!status)
    status = espq_graph_add_node(g, b->s->before, domain_of(n->domain), n->op_type, n->name, (int)n->n_input, in,
                                 (int)n->n_output, out, &node, b->err);
  for (size_t i = 0; i < n->n_attribute && !status; i++) {
    if (!n->attribute[i]->name || espq_node_attr(&g->nodes[node], n->attribute[i]->name))
      return espq_fail(b->err, ESPQ_EFORMAT, "%.100s: an attribute has no name, or one that appears twice", n->name);
    status = espq_onnx_attribute_decode(n->attribute[i], b->s->source, g, node, b->err);
  }
  return status;
}

static espq_status splice_node(body *b, const Onnx__NodeProto *given) {
  Onnx__NodeProto *n = NULL;
  const espq_onnx_limits *limits = b->s->source->limits;
  if (++b->s->source->spliced > limits->nodes || b->s->graph->live_nodes >= limits->nodes)
    return espq_fail(b->err, ESPQ_ELIMIT,
                     "%" PRIu64 " nodes or more once functions and bodies are put in place, the limit is %" PRIu64
                     " (--limit-nodes)",
                     limits->nodes + 1, limits->nodes);
  if (!given->op_type || !*given->op_type)
    return espq_fail(b->err, ESPQ_EFORMAT, "%.100s: a node has no op_type", b->prefix);
  espq_status status = resolve_node(b, given, &n);
  if (status) return status;
  if (espq_onnx_is_constant(n)) return splice_constant(b, n);
  espq_id *ids = espq_calloc(n->n_input + n->n_output + 1, sizeof *ids);
  if (!ids) return espq_fail_memory(b->err);
  for (size_t i = 0; i < n->n_input && !status; i++) status = resolve(b, n->input[i], &ids[i]);
  const Onnx__FunctionProto *f = espq_splice_find(b->s->functions, n);
  if (!status) status = f ? splice_call(b, n, f, ids) : splice_plain(b, n, ids, ids + n->n_input);
  espq_free(ids);
  return status;
}

static espq_status splice_nodes(body *b, size_t n, Onnx__NodeProto *const *nodes) {
  espq_status status = ESPQ_OK;
  for (size_t i = 0; i < n && !status; i++) status = splice_node(b, nodes[i]);
  return status;
}

/* --- functions --- */

/* A function that means another version of ONNX's operators than the model cannot be put into it. */
static espq_status check_versions(const espq_splice *s, const Onnx__FunctionProto *f, espq_error *err) {
  for (size_t i = 0; i < f->n_opset_import; i++) {
    const Onnx__OperatorSetIdProto *o = f->opset_import[i];
    if (*domain_of(o->domain) || o->version == s->graph->opset) continue;
    return espq_fail(err, ESPQ_EUNSUPPORTED,
                     "function '%.100s' is written for opset %d, the model for opset %d; export both for one opset",
                     espq_onnx_text(f->name), (int)o->version, (int)s->graph->opset);
  }
  return ESPQ_OK;
}

static espq_status splice_body(body *b, const Onnx__FunctionProto *f, const espq_id *inputs, espq_id *results) {
  const Onnx__NodeProto *call = b->call;
  espq_status status = ESPQ_OK;
  for (size_t i = 0; i < f->n_input && !status; i++)
    status = define(b, f->input[i], i < call->n_input ? inputs[i] : ESPQ_NONE);
  if (!status) status = splice_nodes(b, f->n_node, f->node);
  for (size_t i = 0; i < f->n_output && !status; i++) status = resolve(b, f->output[i], &results[i]);
  return status;
}

espq_status espq_splice_function(espq_splice *s, const Onnx__NodeProto *call, const espq_id *inputs, espq_id *results,
                                 espq_error *err) {
  const Onnx__FunctionProto *f = espq_splice_find(s->functions, call);
  body b = {.s = s, .prefix = label_of(call), .call = call, .function = f, .err = err};
  if (call->n_input > f->n_input || call->n_output > f->n_output)
    return espq_fail(err, ESPQ_EFORMAT, "%.100s: %zu inputs and %zu outputs, function '%.100s' has %zu and %zu",
                     b.prefix, call->n_input, call->n_output, f->name, f->n_input, f->n_output);
  if (s->depth >= ESPQ_SPLICE_DEPTH)
    return espq_fail(err, ESPQ_ELIMIT, "function '%.100s' calls itself, or functions are nested deeper than %d",
                     f->name, ESPQ_SPLICE_DEPTH);
  espq_status status = check_versions(s, f, err);
  if (status) return status;
  b.scope = espq_names_new();
  if (!b.scope) return espq_fail_memory(err);
  s->depth++;
  status = splice_body(&b, f, inputs, results);
  s->depth--;
  espq_names_free(b.scope);
  return status;
}

/* --- subgraphs --- */

static espq_status splice_initializers(body *b, const Onnx__GraphProto *g) {
  for (size_t i = 0; i < g->n_initializer; i++) {
    espq_tensor *tensor;
    const char *name = espq_onnx_text(g->initializer[i]->name);
    espq_status status = espq_onnx_tensor_decode(g->initializer[i], b->s->source, &tensor, b->err);
    if (!status) status = add_constant(b, name, tensor);
    if (status) return status;
  }
  return ESPQ_OK;
}

static espq_status splice_subgraph(body *b, const Onnx__GraphProto *g, const espq_id *inputs, espq_id *results) {
  espq_status status = splice_initializers(b, g);
  for (size_t i = 0; i < g->n_input && !status; i++) status = define(b, espq_onnx_text(g->input[i]->name), inputs[i]);
  if (!status) status = splice_nodes(b, g->n_node, g->node);
  for (size_t i = 0; i < g->n_output && !status; i++)
    status = resolve(b, espq_onnx_text(g->output[i]->name), &results[i]);
  return status;
}

espq_status espq_splice_graph(espq_splice *s, const Onnx__GraphProto *g, const char *prefix, size_t ninputs,
                              const espq_id *inputs, espq_id *results, espq_error *err) {
  body b = {.s = s, .prefix = prefix, .captures = true, .err = err};
  if (g->n_input != ninputs)
    return espq_fail(err, ESPQ_EFORMAT, "%.100s: its body has %zu inputs, expected %zu", prefix, g->n_input, ninputs);
  b.scope = espq_names_new();
  if (!b.scope) return espq_fail_memory(err);
  espq_status status = splice_subgraph(&b, g, inputs, results);
  espq_names_free(b.scope);
  return status;
}

/* --- from outside --- */

static espq_status decode_attribute(const espq_graph *graph, espq_id node, const char *name, espq_arena *arena,
                                    Onnx__AttributeProto **out, espq_error *err) {
  const espq_attr *a = espq_node_attr(&graph->nodes[node], name);
  if (!a || a->kind != ESPQ_ATTR_OPAQUE) return espq_fail(err, ESPQ_EFORMAT, "attribute '%.100s' is no subgraph", name);
  espq_status status = espq_onnx_attribute_encode(a, arena, out, err);
  if (!status && !(*out)->g) return espq_fail(err, ESPQ_EFORMAT, "attribute '%.100s' is no subgraph", name);
  return status;
}

static espq_status splice_attribute(espq_splice *s, espq_id node, const char *attr, size_t ninputs,
                                    const espq_id *inputs, espq_id **results, size_t *nresults, espq_error *err) {
  Onnx__AttributeProto *a;
  const espq_node *n = &s->graph->nodes[node];
  const char *name = *n->name                            ? n->name
                     : n->nout && n->out[0] != ESPQ_NONE ? s->graph->values[n->out[0]].name
                                                         : n->op_type;
  const char *prefix = espq_arena_strdup(s->arena, name);
  espq_status status = prefix ? decode_attribute(s->graph, node, attr, s->arena, &a, err) : espq_fail_memory(err);
  if (status) return status;
  *nresults = a->g->n_output;
  *results = espq_calloc(*nresults + 1, sizeof **results);
  if (!*results) return espq_fail_memory(err);
  status = espq_splice_graph(s, a->g, prefix, ninputs, inputs, *results, err);
  if (status) espq_free(*results);
  return status;
}

espq_status espq_onnx_splice(espq_graph *graph, espq_id node, const char *attr, size_t ninputs, const espq_id *inputs,
                             const espq_onnx_limits *limits, espq_id **results, size_t *nresults, espq_error *err) {
  espq_onnx_source source = {.limits = limits ? limits : &espq_onnx_usual_limits};
  espq_splice s = {.graph = graph, .source = &source, .before = node, .arena = espq_arena_new()};
  if (!s.arena) return espq_fail_memory(err);
  espq_status status = splice_attribute(&s, node, attr, ninputs, inputs, results, nresults, err);
  espq_arena_free(s.arena);
  return status;
}
