/* run_op.h - one node, from inputs and attributes to numbers: the harness of the operator specs.
 *
 * A case is a graph of one node. Inputs are runtime tensors or constants, always given PLAIN; op_layout says in which
 * layout an input's producer would have left it. op_run infers, prepares, brings the inputs into the layouts that the
 * kernel asks for, runs and leaves PLAIN results in t.result. On the way it checks what every kernel owes: padding
 * lanes of 0, every element written, and the same bytes when it may run in place.
 *
 *   op_case t;
 *   op_begin(&t, "Conv", 13);
 *   op_input(&t, ESPQ_F32, 4, (int64_t[]){1, 3, 8, 8}, x);
 *   op_constant(&t, ESPQ_F32, 4, (int64_t[]){4, 3, 3, 3}, w);
 *   op_ints(&t, "pads", 4, (int64_t[]){1, 1, 1, 1});
 *   if (CHECK(op_run(&t) == ESPQ_OK)) ... t.result[0]->data ...
 *   op_end(&t);
 */
#ifndef ESPQ_SPEC_RUN_OP_H
#define ESPQ_SPEC_RUN_OP_H

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "check.h"
#include "infer/engine.h"
#include "infer/reorder.h"
#include "ops/op.h"
#include "sim/reorder.h"

enum { OP_PORTS = 8, OP_OUT = 100 /* op_quant: OP_OUT + k is output k */ };

typedef struct op_case {
  espq_graph *g;
  espq_id node;
  int nin, nout;
  espq_tensor *data[OP_PORTS];  /* of runtime inputs */
  espq_layout layout[OP_PORTS]; /* as their producers left them */
  espq_isa isa;
  espq_tensor *result[OP_PORTS];
  espq_layout out_layout; /* of output 0, as the kernel chose it */
  bool aliased, in_place;
  espq_error err;
} op_case;

static inline void op_must(int ok, const char *what) {
  if (ok) return;
  fprintf(stderr, "run_op: %s\n", what);
  exit(2);
}

static inline void op_begin_outputs(op_case *t, const char *op_type, int64_t opset, int nout) {
  espq_id out[OP_PORTS];
  memset(t, 0, sizeof *t);
  t->isa = espq_isa_detect();
  t->nout = nout;
  op_must(espq_graph_new(&t->g, &t->err) == ESPQ_OK, "no graph");
  t->g->opset = opset;
  for (int i = 0; i < nout; i++) op_must(!espq_graph_add_value(t->g, NULL, &out[i], &t->err), t->err.text);
  op_must(!espq_graph_add_node(t->g, ESPQ_NONE, "", op_type, "n", 0, NULL, nout, out, &t->node, &t->err), t->err.text);
  op_must(!espq_graph_add_output(t->g, out[0], &t->err), t->err.text);
}

static inline void op_begin(op_case *t, const char *op_type, int64_t opset) { op_begin_outputs(t, op_type, opset, 1); }

static inline void op_end(op_case *t) {
  for (int i = 0; i < OP_PORTS; i++) espq_tensor_release(t->data[i]), espq_tensor_release(t->result[i]);
  espq_graph_free(t->g);
}

static inline void op_connect(op_case *t, espq_id value) {
  int slot = t->nin++;
  op_must(t->nin <= OP_PORTS && !espq_graph_resize_inputs(t->g, t->node, t->nin, &t->err), "too many inputs");
  if (value != ESPQ_NONE) op_must(!espq_graph_set_input(t->g, t->node, slot, value, &t->err), t->err.text);
}

static inline espq_tensor *op_tensor(op_case *t, espq_dtype dtype, int rank, const int64_t *dim, const void *data) {
  espq_tensor *x;
  op_must(!espq_tensor_new(dtype, rank, dim, &x, &t->err), t->err.text);
  if (data) memcpy(x->data, data, espq_tensor_bytes(x));
  return x;
}

/* A runtime input; data NULL: shape rules only, dimensions may be -1, rank -1 is unknown. */
static inline void op_input(op_case *t, espq_dtype dtype, int rank, const int64_t *dim, const void *data) {
  espq_id id;
  op_must(!espq_graph_add_value(t->g, NULL, &id, &t->err), t->err.text);
  op_must(!espq_graph_add_input(t->g, id, &t->err), t->err.text);
  espq_value *v = &t->g->values[id];
  v->dtype = dtype;
  v->shape.rank = rank;
  for (int i = 0; i < rank; i++) v->shape.dim[i] = dim[i];
  if (data) t->data[t->nin] = op_tensor(t, dtype, rank, dim, data);
  op_connect(t, id);
}

