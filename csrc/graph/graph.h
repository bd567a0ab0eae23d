/* graph.h - the one intermediate representation: values (tensors) and nodes (operators).
 *
 * Nodes and values are named by ids: indices that stay valid until the element is removed; ids are never
 * reused within one graph, so `alive` tells whether an id still means something. Nodes form a doubly linked list that is
 * kept in topological order by whoever inserts (espq_graph_sort restores it). Names, attributes and ids
 * live in the graph's arena and die with it; tensors are refcounted.
 *
 * A value is a graph input, a constant (initializer), or output k of one node; never two of these. Value
 * names are unique and not empty. Node names may be empty or repeated, as in ONNX files.
 * `in` entries may be ESPQ_NONE: an optional input left out. Shapes are logical ONNX shapes; a dimension
 * of -1 is not known (a symbolic batch has its name in `symbol`).
 *
 *   for (espq_id n = g->first; n != ESPQ_NONE; n = g->nodes[n].next) puts(g->nodes[n].op_type);
 */
#ifndef ESPQ_GRAPH_GRAPH_H
#define ESPQ_GRAPH_GRAPH_H

#include "base/arena.h"
#include "tensor/tensor.h"

typedef int32_t espq_id;
enum { ESPQ_NONE = -1 };

typedef struct espq_shape {
  int rank; /* -1: not known */
  int64_t dim[ESPQ_MAX_RANK];
} espq_shape;

/* How a tensor is quantized: value = integer * 2^exponent. bits 0: float. One exponent, or one per channel. */
typedef struct espq_quant {
  int bits;
  int count;
  int32_t *exponent; /* in the arena; ESPQ_EXPONENT_ZERO (quant/exponent.h) for a scale of 0 */
} espq_quant;

typedef struct espq_use {
  espq_id node; /* ESPQ_NONE: none */
  int slot;     /* index into the node's inputs */
} espq_use;

/* The uses of a value are a list through the inputs that make them, so that adding and removing one takes no search. */
typedef struct espq_use_link {
  espq_use prev, next;
} espq_use_link;

typedef struct espq_value {
  bool alive;
  const char *name;
  espq_id producer; /* ESPQ_NONE: graph input or constant */
  int slot;         /* which output of the producer */
  espq_dtype dtype; /* ESPQ_DTYPE_NONE: not known */
  espq_shape shape;
  const char *symbol[ESPQ_MAX_RANK]; /* names of symbolic dimensions, or NULL */
  espq_tensor *constant;             /* a reference, or NULL */
  espq_quant quant;
  espq_use first_use, last_use; /* every node input that reads it, oldest first; graph outputs are not in it */
  size_t nuses;
} espq_value;

typedef enum espq_attr_kind {
  ESPQ_ATTR_INT,
  ESPQ_ATTR_FLOAT,
  ESPQ_ATTR_STRING,
  ESPQ_ATTR_TENSOR,
  ESPQ_ATTR_INTS,
  ESPQ_ATTR_FLOATS,
  ESPQ_ATTR_STRINGS,
  ESPQ_ATTR_OPAQUE /* an AttributeProto we only carry along (subgraphs, sparse tensors): bytes in `s` */
} espq_attr_kind;

typedef struct espq_string {
  const char *text; /* NUL-terminated copy, may hold NULs */
  size_t size;
} espq_string;

typedef struct espq_attr {
  struct espq_attr *next;
  const char *name;
  espq_attr_kind kind;
  int64_t i;
  float f;
  espq_string s;
  espq_tensor *tensor; /* a reference */
  size_t n;            /* length of the list that `kind` names */
  int64_t *ints;
  float *floats;
  espq_string *strings;
} espq_attr;

/* Which implementation of its operator a node runs: float, or integers (8 or 16 bits by its values) as ESP-DL v1 or as
 * ESP-DL v3 computes them. */
typedef enum espq_column { ESPQ_COLUMN_F32, ESPQ_COLUMN_Q, ESPQ_COLUMN_V3 } espq_column;

struct espq_op; /* the operator's row, csrc/ops/op.h; set by espq_ops_resolve */

typedef struct espq_node {
  bool alive;
  const char *name, *op_type, *domain; /* domain "" is ai.onnx */
  const struct espq_op *op;
  espq_id prev, next;
  int nin, nout;
  espq_id *in, *out;    /* out entries may be ESPQ_NONE: an optional output left out */
  espq_use_link *links; /* of each input in the list of its value's uses */
  espq_attr *attrs;
  espq_column column;
  bool marked; /* for the walk that is under way; false outside of it */
} espq_node;

