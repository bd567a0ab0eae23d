/* The class espquant.graph: life, handles, lists, order and checks. Adding and replacing is in build.c. */
#include "graph/graph.h"

#include <string.h>

#include "base/alloc.h"
#include "lua/espq_lua.h"

static const char graph_name[] = "espquant.graph", hold_name[] = "espquant.hold";

/* --- life: the memory goes with the last reference, of the graph's userdata and of holds --- */

static void drop(espq_lua_graph *g) {
  if (g->refs && --*g->refs == 0) {
    espq_graph_free(g->graph);
    espq_free(g->refs);
  }
  g->graph = NULL;
  g->refs = NULL;
}

static int graph_close(lua_State *L) {
  drop(luaL_checkudata(L, 1, graph_name));
  return 0;
}

/* Handles live in a table with weak values: id + 1 -> node, -(id + 1) -> value. */
static void push_handle_table(lua_State *L) {
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
}

espq_lua_graph *espq_lua_newgraph(lua_State *L) {
  espq_lua_graph *g = lua_newuserdatauv(L, sizeof *g, 1);
  *g = (espq_lua_graph){0};
  luaL_setmetatable(L, graph_name);
  push_handle_table(L);
  lua_setiuservalue(L, -2, 1);
  return g;
}

void espq_lua_setgraph(lua_State *L, espq_lua_graph *g, espq_graph *graph) {
  g->refs = espq_alloc(sizeof *g->refs);
  if (!g->refs) {
    espq_graph_free(graph);
    espq_lua_out_of_memory(L);
  }
  *g->refs = 1;
  g->graph = graph;
  espq_lua_charge(L, espq_graph_bytes(graph));
}

espq_lua_graph *espq_lua_checkgraph(lua_State *L, int arg) {
  espq_lua_graph *g = luaL_checkudata(L, arg, graph_name);
  if (!g->graph) luaL_argerror(L, arg, "the graph is closed");
  return g;
}

static int hold_gc(lua_State *L) {
  drop(luaL_checkudata(L, 1, hold_name));
  return 0;
}

espq_graph *espq_lua_hold(lua_State *L, int arg) {
  espq_lua_graph *hold = lua_newuserdatauv(L, sizeof *hold, 0);
  *hold = (espq_lua_graph){0};
  luaL_setmetatable(L, hold_name);
  const espq_lua_graph *g = espq_lua_checkgraph(L, arg);
  ++*g->refs;
  *hold = *g;
  return hold->graph;
}

void espq_lua_drop(lua_State *L, int hold) { drop(luaL_checkudata(L, hold, hold_name)); }

/* --- handles --- */

static void push_handle(lua_State *L, int graph, espq_id id, lua_Integer key, const char *class) {
  if (id == ESPQ_NONE) {
    lua_pushnil(L);
    return;
  }
  lua_getiuservalue(L, graph, 1);
  if (lua_rawgeti(L, -1, key) == LUA_TNIL) {
    lua_pop(L, 1);
    espq_lua_handle *h = lua_newuserdatauv(L, sizeof *h, 1);
    *h = (espq_lua_handle){lua_touserdata(L, graph), id};
    lua_pushvalue(L, graph);
    lua_setiuservalue(L, -2, 1);
    luaL_setmetatable(L, class);
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, key);
  }
  lua_remove(L, -2);
}

void espq_lua_pushnode(lua_State *L, int graph, espq_id id) {
  push_handle(L, graph, id, (lua_Integer)id + 1, espq_lua_node_name);
}

void espq_lua_pushvalue(lua_State *L, int graph, espq_id id) {
  push_handle(L, graph, id, -(lua_Integer)id - 1, espq_lua_value_name);
}

void espq_lua_pushowner(lua_State *L, int handle) { lua_getiuservalue(L, handle, 1); }

