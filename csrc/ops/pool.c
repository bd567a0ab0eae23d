/* MaxPool, AveragePool and their global forms: float in the layout the input has, integers in ESPQ_NHWC16. */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "infer/pool.h"
#include "ops/kernel.h"
#include "ops/window.h"
#include "sim/pool.h"
#include "tensor/pooling.h"

/* ---- shapes ---- */

static bool is_maximum(const espq_call *call) { return strstr(call->node->op_type, "Max") != NULL; }

/* Integers of the integer column, or what ONNX allows. */
static espq_status check_type(const espq_call *call, espq_error *err) {
  unsigned bytes = ESPQ_TYPES(ESPQ_I8) | ESPQ_TYPES(ESPQ_U8);
  if (call->node->column != ESPQ_COLUMN_F32) return espq_port_number(call, 0, err);
  bool bytes_too = strcmp(call->node->op_type, "MaxPool") == 0;
  return espq_port_type(call, 0, ESPQ_TYPES_FLOAT | (bytes_too ? bytes : 0), err);
}

static espq_status infer_window(espq_call *call, espq_error *err) {
  espq_window w;
  espq_shape shape;
  espq_status status = check_type(call, err);
  if (!status) status = espq_window_read(call, NULL, &w, err);
  if (status) return status;
  espq_window_shape(&w, &call->in[0].shape, call->in[0].shape.dim[1], &shape);
  return espq_call_result(call, &shape);
}

static espq_status infer_max(espq_call *call, espq_error *err) {
  int64_t order = espq_node_int(call->node, "storage_order", 0);
  if (order != 0 && order != 1)
    return espq_call_fail(call, err, ESPQ_EFORMAT, "storage_order is %" PRId64 ", expected 0 or 1", order);
  espq_status status = infer_window(call, err);
  if (status || call->nout < 2 || !call->out[1].present) return status;
  call->out[1].dtype = ESPQ_I64;
  call->out[1].shape = call->out[0].shape;
  return ESPQ_OK;
}

static espq_status infer_global(espq_call *call, espq_error *err) {
  espq_shape shape = call->in[0].shape;
  char text[160];
  espq_status status = check_type(call, err);
  if (status) return status;
  if (shape.rank < 2)
    return espq_call_fail(call, err, ESPQ_EFORMAT,
                          "input 0 '%.100s' has shape %s, expected (N,C,...) of rank 2 or more", call->in[0].name,
                          espq_shape_text(shape.rank, shape.dim, text, sizeof text));
  for (int i = 2; i < shape.rank; i++) {
    if (shape.dim[i] == 0) return espq_call_fail(call, err, ESPQ_EFORMAT, "axis %d of the input is empty", i);
    shape.dim[i] = 1;
  }
  return espq_call_result(call, &shape);
}

/* ---- float ---- */

static espq_infer_pool_params float_params(const espq_call *call, espq_infer_pool_kind kind, const espq_window *w) {
  return (espq_infer_pool_params){.kind = kind,
                                  .layout = call->in[0].layout,
                                  .n = call->in[0].shape.dim[0],
                                  .c = call->in[0].shape.dim[1],
                                  .ih = w->in[1],
                                  .iw = w->in[2],
                                  .oh = w->out[1],
                                  .ow = w->out[2],
                                  .kh = w->kernel[1],
                                  .kw = w->kernel[2],
                                  .sh = w->stride[1],
                                  .sw = w->stride[2],
                                  .dh = w->dilation[1],
                                  .dw = w->dilation[2],
                                  .pt = w->pad_begin[1],
                                  .pl = w->pad_begin[2],
                                  .pb = w->pad_end[1],
                                  .pr = w->pad_end[2],
                                  .count_include_pad = espq_node_int(call->node, "count_include_pad", 0) != 0};
}

typedef struct pool_f32 {
  espq_infer_pool *fast; /* NULL: any */
  espq_pooling any;
  bool indices;
} pool_f32;

static void free_float(void *state) {
  pool_f32 *s = state;
  if (!s) return;
  espq_infer_pool_free(s->fast);
  espq_free(s);
}

/* Indices count through the whole input, so that those of an image depend on the images before it. */
static bool wants_indices(const espq_call *call) { return call->nout > 1 && call->out[1].present; }

/* No images or no channels: no state, nothing to do. */
static espq_status start_float(espq_call *call, pool_f32 **s, espq_prepared *out, espq_error *err) {
  espq_image image = espq_image_of(&call->in[0].shape);
  *s = NULL;
  for (int i = 0; i < call->nout; i++) call->out[i].layout = ESPQ_PLAIN;
  call->out[0].layout = call->in[0].layout;
  if (image.n == 0 || image.c == 0) return ESPQ_OK;
  out->state = *s = espq_calloc(1, sizeof **s);
  return *s ? ESPQ_OK : espq_fail_memory(err);
}

