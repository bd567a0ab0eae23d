/* op.h - one row per operator: everything that is known about it.
 *
 * ops.def lists the operators; each row is defined in the .c of its family as `const espq_op espq_op_<Name>`,
 * so a missing row is a link error. Shape inference, verification, the executor, the quantization policies,
 * check_model's reasons and the README's table all read these rows.
 *
 * A kernel is prepared once for given shapes, layouts, constants and exponents, and is then run by any number of
 * threads at once: prepared state is immutable, whatever a run writes lies in its outputs and its scratch.
 */
#ifndef ESPQ_OPS_OP_H
#define ESPQ_OPS_OP_H

#include "base/isa.h"
#include "base/layout.h"
#include "base/text.h"
#include "graph/graph.h"

/* One input or output of a node as a kernel or a shape rule sees it. */
typedef struct espq_port {
  bool present;     /* false: an optional input or output left out */
  const char *name; /* of the value, for messages */
  espq_dtype dtype;
  espq_shape shape;            /* logical; a dimension of -1 is unknown (shape rules only) */
  espq_layout layout;          /* kernels only; PLAIN in shape rules */
  const espq_tensor *constant; /* NULL: computed at run time. Constants are always PLAIN. */
  const espq_quant *quant;     /* bits 0: float */
} espq_port;

typedef struct espq_call {
  const espq_graph *graph;
  const espq_node *node;
  int64_t opset; /* version of the node's domain */
  int nin, nout;
  espq_port *in, *out;
} espq_call;

/* What runs share: oneDNN's engine, the instruction set. */
typedef struct espq_env {
  struct espq_infer_engine *engine;
  espq_isa isa;
} espq_env;

/* What prepare leaves behind. */
typedef struct espq_prepared {
  void *state;    /* for run and free; may be NULL */
  size_t scratch; /* bytes that each run needs, 64-byte aligned */
  int alias;      /* >= 0: output 0 is input `alias` unchanged, byte for byte, in the same layout; never run */
  bool in_place;  /* output 0 may be written over input 0 (same size and layout) */
} espq_prepared;

typedef struct espq_run_args {
  const void *state;
  const void *const *in; /* NULL for absent inputs */
  void *const *out;
  void *scratch;
  struct espq_infer_stream *stream; /* this worker's */
} espq_run_args;

typedef struct espq_kernel {
  /* Ports come with the layouts their tensors have. prepare may change call->in[k].layout to the one it wants (the
   * executor converts) and must set call->out[k].layout. Only ranks 2 to 4 have layouts other than PLAIN. */
  espq_status (*prepare)(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err);
  espq_status (*run)(const espq_run_args *args, espq_error *err);
  void (*free)(void *state); /* NULL: espq_free */
} espq_kernel;

typedef struct espq_attr_spec {
  const char *name; /* NULL ends the list */
  espq_attr_kind kind;
  bool required;
  double number;    /* default of an int or float */
  const char *text; /* default of a string; "" for lists: absent has a meaning of its own */
} espq_attr_spec;

/* What calibration does with an operator, as flags: the original toolkit's classes, and what "chip" mode adds. */
enum {
  ESPQ_V1_ARITHMETIC = 1,  /* its output is measured */
  ESPQ_V1_ACTIVATION = 2,  /* measured, and passes its exponent up to the producer */
  ESPQ_V1_SHARES = 4,      /* output takes the exponent of input 0 */
  ESPQ_V1_PASS = 8,        /* walks of the sharing rules go through it to input 0 */
  ESPQ_V1_LIFTS = 16,      /* an activation after it lifts its own exponent above it */
  ESPQ_V1_CALIBRATOR = 32, /* accepted by the original calibrator's check_model */
  ESPQ_V1_EVALUATOR = 64,  /* accepted by the original evaluator's check_model */
  ESPQ_V1_CHIP = 128,      /* can be quantized in "chip" mode */
  ESPQ_V1_ALIGNS = 256,    /* "chip" mode: each operand, also a constant, may have an exponent of its own */
  ESPQ_V1_UNMEASURED = 512 /* what a chip computes was never measured: "chip" mode's integers are our definition */
};

