/* Add, Sub, Mul, Div, Sum, Max and Min, with numpy's broadcasting; Sum, Max and Min of any number of inputs, folded pairwise.
 *
 * Two ways lead through. Where a tensor lies in blocks of channels and every operand is a whole image or has one number
 * per channel, the blocks stay (BLOCKED). Everything else is done in ESPQ_PLAIN with a step per axis (STRIDED). */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "infer/binary.h"
#include "infer/reorder.h"
#include "ops/kernel.h"
#include "sim/elementwise.h"
#include "sim/reorder.h"
#include "tensor/move.h"

/* ---- shapes ---- */

/* Numbers of any one type; what the integer column can do, its kernels say. */
static espq_status check_type(const espq_call *call, int input, espq_error *err) {
  if (call->node->column != ESPQ_COLUMN_F32) return espq_port_number(call, input, err);
  espq_status status = espq_port_type(call, input, ESPQ_TYPES_NUMBER, err);
  return status ? status : espq_call_one_type(call, err);
}

static espq_status infer(espq_call *call, espq_error *err) {
  espq_shape shape = call->in[0].shape;
  for (int i = 0; i < call->nin; i++) {
    if (!call->in[i].present) return espq_call_fail(call, err, ESPQ_EFORMAT, "input %d is missing", i);
    espq_status status = check_type(call, i, err);
    if (!status && i) status = espq_broadcast(call, &shape, &call->in[i].shape, &shape, err);
    if (status) return status;
  }
  return espq_call_result(call, &shape);
}

/* Size of operand k along an axis of the result. */
static int64_t operand_dim(const espq_call *call, int k, int axis) {
  const espq_shape *s = &call->in[k].shape;
  int own = axis - (call->out[0].shape.rank - s->rank);
  return own < 0 ? 1 : s->dim[own];
}

/* ---- what the operands are ---- */

typedef enum operand_kind {
  OPERAND_IMAGE,   /* every element of an image, for each image or the same for all */
  OPERAND_CHANNEL, /* one number per channel, likewise */
  OPERAND_ANY
} operand_kind;

typedef struct operand {
  int input;
  operand_kind kind;
  void *constant;                /* BLOCKED: a constant as the layout wants it, owned; NULL: comes with the run */
  int64_t image_step;            /* BLOCKED: elements to the next image; 0: the same for all */
  int64_t stride[ESPQ_MAX_RANK]; /* STRIDED */
} operand;

typedef struct binary {
  bool blocked;
  int n; /* operands, at least 2 */
  operand *operand;
  size_t size; /* of an element */
  /* BLOCKED */
  espq_layout layout;
  espq_image image;
  /* STRIDED */
  int rank;
  int64_t dim[ESPQ_MAX_RANK], stride[ESPQ_MAX_RANK];
  /* float */
  espq_infer_binary_op op;
  espq_dtype type; /* other types than float32 have no kernels of their own: tensor/function.h */
  /* integers */
  espq_sim_binary q;
  int *exponent;
  size_t zeros; /* bytes of an output whose scale is 0; else 0 */
} binary;

static void free_binary(void *state) {
  binary *s = state;
  if (!s) return;
  for (int i = 0; s->operand && i < s->n; i++) espq_free(s->operand[i].constant);
  espq_free(s->operand);
  espq_free(s->exponent);
  espq_free(s);
}

static bool one_behind_channels(const espq_call *call, int k) {
  for (int i = 2; i < call->out[0].shape.rank; i++)
    if (operand_dim(call, k, i) != 1) return false;
  return true;
}

static bool whole_image(const espq_call *call, int k) {
  for (int i = 1; i < call->out[0].shape.rank; i++)
    if (operand_dim(call, k, i) != call->out[0].shape.dim[i]) return false;
  return true;
}

/* A tensor computed at run time must have the result's rank, so that both mean the same by channels; a constant is
 * rearranged here, so a single number will do, too. */
static operand_kind kind_of(const espq_call *call, int k) {
  const espq_port *p = &call->in[k];
  const espq_shape *y = &call->out[0].shape;
  if (!p->constant && p->shape.rank != y->rank) return OPERAND_ANY;
  if (whole_image(call, k)) return OPERAND_IMAGE;
  int64_t channels = operand_dim(call, k, 1);
  bool per_channel = channels == y->dim[1] || (p->constant && channels == 1);
  return per_channel && one_behind_channels(call, k) ? OPERAND_CHANNEL : OPERAND_ANY;
}

