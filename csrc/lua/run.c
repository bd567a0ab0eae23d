/* Executors and observations.
 *
 *   local exec = core.executor(graph, {threads = 2, outputs = {"conv1_out"}})
 *   local tensors, names = exec:run(images [, observation])     -- images: a tensor, or a list by graph input
 *   local o = core.observe_range(graph, {"conv1_out"});  o:range(1) --> min, max, has_nan, count
 *   local h = core.observe_histogram(o);                 h:threshold(1) --> number | nil, message, code, exception, text
 *
 * Both keep their graph alive; an executor refuses to run after its graph was edited. */
#include <string.h>

#include "base/alloc.h"
#include "infer/engine.h"
#include "lua/espq_lua.h"
#include "run/evaluate.h"
#include "run/exec.h"
#include "stats/entropy.h"

static const char exec_name[] = "espquant.executor", observation_name[] = "espquant.observation";

typedef struct lua_exec {
  espq_exec *exec; /* NULL: closed */
  espq_lua_graph *owner;
  uint64_t edits;
} lua_exec;

typedef struct lua_observation {
  espq_observation *observation; /* NULL: closed */
  espq_lua_graph *owner;
} lua_observation;

/* --- observations --- */

static lua_observation *check_observation(lua_State *L, int arg) {
  lua_observation *o = luaL_checkudata(L, arg, observation_name);
  if (!o->observation) luaL_argerror(L, arg, "the observation is closed");
  return o;
}

/* Pushes a closed observation of the graph at stack index `graph`. */
static lua_observation *new_observation(lua_State *L, int graph, espq_lua_graph *owner) {
  lua_observation *o = lua_newuserdatauv(L, sizeof *o, 1);
  *o = (lua_observation){NULL, owner};
  luaL_setmetatable(L, observation_name);
  lua_pushvalue(L, graph);
  lua_setiuservalue(L, -2, 1);
  return o;
}

static int observation_close(lua_State *L) {
  lua_observation *o = luaL_checkudata(L, 1, observation_name);
  espq_observation_free(o->observation);
  o->observation = NULL;
  return 0;
}

/* The list of tensor names at `index` as ids, in a block that is pushed; it belongs to argument `arg`. */
static espq_id *check_names(lua_State *L, int index, int arg, const espq_graph *g, int *n) {
  if (!lua_istable(L, index)) luaL_argerror(L, arg, "a list of names of tensors expected");
  *n = espq_lua_checklist(L, index, 1 << 24);
  espq_id *ids = espq_lua_scratch(L, (size_t)*n + 1, sizeof *ids);
  for (int i = 0; i < *n; i++) {
    lua_rawgeti(L, index, i + 1);
    const char *name = lua_tostring(L, -1);
    ids[i] = name ? espq_graph_find_value(g, name) : ESPQ_NONE;
    if (ids[i] == ESPQ_NONE)
      luaL_argerror(L, arg,
                    lua_pushfstring(L, "the graph has no tensor '%s'", name ? name : luaL_tolstring(L, -1, NULL)));
    lua_pop(L, 1);
  }
  return ids;
}

/*** core.observe_range(graph, names): accumulates minima and maxima. */
static int observe_range(lua_State *L) {
  int n;
  lua_settop(L, 2);
  const espq_graph *graph = espq_lua_hold(L, 1);
  const espq_id *ids = check_names(L, 2, 2, graph, &n);
  lua_observation *o = new_observation(L, 1, espq_lua_checkgraph(L, 1));
  espq_error err;
  if (espq_observe_range(ids, (size_t)n, &o->observation, &err)) return espq_lua_fail(L, &err);
  return 1;
}

/*** core.observe_percentile(graph, names): accumulates ranges without the outermost ten-thousandth on either side,
 * image by image; their means are what range(i) tells, with the number of images as count. */
static int observe_percentile(lua_State *L) {
  int n;
  lua_settop(L, 2);
  const espq_graph *graph = espq_lua_hold(L, 1);
  const espq_id *ids = check_names(L, 2, 2, graph, &n);
  lua_observation *o = new_observation(L, 1, espq_lua_checkgraph(L, 1));
  espq_error err;
  if (espq_observe_percentile(ids, (size_t)n, &o->observation, &err)) return espq_lua_fail(L, &err);
  return 1;
}

