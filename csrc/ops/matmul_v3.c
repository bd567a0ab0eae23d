/* MatMul of ESP-DL v3: a single constant matrix as a convolution (gemm.c); stacks of matrices and operands that are
 * computed one number after the other, with exact sums and one rounding at the end. */
#include <string.h>

#include "base/alloc.h"
#include "ops/kernel.h"
#include "ops/linear.h"
#include "ops/sums.h"

typedef struct stacks {
  const espq_kernel *one; /* of one matrix, with its state; NULL: what follows */
  void *one_state;
  espq_rounding rounding;
  bool wide;     /* int16 */
  int lane_bits; /* sums saturate at so many bits; 0: they are exact, or never get so far */
  int64_t right, low, high;
  int64_t m, n, k, count;                                                   /* `count` matrices */
  int rank;                                                                 /* of the leading axes */
  int64_t dim[ESPQ_MAX_RANK], a_step[ESPQ_MAX_RANK], b_step[ESPQ_MAX_RANK]; /* in matrices */
} stacks;

static void free_stacks(void *state) {
  stacks *s = state;
  if (!s) return;
  if (s->one) espq_kernel_free(s->one, s->one_state);
  espq_free(s);
}

/* The axes in front of the matrix. */
static espq_shape leading(const espq_shape *x) {
  espq_shape s = {.rank = x->rank > 2 ? x->rank - 2 : 0};
  memcpy(s.dim, x->dim, (size_t)s.rank * sizeof *s.dim);
  return s;
}

static void read_shapes(const espq_call *call, stacks *s) {
  const espq_shape *a = &call->in[0].shape, *b = &call->in[1].shape;
  espq_shape la = leading(a), lb = leading(b), ly = la.rank >= lb.rank ? la : lb;
  int offset_a = ly.rank - la.rank, offset_b = ly.rank - lb.rank;
  for (int i = 0; i < ly.rank; i++) {
    int64_t da = i < offset_a ? 1 : la.dim[i - offset_a], db = i < offset_b ? 1 : lb.dim[i - offset_b];
    ly.dim[i] = da == 1 ? db : da;
  }
  espq_broadcast_steps(&la, &ly, s->a_step);
  espq_broadcast_steps(&lb, &ly, s->b_step);
  s->rank = ly.rank;
  memcpy(s->dim, ly.dim, sizeof s->dim);
  s->count = espq_shape_elements(&ly);
  s->m = a->rank > 1 ? a->dim[a->rank - 2] : 1;
  s->k = a->dim[a->rank - 1];
  s->n = b->rank > 1 ? b->dim[b->rank - 1] : 1;
}

static espq_status read_scales(const espq_call *call, stacks *s, espq_error *err) {
  int a, b, y;
  espq_status status = espq_port_exponent(call, &call->in[0], &a, err);
  if (!status) status = espq_port_exponent(call, &call->in[1], &b, err);
  if (!status) status = espq_port_exponent(call, &call->out[0], &y, err);
  if (status) return status;
  espq_dtype dtype = call->in[0].dtype;
  if ((dtype != ESPQ_I8 && dtype != ESPQ_I16) || call->in[1].dtype != dtype || call->out[0].dtype != dtype)
    return espq_call_fail(call, err, ESPQ_EUNSUPPORTED,
                          "its operands have types %s and %s, expected int8 or int16 twice", espq_dtype_name(dtype),
                          espq_dtype_name(call->in[1].dtype));
  s->wide = dtype == ESPQ_I16;
  s->rounding = espq_call_rounding(call);
  s->right = (int64_t)y - a - b;
  if (call->graph->accumulator == ESPQ_ACCUMULATOR_LANES) {
    int64_t channels, saturating;
    status = espq_call_saturating(call, &channels, &saturating, err);
    if (saturating) s->lane_bits = espq_fixed_lane_bits(s->wide ? 16 : 8);
  }
  bool relu = strcmp(espq_node_string(call->node, "activation", "Linear"), "Relu") == 0;
  s->low = relu ? 0 : espq_fixed_min(s->wide ? 16 : 8);
  s->high = espq_fixed_max(s->wide ? 16 : 8);
  return status;
}

