/* The class espquant.tensor: life, fields, elements, shapes. Arithmetic is in tensor_ops.c, conversion from and to
 * Lua's tables in tensor_table.c.
 */
#include <limits.h>
#include <string.h>

#include "base/alloc.h"
#include "lua/espq_lua.h"
#include "tensor/cast.h"
#include "tensor/move.h"

const char espq_lua_tensor_name[] = "espquant.tensor";

/* --- life --- */

espq_tensor **espq_lua_newtensor(lua_State *L) {
  espq_tensor **t = lua_newuserdatauv(L, sizeof *t, 0);
  *t = NULL;
  luaL_setmetatable(L, espq_lua_tensor_name);
  return t;
}

espq_tensor **espq_lua_result(lua_State *L, int arguments) {
  lua_settop(L, arguments);
  return espq_lua_newtensor(L);
}

static int tensor_close(lua_State *L) {
  espq_tensor **t = luaL_checkudata(L, 1, espq_lua_tensor_name);
  espq_tensor_release(*t);
  *t = NULL;
  return 0;
}

espq_tensor *espq_lua_checktensor(lua_State *L, int arg) {
  espq_tensor **t = luaL_checkudata(L, arg, espq_lua_tensor_name);
  if (!*t) luaL_argerror(L, arg, "the tensor is closed");
  return *t;
}

espq_tensor *espq_lua_totensor(lua_State *L, int arg) {
  espq_tensor **t = luaL_testudata(L, arg, espq_lua_tensor_name);
  return t ? *t : NULL;
}

int espq_lua_tensor_done(lua_State *L, const espq_tensor *t, espq_status status, const espq_error *err) {
  if (status) return espq_lua_fail(L, err);
  espq_lua_charge(L, espq_tensor_bytes(t));
  return 1;
}

/* --- arguments --- */

espq_dtype espq_lua_checkdtype(lua_State *L, int arg, const char *otherwise) {
  static const char *const names[] = {
#define ESPQ_DTYPE(id, name, size, onnx) [ESPQ_##id] = name,
#include "tensor/dtype.def"
#undef ESPQ_DTYPE
      NULL};
  return (espq_dtype)luaL_checkoption(L, arg, otherwise, names);
}

int espq_lua_checkshape(lua_State *L, int arg, int64_t *dim) {
  int rank = espq_lua_checklist(L, arg, 1000);
  for (int i = 0; i < rank && i < ESPQ_MAX_RANK; i++) dim[i] = espq_lua_checkinteger_at(L, arg, i + 1);
  return rank;
}

int espq_lua_checkaxis(lua_State *L, int arg, int rank) {
  lua_Integer axis = luaL_checkinteger(L, arg);
  if (axis < -rank || axis >= rank)
    luaL_argerror(L, arg, lua_pushfstring(L, "axis %I of a tensor of rank %d", axis, rank));
  return (int)(axis < 0 ? axis + rank : axis);
}

espq_number espq_lua_checkelement(lua_State *L, int arg, espq_dtype dtype) {
  espq_number x = {.is_float = espq_dtype_is_float(dtype)};
  if (lua_isboolean(L, arg) && dtype == ESPQ_BOOL) {
    x.i = lua_toboolean(L, arg);
    return x;
  }
  luaL_checktype(L, arg, LUA_TNUMBER);
  if (x.is_float) {
    x.f = lua_tonumber(L, arg);
    return x;
  }
  int64_t low, high;
  x.i = luaL_checkinteger(L, arg);
  espq_dtype_range(dtype, &low, &high);
  if (x.i < low || x.i > high)
    luaL_argerror(L, arg, lua_pushfstring(L, "%I does not fit %s", x.i, espq_dtype_name(dtype)));
  return x;
}

void espq_lua_pushnumber(lua_State *L, espq_number x) {
  if (x.is_float) lua_pushnumber(L, x.f);
  else lua_pushinteger(L, x.i);
}