/* An initializer; data NULL: zeros or whatever memory holds, for shape rules. */
static inline void op_constant(op_case *t, espq_dtype dtype, int rank, const int64_t *dim, const void *data) {
  espq_id id;
  espq_tensor *x = op_tensor(t, dtype, rank, dim, data);
  if (!data) memset(x->data, 0, espq_tensor_bytes(x));
  op_must(!espq_graph_add_constant(t->g, NULL, x, &id, &t->err), t->err.text);
  espq_tensor_release(x);
  op_connect(t, id);
}

static inline void op_absent(op_case *t) { op_connect(t, ESPQ_NONE); }

static inline void op_attr(op_case *t, const espq_attr *attr) {
  op_must(!espq_node_set_attr(t->g, t->node, attr, &t->err), t->err.text);
}

static inline void op_int(op_case *t, const char *name, int64_t i) {
  op_attr(t, &(espq_attr){.name = name, .kind = ESPQ_ATTR_INT, .i = i});
}

static inline void op_float(op_case *t, const char *name, float f) {
  op_attr(t, &(espq_attr){.name = name, .kind = ESPQ_ATTR_FLOAT, .f = f});
}

static inline void op_string(op_case *t, const char *name, const char *s) {
  op_attr(t, &(espq_attr){.name = name, .kind = ESPQ_ATTR_STRING, .s = {s, strlen(s)}});
}

static inline void op_ints(op_case *t, const char *name, int n, const int64_t *ints) {
  op_attr(t, &(espq_attr){.name = name, .kind = ESPQ_ATTR_INTS, .n = (size_t)n, .ints = (int64_t *)ints});
}

/* The integer column, in this arithmetic. */
static inline void op_integer(op_case *t, espq_arithmetic arithmetic) {
  t->g->arithmetic = arithmetic;
  t->g->nodes[t->node].column = ESPQ_COLUMN_Q;
}

static inline void op_quants(op_case *t, int port, int bits, int count, const int32_t *exponent) {
  const espq_node *n = &t->g->nodes[t->node];
  espq_id id = port >= OP_OUT ? n->out[port - OP_OUT] : n->in[port];
  op_must(!espq_graph_set_quant(t->g, id, bits, count, exponent, &t->err), t->err.text);
}

static inline void op_quant(op_case *t, int port, int bits, int32_t exponent) {
  op_quants(t, port, bits, 1, &exponent);
}

/* ---- shapes ---- */

static inline espq_status op_infer(op_case *t) { return espq_ops_infer(t->g, &t->err); }

/* Attributes, arity and opset against the row. */
static inline espq_status op_verify(op_case *t) { return espq_ops_verify(t->g, &t->err); }

static inline const espq_value *op_output(const op_case *t, int k) {
  return &t->g->values[t->g->nodes[t->node].out[k]];
}

/* "1x8x?x?" of output k. */
static inline const char *op_shape(const op_case *t, int k) {
  static char text[160];
  const espq_shape *s = &op_output(t, k)->shape;
  return s->rank < 0 ? "unknown" : espq_shape_text(s->rank, s->dim, text, sizeof text);
}

/* CHECKs a refusal: the status, and a piece of the message. */
static inline void op_refused(op_case *t, espq_status got, espq_status expected, const char *piece) {
  bool ok = got == expected && strstr(t->err.text, piece);
  if (!CHECK(ok))
    fprintf(stderr, "  expected %s '%s', got %s '%s'\n", espq_status_name(expected), piece, espq_status_name(got),
            t->err.text);
}

/* ---- running ---- */

typedef struct op_sizes {
  int64_t n, c, pixels;
} op_sizes;

static inline op_sizes op_sizes_of(const espq_shape *s) {
  op_sizes z = {1, 1, 1};
  for (int i = 0; i < s->rank; i++) *(i == 0 ? &z.n : i == 1 ? &z.c : &z.pixels) *= s->dim[i];
  return z;
}

static inline size_t op_port_bytes(const espq_port *p) {
  op_sizes z = op_sizes_of(&p->shape);
  return (size_t)(z.n * espq_layout_channels(p->layout, z.c) * z.pixels) * espq_dtype_size(p->dtype);
}

