/* Classes with methods and fields, argument checks, and blocks of C memory that Lua owns. */
#include <string.h>

#include "base/alloc.h"
#include "lua/espq_lua.h"

/* --- classes: __index and __newindex have the class's tables as upvalues --- */

enum { METHODS = 1, FIELDS, OTHERWISE, NAME };

static int no_field(lua_State *L) {
  const char *name = lua_tostring(L, lua_upvalueindex(NAME));
  return luaL_error(L, "%s has no field '%s'", name, luaL_tolstring(L, 2, NULL));
}

/* Calls upvalue OTHERWISE, if the class has one, as a plain C function. */
static int otherwise(lua_State *L) {
  lua_CFunction f = lua_tocfunction(L, lua_upvalueindex(OTHERWISE));
  return f ? f(L) : no_field(L);
}

static int class_index(lua_State *L) {
  lua_settop(L, 2);
  if (lua_type(L, 2) != LUA_TSTRING) return otherwise(L);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(METHODS)) != LUA_TNIL) return 1;
  lua_pushvalue(L, 2);
  lua_rawget(L, lua_upvalueindex(FIELDS));
  lua_CFunction get = lua_tocfunction(L, -1);
  if (!get) return no_field(L);
  lua_settop(L, 1);
  return get(L);
}

static int class_newindex(lua_State *L) {
  lua_settop(L, 3);
  if (lua_type(L, 2) != LUA_TSTRING) return otherwise(L);
  lua_pushvalue(L, 2);
  lua_rawget(L, lua_upvalueindex(FIELDS));
  lua_CFunction set = lua_tocfunction(L, -1);
  if (!set) return luaL_error(L, "field '%s' cannot be set", lua_tostring(L, 2));
  lua_settop(L, 3);
  lua_remove(L, 2);
  return set(L);
}

/* Pushes a table of the functions in `list` (NULL: empty). */
static void push_functions(lua_State *L, const luaL_Reg *list) {
  lua_newtable(L);
  if (list) luaL_setfuncs(L, list, 0);
}

/* mt.event = f with the tables on top of the stack as upvalues. */
static void set_access(lua_State *L, int mt, const char *event, lua_CFunction f, lua_CFunction other,
                       const char *name) {
  if (other) lua_pushcfunction(L, other);
  else lua_pushnil(L);
  lua_pushstring(L, name);
  lua_pushcclosure(L, f, NAME);
  lua_setfield(L, mt, event);
}

void espq_lua_newclass(lua_State *L, const espq_lua_class *class) {
  luaL_newmetatable(L, class->name);
  int mt = lua_gettop(L);
  luaL_setfuncs(L, class->meta, 0);
  push_functions(L, class->methods);
  push_functions(L, class->fields);
  lua_pushvalue(L, -2);
  lua_setfield(L, mt, "__methods");
  lua_pushvalue(L, -1);
  lua_setfield(L, mt, "__fields");
  set_access(L, mt, "__index", class_index, class->index, class->name);
  lua_newtable(L);
  push_functions(L, class->setters);
  set_access(L, mt, "__newindex", class_newindex, class->newindex, class->name);
  lua_settop(L, mt - 1);
}

/* --- arguments --- */

const char *espq_lua_checkname(lua_State *L, int arg) {
  size_t size;
  const char *name = luaL_checklstring(L, arg, &size);
  luaL_argcheck(L, strlen(name) == size, arg, "a name without zero bytes expected");
  return name;
}

static bool is_allowed(const char *name, const char *const *allowed) {
  for (; *allowed; allowed++)
    if (strcmp(*allowed, name) == 0) return true;
  return false;
}

void espq_lua_checkfields(lua_State *L, int arg, const char *const *allowed) {
  luaL_checktype(L, arg, LUA_TTABLE);
  for (lua_pushnil(L); lua_next(L, arg); lua_pop(L, 1))
    if (lua_type(L, -2) != LUA_TSTRING || !is_allowed(lua_tostring(L, -2), allowed))
      luaL_argerror(L, arg, lua_pushfstring(L, "unknown option '%s'", luaL_tolstring(L, -2, NULL)));
}

int espq_lua_checklist(lua_State *L, int arg, int max) {
  luaL_checktype(L, arg, LUA_TTABLE);
  lua_Unsigned n = lua_rawlen(L, arg);
  if (n > (lua_Unsigned)max) luaL_argerror(L, arg, lua_pushfstring(L, "a list of at most %d entries expected", max));
  return (int)n;
}

int64_t espq_lua_checkinteger_at(lua_State *L, int arg, int i) {
  int is_integer = 0;
  lua_rawgeti(L, arg, i);
  int64_t x = lua_type(L, -1) == LUA_TNUMBER ? lua_tointegerx(L, -1, &is_integer) : 0;
  if (!is_integer)
    luaL_argerror(L, arg, lua_pushfstring(L, "entry %d: integer expected, got %s", i, luaL_tolstring(L, -1, NULL)));
  lua_pop(L, 1);
  return x;
}

/* --- blocks --- */

static const char block_name[] = "espquant.block";

static int block_gc(lua_State *L) {
  void **block = luaL_checkudata(L, 1, block_name);
  espq_free(*block);
  *block = NULL;
  return 0;
}

void **espq_lua_newblock(lua_State *L) {
  void **block = lua_newuserdatauv(L, sizeof *block, 0);
  *block = NULL;
  if (luaL_newmetatable(L, block_name)) {
    lua_pushcfunction(L, block_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return block;
}

void *espq_lua_scratch(lua_State *L, size_t count, size_t size) {
  void **block = espq_lua_newblock(L);
  *block = espq_calloc(count, size);
  if (!*block) espq_lua_out_of_memory(L);
  return *block;
}
