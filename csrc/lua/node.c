/* The class espquant.node: one operator of a graph. */
#include <limits.h>
#include <string.h>

#include "lua/espq_lua.h"
#include "ops/sums.h"

const char espq_lua_node_name[] = "espquant.node";

espq_lua_handle *espq_lua_checknode(lua_State *L, int arg) {
  espq_lua_handle *h = espq_lua_checkhandle(L, arg, espq_lua_node_name);
  if (!espq_lua_alive(h, espq_lua_node_name)) luaL_argerror(L, arg, "the node has been removed from its graph");
  return h;
}

espq_id espq_lua_checknode_of(lua_State *L, int arg, const espq_lua_graph *g) {
  const espq_lua_handle *h = espq_lua_checknode(L, arg);
  luaL_argcheck(L, h->owner == g, arg, "the node belongs to another graph");
  return h->id;
}

static espq_node *check(lua_State *L) {
  const espq_lua_handle *h = espq_lua_checknode(L, 1);
  return &h->owner->graph->nodes[h->id];
}

/* --- fields --- */

static int node_op_type(lua_State *L) {
  lua_pushstring(L, check(L)->op_type);
  return 1;
}

static int node_domain(lua_State *L) {
  lua_pushstring(L, check(L)->domain);
  return 1;
}

static int node_name_get(lua_State *L) {
  lua_pushstring(L, check(L)->name);
  return 1;
}

static int node_set_name(lua_State *L) {
  const char *name = espq_lua_checkname(L, 2);
  const espq_lua_handle *h = espq_lua_checknode(L, 1);
  const char *own = espq_arena_strdup(h->owner->graph->arena, name);
  if (!own) return espq_lua_out_of_memory(L);
  check(L)->name = own;
  return 0;
}

static const char *const columns[] = {[ESPQ_COLUMN_F32] = "f32", [ESPQ_COLUMN_Q] = "q", [ESPQ_COLUMN_V3] = "v3", NULL};

static int node_column(lua_State *L) {
  lua_pushstring(L, columns[check(L)->column]);
  return 1;
}

static int node_set_column(lua_State *L) {
  espq_column column = (espq_column)luaL_checkoption(L, 2, NULL, columns);
  check(L)->column = column;
  espq_lua_checknode(L, 1)->owner->edits++;
  return 0;
}

static int node_alive(lua_State *L) {
  lua_pushboolean(L, espq_lua_alive(luaL_checkudata(L, 1, espq_lua_node_name), espq_lua_node_name));
  return 1;
}

/* --- inputs and outputs --- */

static int count_ports(lua_State *L, bool output) { return output ? check(L)->nout : check(L)->nin; }

static espq_id port(lua_State *L, bool output, int i) {
  const espq_node *n = check(L);
  if (i < 0 || i >= (output ? n->nout : n->nin)) return ESPQ_NONE;
  return output ? n->out[i] : n->in[i];
}

/* node.inputs, node.outputs: values, false for those left out. */
static int push_ports(lua_State *L, bool output) {
  int n = count_ports(L, output);
  lua_settop(L, 1);
  espq_lua_pushowner(L, 1);
  lua_createtable(L, n, 0);
  for (int i = 0; i < n; i++) {
    espq_id id = port(L, output, i);
    if (id == ESPQ_NONE) lua_pushboolean(L, 0);
    else espq_lua_pushvalue(L, 2, id);
    lua_rawseti(L, 3, i + 1);
  }
  return 1;
}

static int node_inputs(lua_State *L) { return push_ports(L, false); }
static int node_outputs(lua_State *L) { return push_ports(L, true); }

static int push_port(lua_State *L, bool output) {
  lua_Integer i = luaL_checkinteger(L, 2);
  luaL_argcheck(L, i >= 1, 2, "inputs and outputs are counted from 1");
  espq_id id = i > INT_MAX ? ESPQ_NONE : port(L, output, (int)i - 1);
  espq_lua_pushowner(L, 1);
  espq_lua_pushvalue(L, lua_gettop(L), id);
  return 1;
}

static int node_input(lua_State *L) { return push_port(L, false); }
static int node_output(lua_State *L) { return push_port(L, true); }

enum { MOST = 1 << 16 };

