#include "onnx/write.h"

#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "onnx/proto.h"

/* Initializers that are no graph inputs exist since IR 4. */
enum { IR_MIN = 4 };

/* Messages are made in the arena and point into the graph. The first failure sticks: every later step does nothing. */
typedef struct writer {
  const espq_graph *graph;
  espq_arena *arena;
  espq_error *err;
  espq_status status;
} writer;

static void *make(writer *w, size_t n, size_t size) {
  void *block = w->status ? NULL : espq_arena_alloc(w->arena, n, size);
  if (!block && !w->status) w->status = espq_fail_memory(w->err);
  return block;
}

/* A list of n pointers to messages of type T, made and initialised; NULL: failed. */
#define MAKE_LIST(w, T, init, n) ((T **)make_list(w, n, sizeof(T), init))

typedef void (*message_init)(void *message);

static void **make_list(writer *w, size_t n, size_t size, message_init init) {
  void **list = make(w, n, sizeof *list);
  char *messages = make(w, n, size);
  if (!list || !messages) return NULL;
  for (size_t i = 0; i < n; i++) {
    list[i] = messages + i * size;
    init(list[i]);
  }
  return list;
}

/* "" is absent. */
static char *optional(const char *text) { return text && *text ? (char *)text : NULL; }

/* --- types --- */

static void dimension_init(void *m) { onnx__tensor_shape_proto__dimension__init(m); }

static Onnx__TensorShapeProto *make_shape(writer *w, const espq_value *v) {
  Onnx__TensorShapeProto *shape = make(w, 1, sizeof *shape);
  if (!shape) return NULL;
  onnx__tensor_shape_proto__init(shape);
  shape->n_dim = (size_t)v->shape.rank;
  shape->dim = MAKE_LIST(w, Onnx__TensorShapeProto__Dimension, dimension_init, shape->n_dim);
  for (int i = 0; shape->dim && i < v->shape.rank; i++) {
    Onnx__TensorShapeProto__Dimension *d = shape->dim[i];
    d->has_dim_value = v->shape.dim[i] >= 0;
    if (d->has_dim_value) d->dim_value = v->shape.dim[i];
    else d->dim_param = optional(v->symbol[i]);
  }
  return shape;
}

static void fill_value_info(writer *w, const espq_value *v, Onnx__ValueInfoProto *info) {
  Onnx__TypeProto *type = make(w, 1, sizeof *type);
  Onnx__TypeProto__Tensor *tensor = make(w, 1, sizeof *tensor);
  if (!type || !tensor) return;
  onnx__type_proto__init(type);
  onnx__type_proto__tensor__init(tensor);
  info->name = (char *)v->name;
  info->type = type;
  type->tensor_type = tensor;
  tensor->has_elem_type = v->dtype != ESPQ_DTYPE_NONE;
  tensor->elem_type = espq_dtype_onnx(v->dtype);
  if (v->shape.rank >= 0) tensor->shape = make_shape(w, v);
}

static void value_info_init(void *m) { onnx__value_info_proto__init(m); }

static Onnx__ValueInfoProto **make_ports(writer *w, const espq_id *ids, size_t n) {
  Onnx__ValueInfoProto **list = MAKE_LIST(w, Onnx__ValueInfoProto, value_info_init, n);
  for (size_t i = 0; list && i < n; i++) fill_value_info(w, &w->graph->values[ids[i]], list[i]);
  return list;
}

/* --- the graph's parts --- */

static void tensor_init(void *m) { onnx__tensor_proto__init(m); }

static void fill_initializers(writer *w, Onnx__GraphProto *p) {
  const espq_graph *g = w->graph;
  size_t n = 0;
  for (size_t i = 0; i < g->nvalues; i++) n += g->values[i].alive && g->values[i].constant;
  Onnx__TensorProto **list = MAKE_LIST(w, Onnx__TensorProto, tensor_init, n);
  if (!list) return;
  p->n_initializer = n;
  p->initializer = list;
  for (size_t i = 0; i < g->nvalues; i++)
    if (g->values[i].alive && g->values[i].constant)
      espq_onnx_tensor_encode(g->values[i].constant, g->values[i].name, *list++);
}

