/* espq_lua.h - what the bindings share. Nothing here is logic: bindings check, call, convert.
 *
 * Rules that keep Lua's errors (longjmp) from leaking or crashing:
 * - Results first: a binding pushes the closed userdata that will own the result (espq_lua_newtensor,
 *   espq_lua_newblock), then checks its arguments, then calls the core, then charges the bytes. Between the last
 *   check and the last use of a checked pointer nothing is pushed: a collection could run a finalizer that closes it.
 * - Every C resource belongs to a userdata before the next call that can raise.
 * - Misuse raises. What the world got wrong (file, format, limit, shapes) is espq_lua_fail: nil, message, code.
 *   Lack of memory raises, as Lua's own does: an error object of espquant.errors with the code "memory".
 *
 *   static int tensor_copy(lua_State *L) {
 *     espq_tensor **out = espq_lua_result(L, 1), *t = espq_lua_checktensor(L, 1);
 *     espq_error err;
 *     espq_status status = espq_tensor_copy(t, out, &err);
 *     return espq_lua_tensor_done(L, *out, status, &err);
 *   }
 */
#ifndef ESPQ_LUA_ESPQ_LUA_H
#define ESPQ_LUA_ESPQ_LUA_H

#include <lauxlib.h>
#include <lua.h>

#include "graph/graph.h"
#include "ops/op.h"
#include "stats/entropy.h"
#include "tensor/cast.h"

/* --- parts of the module: each adds its functions to the table on top of the stack (the list is in core.c) --- */
void espq_lua_open_tensor(lua_State *L);
void espq_lua_open_graph(lua_State *L);
void espq_lua_open_registry(lua_State *L);
void espq_lua_open_onnx(lua_State *L);
void espq_lua_open_files(lua_State *L);
void espq_lua_open_quant(lua_State *L);
void espq_lua_open_run(lua_State *L);
void espq_lua_open_stats(lua_State *L);
void espq_lua_open_pack(lua_State *L);
void espq_lua_open_image(lua_State *L);

/* --- status.c --- */
int espq_lua_fail(lua_State *L, const espq_error *err); /* pushes nil, message, code; 3. Raises for ESPQ_EMEMORY */
int espq_lua_out_of_memory(lua_State *L);               /* raises */
int espq_lua_done(lua_State *L, espq_status status, const espq_error *err); /* true, or as espq_lua_fail */
int espq_lua_raise(lua_State *L, const espq_error *err);                    /* never returns */
/* Tells the collector about bytes that only C sees, so that it works as hard as if they were Lua's. Comes last. */
void espq_lua_charge(lua_State *L, size_t bytes);

/* Exponents in Lua: integers; -math.huge, math.huge and NaN for scales of 0, infinity and NaN (quant.c). */
void espq_lua_pushexponent(lua_State *L, int exponent);
/* An exponent or a list of at least one, in a block that is pushed; raises for anything else. */
int32_t *espq_lua_checkexponents(lua_State *L, int arg, int *n);
/* As espq_lua_fail, and then the exception and text of the original for this refusal; 5 (stats.c). */
int espq_lua_refuse(lua_State *L, const espq_error *err, espq_entropy_refusal refusal);

/* --- handle.c: classes and arguments --- */
typedef struct espq_lua_class {
  const char *name;        /* "espquant.tensor" */
  const luaL_Reg *methods; /* t:copy() */
  const luaL_Reg *fields;  /* t.shape: called with the object alone on the stack */
  const luaL_Reg *setters; /* g.name = x: called with object and x; NULL: none */
  const luaL_Reg *meta;    /* __gc, __len ... */
  lua_CFunction index;     /* t[key] for keys that are no strings; NULL: none */
  lua_CFunction newindex;  /* t[key] = x */
} espq_lua_class;

/* Makes the metatable. It keeps the tables of methods and fields as __methods and __fields, for help and completion. */
void espq_lua_newclass(lua_State *L, const espq_lua_class *class);
/* A string without zero bytes: a name inside a graph. */
const char *espq_lua_checkname(lua_State *L, int arg);
/* Raises unless arg is a table whose keys are all in the list (NULL ends it). */
void espq_lua_checkfields(lua_State *L, int arg, const char *const *allowed);
/* Length of a list; raises unless arg is a table. At most `max`, an argument error otherwise. */
int espq_lua_checklist(lua_State *L, int arg, int max);
/* Element i of the list at arg as an integer; raises otherwise. */
int64_t espq_lua_checkinteger_at(lua_State *L, int arg, int i);
/* A block of espq_alloc owned by Lua: pushes its empty userdata; store the block into the result. */
void **espq_lua_newblock(lua_State *L);
/* A zeroed block that lives as long as its userdata, which is pushed. */
void *espq_lua_scratch(lua_State *L, size_t count, size_t size);

/* --- tensor.c --- */
extern const char espq_lua_tensor_name[];
espq_tensor **espq_lua_newtensor(lua_State *L); /* pushes a closed tensor: store the reference in it */
/* The same as the first thing in a function, whose arguments are cut or filled with nil to this number. */
espq_tensor **espq_lua_result(lua_State *L, int arguments);
espq_tensor *espq_lua_checktensor(lua_State *L, int arg); /* borrowed; raises when closed */
espq_tensor *espq_lua_totensor(lua_State *L, int arg);    /* NULL: something else, or closed */
/* The end of a function whose new tensor is on top of the stack: charges its bytes; or nil, message, code. */
int espq_lua_tensor_done(lua_State *L, const espq_tensor *t, espq_status status, const espq_error *err);
espq_dtype espq_lua_checkdtype(lua_State *L, int arg, const char *otherwise);
/* A list of integers. Returns its length, which may exceed ESPQ_MAX_RANK (then only so many are in dim): the core's
 * functions refuse it with a message. */