static espq_status prepare_one(const espq_env *env, espq_call *call, stacks *s, espq_prepared *out, espq_error *err) {
  espq_status status = espq_matmul_one.prepare(env, call, out, err);
  if (status) return status;
  s->one = &espq_matmul_one;
  s->one_state = out->state;
  return ESPQ_OK;
}

static espq_status prepare(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  stacks *s = espq_calloc(1, sizeof *s);
  if (!s) return espq_fail_memory(err);
  espq_status status = ESPQ_OK;
  if (call->in[1].constant && call->in[1].shape.rank == 2) {
    status = prepare_one(env, call, s, out, err);
  } else {
    read_shapes(call, s);
    status = read_scales(call, s, err);
    call->in[0].layout = call->in[1].layout = call->out[0].layout = ESPQ_PLAIN;
    out->scratch = (size_t)s->n * sizeof(int64_t);
  }
  if (status) {
    free_stacks(s);
    return status;
  }
  out->state = s;
  return ESPQ_OK;
}

/* Sums of row i of the left matrix with all columns of the right one; `add` says how a product joins. */
#define SUM_ROW(type, add)                                                             \
  do {                                                                                 \
    const type *x = (const type *)a + i * s->k, *w = b;                                \
    for (int64_t j = 0; j < s->k; j++, w += s->n)                                      \
      for (int64_t c = 0; c < s->n; c++) sums[c] = add(sums[c], (int32_t)x[j] * w[c]); \
  } while (0)
#define EXACT(sum, product)     ((sum) + (product))
#define SATURATED(sum, product) espq_fixed_accumulate(sum, product, s->lane_bits)

static void multiply(const stacks *s, const void *a, const void *b, void *y, int64_t *sums) {
  for (int64_t i = 0; i < s->m; i++) {
    memset(sums, 0, (size_t)s->n * sizeof *sums);
    if (s->lane_bits) {
      if (s->wide) SUM_ROW(int16_t, SATURATED);
      else SUM_ROW(int8_t, SATURATED);
    } else if (s->wide) SUM_ROW(int16_t, EXACT);
    else SUM_ROW(int8_t, EXACT);
    for (int64_t c = 0; c < s->n; c++) {
      int64_t v = espq_fixed_clamp(espq_fixed_shift(s->rounding, sums[c], s->right), s->low, s->high);
      if (s->wide) ((int16_t *)y)[i * s->n + c] = (int16_t)v;
      else ((int8_t *)y)[i * s->n + c] = (int8_t)v;
    }
  }
}

/* Where matrix number `index` of the result finds its operand, in matrices. */
static int64_t place(const stacks *s, const int64_t *step, int64_t index) {
  int64_t at = 0;
  for (int k = s->rank - 1; k >= 0; index /= s->dim[k--]) at += index % s->dim[k] * step[k];
  return at;
}

static espq_status run(const espq_run_args *args, espq_error *err) {
  const stacks *s = args->state;
  if (s->one) {
    espq_run_args inner = *args;
    inner.state = s->one_state;
    return s->one->run(&inner, err);
  }
  size_t size = s->wide ? 2 : 1;
  const char *a = args->in[0], *b = args->in[1];
  char *y = args->out[0];
  for (int64_t i = 0; i < s->count; i++)
    multiply(s, a + (size_t)(place(s, s->a_step, i) * s->m * s->k) * size,
             b + (size_t)(place(s, s->b_step, i) * s->k * s->n) * size, y + (size_t)(i * s->m * s->n) * size,
             args->scratch);
  return ESPQ_OK;
}

const espq_kernel espq_matmul_v3 = {prepare, run, free_stacks};