/* The layout of the first whole operand that is not PLAIN; PLAIN when there is none, or some operand is no match. */
static espq_layout find_layout(const espq_call *call, const binary *s, bool row_may_lead) {
  espq_layout layout = ESPQ_PLAIN;
  if (s->rank < 2 || s->rank > 4) return ESPQ_PLAIN;
  if (s->operand[0].kind != OPERAND_IMAGE && (!row_may_lead || s->operand[1].kind != OPERAND_IMAGE || s->n > 2))
    return ESPQ_PLAIN;
  for (int i = 0; i < s->n; i++) {
    const operand *o = &s->operand[i];
    if (o->kind == OPERAND_ANY) return ESPQ_PLAIN;
    if (o->kind == OPERAND_IMAGE && layout == ESPQ_PLAIN) layout = call->in[o->input].layout;
  }
  return layout;
}

/* ---- STRIDED ---- */

static void set_strides(const espq_call *call, binary *s) {
  espq_move_strides(s->rank, s->dim, s->stride);
  for (int k = 0; k < s->n; k++) {
    operand *o = &s->operand[k];
    int64_t step = 1;
    for (int i = s->rank - 1; i >= 0; i--) {
      int64_t d = operand_dim(call, o->input, i);
      o->stride[i] = d == 1 ? 0 : step;
      step *= d;
    }
    call->in[o->input].layout = ESPQ_PLAIN;
  }
}

/* ---- BLOCKED ---- */

/* Elements of an operand of this kind for one image, padding lanes included. A float operand per channel stays a plain
 * vector; an integer one is stored like a pixel. */
static int64_t image_elements(const binary *s, operand_kind kind) {
  if (kind == OPERAND_CHANNEL && s->layout != ESPQ_NHWC16) return s->image.c;
  return espq_layout_channels(s->layout, s->image.c) * (kind == OPERAND_IMAGE ? s->image.pixels : 1);
}

static void reorder(const binary *s, int64_t n, int64_t pixels, const void *from, void *to) {
  if (s->layout == ESPQ_NHWC16) espq_sim_to_nhwc16(s->size == 1 ? 8 : 16, n, s->image.c, pixels, from, to);
  else espq_infer_reorder(ESPQ_PLAIN, s->layout, n, s->image.c, pixels, from, to);
}

/* Repeats a constant to the result's channels (and pixels), then lays it out. */
static espq_status lay_out(const espq_call *call, const binary *s, operand *o, espq_error *err) {
  const espq_port *p = &call->in[o->input];
  bool image = o->kind == OPERAND_IMAGE;
  int64_t n = operand_dim(call, o->input, 0), pixels = image ? s->image.pixels : 1;
  int64_t plain[] = {n, s->image.c, pixels}, given[] = {n, operand_dim(call, o->input, 1), pixels}, count;
  if (espq_shape_count(3, plain, &count, err)) return espq_call_prefix(call, err);
  void *spread = espq_alloc((size_t)count * s->size + 64);
  o->constant = espq_alloc((size_t)(n * image_elements(s, o->kind)) * s->size + 64);
  if (spread && o->constant) {
    espq_move_expand(s->size, 3, given, 3, plain, p->constant->data, spread);
    if (image || s->layout == ESPQ_NHWC16) reorder(s, n, pixels, spread, o->constant);
    else memcpy(o->constant, spread, (size_t)count * s->size);
  }
  espq_free(spread);
  return spread && o->constant ? ESPQ_OK : espq_fail_memory(err);
}

static espq_status set_blocks(espq_call *call, binary *s, espq_error *err) {
  espq_status status = ESPQ_OK;
  for (int k = 0; k < s->n && !status; k++) {
    operand *o = &s->operand[k];
    espq_port *p = &call->in[o->input];
    bool vector = o->kind == OPERAND_CHANNEL && s->layout != ESPQ_NHWC16;
    o->image_step = operand_dim(call, o->input, 0) == 1 ? 0 : image_elements(s, o->kind);
    if (p->constant) status = lay_out(call, s, o, err);
    else p->layout = vector ? ESPQ_PLAIN : s->layout;
  }
  return status;
}

/* ---- preparing, both columns ---- */

/* Input 0 may be overwritten where it is as large as the result, and not read again (Max(x, y, x)). */
static bool fits_in_place(const espq_call *call) {
  const espq_shape *x = &call->in[0].shape, *y = &call->out[0].shape;
  return call->nin <= 2 && !call->in[0].constant && x->rank == y->rank &&
         !memcmp(x->dim, y->dim, (size_t)y->rank * sizeof *x->dim);
}