void espq_lua_pushshape(lua_State *L, int rank, const int64_t *dim) {
  lua_createtable(L, rank, 0);
  for (int i = 0; i < rank; i++) {
    lua_pushinteger(L, dim[i]);
    lua_rawseti(L, -2, i + 1);
  }
}

/* --- fields --- */

static int tensor_shape(lua_State *L) {
  const espq_tensor *t = espq_lua_checktensor(L, 1);
  int64_t dim[ESPQ_MAX_RANK];
  int rank = t->rank;
  memcpy(dim, t->dim, sizeof dim);
  espq_lua_pushshape(L, rank, dim);
  return 1;
}

static int tensor_dtype(lua_State *L) {
  lua_pushstring(L, espq_dtype_name(espq_lua_checktensor(L, 1)->dtype));
  return 1;
}

static int tensor_rank(lua_State *L) {
  lua_pushinteger(L, espq_lua_checktensor(L, 1)->rank);
  return 1;
}

static int tensor_count(lua_State *L) {
  lua_pushinteger(L, espq_lua_checktensor(L, 1)->count);
  return 1;
}

/* --- elements and rows --- */

/* `rows` rows from row `first` on, as a view. */
static espq_status view_rows(espq_tensor *t, int64_t first, int64_t rows, espq_tensor **out, espq_error *err) {
  int64_t dim[ESPQ_MAX_RANK] = {rows};
  memcpy(dim + 1, t->dim + 1, (ESPQ_MAX_RANK - 1) * sizeof *dim);
  int64_t row = t->dim[0] ? t->count / t->dim[0] : 0;
  return espq_tensor_view(t, first * row, t->rank, dim, out, err);
}

/* t[i]: a number or the view of a row; nil behind the end, so that ipairs stops. */
static int tensor_index(lua_State *L) {
  espq_tensor *t = espq_lua_checktensor(L, 1);
  lua_Integer i = luaL_checkinteger(L, 2);
  if (t->rank == 0 || i < 1 || i > t->dim[0]) return 0;
  if (t->rank == 1) {
    espq_lua_pushnumber(L, espq_tensor_get(t, i - 1));
    return 1;
  }
  espq_tensor **out = espq_lua_newtensor(L);
  espq_error err;
  t = espq_lua_checktensor(L, 1);
  int64_t row = t->count / t->dim[0];
  espq_status status = espq_tensor_view(t, (i - 1) * row, t->rank - 1, t->dim + 1, out, &err);
  return status ? espq_lua_raise(L, &err) : 1;
}

static int tensor_newindex(lua_State *L) {
  espq_tensor *t = espq_lua_checktensor(L, 1);
  lua_Integer i = luaL_checkinteger(L, 2);
  espq_number x = espq_lua_checkelement(L, 3, t->dtype);
  if (t->rank != 1) return luaL_error(L, "only elements of a tensor of rank 1 are set, this one has rank %d", t->rank);
  if (i < 1 || i > t->dim[0]) return luaL_error(L, "index %I is outside 1..%I", i, (lua_Integer)t->dim[0]);
  espq_tensor_set(t, i - 1, x);
  return 0;
}

static int tensor_len(lua_State *L) {
  const espq_tensor *t = espq_lua_checktensor(L, 1);
  if (t->rank == 0) return luaL_error(L, "a scalar has no length");
  lua_pushinteger(L, t->dim[0]);
  return 1;
}

/* t:slice(first[, last]): rows first..last, both included, as a view; last = first - 1 gives none. */
static int tensor_slice(lua_State *L) {
  espq_tensor **out = espq_lua_result(L, 3), *t = espq_lua_checktensor(L, 1);
  espq_error err;
  luaL_argcheck(L, t->rank > 0, 1, "a scalar has no rows");
  lua_Integer rows = t->dim[0], first = luaL_checkinteger(L, 2), last = luaL_optinteger(L, 3, rows);
  if (first < 1 || last > rows || last < 0 || first > last + 1)
    return luaL_error(L, "rows %I to %I of a tensor of %I rows", first, last, rows);
  espq_status status = view_rows(t, first - 1, last - first + 1, out, &err);
  return status ? espq_lua_fail(L, &err) : 1;
}

