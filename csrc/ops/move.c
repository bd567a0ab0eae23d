/* Transpose, Expand and Tile: elements of any type go elsewhere; and what Slice and Pad share with them (move.h). */
#include "ops/move.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"

espq_status espq_move_keep(espq_call *call, const espq_move *given, espq_prepared *out, espq_error *err) {
  const espq_shape *x = &call->in[0].shape, *y = &call->out[0].shape;
  espq_move *s = espq_alloc(sizeof *s);
  if (!s) return espq_fail_memory(err);
  *s = *given;
  s->size = espq_dtype_size(call->out[0].dtype);
  s->rank = x->rank;
  s->out_rank = y->rank;
  memcpy(s->dim, x->dim, sizeof s->dim);
  memcpy(s->out_dim, y->dim, sizeof s->out_dim);
  call->in[0].layout = call->out[0].layout = ESPQ_PLAIN;
  out->state = s;
  return ESPQ_OK;
}

espq_status espq_call_result_unknown(espq_call *call, int rank) {
  espq_shape shape = {.rank = rank};
  for (int i = 0; i < rank; i++) shape.dim[i] = -1;
  return espq_call_result(call, &shape);
}

bool espq_port_computed(const espq_call *call, int input) {
  return espq_port_has(call, input) && !call->in[input].constant;
}

espq_status espq_call_axes(const espq_call *call, int input, const char *attr, int n, int *axis, espq_error *err) {
  int64_t axes[ESPQ_MAX_RANK];
  bool seen[ESPQ_MAX_RANK] = {0};
  int count, rank = call->in[0].shape.rank;
  bool given = espq_port_has(call, input) || (attr && espq_node_attr(call->node, attr));
  espq_status status = espq_port_has(call, input) || !attr
                           ? espq_port_ints(call, input, axes, ESPQ_MAX_RANK, &count, err)
                           : espq_call_ints(call, attr, axes, ESPQ_MAX_RANK, &count, err);
  if (status) return status;
  for (; !given && count < n && count < rank; count++) axes[count] = count;
  if (count != n)
    return espq_call_fail(call, err, ESPQ_EFORMAT, "numbers for %d axes, expected %d of an input of rank %d", n, count,
                          rank);
  for (int i = 0; i < n && !status; i++) {
    status = espq_call_axis(call, axes[i], rank, &axis[i], err);
    if (!status && seen[axis[i]]) status = espq_call_fail(call, err, ESPQ_EFORMAT, "axis %d is named twice", axis[i]);
    if (!status) seen[axis[i]] = true;
  }
  return status;
}

/* ---- Transpose ---- */

static espq_status read_perm(const espq_call *call, int64_t *perm, espq_error *err) {
  int n, rank = call->in[0].shape.rank;
  bool seen[ESPQ_MAX_RANK] = {0};
  espq_status status = espq_call_ints(call, "perm", perm, ESPQ_MAX_RANK, &n, err);
  if (status) return status;
  if (!espq_node_attr(call->node, "perm"))
    for (n = 0; n < rank; n++) perm[n] = rank - 1 - n;
  bool good = n == rank;
  for (int i = 0; i < n && good; i++) {
    good = perm[i] >= 0 && perm[i] < rank && !seen[perm[i]];
    if (good) seen[perm[i]] = true;
  }
  if (good) return ESPQ_OK;
  return espq_call_fail(call, err, ESPQ_EFORMAT, "perm is no order of the %d axes of '%.100s'", rank, call->in[0].name);
}

static espq_status infer_transpose(espq_call *call, espq_error *err) {
  int64_t perm[ESPQ_MAX_RANK];
  espq_shape shape = call->in[0].shape;
  espq_status status = read_perm(call, perm, err);
  if (status) return status;
  for (int i = 0; i < shape.rank; i++) shape.dim[i] = call->in[0].shape.dim[perm[i]];
  return espq_call_result(call, &shape);
}

static espq_status prepare_transpose(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  espq_move s = {0};
  espq_status status = read_perm(call, s.a, err);
  return status ? status : espq_move_keep(call, &s, out, err);
}

static espq_status run_transpose(const espq_run_args *args, espq_error *err) {
  (void)err;
  const espq_move *s = args->state;
  espq_move_transpose(s->size, s->rank, s->dim, s->a, args->in[0], args->out[0]);
  return ESPQ_OK;
}

ESPQ_MOVE_KERNELS(transpose);

static bool transpose_mixes(const espq_call *call) {
  int64_t perm[ESPQ_MAX_RANK];
  return read_perm(call, perm, NULL) || (call->in[0].shape.rank > 0 && perm[0] != 0);
}

/* ---- Expand ---- */

static espq_status infer_expand(espq_call *call, espq_error *err) {
  espq_shape want = {0};
  if (espq_port_computed(call, 1)) {
    call->out[0].dtype = call->in[0].dtype; /* not even the rank is known */
    return ESPQ_OK;
  }
  espq_status status = espq_port_ints(call, 1, want.dim, ESPQ_MAX_RANK, &want.rank, err);
  for (int i = 0; i < want.rank && !status; i++)
    if (want.dim[i] < 0)
      status = espq_call_fail(call, err, ESPQ_EFORMAT, "entry %d of the shape is %" PRId64 ", expected 0 or more", i,
                              want.dim[i]);
  if (!status) status = espq_broadcast(call, &call->in[0].shape, &want, &want, err);
  return status ? status : espq_call_result(call, &want);
}