static inline void op_reorder(const espq_port *p, espq_layout from, espq_layout to, const void *src, void *dst) {
  op_sizes z = op_sizes_of(&p->shape);
  if (p->dtype == ESPQ_F32) espq_infer_reorder(from, to, z.n, z.c, z.pixels, src, dst);
  else if (from == to) memcpy(dst, src, op_port_bytes(p));
  else if (to == ESPQ_NHWC16) espq_sim_to_nhwc16(p->dtype == ESPQ_I16 ? 16 : 8, z.n, z.c, z.pixels, src, dst);
  else espq_sim_to_plain(p->dtype == ESPQ_I16 ? 16 : 8, z.n, z.c, z.pixels, src, dst);
}

/* A tensor's bytes in the port's layout, as kernels must leave and may expect them. */
static inline void *op_from_plain(const espq_port *p, const void *plain) {
  void *x = espq_alloc(op_port_bytes(p) + 64);
  op_must(x != NULL, "no memory");
  if (p->layout == ESPQ_PLAIN) memcpy(x, plain, op_port_bytes(p));
  else op_reorder(p, ESPQ_PLAIN, p->layout, plain, x);
  return x;
}

/* Takes an output apart: PLAIN result, and a check that its padding lanes are 0. */
static inline espq_tensor *op_to_plain(op_case *t, const espq_port *p, const void *x) {
  espq_tensor *y = op_tensor(t, p->dtype, p->shape.rank, p->shape.dim, NULL);
  if (p->layout == ESPQ_PLAIN) {
    memcpy(y->data, x, espq_tensor_bytes(y));
    return y;
  }
  op_reorder(p, p->layout, ESPQ_PLAIN, x, y->data);
  void *again = op_from_plain(p, y->data);
  if (p->dtype == ESPQ_F32) { /* -0 is a 0 too */
    bool same = true;
    for (size_t i = 0; i < op_port_bytes(p) / sizeof(float); i++) {
      float a = ((const float *)again)[i], b = ((const float *)x)[i];
      same = same && (a == b || (a != a && b != b));
    }
    CHECK(same && "padding lanes are 0");
  } else CHECK(memcmp(again, x, op_port_bytes(p)) == 0 && "padding lanes are 0");
  espq_free(again);
  return y;
}

static inline void op_run_once(op_case *t, const espq_kernel *k, const espq_call *call, const espq_prepared *prepared,
                               const void *const *in, void *const *out, espq_infer_stream *stream) {
  void *scratch = espq_alloc(prepared->scratch + 64);
  op_must(scratch != NULL, "no memory");
  memset(scratch, 0xa5, prepared->scratch);
  espq_run_args args = {.state = prepared->state, .in = in, .out = out, .scratch = scratch, .stream = stream};
  espq_status status = k->run(&args, &t->err);
  if (!CHECK(status == ESPQ_OK)) fprintf(stderr, "  %s\n", t->err.text);
  espq_free(scratch);
  (void)call;
}

/* Once into fresh memory and, where allowed, once over input 0: the same bytes. */
static inline void op_execute(op_case *t, const espq_kernel *k, espq_call *call, const espq_prepared *prepared,
                              espq_infer_stream *stream) {
  void *in[OP_PORTS] = {0}, *out[OP_PORTS] = {0};
  for (int i = 0; i < call->nin; i++) {
    const espq_port *p = &call->in[i];
    if (p->present) in[i] = op_from_plain(p, p->constant ? p->constant->data : t->data[i]->data);
  }
  for (int i = 0; i < call->nout; i++) {
    size_t bytes = op_port_bytes(&call->out[i]);
    out[i] = espq_alloc(bytes + 64);
    op_must(out[i] != NULL, "no memory");
    memset(out[i], 0x5a, bytes + 64);
  }
  op_run_once(t, k, call, prepared, (const void *const *)in, out, stream);
  CHECK(((unsigned char *)out[0])[op_port_bytes(&call->out[0])] == 0x5a && "nothing behind the output");
  if (prepared->in_place) {
    void *saved = out[0];
    CHECK(op_port_bytes(&call->in[0]) == op_port_bytes(&call->out[0]));
    out[0] = in[0];
    op_run_once(t, k, call, prepared, (const void *const *)in, out, stream);
    CHECK(memcmp(saved, out[0], op_port_bytes(&call->out[0])) == 0 && "the same in place");
    out[0] = saved;
  }
  for (int i = 0; i < call->nout; i++) t->result[i] = op_to_plain(t, &call->out[i], out[i]);
  for (int i = 0; i < OP_PORTS; i++) espq_free(in[i]), espq_free(out[i]);
}