/* t:take_rows(list): a new tensor of these rows, 1-based, in this order. */
static int tensor_take_rows(lua_State *L) {
  espq_tensor **out = espq_lua_result(L, 2);
  int n = espq_lua_checklist(L, 2, INT_MAX);
  int64_t *rows = espq_lua_scratch(L, (size_t)n, sizeof *rows);
  lua_insert(L, 3);
  for (int i = 0; i < n; i++) rows[i] = espq_lua_checkinteger_at(L, 2, i + 1);
  espq_tensor *t = espq_lua_checktensor(L, 1);
  luaL_argcheck(L, t->rank > 0, 1, "a scalar has no rows");
  for (int i = 0; i < n; i++)
    if (rows[i] < 1 || rows[i] > t->dim[0])
      return luaL_error(L, "row %I of a tensor of %I rows", (lua_Integer)rows[i], (lua_Integer)t->dim[0]);
  int64_t dim[ESPQ_MAX_RANK] = {n};
  memcpy(dim + 1, t->dim + 1, (ESPQ_MAX_RANK - 1) * sizeof *dim);
  espq_error err;
  espq_status status = espq_tensor_new(t->dtype, t->rank, dim, out, &err);
  size_t bytes = !status && n ? espq_tensor_bytes(*out) / (size_t)n : 0;
  for (int i = 0; i < n && bytes; i++)
    memcpy((char *)(*out)->data + (size_t)i * bytes, (const char *)t->data + (size_t)(rows[i] - 1) * bytes, bytes);
  return espq_lua_tensor_done(L, *out, status, &err);
}

/* --- copies --- */

/* Fills in the one -1 that dim may hold. */
static espq_status solve_shape(const espq_tensor *t, int rank, int64_t *dim, espq_error *err) {
  int unknown = -1;
  int64_t known = 1;
  for (int i = 0; i < rank && i < ESPQ_MAX_RANK; i++) {
    if (dim[i] != -1) {
      if (!espq_mul64(known, dim[i], &known))
        return espq_fail(err, ESPQ_EFORMAT, "cannot reshape: dimension %d is %lld", i, (long long)dim[i]);
    } else if (unknown >= 0) {
      return espq_fail(err, ESPQ_EFORMAT, "cannot reshape: more than one dimension is -1");
    } else {
      unknown = i;
    }
  }
  if (unknown >= 0) dim[unknown] = known && t->count % known == 0 ? t->count / known : 0;
  return ESPQ_OK;
}

/* t:reshape(shape): a view; one dimension may be -1. */
static int tensor_reshape(lua_State *L) {
  espq_tensor **out = espq_lua_result(L, 2);
  int64_t dim[ESPQ_MAX_RANK], count = 0;
  int rank = espq_lua_checkshape(L, 2, dim);
  espq_tensor *t = espq_lua_checktensor(L, 1);
  espq_error err;
  espq_status status = solve_shape(t, rank, dim, &err);
  if (!status) status = espq_shape_count(rank, dim, &count, &err);
  if (!status && count != t->count) {
    char from[160], to[160];
    status = espq_fail(&err, ESPQ_EFORMAT, "cannot reshape %s to %s",
                       espq_shape_text(t->rank, t->dim, from, sizeof from), espq_shape_text(rank, dim, to, sizeof to));
  }
  if (!status) status = espq_tensor_view(t, 0, rank, dim, out, &err);
  return status ? espq_lua_fail(L, &err) : 1;
}

