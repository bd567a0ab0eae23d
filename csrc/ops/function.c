/* Functions of one and two numbers without a vector kernel of their own (tensor/function.h): comparisons, logic, Pow,
 * Mod, Abs, Exp ...; and Where, Cast. In float only, in ESPQ_PLAIN, on any element type that ONNX allows. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "ops/kernel.h"
#include "tensor/move.h"

/* ---- of two numbers ---- */

typedef struct pair {
  espq_function f;
  espq_dtype type[2];
  int rank;
  int64_t dim[ESPQ_MAX_RANK], step[2][ESPQ_MAX_RANK];
} pair;

/* Which function a node is: its row's, but for Mod, which has two. */
static espq_function function_of(const espq_call *call) {
  static const struct {
    const char *op;
    espq_function f;
  } names[] = {{"Pow", ESPQ_FN_POW},
               {"Mod", ESPQ_FN_MOD},
               {"Equal", ESPQ_FN_EQUAL},
               {"Less", ESPQ_FN_LESS},
               {"LessOrEqual", ESPQ_FN_LESS_EQUAL},
               {"Greater", ESPQ_FN_GREATER},
               {"GreaterOrEqual", ESPQ_FN_GREATER_EQUAL},
               {"And", ESPQ_FN_AND},
               {"Or", ESPQ_FN_OR},
               {"Xor", ESPQ_FN_XOR},
               {"Not", ESPQ_FN_NOT},
               {"Abs", ESPQ_FN_ABS},
               {"Neg", ESPQ_FN_NEG},
               {"Ceil", ESPQ_FN_CEIL},
               {"Sqrt", ESPQ_FN_SQRT},
               {"Reciprocal", ESPQ_FN_RECIPROCAL},
               {"Exp", ESPQ_FN_EXP},
               {"Log", ESPQ_FN_LOG},
               {"Erf", ESPQ_FN_ERF},
               {"Softplus", ESPQ_FN_SOFTPLUS},
               {"Mish", ESPQ_FN_MISH},
               {"HardSwish", ESPQ_FN_HARDSWISH},
               {"Swish", ESPQ_FN_SWISH},
               {"Elu", ESPQ_FN_ELU},
               {"HardSigmoid", ESPQ_FN_HARDSIGMOID},
               {"Gelu", ESPQ_FN_GELU}};
  const espq_node *n = call->node;
  size_t i = 0;
  while (strcmp(names[i].op, n->op_type) != 0) i++;
  if (names[i].f == ESPQ_FN_MOD && espq_node_int(n, "fmod", 0)) return ESPQ_FN_FMOD;
  if (names[i].f == ESPQ_FN_GELU && strcmp(espq_node_string(n, "approximate", "none"), "tanh") == 0)
    return ESPQ_FN_GELU_TANH;
  return names[i].f;
}

static espq_status infer_pair(espq_call *call, espq_error *err) {
  espq_function f = function_of(call);
  espq_shape shape;
  espq_status status = espq_port_type(call, 0, espq_function_types(f), err);
  if (!status)
    status = f == ESPQ_FN_POW ? espq_port_type(call, 1, ESPQ_TYPES_NUMBER, err) : espq_call_one_type(call, err);
  if (!status) status = espq_broadcast(call, &call->in[0].shape, &call->in[1].shape, &shape, err);
  if (status) return status;
  espq_call_result(call, &shape);
  if (call->in[0].dtype != ESPQ_DTYPE_NONE) call->out[0].dtype = espq_function_result(f, call->in[0].dtype);
  return ESPQ_OK;
}

static espq_status prepare_pair(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  pair *p = espq_calloc(1, sizeof *p);
  if (!p) return espq_fail_memory(err);
  const espq_shape *y = &call->out[0].shape;
  p->f = function_of(call);
  p->rank = y->rank;
  memcpy(p->dim, y->dim, sizeof p->dim);
  for (int i = 0; i < 2; i++) {
    p->type[i] = call->in[i].dtype;
    espq_broadcast_steps(&call->in[i].shape, y, p->step[i]);
    call->in[i].layout = ESPQ_PLAIN;
  }
  call->out[0].layout = ESPQ_PLAIN;
  out->state = p;
  return ESPQ_OK;
}

