/* Relu, LeakyRelu and PRelu: element by element, in the layout the input has. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "infer/binary.h"
#include "infer/unary.h"
#include "ops/kernel.h"
#include "sim/elementwise.h"
#include "tensor/move.h"

enum { V1_ROLES = ESPQ_V1_ACTIVATION | ESPQ_V1_LIFTS | ESPQ_V1_CALIBRATOR | ESPQ_V1_EVALUATOR | ESPQ_V1_CHIP };

/* ---- Relu and LeakyRelu in float ---- */

typedef struct unary_state {
  espq_infer_unary_op op;
  float a;
  int64_t count; /* stored elements: both functions keep the padding lanes at 0 */
} unary_state;

static espq_status prepare_unary(espq_call *call, espq_infer_unary_op op, float a, espq_prepared *out,
                                 espq_error *err) {
  unary_state *s = espq_calloc(1, sizeof *s);
  if (!s) return espq_fail_memory(err);
  *s = (unary_state){op, a, espq_port_stored(&call->in[0])};
  call->out[0].layout = call->in[0].layout;
  out->state = s;
  out->in_place = true;
  return ESPQ_OK;
}

static espq_status run_unary(const espq_run_args *args, espq_error *err) {
  (void)err;
  const unary_state *s = args->state;
  espq_infer_unary(s->op, s->a, 0, s->count, args->in[0], args->out[0]);
  return ESPQ_OK;
}

static espq_status prepare_relu(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  return prepare_unary(call, ESPQ_INFER_RELU, 0, out, err);
}

static espq_status prepare_leaky(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  return prepare_unary(call, ESPQ_INFER_LEAKY_RELU, espq_node_float(call->node, "alpha", 0.01f), out, err);
}

static const espq_kernel relu_f32 = {prepare_relu, run_unary, NULL};
static const espq_kernel leaky_f32 = {prepare_leaky, run_unary, NULL};

/* ---- Relu on integers ---- */

typedef struct relu_state {
  espq_sim_format format;
  espq_isa isa;
  int64_t count;
} relu_state;

static espq_status prepare_relu_q(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  espq_status status = espq_call_same_quant(call, err);
  if (status) return status;
  relu_state *s = espq_calloc(1, sizeof *s);
  if (!s) return espq_fail_memory(err);
  *s = (relu_state){espq_port_format(&call->in[0]), env->isa, espq_port_stored(&call->in[0])};
  call->out[0].layout = call->in[0].layout;
  out->state = s;
  out->in_place = true;
  return ESPQ_OK;
}

static espq_status run_relu_q(const espq_run_args *args, espq_error *err) {
  (void)err;
  const relu_state *s = args->state;
  espq_sim_relu(s->format, s->count, args->in[0], args->out[0], s->isa);
  return ESPQ_OK;
}

static const espq_kernel relu_q = {prepare_relu_q, run_relu_q, NULL};

/* ---- PRelu: what the slope varies with ---- */

typedef enum slope_kind { SLOPE_ONE, SLOPE_CHANNEL, SLOPE_ANY } slope_kind;

/* Size of the slope along axis `axis` of the input; 1 where it is repeated, or nothing is known. */
static int64_t slope_dim(const espq_call *call, int axis) {
  const espq_shape *x = &call->in[0].shape, *s = &call->in[1].shape;
  int k = axis - (x->rank - s->rank);
  return k < 0 || s->rank > x->rank ? 1 : s->dim[k];
}

static slope_kind kind_of_slope(const espq_call *call) {
  slope_kind kind = SLOPE_ONE;
  for (int i = 0; i < call->in[0].shape.rank; i++) {
    if (slope_dim(call, i) == 1) continue;
    if (i != 1) return SLOPE_ANY;
    kind = SLOPE_CHANNEL;
  }
  return kind;
}

static espq_status infer_prelu(espq_call *call, espq_error *err) {
  const espq_shape *x = &call->in[0].shape, *s = &call->in[1].shape;
  espq_status status = espq_port_number(call, 0, err);
  if (!status) status = espq_port_number(call, 1, err);
  if (status) return status;
  bool fits = s->rank <= x->rank;
  for (int i = 0; i < x->rank && fits; i++) {
    int64_t d = slope_dim(call, i);
    fits = d == 1 || d < 0 || x->dim[i] < 0 || d == x->dim[i];
  }
  if (fits) return espq_call_result(call, x);
  char tx[160], ts[160];
  return espq_call_fail(call, err, ESPQ_EFORMAT, "slope '%.100s' has shape %s, which does not broadcast to %s",
                        call->in[1].name, espq_shape_text(s->rank, s->dim, ts, sizeof ts),
                        espq_shape_text(x->rank, x->dim, tx, sizeof tx));
}

