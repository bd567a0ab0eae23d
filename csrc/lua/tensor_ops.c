/* Tensors: arithmetic with metamethods, reductions, transpose, concat. Operators raise where methods return nil: an
 * expression has no place for a second result. */
#include <limits.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "lua/espq_lua.h"
#include "tensor/arith.h"
#include "tensor/move.h"

/* --- arithmetic --- */

/* Numbers become float32 scalars in a tensor of their own, which replaces them on the stack. */
static void make_operand(lua_State *L, int arg) {
  if (lua_type(L, arg) != LUA_TNUMBER) return;
  espq_tensor **t = espq_lua_newtensor(L);
  espq_error err;
  if (espq_tensor_new(ESPQ_F32, 0, NULL, t, &err)) espq_lua_raise(L, &err);
  *(float *)(*t)->data = (float)lua_tonumber(L, arg);
  lua_replace(L, arg);
}

static int binary(lua_State *L, espq_arith op) {
  lua_settop(L, 2);
  make_operand(L, 1);
  make_operand(L, 2);
  espq_tensor **out = espq_lua_newtensor(L);
  const espq_tensor *a = espq_lua_checktensor(L, 1), *b = espq_lua_checktensor(L, 2);
  espq_error err;
  if (espq_arith_binary(op, a, b, out, &err)) return espq_lua_raise(L, &err);
  espq_lua_charge(L, espq_tensor_bytes(*out));
  return 1;
}

static int tensor_add(lua_State *L) { return binary(L, ESPQ_ARITH_ADD); }
static int tensor_sub(lua_State *L) { return binary(L, ESPQ_ARITH_SUB); }
static int tensor_mul(lua_State *L) { return binary(L, ESPQ_ARITH_MUL); }
static int tensor_div(lua_State *L) { return binary(L, ESPQ_ARITH_DIV); }
static int tensor_maximum(lua_State *L) { return binary(L, ESPQ_ARITH_MAX); }
static int tensor_minimum(lua_State *L) { return binary(L, ESPQ_ARITH_MIN); }

static int unary(lua_State *L, espq_arith_unary op) {
  espq_tensor **out = espq_lua_result(L, 1), *t = espq_lua_checktensor(L, 1);
  espq_error err;
  if (espq_arith_unary_op(op, t, out, &err)) return espq_lua_raise(L, &err);
  espq_lua_charge(L, espq_tensor_bytes(*out));
  return 1;
}

static int tensor_unm(lua_State *L) { return unary(L, ESPQ_ARITH_NEGATE); }
static int tensor_abs(lua_State *L) { return unary(L, ESPQ_ARITH_ABS); }
static int tensor_sqrt(lua_State *L) { return unary(L, ESPQ_ARITH_SQRT); }

/* --- reductions --- */

static int push_extreme(lua_State *L, espq_status (*find)(const espq_tensor *, espq_number *, espq_error *)) {
  espq_number x;
  espq_error err;
  if (find(espq_lua_checktensor(L, 1), &x, &err)) return espq_lua_fail(L, &err);
  espq_lua_pushnumber(L, x);
  return 1;
}

static int tensor_min(lua_State *L) { return push_extreme(L, espq_arith_min); }
static int tensor_max(lua_State *L) { return push_extreme(L, espq_arith_max); }

static int tensor_sum(lua_State *L) {
  espq_lua_pushnumber(L, espq_arith_sum(espq_lua_checktensor(L, 1)));
  return 1;
}

static int tensor_mean(lua_State *L) {
  lua_pushnumber(L, espq_arith_mean(espq_lua_checktensor(L, 1)));
  return 1;
}

static int tensor_isfinite(lua_State *L) {
  lua_pushboolean(L, espq_arith_is_finite(espq_lua_checktensor(L, 1)));
  return 1;
}

/* t:maxabs(): a number; t:maxabs(axis): a tensor of one number per index of the axis. */
static int tensor_maxabs(lua_State *L) {
  espq_tensor **out = espq_lua_result(L, 2), *t = espq_lua_checktensor(L, 1);
  espq_error err;
  if (lua_isnil(L, 2)) {
    lua_pushnumber(L, espq_arith_maxabs(t));
    return 1;
  }
  espq_status status = espq_arith_maxabs_axis(t, espq_lua_checkaxis(L, 2, t->rank), out, &err);
  return espq_lua_tensor_done(L, *out, status, &err);
}

/* t:argmax([axis = -1]): 0-based indexes along the axis, as in ONNX and numpy. */
static int tensor_argmax(lua_State *L) {
  espq_tensor **out = espq_lua_result(L, 2), *t = espq_lua_checktensor(L, 1);
  espq_error err;
  luaL_argcheck(L, t->rank > 0, 1, "a scalar has no axis");
  int axis = lua_isnil(L, 2) ? t->rank - 1 : espq_lua_checkaxis(L, 2, t->rank);
  espq_status status = espq_arith_argmax(t, axis, out, &err);
  return espq_lua_tensor_done(L, *out, status, &err);
}

/* --- shapes --- */

