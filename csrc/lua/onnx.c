/* ONNX files in and out. */
#include <stddef.h>
#include <string.h>

#include "base/alloc.h"
#include "lua/espq_lua.h"
#include "onnx/read.h"
#include "onnx/write.h"

enum { MAX_DEPTH = 1000 }; /* a message takes some hundred bytes of the stack */

/* {limits = {nodes = 1000, ...}} at arg, or nil: what is not named has its usual limit. */
static espq_onnx_limits check_limits(lua_State *L, int arg) {
  static const char *const options[] = {"limits", NULL};
  static const struct {
    const char *name;
    size_t offset;
  } fields[] = {
#define FIELD(name, usual, what) {#name, offsetof(espq_onnx_limits, name)},
      ESPQ_ONNX_LIMITS(FIELD)
#undef FIELD
  };
  enum { COUNT = sizeof fields / sizeof *fields };
  const char *allowed[COUNT + 1] = {0};
  for (size_t i = 0; i < COUNT; i++) allowed[i] = fields[i].name;
  espq_onnx_limits limits = espq_onnx_usual_limits;
  if (lua_isnoneornil(L, arg)) return limits;
  espq_lua_checkfields(L, arg, options);
  if (lua_getfield(L, arg, "limits") == LUA_TNIL) {
    lua_pop(L, 1);
    return limits;
  }
  espq_lua_checkfields(L, lua_gettop(L), allowed);
  for (size_t i = 0; i < COUNT; i++) {
    if (lua_getfield(L, -1, fields[i].name) != LUA_TNIL) {
      int ok = 0;
      lua_Integer most = lua_tointegerx(L, -1, &ok);
      if (!ok || most < 1) luaL_error(L, "limits.%s: a positive integer expected", fields[i].name);
      *(uint64_t *)((char *)&limits + fields[i].offset) = (uint64_t)most;
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  if (limits.rank > ESPQ_MAX_RANK) luaL_error(L, "limits.rank: at most %d", ESPQ_MAX_RANK);
  if (limits.depth > MAX_DEPTH) luaL_error(L, "limits.depth: at most %d", MAX_DEPTH);
  return limits;
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

/* core.onnx_read(path[, {limits={nodes=, ...}}]): graph, list of notes */
static int core_onnx_read(lua_State *L) {
  lua_settop(L, 2);
  const char *path = espq_lua_checkname(L, 1);
  espq_onnx_limits limits = check_limits(L, 2);
  espq_lua_graph *g = espq_lua_newgraph(L);
  espq_graph *graph = NULL;
  espq_onnx_notes notes = {0};
  espq_error err;
  espq_status status = espq_onnx_read(path, &limits, &graph, &notes, &err);
  return push_graph(L, g, status, graph, &notes, &err);
}

/* core.onnx_decode(bytes[, dir[, {limits={nodes=, ...}}]]): dir is where external data may lie; without it none is allowed. */
static int core_onnx_decode(lua_State *L) {
  size_t size;
  lua_settop(L, 3);
  const char *bytes = luaL_checklstring(L, 1, &size), *dir = lua_isnil(L, 2) ? NULL : espq_lua_checkname(L, 2);
  espq_onnx_limits limits = check_limits(L, 3);
  espq_lua_graph *g = espq_lua_newgraph(L);
  espq_graph *graph = NULL;
  espq_onnx_notes notes = {0};
  espq_error err;
  espq_status status = espq_onnx_decode(bytes, size, dir, &limits, &graph, &notes, &err);
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

/* core.onnx_splice(graph, node, attr, {values}[, {limits=}]): the subgraph in that attribute, put before the node; a list of the values
 * of its outputs */
static int core_onnx_splice(lua_State *L) {
  lua_settop(L, 5);
  espq_onnx_limits limits = check_limits(L, 5);
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
  if (espq_onnx_splice(g->graph, node, attr, (size_t)n, inputs, &limits, &results, &nresults, &err))
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

/* core.onnx_limits(): a list of {name=, usual=, what=} */
static int core_onnx_limits(lua_State *L) {
  static const struct {
    const char *name;
    uint64_t usual;
    const char *what;
  } rows[] = {
#define ROW(name, usual, what) {#name, usual, what},
      ESPQ_ONNX_LIMITS(ROW)
#undef ROW
  };
  lua_newtable(L);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    lua_newtable(L);
    lua_pushstring(L, rows[i].name);
    lua_setfield(L, -2, "name");
    lua_pushinteger(L, (lua_Integer)rows[i].usual);
    lua_setfield(L, -2, "usual");
    lua_pushstring(L, rows[i].what);
    lua_setfield(L, -2, "what");
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

void espq_lua_open_onnx(lua_State *L) {
  static const luaL_Reg functions[] = {{"onnx_decode", core_onnx_decode},
                                       {"onnx_encode", core_onnx_encode},
                                       {"onnx_limits", core_onnx_limits},
                                       {"onnx_read", core_onnx_read},
                                       {"onnx_read_tensor", core_onnx_read_tensor},
                                       {"onnx_splice", core_onnx_splice},
                                       {"onnx_write", core_onnx_write},
                                       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
