/* defects.c - deliberate defects, built as a Lua module in sanitized builds only.
 * spec/sanitizer_spec.lua runs each in a child process and demands a report: proof that the asan
 * lane would see real ones.
 */
#include <lauxlib.h>
#include <limits.h>
#include <lua.h>
#include <stdlib.h>

/* Reads one byte behind a heap block of n bytes. */
static int heap_overflow(lua_State *L) {
  size_t n = (size_t)luaL_checkinteger(L, 1);
  volatile char *block = calloc(n, 1);
  lua_pushinteger(L, block ? block[n] : 0);
  free((void *)block);
  return 1;
}

/* Loses the only pointer to a block of n bytes. */
static int leak(lua_State *L) {
  size_t n = (size_t)luaL_checkinteger(L, 1);
  volatile char *block = malloc(n);
  if (block) block[0] = 1;
  block = NULL;
  return 0;
}

/* Adds n to INT_MAX. */
static int signed_overflow(lua_State *L) {
  volatile int big = INT_MAX;
  lua_pushinteger(L, big + (int)luaL_checkinteger(L, 1));
  return 1;
}

int luaopen_espquant_defects(lua_State *L);

int luaopen_espquant_defects(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"heap_overflow", heap_overflow}, {"leak", leak}, {"signed_overflow", signed_overflow}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