static espq_status prepare_expand(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  return espq_move_keep(call, &(espq_move){0}, out, err);
}

static espq_status run_expand(const espq_run_args *args, espq_error *err) {
  (void)err;
  const espq_move *s = args->state;
  espq_move_expand(s->size, s->rank, s->dim, s->out_rank, s->out_dim, args->in[0], args->out[0]);
  return ESPQ_OK;
}

ESPQ_MOVE_KERNELS(expand);

/* ---- Tile: as often as `repeats` says along each axis, which is a padding that begins again ---- */

/* Entries that the copies add to (or, when there are none, take from) every axis. */
static espq_status read_repeats(const espq_call *call, int64_t *more, espq_error *err) {
  const espq_shape *x = &call->in[0].shape;
  int n;
  espq_status status = espq_port_ints(call, 1, more, ESPQ_MAX_RANK, &n, err);
  if (!status && n != x->rank)
    status = espq_call_fail(call, err, ESPQ_EFORMAT, "%d repeats, expected %d, one for each axis", n, x->rank);
  for (int i = 0; i < n && !status; i++) {
    if (more[i] < 0)
      status = espq_call_fail(call, err, ESPQ_EFORMAT, "repeat %d is %" PRId64 ", expected 0 or more", i, more[i]);
    else if (!espq_mul64(x->dim[i] < 0 ? 1 : x->dim[i], more[i], &more[i]))
      status = espq_call_fail(call, err, ESPQ_ELIMIT, "axis %d would have more than 2^63 entries", i);
    else more[i] -= x->dim[i] < 0 ? 1 : x->dim[i];
  }
  return status;
}

static espq_status infer_tile(espq_call *call, espq_error *err) {
  int64_t more[ESPQ_MAX_RANK];
  espq_shape y = call->in[0].shape;
  espq_status status = espq_port_type(call, 1, ESPQ_TYPES(ESPQ_I64), err);
  if (!status && espq_port_computed(call, 1)) return espq_call_result_unknown(call, y.rank);
  if (!status) status = read_repeats(call, more, err);
  for (int i = 0; i < y.rank && !status; i++) {
    if (y.dim[i] >= 0) y.dim[i] += more[i];
    else y.dim[i] = more[i] < 0 ? 0 : -1;
  }
  return status ? status : espq_call_result(call, &y);
}

static espq_status prepare_tile(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  espq_move s = {.mode = ESPQ_PAD_WRAP};
  espq_status status = read_repeats(call, s.b, err);
  return status ? status : espq_move_keep(call, &s, out, err);
}

static espq_status run_tile(const espq_run_args *args, espq_error *err) {
  (void)err;
  const espq_move *s = args->state;
  espq_move_pad(s->size, s->rank, s->dim, s->a, s->b, s->mode, s->value, args->in[0], args->out[0]);
  return ESPQ_OK;
}

static const espq_kernel tile_f32 = {prepare_tile, run_tile, NULL};

static bool tile_mixes(const espq_call *call) {
  int64_t more[ESPQ_MAX_RANK];
  return read_repeats(call, more, NULL) || (call->in[0].shape.rank > 0 && more[0] != 0);
}

static const char *tile_why_not(const espq_call *call, char *text, size_t size) {
  (void)call;
  return espq_reason(text, size, "Tile has no integer form; use a Concat of the copies, or an Expand");
}

/* ---- rows ---- */

static const espq_attr_spec transpose_attrs[] = {{"perm", ESPQ_ATTR_INTS, false, 0, ""}, {0}};

const espq_op espq_op_Transpose = {.name = "Transpose",
                                   .domain = "",
                                   .since = 1,
                                   .min_in = 1,
                                   .max_in = 1,
                                   .min_out = 1,
                                   .max_out = 1,
                                   .attrs = transpose_attrs,
                                   .infer = infer_transpose,
                                   .f32 = &transpose_f32,
                                   .q = &transpose_q,
                                   .v1 = ESPQ_MOVE_V1_LIFTS,
                                   .weight = -1,
                                   .bias = -1,
                                   .mixes_batch = transpose_mixes};

const espq_op espq_op_Expand = {.name = "Expand",
                                .domain = "",
                                .since = 8,
                                .min_in = 2,
                                .max_in = 2,
                                .min_out = 1,
                                .max_out = 1,
                                .infer = infer_expand,
                                .f32 = &expand_f32,
                                .q = &expand_q,
                                .v1 = ESPQ_MOVE_V1_OURS,
                                .weight = -1,
                                .bias = -1,
                                .why_not = espq_computed_why_not};

const espq_op espq_op_Tile = {.name = "Tile",
                              .domain = "",
                              .since = 6,
                              .min_in = 2,
                              .max_in = 2,
                              .min_out = 1,
                              .max_out = 1,
                              .infer = infer_tile,
                              .f32 = &tile_f32,
                              .weight = -1,
                              .bias = -1,
                              .mixes_batch = tile_mixes,
                              .why_not = tile_why_not};