static espq_status start_histograms(const espq_observation *ranges, espq_histograms kind, size_t n,
                                    espq_observation **out, espq_error *err) {
  espq_minmax *span = espq_calloc(n, sizeof *span);
  if (!span) return espq_fail_memory(err);
  for (size_t i = 0; i < n; i++) espq_observed_range(ranges, i, &span[i]);
  espq_status status = espq_observe_histogram(espq_observation_values(ranges), n, kind, span, out, err);
  espq_free(span);
  return status;
}

/*** core.observe_histogram(observed_ranges[, runtime = "v1"[, count]]): histograms of the same tensors over these
 * ranges, or of the first `count` of them; "v3": of magnitudes. */
static int observe_histogram(lua_State *L) {
  static const char *const runtimes[] = {"v1", "v3", NULL};
  lua_settop(L, 3);
  lua_observation *from = check_observation(L, 1);
  lua_Integer all = (lua_Integer)espq_observation_count(from->observation), count = luaL_optinteger(L, 3, all);
  luaL_argcheck(L, count >= 0 && count <= all, 3, "as many tensors are not observed");
  espq_histograms kind = luaL_checkoption(L, 2, "v1", runtimes) ? ESPQ_HISTOGRAMS_V3 : ESPQ_HISTOGRAMS_V1;
  lua_getiuservalue(L, 1, 1);
  lua_observation *o = new_observation(L, 4, from->owner);
  espq_error err;
  if (start_histograms(from->observation, kind, (size_t)count, &o->observation, &err)) return espq_lua_fail(L, &err);
  return 1;
}

static size_t check_which(lua_State *L, int arg, const espq_observation *o) {
  lua_Integer i = luaL_checkinteger(L, arg);
  luaL_argcheck(L, i >= 1 && (size_t)i <= espq_observation_count(o), arg, "no tensor of that number is observed");
  return (size_t)i - 1;
}

/*** o:range(i): min, max, has_nan, count of tensor i. */
static int observation_range(lua_State *L) {
  const lua_observation *o = check_observation(L, 1);
  espq_minmax m;
  espq_observed_range(o->observation, check_which(L, 2, o->observation), &m);
  lua_pushnumber(L, m.min);
  lua_pushnumber(L, m.max);
  lua_pushboolean(L, m.nan);
  lua_pushinteger(L, m.count);
  return 4;
}

/*** h:threshold(i): the threshold of smallest KL divergence; on refusal nil, message, code and what the original raised:
 * exception type and text. */
static int observation_threshold(lua_State *L) {
  const lua_observation *o = check_observation(L, 1);
  espq_threshold t;
  espq_error err;
  if (espq_observed_threshold(o->observation, check_which(L, 2, o->observation), &t, &err))
    return espq_lua_refuse(L, &err, t.refusal);
  lua_pushnumber(L, t.value);
  return 1;
}

/*** h:thresholds([threads]): the list of all thresholds, searched in parallel; false where threshold(i) says why there is
 * none. */