/* The same for ESP-DL v3: what its quantizer and its runtime do with an operator. */
enum {
  ESPQ_V3_QUANTIZED = 1,      /* runs on integers unless a user asks for float; others stay float */
  ESPQ_V3_COMPUTES = 2,       /* takes the exponent of a Relu or Clip that alone reads its output */
  ESPQ_V3_PASSIVE = 4,        /* every output has the exponent of input 0 */
  ESPQ_V3_ALIGNS = 8,         /* every input has the exponent of the output */
  ESPQ_V3_COMPARES = 16,      /* all inputs have one exponent; the output is a boolean */
  ESPQ_V3_MOVES = 32,         /* integers are moved as they are, so input 0 and output have one exponent */
  ESPQ_V3_LUT8 = 64,          /* a table of 256 entries in 8 bits */
  ESPQ_V3_LUT16 = 128,        /* a table with interpolation steps in 16 bits */
  ESPQ_V3_FLOAT_OUTPUT = 256, /* reads integers, writes float */
  ESPQ_V3_REGISTERED = 512,   /* the runtime loads it; others must be rewritten or refused */
  ESPQ_V3_SAME_KERNEL = 1024, /* the kernel is that of the q column, which rounds as the graph does; or where that
                                is missing that of the f32 column, which moves any type */
  ESPQ_V3_BY_FLOAT = 2048,    /* integers to float32, the kernel of the f32 column, and back */
  ESPQ_V3_REWRITTEN = 4096    /* not loaded, but written in operators that are (quant/v3/prepare.lua) */
};

/* How the exporter lays out the tensors of an operator for the runtime, whose images are NHWC. */
typedef enum espq_v3_layout {
  ESPQ_V3_ORIGINAL, /* everything as in ONNX */
  ESPQ_V3_NHWC,     /* images with their channels last */
  ESPQ_V3_UNARY,    /* the output like input 0 */
  ESPQ_V3_BINARY,   /* the inputs alike */
  ESPQ_V3_AXIS,     /* like input 0, the axes renumbered */
  ESPQ_V3_CONCAT,   /* alike, or as in ONNX */
  ESPQ_V3_SLICE     /* like input 0 where the axes are constant */
} espq_v3_layout;

typedef struct espq_v3_facts {
  const char *domain, *name;
  espq_v3_layout layout;
  unsigned flags; /* ESPQ_V3_* */
} espq_v3_facts;

typedef struct espq_op {
  const char *name;
  const char *domain;
  int since;            /* first opset whose form is understood */
  int min_in, max_in;   /* max -1: any number */
  int min_out, max_out; /* the same; min_out 0: output 0 may be left out, too */
  const espq_attr_spec *attrs;
  /* Sets dtype and shape of every present output from the inputs (and constants). */
  espq_status (*infer)(espq_call *call, espq_error *err);
  const espq_kernel *f32; /* NULL: no such column */
  const espq_kernel *q;   /* 8 and 16 bits; reads the width from the ports */
  const espq_kernel *v3;  /* ESP-DL v3's integers, widths by the ports; NULL: see ESPQ_V3_SAME_KERNEL, BY_FLOAT */
  unsigned v1;            /* ESPQ_V1_* */
  int weight, bias;       /* input index of weight and bias, -1: none */
  /* True when axis 0 of the inputs is not carried to axis 0 of the outputs image by image (Transpose that moves it,
   * Gemm with transA ...). NULL: never. Shapes are checked besides. */
  bool (*mixes_batch)(const espq_call *call);
  /* Why this node cannot be quantized: a reason and a remedy in text (returned), or NULL when it can. NULL: no more
   * reasons than `q` and `v1` give. */
  const char *(*why_not)(const espq_call *call, char *text, size_t size);
} espq_op;

/* --- registry (ops.c) --- */
const espq_op *espq_op_find(const char *domain, const char *op_type); /* NULL: unknown operator */
size_t espq_op_count(void);
const espq_op *espq_op_at(size_t index); /* in the order of ops.def */

/* What v3.def says of an operator; nothing (ORIGINAL, no flags) where it has no line. Never NULL. */
const espq_v3_facts *espq_op_v3(const espq_op *op);

/* Sets node->op for every node that has a row; unknown operators keep NULL. */
void espq_ops_resolve(espq_graph *graph);
/* Arity and attributes of every node against its row; all problems in one text, ESPQ_EUNSUPPORTED for unknown
 * operators (then the text lists them all), ESPQ_EFORMAT otherwise. */