/* ---- PRelu in float ---- */

typedef struct prelu_f32 {
  slope_kind kind;
  espq_layout layout;
  espq_image image;
  int64_t count;
  int rank;
  int64_t dim[ESPQ_MAX_RANK], x_stride[ESPQ_MAX_RANK], slope_stride[ESPQ_MAX_RANK];
} prelu_f32;

static void slope_strides(const espq_call *call, int64_t *stride) {
  int64_t step = 1;
  for (int i = call->in[0].shape.rank - 1; i >= 0; i--) {
    int64_t d = slope_dim(call, i);
    stride[i] = d == 1 ? 0 : step;
    step *= d;
  }
}

static espq_status prepare_prelu(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  const espq_shape *x = &call->in[0].shape;
  prelu_f32 *s = espq_calloc(1, sizeof *s);
  if (!s) return espq_fail_memory(err);
  s->kind = kind_of_slope(call);
  call->in[1].layout = ESPQ_PLAIN;
  if (s->kind == SLOPE_ANY) call->in[0].layout = ESPQ_PLAIN;
  s->layout = call->out[0].layout = call->in[0].layout;
  s->image = espq_image_of(x);
  s->count = espq_port_stored(&call->in[0]);
  s->rank = x->rank;
  memcpy(s->dim, x->dim, sizeof s->dim);
  espq_move_strides(x->rank, x->dim, s->x_stride);
  slope_strides(call, s->slope_stride);
  out->state = s;
  out->in_place = true;
  return ESPQ_OK;
}

static espq_status run_prelu(const espq_run_args *args, espq_error *err) {
  (void)err;
  const prelu_f32 *s = args->state;
  const float *x = args->in[0], *slope = args->in[1];
  float *y = args->out[0];
  if (s->kind == SLOPE_ONE) espq_infer_unary(ESPQ_INFER_LEAKY_RELU, *slope, 0, s->count, x, y);
  else if (s->kind == SLOPE_CHANNEL)
    espq_infer_channel_binary(ESPQ_INFER_PRELU, s->layout, s->image.n, s->image.c, s->image.pixels, x, slope, y);
  else espq_infer_binary(ESPQ_INFER_PRELU, s->rank, s->dim, x, s->x_stride, slope, s->slope_stride, y);
  return ESPQ_OK;
}

static const espq_kernel prelu_f32_kernel = {prepare_prelu, run_prelu, NULL};

/* ---- PRelu on integers ---- */

typedef struct prelu_q {
  slope_kind kind;
  espq_layout layout;
  espq_sim_format format;
  espq_isa isa;
  int exponent;
  espq_image image;
  int64_t count, per_image;
  int32_t *slope; /* one; one per stored channel; or one per element of an image */
} prelu_q;

static void free_prelu_q(void *state) {
  prelu_q *s = state;
  if (s) espq_free(s->slope);
  espq_free(s);
}

/* The slopes as the kernel of s->kind wants them; a slope of scale 0 is 0 everywhere. */
static espq_status make_slopes(const espq_call *call, prelu_q *s, const int32_t *slope, bool zero, espq_error *err) {
  const espq_shape *x = &call->in[0].shape, *shape = &call->in[1].shape;
  int64_t n = s->kind == SLOPE_ONE       ? 1
              : s->kind == SLOPE_CHANNEL ? espq_layout_channels(s->layout, s->image.c)
                                         : s->per_image;
  s->slope = espq_calloc((size_t)n + 1, sizeof *s->slope);
  if (!s->slope) return espq_fail_memory(err);
  if (zero) return ESPQ_OK;
  if (s->kind != SLOPE_ANY) memcpy(s->slope, slope, (size_t)call->in[1].constant->count * sizeof *slope);
  else {
    int drop = shape->rank == x->rank; /* its batch axis, which is 1 */
    espq_move_expand(sizeof *slope, shape->rank - drop, shape->dim + drop, x->rank - 1, x->dim + 1, slope, s->slope);
  }
  return ESPQ_OK;
}

static espq_status read_slopes(const espq_call *call, prelu_q *s, espq_error *err) {
  int32_t *slope = NULL;
  espq_status status = espq_port_exponent(call, &call->in[1], &s->exponent, err);
  if (!status) status = espq_tensor_int32(call->in[1].constant, &slope, err);
  bool zero = s->exponent == ESPQ_OPS_EXPONENT_ZERO;
  if (zero) s->exponent = 0;
  if (!status) status = make_slopes(call, s, slope, zero, err);
  espq_free(slope);
  return status;
}

