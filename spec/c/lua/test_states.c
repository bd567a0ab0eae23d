/* Two Lua states in two threads, each with worker threads of its own: they share nothing, so both do what one alone does.
 * scripts/soak runs this under ThreadSanitizer, where it is the test of pool, statistics and both columns. */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

enum { STATES = 2, ROUNDS = 2 };

int luaopen_espquant_core(lua_State *L);

/* The text that work.lua returns, or NULL after printing its error; released with free. */
static char *work(lua_State *L) {
  luaL_openlibs(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, luaopen_espquant_core);
  lua_setfield(L, -2, "espquant.core");
  int failed = luaL_dostring(L, "package.path = 'lua/?.lua;lua/?/init.lua;' .. package.path");
  failed = failed || luaL_dofile(L, "spec/c/lua/work.lua");
  const char *text = lua_tostring(L, -1);
  if (failed) fprintf(stderr, "  %s\n", text ? text : "an error that is no text");
  return failed || !text ? NULL : strdup(text);
}

static void *run(void *result) {
  lua_State *L = luaL_newstate();
  if (!L) return NULL;
  *(char **)result = work(L);
  lua_close(L);
  return NULL;
}

/* Two states at once; each must do what one did alone. */
static void run_together(const char *expected) {
  pthread_t threads[STATES];
  char *results[STATES] = {NULL};
  for (int i = 0; i < STATES; i++) CHECK(pthread_create(&threads[i], NULL, run, &results[i]) == 0);
  for (int i = 0; i < STATES; i++) {
    CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(results[i] && strcmp(results[i], expected) == 0);
    free(results[i]);
  }
}

/* The first state stays open: else the others, as they close, would unload the C modules of lua-cjson, in the system's
 * loader, which ThreadSanitizer does not know. */
int main(void) {
  lua_State *L = luaL_newstate();
  if (!CHECK(L != NULL)) return check_report();
  char *alone = work(L);
  CHECK(alone && strlen(alone) > 200);
  for (int round = 0; round < ROUNDS && alone; round++) run_together(alone);
  free(alone);
  lua_close(L);
  return check_report();
}