static char **make_names(writer *w, const espq_id *ids, int n) {
  char **names = make(w, (size_t)n, sizeof *names);
  for (int i = 0; names && i < n; i++)
    names[i] = ids[i] == ESPQ_NONE ? (char *)"" : (char *)w->graph->values[ids[i]].name;
  return names;
}

static void fill_attributes(writer *w, const espq_node *n, Onnx__NodeProto *p) {
  size_t count = 0;
  for (const espq_attr *a = n->attrs; a; a = a->next) count++;
  p->attribute = make(w, count, sizeof *p->attribute);
  for (const espq_attr *a = n->attrs; a && !w->status; a = a->next)
    w->status = espq_onnx_attribute_encode(a, w->arena, &p->attribute[p->n_attribute++], w->err);
}

static void fill_node(writer *w, const espq_node *n, Onnx__NodeProto *p) {
  p->name = optional(n->name);
  p->op_type = (char *)n->op_type;
  p->domain = optional(n->domain);
  p->n_input = (size_t)n->nin;
  p->input = make_names(w, n->in, n->nin);
  p->n_output = (size_t)n->nout;
  p->output = make_names(w, n->out, n->nout);
  fill_attributes(w, n, p);
}

static void node_init(void *m) { onnx__node_proto__init(m); }

static void fill_nodes(writer *w, Onnx__GraphProto *p) {
  const espq_graph *g = w->graph;
  Onnx__NodeProto **list = MAKE_LIST(w, Onnx__NodeProto, node_init, g->live_nodes);
  if (!list) return;
  p->n_node = g->live_nodes;
  p->node = list;
  for (espq_id id = g->first; id != ESPQ_NONE; id = g->nodes[id].next) fill_node(w, &g->nodes[id], *list++);
}

/* What is known about the results of nodes, in the order of the nodes. */
static void fill_value_infos(writer *w, Onnx__GraphProto *p) {
  const espq_graph *g = w->graph;
  Onnx__ValueInfoProto **list = MAKE_LIST(w, Onnx__ValueInfoProto, value_info_init, g->nvalues);
  if (!list) return;
  p->value_info = list;
  for (espq_id id = g->first; id != ESPQ_NONE; id = g->nodes[id].next)
    for (int i = 0; i < g->nodes[id].nout; i++) {
      espq_id out = g->nodes[id].out[i];
      if (out == ESPQ_NONE || g->values[out].dtype == ESPQ_DTYPE_NONE || espq_graph_is_output(g, out)) continue;
      fill_value_info(w, &g->values[out], list[p->n_value_info++]);
    }
}

static Onnx__GraphProto *make_graph(writer *w) {
  const espq_graph *g = w->graph;
  Onnx__GraphProto *p = make(w, 1, sizeof *p);
  if (!p) return NULL;
  onnx__graph_proto__init(p);
  p->name = g->name && *g->name ? (char *)g->name : (char *)"main_graph"; /* must not be empty */
  p->doc_string = optional(g->doc);
  p->input = make_ports(w, g->inputs, p->n_input = g->ninputs);
  p->output = make_ports(w, g->outputs, p->n_output = g->noutputs);
  fill_initializers(w, p);
  fill_nodes(w, p);
  fill_value_infos(w, p);
  return p;
}

/* --- the model --- */

static bool has_opset(Onnx__OperatorSetIdProto *const *list, size_t n, const char *domain) {
  for (size_t i = 0; i < n; i++)
    if (strcmp(list[i]->domain, domain) == 0) return true;
  return false;
}

static void opset_init(void *m) { onnx__operator_set_id_proto__init(m); }

static void add_opset(Onnx__ModelProto *m, const char *domain, int64_t version) {
  Onnx__OperatorSetIdProto *p = m->opset_import[m->n_opset_import++];
  p->domain = (char *)domain;
  p->has_version = 1;
  p->version = version;
}

/* Domains that nodes use must be listed: version 1 where the graph does not say. */
static size_t count_domains(const espq_graph *g) {
  size_t n = 1 + g->nopsets;
  for (espq_id id = g->first; id != ESPQ_NONE; id = g->nodes[id].next) n += *g->nodes[id].domain != 0;
  return n;
}