/* In the layout that the input has. */
static espq_status prepare_fast(const espq_env *env, espq_call *call, const espq_infer_pool_params *params,
                                espq_prepared *out, espq_error *err) {
  pool_f32 *s;
  espq_status status = start_float(call, &s, out, err);
  if (status || !s || !espq_infer_pool_prepare(env->engine, params, &s->fast, err)) return status;
  espq_free(s);
  out->state = NULL;
  return espq_call_prefix(call, err);
}

static espq_status prepare_any(espq_call *call, const espq_window *w, espq_prepared *out, espq_error *err) {
  pool_f32 *s;
  espq_image image = espq_image_of(&call->in[0].shape);
  call->in[0].layout = ESPQ_PLAIN;
  espq_status status = start_float(call, &s, out, err);
  if (status || !s) return status;
  s->any = (espq_pooling){.max = is_maximum(call),
                          .count_include_pad = espq_node_int(call->node, "count_include_pad", 0) != 0,
                          .dtype = call->in[0].dtype,
                          .planes = image.n * image.c};
  s->indices = wants_indices(call);
  for (int i = 0; i < ESPQ_WINDOW_AXES; i++) {
    s->any.in[i] = w->in[i], s->any.out[i] = w->out[i], s->any.kernel[i] = w->kernel[i];
    s->any.stride[i] = w->stride[i], s->any.dilation[i] = w->dilation[i];
    s->any.before[i] = w->pad_begin[i], s->any.after[i] = w->pad_end[i];
  }
  s->any.column_major = espq_node_int(call->node, "storage_order", 0) != 0;
  out->scratch = espq_pooling_scratch(&s->any);
  return ESPQ_OK;
}

static espq_infer_pool_kind kind_of(const espq_call *call) {
  return is_maximum(call) ? ESPQ_INFER_POOL_MAX : ESPQ_INFER_POOL_AVERAGE;
}

static espq_status prepare_window(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  espq_window w;
  espq_status status = espq_window_read(call, NULL, &w, err);
  if (status) return status;
  if (call->in[0].dtype != ESPQ_F32 || w.rank > 2 || wants_indices(call)) return prepare_any(call, &w, out, err);
  espq_infer_pool_params params = float_params(call, kind_of(call), &w);
  return prepare_fast(env, call, &params, out, err);
}

static espq_status prepare_global(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  const espq_shape *x = &call->in[0].shape;
  espq_image image = espq_image_of(x);
  if (call->in[0].dtype != ESPQ_F32) {
    espq_window w = {.in = {1, 1, image.pixels},
                     .out = {1, 1, 1},
                     .kernel = {1, 1, image.pixels},
                     .stride = {1, 1, 1},
                     .dilation = {1, 1, 1}};
    return prepare_any(call, &w, out, err);
  }
  int64_t width = x->rank == 4 ? x->dim[3] : 1; /* of other ranks a column, as the order of pixels is all that counts */
  espq_infer_pool_params params =
      espq_infer_pool_global(kind_of(call), call->in[0].layout, image.n, image.c, image.pixels / width, width);
  return prepare_fast(env, call, &params, out, err);
}

static espq_status run_float(const espq_run_args *args, espq_error *err) {
  const pool_f32 *s = args->state;
  if (!s) return ESPQ_OK;
  /* A run binds memory of its own stream only, so the object may be shared. */
  if (s->fast) return espq_infer_pool_run(s->fast, args->stream, args->in[0], args->out[0], err);
  espq_pooling_run(&s->any, args->in[0], args->out[0], s->indices ? args->out[1] : NULL, args->scratch);
  return ESPQ_OK;
}

static const espq_kernel window_f32 = {prepare_window, run_float, free_float};
static const espq_kernel global_f32 = {prepare_global, run_float, free_float};

/* ---- integers ---- */

typedef struct pool_q {
  espq_sim_pool pool;
  int64_t n;
  size_t zeros; /* bytes of an output that is 0 everywhere, as its scale is 0; else 0 */
  bool empty;
} pool_q;

/* A maximum keeps its exponent; an average goes from one to the other. */
static espq_status read_exponents(const espq_call *call, pool_q *s, espq_error *err) {
  const espq_port *x = &call->in[0], *y = &call->out[0];
  espq_sim_pool *p = &s->pool;
  if (p->kind == ESPQ_SIM_POOL_MAX) return espq_call_same_quant(call, err);
  espq_status status = espq_port_exponent(call, x, &p->e_in, err);
  if (!status) status = espq_port_exponent(call, y, &p->e_out, err);
  if (status) return status;
  if (x->dtype != y->dtype)
    return espq_call_fail(call, err, ESPQ_EUNSUPPORTED, "input and output are %s and %s, expected one type",
                          espq_dtype_name(x->dtype), espq_dtype_name(y->dtype));
  if (p->e_out == ESPQ_OPS_EXPONENT_ZERO) s->zeros = (size_t)espq_port_stored(y) * espq_dtype_size(y->dtype);
  if (p->e_in == ESPQ_OPS_EXPONENT_ZERO || s->zeros) p->e_in = p->e_out = 0; /* nothing but zeros */
  return ESPQ_OK;
}

