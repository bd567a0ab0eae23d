/* The class espquant.graph, continued: making graphs, adding inputs, constants, outputs and nodes, replacing. */
#include <string.h>

#include "lua/espq_lua.h"

enum { MOST = 1 << 16 }; /* inputs or outputs of one node */

/* --- shapes with names --- */

static void check_dim(lua_State *L, int arg, int i, espq_lua_shape *s) {
  int is_integer = 0;
  lua_Integer n = -1;
  switch (lua_rawgeti(L, arg, i + 1)) {
    case LUA_TSTRING: s->symbol[i] = espq_lua_checkname(L, -1); break;
    case LUA_TNUMBER:
      n = lua_tointegerx(L, -1, &is_integer);
      luaL_argcheck(L, is_integer && n >= 0, arg, "dimensions are integers, 0 or more, names, or false");
      break;
    default:
      luaL_argcheck(L, lua_isboolean(L, -1) && !lua_toboolean(L, -1), arg,
                    "dimensions are integers, 0 or more, names, or false");
  }
  s->shape.dim[i] = n;
}

void espq_lua_checkvalue_shape(lua_State *L, int arg, espq_lua_shape *shape) {
  *shape = (espq_lua_shape){.shape.rank = -1};
  if (lua_isnoneornil(L, arg)) return;
  int rank = espq_lua_checklist(L, arg, ESPQ_MAX_RANK);
  luaL_checkstack(L, ESPQ_MAX_RANK, NULL);
  for (int i = 0; i < rank; i++) check_dim(L, arg, i, shape);
  shape->shape.rank = rank;
}

espq_status espq_lua_set_value_shape(espq_graph *g, espq_id value, const espq_lua_shape *shape, espq_error *err) {
  const char *own[ESPQ_MAX_RANK] = {0};
  for (int i = 0; i < ESPQ_MAX_RANK; i++)
    if (shape->symbol[i] && !(own[i] = espq_arena_strdup(g->arena, shape->symbol[i]))) return espq_fail_memory(err);
  g->values[value].shape = shape->shape;
  memcpy(g->values[value].symbol, own, sizeof own);
  return ESPQ_OK;
}

/* --- inputs, constants, outputs --- */

static espq_status add_input(espq_graph *g, const char *name, espq_dtype dtype, const espq_lua_shape *shape,
                             espq_id *id, espq_error *err) {
  espq_status status = espq_graph_add_value(g, name, id, err);
  if (status) return status;
  status = espq_lua_set_value_shape(g, *id, shape, err);
  if (!status) status = espq_graph_add_input(g, *id, err);
  if (status) espq_graph_remove_value(g, *id, NULL);
  else g->values[*id].dtype = dtype;
  return status;
}

/* g:add_input(name[, dtype[, shape]]) */
static int graph_add_input(lua_State *L) {
  lua_settop(L, 4);
  espq_lua_shape shape;
  espq_id id;
  espq_error err;
  espq_dtype dtype = espq_lua_checkdtype(L, 3, "float32");
  espq_lua_checkvalue_shape(L, 4, &shape);
  const char *name = espq_lua_checkname(L, 2);
  espq_lua_graph *g = espq_lua_checkgraph(L, 1);
  if (add_input(g->graph, name, dtype, &shape, &id, &err)) return espq_lua_fail(L, &err);
  g->edits++;
  espq_lua_pushvalue(L, 1, id);
  return 1;
}

/* g:add_constant(name | nil, tensor) */
static int graph_add_constant(lua_State *L) {
  const char *name = lua_isnil(L, 2) ? NULL : espq_lua_checkname(L, 2);
  espq_lua_graph *g = espq_lua_checkgraph(L, 1);
  espq_tensor *t = espq_lua_checktensor(L, 3);
  espq_id id;
  espq_error err;
  if (espq_graph_add_constant(g->graph, name, t, &id, &err)) return espq_lua_fail(L, &err);
  g->edits++;
  espq_lua_pushvalue(L, 1, id);
  return 1;
}

/* g:add_output(value[, index]): one more output, or another one at this place. */
static int graph_add_output(lua_State *L) {
  espq_lua_graph *g = espq_lua_checkgraph(L, 1);
  espq_id id = espq_lua_checkvalue_of(L, 2, g);
  espq_error err;
  espq_status status;
  if (lua_isnoneornil(L, 3)) {
    status = espq_graph_add_output(g->graph, id, &err);
  } else {
    lua_Integer index = luaL_checkinteger(L, 3);
    luaL_argcheck(L, index >= 1 && (size_t)index <= g->graph->noutputs, 3, "no output of this number");
    status = espq_graph_set_output(g->graph, (size_t)index - 1, id, &err);
  }
  g->edits++;
  return espq_lua_done(L, status, &err);
}

