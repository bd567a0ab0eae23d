#include "run/batch.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "ops/op.h"

static int64_t own_batch(const espq_graph *g) {
  for (size_t i = 0; i < g->ninputs; i++) {
    const espq_shape *s = &g->values[g->inputs[i]].shape;
    if (s->rank > 0 && s->dim[0] > 0) return s->dim[0];
  }
  return 1;
}

/* Inputs of different sizes, such as an image and three boxes, have no common number of images. */
static bool sizes_differ(const espq_graph *g, int64_t own) {
  for (size_t i = 0; i < g->ninputs; i++) {
    const espq_shape *s = &g->values[g->inputs[i]].shape;
    if (s->rank > 0 && s->dim[0] > 0 && s->dim[0] != own) return true;
  }
  return false;
}

espq_status espq_batch_input_shapes(const espq_graph *graph, int64_t batch, espq_shape *shapes, espq_error *err) {
  for (size_t i = 0; i < graph->ninputs; i++) {
    const espq_value *v = &graph->values[graph->inputs[i]];
    int64_t count;
    shapes[i] = v->shape;
    if (v->shape.rank < 0) return espq_fail(err, ESPQ_EFORMAT, "the shape of input '%.200s' is not known", v->name);
    if (v->shape.rank && (batch || v->shape.dim[0] < 0)) shapes[i].dim[0] = batch ? batch : own_batch(graph);
    for (int d = 0; d < v->shape.rank; d++)
      if (shapes[i].dim[d] < 0)
        return espq_fail(
            err, ESPQ_EFORMAT, "dimension %d%s%s%s of input '%.200s' is not fixed; give it a number in the model", d,
            v->symbol[d] ? " ('" : "", v->symbol[d] ? v->symbol[d] : "", v->symbol[d] ? "')" : "", v->name);
    if (espq_shape_count(shapes[i].rank, shapes[i].dim, &count, err))
      return espq_error_prefix(err, "input '%.100s'", v->name);
  }
  return ESPQ_OK;
}

void espq_batch_depends(const espq_graph *graph, bool *depends) {
  memset(depends, 0, graph->nvalues * sizeof *depends);
  for (size_t i = 0; i < graph->ninputs; i++)
    depends[graph->inputs[i]] = graph->values[graph->inputs[i]].shape.rank != 0;
  for (espq_id id = graph->first; id != ESPQ_NONE; id = graph->nodes[id].next) {
    const espq_node *n = &graph->nodes[id];
    bool any = false;
    for (int i = 0; i < n->nin; i++) any |= n->in[i] != ESPQ_NONE && depends[n->in[i]];
    for (int i = 0; i < n->nout; i++)
      if (n->out[i] != ESPQ_NONE) depends[n->out[i]] = any;
  }
}

static bool carries(const espq_shape *a, const espq_shape *b, int64_t na, int64_t nb) {
  if (a->rank < 1 || a->rank != b->rank || a->dim[0] != na || b->dim[0] != nb) return false;
  for (int i = 1; i < a->rank; i++)
    if (a->dim[i] != b->dim[i]) return false;
  return true;
}

static void blame(const espq_graph *g, espq_id id, espq_batch *out, const char *why) {
  char label[256];
  out->pure = false;
  out->culprit = id;
  snprintf(out->reason, sizeof out->reason, "%s %s", espq_node_label(g, &g->nodes[id], label, sizeof label), why);
}

/* A dimension that equals both is the batch. Primes, so that a Reshape to some other number of rows does not fit; small,
 * so that the tensors of large images stay within the limits. */
enum { BATCH_A = 13, BATCH_B = 17 };

static espq_status mixes(const espq_graph *g, espq_id id, const espq_typed_shape *a, bool *yes, espq_error *err) {
  espq_call call;
  espq_status status = espq_call_init(&call, g, id, a, err);
  if (status) return status;
  *yes = g->nodes[id].op && g->nodes[id].op->mixes_batch && g->nodes[id].op->mixes_batch(&call);
  espq_call_free(&call);
  return ESPQ_OK;
}

static espq_status find_culprit(const espq_graph *g, const espq_typed_shape *a, const espq_typed_shape *b,
                                const bool *depends, espq_batch *out, espq_error *err) {
  for (espq_id id = g->first; id != ESPQ_NONE && out->pure; id = g->nodes[id].next) {
    const espq_node *n = &g->nodes[id];
    bool any = false;
    for (int i = 0; i < n->nout && out->pure; i++) {
      if (n->out[i] == ESPQ_NONE || !depends[n->out[i]]) continue;
      any = true;
      if (!carries(&a[n->out[i]].shape, &b[n->out[i]].shape, BATCH_A, BATCH_B))
        blame(g, id, out, "does not keep the first axis of its input as the first axis of its output");
    }
    bool yes = false;
    espq_status status = any && out->pure ? mixes(g, id, a, &yes, err) : ESPQ_OK;
    if (status) return status;
    if (yes) blame(g, id, out, "mixes the images of a batch");
  }
  return ESPQ_OK;
}

/* Infers at both sizes; a model that only fits its own batch size is not pure, which is no error. */
static espq_status compare(const espq_graph *g, espq_shape *shapes, espq_typed_shape *a, espq_typed_shape *b,
                           bool *depends, espq_batch *out, espq_error *err) {
  espq_error why = {0};
  espq_batch_depends(g, depends);
  espq_status status = espq_batch_input_shapes(g, BATCH_A, shapes, err);
  if (status) return status;
  status = espq_ops_infer_at(g, shapes, a, &why);
  if (!status) status = espq_batch_input_shapes(g, BATCH_B, shapes, &why);
  if (!status) status = espq_ops_infer_at(g, shapes, b, &why);
  if (status == ESPQ_EMEMORY) return espq_fail_memory(err);
  if (status) {
    out->pure = false;
    snprintf(out->reason, sizeof out->reason, "%.500s", why.text);
    return ESPQ_OK;
  }
  return find_culprit(g, a, b, depends, out, err);
}

espq_status espq_batch_analyze(const espq_graph *graph, espq_batch *out, espq_error *err) {
  *out = (espq_batch){.pure = true, .own = own_batch(graph), .culprit = ESPQ_NONE};
  if (sizes_differ(graph, out->own)) {
    out->pure = false;
    snprintf(out->reason, sizeof out->reason, "its inputs begin with different numbers");
    return ESPQ_OK;
  }
  espq_shape *shapes = espq_calloc(graph->ninputs, sizeof *shapes);
  espq_typed_shape *a = espq_calloc(graph->nvalues, sizeof *a), *b = espq_calloc(graph->nvalues, sizeof *b);
  bool *depends = espq_calloc(graph->nvalues, sizeof *depends);
  espq_status status =
      shapes && a && b && depends ? compare(graph, shapes, a, b, depends, out, err) : espq_fail_memory(err);
  espq_free(shapes);
  espq_free(a);
  espq_free(b);
  espq_free(depends);
  return status;
}
