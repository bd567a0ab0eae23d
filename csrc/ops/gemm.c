/* Gemm and MatMul: a constant right operand is packed once, anything else is a general matrix product. */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "infer/gemm.h"
#include "ops/kernel.h"
#include "ops/linear.h"
#include "sim/conv.h"
#include "sim/reorder.h"
#include "tensor/product.h"

static const espq_attr_spec gemm_attrs[] = {{"alpha", ESPQ_ATTR_FLOAT, false, 1, NULL},
                                            {"beta", ESPQ_ATTR_FLOAT, false, 1, NULL},
                                            {"transA", ESPQ_ATTR_INT, false, 0, NULL},
                                            {"transB", ESPQ_ATTR_INT, false, 0, NULL},
                                            {NULL, ESPQ_ATTR_INT, false, 0, NULL}};

/* y (m x n) = alpha * op(a) (m x k) * op(b) (k x n) + beta * c */
typedef struct gemm_form {
  int64_t m, n, k; /* -1: unknown */
  bool trans_a, trans_b;
  float alpha, beta;
} gemm_form;

/* ---- shapes ---- */

static espq_status fail_product(const espq_call *call, espq_error *err) {
  const espq_shape *a = &call->in[0].shape, *b = &call->in[1].shape;
  char ta[160], tb[160];
  return espq_call_fail(call, err, ESPQ_EFORMAT, "shapes %s of '%.100s' and %s of '%.100s' cannot be multiplied",
                        espq_shape_text(a->rank, a->dim, ta, sizeof ta), call->in[0].name,
                        espq_shape_text(b->rank, b->dim, tb, sizeof tb), call->in[1].name);
}

/* Integers of the integer column, or what ONNX allows: one type for all operands. */
static espq_status check_types(const espq_call *call, espq_error *err) {
  const unsigned types =
      ESPQ_TYPES_FLOAT | ESPQ_TYPES(ESPQ_I32) | ESPQ_TYPES(ESPQ_I64) | ESPQ_TYPES(ESPQ_U32) | ESPQ_TYPES(ESPQ_U64);
  bool integer = call->node->column != ESPQ_COLUMN_F32;
  espq_status status = ESPQ_OK;
  for (int i = 0; i < call->nin && !status; i++)
    status = integer ? espq_port_number(call, i, err) : espq_port_type(call, i, types, err);
  return status || integer ? status : espq_call_one_type(call, err);
}

static espq_status check_c(const espq_call *call, const gemm_form *f, espq_error *err) {
  if (!espq_port_has(call, 2)) return ESPQ_OK;
  const espq_shape *c = &call->in[2].shape;
  const int64_t want[] = {f->m, f->n};
  bool fits = c->rank <= 2;
  for (int i = 0; i < c->rank && fits; i++) {
    int64_t have = c->dim[i], w = want[2 - c->rank + i];
    fits = have < 0 || w < 0 || have == 1 || have == w;
  }
  char text[160];
  if (fits) return ESPQ_OK;
  return espq_call_fail(call, err, ESPQ_EFORMAT,
                        "input 2 '%.100s' has shape %s, expected one that broadcasts to %" PRId64 "x%" PRId64,
                        call->in[2].name, espq_shape_text(c->rank, c->dim, text, sizeof text), f->m, f->n);
}

static espq_status read_gemm(const espq_call *call, gemm_form *f, espq_error *err) {
  const espq_shape *a = &call->in[0].shape, *b = &call->in[1].shape;
  if (a->rank != 2 || b->rank != 2) return fail_product(call, err);
  f->trans_a = espq_node_int(call->node, "transA", 0) != 0;
  f->trans_b = espq_node_int(call->node, "transB", 0) != 0;
  f->alpha = espq_node_float(call->node, "alpha", 1);
  f->beta = espq_node_float(call->node, "beta", 1);
  f->m = a->dim[f->trans_a];
  f->n = b->dim[!f->trans_b];
  int64_t ka = a->dim[!f->trans_a], kb = b->dim[f->trans_b];
  if (ka >= 0 && kb >= 0 && ka != kb) return fail_product(call, err);
  f->k = ka >= 0 ? ka : kb;
  return check_c(call, f, err);
}

static espq_status infer_gemm(espq_call *call, espq_error *err) {
  gemm_form f;
  espq_status status = check_types(call, err);
  if (!status) status = read_gemm(call, &f, err);
  return status ? status : espq_call_result(call, &(espq_shape){.rank = 2, .dim = {f.m, f.n}});
}