/* Completes and keeps a pool whose geometry and isa are set. */
static espq_status finish_q(espq_call *call, pool_q *s, espq_prepared *out, espq_error *err) {
  const espq_port *x = &call->in[0];
  int64_t channels = x->shape.dim[1];
  if (x->dtype != ESPQ_I8 && x->dtype != ESPQ_I16)
    return espq_call_fail(call, err, ESPQ_EUNSUPPORTED, "input '%.100s' is %s, expected int8 or int16", x->name,
                          espq_dtype_name(x->dtype));
  if (channels > INT32_MAX - 16)
    return espq_call_fail(call, err, ESPQ_ELIMIT, "%" PRId64 " channels are too many", channels);
  call->in[0].layout = call->out[0].layout = ESPQ_NHWC16;
  s->pool.bits = x->dtype == ESPQ_I8 ? 8 : 16;
  s->pool.channels = (int)channels;
  s->n = x->shape.dim[0];
  s->empty = s->n == 0 || channels == 0;
  espq_status status = read_exponents(call, s, err);
  if (status) return status;
  s->pool.rounding = espq_call_rounding(call);
  if (!s->empty && espq_sim_pool_check(&s->pool, err)) return espq_call_prefix(call, err);
  pool_q *state = espq_alloc(sizeof *state);
  if (!state) return espq_fail_memory(err);
  *state = *s;
  out->state = state;
  return ESPQ_OK;
}

static espq_status prepare_window_q(const espq_env *env, espq_call *call, espq_sim_pool_kind kind, espq_prepared *out,
                                    espq_error *err) {
  espq_window w;
  espq_status status = espq_window_read(call, NULL, &w, err); /* all numbers are at most 2^30 */
  if (!status) status = espq_window_flat(call, &w, err);
  if (status) return status;
  pool_q s = {.pool = {.kind = kind,
                       .ih = (int)w.in[1],
                       .iw = (int)w.in[2],
                       .oh = (int)w.out[1],
                       .ow = (int)w.out[2],
                       .kh = (int)w.kernel[1],
                       .kw = (int)w.kernel[2],
                       .sh = (int)w.stride[1],
                       .sw = (int)w.stride[2],
                       .dh = (int)w.dilation[1],
                       .dw = (int)w.dilation[2],
                       .pt = (int)w.pad_begin[1],
                       .pl = (int)w.pad_begin[2],
                       .pb = (int)w.pad_end[1],
                       .pr = (int)w.pad_end[2],
                       .count_include_pad = espq_node_int(call->node, "count_include_pad", 0) != 0,
                       .isa = env->isa}};
  return finish_q(call, &s, out, err);
}

static espq_status prepare_max_q(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  if (wants_indices(call))
    return espq_call_fail(call, err, ESPQ_EUNSUPPORTED, "its second output, Indices, has no integer form; remove it");
  return prepare_window_q(env, call, ESPQ_SIM_POOL_MAX, out, err);
}

static espq_status prepare_average_q(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  return prepare_window_q(env, call, ESPQ_SIM_POOL_AVERAGE, out, err);
}

static espq_status prepare_global_q(const espq_env *env, espq_call *call, espq_sim_pool_kind kind, espq_prepared *out,
                                    espq_error *err) {
  const espq_shape *x = &call->in[0].shape;
  int64_t h = x->rank == 4 ? x->dim[2] : 1, w = x->rank > 2 ? x->dim[x->rank - 1] : 1;
  if (x->rank > 4)
    return espq_call_fail(call, err, ESPQ_EUNSUPPORTED, "an input of rank %d, expected (N,C,L) or (N,C,H,W)", x->rank);
  if (h > INT32_MAX || w > INT32_MAX)
    return espq_call_fail(call, err, ESPQ_ELIMIT, "an image of %" PRId64 " x %" PRId64 " is too large", h, w);
  pool_q s = {.pool = espq_sim_pool_global(kind, 8, 1, (int)h, (int)w, 0, 0, env->isa)};
  return finish_q(call, &s, out, err);
}

static espq_status prepare_global_max_q(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  return prepare_global_q(env, call, ESPQ_SIM_POOL_MAX, out, err);
}

static espq_status prepare_global_average_q(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  return prepare_global_q(env, call, ESPQ_SIM_POOL_AVERAGE, out, err);
}