espq_status espq_ops_verify(espq_graph *graph, espq_error *err);
/* Fills dtype and shape of every value, in graph order; outputs of unknown operators keep what the file claims of them
 * (their rank only, once an input was given another shape), nodes that do not fit leave unknown shapes behind. Fails
 * with the status of the first misfit (ESPQ_EFORMAT: shapes that do not fit) and a text of all of them, each with node,
 * input, expected and got. */
espq_status espq_ops_infer(espq_graph *graph, espq_error *err);
/* As espq_ops_infer, but into `values` (one per value id) instead of the graph, with the given shapes of graph inputs
 * (in the order of graph->inputs). */
typedef struct espq_typed_shape {
  espq_dtype dtype;
  espq_shape shape;
} espq_typed_shape;
espq_status espq_ops_infer_at(const espq_graph *graph, const espq_shape *input_shapes, espq_typed_shape *values,
                              espq_error *err);
/* What is wrong with one node by itself: arity, attributes, opset, and whether the shapes that the graph has now fit.
 * ESPQ_OK also for an operator that is not known. */
espq_status espq_ops_check_node(espq_graph *graph, espq_id node, espq_error *err);
/* Fills call and its ports for `node` (shapes from `values`, or from the graph when NULL). Free with espq_call_free. */
espq_status espq_call_init(espq_call *call, const espq_graph *graph, espq_id node, const espq_typed_shape *values,
                           espq_error *err);
void espq_call_free(espq_call *call);
/* Shapes and dtypes of the outputs from the inputs, by the node's row: arity, the row's rule, sizes. */
espq_status espq_call_infer(espq_call *call, espq_error *err);
/* ESPQ_ELIMIT, with the node: it needs more than `left` bytes (of the graph's max_bytes) for its outputs, for inputs
 * that are no constants and for scratch. Unknown shapes count nothing. */
espq_status espq_call_fits(const espq_call *call, size_t scratch, uint64_t left, espq_error *err);
/* The kernel of a node's column, or NULL; and how what it prepared is released (NULLs are allowed). */
const espq_kernel *espq_kernel_of(const espq_node *node);
void espq_kernel_free(const espq_kernel *kernel, void *state);

/* --- helpers for the families (util.c) --- */
/* What is wrong with a node that has a row, shapes apart (form.c): inputs, outputs, attributes, the model's version. */
espq_status espq_node_check_form(const espq_graph *graph, const espq_node *node, espq_error *err);
/* ESPQ_OK when there are no problems; else espq_fail with `what` and the problems, each of which ends in ", " or "; ". */
espq_status espq_fail_problems(espq_text *problems, espq_status status, const char *what, espq_error *err);
bool espq_port_has(const espq_call *call, int input); /* input exists and is present */
/* A constant input as int64 numbers (int32 or int64 tensor): fills at most max, sets *n. */
espq_status espq_port_ints(const espq_call *call, int input, int64_t *out, int max, int *n, espq_error *err);
/* A constant scalar float input; `otherwise` when absent. */
espq_status espq_port_float(const espq_call *call, int input, float otherwise, float *out, espq_error *err);
/* attr as list of ints: fills at most max, sets *n to its length, 0 when absent. */
espq_status espq_call_ints(const espq_call *call, const char *attr, int64_t *out, int max, int *n, espq_error *err);
/* Makes axis non-negative; ESPQ_EFORMAT when outside [-rank, rank). */
espq_status espq_call_axis(const espq_call *call, int64_t axis, int rank, int *out, espq_error *err);
/* Numpy broadcasting of shapes with unknown dimensions; ESPQ_EFORMAT names both shapes. */
espq_status espq_broadcast(const espq_call *call, const espq_shape *a, const espq_shape *b, espq_shape *out,
                           espq_error *err);
/* espq_fail with "<Op> '<name>': " in front. */
espq_status espq_call_fail(const espq_call *call, espq_error *err, espq_status status, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
espq_status espq_infer_same(espq_call *call, espq_error *err); /* the common rule: output 0 is like input 0 */
/* The product; 2^40 if it is more, -1 if a dimension is unknown. */
int64_t espq_shape_elements(const espq_shape *shape);

#endif