static int observation_thresholds(lua_State *L) {
  const lua_observation *o = check_observation(L, 1);
  lua_Integer threads = luaL_optinteger(L, 2, 0);
  luaL_argcheck(L, threads >= 0 && threads <= 1 << 20, 2, "a number of threads expected");
  size_t n = espq_observation_count(o->observation);
  espq_threshold *t = espq_lua_scratch(L, n + 1, sizeof *t);
  espq_error err;
  if (espq_observed_thresholds(check_observation(L, 1)->observation, (int)threads, t, &err))
    return espq_lua_fail(L, &err);
  lua_createtable(L, (int)n, 0);
  for (size_t i = 0; i < n; i++) {
    if (t[i].status) lua_pushboolean(L, false);
    else lua_pushnumber(L, t[i].value);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/*** h:exponents("kl" | "mse", bits[, threads]): the exponents of all tensors for ESP-DL v3, searched in parallel. */
static int observation_exponents(lua_State *L) {
  static const char *const observers[] = {"kl", "mse", NULL};
  lua_settop(L, 4);
  const lua_observation *o = check_observation(L, 1);
  espq_observer observer = luaL_checkoption(L, 2, NULL, observers) ? ESPQ_OBSERVER_MSE : ESPQ_OBSERVER_KL;
  lua_Integer bits = luaL_checkinteger(L, 3), threads = luaL_optinteger(L, 4, 0);
  luaL_argcheck(L, bits == 8 || (bits == 16 && observer != ESPQ_OBSERVER_KL), 3, "8, or for mse 16, expected");
  luaL_argcheck(L, threads >= 0 && threads <= 1 << 20, 4, "a number of threads expected");
  size_t n = espq_observation_count(o->observation);
  int *exponents = espq_lua_scratch(L, n + 1, sizeof *exponents);
  espq_error err;
  if (espq_observed_exponents(check_observation(L, 1)->observation, observer, (int)bits, (int)threads, exponents, &err))
    return espq_lua_fail(L, &err);
  lua_createtable(L, (int)n, 0);
  for (size_t i = 0; i < n; i++) {
    espq_lua_pushexponent(L, exponents[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/*** h:counts(i, bins): where the histogram of tensor i begins and ends, and its counts in so many equal bins as a list;
 * nil: it has no histogram. */
static int observation_counts(lua_State *L) {
  const lua_observation *o = check_observation(L, 1);
  size_t which = check_which(L, 2, o->observation);
  lua_Integer bins = luaL_checkinteger(L, 3);
  luaL_argcheck(L, bins >= 1 && bins <= ESPQ_HISTOGRAM_MAX_BINS, 3, "a number of bins expected");
  int64_t *sums = espq_lua_scratch(L, (size_t)bins, sizeof *sums);
  espq_histogram h;
  bool have;
  espq_error err;
  espq_status status = espq_observed_histogram(o->observation, which, &h, &have, &err);
  double lo = h.kind == ESPQ_HISTOGRAM_SYMMETRIC ? -h.hi : 0, hi = h.hi;
  for (int k = 0; !status && have && k < h.bins; k++) sums[k * bins / h.bins] += espq_histogram_count(&h, k);
  espq_histogram_free(&h);
  if (status) return espq_lua_fail(L, &err);
  if (!have) return 0;
  lua_pushnumber(L, lo);
  lua_pushnumber(L, hi);
  lua_createtable(L, (int)bins, 0);
  for (lua_Integer k = 0; k < bins; k++) {
    lua_pushinteger(L, sums[k]);
    lua_rawseti(L, -2, k + 1);
  }
  return 3;
}

/* Pushes what an observation has seen as bytes. */
static int push_state(lua_State *L, const espq_observation *o) {
  void **block = espq_lua_newblock(L);
  char *bytes;
  size_t size;
  espq_error err;
  if (espq_observation_write(o, &bytes, &size, &err)) return espq_lua_fail(L, &err);
  *block = bytes;
  lua_pushlstring(L, bytes, size);
  espq_free(*block);
  *block = NULL;
  return 1;
}

/*** o:state(): all that was seen, as bytes: the same on every machine and for every number of threads. */
static int observation_state(lua_State *L) { return push_state(L, check_observation(L, 1)->observation); }

/*** o:add_state(bytes): adds what another observation of the same tensors has seen; true, or nil, message, code, after
 * which the observation is of no use. */
static int observation_add_state(lua_State *L) {
  const lua_observation *o = check_observation(L, 1);
  size_t size;
  const char *bytes = luaL_checklstring(L, 2, &size);
  espq_error err;
  if (espq_observation_add_bytes(o->observation, bytes, size, &err)) return espq_lua_fail(L, &err);
  lua_pushboolean(L, true);
  return 1;
}

static int observation_gc_bare(lua_State *L) {
  espq_observation **o = lua_touserdata(L, 1);
  espq_observation_free(*o);
  *o = NULL;
  return 0;
}

/*** core.merge_states(list): the states (bytes) of observations of the same tensors as one, in any order. */
static int merge_states(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_Integer n = luaL_len(L, 1);
  luaL_argcheck(L, n >= 1, 1, "at least one state expected");
  espq_observation **o = lua_newuserdatauv(L, sizeof *o, 0);
  *o = NULL;
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, observation_gc_bare);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  espq_error err;
  for (lua_Integer i = 1; i <= n; i++) {
    size_t size;
    if (lua_geti(L, 1, i) != LUA_TSTRING) luaL_argerror(L, 1, "a list of strings expected");
    const char *bytes = lua_tolstring(L, -1, &size);
    espq_status status =
        *o ? espq_observation_add_bytes(*o, bytes, size, &err) : espq_observation_read(bytes, size, o, &err);
    if (status) return espq_lua_fail(L, &err);
    lua_pop(L, 1);
  }
  return push_state(L, *o);
}

static const luaL_Reg observation_methods[] = {
    {"range", observation_range},         {"state", observation_state},           {"add_state", observation_add_state},
    {"threshold", observation_threshold}, {"thresholds", observation_thresholds}, {"exponents", observation_exponents},
    {"counts", observation_counts},       {"close", observation_close},           {NULL, NULL}};
static const luaL_Reg observation_meta[] = {{"__gc", observation_close}, {"__close", observation_close}, {NULL, NULL}};

/* --- executors --- */

static lua_exec *check_exec(lua_State *L, int arg) {
  lua_exec *e = luaL_checkudata(L, arg, exec_name);
  if (!e->exec || !e->owner->graph) luaL_argerror(L, arg, "the executor or its graph is closed");
  if (e->edits != e->owner->edits) luaL_argerror(L, arg, "the graph was changed after the executor was made");
  return e;
}

static int exec_close(lua_State *L) {
  lua_exec *e = luaL_checkudata(L, 1, exec_name);
  espq_exec_free(e->exec);
  e->exec = NULL;
  return 0;
}

static const char *const isa_names[] = {"portable", "avx2", "avx512-vnni", "auto", NULL};

/* Field `name` of the options at arg 2 as an integer of at least 0. */
static lua_Integer option_integer(lua_State *L, const char *name) {
  lua_getfield(L, 2, name);
  int ok;
  lua_Integer x = lua_isnil(L, -1) ? 0 : lua_tointegerx(L, -1, &ok);
  if (!lua_isnil(L, -1) && (!ok || x < 0 || x > 1 << 20))
    luaL_argerror(L, 2, lua_pushfstring(L, "option '%s': an integer of at least 0 expected", name));
  lua_pop(L, 1);
  return x;
}

static espq_isa option_isa(lua_State *L) {
  const char *name = lua_getfield(L, 2, "isa") == LUA_TNIL ? "auto" : lua_tostring(L, -1);
  int i = 0;
  while (isa_names[i] && (!name || strcmp(isa_names[i], name) != 0)) i++;
  if (!isa_names[i])
    luaL_argerror(L, 2,
                  lua_pushfstring(L, "option 'isa': portable, avx2, avx512-vnni or auto expected, got %s",
                                  luaL_tolstring(L, -1, NULL)));
  lua_pop(L, 1);
  return (espq_isa)i;
}

/* Pushes a closed executor of the graph at index 1; it keeps the graph, and its memory (the hold at index 3) even when
 * the graph is closed. */
static lua_exec *new_exec(lua_State *L) {
  lua_exec *e = lua_newuserdatauv(L, sizeof *e, 2);
  espq_lua_graph *g = espq_lua_checkgraph(L, 1);
  *e = (lua_exec){NULL, g, g->edits};
  luaL_setmetatable(L, exec_name);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  lua_pushvalue(L, 3);
  lua_setiuservalue(L, -2, 2);
  return e;
}

/*** core.executor(graph[, {threads=, micro_batch=, outputs={names}, isa=}]) */
static int executor(lua_State *L) {
  static const char *const allowed[] = {"threads", "micro_batch", "outputs", "isa", NULL};
  lua_settop(L, 2);
  if (lua_isnil(L, 2)) {
    lua_newtable(L);
    lua_replace(L, 2);
  }
  espq_lua_checkfields(L, 2, allowed);
  espq_graph *graph = espq_lua_hold(L, 1);
  espq_exec_options o = {.threads = (int)option_integer(L, "threads"),
                         .micro_batch = option_integer(L, "micro_batch"),
                         .isa = option_isa(L)};
  int n = 0;
  if (lua_getfield(L, 2, "outputs") != LUA_TNIL) o.outputs = check_names(L, 4, 2, graph, &n);
  o.noutputs = (size_t)n;
  lua_exec *e = new_exec(L);
  espq_error err;
  espq_ops_resolve(graph);
  if (espq_exec_new(graph, &o, &e->exec, &err)) return espq_lua_fail(L, &err);
  espq_lua_charge(L, espq_exec_bytes(e->exec));
  return 1;
}

/* A tensor, or a list of them, one for each graph input, into a block that is pushed. */
static espq_tensor **check_inputs(lua_State *L, int arg, const espq_graph *g) {
  bool list = lua_istable(L, arg);
  int n = list ? espq_lua_checklist(L, arg, 1 << 20) : 1;
  if ((size_t)n != g->ninputs)
    luaL_argerror(L, arg, lua_pushfstring(L, "%d tensors for a model of %d inputs", n, (int)g->ninputs));
  espq_tensor **inputs = espq_lua_scratch(L, (size_t)n + 1, sizeof *inputs);
  if (!list) inputs[0] = espq_lua_checktensor(L, arg);
  for (int i = 0; list && i < n; i++) {
    lua_rawgeti(L, arg, i + 1);
    inputs[i] = espq_lua_totensor(L, -1);
    if (!inputs[i]) luaL_argerror(L, arg, lua_pushfstring(L, "entry %d: tensor expected", i + 1));
    lua_pop(L, 1);
  }
  return inputs;
}

/* Pushes the list of results, whose tensors are then owned by Lua; and the list of their names. */
static int push_outputs(lua_State *L, const espq_graph *g, const espq_id *outputs, int n, int first) {
  lua_createtable(L, n, 0);
  lua_createtable(L, n, 0);
  for (int i = 0; i < n; i++) {
    lua_pushvalue(L, first + i);
    lua_rawseti(L, -3, i + 1);
    lua_pushstring(L, g->values[outputs[i]].name);
    lua_rawseti(L, -2, i + 1);
  }
  return 2;
}

/* The tensors pushed from stack index `first` on own the results; returns their bytes. */
static size_t give_results(lua_State *L, int first, espq_tensor *const *results, int n) {
  size_t bytes = 0;
  for (int i = 0; i < n; i++) {
    *(espq_tensor **)lua_touserdata(L, first + i) = results[i];
    bytes += espq_tensor_bytes(results[i]);
  }
  return bytes;
}

/*** exec:run(images[, observation[, want_outputs = true]]): list of tensors, list of their names. */
static int exec_run(lua_State *L) {
  lua_settop(L, 4);
  const lua_exec *e = check_exec(L, 1);
  const lua_observation *observed = lua_isnil(L, 3) ? NULL : check_observation(L, 3);
  luaL_argcheck(L, !observed || observed->owner == e->owner, 3, "the observation is of another graph");
  espq_observation *o = observed ? observed->observation : NULL;
  bool want = lua_isnil(L, 4) || lua_toboolean(L, 4);
  espq_tensor **inputs = check_inputs(L, 2, e->owner->graph);
  int n = want ? (int)espq_exec_noutputs(e->exec) : 0, first = lua_gettop(L) + 1;
  luaL_checkstack(L, n + 8, "too many outputs");
  espq_tensor **results = espq_lua_scratch(L, (size_t)n + 1, sizeof *results);
  first++;
  for (int i = 0; i < n; i++) espq_lua_newtensor(L);
  espq_error err;
  if (espq_exec_run(e->exec, inputs, want ? results : NULL, o, &err)) return espq_lua_fail(L, &err);
  size_t bytes = give_results(L, first, results, n);
  if (!want) {
    lua_pushboolean(L, true);
    return 1;
  }
  int pushed = push_outputs(L, e->owner->graph, espq_exec_outputs(e->exec), n, first);
  espq_lua_charge(L, bytes);
  return pushed;
}

/*** exec.batch: {pure=, own=, reason=}: whether any number of images may be run, and if not, why. */
static int exec_batch(lua_State *L) {
  const espq_batch *b = espq_exec_batch(check_exec(L, 1)->exec);
  lua_createtable(L, 0, 3);
  lua_pushboolean(L, b->pure);
  lua_setfield(L, -2, "pure");
  lua_pushinteger(L, b->own);
  lua_setfield(L, -2, "own");
  lua_pushstring(L, b->reason);
  lua_setfield(L, -2, "reason");
  return 1;
}

/*** exec.stale: the executor can no longer be used, since its graph was edited or closed. */
static int exec_stale(lua_State *L) {
  const lua_exec *e = luaL_checkudata(L, 1, exec_name);
  lua_pushboolean(L, !e->exec || !e->owner->graph || e->edits != e->owner->edits);
  return 1;
}

static const luaL_Reg exec_methods[] = {{"run", exec_run}, {"close", exec_close}, {NULL, NULL}};
static const luaL_Reg exec_fields[] = {{"batch", exec_batch}, {"stale", exec_stale}, {NULL, NULL}};
static const luaL_Reg exec_meta[] = {{"__gc", exec_close}, {"__close", exec_close}, {NULL, NULL}};

/* --- node by node --- */

static const char evaluator_name[] = "espquant.evaluator";

static int evaluator_gc(lua_State *L) {
  espq_evaluator **e = luaL_checkudata(L, 1, evaluator_name);
  espq_evaluator_free(*e);
  *e = NULL;
  return 0;
}

static const luaL_Reg evaluator_meta[] = {{"__gc", evaluator_gc}, {NULL, NULL}};

/* Pushes an evaluator, which lives as long as its userdata. */
static espq_evaluator **new_evaluator(lua_State *L) {
  espq_evaluator **e = lua_newuserdatauv(L, sizeof *e, 0);
  *e = NULL;
  luaL_setmetatable(L, evaluator_name);
  return e;
}

/*** core.evaluate(graph, inputs[, names]): list of tensors, list of their names; computes node by node, so shapes may
 * depend on data. inputs: a tensor, or a list by graph input; names: of the tensors wanted, by default the outputs. */
static int evaluate(lua_State *L) {
  lua_settop(L, 3);
  espq_graph *g = espq_lua_hold(L, 1);
  espq_ops_resolve(g);
  espq_evaluator **e = new_evaluator(L);
  int n = (int)g->noutputs;
  const espq_id *outputs = lua_isnil(L, 3) ? g->outputs : check_names(L, 3, 3, g, &n);
  espq_tensor **inputs = check_inputs(L, 2, g), **results = espq_lua_scratch(L, (size_t)n + 1, sizeof *results);
  int first = lua_gettop(L) + 1;
  luaL_checkstack(L, n + 8, "too many outputs");
  for (int i = 0; i < n; i++) espq_lua_newtensor(L);
  espq_error err;
  if (espq_evaluator_new(e, &err) || espq_evaluate(*e, g, inputs, outputs, (size_t)n, results, &err))
    return espq_lua_fail(L, &err);
  size_t bytes = give_results(L, first, results, n);
  int pushed = push_outputs(L, g, outputs, n, first);
  espq_lua_charge(L, bytes);
  return pushed;
}

/*** core.fold_constants(graph[, max_bytes[, max_total]]): nodes whose inputs are all constant become constants of at
 * most max_bytes bytes (default 1 MiB) and max_total together (default four times as many); returns how many. */
static int fold_constants(lua_State *L) {
  lua_Integer most = luaL_optinteger(L, 2, 1 << 20);
  luaL_argcheck(L, most > 0 && most <= LUA_MAXINTEGER / 4, 2, "a positive number of bytes expected");
  lua_Integer total = luaL_optinteger(L, 3, 4 * most);
  luaL_argcheck(L, total >= 0, 3, "a number of bytes expected");
  espq_evaluator **e = new_evaluator(L);
  espq_lua_graph *g = espq_lua_checkgraph(L, 1);
  size_t folded;
  espq_error err;
  g->edits++;
  if (espq_evaluator_new(e, &err) || espq_fold_constants(*e, g->graph, (size_t)most, (size_t)total, &folded, &err))
    return espq_lua_fail(L, &err);
  lua_pushinteger(L, (lua_Integer)folded);
  return 1;
}

/*** core.isa(): the instruction set of the float kernels, "sse41", "avx2" or "avx512"; settles it for the process. */
static int isa(lua_State *L) {
  lua_pushstring(L, espq_infer_isa());
  return 1;
}

/*** core.set_isa(name): float kernels use exactly this one; before anything ran. Returns true, or nil, message, code. */
static int set_isa(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  espq_error err;
  if (espq_infer_set_isa(name, &err)) return espq_lua_fail(L, &err);
  if (strcmp(espq_infer_isa(), name) != 0) {
    espq_fail(&err, ESPQ_EUNSUPPORTED, "this machine has no '%s'; the best it has is '%s'", name, espq_infer_isa());
    return espq_lua_fail(L, &err);
  }
  lua_pushboolean(L, 1);
  return 1;
}

static const luaL_Reg functions[] = {{"isa", isa},
                                     {"set_isa", set_isa},
                                     {"evaluate", evaluate},
                                     {"executor", executor},
                                     {"fold_constants", fold_constants},
                                     {"observe_histogram", observe_histogram},
                                     {"observe_percentile", observe_percentile},
                                     {"merge_states", merge_states},
                                     {"observe_range", observe_range},
                                     {NULL, NULL}};

void espq_lua_open_run(lua_State *L) {
  espq_lua_newclass(
      L, &(espq_lua_class){.name = exec_name, .methods = exec_methods, .fields = exec_fields, .meta = exec_meta});
  espq_lua_newclass(L, &(espq_lua_class){.name = evaluator_name, .meta = evaluator_meta});
  espq_lua_newclass(
      L, &(espq_lua_class){.name = observation_name, .methods = observation_methods, .meta = observation_meta});
  luaL_setfuncs(L, functions, 0);
}