static espq_status run_pair(const espq_run_args *args, espq_error *err) {
  (void)err;
  const pair *p = args->state;
  espq_function_strided(p->f, p->rank, p->dim, p->type[0], args->in[0], p->step[0], p->type[1], args->in[1], p->step[1],
                        args->out[0]);
  return ESPQ_OK;
}

static const espq_kernel pair_kernel = {prepare_pair, run_pair, NULL};

/* ---- of one number ---- */

typedef struct single {
  espq_function f;
  double a, b;
  espq_dtype type;
  int64_t count;
} single;

static espq_status infer_single(espq_call *call, espq_error *err) {
  espq_status status = espq_port_type(call, 0, espq_function_types(function_of(call)), err);
  return status ? status : espq_call_result(call, &call->in[0].shape);
}

/* The parameters, with ONNX's defaults. */
static void read_parameters(const espq_node *n, single *s) {
  s->a = (double)espq_node_float(n, "alpha", s->f == ESPQ_FN_HARDSIGMOID ? 0.2F : 1.0F);
  s->b = (double)espq_node_float(n, "beta", 0.5F);
}

static espq_status prepare_single(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  single *s = espq_calloc(1, sizeof *s);
  if (!s) return espq_fail_memory(err);
  *s = (single){.f = function_of(call), .type = call->in[0].dtype, .count = espq_shape_elements(&call->in[0].shape)};
  read_parameters(call->node, s);
  call->in[0].layout = call->out[0].layout = ESPQ_PLAIN;
  out->state = s;
  out->in_place = true;
  return ESPQ_OK;
}

static espq_status run_single(const espq_run_args *args, espq_error *err) {
  (void)err;
  const single *s = args->state;
  espq_function_unary(s->f, s->a, s->b, s->type, s->count, args->in[0], args->out[0]);
  return ESPQ_OK;
}

static const espq_kernel single_kernel = {prepare_single, run_single, NULL};

/* ---- Where ---- */

typedef struct choice {
  int rank;
  size_t size;
  int64_t dim[ESPQ_MAX_RANK], step[3][ESPQ_MAX_RANK];
} choice;

static espq_status infer_where(espq_call *call, espq_error *err) {
  espq_shape shape;
  espq_status status = espq_port_type(call, 0, ESPQ_TYPES(ESPQ_BOOL), err);
  if (!status) status = espq_broadcast(call, &call->in[0].shape, &call->in[1].shape, &shape, err);
  if (!status) status = espq_broadcast(call, &shape, &call->in[2].shape, &shape, err);
  if (!status && call->in[1].dtype != call->in[2].dtype)
    status = espq_call_fail(call, err, ESPQ_EFORMAT, "inputs 1 and 2 are %s and %s, expected one type",
                            espq_dtype_name(call->in[1].dtype), espq_dtype_name(call->in[2].dtype));
  if (status) return status;
  call->out[0].dtype = call->in[1].dtype;
  call->out[0].shape = shape;
  return ESPQ_OK;
}

static espq_status prepare_where(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  choice *c = espq_calloc(1, sizeof *c);
  if (!c) return espq_fail_memory(err);
  const espq_shape *y = &call->out[0].shape;
  c->rank = y->rank;
  c->size = espq_dtype_size(call->out[0].dtype);
  memcpy(c->dim, y->dim, sizeof c->dim);
  for (int i = 0; i < 3; i++) {
    espq_broadcast_steps(&call->in[i].shape, y, c->step[i]);
    call->in[i].layout = ESPQ_PLAIN;
  }
  call->out[0].layout = ESPQ_PLAIN;
  out->state = c;
  return ESPQ_OK;
}

static espq_status run_where(const espq_run_args *args, espq_error *err) {
  (void)err;
  const choice *c = args->state;
  espq_move_choose(c->size, c->rank, c->dim, args->in[0], c->step[0], args->in[1], c->step[1], args->in[2], c->step[2],
                   args->out[0]);
  return ESPQ_OK;
}

static const espq_kernel where_kernel = {prepare_where, run_where, NULL};

/* ---- Cast ---- */

typedef struct conversion {
  espq_dtype from, to;
  int64_t count;
} conversion;

static espq_status infer_cast(espq_call *call, espq_error *err) {
  int64_t to = espq_node_int(call->node, "to", 0);
  call->out[0].dtype = espq_dtype_from_onnx(to);
  call->out[0].shape = call->in[0].shape;
  if (call->out[0].dtype != ESPQ_DTYPE_NONE) return ESPQ_OK;
  return espq_call_fail(call, err, ESPQ_EUNSUPPORTED, "attribute 'to' is %d: tensors of that type are not supported",
                        (int)to);
}

