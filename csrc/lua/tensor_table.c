/* Tensors from and to Lua's tables, and as text. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "lua/espq_lua.h"
#include "tensor/cast.h"

/* --- from tables --- */

/* A nested list on its way into a tensor. */
typedef struct filling {
  espq_tensor *tensor;
  int rank; /* of the list; the tensor may have another shape */
  int64_t dim[ESPQ_MAX_RANK], at[ESPQ_MAX_RANK], done;
} filling;

/* The shape that the first entries have. Lists within lists beyond ESPQ_MAX_RANK (or in a circle) raise. */
static void measure(lua_State *L, int arg, filling *f) {
  int top = lua_gettop(L);
  lua_pushvalue(L, arg);
  while (lua_istable(L, -1)) {
    if (f->rank == ESPQ_MAX_RANK)
      luaL_argerror(L, arg, lua_pushfstring(L, "lists nested more than %d deep", ESPQ_MAX_RANK));
    f->dim[f->rank++] = (int64_t)lua_rawlen(L, -1);
    lua_rawgeti(L, -1, 1);
  }
  lua_settop(L, top);
}

/* Raises with the place in the list, as "[2][3]". */
static void refuse_entry(lua_State *L, const filling *f, int depth, const char *what) {
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (int i = 0; i < depth; i++) {
    char text[32];
    snprintf(text, sizeof text, "[%lld]", (long long)f->at[i]);
    luaL_addstring(&b, text);
  }
  luaL_addstring(&b, ": ");
  luaL_addstring(&b, what);
  luaL_pushresult(&b);
  luaL_error(L, "list entry %s", lua_tostring(L, -1));
}

static espq_number check_entry(lua_State *L, const filling *f) {
  espq_dtype dtype = f->tensor->dtype;
  espq_number x = {.is_float = espq_dtype_is_float(dtype)};
  int type = lua_type(L, -1), ok = 1;
  int64_t low, high;
  if (type == LUA_TBOOLEAN && dtype == ESPQ_BOOL) {
    x.i = lua_toboolean(L, -1);
    return x;
  }
  if (type != LUA_TNUMBER) {
    refuse_entry(L, f, f->rank, lua_pushfstring(L, "number expected, got %s", lua_typename(L, type)));
  } else if (x.is_float) {
    x.f = lua_tonumber(L, -1);
  } else {
    espq_dtype_range(dtype, &low, &high);
    x.i = lua_tointegerx(L, -1, &ok);
    if (!ok || x.i < low || x.i > high)
      refuse_entry(L, f, f->rank,
                   lua_pushfstring(L, "%s does not fit %s", luaL_tolstring(L, -1, NULL), espq_dtype_name(dtype)));
  }
  return x;
}

/* The list (or number) on top of the stack, `depth` lists deep. */
static void fill(lua_State *L, filling *f, int depth) {
  if (depth == f->rank) {
    espq_tensor_set(f->tensor, f->done++, check_entry(L, f));
    return;
  }
  if (!lua_istable(L, -1)) refuse_entry(L, f, depth, lua_pushfstring(L, "list expected, got %s", luaL_typename(L, -1)));
  if ((int64_t)lua_rawlen(L, -1) != f->dim[depth])
    refuse_entry(L, f, depth,
                 lua_pushfstring(L, "%I entries, expected %I as in the first list", (lua_Integer)lua_rawlen(L, -1),
                                 (lua_Integer)f->dim[depth]));
  for (int64_t i = 1; i <= f->dim[depth]; i++) {
    f->at[depth] = i;
    lua_rawgeti(L, -1, i);
    fill(L, f, depth + 1);
    lua_pop(L, 1);
  }
}

static espq_status check_count(const filling *f, int rank, const int64_t *dim, espq_error *err) {
  int64_t listed = 0, count = 0;
  espq_status status = espq_shape_count(f->rank, f->dim, &listed, err);
  if (!status) status = espq_shape_count(rank, dim, &count, err);
  if (status || listed == count) return status;
  char text[160];
  return espq_fail(err, ESPQ_EFORMAT, "a list of %lld numbers does not fill the shape %s", (long long)listed,
                   espq_shape_text(rank, dim, text, sizeof text));
}

/* core.tensor_from(number | list | nested lists[, dtype[, shape]]) */
int espq_lua_tensor_from(lua_State *L) {
  espq_tensor **out = espq_lua_result(L, 3);
  filling f = {0};
  int64_t dim[ESPQ_MAX_RANK];
  espq_error err;
  if (lua_type(L, 1) != LUA_TNUMBER && lua_type(L, 1) != LUA_TBOOLEAN) luaL_checktype(L, 1, LUA_TTABLE);
  espq_dtype dtype = espq_lua_checkdtype(L, 2, "float32");
  measure(L, 1, &f);
  int rank = f.rank;
  memcpy(dim, f.dim, sizeof dim);
  if (!lua_isnil(L, 3)) rank = espq_lua_checkshape(L, 3, dim);
  espq_status status = check_count(&f, rank, dim, &err);
  if (!status) status = espq_tensor_new(dtype, rank, dim, out, &err);
  if (status) return espq_lua_fail(L, &err);
  /* Nothing that fill calls runs code of the script, but its errors unwind: out already owns the tensor. */
  f.tensor = *out;
  lua_pushvalue(L, 1);
  fill(L, &f, 0);
  lua_pop(L, 1);
  return espq_lua_tensor_done(L, *out, ESPQ_OK, &err);
}

