/* core.ops and core.op: the operator rows as tables, made once each. */
#include <string.h>

#include "lua/espq_lua.h"

static const struct {
  const char *name;
  unsigned flag;
} v1_flags[] = {{"arithmetic", ESPQ_V1_ARITHMETIC}, {"activation", ESPQ_V1_ACTIVATION},
                {"shares", ESPQ_V1_SHARES},         {"pass", ESPQ_V1_PASS},
                {"lifts", ESPQ_V1_LIFTS},           {"calibrator", ESPQ_V1_CALIBRATOR},
                {"evaluator", ESPQ_V1_EVALUATOR},   {"chip", ESPQ_V1_CHIP},
                {"aligns", ESPQ_V1_ALIGNS},         {"unmeasured", ESPQ_V1_UNMEASURED}};

static const struct {
  const char *name;
  unsigned flag;
} v3_flags[] = {{"quantized", ESPQ_V3_QUANTIZED},
                {"computes", ESPQ_V3_COMPUTES},
                {"passive", ESPQ_V3_PASSIVE},
                {"aligns", ESPQ_V3_ALIGNS},
                {"compares", ESPQ_V3_COMPARES},
                {"moves", ESPQ_V3_MOVES},
                {"lut8", ESPQ_V3_LUT8},
                {"lut16", ESPQ_V3_LUT16},
                {"registered", ESPQ_V3_REGISTERED},
                {"rewritten", ESPQ_V3_REWRITTEN},
                {"float_output", ESPQ_V3_FLOAT_OUTPUT}};

static const char *const v3_layouts[] = {
    [ESPQ_V3_ORIGINAL] = "original", [ESPQ_V3_NHWC] = "nhwc", [ESPQ_V3_UNARY] = "unary",
    [ESPQ_V3_BINARY] = "binary",     [ESPQ_V3_AXIS] = "axis", [ESPQ_V3_CONCAT] = "concat",
    [ESPQ_V3_SLICE] = "slice"};

static const char *const kind_names[] = {
    [ESPQ_ATTR_INT] = "int",         [ESPQ_ATTR_FLOAT] = "float",  [ESPQ_ATTR_STRING] = "string",
    [ESPQ_ATTR_TENSOR] = "tensor",   [ESPQ_ATTR_INTS] = "ints",    [ESPQ_ATTR_FLOATS] = "floats",
    [ESPQ_ATTR_STRINGS] = "strings", [ESPQ_ATTR_OPAQUE] = "opaque"};

static void set_string(lua_State *L, const char *key, const char *text) {
  lua_pushstring(L, text);
  lua_setfield(L, -2, key);
}

static void set_integer(lua_State *L, const char *key, lua_Integer x) {
  lua_pushinteger(L, x);
  lua_setfield(L, -2, key);
}

static void set_boolean(lua_State *L, const char *key, bool x) {
  lua_pushboolean(L, x);
  lua_setfield(L, -2, key);
}

static void push_attr_spec(lua_State *L, const espq_attr_spec *s) {
  lua_createtable(L, 0, 4);
  set_string(L, "name", s->name);
  set_string(L, "kind", kind_names[s->kind]);
  set_boolean(L, "required", s->required);
  if (s->required) return;
  if (s->kind == ESPQ_ATTR_INT) set_integer(L, "default", (lua_Integer)s->number);
  if (s->kind == ESPQ_ATTR_STRING && s->text) set_string(L, "default", s->text);
  if (s->kind != ESPQ_ATTR_FLOAT) return;
  lua_pushnumber(L, (lua_Number)(float)s->number);
  lua_setfield(L, -2, "default");
}

static void push_row(lua_State *L, const espq_op *op) {
  lua_newtable(L);
  set_string(L, "name", op->name);
  set_string(L, "domain", op->domain);
  set_integer(L, "since", op->since);
  set_integer(L, "min_inputs", op->min_in);
  set_integer(L, "max_inputs", op->max_in);
  set_integer(L, "weight", op->weight);
  set_integer(L, "bias", op->bias);
  set_boolean(L, "f32", op->f32 != NULL);
  set_boolean(L, "q", op->q != NULL);
  set_boolean(L, "v3_kernel", op->v3 || ((espq_op_v3(op)->flags & (ESPQ_V3_SAME_KERNEL | ESPQ_V3_BY_FLOAT))));
  lua_newtable(L);
  for (size_t i = 0; i < sizeof v1_flags / sizeof *v1_flags; i++)
    if (op->v1 & v1_flags[i].flag) set_boolean(L, v1_flags[i].name, true);
  lua_setfield(L, -2, "v1");
  const espq_v3_facts *v3 = espq_op_v3(op);
  lua_newtable(L);
  for (size_t i = 0; i < sizeof v3_flags / sizeof *v3_flags; i++)
    if (v3->flags & v3_flags[i].flag) set_boolean(L, v3_flags[i].name, true);
  lua_setfield(L, -2, "v3");
  set_string(L, "v3_layout", v3_layouts[v3->layout]);
  lua_newtable(L);
  for (int i = 0; op->attrs && op->attrs[i].name; i++) {
    push_attr_spec(L, &op->attrs[i]);
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -2, "attrs");
}

/* The row's table from the cache in upvalue 1. */
static void push_cached(lua_State *L, const espq_op *op) {
  if (lua_rawgetp(L, lua_upvalueindex(1), op) != LUA_TNIL) return;
  lua_pop(L, 1);
  push_row(L, op);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, lua_upvalueindex(1), op);
}

/* core.ops(): a list of all rows. */
static int core_ops(lua_State *L) {
  size_t n = espq_op_count();
  lua_createtable(L, (int)n, 0);
  for (size_t i = 0; i < n; i++) {
    push_cached(L, espq_op_at(i));
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* core.op(op_type[, domain = ""]): its row, or nil for an operator that we do not know. */
static int core_op(lua_State *L) {
  const char *op_type = luaL_checkstring(L, 1), *domain = luaL_optstring(L, 2, "");
  const espq_op *op = espq_op_find(domain, op_type);
  if (!op) return 0;
  push_cached(L, op);
  return 1;
}

void espq_lua_open_registry(lua_State *L) {
  static const luaL_Reg functions[] = {{"op", core_op}, {"ops", core_ops}, {NULL, NULL}};
  lua_newtable(L);
  luaL_setfuncs(L, functions, 1);
}
