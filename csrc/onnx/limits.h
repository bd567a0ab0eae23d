/* limits.h - how large a model may be before it is refused, in milliseconds and with ESPQ_ELIMIT.
 *
 *   espq_onnx_limits limits = espq_onnx_usual_limits;
 *   limits.nodes = 1000;
 *   espq_onnx_read("model.onnx", &limits, &graph, NULL, err);
 */
#ifndef ESPQ_ONNX_LIMITS_H
#define ESPQ_ONNX_LIMITS_H

#include "graph/graph.h"

/* What a user may change: X(name, default, what it counts). The command line calls them --limit-<name>. */
#define ESPQ_ONNX_LIMITS(X)                                                                                \
  X(bytes, ESPQ_USUAL_BYTES, "bytes of a file, of its external data together, and of what a run computes") \
  X(nodes, 100000, "nodes in the whole model; initializers, inputs and value_info alike")                  \
  X(inputs, 65536, "inputs of one node")                                                                   \
  X(elements, ESPQ_USUAL_ELEMENTS, "elements of one tensor, in the file or computed")                      \
  X(depth, 64, "messages inside messages")                                                                 \
  X(rank, 8, "dimensions of one tensor; never more than 8")

typedef struct espq_onnx_limits {
#define ESPQ_LIMIT_FIELD(name, usual, what) uint64_t name;
  ESPQ_ONNX_LIMITS(ESPQ_LIMIT_FIELD)
#undef ESPQ_LIMIT_FIELD
} espq_onnx_limits;

extern const espq_onnx_limits espq_onnx_usual_limits;

#endif
