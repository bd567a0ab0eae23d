/* write.h - a graph as an ONNX model.
 *
 * The same graph gives the same bytes. Constants become initializers with raw data, known types and shapes
 * become value_info, quantization exponents are not written. Reading the result gives the same graph again.
 *
 *   if (espq_onnx_write(graph, "model_optimized.onnx", err)) return err->status;
 */
#ifndef ESPQ_ONNX_WRITE_H
#define ESPQ_ONNX_WRITE_H

#include "graph/graph.h"

/* The serialized model in a block of espq_alloc. ESPQ_ELIMIT: more than ESPQ_ONNX_MAX_BYTES. */
espq_status espq_onnx_encode(const espq_graph *graph, unsigned char **bytes, size_t *size, espq_error *err);

/* Writes it atomically (base/file.h). */
espq_status espq_onnx_write(const espq_graph *graph, const char *path, espq_error *err);

#endif
