/* The module espquant.core: every part adds its functions to one table. Nothing is global, nothing is read from the
 * environment. */
#include "lua/espq_lua.h"

/* The class of tensors comes first: others add methods to it. */
static void (*const parts[])(lua_State *) = {
    espq_lua_open_tensor, espq_lua_open_graph, espq_lua_open_registry, espq_lua_open_onnx, espq_lua_open_files,
    espq_lua_open_quant,  espq_lua_open_run,   espq_lua_open_stats,    espq_lua_open_pack, espq_lua_open_image};

int luaopen_espquant_core(lua_State *L);

int luaopen_espquant_core(lua_State *L) {
  luaL_checkversion(L);
  lua_newtable(L);
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) parts[i](L);
  return 1;
}