void espq_lua_pushhandles(lua_State *L, int graph, void (*push)(lua_State *, int, espq_id), espq_id *const *ids,
                          const size_t *n) {
  lua_newtable(L);
  for (size_t i = 0; i < *n; i++) {
    push(L, graph, (*ids)[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

/* --- fields --- */

static int push_values(lua_State *L, bool outputs) {
  const espq_graph *g = espq_lua_hold(L, 1);
  espq_lua_pushhandles(L, 1, espq_lua_pushvalue, outputs ? &g->outputs : &g->inputs,
                       outputs ? &g->noutputs : &g->ninputs);
  espq_lua_drop(L, 2);
  return 1;
}

static int graph_inputs(lua_State *L) { return push_values(L, false); }
static int graph_outputs(lua_State *L) { return push_values(L, true); }

static int graph_name_get(lua_State *L) {
  lua_pushstring(L, espq_lua_checkgraph(L, 1)->graph->name);
  return 1;
}

static int graph_producer(lua_State *L) {
  lua_pushstring(L, espq_lua_checkgraph(L, 1)->graph->producer);
  return 1;
}

static int graph_producer_version(lua_State *L) {
  lua_pushstring(L, espq_lua_checkgraph(L, 1)->graph->producer_version);
  return 1;
}

/* What the file notes about the model: a table key -> value, made anew. */
static int graph_metadata(lua_State *L) {
  const espq_graph *g = espq_lua_checkgraph(L, 1)->graph;
  lua_newtable(L);
  for (size_t i = 0; i < g->nmetadata; i++) {
    lua_pushstring(L, g->metadata[i].value);
    lua_setfield(L, -2, g->metadata[i].key);
  }
  return 1;
}

/* graph:set_metadata(key, value): a new note, or another value for it. */
static int graph_set_metadata(lua_State *L) {
  const char *key = espq_lua_checkname(L, 2), *value = espq_lua_checkname(L, 3);
  espq_error err;
  return espq_lua_done(L, espq_graph_set_metadata(espq_lua_checkgraph(L, 1)->graph, key, value, &err), &err);
}

static int graph_opset(lua_State *L) {
  lua_pushinteger(L, espq_lua_checkgraph(L, 1)->graph->opset);
  return 1;
}

static int graph_ir_version(lua_State *L) {
  lua_pushinteger(L, espq_lua_checkgraph(L, 1)->graph->ir_version);
  return 1;
}

/* The text at index 2 as the graph's own. Names are checked before graphs: a number becomes a string on the way. */
static const char *own_text(lua_State *L) {
  const char *text = espq_lua_checkname(L, 2);
  const char *copy = espq_arena_strdup(espq_lua_checkgraph(L, 1)->graph->arena, text);
  if (!copy) espq_lua_out_of_memory(L);
  return copy;
}

static int graph_set_name(lua_State *L) {
  const char *name = own_text(L);
  espq_lua_checkgraph(L, 1)->graph->name = name;
  return 0;
}

static int graph_set_producer(lua_State *L) {
  const char *producer = own_text(L);
  espq_lua_checkgraph(L, 1)->graph->producer = producer;
  return 0;
}

static int64_t check_version(lua_State *L) {
  lua_Integer version = luaL_checkinteger(L, 2);
  luaL_argcheck(L, version > 0 && version <= INT32_MAX, 2, "a version number expected");
  return version;
}

static int graph_set_opset(lua_State *L) {
  espq_lua_graph *g = espq_lua_checkgraph(L, 1);
  g->graph->opset = check_version(L);
  g->edits++;
  return 0;
}

static int graph_set_ir_version(lua_State *L) {
  espq_lua_checkgraph(L, 1)->graph->ir_version = check_version(L);
  return 0;
}

/* --- lists and look-ups --- */

/* g:opsets(): domain -> version, "" being ONNX's own. */
static int graph_opsets(lua_State *L) {
  lua_settop(L, 1);
  const espq_graph *g = espq_lua_hold(L, 1);
  lua_newtable(L);
  lua_pushinteger(L, g->opset);
  lua_setfield(L, -2, "");
  for (size_t i = 0; i < g->nopsets; i++) {
    lua_pushinteger(L, g->opsets[i].version);
    lua_setfield(L, -2, g->opsets[i].domain);
  }
  espq_lua_drop(L, 2);
  return 1;
}

/* The step of g:nodes(), after the handle at index 2 or from the start. A removed node still knows what came after
 * it when it went, so that a loop may remove the node it stands on. */
static int nodes_step(lua_State *L) {
  lua_settop(L, 2);
  const espq_graph *g = espq_lua_checkgraph(L, 1)->graph;
  espq_id id = g->first;
  if (!lua_isnil(L, 2)) {
    const espq_lua_handle *h = espq_lua_checkhandle(L, 2, espq_lua_node_name);
    luaL_argcheck(L, h->owner == lua_touserdata(L, 1), 2, "the node is of another graph");
    id = g->nodes[h->id].next;
  }
  while (id != ESPQ_NONE && !g->nodes[id].alive) id = g->nodes[id].next;
  espq_lua_pushnode(L, 1, id);
  return 1;
}

static int graph_nodes(lua_State *L) {
  espq_lua_checkgraph(L, 1);
  lua_pushcfunction(L, nodes_step);
  lua_pushvalue(L, 1);
  return 2;
}

static int graph_node_list(lua_State *L) {
  lua_settop(L, 1);
  const espq_graph *g = espq_lua_hold(L, 1);
  lua_Integer n = 0;
  lua_newtable(L);
  for (espq_id id = g->first; id != ESPQ_NONE; id = g->nodes[id].next) {
    if (!g->nodes[id].alive) continue;
    espq_lua_pushnode(L, 1, id);
    lua_rawseti(L, -2, ++n);
  }
  espq_lua_drop(L, 2);
  return 1;
}

/* g:node(name): the first one of that name, or nil. */
static int graph_node(lua_State *L) {
  const char *name = luaL_checkstring(L, 2);
  const espq_graph *g = espq_lua_checkgraph(L, 1)->graph;
  espq_id id = g->first;
  while (id != ESPQ_NONE && strcmp(g->nodes[id].name, name) != 0) id = g->nodes[id].next;
  espq_lua_pushnode(L, 1, id);
  return 1;
}

static int graph_value(lua_State *L) {
  const char *name = luaL_checkstring(L, 2);
  espq_lua_pushvalue(L, 1, espq_graph_find_value(espq_lua_checkgraph(L, 1)->graph, name));
  return 1;
}

/* g:values(): all of them, in the order in which they came. */
static int graph_values(lua_State *L) {
  lua_settop(L, 1);
  const espq_graph *g = espq_lua_hold(L, 1);
  lua_Integer n = 0;
  lua_newtable(L);
  for (size_t i = 0; i < g->nvalues; i++) {
    if (!g->values[i].alive) continue;
    espq_lua_pushvalue(L, 1, (espq_id)i);
    lua_rawseti(L, -2, ++n);
  }
  espq_lua_drop(L, 2);
  return 1;
}

static int graph_len(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)espq_lua_checkgraph(L, 1)->graph->live_nodes);
  return 1;
}

/* --- order, checks, copies, text --- */

static int graph_sort(lua_State *L) {
  espq_lua_graph *g = espq_lua_checkgraph(L, 1);
  espq_error err;
  g->edits++;
  espq_status status = espq_graph_sort(g->graph, &err);
  return espq_lua_done(L, status, &err);
}

static int graph_verify(lua_State *L) {
  espq_error err = {0};
  espq_status status = espq_graph_verify(espq_lua_checkgraph(L, 1)->graph, &err);
  return espq_lua_done(L, status, &err);
}

static const char *const arithmetic_names[] = {[ESPQ_ARITHMETIC_NONE] = "none",
                                               [ESPQ_ARITHMETIC_V1_TENSOR] = "v1-tensor",
                                               [ESPQ_ARITHMETIC_V1_CHANNEL] = "v1-channel",
                                               [ESPQ_ARITHMETIC_V3_HALF_UP] = "v3-half-up",
                                               [ESPQ_ARITHMETIC_V3_HALF_EVEN] = "v3-half-even",
                                               NULL};

/* g.arithmetic: whose rounding and accumulators the integer kernels of the graph follow. */
static int graph_arithmetic(lua_State *L) {
  lua_pushstring(L, arithmetic_names[espq_lua_checkgraph(L, 1)->graph->arithmetic]);
  return 1;
}

static int graph_set_arithmetic(lua_State *L) {
  espq_lua_graph *g = espq_lua_checkgraph(L, 1);
  g->graph->arithmetic = (espq_arithmetic)luaL_checkoption(L, 2, NULL, arithmetic_names);
  g->edits++;
  return 0;
}

static const char *const accumulator_names[] = {
    [ESPQ_ACCUMULATOR_EXACT] = "exact", [ESPQ_ACCUMULATOR_LANES] = "lanes", NULL};

/* g.accumulator: what holds the sums of the integer kernels of Conv, Gemm and MatMul. */
static int graph_accumulator(lua_State *L) {
  lua_pushstring(L, accumulator_names[espq_lua_checkgraph(L, 1)->graph->accumulator]);
  return 1;
}

static int graph_set_accumulator(lua_State *L) {
  espq_lua_graph *g = espq_lua_checkgraph(L, 1);
  g->graph->accumulator = (espq_accumulator)luaL_checkoption(L, 2, NULL, accumulator_names);
  g->edits++;
  return 0;
}

/* g:remove_value(value): a value that nobody makes, reads or returns; false when it is in use. */
static int graph_remove_value(lua_State *L) {
  espq_lua_graph *g = espq_lua_checkgraph(L, 1);
  espq_id id = espq_lua_checkvalue_of(L, 2, g);
  g->edits++;
  lua_pushboolean(L, espq_graph_remove_value(g->graph, id, NULL) == ESPQ_OK);
  return 1;
}

static int graph_check(lua_State *L) {
  espq_error err;
  espq_status status = espq_ops_verify(espq_lua_checkgraph(L, 1)->graph, &err);
  return espq_lua_done(L, status, &err);
}

static int graph_infer_shapes(lua_State *L) {
  espq_lua_graph *g = espq_lua_checkgraph(L, 1);
  espq_error err;
  g->edits++;
  espq_status status = espq_ops_infer(g->graph, &err);
  return espq_lua_done(L, status, &err);
}

static int graph_prune(lua_State *L) {
  espq_lua_graph *g = espq_lua_checkgraph(L, 1);
  g->edits++;
  lua_pushinteger(L, (lua_Integer)espq_graph_prune(g->graph));
  return 1;
}

static int graph_clone(lua_State *L) {
  lua_settop(L, 1);
  espq_lua_graph *copy = espq_lua_newgraph(L);
  espq_graph *graph;
  espq_error err;
  if (espq_graph_clone(espq_lua_checkgraph(L, 1)->graph, &graph, &err)) return espq_lua_fail(L, &err);
  espq_lua_setgraph(L, copy, graph);
  return 1;
}

static int graph_tostring(lua_State *L) {
  const espq_lua_graph *g = luaL_checkudata(L, 1, graph_name);
  void **text = espq_lua_newblock(L);
  if (!g->graph) {
    lua_pushliteral(L, "graph (closed)");
    return 1;
  }
  *text = espq_graph_print(g->graph);
  if (!*text) return espq_lua_out_of_memory(L);
  size_t size = strlen(*text);
  if (size && ((char *)*text)[size - 1] == '\n') size--;
  lua_pushlstring(L, *text, size);
  return 1;
}

/* --- the class --- */

static const luaL_Reg methods[] = {{"check", graph_check},
                                   {"remove_value", graph_remove_value},
                                   {"clone", graph_clone},
                                   {"close", graph_close},
                                   {"infer_shapes", graph_infer_shapes},
                                   {"node", graph_node},
                                   {"node_list", graph_node_list},
                                   {"nodes", graph_nodes},
                                   {"opsets", graph_opsets},
                                   {"prune", graph_prune},
                                   {"set_metadata", graph_set_metadata},
                                   {"sort", graph_sort},
                                   {"value", graph_value},
                                   {"values", graph_values},
                                   {"verify", graph_verify},
                                   {NULL, NULL}};

static const luaL_Reg fields[] = {{"accumulator", graph_accumulator},
                                  {"arithmetic", graph_arithmetic},
                                  {"inputs", graph_inputs},
                                  {"ir_version", graph_ir_version},
                                  {"metadata", graph_metadata},
                                  {"name", graph_name_get},
                                  {"opset", graph_opset},
                                  {"outputs", graph_outputs},
                                  {"producer", graph_producer},
                                  {"producer_version", graph_producer_version},
                                  {NULL, NULL}};

static const luaL_Reg setters[] = {{"accumulator", graph_set_accumulator},
                                   {"arithmetic", graph_set_arithmetic},
                                   {"ir_version", graph_set_ir_version},
                                   {"name", graph_set_name},
                                   {"opset", graph_set_opset},
                                   {"producer", graph_set_producer},
                                   {NULL, NULL}};

static const luaL_Reg meta[] = {{"__close", graph_close},
                                {"__gc", graph_close},
                                {"__len", graph_len},
                                {"__tostring", graph_tostring},
                                {NULL, NULL}};

void espq_lua_open_graph(lua_State *L) {
  const espq_lua_class class = {
      .name = graph_name, .methods = methods, .fields = fields, .setters = setters, .meta = meta};
  espq_lua_newclass(L, &class);
  luaL_getmetatable(L, graph_name);
  lua_getfield(L, -1, "__methods");
  luaL_setfuncs(L, espq_lua_build_methods, 0);
  lua_pop(L, 2);
  luaL_newmetatable(L, hold_name);
  lua_pushcfunction(L, hold_gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
  espq_lua_open_node(L);
  espq_lua_open_value(L);
  lua_pushcfunction(L, espq_lua_graph_new);
  lua_setfield(L, -2, "graph");
}