/* Both operands as stacks of matrices: a vector is a row on the left, a column on the right. */
typedef struct product {
  espq_shape a, b, batch; /* batch: the broadcast leading axes */
} product;

static espq_status read_product(const espq_call *call, product *p, espq_error *err) {
  p->a = call->in[0].shape;
  p->b = call->in[1].shape;
  if (p->a.rank == 0 || p->b.rank == 0) return fail_product(call, err);
  if (p->a.rank == 1) p->a = (espq_shape){2, {1, p->a.dim[0]}};
  if (p->b.rank == 1) p->b = (espq_shape){2, {p->b.dim[0], 1}};
  int64_t ka = p->a.dim[p->a.rank - 1], kb = p->b.dim[p->b.rank - 2];
  if (ka >= 0 && kb >= 0 && ka != kb) return fail_product(call, err);
  espq_shape a = p->a, b = p->b;
  a.rank -= 2;
  b.rank -= 2;
  return espq_broadcast(call, &a, &b, &p->batch, err);
}

static espq_status infer_matmul(espq_call *call, espq_error *err) {
  product p;
  espq_status status = check_types(call, err);
  if (!status) status = read_product(call, &p, err);
  if (status) return status;
  espq_shape y = p.batch;
  if (call->in[0].shape.rank > 1) y.dim[y.rank++] = p.a.dim[p.a.rank - 2];
  if (call->in[1].shape.rank > 1) y.dim[y.rank++] = p.b.dim[p.b.rank - 1];
  return espq_call_result(call, &y);
}

/* ---- float ---- */

typedef struct product_f32 {
  espq_infer_gemm *gemm; /* one of these two; none: general, other types and empty matrices */
  espq_infer_matmul *matmul;
  espq_product general;
  int64_t matrices;
  espq_shape batch; /* of general's stacks, with the steps of both operands */
  int64_t a_step[ESPQ_MAX_RANK], b_step[ESPQ_MAX_RANK];
  int64_t m, n;
  float alpha, beta; /* what is left to do after the product */
  bool add;
  int64_t row_stride, column_stride; /* of c */
} product_f32;

static void free_f32(void *state) {
  product_f32 *s = state;
  if (!s) return;
  espq_infer_gemm_free(s->gemm);
  espq_infer_matmul_free(s->matmul);
  espq_free(s);
}

/* Where matrix i of a stack begins. */
static const void *matrix_at(const product_f32 *s, const void *data, const int64_t *step, int64_t i) {
  int64_t offset = 0;
  for (int k = s->batch.rank - 1; k >= 0; k--) {
    offset += i % s->batch.dim[k] * step[k];
    i /= s->batch.dim[k];
  }
  return (const char *)data + offset * (int64_t)espq_dtype_size(s->general.dtype);
}

static espq_status run_general(const product_f32 *s, const espq_run_args *args) {
  size_t size = (size_t)(s->m * s->n) * espq_dtype_size(s->general.dtype);
  for (int64_t i = 0; i < s->matrices; i++)
    espq_product_run(&s->general, matrix_at(s, args->in[0], s->a_step, i), matrix_at(s, args->in[1], s->b_step, i),
                     s->beta == 0 ? NULL : args->in[2], (char *)args->out[0] + (size_t)i * size);
  return ESPQ_OK;
}

static espq_status run_f32(const espq_run_args *args, espq_error *err) {
  const product_f32 *general = args->state;
  if (!general->gemm && !general->matmul) return run_general(general, args);
  /* A run binds memory of its own stream only, so the objects may be shared. */
  const product_f32 *s = args->state;
  float *y = args->out[0];
  espq_status status = s->gemm ? espq_infer_gemm_run(s->gemm, args->stream, args->in[0], y, err)
                               : espq_infer_matmul_run(s->matmul, args->stream, args->in[0], args->in[1], y, err);
  if (!status && s->add)
    espq_infer_gemm_add(s->m, s->n, s->alpha, s->beta, s->beta == 0 ? NULL : args->in[2], s->row_stride,
                        s->column_stride, y);
  return status;
}

