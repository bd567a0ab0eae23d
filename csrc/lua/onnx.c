/* ONNX files in and out. */
#include <string.h>

#include "base/alloc.h"
#include "lua/espq_lua.h"
#include "onnx/read.h"
#include "onnx/write.h"

/* The limit in the table of options at arg. */
static espq_onnx_options check_options(lua_State *L, int arg) {
  static const char *const allowed[] = {"max_bytes", NULL};
  espq_onnx_options options = {0};
  if (lua_isnil(L, arg)) return options;
  espq_lua_checkfields(L, arg, allowed);
  if (lua_getfield(L, arg, "max_bytes") != LUA_TNIL) {
    int ok = 0;
    lua_Integer most = lua_tointegerx(L, -1, &ok);
    luaL_argcheck(L, ok && most > 0, arg, "max_bytes: a positive integer expected");
    options.max_bytes = (size_t)most;
  }
  lua_pop(L, 1);
  return options;
}

/* Pushes the notes as a list of lines. */
static void push_notes(lua_State *L, const espq_onnx_notes *notes) {
  lua_newtable(L);
  const char *line = notes->text;
  for (lua_Integer i = 1; *line; i++) {
    size_t size = strcspn(line, "\n");
    lua_pushlstring(L, line, size);
    lua_rawseti(L, -2, i);
    line += size + (line[size] == '\n');
  }
}

static int push_graph(lua_State *L, espq_lua_graph *g, espq_status status, espq_graph *graph,
                      const espq_onnx_notes *notes, const espq_error *err) {
  if (status) return espq_lua_fail(L, err);
  espq_lua_setgraph(L, g, graph);
  push_notes(L, notes);
  return 2;
}

/* core.onnx_read(path[, {max_bytes=}]): graph, list of notes */
static int core_onnx_read(lua_State *L) {
  lua_settop(L, 2);
  const char *path = espq_lua_checkname(L, 1);
  espq_onnx_options options = check_options(L, 2);
  espq_lua_graph *g = espq_lua_newgraph(L);
  espq_graph *graph = NULL;
  espq_onnx_notes notes = {0};
  espq_error err;
  espq_status status = espq_onnx_read(path, &options, &graph, &notes, &err);
  return push_graph(L, g, status, graph, &notes, &err);
}

/* core.onnx_decode(bytes[, dir[, {max_bytes=}]]): dir is where external data may lie; without it none is allowed. */
static int core_onnx_decode(lua_State *L) {
  size_t size;
  lua_settop(L, 3);
  const char *bytes = luaL_checklstring(L, 1, &size), *dir = lua_isnil(L, 2) ? NULL : espq_lua_checkname(L, 2);
  espq_onnx_options options = check_options(L, 3);
  espq_lua_graph *g = espq_lua_newgraph(L);
  espq_graph *graph = NULL;
  espq_onnx_notes notes = {0};
  espq_error err;
  espq_status status = espq_onnx_decode(bytes, size, dir, &options, &graph, &notes, &err);
  return push_graph(L, g, status, graph, &notes, &err);
}

/* core.onnx_write(graph, path) */
static int core_onnx_write(lua_State *L) {
  const char *path = espq_lua_checkname(L, 2);
  const espq_lua_graph *g = espq_lua_checkgraph(L, 1);
  espq_error err;
  espq_status status = espq_onnx_write(g->graph, path, &err);
  return espq_lua_done(L, status, &err);
}

/* core.onnx_encode(graph): the bytes of the model */
static int core_onnx_encode(lua_State *L) {
  lua_settop(L, 1);
  void **block = espq_lua_newblock(L);
  const espq_lua_graph *g = espq_lua_checkgraph(L, 1);
  unsigned char *bytes = NULL;
  size_t size;
  espq_error err;
  if (espq_onnx_encode(g->graph, &bytes, &size, &err)) return espq_lua_fail(L, &err);
  *block = bytes;
  lua_pushlstring(L, *block, size);
  espq_free(*block);
  *block = NULL;
  return 1;
}

/* core.onnx_read_tensor(path) */
static int core_onnx_read_tensor(lua_State *L) {
  const char *path = espq_lua_checkname(L, 1);
  espq_tensor **t = espq_lua_newtensor(L);
  espq_error err;
  return espq_onnx_read_tensor(path, t, &err) ? espq_lua_fail(L, &err) : 1;
}

/* core.onnx_splice(graph, node, attr, {values}): the subgraph in that attribute, put before the node; a list of the values
 * of its outputs */
static int core_onnx_splice(lua_State *L) {
  lua_settop(L, 4);
  espq_lua_graph *g = espq_lua_checkgraph(L, 1);
  espq_id node = espq_lua_checknode_of(L, 2, g), *results;
  const char *attr = espq_lua_checkname(L, 3);
  int n = espq_lua_checklist(L, 4, 1 << 20);
  void **block = espq_lua_newblock(L);
  espq_id *inputs = espq_lua_scratch(L, (size_t)n + 1, sizeof *inputs);
  espq_lua_checkvalues_of(L, 4, g, n, inputs);
  size_t nresults;
  espq_error err;
  g->edits++;
  if (espq_onnx_splice(g->graph, node, attr, (size_t)n, inputs, &results, &nresults, &err))
    return espq_lua_fail(L, &err);
  *block = results;
  lua_createtable(L, (int)nresults, 0);
  for (size_t i = 0; i < nresults; i++) {
    if (results[i] == ESPQ_NONE) lua_pushboolean(L, false);
    else espq_lua_pushvalue(L, 1, results[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

void espq_lua_open_onnx(lua_State *L) {
  static const luaL_Reg functions[] = {{"onnx_decode", core_onnx_decode},
                                       {"onnx_encode", core_onnx_encode},
                                       {"onnx_read", core_onnx_read},
                                       {"onnx_read_tensor", core_onnx_read_tensor},
                                       {"onnx_splice", core_onnx_splice},
                                       {"onnx_write", core_onnx_write},
                                       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
