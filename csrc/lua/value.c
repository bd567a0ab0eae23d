/* The class espquant.value: a tensor of a graph, be it an input, a constant or a node's output. */
#include <math.h>
#include <string.h>

#include "lua/espq_lua.h"
#include "quant/exponent.h"

const char espq_lua_value_name[] = "espquant.value";

/* --- handles --- */

espq_lua_handle *espq_lua_checkhandle(lua_State *L, int arg, const char *class) {
  espq_lua_handle *h = luaL_checkudata(L, arg, class);
  if (!h->owner->graph) luaL_argerror(L, arg, "the graph is closed");
  return h;
}

bool espq_lua_alive(const espq_lua_handle *h, const char *class) {
  const espq_graph *g = h->owner->graph;
  return g && (class == espq_lua_node_name ? g->nodes[h->id].alive : g->values[h->id].alive);
}

espq_lua_handle *espq_lua_checkvalue(lua_State *L, int arg) {
  espq_lua_handle *h = espq_lua_checkhandle(L, arg, espq_lua_value_name);
  if (!espq_lua_alive(h, espq_lua_value_name)) luaL_argerror(L, arg, "the value has been removed from its graph");
  return h;
}

static espq_value *check(lua_State *L) {
  const espq_lua_handle *h = espq_lua_checkvalue(L, 1);
  return &h->owner->graph->values[h->id];
}

/* The id that the value (or node) at index stands for in g; ESPQ_NONE and a reason when there is none. */
static espq_id value_at(lua_State *L, int index, const espq_lua_graph *g, const char **why) {
  const espq_lua_handle *value = luaL_testudata(L, index, espq_lua_value_name);
  const espq_lua_handle *node = value ? NULL : luaL_testudata(L, index, espq_lua_node_name);
  const espq_lua_handle *h = value ? value : node;
  if (!h) {
    *why = lua_pushfstring(L, "value or node expected, got %s", luaL_typename(L, index));
    return ESPQ_NONE;
  }
  *why = h->owner != g ? "it belongs to another graph" : "it has been removed from its graph";
  if (h->owner != g || !espq_lua_alive(h, value ? espq_lua_value_name : espq_lua_node_name)) return ESPQ_NONE;
  if (value) return h->id;
  *why = "the node has no output";
  const espq_node *n = &g->graph->nodes[h->id];
  return n->nout ? n->out[0] : ESPQ_NONE;
}

espq_id espq_lua_checkvalue_of(lua_State *L, int arg, const espq_lua_graph *g) {
  const char *why;
  espq_id id = value_at(L, arg, g, &why);
  if (id == ESPQ_NONE) luaL_argerror(L, arg, why);
  return id;
}

espq_id espq_lua_checkentry_of(lua_State *L, int i, const espq_lua_graph *g) {
  const char *why;
  espq_id id = value_at(L, lua_gettop(L), g, &why);
  if (id == ESPQ_NONE) luaL_error(L, "list entry %d: %s", i, why);
  return id;
}

void espq_lua_checkvalues_of(lua_State *L, int arg, const espq_lua_graph *g, int n, espq_id *ids) {
  for (int i = 0; i < n; i++) {
    int type = lua_rawgeti(L, arg, i + 1);
    bool absent = type == LUA_TBOOLEAN && !lua_toboolean(L, -1);
    ids[i] = absent ? ESPQ_NONE : espq_lua_checkentry_of(L, i + 1, g);
    lua_pop(L, 1);
  }
}

/* --- fields --- */

static int value_name_get(lua_State *L) {
  lua_pushstring(L, check(L)->name);
  return 1;
}

static void push_dim(lua_State *L, const espq_value *v, int i) {
  if (v->symbol[i]) lua_pushstring(L, v->symbol[i]);
  else if (v->shape.dim[i] < 0) lua_pushboolean(L, 0);
  else lua_pushinteger(L, v->shape.dim[i]);
}