/* All operands PLAIN; *s is empty and belongs to out. */
static espq_status start_f32(espq_call *call, product_f32 **s, espq_prepared *out, espq_error *err) {
  *s = espq_calloc(1, sizeof **s);
  if (!*s) return espq_fail_memory(err);
  for (int i = 0; i < call->nin; i++) call->in[i].layout = ESPQ_PLAIN;
  call->out[0].layout = ESPQ_PLAIN;
  out->state = *s;
  return ESPQ_OK;
}

static espq_status finish_f32(espq_status status, espq_prepared *out) {
  if (!status) return ESPQ_OK;
  free_f32(out->state);
  out->state = NULL;
  return status;
}

/* A constant row times beta, to be packed as the bias: *row is owned by the caller, NULL when c is no such row. */
static espq_status constant_row(const espq_call *call, const gemm_form *f, float **row, espq_error *err) {
  *row = NULL;
  if (!espq_port_has(call, 2) || !call->in[2].constant || f->beta == 0 || f->n < 1) return ESPQ_OK;
  const espq_tensor *c = call->in[2].constant;
  if (c->dtype != ESPQ_F32 || (c->count != 1 && (c->count != f->n || c->dim[c->rank - 1] != f->n))) return ESPQ_OK;
  *row = espq_calloc((size_t)f->n, sizeof **row);
  if (!*row) return espq_fail_memory(err);
  for (int64_t i = 0; i < f->n; i++) (*row)[i] = f->beta * ((const float *)c->data)[c->count == 1 ? 0 : i];
  return ESPQ_OK;
}

static void set_addition(product_f32 *s, const espq_call *call, const gemm_form *f, float alpha) {
  bool has_c = espq_port_has(call, 2) && f->beta != 0;
  const espq_shape *c = has_c ? &call->in[2].shape : NULL;
  s->m = f->m;
  s->n = f->n;
  s->alpha = alpha;
  s->beta = has_c ? f->beta : 0;
  s->add = has_c || alpha != 1;
  s->column_stride = has_c && c->rank >= 1 && c->dim[c->rank - 1] > 1;
  s->row_stride = has_c && c->rank == 2 && c->dim[0] > 1 ? c->dim[1] : 0;
}

static bool is_fast(const espq_call *call, int64_t m, int64_t n, int64_t k) {
  return call->in[0].dtype == ESPQ_F32 && m > 0 && n > 0 && k > 0;
}

/* s->general from the form and the addition; one matrix. */
static void set_general(product_f32 *s, const espq_call *call, const gemm_form *f) {
  set_addition(s, call, f, f->alpha);
  s->matrices = 1;
  s->general = (espq_product){.dtype = call->in[0].dtype,
                              .m = f->m,
                              .n = f->n,
                              .k = f->k,
                              .a_row = f->trans_a ? 1 : f->k,
                              .a_column = f->trans_a ? f->m : 1,
                              .b_row = f->trans_b ? 1 : f->n,
                              .b_column = f->trans_b ? f->k : 1,
                              .c_row = s->row_stride,
                              .c_column = s->column_stride,
                              .alpha = (double)f->alpha,
                              .beta = (double)s->beta};
}

static espq_status prepare_packed(const espq_env *env, const espq_call *call, const gemm_form *f, product_f32 *s,
                                  espq_error *err) {
  const float *b;
  float *row = NULL;
  espq_status status = espq_port_weights(call, 1, &b, err);
  if (!status) status = constant_row(call, f, &row, err);
  espq_infer_gemm_params p = {
      .m = f->m, .n = f->n, .k = f->k, .trans_a = f->trans_a, .trans_b = f->trans_b, .alpha = f->alpha};
  if (!status && espq_infer_gemm_prepare(env->engine, &p, b, row, &s->gemm, err)) status = espq_call_prefix(call, err);
  if (!row) set_addition(s, call, f, 1);
  espq_free(row);
  return status;
}

static espq_status make_matmul(const espq_env *env, const espq_call *call, const espq_infer_matmul_params *p,
                               product_f32 *s, espq_error *err) {
  return espq_infer_matmul_prepare(env->engine, p, &s->matmul, err) ? espq_call_prefix(call, err) : ESPQ_OK;
}