static espq_status check_prelu_q(const espq_call *call, espq_error *err) {
  espq_status status = espq_call_same_quant(call, err);
  if (status) return status;
  if (!call->in[1].constant || slope_dim(call, 0) != 1)
    return espq_call_fail(call, err, ESPQ_EUNSUPPORTED,
                          "slope '%.100s' must be a constant that is the same for every image", call->in[1].name);
  return ESPQ_OK;
}

static espq_status prepare_prelu_q(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  espq_status status = check_prelu_q(call, err);
  if (status) return status;
  prelu_q *s = espq_calloc(1, sizeof *s);
  if (!s) return espq_fail_memory(err);
  s->kind = kind_of_slope(call);
  if (s->kind == SLOPE_ANY) call->in[0].layout = ESPQ_PLAIN;
  s->layout = call->out[0].layout = call->in[0].layout;
  s->format = espq_port_format(&call->in[0]);
  s->isa = env->isa;
  s->image = espq_image_of(&call->in[0].shape);
  s->count = espq_port_stored(&call->in[0]);
  s->per_image = s->image.c * s->image.pixels;
  status = read_slopes(call, s, err);
  if (status) {
    free_prelu_q(s);
    return status;
  }
  out->state = s;
  out->in_place = true;
  return ESPQ_OK;
}

static espq_status run_prelu_q(const espq_run_args *args, espq_error *err) {
  (void)err;
  const prelu_q *s = args->state;
  const espq_image *i = &s->image;
  const void *x = args->in[0];
  void *y = args->out[0];
  if (s->kind == SLOPE_ONE) espq_sim_leaky_relu(s->format, s->count, x, *s->slope, s->exponent, y, s->isa);
  else if (s->kind == SLOPE_ANY) espq_sim_prelu(s->format, i->n, s->per_image, x, s->slope, s->exponent, y, s->isa);
  else if (s->layout == ESPQ_PLAIN)
    espq_sim_prelu_planes(s->format, i->n, i->c, i->pixels, x, s->slope, s->exponent, y, s->isa);
  else
    espq_sim_prelu(s->format, i->n * i->pixels, espq_layout_channels(s->layout, i->c), x, s->slope, s->exponent, y,
                   s->isa);
  return ESPQ_OK;
}

static const espq_kernel prelu_q_kernel = {prepare_prelu_q, run_prelu_q, free_prelu_q};

/* ---- PRelu of ESP-DL v3: both branches are rounded. esp.PRelu, its plain C kernel: x >= 0 as it is, x * slope floored. */

typedef struct prelu_v3 {
  espq_rounding rounding;
  espq_sim_format format;
  int64_t right, right_negative; /* shifts of x and of x * slope */
  int rank;
  int64_t dim[ESPQ_MAX_RANK], slope_stride[ESPQ_MAX_RANK], count;
  int32_t *slope;
} prelu_v3;

static void free_prelu_v3(void *state) {
  prelu_v3 *s = state;
  if (s) espq_free(s->slope);
  espq_free(s);
}

static espq_status prepare_prelu_v3(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  int x, y, slope;
  espq_status status = espq_port_exponent(call, &call->in[0], &x, err);
  if (!status) status = espq_port_exponent(call, &call->out[0], &y, err);
  if (!status) status = espq_port_exponent(call, &call->in[1], &slope, err);
  if (!status && !call->in[1].constant)
    status = espq_call_fail(call, err, ESPQ_EUNSUPPORTED, "slope '%.100s' must be a constant", call->in[1].name);
  if (status) return status;
  prelu_v3 *s = espq_calloc(1, sizeof *s);
  if (!s) return espq_fail_memory(err);
  status = espq_tensor_int32(call->in[1].constant, &s->slope, err);
  if (status) {
    free_prelu_v3(s);
    return status;
  }
  call->in[0].layout = call->out[0].layout = ESPQ_PLAIN;
  bool plain = strcmp(call->node->domain, "esp") == 0;
  s->rounding = plain ? ESPQ_ROUND_FLOOR : espq_call_rounding(call);
  s->format = espq_port_format(&call->in[0]);
  s->right = plain ? 0 : (int64_t)y - x;
  s->right_negative = (int64_t)y - x - slope;
  s->rank = call->in[0].shape.rank;
  memcpy(s->dim, call->in[0].shape.dim, sizeof s->dim);
  slope_strides(call, s->slope_stride);
  s->count = espq_shape_elements(&call->in[0].shape);
  out->state = s;
  return ESPQ_OK;
}

static int64_t slope_at(const prelu_v3 *s, int64_t i) {
  int64_t at = 0;
  for (int k = s->rank - 1; k >= 0; i /= s->dim[k--]) at += i % s->dim[k] * s->slope_stride[k];
  return s->slope[at];
}