/* perm from the list at arg, or the reverse order; raises unless it names each axis once. */
static void check_perm(lua_State *L, int arg, int rank, int64_t *perm) {
  bool reversed = lua_isnil(L, arg);
  unsigned seen = 0;
  if (!reversed && espq_lua_checkshape(L, arg, perm) != rank)
    luaL_argerror(L, arg, lua_pushfstring(L, "a list of %d axes expected", rank));
  for (int i = 0; i < rank; i++) {
    if (reversed) perm[i] = rank - 1 - i;
    luaL_argcheck(L, perm[i] >= 0 && perm[i] < rank, arg, "an axis is outside the tensor's rank");
    seen |= 1u << perm[i];
  }
  luaL_argcheck(L, seen == (1u << rank) - 1, arg, "an axis is named twice");
}

/* t:transpose([perm]): perm 0-based, as in ONNX; without it all axes in reverse order. */
static int tensor_transpose(lua_State *L) {
  espq_tensor **out = espq_lua_result(L, 2), *t = espq_lua_checktensor(L, 1);
  int64_t perm[ESPQ_MAX_RANK], dim[ESPQ_MAX_RANK];
  espq_error err;
  check_perm(L, 2, t->rank, perm);
  for (int i = 0; i < t->rank; i++) dim[i] = t->dim[perm[i]];
  espq_status status = espq_tensor_new(t->dtype, t->rank, dim, out, &err);
  if (!status) espq_move_transpose(espq_dtype_size(t->dtype), t->rank, t->dim, perm, t->data, (*out)->data);
  return espq_lua_tensor_done(L, *out, status, &err);
}

static espq_status concat_refused(const espq_tensor *a, const espq_tensor *b, int at, int axis, espq_error *err) {
  char x[160], y[160];
  return espq_fail(err, ESPQ_EFORMAT, "cannot join %s %s and, at place %d, %s %s along axis %d",
                   espq_dtype_name(a->dtype), espq_shape_text(a->rank, a->dim, x, sizeof x), at,
                   espq_dtype_name(b->dtype), espq_shape_text(b->rank, b->dim, y, sizeof y), axis);
}

/* The shape of the result in dim. */
static espq_status concat_shape(espq_tensor *const *list, int n, int axis, int64_t *dim, espq_error *err) {
  const espq_tensor *a = list[0];
  memcpy(dim, a->dim, ESPQ_MAX_RANK * sizeof *dim);
  for (int k = 1; k < n; k++) {
    const espq_tensor *b = list[k];
    bool fits = a->dtype == b->dtype && a->rank == b->rank;
    for (int i = 0; fits && i < a->rank; i++) fits = i == axis || a->dim[i] == b->dim[i];
    if (!fits || !espq_add64(dim[axis], b->dim[axis], &dim[axis])) return concat_refused(a, b, k + 1, axis, err);
  }
  return ESPQ_OK;
}

static espq_status concat(espq_tensor *const *list, int n, int axis, const void **data, int64_t *row, espq_tensor **out,
                          espq_error *err) {
  int64_t dim[ESPQ_MAX_RANK], outer = 1;
  espq_status status = concat_shape(list, n, axis, dim, err);
  if (!status) status = espq_tensor_new(list[0]->dtype, list[0]->rank, dim, out, err);
  if (status) return status;
  for (int i = 0; i < axis; i++) outer *= dim[i];
  for (int k = 0; k < n; k++) {
    data[k] = list[k]->data;
    row[k] = outer ? list[k]->count / outer : 0;
  }
  espq_move_concat(espq_dtype_size(list[0]->dtype), outer, n, data, row, (*out)->data);
  return ESPQ_OK;
}

/* core.concat(list[, axis = 0]) */
int espq_lua_concat(lua_State *L) {
  lua_settop(L, 2);
  int n = espq_lua_checklist(L, 1, INT_MAX / 2), axis = 0;
  luaL_argcheck(L, n > 0, 1, "an empty list");
  espq_tensor **list = espq_lua_scratch(L, (size_t)n, sizeof *list);
  const void **data = espq_lua_scratch(L, (size_t)n, sizeof *data);
  int64_t *row = espq_lua_scratch(L, (size_t)n, sizeof *row);
  espq_tensor **out = espq_lua_newtensor(L);
  for (int k = 0; k < n; k++) {
    lua_rawgeti(L, 1, k + 1);
    if (!(list[k] = espq_lua_totensor(L, -1)))
      luaL_argerror(L, 1, lua_pushfstring(L, "entry %d: tensor expected, got %s", k + 1, luaL_typename(L, -1)));
    lua_pop(L, 1);
  }
  luaL_argcheck(L, list[0]->rank > 0, 1, "scalars cannot be joined");
  if (!lua_isnil(L, 2)) axis = espq_lua_checkaxis(L, 2, list[0]->rank);
  espq_error err;
  espq_status status = concat(list, n, axis, data, row, out, &err);
  return espq_lua_tensor_done(L, *out, status, &err);
}

const luaL_Reg espq_lua_tensor_operators[] = {
    {"abs", tensor_abs},   {"argmax", tensor_argmax}, {"isfinite", tensor_isfinite},
    {"max", tensor_max},   {"maxabs", tensor_maxabs}, {"maximum", tensor_maximum},
    {"mean", tensor_mean}, {"min", tensor_min},       {"minimum", tensor_minimum},
    {"sqrt", tensor_sqrt}, {"sum", tensor_sum},       {"transpose", tensor_transpose},
    {NULL, NULL}};

const luaL_Reg espq_lua_tensor_meta[] = {{"__add", tensor_add}, {"__div", tensor_div}, {"__mul", tensor_mul},
                                         {"__sub", tensor_sub}, {"__unm", tensor_unm}, {NULL, NULL}};
