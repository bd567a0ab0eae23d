/* Statistics of one tensor: core.entropy_threshold, core.percentile, core.histogram_exponent. */
#include "lua/espq_lua.h"
#include "quant/exponent.h"
#include "stats/entropy.h"
#include "stats/kl.h"
#include "stats/mse.h"
#include "stats/percentile.h"

static espq_status search(const espq_tensor *t, double *threshold, espq_entropy_refusal *refusal, espq_error *err) {
  espq_minmax range;
  espq_histogram h = {0};
  espq_minmax_init(&range);
  espq_minmax_update(&range, t->data, (size_t)t->count);
  espq_status status = espq_entropy_histogram(&h, &range, ESPQ_ENTROPY_BINS, refusal, err);
  if (!status) {
    espq_histogram_update(&h, t->data, (size_t)t->count);
    status = espq_entropy_threshold(&h, ESPQ_ENTROPY_LEVELS, threshold, refusal, err);
  }
  espq_histogram_free(&h);
  return status;
}

int espq_lua_refuse(lua_State *L, const espq_error *err, espq_entropy_refusal refusal) {
  const char *text = NULL, *exception = espq_entropy_exception(refusal, &text);
  int n = espq_lua_fail(L, err);
  if (!refusal) return n;
  lua_pushstring(L, exception);
  lua_pushstring(L, text);
  return n + 2;
}

/*** core.entropy_threshold(t): where a float32 tensor is cut so that the Kullback-Leibler divergence is smallest; on refusal
 * nil, message, code and what the original raised: exception type and text. */
static int entropy_threshold(lua_State *L) {
  const espq_tensor *t = espq_lua_checktensor(L, 1);
  luaL_argcheck(L, t->dtype == ESPQ_F32, 1, "float32 tensor expected");
  espq_entropy_refusal refusal = ESPQ_ENTROPY_NONE;
  double threshold = 0;
  espq_error err;
  if (search(t, &threshold, &refusal, &err)) return espq_lua_refuse(L, &err, refusal);
  lua_pushnumber(L, threshold);
  return 1;
}

static const espq_tensor *check_float(lua_State *L, int arg) {
  const espq_tensor *t = espq_lua_checktensor(L, arg);
  luaL_argcheck(L, t->dtype == ESPQ_F32, arg, "float32 tensor expected");
  return t;
}

/*** core.percentile(t[, part = 0.9999]): the range of a float32 tensor without the smallest and largest elements, lo and
 * hi; NaN where an element is. */
static int percentile(lua_State *L) {
  double part = luaL_optnumber(L, 2, ESPQ_PERCENTILE);
  luaL_argcheck(L, part >= 0.5 && part <= 1, 2, "0.5 to 1 expected");
  const espq_tensor *t = check_float(L, 1);
  espq_percentile *p;
  espq_error err;
  if (espq_percentile_new(&p, &err)) return espq_lua_fail(L, &err);
  espq_percentile_range range = espq_percentile_of(p, &(espq_blocked){t->data, 1, t->count, 1, 1}, part);
  espq_percentile_free(p);
  lua_pushnumber(L, range.lo);
  lua_pushnumber(L, range.hi);
  return 2;
}

static espq_status exponent_of(const espq_tensor *t, bool kl, int bits, int *exponent, espq_error *err) {
  espq_minmax range;
  espq_histogram h = {0};
  double step;
  espq_minmax_init(&range);
  espq_minmax_update(&range, t->data, (size_t)t->count);
  float absmax = espq_minmax_absmax(&range);
  *exponent = espq_exponent_of_absmax_v3(absmax, bits);
  if (absmax == 0 || !espq_exponent_is_number(*exponent)) return ESPQ_OK;
  espq_status status = espq_histogram_init(&h, ESPQ_HISTOGRAM_MAGNITUDE, absmax, ESPQ_KL_BINS, err);
  if (!status) espq_histogram_update(&h, t->data, (size_t)t->count);
  if (!status && kl) status = espq_kl_step(&h, ESPQ_KL_LEVELS, &step, err);
  if (!status) *exponent = kl ? espq_exponent_of_step_v3(step) : espq_mse_exponent(&h, bits);
  espq_histogram_free(&h);
  return status;
}

/*** core.histogram_exponent(t, "kl" | "mse", bits): the exponent of a float32 tensor for ESP-DL v3 from its histogram. */
static int histogram_exponent(lua_State *L) {
  static const char *const observers[] = {"kl", "mse", NULL};
  bool kl = luaL_checkoption(L, 2, NULL, observers) == 0;
  lua_Integer bits = luaL_checkinteger(L, 3);
  luaL_argcheck(L, bits == 8 || (bits == 16 && !kl), 3, "8, or for mse 16, expected");
  int exponent;
  espq_error err;
  if (exponent_of(check_float(L, 1), kl, (int)bits, &exponent, &err)) return espq_lua_fail(L, &err);
  espq_lua_pushexponent(L, exponent);
  return 1;
}

void espq_lua_open_stats(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"percentile", percentile}, {"histogram_exponent", histogram_exponent}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
  lua_pushcfunction(L, entropy_threshold);
  lua_setfield(L, -2, "entropy_threshold");
}