/* Max and Min of a single input are those of the input with itself. */
static espq_status set_operands(espq_call *call, binary *s, bool row_may_lead, espq_error *err) {
  s->n = call->nin < 2 ? 2 : call->nin;
  s->operand = espq_calloc((size_t)s->n, sizeof *s->operand);
  if (!s->operand) return espq_fail_memory(err);
  s->rank = call->out[0].shape.rank;
  memcpy(s->dim, call->out[0].shape.dim, sizeof s->dim);
  s->size = espq_dtype_size(call->out[0].dtype);
  s->image = espq_image_of(&call->out[0].shape);
  for (int k = 0; k < s->n; k++) {
    s->operand[k].input = k < call->nin ? k : 0;
    s->operand[k].kind = s->rank < 2 ? OPERAND_ANY : kind_of(call, s->operand[k].input);
  }
  s->layout = call->out[0].layout = find_layout(call, s, row_may_lead);
  s->blocked = s->layout != ESPQ_PLAIN;
  if (s->blocked) return set_blocks(call, s, err);
  set_strides(call, s);
  return ESPQ_OK;
}

static const void *data_of(const operand *o, const espq_run_args *args) {
  return o->constant ? o->constant : args->in[o->input];
}

/* Image i of an operand. */
static const void *image_of(const binary *s, const operand *o, const void *data, int64_t i) {
  return (const char *)data + (size_t)(i * o->image_step) * s->size;
}

/* ---- float ---- */

static espq_status prepare_f32(espq_call *call, espq_infer_binary_op op, espq_prepared *out, espq_error *err) {
  bool commutes = op != ESPQ_INFER_SUB && op != ESPQ_INFER_DIV;
  binary *s = espq_calloc(1, sizeof *s);
  if (!s) return espq_fail_memory(err);
  s->op = call->nin == 1 ? ESPQ_INFER_MAX : op; /* a Sum of one tensor is that tensor, like its maximum with itself */
  s->type = call->out[0].dtype;
  espq_status status = set_operands(call, s, commutes, err);
  if (status) {
    free_binary(s);
    return status;
  }
  out->state = s;
  out->in_place = fits_in_place(call);
  return ESPQ_OK;
}

/* y = op(a, b) for one image in blocks; only an operation that commutes has its channels in front. */
static void image_f32(const binary *s, operand_kind a_kind, const float *a, operand_kind b_kind, const float *b,
                      float *y) {
  const espq_image *i = &s->image;
  if (a_kind == OPERAND_CHANNEL) espq_infer_channel_binary(s->op, s->layout, 1, i->c, i->pixels, b, a, y);
  else if (b_kind == OPERAND_CHANNEL) espq_infer_channel_binary(s->op, s->layout, 1, i->c, i->pixels, a, b, y);
  else {
    espq_infer_binary_same(s->op, image_elements(s, OPERAND_IMAGE), a, b, y);
    if (s->op == ESPQ_INFER_DIV) espq_infer_clear_lanes(s->layout, 1, i->c, i->pixels, y);
  }
}

static void blocked_f32(const binary *s, const espq_run_args *args) {
  int64_t step = image_elements(s, OPERAND_IMAGE);
  for (int64_t i = 0; i < s->image.n; i++) {
    const operand *a = &s->operand[0];
    float *y = (float *)args->out[0] + i * step;
    const void *left = image_of(s, a, data_of(a, args), i);
    operand_kind kind = a->kind;
    for (int k = 1; k < s->n; k++, left = y, kind = OPERAND_IMAGE) {
      const operand *b = &s->operand[k];
      image_f32(s, kind, left, b->kind, image_of(s, b, data_of(b, args), i), y);
    }
  }
}

static void strided_any(const binary *s, const espq_run_args *args) {
  static const espq_function functions[] = {
      [ESPQ_INFER_ADD] = ESPQ_FN_ADD, [ESPQ_INFER_SUB] = ESPQ_FN_SUB, [ESPQ_INFER_MUL] = ESPQ_FN_MUL,
      [ESPQ_INFER_DIV] = ESPQ_FN_DIV, [ESPQ_INFER_MAX] = ESPQ_FN_MAX, [ESPQ_INFER_MIN] = ESPQ_FN_MIN};
  const void *left = data_of(&s->operand[0], args);
  const int64_t *stride = s->operand[0].stride;
  for (int k = 1; k < s->n; k++, left = args->out[0], stride = s->stride)
    espq_function_strided(functions[s->op], s->rank, s->dim, s->type, left, stride, s->type,
                          data_of(&s->operand[k], args), s->operand[k].stride, args->out[0]);
}

