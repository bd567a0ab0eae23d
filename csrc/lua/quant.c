/* Exponents and quantized tensors: core.exponent_of_*, t:quantize, t:dequantize. In Lua a scale of 0 has the exponent
 * -math.huge, an infinite one math.huge, NaN is NaN. */
#include <math.h>

#include "lua/espq_lua.h"
#include "quant/exponent.h"
#include "quant/quantize.h"

void espq_lua_pushexponent(lua_State *L, int e) {
  if (e == ESPQ_EXPONENT_ZERO) lua_pushnumber(L, -HUGE_VAL);
  else if (e == ESPQ_EXPONENT_INF) lua_pushnumber(L, HUGE_VAL);
  else if (e == ESPQ_EXPONENT_NAN) lua_pushnumber(L, (lua_Number)NAN);
  else lua_pushinteger(L, e);
}

static int push_exponent(lua_State *L, int e) {
  espq_lua_pushexponent(L, e);
  return 1;
}

static int to_exponent(lua_State *L, int index, int arg) {
  lua_Number x = lua_tonumber(L, index);
  if (lua_type(L, index) != LUA_TNUMBER) luaL_argerror(L, arg, "exponent: number expected");
  if (isnan(x)) return ESPQ_EXPONENT_NAN;
  if (isinf(x)) return x < 0 ? ESPQ_EXPONENT_ZERO : ESPQ_EXPONENT_INF;
  if (x != floor(x) || fabs(x) > 1e6) luaL_argerror(L, arg, "exponent: an integer of at most a million expected");
  return (int)x;
}

static int check_bits(lua_State *L, int arg) {
  lua_Integer bits = luaL_checkinteger(L, arg);
  luaL_argcheck(L, bits == 8 || bits == 16, arg, "8 or 16 expected");
  return (int)bits;
}

static int exponent_of_absmax(lua_State *L) {
  return push_exponent(L, espq_exponent_of_absmax((float)luaL_checknumber(L, 1), check_bits(L, 2)));
}

static int exponent_of_channel(lua_State *L) {
  return push_exponent(L, espq_exponent_of_channel((float)luaL_checknumber(L, 1), check_bits(L, 2)));
}

static int exponent_of_alpha(lua_State *L) {
  return push_exponent(L, espq_exponent_of_alpha(luaL_checknumber(L, 1), check_bits(L, 2)));
}

static int exponent_of_threshold(lua_State *L) {
  return push_exponent(L, espq_exponent_of_threshold(luaL_checknumber(L, 1)));
}

static int v3_exponent_of_absmax(lua_State *L) {
  return push_exponent(L, espq_exponent_of_absmax_v3((float)luaL_checknumber(L, 1), check_bits(L, 2)));
}

static int exponent_of_bias(lua_State *L) {
  luaL_checknumber(L, 1);
  luaL_checknumber(L, 2);
  return push_exponent(L, espq_exponent_of_bias(to_exponent(L, 1, 1), to_exponent(L, 2, 2)));
}

/* nil when the scale is no power of two. */
static int exponent_of_scale(lua_State *L) {
  int e;
  if (!espq_exponent_of_scale(luaL_checknumber(L, 1), &e)) return 0;
  return push_exponent(L, e);
}

int32_t *espq_lua_checkexponents(lua_State *L, int arg, int *n) {
  bool list = lua_istable(L, arg);
  *n = list ? espq_lua_checklist(L, arg, 1 << 24) : 1;
  luaL_argcheck(L, *n > 0, arg, "at least one exponent expected");
  int32_t *e = espq_lua_scratch(L, (size_t)*n, sizeof *e);
  if (!list) e[0] = to_exponent(L, arg, arg);
  for (int i = 0; list && i < *n; i++) {
    lua_rawgeti(L, arg, i + 1);
    e[i] = to_exponent(L, -1, arg);
    lua_pop(L, 1);
  }
  return e;
}

/* The axis of several exponents; 0 where it does not matter. */
static int optional_axis(lua_State *L, int arg, const espq_tensor *t, int n) {
  return n == 1 || lua_isnoneornil(L, arg) ? 0 : espq_lua_checkaxis(L, arg, t->rank);
}

/* 8, 16, 20, 32, 40 or 64. */
static int check_integer_bits(lua_State *L, int arg) {
  lua_Integer bits = luaL_checkinteger(L, arg);
  bool known = bits == 8 || bits == 16 || bits == 20 || bits == 32 || bits == 40 || bits == 64;
  luaL_argcheck(L, known, arg, "8, 16, 20, 32, 40 or 64 expected");
  return (int)bits;
}

/*** t:quantize(exponents, bits[, axis[, rounding = "half-even"]]): clip(round(t / 2^e)) as int8, int16, int32 (20 and 32
 * bits) or int64 (40 and 64); "half-up" rounds up where two integers are as near. */
static int tensor_quantize(lua_State *L) {
  static const char *const roundings[] = {"half-even", "half-up", NULL};
  espq_tensor **out = espq_lua_result(L, 5);
  int n, bits = check_integer_bits(L, 3);
  espq_integers to = {bits, luaL_checkoption(L, 5, "half-even", roundings) ? ESPQ_ROUND_HALF_UP : ESPQ_ROUND_HALF_EVEN};
  int32_t *e = espq_lua_checkexponents(L, 2, &n);
  const espq_tensor *t = espq_lua_checktensor(L, 1);
  espq_error err;
  espq_status status = espq_quantize(t, to, e, n, optional_axis(L, 4, t, n), espq_isa_detect(), out, &err);
  lua_settop(L, 6);
  return espq_lua_tensor_done(L, *out, status, &err);
}

/*** t:dequantize(exponents[, axis]): t * 2^e as float32. */
static int tensor_dequantize(lua_State *L) {
  espq_tensor **out = espq_lua_result(L, 3);
  int n;
  int32_t *e = espq_lua_checkexponents(L, 2, &n);
  const espq_tensor *t = espq_lua_checktensor(L, 1);
  espq_error err;
  espq_status status = espq_dequantize(t, e, n, optional_axis(L, 3, t, n), espq_isa_detect(), out, &err);
  lua_settop(L, 4);
  return espq_lua_tensor_done(L, *out, status, &err);
}

static const luaL_Reg functions[] = {
    {"exponent_of_absmax", exponent_of_absmax},       {"exponent_of_channel", exponent_of_channel},
    {"exponent_of_alpha", exponent_of_alpha},         {"exponent_of_threshold", exponent_of_threshold},
    {"v3_exponent_of_absmax", v3_exponent_of_absmax}, {"exponent_of_bias", exponent_of_bias},
    {"exponent_of_scale", exponent_of_scale},         {NULL, NULL}};

static const luaL_Reg methods[] = {{"quantize", tensor_quantize}, {"dequantize", tensor_dequantize}, {NULL, NULL}};

void espq_lua_open_quant(lua_State *L) {
  luaL_setfuncs(L, functions, 0);
  luaL_getmetatable(L, espq_lua_tensor_name);
  lua_getfield(L, -1, "__methods");
  luaL_setfuncs(L, methods, 0);
  lua_pop(L, 2);
}