static espq_status run_q(const espq_run_args *args, espq_error *err) {
  (void)err;
  const pool_q *s = args->state;
  if (s->zeros) memset(args->out[0], s->pool.bits == 8 ? 128 : 0, s->zeros); /* int8 in offset binary */
  else if (!s->empty) espq_sim_pool_run(&s->pool, s->n, args->in[0], args->out[0]);
  return ESPQ_OK;
}

static const espq_kernel max_q = {prepare_max_q, run_q, NULL};
static const espq_kernel average_q = {prepare_average_q, run_q, NULL};
static const espq_kernel global_max_q = {prepare_global_max_q, run_q, NULL};
static const espq_kernel global_average_q = {prepare_global_average_q, run_q, NULL};

/* ---- rows ---- */

static const char *why_not(const espq_call *call, char *text, size_t size) {
  if (call->nout > 1 && call->out[1].present)
    return espq_reason(text, size, "its second output, Indices, has no integer form; remove it from the model");
  if (call->node->column == ESPQ_COLUMN_F32 && call->in[0].dtype != ESPQ_F32 && call->in[0].dtype != ESPQ_DTYPE_NONE)
    return espq_reason(text, size, "its input has type %s; export the model in float32",
                       espq_dtype_name(call->in[0].dtype));
  if (call->in[0].shape.rank > 4)
    return espq_reason(text, size,
                       "pooling over three or more axes cannot be quantized, the chip's library has 1-D and 2-D "
                       "pooling only; join axes with a Reshape before it");
  return NULL;
}

static const espq_attr_spec max_attrs[] = {ESPQ_WINDOW_ATTRS,
                                           {"ceil_mode", ESPQ_ATTR_INT, false, 0, NULL},
                                           {"storage_order", ESPQ_ATTR_INT, false, 0, NULL},
                                           {0}};
static const espq_attr_spec average_attrs[] = {ESPQ_WINDOW_ATTRS,
                                               {"ceil_mode", ESPQ_ATTR_INT, false, 0, NULL},
                                               {"count_include_pad", ESPQ_ATTR_INT, false, 0, NULL},
                                               {0}};

enum {
  ACCEPTED = ESPQ_V1_CALIBRATOR | ESPQ_V1_EVALUATOR | ESPQ_V1_CHIP,
  V1_MAX = ESPQ_V1_SHARES | ESPQ_V1_PASS | ESPQ_V1_LIFTS | ACCEPTED,
  V1_GLOBAL_MAX = ESPQ_V1_SHARES | ESPQ_V1_PASS | ACCEPTED,
  V1_AVERAGE = ESPQ_V1_ARITHMETIC | ESPQ_V1_UNMEASURED | ACCEPTED,
  V1_GLOBAL_AVERAGE = V1_AVERAGE | ESPQ_V1_PASS | ESPQ_V1_LIFTS
};

const espq_op espq_op_MaxPool = {.name = "MaxPool",
                                 .domain = "",
                                 .since = 1,
                                 .min_in = 1,
                                 .max_in = 1,
                                 .min_out = 1,
                                 .max_out = 2,
                                 .attrs = max_attrs,
                                 .infer = infer_max,
                                 .f32 = &window_f32,
                                 .q = &max_q,
                                 .v1 = V1_MAX,
                                 .weight = -1,
                                 .bias = -1,
                                 .mixes_batch = wants_indices,
                                 .why_not = why_not};

const espq_op espq_op_AveragePool = {.name = "AveragePool",
                                     .domain = "",
                                     .since = 1,
                                     .min_in = 1,
                                     .max_in = 1,
                                     .min_out = 1,
                                     .max_out = 1,
                                     .attrs = average_attrs,
                                     .infer = infer_window,
                                     .f32 = &window_f32,
                                     .q = &average_q,
                                     .v1 = V1_AVERAGE,
                                     .weight = -1,
                                     .bias = -1,
                                     .why_not = why_not};

const espq_op espq_op_GlobalMaxPool = {.name = "GlobalMaxPool",
                                       .domain = "",
                                       .since = 1,
                                       .min_in = 1,
                                       .max_in = 1,
                                       .min_out = 1,
                                       .max_out = 1,
                                       .infer = infer_global,
                                       .f32 = &global_f32,
                                       .q = &global_max_q,
                                       .v1 = V1_GLOBAL_MAX,
                                       .weight = -1,
                                       .bias = -1,
                                       .why_not = why_not};

const espq_op espq_op_GlobalAveragePool = {.name = "GlobalAveragePool",
                                           .domain = "",
                                           .since = 1,
                                           .min_in = 1,
                                           .max_in = 1,
                                           .min_out = 1,
                                           .max_out = 1,
                                           .infer = infer_global,
                                           .f32 = &global_f32,
                                           .q = &global_average_q,
                                           .v1 = V1_GLOBAL_AVERAGE,
                                           .weight = -1,
                                           .bias = -1,
                                           .why_not = why_not};