static espq_status run_f32(const espq_run_args *args, espq_error *err) {
  (void)err;
  const binary *s = args->state;
  if (s->blocked || s->type != ESPQ_F32) {
    if (s->blocked) blocked_f32(s, args);
    else strided_any(s, args);
    return ESPQ_OK;
  }
  const void *left = data_of(&s->operand[0], args);
  const int64_t *stride = s->operand[0].stride;
  for (int k = 1; k < s->n; k++, left = args->out[0], stride = s->stride)
    espq_infer_binary(s->op, s->rank, s->dim, left, stride, data_of(&s->operand[k], args), s->operand[k].stride,
                      args->out[0]);
  return ESPQ_OK;
}

/* ---- integers ---- */

static espq_status check_types(const espq_call *call, espq_error *err) {
  espq_dtype want = call->out[0].dtype;
  for (int i = 0; i < call->nin; i++)
    if (call->in[i].dtype != want || (want != ESPQ_I8 && want != ESPQ_I16))
      return espq_call_fail(call, err, ESPQ_EUNSUPPORTED,
                            "input %d '%.100s' and the output are %s and %s, expected both int8 or both int16", i,
                            call->in[i].name, espq_dtype_name(call->in[i].dtype), espq_dtype_name(want));
  return ESPQ_OK;
}

/* An operand of scale 0 needs no care: its integers are 0, and 0 shifted by any exponent is 0. */
static espq_status read_exponents(const espq_call *call, binary *s, espq_error *err) {
  s->exponent = espq_calloc((size_t)s->n, sizeof *s->exponent);
  if (!s->exponent) return espq_fail_memory(err);
  espq_status status = espq_port_exponent(call, &call->out[0], &s->q.eo, err);
  if (!status && s->q.eo == ESPQ_OPS_EXPONENT_ZERO) {
    s->zeros = (size_t)espq_port_stored(&call->out[0]) * s->size;
    s->q.eo = 0;
  }
  for (int k = 0; k < s->n && !status; k++)
    status = espq_port_exponent(call, &call->in[s->operand[k].input], &s->exponent[k], err);
  return status;
}

static espq_status set_q(const espq_env *env, espq_call *call, binary *s, espq_error *err) {
  espq_status status = check_types(call, err);
  if (!status) status = set_operands(call, s, true, err);
  if (!status) status = read_exponents(call, s, err);
  s->q.format = espq_port_format(&call->out[0]);
  s->q.isa = env->isa;
  s->q.rounding = espq_call_rounding(call);
  return status;
}

static espq_status prepare_q(const espq_env *env, espq_call *call, espq_sim_op op, espq_prepared *out,
                             espq_error *err) {
  binary *s = espq_calloc(1, sizeof *s);
  if (!s) return espq_fail_memory(err);
  s->q.op = op;
  espq_status status = set_q(env, call, s, err);
  if (status) {
    free_binary(s);
    return status;
  }
  out->state = s;
  out->in_place = fits_in_place(call);
  return ESPQ_OK;
}

/* Exponents of a step of the fold: what was computed before has the output's. */
static espq_sim_binary step_of(const binary *s, int k) {
  espq_sim_binary q = s->q;
  q.ea = k == 1 ? s->exponent[0] : q.eo;
  q.eb = s->exponent[k];
  return q;
}

static void blocked_q(const binary *s, const espq_run_args *args) {
  int64_t step = image_elements(s, OPERAND_IMAGE), row = image_elements(s, OPERAND_CHANNEL);
  for (int64_t i = 0; i < s->image.n; i++) {
    const operand *a = &s->operand[0];
    void *y = (char *)args->out[0] + (size_t)(i * step) * s->size;
    const void *left = image_of(s, a, data_of(a, args), i);
    bool left_rows = a->kind == OPERAND_IMAGE;
    for (int k = 1; k < s->n; k++, left = y, left_rows = true) {
      const operand *b = &s->operand[k];
      espq_sim_binary q = step_of(s, k);
      espq_sim_binary_rows(&q, s->image.pixels, row, left, left_rows, image_of(s, b, data_of(b, args), i),
                           b->kind == OPERAND_IMAGE, y);
    }
  }
}

static espq_status run_q(const espq_run_args *args, espq_error *err) {
  (void)err;
  const binary *s = args->state;
  if (s->zeros) memset(args->out[0], s->q.format == ESPQ_SIM_I8_OFFSET ? 128 : 0, s->zeros);
  else if (s->blocked) blocked_q(s, args);
  else {
    const void *left = data_of(&s->operand[0], args);
    const int64_t *stride = s->operand[0].stride;
    for (int k = 1; k < s->n; k++, left = args->out[0], stride = s->stride) {
      espq_sim_binary q = step_of(s, k);
      espq_sim_binary_strided(&q, s->rank, s->dim, stride, s->operand[k].stride, left, data_of(&s->operand[k], args),
                              args->out[0]);
    }
  }
  return ESPQ_OK;
}