static bool is_false(lua_State *L, int index) { return lua_isboolean(L, index) && !lua_toboolean(L, index); }

/* node:set_input(i, value | false): i may lie behind the last input; those between are left out. */
static int node_set_input(lua_State *L) {
  const espq_lua_handle *h = espq_lua_checknode(L, 1);
  lua_Integer i = luaL_checkinteger(L, 2);
  luaL_argcheck(L, i >= 1 && i <= MOST, 2, "no input of this number");
  espq_id value = is_false(L, 3) ? ESPQ_NONE : espq_lua_checkvalue_of(L, 3, h->owner);
  espq_graph *g = h->owner->graph;
  espq_error err;
  espq_status status = ESPQ_OK;
  if (i > g->nodes[h->id].nin) status = espq_graph_resize_inputs(g, h->id, (int)i, &err);
  if (!status) status = espq_graph_set_input(g, h->id, (int)i - 1, value, &err);
  h->owner->edits++;
  return espq_lua_done(L, status, &err);
}

/* node:set_inputs{value | false, ...}: all of them, and no others. */
static int node_set_inputs(lua_State *L) {
  lua_settop(L, 2);
  int n = espq_lua_checklist(L, 2, MOST);
  espq_id *ids = espq_lua_scratch(L, (size_t)n, sizeof *ids);
  const espq_lua_handle *h = espq_lua_checknode(L, 1);
  espq_lua_checkvalues_of(L, 2, h->owner, n, ids);
  espq_graph *g = h->owner->graph;
  espq_error err;
  espq_status status = espq_graph_resize_inputs(g, h->id, n, &err);
  for (int i = 0; i < n && !status; i++) status = espq_graph_set_input(g, h->id, i, ids[i], &err);
  h->owner->edits++;
  return espq_lua_done(L, status, &err);
}

/* --- attributes: reading --- */

