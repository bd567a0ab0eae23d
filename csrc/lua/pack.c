/* What exporters need per element: core.pack_filter, core.format_elements; and core.targets. */
#include "quant/pack.h"

#include "base/alloc.h"
#include "lua/espq_lua.h"

static bool bool_field(lua_State *L, int arg, const char *key) {
  lua_getfield(L, arg, key);
  bool x = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return x;
}

/* Leaves the string on the stack. */
static const char *string_field(lua_State *L, int arg, const char *key, const char *otherwise) {
  if (lua_getfield(L, arg, key) == LUA_TNIL && otherwise) {
    lua_pop(L, 1);
    lua_pushstring(L, otherwise);
  }
  if (lua_type(L, -1) != LUA_TSTRING) luaL_argerror(L, arg, lua_pushfstring(L, "%s: string expected", key));
  return lua_tostring(L, -1);
}

static espq_filter_order check_order(lua_State *L, int arg) {
  const char *runtime = string_field(L, arg, "runtime", "v1"), *chip = string_field(L, arg, "target", NULL);
  const espq_target *target = espq_target_find(runtime, chip);
  if (!target) return luaL_argerror(L, arg, lua_pushfstring(L, "no target '%s' of runtime '%s'", chip, runtime));
  return target->order;
}

/*** core.pack_filter(t, {axes = "oihw", target = "esp32s3", runtime = "v1", grouped = false, tail = false}): the elements
 * of an int8 or int16 filter in the order in which the chip reads them, as a tensor of rank 1. */
static int core_pack_filter(lua_State *L) {
  static const char *const allowed[] = {"axes", "target", "runtime", "grouped", "tail", NULL};
  espq_tensor **out = espq_lua_result(L, 2);
  espq_lua_checkfields(L, 2, allowed);
  espq_filter_layout layout = {.order = check_order(L, 2),
                               .grouped = bool_field(L, 2, "grouped"),
                               .tail = bool_field(L, 2, "tail"),
                               .axes = string_field(L, 2, "axes", NULL)};
  const espq_tensor *t = espq_lua_checktensor(L, 1);
  espq_error err;
  espq_status status = espq_pack_filter(t, &layout, out, &err);
  lua_settop(L, 3);
  return espq_lua_tensor_done(L, *out, status, &err);
}

/*** core.format_elements(t): the elements of an int8 or int16 tensor as rows of C text. */
static int core_format_elements(lua_State *L) {
  void **block = espq_lua_newblock(L);
  const espq_tensor *t = espq_lua_checktensor(L, 1);
  char *text = NULL;
  size_t size = 0;
  espq_error err;
  if (espq_format_elements(t, &text, &size, &err)) return espq_lua_fail(L, &err);
  *block = text;
  lua_pushlstring(L, text, size);
  espq_free(text);
  *block = NULL;
  return 1;
}

static void push_target(lua_State *L, const espq_target *t) {
  static const char *const orders[] = {[ESPQ_ORDER_PLAIN] = "plain", [ESPQ_ORDER_BLOCKED] = "blocked"};
  static const char *const roundings[] = {
      [ESPQ_ROUND_FLOOR] = "floor", [ESPQ_ROUND_HALF_UP] = "half-up", [ESPQ_ROUND_HALF_EVEN] = "half-even"};
  const struct {
    const char *key, *text;
  } texts[] = {{"runtime", t->runtime},
               {"chip", t->chip},
               {"group", t->group},
               {"order", orders[t->order]},
               {"rounding", roundings[t->rounding]}};
  lua_createtable(L, 0, 8);
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    lua_pushstring(L, texts[i].text);
    lua_setfield(L, -2, texts[i].key);
  }
  lua_pushboolean(L, t->per_channel);
  lua_setfield(L, -2, "per_channel");
  lua_pushinteger(L, t->bias_bits_8);
  lua_setfield(L, -2, "bias_bits_8");
  lua_pushinteger(L, t->bias_bits_16);
  lua_setfield(L, -2, "bias_bits_16");
}

/*** core.targets(): what files can be written for, a list of {runtime =, chip =, group = of chips that compute alike, order =
 * "plain" | "blocked" filters, rounding =, per_channel = weights, bias_bits_8 =, bias_bits_16 =}. */
static int core_targets(lua_State *L) {
  int n;
  const espq_target *t = espq_targets(&n);
  lua_createtable(L, n, 0);
  for (int i = 0; i < n; i++) {
    push_target(L, &t[i]);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

static const luaL_Reg functions[] = {{"pack_filter", core_pack_filter},
                                     {"format_elements", core_format_elements},
                                     {"targets", core_targets},
                                     {NULL, NULL}};

void espq_lua_open_pack(lua_State *L) { luaL_setfuncs(L, functions, 0); }
