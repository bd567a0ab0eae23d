/* DepthToSpace and SpaceToDepth: a Transpose between two views of the input with six axes. */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "ops/move.h"

/* ---- shapes ---- */

static espq_status read_block(const espq_call *call, int64_t *block, espq_error *err) {
  const espq_shape *x = &call->in[0].shape;
  *block = espq_node_int(call->node, "blocksize", 0);
  if (x->rank != 4)
    return espq_call_fail(call, err, ESPQ_EFORMAT, "input '%.100s' has rank %d, expected 4", call->in[0].name, x->rank);
  if (*block < 1 || *block > INT32_MAX)
    return espq_call_fail(call, err, ESPQ_EFORMAT, "blocksize is %" PRId64 ", expected 1 or more", *block);
  return ESPQ_OK;
}

/* *d / by, where -1 stays. */
static espq_status divide(const espq_call *call, int axis, int64_t by, int64_t *d, espq_error *err) {
  if (*d >= 0 && *d % by)
    return espq_call_fail(call, err, ESPQ_EFORMAT, "axis %d has %" PRId64 " entries, expected a multiple of %" PRId64,
                          axis, *d, by);
  if (*d >= 0) *d /= by;
  return ESPQ_OK;
}

static espq_status multiply(const espq_call *call, int axis, int64_t by, int64_t *d, espq_error *err) {
  if (*d < 0 || espq_mul64(*d, by, d)) return ESPQ_OK;
  return espq_call_fail(call, err, ESPQ_ELIMIT, "axis %d would have more than 2^63 entries", axis);
}

static espq_status infer_depth_to_space(espq_call *call, espq_error *err) {
  int64_t block;
  espq_shape y = call->in[0].shape;
  const char *mode = espq_node_string(call->node, "mode", "DCR");
  espq_status status = read_block(call, &block, err);
  if (!status && strcmp(mode, "DCR") != 0 && strcmp(mode, "CRD") != 0)
    status = espq_call_fail(call, err, ESPQ_EFORMAT, "mode is '%.40s', expected DCR or CRD", mode);
  if (!status) status = divide(call, 1, block * block, &y.dim[1], err);
  for (int i = 2; i < 4 && !status; i++) status = multiply(call, i, block, &y.dim[i], err);
  return status ? status : espq_call_result(call, &y);
}

static espq_status infer_space_to_depth(espq_call *call, espq_error *err) {
  int64_t block;
  espq_shape y = call->in[0].shape;
  espq_status status = read_block(call, &block, err);
  if (!status) status = multiply(call, 1, block * block, &y.dim[1], err);
  for (int i = 2; i < 4 && !status; i++) status = divide(call, i, block, &y.dim[i], err);
  return status ? status : espq_call_result(call, &y);
}

/* ---- kernels ---- */

/* The input as an array of these six dimensions is transposed. */
static espq_status keep(espq_call *call, const int64_t *dim, const int64_t *perm, espq_prepared *out, espq_error *err) {
  espq_move s = {0};
  memcpy(s.a, dim, 6 * sizeof *dim);
  memcpy(s.b, perm, 6 * sizeof *perm);
  return espq_move_keep(call, &s, out, err);
}

static espq_status prepare_depth_to_space(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  int64_t k;
  espq_status status = read_block(call, &k, err);
  if (status) return status;
  const int64_t *x = call->in[0].shape.dim, c = x[1] / (k * k);
  bool crd = strcmp(espq_node_string(call->node, "mode", "DCR"), "CRD") == 0;
  if (crd) return keep(call, (int64_t[]){x[0], c, k, k, x[2], x[3]}, (const int64_t[]){0, 1, 4, 2, 5, 3}, out, err);
  return keep(call, (int64_t[]){x[0], k, k, c, x[2], x[3]}, (const int64_t[]){0, 3, 4, 1, 5, 2}, out, err);
}

static espq_status prepare_space_to_depth(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  int64_t k;
  espq_status status = read_block(call, &k, err);
  if (status) return status;
  const int64_t *x = call->in[0].shape.dim;
  return keep(call, (int64_t[]){x[0], x[1], x[2] / k, k, x[3] / k, k}, (const int64_t[]){0, 3, 5, 1, 2, 4}, out, err);
}

/* As ESP-DL v3 orders channels: those of one input channel lie together. */
static espq_status prepare_space_to_depth_esp(const espq_env *env, espq_call *call, espq_prepared *out,
                                              espq_error *err) {
  (void)env;
  int64_t k;
  espq_status status = read_block(call, &k, err);
  if (status) return status;
  const int64_t *x = call->in[0].shape.dim;
  return keep(call, (int64_t[]){x[0], x[1], x[2] / k, k, x[3] / k, k}, (const int64_t[]){0, 1, 3, 5, 2, 4}, out, err);
}

static espq_status run(const espq_run_args *args, espq_error *err) {
  (void)err;
  const espq_move *s = args->state;
  espq_move_transpose(s->size, 6, s->a, s->b, args->in[0], args->out[0]);
  return ESPQ_OK;
}

static const espq_kernel depth_to_space = {prepare_depth_to_space, run, NULL};
static const espq_kernel space_to_depth = {prepare_space_to_depth, run, NULL};
static const espq_kernel space_to_depth_esp = {prepare_space_to_depth_esp, run, NULL};

/* ---- rows ---- */

static const char *why_not(const espq_call *call, char *text, size_t size) {
  return espq_reason(text, size, "%s has no integer form; use Reshape, Transpose and Reshape in its place",
                     call->node->op_type);
}

static const espq_attr_spec depth_to_space_attrs[] = {
    {"blocksize", ESPQ_ATTR_INT, true, 0, NULL}, {"mode", ESPQ_ATTR_STRING, false, 0, "DCR"}, {0}};
static const espq_attr_spec space_to_depth_attrs[] = {{"blocksize", ESPQ_ATTR_INT, true, 0, NULL}, {0}};

#define ROW(row, op, in, rule, attributes, kernel, integers) \
  const espq_op espq_op_##row = {.name = op,                 \
                                 .domain = in,               \
                                 .since = 1,                 \
                                 .min_in = 1,                \
                                 .max_in = 1,                \
                                 .min_out = 1,               \
                                 .max_out = 1,               \
                                 .attrs = attributes,        \
                                 .infer = rule,              \
                                 .f32 = &kernel,             \
                                 .v3 = integers,             \
                                 .weight = -1,               \
                                 .bias = -1,                 \
                                 .why_not = why_not}

ROW(DepthToSpace, "DepthToSpace", "", infer_depth_to_space, depth_to_space_attrs, depth_to_space, NULL);
ROW(SpaceToDepth, "SpaceToDepth", "", infer_space_to_depth, space_to_depth_attrs, space_to_depth, NULL);
ROW(EspSpaceToDepth, "SpaceToDepth", "esp", infer_space_to_depth, space_to_depth_attrs, space_to_depth_esp,
    &space_to_depth_esp);