/* Lists and strings lie in the arena, which lives as long as the graph: hold it. */
static void push_attr(lua_State *L, const espq_attr *a) {
  switch (a->kind) {
    case ESPQ_ATTR_INT: lua_pushinteger(L, a->i); return;
    case ESPQ_ATTR_FLOAT: lua_pushnumber(L, (lua_Number)a->f); return;
    case ESPQ_ATTR_TENSOR: {
      espq_tensor **t = espq_lua_newtensor(L);
      *t = espq_tensor_retain(a->tensor);
      return;
    }
    case ESPQ_ATTR_STRING:
    case ESPQ_ATTR_OPAQUE: lua_pushlstring(L, a->s.text ? a->s.text : "", a->s.text ? a->s.size : 0); return;
    default: break;
  }
  lua_newtable(L);
  for (size_t i = 0; i < a->n; i++) {
    if (a->kind == ESPQ_ATTR_INTS) lua_pushinteger(L, a->ints[i]);
    else if (a->kind == ESPQ_ATTR_FLOATS) lua_pushnumber(L, (lua_Number)a->floats[i]);
    else lua_pushlstring(L, a->strings[i].text ? a->strings[i].text : "", a->strings[i].size);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

/* The default that the operator's row gives, nil without one. */
static void push_default(lua_State *L, const espq_node *n, const char *name) {
  const espq_op *op = n->op ? n->op : espq_op_find(n->domain, n->op_type);
  const espq_attr_spec *s = op ? op->attrs : NULL;
  while (s && s->name && strcmp(s->name, name) != 0) s++;
  if (!s || !s->name || s->required) lua_pushnil(L);
  else if (s->kind == ESPQ_ATTR_INT) lua_pushinteger(L, (lua_Integer)s->number);
  else if (s->kind == ESPQ_ATTR_FLOAT) lua_pushnumber(L, (lua_Number)(float)s->number);
  else if (s->kind == ESPQ_ATTR_STRING) lua_pushstring(L, s->text);
  else lua_pushnil(L);
}

/* node:attr(name[, default]): without a default, the operator's. */
static int node_attr(lua_State *L) {
  const char *name = luaL_checkstring(L, 2);
  bool has_default = lua_gettop(L) >= 3;
  espq_lua_pushowner(L, 1);
  espq_lua_hold(L, lua_gettop(L));
  const espq_node *n = check(L);
  const espq_attr *a = espq_node_attr(n, name);
  int hold = lua_gettop(L);
  if (a) push_attr(L, a);
  else if (has_default) lua_pushvalue(L, 3);
  else push_default(L, n, name);
  espq_lua_drop(L, hold);
  return 1;
}

static int node_has_attr(lua_State *L) {
  const char *name = luaL_checkstring(L, 2);
  lua_pushboolean(L, espq_node_attr(check(L), name) != NULL);
  return 1;
}

/* node:attrs(): name -> value of those that are set. */
static int node_attrs(lua_State *L) {
  lua_settop(L, 1);
  check(L);
  espq_lua_pushowner(L, 1);
  espq_lua_hold(L, 2);
  lua_newtable(L);
  for (const espq_attr *a = check(L)->attrs; a; a = a->next) {
    push_attr(L, a);
    lua_setfield(L, 4, a->name);
  }
  espq_lua_drop(L, 3);
  return 1;
}

/* --- attributes: writing --- */

static const char *const kinds[] = {[ESPQ_ATTR_INT] = "int",         [ESPQ_ATTR_FLOAT] = "float",
                                    [ESPQ_ATTR_STRING] = "string",   [ESPQ_ATTR_TENSOR] = "tensor",
                                    [ESPQ_ATTR_INTS] = "ints",       [ESPQ_ATTR_FLOATS] = "floats",
                                    [ESPQ_ATTR_STRINGS] = "strings", NULL};

static espq_attr_kind kind_of_list(lua_State *L) {
  int type = lua_rawgeti(L, -1, 1);
  bool integers = true;
  lua_pop(L, 1);
  if (type == LUA_TSTRING) return ESPQ_ATTR_STRINGS;
  for (lua_Integer i = 1, n = (lua_Integer)lua_rawlen(L, -1); i <= n && integers; i++) {
    lua_rawgeti(L, -1, i);
    integers = lua_isinteger(L, -1) || lua_type(L, -1) != LUA_TNUMBER;
    lua_pop(L, 1);
  }
  return integers ? ESPQ_ATTR_INTS : ESPQ_ATTR_FLOATS;
}

static espq_attr_kind kind_of(lua_State *L, const char *name) {
  switch (lua_type(L, -1)) {
    case LUA_TNUMBER: return lua_isinteger(L, -1) ? ESPQ_ATTR_INT : ESPQ_ATTR_FLOAT;
    case LUA_TSTRING: return ESPQ_ATTR_STRING;
    case LUA_TTABLE: return kind_of_list(L);
    default: break;
  }
  if (!espq_lua_totensor(L, -1))
    luaL_error(L, "attribute '%s': number, string, list or tensor expected, got %s", name, luaL_typename(L, -1));
  return ESPQ_ATTR_TENSOR;
}

/* The value on top of the stack as an integer, float or string; raises otherwise. */
static int64_t take_integer(lua_State *L, const char *name) {
  int ok = lua_type(L, -1) == LUA_TNUMBER;
  int64_t x = ok ? lua_tointegerx(L, -1, &ok) : 0;
  if (!ok) luaL_error(L, "attribute '%s': integer expected, got %s", name, luaL_tolstring(L, -1, NULL));
  return x;
}

static float take_float(lua_State *L, const char *name) {
  if (lua_type(L, -1) != LUA_TNUMBER)
    luaL_error(L, "attribute '%s': number expected, got %s", name, luaL_typename(L, -1));
  return (float)lua_tonumber(L, -1);
}

static espq_string take_string(lua_State *L, const char *name) {
  espq_string s = {0};
  if (lua_type(L, -1) != LUA_TSTRING)
    luaL_error(L, "attribute '%s': string expected, got %s", name, luaL_typename(L, -1));
  s.text = lua_tolstring(L, -1, &s.size);
  return s;
}

static void take_list(lua_State *L, const char *name, espq_attr *attr) {
  int list = lua_gettop(L);
  if (!lua_istable(L, list)) luaL_error(L, "attribute '%s': list expected, got %s", name, luaL_typename(L, list));
  attr->n = (size_t)espq_lua_checklist(L, list, 1 << 24);
  size_t size = attr->kind == ESPQ_ATTR_INTS     ? sizeof *attr->ints
                : attr->kind == ESPQ_ATTR_FLOATS ? sizeof *attr->floats
                                                 : sizeof *attr->strings;
  void *entries = espq_lua_scratch(L, attr->n, size);
  if (attr->kind == ESPQ_ATTR_INTS) attr->ints = entries;
  else if (attr->kind == ESPQ_ATTR_FLOATS) attr->floats = entries;
  else attr->strings = entries;
  for (size_t i = 0; i < attr->n; i++) {
    lua_rawgeti(L, list, (lua_Integer)i + 1);
    if (attr->kind == ESPQ_ATTR_INTS) attr->ints[i] = take_integer(L, name);
    else if (attr->kind == ESPQ_ATTR_FLOATS) attr->floats[i] = take_float(L, name);
    else attr->strings[i] = take_string(L, name);
    lua_pop(L, 1);
  }
}

void espq_lua_checkattr(lua_State *L, const char *name, const char *kind, espq_attr *attr) {
  *attr = (espq_attr){.name = name};
  while (kind && kinds[attr->kind] && strcmp(kinds[attr->kind], kind) != 0) attr->kind++;
  if (!kind) attr->kind = kind_of(L, name);
  switch (attr->kind) {
    case ESPQ_ATTR_INT: attr->i = take_integer(L, name); return;
    case ESPQ_ATTR_FLOAT: attr->f = take_float(L, name); return;
    case ESPQ_ATTR_STRING: attr->s = take_string(L, name); return;
    case ESPQ_ATTR_TENSOR:
      attr->tensor = espq_lua_totensor(L, -1);
      if (!attr->tensor) luaL_error(L, "attribute '%s': tensor expected, got %s", name, luaL_typename(L, -1));
      return;
    default: take_list(L, name, attr);
  }
}

/* node:set_attr(name, value | nil[, kind]): the kind is the value's own where none is given; nil removes it. */
static int node_set_attr(lua_State *L) {
  lua_settop(L, 4);
  const char *name = espq_lua_checkname(L, 2);
  const char *kind = lua_isnil(L, 4) ? NULL : kinds[luaL_checkoption(L, 4, NULL, kinds)];
  bool remove = lua_isnil(L, 3);
  espq_attr attr;
  espq_error err;
  espq_status status = ESPQ_OK;
  lua_pushvalue(L, 3);
  if (!remove) espq_lua_checkattr(L, name, kind, &attr);
  const espq_lua_handle *h = espq_lua_checknode(L, 1);
  if (remove) espq_node_remove_attr(h->owner->graph, h->id, name);
  else status = espq_node_set_attr(h->owner->graph, h->id, &attr, &err);
  h->owner->edits++;
  return espq_lua_done(L, status, &err);
}

/* --- place and life --- */

static int push_neighbour(lua_State *L, espq_id id) {
  espq_lua_pushowner(L, 1);
  espq_lua_pushnode(L, lua_gettop(L), id);
  return 1;
}

static int node_next(lua_State *L) { return push_neighbour(L, check(L)->next); }
static int node_prev(lua_State *L) { return push_neighbour(L, check(L)->prev); }

int espq_lua_node_remove(lua_State *L) {
  const espq_lua_handle *h = espq_lua_checknode(L, 1);
  espq_error err;
  h->owner->edits++;
  espq_status status = espq_graph_remove_node(h->owner->graph, h->id, &err);
  return espq_lua_done(L, status, &err);
}

/* node:move_before(node | nil): nil moves it to the end. */
static int node_move_before(lua_State *L) {
  const espq_lua_handle *h = espq_lua_checknode(L, 1);
  espq_id before = lua_isnoneornil(L, 2) ? ESPQ_NONE : espq_lua_checknode_of(L, 2, h->owner);
  espq_graph_move_before(h->owner->graph, h->id, before);
  h->owner->edits++;
  return 0;
}

/* The reason of the operator's row, or that there is no integer form at all; NULL: it can be quantized. */
static const char *why_not(const espq_call *call, char *text, size_t size) {
  const espq_op *op = call->node->op;
  if (!op) return "espquant does not know this operator; replace it before quantization";
  const char *why = op->why_not ? op->why_not(call, text, size) : NULL;
  if (why || op->v1 & ESPQ_V1_CHIP) return why;
  return "it has no integer form on the chip; leave it to the application, or replace it";
}

/* node:fault(): what is wrong with the node by itself, and the code; nil when nothing is. */
static int node_fault(lua_State *L) {
  const espq_lua_handle *h = espq_lua_checknode(L, 1);
  espq_error err;
  if (!espq_ops_check_node(h->owner->graph, h->id, &err)) return 0;
  if (err.status == ESPQ_EMEMORY) return espq_lua_raise(L, &err);
  lua_pushstring(L, err.text);
  lua_pushstring(L, espq_status_name(err.status));
  return 2;
}

/* node:why_not(): why the node cannot be quantized, with a remedy; nil when it can. */
static int node_why_not(lua_State *L) {
  const espq_lua_handle *h = espq_lua_checknode(L, 1);
  espq_call call;
  espq_error err;
  char text[512];
  espq_node *n = &h->owner->graph->nodes[h->id];
  n->op = espq_op_find(n->domain, n->op_type); /* of this node only: check_model asks all of them */
  if (espq_call_init(&call, h->owner->graph, h->id, NULL, &err)) return espq_lua_raise(L, &err);
  const char *why = why_not(&call, text, sizeof text);
  espq_call_free(&call);
  lua_pushstring(L, why);
  return 1;
}

/* node:saturating(): of how many of its output channels the sums can leave the lanes of the ESP32-S3, and how many there
 * are; nil for what makes no sums of integers. */
static int node_saturating(lua_State *L) {
  const espq_lua_handle *h = espq_lua_checknode(L, 1);
  espq_call call;
  espq_error err;
  int64_t channels, saturating;
  if (espq_call_init(&call, h->owner->graph, h->id, NULL, &err)) return espq_lua_raise(L, &err);
  espq_status status = espq_call_saturating(&call, &channels, &saturating, &err);
  espq_call_free(&call);
  if (status) return espq_lua_raise(L, &err);
  if (!channels) return 0;
  lua_pushinteger(L, (lua_Integer)saturating);
  lua_pushinteger(L, (lua_Integer)channels);
  return 2;
}

static int node_label(lua_State *L) {
  char text[256];
  const espq_node *n = check(L);
  lua_pushstring(L, espq_node_label(espq_lua_checknode(L, 1)->owner->graph, n, text, sizeof text));
  return 1;
}

static int node_tostring(lua_State *L) {
  if (espq_lua_alive(luaL_checkudata(L, 1, espq_lua_node_name), espq_lua_node_name)) return node_label(L);
  lua_pushliteral(L, "node (removed)");
  return 1;
}

/* --- the class --- */

static const luaL_Reg methods[] = {{"attr", node_attr},
                                   {"attrs", node_attrs},
                                   {"fault", node_fault},
                                   {"has_attr", node_has_attr},
                                   {"input", node_input},
                                   {"label", node_label},
                                   {"move_before", node_move_before},
                                   {"next", node_next},
                                   {"output", node_output},
                                   {"prev", node_prev},
                                   {"remove", espq_lua_node_remove},
                                   {"saturating", node_saturating},
                                   {"set_attr", node_set_attr},
                                   {"set_input", node_set_input},
                                   {"set_inputs", node_set_inputs},
                                   {"why_not", node_why_not},
                                   {NULL, NULL}};

static const luaL_Reg fields[] = {
    {"alive", node_alive},   {"column", node_column},   {"domain", node_domain},   {"inputs", node_inputs},
    {"name", node_name_get}, {"op_type", node_op_type}, {"outputs", node_outputs}, {NULL, NULL}};

static const luaL_Reg setters[] = {{"column", node_set_column}, {"name", node_set_name}, {NULL, NULL}};

static const luaL_Reg meta[] = {{"__tostring", node_tostring}, {NULL, NULL}};

void espq_lua_open_node(lua_State *L) {
  const espq_lua_class class = {
      .name = espq_lua_node_name, .methods = methods, .fields = fields, .setters = setters, .meta = meta};
  espq_lua_newclass(L, &class);
}
