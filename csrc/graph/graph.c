/* Life, values and inputs/outputs of a graph. Nodes are in node.c, walks of the whole graph in order.c. */
#include "graph/graph.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "graph/names.h"

espq_status espq_graph_new(espq_graph **out, espq_error *err) {
  espq_graph *g = espq_calloc(1, sizeof *g);
  if (!g) return espq_fail_memory(err);
  g->arena = espq_arena_new();
  g->names = espq_names_new();
  if (!g->arena || !g->names) {
    espq_graph_free(g);
    return espq_fail_memory(err);
  }
  g->name = g->doc = g->producer = g->producer_version = g->domain = "";
  g->ir_version = 8;
  g->opset = 13;
  g->max_bytes = ESPQ_USUAL_BYTES;
  g->max_elements = ESPQ_USUAL_ELEMENTS;
  g->first = g->last = ESPQ_NONE;
  *out = g;
  return ESPQ_OK;
}

static void release_attrs(espq_attr *a) {
  for (; a; a = a->next) {
    espq_tensor_release(a->tensor);
    a->tensor = NULL;
  }
}

void espq_graph_free(espq_graph *graph) {
  if (!graph) return;
  for (size_t i = 0; i < graph->nvalues; i++) espq_tensor_release(graph->values[i].constant);
  for (size_t i = 0; i < graph->nnodes; i++) release_attrs(graph->nodes[i].attrs);
  espq_free(graph->values);
  espq_free(graph->nodes);
  espq_free(graph->inputs);
  espq_free(graph->outputs);
  espq_free(graph->opsets);
  espq_free(graph->metadata);
  espq_names_free(graph->names);
  espq_arena_free(graph->arena);
  espq_free(graph);
}

espq_status espq_graph_add_metadata(espq_graph *graph, const char *key, const char *value, espq_error *err) {
  espq_metadata *grown =
      espq_grow(graph->metadata, &graph->metadata_capacity, graph->nmetadata + 1, sizeof *graph->metadata);
  if (!grown) return espq_fail_memory(err);
  graph->metadata = grown;
  espq_metadata line = {espq_arena_strdup(graph->arena, key), espq_arena_strdup(graph->arena, value)};
  if (!line.key || !line.value) return espq_fail_memory(err);
  graph->metadata[graph->nmetadata++] = line;
  return ESPQ_OK;
}

espq_status espq_graph_set_metadata(espq_graph *graph, const char *key, const char *value, espq_error *err) {
  for (size_t i = 0; i < graph->nmetadata; i++) {
    if (strcmp(graph->metadata[i].key, key)) continue;
    const char *own = espq_arena_strdup(graph->arena, value);
    if (own) graph->metadata[i].value = own;
    return own ? ESPQ_OK : espq_fail_memory(err);
  }
  return espq_graph_add_metadata(graph, key, value, err);
}

size_t espq_graph_bytes(const espq_graph *graph) {
  size_t bytes = sizeof *graph + espq_arena_bytes(graph->arena) + graph->values_capacity * sizeof *graph->values +
                 graph->nodes_capacity * sizeof *graph->nodes;
  for (size_t i = 0; i < graph->nvalues; i++)
    if (graph->values[i].constant) bytes += espq_tensor_bytes(graph->values[i].constant);
  return bytes;
}

/* A name nobody has, in buf. */
static void fresh_name(espq_graph *g, char *buf, size_t size) {
  if (g->fresh < g->nvalues) g->fresh = g->nvalues;
  do snprintf(buf, size, "value_%zu", g->fresh++);
  while (espq_graph_find_value(g, buf) != ESPQ_NONE);
}

espq_status espq_graph_add_value(espq_graph *graph, const char *name, espq_id *out, espq_error *err) {
  char fresh[40];
  if (!name || !*name) {
    fresh_name(graph, fresh, sizeof fresh);
    name = fresh;
  } else if (espq_graph_find_value(graph, name) != ESPQ_NONE) {
    return espq_fail(err, ESPQ_EFORMAT, "the name '%.200s' is given to two tensors", name);
  }
  if (graph->nvalues >= INT32_MAX) return espq_fail(err, ESPQ_ELIMIT, "too many tensors in one graph");
  espq_value *grown = espq_grow(graph->values, &graph->values_capacity, graph->nvalues + 1, sizeof *grown);
  if (!grown) return espq_fail_memory(err);
  graph->values = grown;
  const char *own = espq_arena_strdup(graph->arena, name);
  espq_id id = (espq_id)graph->nvalues;
  if (!own || !espq_names_set(graph->names, own, id)) return espq_fail_memory(err);
  graph->values[id] = (espq_value){.alive = true,
                                   .name = own,
                                   .producer = ESPQ_NONE,
                                   .dtype = ESPQ_DTYPE_NONE,
                                   .shape.rank = -1,
                                   .first_use.node = ESPQ_NONE,
                                   .last_use.node = ESPQ_NONE};
  graph->nvalues++;
  *out = id;
  return ESPQ_OK;
}