/* g:remove_input(value): the value stays, for whoever reads it or makes it a constant. */
static int graph_remove_input(lua_State *L) {
  espq_lua_graph *g = espq_lua_checkgraph(L, 1);
  espq_id id = espq_lua_checkvalue_of(L, 2, g);
  luaL_argcheck(L, espq_graph_is_input(g->graph, id), 2, "no input of the graph");
  espq_graph_remove_input(g->graph, id);
  g->edits++;
  return 0;
}

static int graph_replace(lua_State *L) {
  espq_lua_graph *g = espq_lua_checkgraph(L, 1);
  espq_id old = espq_lua_checkvalue_of(L, 2, g), with = espq_lua_checkvalue_of(L, 3, g);
  espq_error err;
  espq_status status = espq_graph_replace_value(g->graph, old, with, &err);
  g->edits++;
  return espq_lua_done(L, status, &err);
}

static int graph_remove_node(lua_State *L) {
  espq_lua_checknode_of(L, 2, espq_lua_checkgraph(L, 1));
  lua_settop(L, 2);
  lua_remove(L, 1);
  return espq_lua_node_remove(L);
}

/* --- nodes --- */

/* What g:add_node takes, at these stack indexes. */
enum { ARG_OP_TYPE = 3, ARG_DOMAIN, ARG_NAME, ARG_INPUTS, ARG_OUTPUTS, ARG_ATTRS, ARG_BEFORE };
static const char *const node_options[] = {"op_type", "domain", "name", "inputs", "outputs", "attrs", "before", NULL};

/* A node's outputs as they are asked for: existing values, or new ones (id ESPQ_NONE) with a name or a fresh one. */
typedef struct wanted {
  espq_id id;
  bool is_new;
  const char *name;
} wanted;

static int count_outputs(lua_State *L) {
  if (lua_isnil(L, ARG_OUTPUTS)) return 1;
  if (lua_type(L, ARG_OUTPUTS) == LUA_TTABLE) return espq_lua_checklist(L, ARG_OUTPUTS, MOST);
  lua_Integer n = luaL_checkinteger(L, ARG_OUTPUTS);
  if (n < 0 || n > MOST) return luaL_error(L, "add_node: %I outputs", n);
  return (int)n;
}

/* Pushes nothing that stays; names point into the list's strings. */
static void check_outputs(lua_State *L, const espq_lua_graph *g, int n, wanted *out) {
  for (int i = 0; i < n; i++) {
    out[i] = (wanted){.id = ESPQ_NONE, .is_new = true};
    if (lua_type(L, ARG_OUTPUTS) != LUA_TTABLE) continue;
    int type = lua_rawgeti(L, ARG_OUTPUTS, i + 1);
    if (type == LUA_TSTRING) {
      out[i].name = espq_lua_checkname(L, -1);
    } else {
      out[i].is_new = false;
      if (type != LUA_TBOOLEAN || lua_toboolean(L, -1)) out[i].id = espq_lua_checkentry_of(L, i + 1, g);
    }
    lua_pop(L, 1);
  }
}

static void remove_new(espq_graph *g, const wanted *out, int n) {
  for (int i = 0; i < n; i++)
    if (out[i].is_new && out[i].id != ESPQ_NONE) espq_graph_remove_value(g, out[i].id, NULL);
}

static espq_status make_outputs(espq_graph *g, wanted *out, int n, espq_id *ids, espq_error *err) {
  for (int i = 0; i < n; i++) {
    espq_status status = out[i].is_new ? espq_graph_add_value(g, out[i].name, &out[i].id, err) : ESPQ_OK;
    if (status) return status;
    ids[i] = out[i].id;
  }
  return ESPQ_OK;
}

/* Pushes the smallest key of the table of attributes that comes after `last` ("" at first); false: there is none. The
 * order of lua_next changes from run to run, that of the attributes in a file must not. */
static bool push_next_attr(lua_State *L, const char *last) {
  lua_pushliteral(L, "");
  int best = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, ARG_ATTRS); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING) luaL_error(L, "add_node: names of attributes are strings");
    const char *name = espq_lua_checkname(L, -2), *found = lua_tostring(L, best);
    if (strcmp(name, last) <= 0 || (*found && strcmp(name, found) >= 0)) continue;
    lua_pushvalue(L, -2);
    lua_replace(L, best);
  }
  return *lua_tostring(L, best) != '\0';
}

/* Checks the attributes of the table, or sets them when there is a node. */
static espq_status walk_attrs(lua_State *L, const espq_lua_graph *g, espq_id node, espq_error *err) {
  int top = lua_gettop(L) + 1;
  espq_attr attr;
  if (lua_isnil(L, ARG_ATTRS)) return ESPQ_OK;
  luaL_checktype(L, ARG_ATTRS, LUA_TTABLE);
  lua_pushliteral(L, "");
  while (push_next_attr(L, lua_tostring(L, top))) {
    lua_replace(L, top);
    lua_pushvalue(L, top);
    lua_rawget(L, ARG_ATTRS);
    espq_lua_checkattr(L, lua_tostring(L, top), NULL, &attr);
    luaL_argcheck(L, node == ESPQ_NONE || (g->graph && g->graph->nodes[node].alive), 1, "the graph changed meanwhile");
    espq_status status = node == ESPQ_NONE ? ESPQ_OK : espq_node_set_attr(g->graph, node, &attr, err);
    if (status) return status;
    lua_settop(L, top);
  }
  lua_settop(L, top - 1);
  return ESPQ_OK;
}