static espq_status prepare_gemm(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  gemm_form f;
  product_f32 *s = NULL;
  espq_status status = read_gemm(call, &f, err);
  if (!status) status = start_f32(call, &s, out, err);
  if (status) return status;
  if (!is_fast(call, f.m, f.n, f.k)) {
    set_general(s, call, &f);
    return ESPQ_OK;
  }
  if (call->in[1].constant) return finish_f32(prepare_packed(env, call, &f, s, err), out);
  espq_infer_matmul_params p = {.m = f.m, .n = f.n, .k = f.k, .trans_a = f.trans_a, .trans_b = f.trans_b};
  set_addition(s, call, &f, f.alpha);
  return finish_f32(make_matmul(env, call, &p, s, err), out);
}

/* Elements to step along each axis of batch in a stack of matrices, 0 where it repeats. */
static void batch_strides(const espq_shape *stack, const espq_shape *batch, int64_t *stride) {
  int64_t step = stack->dim[stack->rank - 1] * stack->dim[stack->rank - 2];
  for (int i = batch->rank - 1; i >= 0; i--) {
    int k = i - (batch->rank - (stack->rank - 2));
    stride[i] = k < 0 || stack->dim[k] == 1 ? 0 : step;
    if (k >= 0) step *= stack->dim[k];
  }
}

static void set_general_stacks(product_f32 *s, const espq_call *call, const product *p) {
  gemm_form f = {.m = p->a.dim[p->a.rank - 2], .n = p->b.dim[p->b.rank - 1], .k = p->a.dim[p->a.rank - 1], .alpha = 1};
  set_general(s, call, &f);
  s->batch = p->batch;
  s->matrices = espq_shape_elements(&p->batch);
  batch_strides(&p->a, &p->batch, s->a_step);
  batch_strides(&p->b, &p->batch, s->b_step);
}

static espq_status prepare_stacks(const espq_env *env, const espq_call *call, const product *p, product_f32 *s,
                                  espq_error *err) {
  espq_infer_matmul_params m = {
      .m = p->a.dim[p->a.rank - 2], .n = p->b.dim[p->b.rank - 1], .k = p->a.dim[p->a.rank - 1], .rank = p->batch.rank};
  memcpy(m.batch, p->batch.dim, (size_t)p->batch.rank * sizeof *m.batch);
  batch_strides(&p->a, &p->batch, m.a_stride);
  batch_strides(&p->b, &p->batch, m.b_stride);
  return make_matmul(env, call, &m, s, err);
}

static espq_status prepare_matmul(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  product p;
  product_f32 *s = NULL;
  espq_status status = read_product(call, &p, err);
  if (!status) status = start_f32(call, &s, out, err);
  if (status) return status;
  int64_t matrices = espq_shape_elements(&p.batch);
  if (!is_fast(call, p.a.dim[p.a.rank - 2], p.b.dim[p.b.rank - 1], p.b.dim[p.b.rank - 2]) || matrices == 0) {
    set_general_stacks(s, call, &p);
    return ESPQ_OK;
  }
  if (!call->in[1].constant || p.b.rank != 2) return finish_f32(prepare_stacks(env, call, &p, s, err), out);
  int64_t k = p.b.dim[0];
  gemm_form f = {.m = k ? espq_shape_elements(&p.a) / k : 0, .n = p.b.dim[1], .k = k, .alpha = 1};
  return finish_f32(prepare_packed(env, call, &f, s, err), out);
}

static const espq_kernel gemm_f32 = {prepare_gemm, run_f32, free_f32};
static const espq_kernel matmul_f32 = {prepare_matmul, run_f32, free_f32};

/* ---- integers: a 1x1 convolution, every row an image ---- */

typedef struct product_q {
  espq_sim_conv *conv;
  int bits;
  int64_t rows, ic, oc;
  bool plain;                 /* operand and result are PLAIN and are copied to and from the layout of conv */
  size_t in_bytes, out_bytes; /* of these copies */
} product_q;

static void free_q(void *state) {
  product_q *s = state;
  if (s) espq_sim_conv_free(s->conv);
  espq_free(s);
}

/* b as [n][k]. */
static void *transposed(const espq_tensor *b, int64_t k, int64_t n) {
  size_t size = espq_dtype_size(b->dtype);
  char *to = espq_calloc((size_t)(k * n), size);
  const char *from = b->data;
  for (int64_t i = 0; to && i < k; i++)
    for (int64_t j = 0; j < n; j++) memcpy(to + (size_t)(j * k + i) * size, from + (size_t)(i * n + j) * size, size);
  return to;
}