void espq_graph_set_constant(espq_graph *graph, espq_id value, espq_tensor *tensor) {
  espq_value *v = &graph->values[value];
  espq_tensor_retain(tensor);
  espq_tensor_release(v->constant);
  v->constant = tensor;
  if (!tensor) return;
  v->dtype = tensor->dtype;
  v->shape.rank = tensor->rank;
  memcpy(v->shape.dim, tensor->dim, sizeof v->shape.dim);
  memset(v->symbol, 0, sizeof v->symbol);
}

espq_status espq_graph_add_constant(espq_graph *graph, const char *name, espq_tensor *tensor, espq_id *out,
                                    espq_error *err) {
  espq_status status = espq_graph_add_value(graph, name, out, err);
  if (status == ESPQ_OK) espq_graph_set_constant(graph, *out, tensor);
  return status;
}

static espq_status push_id(espq_id **list, size_t *n, size_t *capacity, espq_id id, espq_error *err) {
  espq_id *grown = espq_grow(*list, capacity, *n + 1, sizeof **list);
  if (!grown) return espq_fail_memory(err);
  *list = grown;
  grown[(*n)++] = id;
  return ESPQ_OK;
}

espq_status espq_graph_add_input(espq_graph *graph, espq_id value, espq_error *err) {
  const espq_value *v = &graph->values[value];
  if (v->producer != ESPQ_NONE || v->constant || espq_graph_is_input(graph, value))
    return espq_fail(err, ESPQ_EFORMAT, "'%.200s' cannot be a graph input: it is already %s", v->name,
                     v->constant                ? "a constant"
                     : v->producer != ESPQ_NONE ? "a node's output"
                                                : "one");
  return push_id(&graph->inputs, &graph->ninputs, &graph->inputs_capacity, value, err);
}

espq_status espq_graph_add_output(espq_graph *graph, espq_id value, espq_error *err) {
  return push_id(&graph->outputs, &graph->noutputs, &graph->outputs_capacity, value, err);
}

espq_status espq_graph_set_output(espq_graph *graph, size_t index, espq_id value, espq_error *err) {
  if (index >= graph->noutputs) return espq_fail(err, ESPQ_EBUG, "no graph output %zu", index);
  graph->outputs[index] = value;
  return ESPQ_OK;
}

static bool contains(const espq_id *list, size_t n, espq_id id) {
  for (size_t i = 0; i < n; i++)
    if (list[i] == id) return true;
  return false;
}

bool espq_graph_is_input(const espq_graph *graph, espq_id value) {
  return contains(graph->inputs, graph->ninputs, value);
}

bool espq_graph_is_output(const espq_graph *graph, espq_id value) {
  return contains(graph->outputs, graph->noutputs, value);
}

void espq_graph_remove_input(espq_graph *graph, espq_id value) {
  size_t kept = 0;
  for (size_t i = 0; i < graph->ninputs; i++)
    if (graph->inputs[i] != value) graph->inputs[kept++] = graph->inputs[i];
  graph->ninputs = kept;
}

espq_id espq_graph_find_value(const espq_graph *graph, const char *name) { return espq_names_get(graph->names, name); }

espq_status espq_graph_rename_value(espq_graph *graph, espq_id value, const char *name, espq_error *err) {
  espq_value *v = &graph->values[value];
  if (strcmp(v->name, name) == 0) return ESPQ_OK;
  if (!*name || espq_graph_find_value(graph, name) != ESPQ_NONE)
    return espq_fail(err, ESPQ_EFORMAT, "cannot rename '%.200s' to '%.200s': the name is %s", v->name, name,
                     *name ? "taken" : "empty");
  const char *own = espq_arena_strdup(graph->arena, name);
  if (!own || !espq_names_set(graph->names, own, value)) return espq_fail_memory(err);
  espq_names_remove(graph->names, v->name);
  v->name = own;
  return ESPQ_OK;
}

espq_status espq_graph_swap_names(espq_graph *graph, espq_id a, espq_id b, espq_error *err) {
  espq_value *va = &graph->values[a], *vb = &graph->values[b];
  if (!espq_names_set(graph->names, va->name, b) || !espq_names_set(graph->names, vb->name, a))
    return espq_fail_memory(err);
  const char *name = va->name;
  va->name = vb->name;
  vb->name = name;
  return ESPQ_OK;
}

espq_status espq_graph_set_quant(espq_graph *graph, espq_id value, int bits, int count, const int32_t *exponent,
                                 espq_error *err) {
  espq_quant *q = &graph->values[value].quant;
  if (bits == 0) {
    *q = (espq_quant){0};
    return ESPQ_OK;
  }
  int32_t *copy = espq_arena_alloc(graph->arena, (size_t)count, sizeof *copy);
  if (!copy) return espq_fail_memory(err);
  memcpy(copy, exponent, (size_t)count * sizeof *copy);
  *q = (espq_quant){bits, count, copy};
  return ESPQ_OK;
}

espq_status espq_graph_remove_value(espq_graph *graph, espq_id value, espq_error *err) {
  espq_value *v = &graph->values[value];
  if (v->nuses || v->producer != ESPQ_NONE || espq_graph_is_output(graph, value))
    return espq_fail(err, ESPQ_EBUG, "tensor '%.200s' is removed while in use", v->name);
  espq_graph_remove_input(graph, value);
  espq_names_remove(graph->names, v->name);
  espq_tensor_release(v->constant);
  v->constant = NULL;
  v->alive = false;
  return ESPQ_OK;
}