int espq_lua_checkshape(lua_State *L, int arg, int64_t *dim);
void espq_lua_pushshape(lua_State *L, int rank, const int64_t *dim);
void espq_lua_pushnumber(lua_State *L, espq_number x);
/* The number at arg as an element of this type; raises when it is none or does not fit. */
espq_number espq_lua_checkelement(lua_State *L, int arg, espq_dtype dtype);
/* An axis, 0-based, negative ones counted from the end; raises outside. */
int espq_lua_checkaxis(lua_State *L, int arg, int rank);
extern const luaL_Reg espq_lua_tensor_operators[]; /* tensor_ops.c: methods */
extern const luaL_Reg espq_lua_tensor_meta[];      /* tensor_ops.c: __add ... */
int espq_lua_concat(lua_State *L);                 /* tensor_ops.c */
int espq_lua_tensor_from(lua_State *L);            /* tensor_table.c: core.tensor_from */
int espq_lua_tensor_totable(lua_State *L);
int espq_lua_tensor_tostring(lua_State *L);

/* --- graph.c, build.c, node.c, value.c --- */
typedef struct espq_lua_graph {
  espq_graph *graph; /* NULL: closed */
  int *refs;         /* this userdata and the holds on it; who drops the last one frees both */
  uint64_t edits;    /* counts changes, for whoever keeps something derived from the graph */
} espq_lua_graph;

/* A node or a value. Its first user value is the graph's userdata. One per id as long as Lua holds it, so == compares
 * and handles can be keys of tables. */
typedef struct espq_lua_handle {
  espq_lua_graph *owner;
  espq_id id;
} espq_lua_handle;

espq_lua_graph *espq_lua_newgraph(lua_State *L); /* pushes a closed graph */
/* Gives it its graph; takes over `graph`, also when it raises. */
void espq_lua_setgraph(lua_State *L, espq_lua_graph *g, espq_graph *graph);
espq_lua_graph *espq_lua_checkgraph(lua_State *L, int arg); /* raises when closed */
/* Pushes a userdata that keeps the memory of the graph at arg even when a finalizer (or the script) closes it: for
 * functions that walk a graph while they push, and for executors. */
espq_graph *espq_lua_hold(lua_State *L, int arg);
void espq_lua_drop(lua_State *L, int hold); /* ends it early; without this the collector does */

/* The graph at absolute index `graph` hands out handles; ESPQ_NONE pushes nil. */
void espq_lua_pushnode(lua_State *L, int graph, espq_id id);
void espq_lua_pushvalue(lua_State *L, int graph, espq_id id);
void espq_lua_pushowner(lua_State *L, int handle); /* the graph's userdata of the handle */
/* A list of handles. ids and n are read anew for every entry: the array may move meanwhile (hold the graph). */
void espq_lua_pushhandles(lua_State *L, int graph, void (*push)(lua_State *, int, espq_id), espq_id *const *ids,
                          const size_t *n);
extern const char espq_lua_node_name[], espq_lua_value_name[];
/* Raise when the graph is closed or the element removed. */
espq_lua_handle *espq_lua_checknode(lua_State *L, int arg);
espq_lua_handle *espq_lua_checkvalue(lua_State *L, int arg);
espq_lua_handle *espq_lua_checkhandle(lua_State *L, int arg, const char *class); /* alive or not */
bool espq_lua_alive(const espq_lua_handle *h, const char *class);
/* The id of a value, or of a node's first output; raise when it is removed or of another graph. */
espq_id espq_lua_checkvalue_of(lua_State *L, int arg, const espq_lua_graph *g);
espq_id espq_lua_checknode_of(lua_State *L, int arg, const espq_lua_graph *g);
espq_id espq_lua_checkentry_of(lua_State *L, int i, const espq_lua_graph *g); /* top of the stack: entry i of a list */
/* The same for a list of values, with false for ESPQ_NONE: entries 1..n of the list at arg. */
void espq_lua_checkvalues_of(lua_State *L, int arg, const espq_lua_graph *g, int n, espq_id *ids);

/* An attribute from the value on top of the stack; `kind` NULL: by its type. Points into Lua's strings and into blocks
 * that it pushes: to be copied before anything else is done with L. */
void espq_lua_checkattr(lua_State *L, const char *name, const char *kind, espq_attr *attr);
/* A shape: integers, names or false; nil: rank not known. Pushes the names. */
typedef struct espq_lua_shape {
  espq_shape shape;
  const char *symbol[ESPQ_MAX_RANK];
} espq_lua_shape;
void espq_lua_checkvalue_shape(lua_State *L, int arg, espq_lua_shape *shape);
espq_status espq_lua_set_value_shape(espq_graph *g, espq_id value, const espq_lua_shape *shape, espq_error *err);

extern const luaL_Reg espq_lua_build_methods[]; /* build.c: g:add_node ... */
int espq_lua_graph_new(lua_State *L);           /* build.c: core.graph */
int espq_lua_node_remove(lua_State *L);         /* node.c: node:remove() */
void espq_lua_open_node(lua_State *L);
void espq_lua_open_value(lua_State *L);

#endif