static espq_status run_prelu_v3(const espq_run_args *args, espq_error *err) {
  (void)err;
  const prelu_v3 *s = args->state;
  bool wide = s->format == ESPQ_SIM_I16;
  for (int64_t i = 0; i < s->count; i++) {
    int64_t x = wide ? ((const int16_t *)args->in[0])[i] : ((const int8_t *)args->in[0])[i];
    int64_t y = x >= 0 ? espq_fixed_shift(s->rounding, x, s->right)
                       : espq_fixed_shift(s->rounding, x * slope_at(s, i), s->right_negative);
    y = espq_fixed_clip(y, wide ? 16 : 8);
    if (wide) ((int16_t *)args->out[0])[i] = (int16_t)y;
    else ((int8_t *)args->out[0])[i] = (int8_t)y;
  }
  return ESPQ_OK;
}

static const espq_kernel prelu_v3_kernel = {prepare_prelu_v3, run_prelu_v3, free_prelu_v3};

/* ---- rules ---- */

/* A slope that differs along axis 0 belongs to a place in the batch. */
static bool prelu_mixes(const espq_call *call) {
  int own = call->in[1].shape.rank == call->in[0].shape.rank;
  return own && (!call->in[1].constant || slope_dim(call, 0) != 1);
}

static const char *leaky_why_not(const espq_call *call, char *text, size_t size) {
  double alpha = (double)espq_node_float(call->node, "alpha", 0.01f);
  if (alpha >= 0 && isfinite(alpha)) return NULL;
  return espq_reason(text, size, "its alpha is %g; only slopes of 0 or more can be quantized", alpha);
}

static const char *prelu_why_not(const espq_call *call, char *text, size_t size) {
  const espq_port *s = &call->in[1];
  if (!s->constant)
    return espq_reason(text, size,
                       "its slope '%.100s' is computed at run time; only a constant can be quantized: "
                       "simplify the model so that it is one",
                       s->name);
  if (slope_dim(call, 0) != 1)
    return espq_reason(text, size,
                       "its slope '%.100s' differs from image to image of a batch; give it one slope per "
                       "channel",
                       s->name);
  if (s->constant->dtype != ESPQ_F32)
    return espq_reason(text, size, "its slope '%.100s' has type %s; export the model in float32", s->name,
                       espq_dtype_name(s->constant->dtype));
  for (int64_t i = 0; i < s->constant->count; i++)
    if (!isfinite(((const float *)s->constant->data)[i]))
      return espq_reason(text, size,
                         "its slope '%.100s' holds NaN or infinity at index %" PRId64 "; train or export it anew",
                         s->name, i);
  return NULL;
}

static const espq_attr_spec leaky_attrs[] = {{"alpha", ESPQ_ATTR_FLOAT, false, (double)0.01f, NULL},
                                             {NULL, ESPQ_ATTR_INT, false, 0, NULL}};

const espq_op espq_op_Relu = {.name = "Relu",
                              .domain = "",
                              .since = 6,
                              .min_in = 1,
                              .max_in = 1,
                              .min_out = 1,
                              .max_out = 1,
                              .infer = espq_infer_elementwise,
                              .f32 = &relu_f32,
                              .q = &relu_q,
                              .v1 = V1_ROLES,
                              .weight = -1,
                              .bias = -1};

const espq_op espq_op_LeakyRelu = {.name = "LeakyRelu",
                                   .domain = "",
                                   .since = 6,
                                   .min_in = 1,
                                   .max_in = 1,
                                   .min_out = 1,
                                   .max_out = 1,
                                   .attrs = leaky_attrs,
                                   .infer = espq_infer_elementwise,
                                   .f32 = &leaky_f32,
                                   .v1 = V1_ROLES,
                                   .weight = -1,
                                   .bias = -1,
                                   .why_not = leaky_why_not};

const espq_op espq_op_PRelu = {.name = "PRelu",
                               .domain = "",
                               .since = 7,
                               .min_in = 2,
                               .max_in = 2,
                               .min_out = 1,
                               .max_out = 1,
                               .infer = infer_prelu,
                               .f32 = &prelu_f32_kernel,
                               .v3 = &prelu_v3_kernel,
                               .q = &prelu_q_kernel,
                               .v1 = V1_ROLES,
                               .weight = -1,
                               .bias = -1,
                               .mixes_batch = prelu_mixes,
                               .why_not = prelu_why_not};

const espq_op espq_op_EspPRelu = {.name = "PRelu",
                                  .domain = "esp",
                                  .since = 1,
                                  .min_in = 2,
                                  .max_in = 2,
                                  .min_out = 1,
                                  .max_out = 1,
                                  .infer = infer_prelu,
                                  .v3 = &prelu_v3_kernel,
                                  .weight = -1,
                                  .bias = -1,
                                  .mixes_batch = prelu_mixes};
