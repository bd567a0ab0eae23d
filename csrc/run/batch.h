/* batch.h - is axis 0 a pure batch axis? Then any number of images runs in micro-batches.
 *
 * Shapes are inferred for two batch sizes: every tensor that depends on an input must have the batch as its first
 * dimension and be otherwise the same; rows may add a reason (Transpose, Gemm with transA ...).
 */
#ifndef ESPQ_RUN_BATCH_H
#define ESPQ_RUN_BATCH_H

#include "graph/graph.h"

typedef struct espq_batch {
  bool pure;
  int64_t own;      /* the model's own batch size: the first fixed first dimension of its inputs, 1 if there is none */
  espq_id culprit;  /* not pure: the first node that mixes the axis, or ESPQ_NONE */
  char reason[512]; /* not pure: why, with the node's name */
} espq_batch;

/* ESPQ_EFORMAT: an input dimension other than the first is not known (the text names it), or shapes do not fit. */
espq_status espq_batch_analyze(const espq_graph *graph, espq_batch *out, espq_error *err);

/* Shapes of the graph's inputs with `batch` as first dimension. Batch 0: the model's own, that is, fixed dimensions stay
 * as they are and open first ones become espq_batch.own. */
espq_status espq_batch_input_shapes(const espq_graph *graph, int64_t batch, espq_shape *shapes, espq_error *err);

/* depends[value]: computed from a graph input that has images; else it is the same for all of them. One entry per value
 * id. */
void espq_batch_depends(const espq_graph *graph, bool *depends);

#endif