static espq_status make_conv_q(const espq_env *env, const espq_call *call, product_q *s, bool trans_b, int bias,
                               espq_error *err) {
  if (s->ic < 1 || s->oc < 1 || s->ic > INT32_MAX - 16 || s->oc > INT32_MAX - 16)
    return espq_call_fail(call, err, ESPQ_ELIMIT, "a weight of %" PRId64 " by %" PRId64 " cannot be quantized", s->ic,
                          s->oc);
  const espq_tensor *b = call->in[1].constant;
  void *weights = b && !trans_b ? transposed(b, s->ic, s->oc) : NULL;
  if (b && !trans_b && !weights) return espq_fail_memory(err);
  espq_sim_conv_params p = {.ic = (int)s->ic,
                            .ih = 1,
                            .iw = 1,
                            .oc = (int)s->oc,
                            .oh = 1,
                            .ow = 1,
                            .kh = 1,
                            .kw = 1,
                            .sh = 1,
                            .sw = 1,
                            .dh = 1,
                            .dw = 1,
                            .groups = 1,
                            .isa = env->isa};
  espq_status status = espq_linear_prepare(call, &p, bias, weights, &s->conv, err);
  espq_free(weights);
  return status;
}

static size_t round_up(size_t bytes) { return (bytes + 63) / 64 * 64; }

static espq_status prepare_q(const espq_env *env, espq_call *call, const gemm_form *f, int bias, bool plain,
                             espq_prepared *out, espq_error *err) {
  product_q *s = espq_calloc(1, sizeof *s);
  if (!s) return espq_fail_memory(err);
  *s =
      (product_q){.bits = call->in[0].dtype == ESPQ_I16 ? 16 : 8, .rows = f->m, .ic = f->k, .oc = f->n, .plain = plain};
  espq_status status = make_conv_q(env, call, s, f->trans_b, bias, err);
  if (status) {
    free_q(s);
    return status;
  }
  size_t bytes = (size_t)s->bits / 8 * (size_t)s->rows;
  s->in_bytes = plain ? round_up(bytes * (size_t)espq_layout_channels(ESPQ_NHWC16, s->ic)) : 0;
  s->out_bytes = plain ? round_up(bytes * (size_t)espq_layout_channels(ESPQ_NHWC16, s->oc)) : 0;
  call->in[0].layout = call->out[0].layout = plain ? ESPQ_PLAIN : ESPQ_NHWC16;
  out->state = s;
  out->scratch = s->in_bytes + s->out_bytes + espq_sim_conv_scratch(s->conv);
  return ESPQ_OK;
}

static espq_status run_q(const espq_run_args *args, espq_error *err) {
  (void)err;
  const product_q *s = args->state;
  char *copy = args->scratch, *rest = copy + s->in_bytes + s->out_bytes;
  const void *x = s->plain ? copy : args->in[0];
  void *y = s->plain ? copy + s->in_bytes : args->out[0];
  if (s->plain) espq_sim_to_nhwc16(s->bits, s->rows, s->ic, 1, args->in[0], copy);
  espq_sim_conv_run(s->conv, s->rows, x, y, rest);
  if (s->plain) espq_sim_to_plain(s->bits, s->rows, s->oc, 1, y, args->out[0]);
  return ESPQ_OK;
}

static espq_status prepare_gemm_q(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  gemm_form f;
  espq_status status = read_gemm(call, &f, err);
  if (status) return status;
  if (f.trans_a || f.alpha != 1 || (f.beta != 0 && f.beta != 1))
    return espq_call_fail(call, err, ESPQ_EUNSUPPORTED,
                          "transA %d, alpha %g, beta %g: only transA 0, alpha 1 and beta 0 or 1 can be quantized",
                          f.trans_a, (double)f.alpha, (double)f.beta);
  return prepare_q(env, call, &f, f.beta == 0 ? -1 : 2, false, out, err);
}

static espq_status prepare_matmul_q(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  product p;
  espq_status status = read_product(call, &p, err);
  if (status) return status;
  if (p.b.rank != 2)
    return espq_call_fail(call, err, ESPQ_EUNSUPPORTED, "weight '%.100s' has rank %d, only one matrix can be quantized",
                          call->in[1].name, p.b.rank);
  int64_t k = p.b.dim[0];
  gemm_form f = {.m = k ? espq_shape_elements(&p.a) / k : 0, .n = p.b.dim[1], .k = k};
  bool plain = call->in[0].shape.rank != 2 || call->in[1].shape.rank != 2;
  return prepare_q(env, call, &f, -1, plain, out, err);
}

