/* Statistics of one tensor: core.entropy_threshold. */
#include "lua/espq_lua.h"
#include "stats/entropy.h"

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

void espq_lua_open_stats(lua_State *L) {
  lua_pushcfunction(L, entropy_threshold);
  lua_setfield(L, -2, "entropy_threshold");
}
