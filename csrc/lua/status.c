/* Core errors as Lua results, and C memory as work for Lua's collector. */
#include "lua/espq_lua.h"

/* Raises errors.new("memory", text), or the text where espquant.errors is not loaded. */
static int raise_memory(lua_State *L, const char *text) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, "espquant.errors") == LUA_TTABLE) {
    lua_getfield(L, -1, "new");
    lua_pushliteral(L, "memory");
    lua_pushstring(L, text);
    lua_call(L, 2, 1);
  } else {
    lua_pushstring(L, text);
  }
  return lua_error(L);
}

int espq_lua_out_of_memory(lua_State *L) { return raise_memory(L, "not enough memory"); }

int espq_lua_fail(lua_State *L, const espq_error *err) {
  if (err->status == ESPQ_EMEMORY) return raise_memory(L, err->text);
  lua_pushnil(L);
  lua_pushstring(L, err->text);
  lua_pushstring(L, espq_status_name(err->status));
  return 3;
}

int espq_lua_done(lua_State *L, espq_status status, const espq_error *err) {
  if (status) return espq_lua_fail(L, err);
  lua_pushboolean(L, 1);
  return 1;
}

int espq_lua_raise(lua_State *L, const espq_error *err) {
  return err->status == ESPQ_EMEMORY ? raise_memory(L, err->text) : luaL_error(L, "%s", err->text);
}

/* A step of n KB makes the collector do the work that allocating n KB of Lua objects would cause. It would also wake
 * a collector that the script has stopped, hence the question. */
void espq_lua_charge(lua_State *L, size_t bytes) {
  size_t kb = bytes / 1024;
  if (kb == 0 || !lua_gc(L, LUA_GCISRUNNING)) return;
  lua_gc(L, LUA_GCSTEP, (int)(kb < 1 << 20 ? kb : 1 << 20));
}
