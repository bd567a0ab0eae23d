/* splice.h - puts the body of a local function, or of an If or a Loop, where it is called.
 *
 * Internal to csrc/onnx. The body's values get names of their own, "<prefix>/<name>" where that is free. What a subgraph
 * captures from outside is found in the graph by name; a function sees its inputs only. Attributes of a function's
 * nodes that refer to the caller's are replaced by them, or by the function's defaults. Functions that functions call
 * are spliced likewise; one that calls itself is refused.
 *
 *   espq_splice s = {.graph = graph, .source = &source, .functions = functions, .before = ESPQ_NONE, .arena = arena};
 *   espq_id results[2];
 *   espq_splice_function(&s, call, inputs, results, err);          -- results: the values of the function's outputs
 */
#ifndef ESPQ_ONNX_SPLICE_H
#define ESPQ_ONNX_SPLICE_H

#include "graph/names.h"
#include "onnx/proto.h"

enum { ESPQ_SPLICE_DEPTH = 32 }; /* functions that call functions */

/* The functions of a model by domain, name and overload. */
typedef struct espq_functions {
  const Onnx__ModelProto *model;
  espq_names *by_key;
} espq_functions;

/* The keys lie in the arena; espq_names_free(functions->by_key) ends it. ESPQ_EFORMAT: one is defined twice. */
espq_status espq_functions_init(espq_functions *functions, const Onnx__ModelProto *model, espq_arena *arena,
                                espq_error *err);

typedef struct espq_splice {
  espq_graph *graph;
  espq_onnx_source *source;
  const espq_functions *functions; /* that may be called; NULL: none */
  espq_id before;                  /* where the nodes go; ESPQ_NONE: to the end */
  espq_arena *arena;               /* for what lives as long as the call */
  int depth;
} espq_splice;

/* The function that a node calls, or NULL; functions may be NULL. */
const Onnx__FunctionProto *espq_splice_find(const espq_functions *functions, const Onnx__NodeProto *call);

/* inputs: a value, or ESPQ_NONE, for each input of the call; results: one per output of the function. */
espq_status espq_splice_function(espq_splice *splice, const Onnx__NodeProto *call, const espq_id *inputs,
                                 espq_id *results, espq_error *err);

/* A subgraph on `ninputs` values, which must be as many as it has; results: one per output of the subgraph. */
espq_status espq_splice_graph(espq_splice *splice, const Onnx__GraphProto *body, const char *prefix, size_t ninputs,
                              const espq_id *inputs, espq_id *results, espq_error *err);

#endif