static inline espq_status op_prepare_and_run(op_case *t, const espq_kernel *k, espq_call *call, espq_env *env) {
  espq_prepared prepared = {.alias = -1};
  espq_infer_stream *stream = NULL;
  for (int i = 0; i < call->nin; i++) call->in[i].layout = call->in[i].constant ? ESPQ_PLAIN : t->layout[i];
  espq_status status = k->prepare(env, call, &prepared, &t->err);
  if (status) return status;
  t->out_layout = call->out[0].layout;
  t->in_place = prepared.in_place;
  t->aliased = prepared.alias >= 0;
  op_must(!espq_infer_stream_new(env->engine, &stream, &t->err), t->err.text);
  if (t->aliased) {
    const espq_port *from = &call->in[prepared.alias], *to = &call->out[0];
    CHECK(from->layout == to->layout && op_port_bytes(from) == op_port_bytes(to));
    void *x = op_from_plain(from, from->constant ? from->constant->data : t->data[prepared.alias]->data);
    t->result[0] = op_to_plain(t, to, x);
    espq_free(x);
  } else op_execute(t, k, call, &prepared, stream);
  if (prepared.state) k->free ? k->free(prepared.state) : espq_free(prepared.state);
  espq_infer_stream_free(stream);
  return ESPQ_OK;
}

/* The node's own column. May be called again after changes: results of the last run are replaced. */
static inline espq_status op_run(op_case *t) {
  espq_env env = {.isa = t->isa};
  espq_call call;
  espq_status status = op_infer(t);
  for (int i = 0; i < OP_PORTS; i++) espq_tensor_release(t->result[i]), t->result[i] = NULL;
  if (status) return status;
  const espq_op *op = t->g->nodes[t->node].op;
  const espq_kernel *k = t->g->nodes[t->node].column == ESPQ_COLUMN_Q ? op->q : op->f32;
  op_must(k != NULL, "no such column");
  op_must(!espq_infer_engine_new(&env.engine, &t->err), t->err.text);
  op_must(!espq_call_init(&call, t->g, t->node, NULL, &t->err), t->err.text);
  status = op_prepare_and_run(t, k, &call, &env);
  espq_call_free(&call);
  espq_infer_engine_free(env.engine);
  return status;
}

/* As op_run, and says what went wrong. */
static inline bool op_ran(op_case *t) {
  bool ok = CHECK(op_run(t) == ESPQ_OK);
  if (!ok) fprintf(stderr, "  %s\n", t->err.text);
  return ok;
}

static inline float op_f32(const op_case *t, int64_t i) { return ((const float *)t->result[0]->data)[i]; }

/* An integer of output 0 (int8, int16, int32 or int64). */
static inline int64_t op_integer_at(const op_case *t, int64_t i) {
  const espq_tensor *y = t->result[0];
  switch (y->dtype) {
    case ESPQ_I8: return ((const int8_t *)y->data)[i];
    case ESPQ_I16: return ((const int16_t *)y->data)[i];
    case ESPQ_I32: return ((const int32_t *)y->data)[i];
    default: return ((const int64_t *)y->data)[i];
  }
}

/* ---- numbers for tests: the same on every machine ---- */

static inline uint32_t op_random(uint32_t *seed) {
  *seed = *seed * 1664525u + 1013904223u;
  return *seed >> 8;
}

/* In [-1, 1), multiples of 2^-12. */
static inline void op_fill(float *x, int64_t n, uint32_t seed) {
  for (int64_t i = 0; i < n; i++) x[i] = (float)((int)(op_random(&seed) % 8192) - 4096) / 4096;
}

/* Any integer of `bits` bits, the extremes among them. */
static inline void op_fill_ints(void *x, int bits, int64_t n, uint32_t seed) {
  for (int64_t i = 0; i < n; i++) {
    uint32_t r = op_random(&seed);
    int32_t v = bits == 8 ? (int8_t)(r >> 3) : (int16_t)(r >> 3);
    if (bits == 8) ((int8_t *)x)[i] = (int8_t)v;
    else ((int16_t *)x)[i] = (int16_t)v;
  }
}

#endif