typedef struct espq_opset {
  const char *domain;
  int64_t version;
} espq_opset;

/* Whose integer arithmetic a quantized graph's kernels follow; quant.apply sets it. */
typedef enum espq_arithmetic {
  ESPQ_ARITHMETIC_NONE,        /* a float graph */
  ESPQ_ARITHMETIC_V1_TENSOR,   /* ESP-DL v1: one exponent per weight, bias at the output's exponent, 8 or 16 bits */
  ESPQ_ARITHMETIC_V1_CHANNEL,  /* ESP-DL v1, int8 only: an exponent per output channel, 16-bit bias, two shifts */
  ESPQ_ARITHMETIC_V3_HALF_UP,  /* ESP-DL v3 on all chips but the P4: bias before one shift, which rounds a half up */
  ESPQ_ARITHMETIC_V3_HALF_EVEN /* ESP-DL v3 on the P4: the same, a half to the even integer */
} espq_arithmetic;

/* What holds the sums of products: wide enough for all, or the lanes of the ESP32-S3, which saturate at every step. */
typedef enum espq_accumulator { ESPQ_ACCUMULATOR_EXACT, ESPQ_ACCUMULATOR_LANES } espq_accumulator;

/* What a file says about the model, carried along unread. */
typedef struct espq_metadata {
  const char *key, *value;
} espq_metadata;

/* How large a model, and what it computes, may be where nobody says otherwise. */
#define ESPQ_USUAL_BYTES    0x80000000
#define ESPQ_USUAL_ELEMENTS 0x80000000

typedef struct espq_graph {
  espq_arena *arena;
  const char *name, *doc, *producer;
  const char *producer_version, *domain; /* of the model; "" is absent, as in the texts above */
  int64_t model_version;
  espq_metadata *metadata;
  size_t nmetadata, metadata_capacity;
  espq_arithmetic arithmetic;
  espq_accumulator accumulator;
  int64_t ir_version;
  int64_t opset;      /* version of the default domain */
  espq_opset *opsets; /* of the other domains */
  size_t nopsets, opsets_capacity;
  size_t fresh;  /* number of the next value that has no name of its own */
  bool reshaped; /* an input has another shape than in the file: what that claims of unknown nodes may be wrong */
  uint64_t max_bytes, max_elements; /* of what a run takes, of one tensor: the file's limits, or the usual ones */
  espq_value *values;
  size_t nvalues, values_capacity;
  espq_node *nodes;
  size_t nnodes, nodes_capacity; /* ids handed out, removed ones included */
  size_t live_nodes;
  espq_id first, last;
  espq_id *inputs, *outputs; /* values */
  size_t ninputs, noutputs, inputs_capacity, outputs_capacity;
  struct espq_names *names; /* value name -> id */
} espq_graph;

/* --- life --- */
espq_status espq_graph_new(espq_graph **out, espq_error *err);
void espq_graph_free(espq_graph *graph); /* NULL is allowed */
/* Ids change: removed elements are dropped. Constants are shared, not copied. */
espq_status espq_graph_clone(const espq_graph *graph, espq_graph **out, espq_error *err);
/* One more line of metadata; copied. `set` looks first for a line of that key, which then has the new value. */
espq_status espq_graph_add_metadata(espq_graph *graph, const char *key, const char *value, espq_error *err);
espq_status espq_graph_set_metadata(espq_graph *graph, const char *key, const char *value, espq_error *err);
size_t espq_graph_bytes(const espq_graph *graph); /* structure plus constants */

/* --- values --- */
/* name NULL or "": a fresh one. ESPQ_EFORMAT when the name is taken. */
espq_status espq_graph_add_value(espq_graph *graph, const char *name, espq_id *out, espq_error *err);
/* A constant; takes its own reference to tensor, and its type and shape. */
espq_status espq_graph_add_constant(espq_graph *graph, const char *name, espq_tensor *tensor, espq_id *out,
                                    espq_error *err);