/* ---- rows ---- */

static const char *why_not(const espq_call *call, char *text, size_t size) {
  for (int i = 0; i < call->nin; i++) {
    const espq_tensor *t = call->in[i].constant;
    if (t && t->dtype != ESPQ_F32)
      return espq_reason(text, size, "its constant '%.100s' has type %s; export the model in float32", call->in[i].name,
                         espq_dtype_name(t->dtype));
  }
  return NULL;
}

static const char *div_why_not(const espq_call *call, char *text, size_t size) {
  if (call->in[1].constant)
    return espq_reason(text, size,
                       "Div has no integer form on the chip; multiply by the reciprocal of '%.100s' instead (Mul)",
                       call->in[1].name);
  return espq_reason(
      text, size,
      "Div has no integer form on the chip; end the model at '%.100s' and let the application divide the "
      "dequantized results",
      call->in[0].name);
}

static const char *sum_why_not(const espq_call *call, char *text, size_t size) {
  return espq_reason(text, size, "Sum of %d tensors has no integer form on the chip; use Add", call->nin);
}

#define COLUMN_F32(name, op)                                                                                     \
  static espq_status prepare_##name(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) { \
    (void)env;                                                                                                   \
    return prepare_f32(call, op, out, err);                                                                      \
  }                                                                                                              \
  static const espq_kernel name##_f32 = {prepare_##name, run_f32, free_binary}
#define COLUMN_Q(name, op)                                                                                           \
  static espq_status prepare_##name##_q(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) { \
    return prepare_q(env, call, op, out, err);                                                                       \
  }                                                                                                                  \
  static const espq_kernel name##_q = {prepare_##name##_q, run_q, free_binary}

COLUMN_F32(add, ESPQ_INFER_ADD);
COLUMN_F32(sub, ESPQ_INFER_SUB);
COLUMN_F32(mul, ESPQ_INFER_MUL);
COLUMN_F32(div, ESPQ_INFER_DIV);
COLUMN_F32(max, ESPQ_INFER_MAX);
COLUMN_F32(min, ESPQ_INFER_MIN);
COLUMN_Q(add, ESPQ_SIM_ADD);
COLUMN_Q(sub, ESPQ_SIM_SUB);
COLUMN_Q(mul, ESPQ_SIM_MUL);
COLUMN_Q(max, ESPQ_SIM_MAX);
COLUMN_Q(min, ESPQ_SIM_MIN);

enum {
  ACCEPTED = ESPQ_V1_CALIBRATOR | ESPQ_V1_EVALUATOR | ESPQ_V1_CHIP,
  ARITHMETIC = ESPQ_V1_ARITHMETIC | ESPQ_V1_ALIGNS | ACCEPTED,
  OURS = ARITHMETIC | ESPQ_V1_UNMEASURED,
  LARGEST = ESPQ_V1_SHARES | ESPQ_V1_PASS | ESPQ_V1_ALIGNS | ESPQ_V1_UNMEASURED | ACCEPTED
};

#define BINARY_ROW(op, first, least, most, f, integer, roles, reason) \
  const espq_op espq_op_##op = {                                      \
      .name = #op,                                                    \
      .domain = "",                                                   \
      .since = first,                                                 \
      .min_in = least,                                                \
      .max_in = most,                                                 \
      .min_out = 1,                                                   \
      .max_out = 1,                                                   \
      .infer = infer,                                                 \
      .f32 = f,                                                       \
      .q = integer,                                                   \
      .v1 = roles,                                                    \
      .weight = -1,                                                   \
      .bias = -1,                                                     \
      .why_not = reason,                                              \
  }

BINARY_ROW(Add, 7, 2, 2, &add_f32, &add_q, ARITHMETIC, why_not);
BINARY_ROW(Sub, 7, 2, 2, &sub_f32, &sub_q, OURS, why_not);
BINARY_ROW(Mul, 7, 2, 2, &mul_f32, &mul_q, OURS, why_not);
BINARY_ROW(Div, 7, 2, 2, &div_f32, NULL, 0, div_why_not);
BINARY_ROW(Sum, 6, 1, -1, &add_f32, NULL, 0, sum_why_not);
BINARY_ROW(Max, 6, 1, -1, &max_f32, &max_q, LARGEST, why_not);
BINARY_ROW(Min, 6, 1, -1, &min_f32, &min_q, LARGEST, why_not);