static const espq_kernel gemm_q = {prepare_gemm_q, run_q, free_q};
const espq_kernel espq_matmul_one = {prepare_matmul_q, run_q, free_q};

/* ---- rules ---- */

/* True when an addend that broadcasts to the result is the same for every row. */
static bool same_for_rows(const espq_port *c) { return c->constant && (c->shape.rank < 2 || c->shape.dim[0] == 1); }

static bool gemm_mixes(const espq_call *call) {
  if (call->in[0].constant || !call->in[1].constant || espq_node_int(call->node, "transA", 0)) return true;
  if (!espq_port_has(call, 2)) return false;
  const espq_port *c = &call->in[2];
  return c->constant ? !same_for_rows(c) : c->shape.rank < 2;
}

/* Only leading axes of stacks, and the rows of a left operand, go through image by image. */
static bool matmul_mixes(const espq_call *call) {
  const espq_port *a = &call->in[0], *b = &call->in[1];
  if (b->constant)
    return a->shape.rank < 2 || b->shape.rank > a->shape.rank ||
           (b->shape.rank == a->shape.rank && b->shape.rank > 2 && b->shape.dim[0] != 1);
  if (a->constant)
    return b->shape.rank < 3 || a->shape.rank > b->shape.rank ||
           (a->shape.rank == b->shape.rank && a->shape.dim[0] != 1);
  return a->shape.rank < 3 || a->shape.rank != b->shape.rank;
}

static const char *gemm_why_not(const espq_call *call, char *text, size_t size) {
  double alpha = (double)espq_node_float(call->node, "alpha", 1), beta = (double)espq_node_float(call->node, "beta", 1);
  const espq_port *c = espq_port_has(call, 2) ? &call->in[2] : NULL;
  if (espq_node_int(call->node, "transA", 0))
    return espq_reason(text, size, "its transA is not 0; transpose the input with a Transpose node");
  if (alpha != 1)
    return espq_reason(text, size, "its alpha is %g; multiply the weight by it and set alpha to 1", alpha);
  if (beta != 0 && beta != 1)
    return espq_reason(text, size, "its beta is %g; multiply input 2 by it and set beta to 1", beta);
  if (c && beta != 0 && c->shape.rank == 2 && c->shape.dim[0] != 1)
    return espq_reason(text, size, "its input 2 '%.100s' differs from row to row; add it with an Add node", c->name);
  return espq_linear_why_not(call, beta == 0 ? -1 : 2, text, size);
}

static const char *matmul_why_not(const espq_call *call, char *text, size_t size) {
  if (call->in[1].constant && call->in[1].shape.rank != 2)
    return espq_reason(text, size,
                       "its right operand '%.100s' has rank %d, only one matrix can be quantized; give it the shape "
                       "(inputs, outputs)",
                       call->in[1].name, call->in[1].shape.rank);
  return espq_linear_why_not(call, -1, text, size);
}

const espq_op espq_op_Gemm = {.name = "Gemm",
                              .domain = "",
                              .since = 7,
                              .min_in = 2,
                              .max_in = 3,
                              .min_out = 1,
                              .max_out = 1,
                              .attrs = gemm_attrs,
                              .infer = infer_gemm,
                              .f32 = &gemm_f32,
                              .q = &gemm_q,
                              .v1 = ESPQ_V1_ARITHMETIC | ESPQ_V1_CALIBRATOR | ESPQ_V1_EVALUATOR | ESPQ_V1_CHIP,
                              .weight = 1,
                              .bias = 2,
                              .mixes_batch = gemm_mixes,
                              .why_not = gemm_why_not};

const espq_op espq_op_MatMul = {.name = "MatMul",
                                .domain = "",
                                .since = 1,
                                .min_in = 2,
                                .max_in = 2,
                                .min_out = 1,
                                .max_out = 1,
                                .infer = infer_matmul,
                                .f32 = &matmul_f32,
                                .q = &espq_matmul_one,
                                .v3 = &espq_matmul_v3,
                                .v1 = ESPQ_V1_CHIP | ESPQ_V1_UNMEASURED,
                                .weight = 1,
                                .bias = -1,
                                .mixes_batch = matmul_mixes,
                                .why_not = matmul_why_not};
