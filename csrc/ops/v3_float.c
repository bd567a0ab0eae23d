/* ESP-DL v3's way for operators without integer arithmetic of their own: integers to float32, the float kernel of the row,
 * and float32 to integers with the rounding of the chip. In ESPQ_PLAIN. Constants become floats once. */
#include <string.h>

#include "base/alloc.h"
#include "ops/kernel.h"
#include "sim/convert.h"

/* Where a tensor lies for the float kernel. */
typedef struct place {
  bool converted;
  espq_sim_format format;
  int exponent;
  int64_t count;
  size_t offset;   /* into the scratch */
  float *constant; /* owned */
} place;

typedef struct by_float {
  const espq_kernel *kernel;
  espq_prepared inner;
  espq_rounding rounding;
  espq_isa isa;
  int nin, nout;
  size_t inner_scratch; /* where pointers to its inputs and outputs lie, and behind them its own scratch */
  place *place;         /* of the inputs, then of the outputs */
} by_float;

static void free_by_float(void *state) {
  by_float *s = state;
  if (!s) return;
  espq_kernel_free(s->kernel, s->inner.state);
  for (int i = 0; s->place && i < s->nin + s->nout; i++) espq_free(s->place[i].constant);
  espq_free(s->place);
  espq_free(s);
}

static bool is_quantized(const espq_port *p) {
  return p->present && (p->dtype == ESPQ_I8 || p->dtype == ESPQ_I16) && p->quant && p->quant->bits;
}

static size_t whole_lines(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

/* A float port in its place; a constant is converted here. */
static espq_status set_place(const by_float *s, const espq_call *call, espq_port *port, place *p, size_t *scratch,
                             espq_tensor **constant, espq_error *err) {
  port->layout = ESPQ_PLAIN;
  if (!is_quantized(port)) return ESPQ_OK;
  espq_status status = espq_port_exponent(call, port, &p->exponent, err);
  if (status) return status;
  p->converted = true;
  p->format = espq_port_format(port);
  p->count = espq_shape_elements(&port->shape);
  port->dtype = ESPQ_F32;
  port->quant = NULL;
  if (port->constant) {
    status = espq_tensor_new(ESPQ_F32, port->constant->rank, port->constant->dim, constant, err);
    if (status) return status;
    espq_sim_dequantize(p->count, p->format, port->constant->data, p->exponent, (*constant)->data, s->isa);
    port->constant = *constant;
    return ESPQ_OK;
  }
  p->offset = *scratch;
  *scratch += whole_lines((size_t)p->count * sizeof(float));
  return ESPQ_OK;
}

/* The float kernel may keep a constant's numbers or want them again at every run: they are kept here. */
static espq_status keep_constant(place *p, const espq_tensor *constant, espq_error *err) {
  p->constant = espq_alloc((size_t)p->count * sizeof(float) + 1);
  if (!p->constant) return espq_fail_memory(err);
  memcpy(p->constant, constant->data, (size_t)p->count * sizeof(float));
  return ESPQ_OK;
}

static espq_status prepare_inner(const espq_env *env, const espq_call *call, by_float *s, espq_call *inner,
                                 espq_tensor **constants, espq_error *err) {
  size_t scratch = 0;
  espq_status status = ESPQ_OK;
  for (int i = 0; i < s->nin && !status; i++) {
    status = set_place(s, call, &inner->in[i], &s->place[i], &scratch, &constants[i], err);
    if (!status && constants[i]) status = keep_constant(&s->place[i], constants[i], err);
  }
  for (int i = 0; i < s->nout && !status; i++)
    status = set_place(s, call, &inner->out[i], &s->place[s->nin + i], &scratch, NULL, err);
  if (!status) status = s->kernel->prepare(env, inner, &s->inner, err);
  s->inner_scratch = scratch;
  for (int i = 0; i < s->nin + s->nout && !status; i++)
    if (inner->in[i].layout != ESPQ_PLAIN)
      status = espq_call_fail(call, err, ESPQ_EBUG, "its float kernel wants another layout");
  return status;
}

static espq_status prepare(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  int ports = call->nin + call->nout;
  by_float *s = espq_calloc(1, sizeof *s);
  espq_port *copy = espq_calloc((size_t)ports, sizeof *copy);
  espq_tensor **constants = espq_calloc((size_t)ports, sizeof *constants);
  if (s) s->place = espq_calloc((size_t)ports, sizeof *s->place);
  espq_status status = s && copy && constants && s->place ? ESPQ_OK : espq_fail_memory(err);
  if (!status) {
    espq_node node = *call->node; /* to the kernel, a node of its column */
    node.column = ESPQ_COLUMN_F32;
    memcpy(copy, call->in, (size_t)ports * sizeof *copy);
    espq_call inner = *call;
    inner.node = &node;
    inner.in = copy;
    inner.out = copy + call->nin;
    s->inner.alias = -1;
    s->kernel = call->node->op->f32;
    s->rounding = espq_call_rounding(call);
    s->isa = env->isa;
    s->nin = call->nin;
    s->nout = call->nout;
    status = prepare_inner(env, call, s, &inner, constants, err);
  }
  for (int i = 0; constants && i < ports; i++) espq_tensor_release(constants[i]);
  espq_free(constants);
  espq_free(copy);
  if (status) {
    free_by_float(s);
    return status;
  }
  for (int i = 0; i < ports; i++) call->in[i].layout = ESPQ_PLAIN; /* the outputs lie behind the inputs */
  out->state = s;
  out->scratch = s->inner_scratch + whole_lines((size_t)ports * sizeof(void *)) + s->inner.scratch;
  return ESPQ_OK;
}

static void read_inputs(const by_float *s, const espq_run_args *args, char *scratch, const void **in) {
  for (int i = 0; i < s->nin; i++) {
    const place *p = &s->place[i];
    in[i] = args->in[i];
    if (!p->converted) continue;
    in[i] = p->constant ? (const void *)p->constant : scratch + p->offset;
    if (!p->constant) espq_sim_dequantize(p->count, p->format, args->in[i], p->exponent, (float *)in[i], s->isa);
  }
}

static espq_status run(const espq_run_args *args, espq_error *err) {
  const by_float *s = args->state;
  char *scratch = args->scratch;
  const void **in = (const void **)(scratch + s->inner_scratch);
  void **out = (void **)(in + s->nin);
  read_inputs(s, args, scratch, in);
  for (int i = 0; i < s->nout; i++)
    out[i] = s->place[s->nin + i].converted ? scratch + s->place[s->nin + i].offset : args->out[i];
  espq_run_args inner = {
      .state = s->inner.state,
      .in = in,
      .out = out,
      .scratch = scratch + s->inner_scratch + whole_lines((size_t)(s->nin + s->nout) * sizeof(void *)),
      .stream = args->stream};
  espq_status status = ESPQ_OK;
  if (s->inner.alias >= 0) out[0] = (void *)in[s->inner.alias];
  else status = s->kernel->run(&inner, err);
  for (int i = 0; i < s->nout && !status; i++) {
    const place *p = &s->place[s->nin + i];
    if (p->converted && args->out[i])
      espq_sim_quantize_by(s->rounding, p->count, out[i], p->exponent, p->format, args->out[i], s->isa);
  }
  return status;
}

const espq_kernel espq_v3_by_float = {prepare, run, free_by_float};