static void fill_opsets(writer *w, Onnx__ModelProto *m) {
  const espq_graph *g = w->graph;
  m->opset_import = MAKE_LIST(w, Onnx__OperatorSetIdProto, opset_init, count_domains(g));
  if (!m->opset_import) return;
  add_opset(m, "", g->opset);
  for (size_t i = 0; i < g->nopsets; i++) add_opset(m, g->opsets[i].domain, g->opsets[i].version);
  for (espq_id id = g->first; id != ESPQ_NONE; id = g->nodes[id].next)
    if (!has_opset(m->opset_import, m->n_opset_import, g->nodes[id].domain)) add_opset(m, g->nodes[id].domain, 1);
}

static int64_t ir_version(int64_t ir) { return ir < IR_MIN ? IR_MIN : ir > ESPQ_ONNX_IR_MAX ? ESPQ_ONNX_IR_MAX : ir; }

static void metadata_init(void *m) { onnx__string_string_entry_proto__init(m); }

static void fill_metadata(writer *w, Onnx__ModelProto *m) {
  const espq_graph *g = w->graph;
  m->metadata_props = MAKE_LIST(w, Onnx__StringStringEntryProto, metadata_init, g->nmetadata);
  if (!m->metadata_props) return;
  for (; m->n_metadata_props < g->nmetadata; m->n_metadata_props++) {
    m->metadata_props[m->n_metadata_props]->key = (char *)g->metadata[m->n_metadata_props].key;
    m->metadata_props[m->n_metadata_props]->value = (char *)g->metadata[m->n_metadata_props].value;
  }
}

static void fill_model(writer *w, Onnx__ModelProto *m) {
  m->has_ir_version = 1;
  m->ir_version = ir_version(w->graph->ir_version);
  m->producer_name = optional(w->graph->producer);
  if (!m->producer_name) m->producer_name = (char *)"espquant";
  m->producer_version = optional(w->graph->producer_version);
  m->domain = optional(w->graph->domain);
  m->has_model_version = w->graph->model_version != 0;
  m->model_version = w->graph->model_version;
  fill_opsets(w, m);
  fill_metadata(w, m);
  m->graph = make_graph(w);
}

/* Fills the message, which points into the graph and the writer's arena. */
static espq_status make_model(writer *w, Onnx__ModelProto *model, size_t *size) {
  onnx__model_proto__init(model);
  w->arena = espq_arena_new();
  if (!w->arena) return espq_fail_memory(w->err);
  fill_model(w, model);
  if (w->status) return w->status;
  *size = onnx__model_proto__get_packed_size(model);
  if (*size <= ESPQ_ONNX_MAX_BYTES) return ESPQ_OK;
  return espq_fail(w->err, ESPQ_ELIMIT, "the model needs %zu bytes, an ONNX file holds at most %zu: split the model",
                   *size, ESPQ_ONNX_MAX_BYTES);
}

espq_status espq_onnx_encode(const espq_graph *graph, unsigned char **bytes, size_t *size, espq_error *err) {
  writer w = {.graph = graph, .err = err};
  Onnx__ModelProto model;
  espq_status status = make_model(&w, &model, size);
  if (!status) {
    *bytes = espq_alloc(*size);
    if (*bytes) onnx__model_proto__pack(&model, *bytes);
    else status = espq_fail_memory(err);
  }
  espq_arena_free(w.arena);
  return status;
}

/* --- straight to a file: the weights are never copied --- */

typedef struct stream {
  ProtobufCBuffer base; /* first: protobuf-c hands it back */
  const Onnx__ModelProto *model;
  espq_file_sink *sink;
  espq_status status;
  espq_error *err;
} stream;

static void append(ProtobufCBuffer *buffer, size_t size, const uint8_t *bytes) {
  stream *s = (stream *)buffer;
  if (!s->status) s->status = espq_file_put(s->sink, bytes, size, s->err);
}

static espq_status put_model(void *context, espq_file_sink *sink, espq_error *err) {
  stream *s = context;
  s->sink = sink;
  s->err = err;
  onnx__model_proto__pack_to_buffer(s->model, &s->base);
  return s->status;
}

espq_status espq_onnx_write(const espq_graph *graph, const char *path, espq_error *err) {
  writer w = {.graph = graph, .err = err};
  Onnx__ModelProto model;
  size_t size;
  espq_status status = make_model(&w, &model, &size);
  if (status) espq_error_prefix(err, "%s", path);
  stream s = {.base = {append}, .model = &model};
  if (!status) status = espq_file_write_from(path, put_model, &s, err);
  espq_arena_free(w.arena);
  return status;
}