static int tensor_astype(lua_State *L) {
  espq_tensor **out = espq_lua_result(L, 2), *t = espq_lua_checktensor(L, 1);
  espq_dtype dtype = espq_lua_checkdtype(L, 2, NULL);
  espq_error err;
  espq_status status = espq_tensor_cast(t, dtype, out, &err);
  return espq_lua_tensor_done(L, *out, status, &err);
}

static int tensor_copy(lua_State *L) {
  espq_tensor **out = espq_lua_result(L, 1), *t = espq_lua_checktensor(L, 1);
  espq_error err;
  espq_status status = espq_tensor_copy(t, out, &err);
  return espq_lua_tensor_done(L, *out, status, &err);
}

/* A reference of the function's own keeps the bytes while Lua makes its string. */
static int tensor_tobytes(lua_State *L) {
  espq_tensor **own = espq_lua_result(L, 1), *t = espq_lua_checktensor(L, 1);
  *own = espq_tensor_retain(t);
  lua_pushlstring(L, t->data, espq_tensor_bytes(t));
  return 1;
}

static int tensor_item(lua_State *L) {
  const espq_tensor *t = espq_lua_checktensor(L, 1);
  if (t->count != 1) return luaL_error(L, "item of a tensor of %I elements", (lua_Integer)t->count);
  espq_lua_pushnumber(L, espq_tensor_get(t, 0));
  return 1;
}

static int tensor_fill(lua_State *L) {
  espq_tensor *t = espq_lua_checktensor(L, 1);
  espq_tensor_fill(t, espq_lua_checkelement(L, 2, t->dtype));
  lua_settop(L, 1);
  return 1;
}

/* t:equal(u): true; or false, and for equal types and shapes the first index that differs (in C order) and how many. */
static int tensor_equal(lua_State *L) {
  const espq_tensor *t = espq_lua_checktensor(L, 1), *u = espq_lua_checktensor(L, 2);
  int64_t first = 0, different = 0;
  bool comparable = t->dtype == u->dtype && espq_tensor_same_shape(t, u);
  if (comparable) different = espq_tensor_compare(t, u, &first);
  lua_pushboolean(L, comparable && !different);
  if (!different) return 1;
  lua_pushinteger(L, first + 1);
  lua_pushinteger(L, different);
  return 3;
}

/* t:identical(u): same type, shape and bytes. */
static int tensor_identical(lua_State *L) {
  const espq_tensor *t = espq_lua_checktensor(L, 1), *u = espq_lua_checktensor(L, 2);
  bool comparable = t->dtype == u->dtype && espq_tensor_same_shape(t, u);
  size_t bytes = comparable ? espq_tensor_bytes(t) : 0;
  lua_pushboolean(L, comparable && (!bytes || !memcmp(t->data, u->data, bytes)));
  return 1;
}

/* --- constructors --- */

/* core.tensor(shape[, dtype]): zeros. */
static int core_tensor(lua_State *L) {
  espq_tensor **out = espq_lua_result(L, 2);
  int64_t dim[ESPQ_MAX_RANK];
  int rank = espq_lua_checkshape(L, 1, dim);
  espq_dtype dtype = espq_lua_checkdtype(L, 2, "float32");
  espq_error err;
  espq_status status = espq_tensor_new(dtype, rank, dim, out, &err);
  if (!status) memset((*out)->data, 0, espq_tensor_bytes(*out));
  return espq_lua_tensor_done(L, *out, status, &err);
}

/* What core.tensor_frombytes takes; its arguments lie at these stack indexes. */
enum { ARG_DTYPE = 2, ARG_SHAPE, ARG_DATA, ARG_BYTEORDER, ARG_FORTRAN };
static const char *const bytes_options[] = {"dtype", "shape", "data", "byteorder", "fortran", NULL};