/* --- to tables --- */

static int64_t push_rows(lua_State *L, const espq_tensor *t, int axis, int64_t from) {
  if (axis == t->rank) {
    espq_lua_pushnumber(L, espq_tensor_get(t, from));
    return from + 1;
  }
  lua_createtable(L, t->dim[axis] < 1 << 20 ? (int)t->dim[axis] : 0, 0);
  for (int64_t i = 1; i <= t->dim[axis]; i++) {
    from = push_rows(L, t, axis + 1, from);
    lua_rawseti(L, -2, i);
  }
  return from;
}

/* t:totable(): nested lists of numbers; a number for a scalar. */
int espq_lua_tensor_totable(lua_State *L) {
  espq_tensor **own = espq_lua_result(L, 1), *t = espq_lua_checktensor(L, 1);
  *own = espq_tensor_retain(t);
  push_rows(L, t, 0, 0);
  return 1;
}

/* --- as text --- */

/* How t is shown: `edge` entries at both ends of every axis that is longer than twice that; columns of one width. */
typedef struct view {
  const espq_tensor *t;
  espq_text text;
  int64_t edge;
  int width;
} view;

static void format_number(const espq_tensor *t, int64_t at, char *text, size_t size) {
  espq_number x = espq_tensor_get(t, at);
  if (!x.is_float) snprintf(text, size, "%lld", (long long)x.i);
  else if (isnan(x.f)) snprintf(text, size, "nan");
  else snprintf(text, size, "%.6g", x.f);
}

/* The entry after entry i of an axis that is shown; *gap tells whether some are left out between. */
static int64_t next_shown(const view *v, int64_t i, int64_t n, bool *gap) {
  *gap = n > 2 * v->edge && i == v->edge - 1;
  return *gap ? n - v->edge : i + 1;
}

static void find_width(view *v, int axis, int64_t from, int64_t count) {
  const espq_tensor *t = v->t;
  char text[40];
  bool gap;
  if (axis == t->rank) {
    format_number(t, from, text, sizeof text);
    if ((int)strlen(text) > v->width) v->width = (int)strlen(text);
    return;
  }
  int64_t n = t->dim[axis];
  for (int64_t i = 0; i < n; i = next_shown(v, i, n, &gap)) find_width(v, axis + 1, from + i * (count / n), count / n);
}

/* What stands between two entries of an axis: a comma, or the end of a line and the brackets' indentation. */
static void add_separator(view *v, int axis, bool gap) {
  bool last = axis == v->t->rank - 1;
  if (last) espq_text_add(&v->text, gap ? ", ..., " : ", ");
  else espq_text_add(&v->text, gap ? ",\n%*s...,\n%*s" : ",\n%*s", axis + 1, "", axis + 1, "");
}

static void add_rows(view *v, int axis, int64_t from, int64_t count) {
  const espq_tensor *t = v->t;
  char text[40];
  if (axis == t->rank) {
    format_number(t, from, text, sizeof text);
    espq_text_add(&v->text, "%*s", v->width, text);
    return;
  }
  int64_t n = t->dim[axis];
  bool gap = false;
  espq_text_add(&v->text, "[");
  for (int64_t i = 0; i < n;) {
    add_rows(v, axis + 1, from + i * (count / n), count / n);
    i = next_shown(v, i, n, &gap);
    if (i < n) add_separator(v, axis, gap);
  }
  espq_text_add(&v->text, "]");
}

static char *tensor_text(const espq_tensor *t) {
  char shape[160];
  view v = {.t = t, .edge = t->count <= 64 ? INT32_MAX : t->rank <= 2 ? 3 : t->rank <= 4 ? 2 : 1};
  espq_text_add(&v.text, "%s %s", espq_dtype_name(t->dtype), espq_shape_text(t->rank, t->dim, shape, sizeof shape));
  if (t->count) {
    espq_text_add(&v.text, t->rank > 1 ? "\n" : " ");
    find_width(&v, 0, 0, t->count);
    if (t->rank <= 1) v.width = 0;
    add_rows(&v, 0, 0, t->count);
  } else {
    espq_text_add(&v.text, " []");
  }
  return espq_text_take(&v.text);
}

int espq_lua_tensor_tostring(lua_State *L) {
  luaL_checkudata(L, 1, espq_lua_tensor_name);
  void **block = espq_lua_newblock(L);
  const espq_tensor *t = espq_lua_totensor(L, 1);
  if (!t) {
    lua_pushliteral(L, "tensor (closed)");
    return 1;
  }
  *block = tensor_text(t);
  if (!*block) return espq_lua_out_of_memory(L);
  lua_pushstring(L, *block);
  return 1;
}
