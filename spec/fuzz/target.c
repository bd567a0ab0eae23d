/* A libFuzzer program around the Lua module: FUZZ_TARGET names spec/fuzz/<name>.lua, which returns a function of bytes.
 *
 * What it may do: return anything, or raise one of our error objects. What is a finding: a crash, a sanitizer's report,
 * a leak, more time or memory than libFuzzer allows, and any other error: a bug of ours that a user would see as one. */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int luaopen_espquant_core(lua_State *L);
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static lua_State *L;
static int target = LUA_NOREF;

static void give_up(const char *what) {
  fprintf(stderr, "%s: %s\n", what, luaL_tolstring(L, -1, NULL));
  abort();
}

static int traceback(lua_State *state) {
  if (lua_type(state, 1) == LUA_TSTRING) luaL_traceback(state, state, lua_tostring(state, 1), 1);
  return 1;
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc, (void)argv;
  const char *root = getenv("FUZZ_ROOT"), *name = getenv("FUZZ_TARGET");
  char path[4096];
  if (!root || !name) {
    fprintf(stderr, "FUZZ_ROOT (the checkout) and FUZZ_TARGET must be set\n");
    exit(2);
  }
  L = luaL_newstate();
  luaL_openlibs(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, luaopen_espquant_core);
  lua_setfield(L, -2, "espquant.core");
  snprintf(path, sizeof path, "package.path = '%s/lua/?.lua;%s/lua/?/init.lua;%s/?.lua;' .. package.path", root, root,
           root);
  if (luaL_dostring(L, path)) give_up("package.path");
  snprintf(path, sizeof path, "%s/spec/fuzz/%s.lua", root, name);
  if (luaL_dofile(L, path)) give_up(path);
  target = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_settop(L, 0);
  return 0;
}

/* Whether the error on top is an object with one of the codes that are a user's. */
static int is_ours(void) {
  if (!lua_istable(L, -1)) return 0;
  lua_getfield(L, -1, "code");
  const char *code = lua_tostring(L, -1);
  int ours = code && code[0] != 'b'; /* "bug" */
  lua_pop(L, 1);
  return ours;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  lua_settop(L, 0);
  lua_pushcfunction(L, traceback);
  lua_rawgeti(L, LUA_REGISTRYINDEX, target);
  lua_pushlstring(L, (const char *)data, size);
  if (lua_pcall(L, 1, 0, 1) && !is_ours()) give_up("an error that is none of ours");
  lua_settop(L, 0);
  lua_gc(L, LUA_GCCOLLECT);
  return 0;
}