static espq_status tensor_of_bytes(espq_dtype dtype, int rank, const int64_t *dim, const char *data, size_t size,
                                   bool fortran, espq_tensor **out, espq_error *err) {
  if (!fortran || rank < 2) return espq_tensor_from_bytes(dtype, rank, dim, data, size, out, err);
  int64_t count;
  espq_status status = espq_shape_count(rank, dim, &count, err);
  if (!status && (size_t)count * espq_dtype_size(dtype) != size)
    status = espq_tensor_from_bytes(dtype, rank, dim, data, size, out, err); /* words the refusal */
  else if (!status) status = espq_tensor_new(dtype, rank, dim, out, err);
  if (!status) espq_move_from_fortran(espq_dtype_size(dtype), rank, dim, data, (*out)->data);
  return status;
}

/* core.tensor_frombytes{dtype=, shape=, data=, byteorder="<"|">", fortran=bool} */
static int core_tensor_frombytes(lua_State *L) {
  static const char *const orders[] = {"<", ">", NULL};
  lua_settop(L, 1);
  espq_lua_checkfields(L, 1, bytes_options);
  for (int i = 0; bytes_options[i]; i++) lua_getfield(L, 1, bytes_options[i]);
  espq_tensor **out = espq_lua_newtensor(L);
  int64_t dim[ESPQ_MAX_RANK];
  size_t size;
  espq_dtype dtype = espq_lua_checkdtype(L, ARG_DTYPE, "float32");
  int rank = espq_lua_checkshape(L, ARG_SHAPE, dim);
  const char *data = luaL_checklstring(L, ARG_DATA, &size);
  bool swap = luaL_checkoption(L, ARG_BYTEORDER, "<", orders) == 1;
  bool fortran = lua_toboolean(L, ARG_FORTRAN);
  espq_error err;
  espq_status status = tensor_of_bytes(dtype, rank, dim, data, size, fortran, out, &err);
  if (!status && swap) espq_move_swap_bytes(espq_dtype_size(dtype), (*out)->count, (*out)->data);
  return espq_lua_tensor_done(L, *out, status, &err);
}

/* --- the class --- */

static const luaL_Reg methods[] = {{"astype", tensor_astype},
                                   {"close", tensor_close},
                                   {"copy", tensor_copy},
                                   {"equal", tensor_equal},
                                   {"fill", tensor_fill},
                                   {"identical", tensor_identical},
                                   {"item", tensor_item},
                                   {"reshape", tensor_reshape},
                                   {"slice", tensor_slice},
                                   {"take_rows", tensor_take_rows},
                                   {"tobytes", tensor_tobytes},
                                   {"totable", espq_lua_tensor_totable},
                                   {NULL, NULL}};

static const luaL_Reg fields[] = {
    {"count", tensor_count}, {"dtype", tensor_dtype}, {"rank", tensor_rank}, {"shape", tensor_shape}, {NULL, NULL}};

static const luaL_Reg meta[] = {{"__close", tensor_close},
                                {"__gc", tensor_close},
                                {"__len", tensor_len},
                                {"__tostring", espq_lua_tensor_tostring},
                                {NULL, NULL}};

static const luaL_Reg functions[] = {{"concat", espq_lua_concat},
                                     {"tensor", core_tensor},
                                     {"tensor_from", espq_lua_tensor_from},
                                     {"tensor_frombytes", core_tensor_frombytes},
                                     {NULL, NULL}};

void espq_lua_open_tensor(lua_State *L) {
  const espq_lua_class class = {.name = espq_lua_tensor_name,
                                .methods = methods,
                                .fields = fields,
                                .meta = meta,
                                .index = tensor_index,
                                .newindex = tensor_newindex};
  espq_lua_newclass(L, &class);
  luaL_getmetatable(L, espq_lua_tensor_name);
  luaL_setfuncs(L, espq_lua_tensor_meta, 0);
  lua_getfield(L, -1, "__methods");
  luaL_setfuncs(L, espq_lua_tensor_operators, 0);
  lua_pop(L, 2);
  luaL_setfuncs(L, functions, 0);
}