/* value.shape: integers, names, or false for what is not known; nil when the rank is not. */
static int value_shape(lua_State *L) {
  int rank = check(L)->shape.rank;
  if (rank < 0) return 0;
  lua_createtable(L, rank, 0);
  for (int i = 0; i < rank; i++) {
    push_dim(L, check(L), i);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

static int value_dtype(lua_State *L) {
  espq_dtype dtype = check(L)->dtype;
  if (dtype == ESPQ_DTYPE_NONE) return 0;
  lua_pushstring(L, espq_dtype_name(dtype));
  return 1;
}

static int value_constant(lua_State *L) {
  espq_tensor **out = espq_lua_newtensor(L);
  espq_tensor *t = check(L)->constant;
  if (!t) return 0;
  *out = espq_tensor_retain(t);
  return 1;
}

static int value_producer(lua_State *L) {
  espq_id producer = check(L)->producer;
  espq_lua_pushowner(L, 1);
  espq_lua_pushnode(L, lua_gettop(L), producer);
  return 1;
}

/* value.slot: value.producer:output(value.slot) is the value. */
static int value_slot(lua_State *L) {
  const espq_value *v = check(L);
  if (v->producer == ESPQ_NONE) return 0;
  lua_pushinteger(L, v->slot + 1);
  return 1;
}

static int value_is_input(lua_State *L) {
  const espq_lua_handle *h = espq_lua_checkvalue(L, 1);
  lua_pushboolean(L, espq_graph_is_input(h->owner->graph, h->id));
  return 1;
}

static int value_is_output(lua_State *L) {
  const espq_lua_handle *h = espq_lua_checkvalue(L, 1);
  lua_pushboolean(L, espq_graph_is_output(h->owner->graph, h->id));
  return 1;
}

/* value.quant: {bits = 8, exponents = {-7}}, or nil for a float tensor. */
static int value_quant(lua_State *L) {
  int bits = check(L)->quant.bits;
  if (bits == 0) return 0;
  lua_createtable(L, 0, 2);
  lua_pushinteger(L, bits);
  lua_setfield(L, -2, "bits");
  lua_newtable(L);
  for (int i = 0; i < check(L)->quant.count; i++) {
    espq_lua_pushexponent(L, check(L)->quant.exponent[i]);
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -2, "exponents");
  return 1;
}

static int value_alive(lua_State *L) {
  lua_pushboolean(L, espq_lua_alive(luaL_checkudata(L, 1, espq_lua_value_name), espq_lua_value_name));
  return 1;
}

/* --- users --- */

/* Uses come in the order in which they were made. The graph's order is the one to rely on: walk from the producer until
 * all have been met. ids has room for twice as many as there are uses. */
static size_t users_in_order(espq_graph *g, const espq_value *v, espq_id *ids) {
  size_t n = 0, met = 0;
  for (espq_use u = v->first_use; u.node != ESPQ_NONE; u = espq_graph_next_use(g, u)) {
    if (g->nodes[u.node].marked) continue;
    g->nodes[u.node].marked = true;
    ids[n++] = u.node;
  }
  espq_id id = v->producer == ESPQ_NONE ? g->first : g->nodes[v->producer].next;
  for (; n > 1 && met < n && id != ESPQ_NONE; id = g->nodes[id].next) {
    if (!g->nodes[id].marked) continue;
    g->nodes[id].marked = false;
    ids[n + met++] = id;
  }
  for (size_t i = 0; i < n; i++) { /* those before the producer, in a graph that is being edited, come last */
    if (g->nodes[ids[i]].marked && n > 1) ids[n + met++] = ids[i];
    g->nodes[ids[i]].marked = false;
  }
  if (n > 1) memcpy(ids, ids + n, n * sizeof *ids);
  return n;
}

/* value:users(): the nodes that read it, each once, in the graph's order. */
static int value_users(lua_State *L) {
  lua_settop(L, 1);
  size_t most = check(L)->nuses;
  espq_id *ids = espq_lua_scratch(L, 2 * most, sizeof *ids);
  const espq_value *v = check(L);
  size_t n = v->nuses <= most ? users_in_order(espq_lua_checkvalue(L, 1)->owner->graph, v, ids) : 0;
  espq_lua_pushowner(L, 1);
  espq_lua_pushhandles(L, 3, espq_lua_pushnode, &ids, &n);
  return 1;
}

/* value:use_count(): how often nodes and the graph's outputs read it. */
static int value_use_count(lua_State *L) {
  const espq_lua_handle *h = espq_lua_checkvalue(L, 1);
  const espq_graph *g = h->owner->graph;
  size_t n = g->values[h->id].nuses;
  for (size_t i = 0; i < g->noutputs; i++) n += g->outputs[i] == h->id;
  lua_pushinteger(L, (lua_Integer)n);
  return 1;
}

/* --- changes --- */

static int value_rename(lua_State *L) {
  const char *name = espq_lua_checkname(L, 2);
  const espq_lua_handle *h = espq_lua_checkvalue(L, 1);
  espq_error err;
  h->owner->edits++;
  espq_status status = espq_graph_rename_value(h->owner->graph, h->id, name, &err);
  return espq_lua_done(L, status, &err);
}

/* value:set_constant(tensor | nil) */
static int value_set_constant(lua_State *L) {
  lua_settop(L, 2);
  espq_tensor *t = lua_isnil(L, 2) ? NULL : espq_lua_checktensor(L, 2);
  const espq_lua_handle *h = espq_lua_checkvalue(L, 1);
  luaL_argcheck(L, !t || check(L)->producer == ESPQ_NONE, 1, "a node's output cannot be a constant");
  luaL_argcheck(L, !t || !espq_graph_is_input(h->owner->graph, h->id), 1,
                "an input of the graph cannot be a constant (see remove_input)");
  espq_graph_set_constant(h->owner->graph, h->id, t);
  h->owner->edits++;
  return 0;
}

/* A constant's type and shape are its tensor's. */
static espq_lua_handle *check_no_constant(lua_State *L) {
  luaL_argcheck(L, !check(L)->constant, 1, "a constant has the type and shape of its tensor");
  return espq_lua_checkvalue(L, 1);
}

static int value_set_shape(lua_State *L) {
  lua_settop(L, 2);
  espq_lua_shape shape;
  espq_lua_checkvalue_shape(L, 2, &shape);
  const espq_lua_handle *h = check_no_constant(L);
  espq_error err;
  h->owner->edits++;
  if (espq_graph_is_input(h->owner->graph, h->id)) h->owner->graph->reshaped = true;
  espq_status status = espq_lua_set_value_shape(h->owner->graph, h->id, &shape, &err);
  return espq_lua_done(L, status, &err);
}

static int value_set_dtype(lua_State *L) {
  lua_settop(L, 2);
  espq_dtype dtype = lua_isnil(L, 2) ? ESPQ_DTYPE_NONE : espq_lua_checkdtype(L, 2, NULL);
  const espq_lua_handle *h = check_no_constant(L);
  h->owner->graph->values[h->id].dtype = dtype;
  h->owner->edits++;
  return 0;
}

/* value:set_quant(bits, exponent | {exponents}); value:set_quant(nil): float again. */
static int value_set_quant(lua_State *L) {
  lua_settop(L, 3);
  lua_Integer bits = luaL_optinteger(L, 2, 0);
  luaL_argcheck(L, bits == 0 || bits == 8 || bits == 16 || bits == 32 || bits == 64, 2,
                "8, 16, 32 or 64 bits expected");
  int n = 0;
  const int32_t *exponents = bits ? espq_lua_checkexponents(L, 3, &n) : NULL;
  const espq_lua_handle *h = espq_lua_checkvalue(L, 1);
  espq_error err;
  h->owner->edits++;
  espq_status status = espq_graph_set_quant(h->owner->graph, h->id, (int)bits, n, exponents, &err);
  return espq_lua_done(L, status, &err);
}

/* --- the class --- */

/* Dimension i of v as text, pushed. */
static void push_dim_text(lua_State *L, const espq_value *v, int i) {
  const char *cross = i ? "x" : "";
  if (v->symbol[i]) lua_pushfstring(L, "%s%s", cross, v->symbol[i]);
  else if (v->shape.dim[i] < 0) lua_pushfstring(L, "%s?", cross);
  else lua_pushfstring(L, "%s%I", cross, (lua_Integer)v->shape.dim[i]);
}

/* "input 'x': float32 Nx3x8x8" */
static int value_tostring(lua_State *L) {
  lua_settop(L, 1);
  const espq_lua_handle *h = luaL_checkudata(L, 1, espq_lua_value_name);
  if (!espq_lua_alive(h, espq_lua_value_name)) {
    lua_pushliteral(L, "value (removed)");
    return 1;
  }
  espq_lua_pushowner(L, 1);
  const espq_graph *g = espq_lua_hold(L, 2);
  const espq_value v = g->values[h->id]; /* a copy: what it points to lies in the arena that is held */
  const char *kind = v.constant ? "constant " : espq_graph_is_input(g, h->id) ? "input " : "";
  lua_pushfstring(L, "%s'%s': %s %s", kind, v.name, espq_dtype_name(v.dtype),
                  v.shape.rank < 0    ? "?"
                  : v.shape.rank == 0 ? "scalar"
                                      : "");
  for (int i = 0; i < v.shape.rank; i++) push_dim_text(L, &v, i);
  lua_concat(L, lua_gettop(L) - 3);
  espq_lua_drop(L, 3);
  return 1;
}

static const luaL_Reg methods[] = {{"rename", value_rename},       {"set_constant", value_set_constant},
                                   {"set_dtype", value_set_dtype}, {"set_quant", value_set_quant},
                                   {"set_shape", value_set_shape}, {"use_count", value_use_count},
                                   {"users", value_users},         {NULL, NULL}};

static const luaL_Reg fields[] = {{"alive", value_alive},
                                  {"constant", value_constant},
                                  {"dtype", value_dtype},
                                  {"is_input", value_is_input},
                                  {"is_output", value_is_output},
                                  {"name", value_name_get},
                                  {"producer", value_producer},
                                  {"quant", value_quant},
                                  {"shape", value_shape},
                                  {"slot", value_slot},
                                  {NULL, NULL}};

static const luaL_Reg meta[] = {{"__tostring", value_tostring}, {NULL, NULL}};

void espq_lua_open_value(lua_State *L) {
  const espq_lua_class class = {.name = espq_lua_value_name, .methods = methods, .fields = fields, .meta = meta};
  espq_lua_newclass(L, &class);
}
