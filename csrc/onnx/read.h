/* read.h - an ONNX model as a graph.
 *
 * The bytes are hostile until proven otherwise: a bounded scan of the wire format (scan.h) goes first, every
 * length, count and type is checked, external data stays inside the model's folder (external.h).
 *
 * What the graph holds afterwards: inputs without the initializers that old files list among them; constants from
 * initializers and from Constant nodes, which are gone; nodes in topological order; domain "ai.onnx" as ""; shapes
 * of inputs with unknown dimensions as -1; types and shapes of all other values as the file claims them: a hint,
 * which shape inference overrules. bfloat16 becomes float32, 4-bit integers become 8-bit ones (with a note).
 * Local functions are put in place of their calls (splice.h), sparse initializers become dense.
 * ESPQ_EUNSUPPORTED, by name: sequence, map, optional and sparse types, training information, tensors of strings,
 * complex and float8 numbers.
 *
 *   espq_graph *graph;
 *   espq_onnx_notes notes = {0};
 *   if (espq_onnx_read("model.onnx", NULL, &graph, &notes, err)) return err->status;
 *   espq_graph_free(graph);
 */
#ifndef ESPQ_ONNX_READ_H
#define ESPQ_ONNX_READ_H

#include "graph/graph.h"
#include "onnx/limits.h"

/* What we read: newer files are tried, with a note; older ones are refused. */
enum { ESPQ_ONNX_IR_MIN = 3, ESPQ_ONNX_IR_MAX = 13, ESPQ_ONNX_OPSET_MIN = 1, ESPQ_ONNX_OPSET_MAX = 27 };

/* A protobuf message never exceeds this. */
#define ESPQ_ONNX_MAX_BYTES ((size_t)0x7fffffff)

/* What is odd but no error: one note a line, without a newline at the end. */
typedef struct espq_onnx_notes {
  int count;
  char text[1024]; /* cut to fit */
} espq_onnx_notes;

/* Reads a file; external data is looked for in its folder. limits (NULL: the usual ones) and notes may be NULL. Errors start with the path. */
espq_status espq_onnx_read(const char *path, const espq_onnx_limits *limits, espq_graph **out, espq_onnx_notes *notes,
                           espq_error *err);

/* Reads `size` bytes, which are not needed afterwards. dir: folder of external data; NULL: none is allowed. */
espq_status espq_onnx_decode(const void *bytes, size_t size, const char *dir, const espq_onnx_limits *limits,
                             espq_graph **out, espq_onnx_notes *notes, espq_error *err);

/* Puts a subgraph of a node, named by its attribute (If's then_branch, Loop's body), before the node. inputs: a value for
 * each input of the subgraph. *results: a value for each of its outputs, to be released with espq_free; *nresults counts
 * them. The node stays. External data is not read. ESPQ_ELIMIT: the graph would have more nodes than limits (NULL: the
 * usual ones) say. */
espq_status espq_onnx_splice(espq_graph *graph, espq_id node, const char *attr, size_t ninputs, const espq_id *inputs,
                             const espq_onnx_limits *limits, espq_id **results, size_t *nresults, espq_error *err);

/* Reads a file that holds one TensorProto, as the test data of ONNX do. Errors start with the path. */
espq_status espq_onnx_read_tensor(const char *path, espq_tensor **out, espq_error *err);

#endif
