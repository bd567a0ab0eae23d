/* evaluate.h - computes nodes one by one, every tensor at hand: what the executor cannot plan because shapes depend on
 * data (the shape input of a Reshape), and the constants that a pass folds.
 *
 * A node gets all its inputs as constants, so its shapes are always known. There is no planning, no thread and no
 * sharing of buffers: for models use exec.h where it can run them; results are the same.
 *
 *   espq_evaluator *e;
 *   espq_evaluator_new(&e, err);
 *   espq_evaluate(e, graph, inputs, outputs, noutputs, results, err);
 *   espq_evaluator_free(e);
 */
#ifndef ESPQ_RUN_EVALUATE_H
#define ESPQ_RUN_EVALUATE_H

#include "graph/graph.h"

typedef struct espq_evaluator espq_evaluator;

/* Belongs to one thread at a time. */
espq_status espq_evaluator_new(espq_evaluator **out, espq_error *err);
void espq_evaluator_free(espq_evaluator *evaluator); /* NULL is allowed */

/* One node on the tensors of its inputs (NULL: left out). out: a new tensor for each output that the node has, NULL for
 * those left out; on failure nothing is returned. ESPQ_ELIMIT: an output would have more than max_bytes bytes (0: no
 * such limit), or the node would take more than the graph's max_bytes leave after the bytes `taken` by others. */
espq_status espq_evaluate_node(espq_evaluator *evaluator, const espq_graph *graph, espq_id node, espq_tensor *const *in,
                               size_t max_bytes, uint64_t taken, espq_tensor **out, espq_error *err);

/* The values `outputs` of a graph, of one tensor per graph input; only what they need is computed. All
 * tensors live until the end; together they take at most the graph's max_bytes. */
espq_status espq_evaluate(espq_evaluator *evaluator, const espq_graph *graph, espq_tensor *const *inputs,
                          const espq_id *outputs, size_t noutputs, espq_tensor **results, espq_error *err);

/* Replaces every node whose inputs are all constant by its results, as far as they have at most max_bytes bytes each
 * and max_total together, and the operator has a float kernel; a node that fails stays. *folded counts the nodes that
 * went. */
espq_status espq_fold_constants(espq_evaluator *evaluator, espq_graph *graph, size_t max_bytes, size_t max_total,
                                size_t *folded, espq_error *err);

#endif