static espq_status prepare_cast(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  conversion *c = espq_calloc(1, sizeof *c);
  if (!c) return espq_fail_memory(err);
  *c = (conversion){call->in[0].dtype, call->out[0].dtype, espq_shape_elements(&call->in[0].shape)};
  call->in[0].layout = call->out[0].layout = ESPQ_PLAIN;
  out->state = c;
  return ESPQ_OK;
}

static espq_status run_cast(const espq_run_args *args, espq_error *err) {
  (void)err;
  const conversion *c = args->state;
  espq_cast(c->from, c->to, c->count, args->in[0], args->out[0]);
  return ESPQ_OK;
}

static const espq_kernel cast_kernel = {prepare_cast, run_cast, NULL};

/* ---- rows ---- */

static const char *why_not(const espq_call *call, char *text, size_t size) {
  return espq_reason(text, size, "%s has no integer form on the chip; end the model before it, or export it without",
                     call->node->op_type);
}

#define END \
  { NULL, ESPQ_ATTR_INT, false, 0, NULL }

static const espq_attr_spec mod_attrs[] = {{"fmod", ESPQ_ATTR_INT, false, 0, NULL}, END};
static const espq_attr_spec elu_attrs[] = {{"alpha", ESPQ_ATTR_FLOAT, false, 1, NULL}, END};
static const espq_attr_spec hard_sigmoid_attrs[] = {
    {"alpha", ESPQ_ATTR_FLOAT, false, 0.2, NULL}, {"beta", ESPQ_ATTR_FLOAT, false, 0.5, NULL}, END};
static const espq_attr_spec gelu_attrs[] = {{"approximate", ESPQ_ATTR_STRING, false, 0, "none"}, END};
static const espq_attr_spec cast_attrs[] = {
    {"to", ESPQ_ATTR_INT, true, 0, NULL},
    {"saturate", ESPQ_ATTR_INT, false, 1, NULL},
    {"round_mode", ESPQ_ATTR_STRING, false, 0, "up"}, /* both of types that we do not read */
    END};

#define ROW(op, first, inputs, attributes, rule, kernel) \
  const espq_op espq_op_##op = {                         \
      .name = #op,                                       \
      .domain = "",                                      \
      .since = first,                                    \
      .min_in = inputs,                                  \
      .max_in = inputs,                                  \
      .min_out = 1,                                      \
      .max_out = 1,                                      \
      .attrs = attributes,                               \
      .infer = rule,                                     \
      .f32 = &kernel,                                    \
      .weight = -1,                                      \
      .bias = -1,                                        \
      .why_not = why_not,                                \
  }
#define PAIR(op, first)               ROW(op, first, 2, NULL, infer_pair, pair_kernel)
#define SINGLE(op, first, attributes) ROW(op, first, 1, attributes, infer_single, single_kernel)

PAIR(Pow, 7);
PAIR(Equal, 7);
PAIR(Less, 7);
PAIR(LessOrEqual, 12);
PAIR(Greater, 7);
PAIR(GreaterOrEqual, 12);
PAIR(And, 7);
PAIR(Or, 7);
PAIR(Xor, 7);
ROW(Mod, 10, 2, mod_attrs, infer_pair, pair_kernel);
SINGLE(Not, 1, NULL);
SINGLE(Abs, 6, NULL);
SINGLE(Neg, 6, NULL);
SINGLE(Ceil, 6, NULL);
SINGLE(Sqrt, 6, NULL);
SINGLE(Reciprocal, 6, NULL);
SINGLE(Exp, 6, NULL);
SINGLE(Log, 6, NULL);
SINGLE(Erf, 9, NULL);
SINGLE(Softplus, 1, NULL);
SINGLE(Mish, 18, NULL);
SINGLE(HardSwish, 14, NULL);
SINGLE(Swish, 24, elu_attrs);
SINGLE(Elu, 6, elu_attrs);
SINGLE(HardSigmoid, 6, hard_sigmoid_attrs);
SINGLE(Gelu, 20, gelu_attrs);
ROW(Where, 9, 3, NULL, infer_where, where_kernel);
ROW(Cast, 6, 1, cast_attrs, infer_cast, cast_kernel);