static espq_status add_node(lua_State *L, espq_graph *g, espq_id before, int nin, const espq_id *in, int nout,
                            wanted *out, espq_id *ids, espq_id *id, espq_error *err) {
  const char *domain = luaL_optstring(L, ARG_DOMAIN, ""), *op_type = lua_tostring(L, ARG_OP_TYPE);
  espq_status status = make_outputs(g, out, nout, ids, err);
  if (!status)
    status =
        espq_graph_add_node(g, before, domain, op_type, luaL_optstring(L, ARG_NAME, ""), nin, in, nout, ids, id, err);
  if (status) remove_new(g, out, nout);
  else g->nodes[*id].op = espq_op_find(domain, op_type);
  return status;
}

/* g:add_node{op_type=, domain=, name=, inputs={value | false}, outputs={"name" | value | false} | n, attrs={},
 * before=node} */
static int graph_add_node(lua_State *L) {
  lua_settop(L, 2);
  espq_lua_checkfields(L, 2, node_options);
  for (int i = 0; node_options[i]; i++) lua_getfield(L, 2, node_options[i]);
  espq_lua_checkname(L, ARG_OP_TYPE);
  for (int i = ARG_DOMAIN; i <= ARG_NAME; i++)
    if (!lua_isnil(L, i)) espq_lua_checkname(L, i);
  int nin = lua_isnil(L, ARG_INPUTS) ? 0 : espq_lua_checklist(L, ARG_INPUTS, MOST), nout = count_outputs(L);
  espq_id *in = espq_lua_scratch(L, (size_t)nin, sizeof *in), *ids = espq_lua_scratch(L, (size_t)nout, sizeof *ids);
  wanted *out = espq_lua_scratch(L, (size_t)nout, sizeof *out);
  espq_error err;
  espq_lua_graph *g = espq_lua_checkgraph(L, 1);
  walk_attrs(L, g, ESPQ_NONE, &err);
  g = espq_lua_checkgraph(L, 1);
  espq_id before = lua_isnil(L, ARG_BEFORE) ? ESPQ_NONE : espq_lua_checknode_of(L, ARG_BEFORE, g), id;
  espq_lua_checkvalues_of(L, ARG_INPUTS, g, nin, in);
  check_outputs(L, g, nout, out);
  if (add_node(L, g->graph, before, nin, in, nout, out, ids, &id, &err)) return espq_lua_fail(L, &err);
  g->edits++;
  if (walk_attrs(L, g, id, &err)) {
    espq_graph_remove_node(g->graph, id, NULL);
    return espq_lua_fail(L, &err);
  }
  espq_lua_pushnode(L, 1, id);
  return 1;
}

/* --- core.graph --- */

static espq_status set_text(espq_graph *g, const char **field, const char *text, espq_error *err) {
  *field = espq_arena_strdup(g->arena, text);
  return *field ? ESPQ_OK : espq_fail_memory(err);
}

static int64_t check_version(lua_State *L, int arg, lua_Integer otherwise) {
  lua_Integer version = luaL_optinteger(L, arg, otherwise);
  luaL_argcheck(L, version > 0 && version <= INT32_MAX, arg, "a version number expected");
  return version;
}

/* core.graph{name=, opset=, ir_version=} */
int espq_lua_graph_new(lua_State *L) {
  static const char *const options[] = {"name", "opset", "ir_version", NULL};
  lua_settop(L, 1);
  if (lua_isnil(L, 1)) {
    lua_newtable(L);
    lua_replace(L, 1);
  }
  espq_lua_checkfields(L, 1, options);
  for (int i = 0; options[i]; i++) lua_getfield(L, 1, options[i]);
  const char *name = lua_isnil(L, 2) ? "" : espq_lua_checkname(L, 2);
  int64_t opset = check_version(L, 3, 13), ir_version = check_version(L, 4, 8);
  espq_lua_graph *g = espq_lua_newgraph(L);
  espq_graph *graph;
  espq_error err;
  if (espq_graph_new(&graph, &err)) return espq_lua_fail(L, &err);
  espq_lua_setgraph(L, g, graph);
  graph->opset = opset;
  graph->ir_version = ir_version;
  return set_text(graph, &graph->name, name, &err) ? espq_lua_fail(L, &err) : 1;
}

const luaL_Reg espq_lua_build_methods[] = {{"add_constant", graph_add_constant}, {"add_input", graph_add_input},
                                           {"add_node", graph_add_node},         {"add_output", graph_add_output},
                                           {"remove_input", graph_remove_input}, {"remove_node", graph_remove_node},
                                           {"replace", graph_replace},           {NULL, NULL}};
