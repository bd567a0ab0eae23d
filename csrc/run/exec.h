/* exec.h - runs a graph on batches of images: plans, workers, micro-batches.
 *
 * The graph is borrowed and must not change while the executor lives. Where axis 0 is a pure batch axis, any number of
 * images runs in micro-batches that stay in the cache, spread over the workers; the last one is filled by repeating an
 * image, whose results are neither returned nor observed. Otherwise the model runs at its own batch size and the number
 * of images must be a multiple of it.
 * Results do not depend on the number of threads: kernels treat each image alone and give the same bits for every
 * micro-batch size.
 *
 *   espq_exec *e;
 *   espq_exec_options o = {.threads = 2};
 *   espq_exec_new(graph, &o, &e, err);
 *   espq_exec_run(e, &images, outputs, NULL, err);   -- outputs[i]: a new tensor for each wanted output
 */
#ifndef ESPQ_RUN_EXEC_H
#define ESPQ_RUN_EXEC_H

#include "base/isa.h"
#include "graph/graph.h"
#include "run/batch.h"
#include "run/observe.h"

typedef struct espq_exec espq_exec;

typedef struct espq_exec_options {
  int threads;            /* 0: as many as there are CPUs */
  int64_t micro_batch;    /* 0: by the size of the tensors */
  const espq_id *outputs; /* NULL: the graph's; any value may be asked for */
  size_t noutputs;
  espq_isa isa; /* for the integer kernels: at most this one; detected if larger than the machine's */
} espq_exec_options;

espq_status espq_exec_new(const espq_graph *graph, const espq_exec_options *options, espq_exec **out, espq_error *err);
void espq_exec_free(espq_exec *exec); /* NULL is allowed */
size_t espq_exec_noutputs(const espq_exec *exec);
const espq_id *espq_exec_outputs(const espq_exec *exec);
const espq_batch *espq_exec_batch(const espq_exec *exec);
/* About what it holds once it has run: packed constants, and the buffers of every worker. */
size_t espq_exec_bytes(const espq_exec *exec);

/* inputs: one tensor per graph input, all with the same number of images (or of the model's own batches); scalar inputs
 * serve them all. A float32 tensor for an input that is quantized is quantized on the way. outputs: filled with new tensors (may be NULL: nothing is returned).
 * ESPQ_EFORMAT names the input, what was expected and what came; ESPQ_ELIMIT: more memory than the machine has. */
espq_status espq_exec_run(espq_exec *exec, espq_tensor *const *inputs, espq_tensor **outputs,
                          espq_observation *observation, espq_error *err);

#endif
