/* Core errors as Lua results, and C memory as work for Lua's collector. */
#include "lua/espq_lua.h"

int espq_lua_fail(lua_State *L, const espq_error *err) {
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

int espq_lua_raise(lua_State *L, const espq_error *err) { return luaL_error(L, "%s", err->text); }

/* A step of n KB makes the collector do the work that allocating n KB of Lua objects would cause. It would also wake
 * a collector that the script has stopped, hence the question. */
void espq_lua_charge(lua_State *L, size_t bytes) {
  size_t kb = bytes / 1024;
  if (kb == 0 || !lua_gc(L, LUA_GCISRUNNING)) return;
  lua_gc(L, LUA_GCSTEP, (int)(kb < 1 << 20 ? kb : 1 << 20));
}