espq_status espq_graph_add_input(espq_graph *graph, espq_id value, espq_error *err);
espq_status espq_graph_add_output(espq_graph *graph, espq_id value, espq_error *err);
espq_status espq_graph_set_output(espq_graph *graph, size_t index, espq_id value, espq_error *err);
void espq_graph_remove_input(espq_graph *graph, espq_id value);           /* the value stays */
espq_id espq_graph_find_value(const espq_graph *graph, const char *name); /* ESPQ_NONE: no such value */
espq_status espq_graph_rename_value(espq_graph *graph, espq_id value, const char *name, espq_error *err);
espq_status espq_graph_swap_names(espq_graph *graph, espq_id a, espq_id b, espq_error *err);
bool espq_graph_is_input(const espq_graph *graph, espq_id value);
bool espq_graph_is_output(const espq_graph *graph, espq_id value);
/* Replaces (tensor may be NULL: no longer a constant) and updates type and shape. */
void espq_graph_set_constant(espq_graph *graph, espq_id value, espq_tensor *tensor);
espq_status espq_graph_set_quant(espq_graph *graph, espq_id value, int bits, int count, const int32_t *exponent,
                                 espq_error *err);
/* Removes a value nobody makes, reads or returns; ESPQ_EBUG otherwise. */
espq_status espq_graph_remove_value(espq_graph *graph, espq_id value, espq_error *err);

/* The use behind this one: for (u = value->first_use; u.node != ESPQ_NONE; u = espq_graph_next_use(graph, u)) */
espq_use espq_graph_next_use(const espq_graph *graph, espq_use use);

/* --- nodes --- */
/* Inserts before node `before` (ESPQ_NONE: at the end). Outputs must have no producer yet. */
espq_status espq_graph_add_node(espq_graph *graph, espq_id before, const char *domain, const char *op_type,
                                const char *name, int nin, const espq_id *in, int nout, const espq_id *out,
                                espq_id *node, espq_error *err);
espq_status espq_graph_set_input(espq_graph *graph, espq_id node, int slot, espq_id value, espq_error *err);
/* Changes the number of inputs; new ones are ESPQ_NONE. */
espq_status espq_graph_resize_inputs(espq_graph *graph, espq_id node, int nin, espq_error *err);
/* Removes a node none of whose outputs is read or returned, with its outputs. ESPQ_EBUG otherwise. */
espq_status espq_graph_remove_node(espq_graph *graph, espq_id node, espq_error *err);
/* Removes a node whose outputs become constants: a tensor for each output that it has (references are taken). */
espq_status espq_graph_replace_node(espq_graph *graph, espq_id node, espq_tensor *const *tensors, espq_error *err);
void espq_graph_move_before(espq_graph *graph, espq_id node, espq_id before); /* ESPQ_NONE: to the end */
/* Every reader of `old`, graph outputs included, reads `with` instead. When `old` is a graph output the two
 * exchange names, so that the graph's output keeps its own; refused (ESPQ_EUNSUPPORTED) when `with` is itself
 * a graph input, constant or output, whose name must stay. */
espq_status espq_graph_replace_value(espq_graph *graph, espq_id old, espq_id with, espq_error *err);
/* Drops nodes whose results nobody needs, then constants nobody reads; returns how many elements went. */
size_t espq_graph_prune(espq_graph *graph);

/* --- attributes --- */
const espq_attr *espq_node_attr(const espq_node *node, const char *name); /* NULL: absent */
/* Copies *attr (its strings and lists into the arena, a reference to its tensor), replacing one of that name. */
espq_status espq_node_set_attr(espq_graph *graph, espq_id node, const espq_attr *attr, espq_error *err);
void espq_node_remove_attr(espq_graph *graph, espq_id node, const char *name);
int64_t espq_node_int(const espq_node *node, const char *name, int64_t otherwise);
float espq_node_float(const espq_node *node, const char *name, float otherwise);
const char *espq_node_string(const espq_node *node, const char *name, const char *otherwise);

/* --- order, checks, text --- */
/* Stable topological order. ESPQ_EFORMAT: a cycle; the text names its nodes. */
espq_status espq_graph_sort(espq_graph *graph, espq_error *err);
/* Structure only: ids, uses, producers, order, names. All problems are listed in the text. */
espq_status espq_graph_verify(const espq_graph *graph, espq_error *err);
/* Readable text of the whole graph, to be released with espq_free; NULL: no memory. */
char *espq_graph_print(const espq_graph *graph);
/* "Conv 'conv1'" or, without a name, "Conv -> 'output name'": for messages. Returns text. */
char *espq_node_label(const espq_graph *graph, const espq_node *node, char *text, size_t size);

#endif
