#include "run/exec.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "base/alloc.h"
#include "base/pool.h"
#include "infer/engine.h"
#include "run/plan.h"
#include "sim/convert.h"

enum {
  MAX_PLANS = 8,
  MAX_MICRO_BATCH = 32,
  CACHE_BYTES = 1 << 20,
  WORKER_BYTES = 1 << 18 /* of a thread and its oneDNN stream, about */
};

typedef struct worker {
  espq_infer_stream *stream;
  void *memory, *scratch;
  size_t memory_size, scratch_size;
  void **inputs; /* per graph input: a staged micro-batch, or NULL until needed */
  size_t *input_sizes;
  void **bound; /* per graph input: where the present micro-batch lies */
  void *ports;  /* pointers to the inputs and outputs of a step */
  size_t ports_size;
} worker;

struct espq_exec {
  const espq_graph *graph;
  size_t ninputs; /* the graph's; kept, since it may be edited or gone when the executor is freed */
  espq_env env;
  espq_batch batch;
  espq_id *outputs;
  size_t noutputs;
  bool *depends; /* by value id */
  espq_pool *pool;
  worker *workers;
  espq_plan *plans[MAX_PLANS]; /* plans[k]: batch 2^k; a model with its own batch size uses plans[0] alone */
  int64_t micro_batch;
  espq_id *observed; /* what the plans were made to compute besides the outputs */
  size_t nobserved;
};

/* One run: what all its chunks share. */
typedef struct run {
  espq_exec *exec;
  const espq_plan *plan;
  espq_tensor *const *inputs;
  espq_tensor **outputs;
  espq_observation *observation;
  int64_t images, chunk_images; /* of the inputs, of a micro-batch; not pure: in batches of the model's own size */
  espq_status *status;          /* per worker */
  espq_error *errors;           /* per worker */
  size_t *failed_chunk;
} run;

/* --- life --- */

static void free_plans(espq_exec *e) {
  for (int i = 0; i < MAX_PLANS; i++) {
    espq_plan_free(e->plans[i]);
    e->plans[i] = NULL;
  }
}

static void free_worker(const espq_exec *e, worker *w) {
  espq_infer_stream_free(w->stream);
  espq_free(w->memory);
  espq_free(w->scratch);
  for (size_t i = 0; w->inputs && i < e->ninputs; i++) espq_free(w->inputs[i]);
  espq_free(w->inputs);
  espq_free(w->input_sizes);
  espq_free(w->bound);
  espq_free(w->ports);
}

void espq_exec_free(espq_exec *exec) {
  if (!exec) return;
  free_plans(exec);
  for (int i = 0; exec->workers && i < espq_pool_threads(exec->pool); i++) free_worker(exec, &exec->workers[i]);
  espq_free(exec->workers);
  espq_pool_free(exec->pool);
  espq_infer_engine_free(exec->env.engine);
  espq_free(exec->outputs);
  espq_free(exec->observed);
  espq_free(exec->depends);
  espq_free(exec);
}

static espq_status new_workers(espq_exec *e, int threads, espq_error *err) {
  espq_status status = espq_pool_new(threads, &e->pool, err);
  if (status) return status;
  e->workers = espq_calloc((size_t)espq_pool_threads(e->pool), sizeof *e->workers);
  if (!e->workers) return espq_fail_memory(err);
  for (int i = 0; i < espq_pool_threads(e->pool); i++) {
    worker *w = &e->workers[i];
    w->inputs = espq_calloc(e->ninputs, sizeof *w->inputs);
    w->input_sizes = espq_calloc(e->ninputs, sizeof *w->input_sizes);
    w->bound = espq_calloc(e->ninputs, sizeof *w->bound);
    if (!w->inputs || !w->input_sizes || !w->bound) return espq_fail_memory(err);
    status = espq_infer_stream_new(e->env.engine, &w->stream, err);
    if (status) return status;
  }
  return ESPQ_OK;
}

static espq_status copy_ids(const espq_id *from, size_t n, espq_id **to, espq_error *err) {
  espq_id *copy = espq_calloc(n, sizeof *copy);
  if (!copy) return espq_fail_memory(err);
  if (n) memcpy(copy, from, n * sizeof *copy);
  espq_free(*to);
  *to = copy;
  return ESPQ_OK;
}

static espq_status new_plan(const espq_exec *e, int64_t batch, espq_plan **out, espq_error *err) {
  espq_plan_options o = {.batch = batch,
                         .outputs = e->outputs,
                         .noutputs = e->noutputs,
                         .observed = e->observed,
                         .nobserved = e->nobserved};
  return espq_plan_new(e->graph, &e->env, &o, out, err);
}

/* Bytes of what one image gives a node to read and to write; constants and unknown shapes count nothing. */
static size_t node_bytes(const espq_graph *g, const espq_node *n, const espq_typed_shape *values) {
  size_t bytes = 0;
  for (int i = 0; i < n->nin + n->nout; i++) {
    espq_id v = i < n->nin ? n->in[i] : n->out[i - n->nin];
    if (v == ESPQ_NONE || g->values[v].constant || values[v].shape.rank < 0) continue;
    int64_t count = espq_shape_elements(&values[v].shape);
    if (count > 0) bytes += (size_t)count * espq_dtype_size(values[v].dtype);
  }
  return bytes;
}

/* The largest batch, a power of two, at which every node's tensors stay in the cache. */
static espq_status choose_micro_batch(const espq_graph *g, int64_t *out, espq_error *err) {
  size_t largest = 1;
  espq_shape *shapes = espq_calloc(g->ninputs, sizeof *shapes);
  espq_typed_shape *values = espq_calloc(g->nvalues, sizeof *values);
  espq_status status = shapes && values ? espq_batch_input_shapes(g, 1, shapes, err) : espq_fail_memory(err);
  if (!status) status = espq_ops_infer_at(g, shapes, values, err);
  for (espq_id id = g->first; id != ESPQ_NONE && !status; id = g->nodes[id].next) {
    size_t bytes = node_bytes(g, &g->nodes[id], values);
    if (bytes > largest) largest = bytes;
  }
  espq_free(shapes);
  espq_free(values);
  *out = 1;
  while (*out < MAX_MICRO_BATCH && largest <= CACHE_BYTES / 2 / (size_t)*out) *out *= 2;
  return status;
}

/* plans[k] is made for 2^k images: the largest k within the micro-batch. */
static int plan_index(int64_t micro_batch) {
  int k = 0;
  while (k + 1 < MAX_PLANS && (2ll << k) <= micro_batch) k++;
  return k;
}

static espq_status start(espq_exec *e, const espq_exec_options *o, espq_error *err) {
  const espq_graph *g = e->graph;
  e->env.isa = espq_isa_detect();
  if (o->isa < e->env.isa) e->env.isa = o->isa;
  espq_status status = espq_infer_engine_new(&e->env.engine, err);
  if (!status) status = espq_batch_analyze(g, &e->batch, err);
  if (!status)
    status = copy_ids(o->outputs ? o->outputs : g->outputs, o->outputs ? o->noutputs : g->noutputs, &e->outputs, err);
  e->noutputs = o->outputs ? o->noutputs : g->noutputs;
  if (!status) status = new_workers(e, o->threads, err);
  if (status) return status;
  e->depends = espq_calloc(g->nvalues, sizeof *e->depends);
  if (!e->depends) return espq_fail_memory(err);
  espq_batch_depends(g, e->depends);
  if (!e->batch.pure) {
    e->micro_batch = e->batch.own;
    return new_plan(e, 0, &e->plans[0], err);
  }
  e->micro_batch = o->micro_batch;
  if (e->micro_batch <= 0) status = choose_micro_batch(g, &e->micro_batch, err);
  int k = plan_index(e->micro_batch);
  return status ? status : new_plan(e, 1ll << k, &e->plans[k], err); /* now, so that what cannot run is said early */
}

espq_status espq_exec_new(const espq_graph *graph, const espq_exec_options *options, espq_exec **out, espq_error *err) {
  if (!graph->ninputs) return espq_fail(err, ESPQ_EFORMAT, "the model has no input");
  espq_exec *e = espq_calloc(1, sizeof *e);
  if (!e) return espq_fail_memory(err);
  e->graph = graph;
  e->ninputs = graph->ninputs;
  espq_status status = start(e, options, err);
  if (status) espq_exec_free(e);
  else *out = e;
  return status;
}

size_t espq_exec_noutputs(const espq_exec *exec) { return exec->noutputs; }

const espq_id *espq_exec_outputs(const espq_exec *exec) { return exec->outputs; }

const espq_batch *espq_exec_batch(const espq_exec *exec) { return &exec->batch; }

size_t espq_exec_bytes(const espq_exec *exec) {
  size_t worker = WORKER_BYTES;
  for (int i = 0; i < MAX_PLANS; i++)
    if (exec->plans[i]) worker += exec->plans[i]->memory + exec->plans[i]->scratch;
  return espq_graph_bytes(exec->graph) + worker * (size_t)espq_pool_threads(exec->pool);
}

/* --- one micro-batch --- */

static espq_status ensure(void **block, size_t *size, size_t need, espq_error *err) {
  if (need <= *size && *block) return ESPQ_OK;
  espq_free(*block);
  *block = espq_alloc(need);
  *size = *block ? need : 0;
  return *block ? ESPQ_OK : espq_fail_memory(err);
}

/* Rows of input k in one micro-batch: the batch of the plan, or what the model has there. 0: a scalar, which all share. */
static int64_t rows_of(const run *r, size_t k) {
  const espq_shape *s = &r->plan->values[r->exec->graph->inputs[k]].shape;
  return s->rank ? s->dim[0] : 0;
}

/* How numbers become integers before the graph: to the nearest, halves as its chip rounds them. */
static espq_rounding input_rounding(const espq_graph *g) {
  return g->arithmetic == ESPQ_ARITHMETIC_V3_HALF_UP ? ESPQ_ROUND_HALF_UP : ESPQ_ROUND_HALF_EVEN;
}

/* Copies `rows` rows of input k from number `first` on into `to`, converted if the graph wants integers, the last one
 * repeated up to `all` rows. */
static void stage(const run *r, size_t k, int64_t first, int64_t rows, int64_t all, char *to) {
  const espq_exec *e = r->exec;
  const espq_value *v = &e->graph->values[e->graph->inputs[k]];
  const espq_tensor *t = r->inputs[k];
  int64_t per_row = t->rank ? t->count / t->dim[0] : 1;
  const void *from = (const char *)t->data + (size_t)(first * per_row) * espq_dtype_size(t->dtype);
  size_t row = (size_t)per_row * espq_dtype_size(v->dtype);
  if (t->dtype == v->dtype) memcpy(to, from, (size_t)rows * row);
  else
    espq_sim_quantize_by(input_rounding(e->graph), rows * per_row, from, v->quant.exponent[0],
                         espq_sim_format_of(v->quant.bits, ESPQ_PLAIN), to, e->env.isa);
  for (int64_t i = rows; i < all; i++) memcpy(to + (size_t)i * row, to + (size_t)(rows - 1) * row, row);
}

/* Finds the memory of input k for micro-batch `number`: the caller's own where it can be used as it is. */
static espq_status bind_input(const run *r, worker *w, size_t k, size_t number, espq_error *err) {
  const espq_exec *e = r->exec;
  const espq_value *v = &e->graph->values[e->graph->inputs[k]];
  const espq_tensor *t = r->inputs[k];
  int64_t all = rows_of(r, k), first = (int64_t)number * all, rows = all ? t->dim[0] - first : 1;
  size_t row = (size_t)(all ? t->count / t->dim[0] : 1) * espq_dtype_size(v->dtype);
  if (!all) all = 1;
  if (rows > all) rows = all;
  if (t->dtype == v->dtype && rows == all) {
    w->bound[k] = (char *)t->data + (size_t)first * row;
    return ESPQ_OK;
  }
  espq_status status = ensure(&w->inputs[k], &w->input_sizes[k], (size_t)all * row, err);
  if (status) return status;
  stage(r, k, first, rows, all, w->inputs[k]);
  w->bound[k] = w->inputs[k];
  return ESPQ_OK;
}

typedef struct chunk {
  const run *run;
  worker *worker;
  int index;      /* of the worker */
  size_t number;  /* of the micro-batch */
  int64_t images; /* that are not repeated to fill it */
} chunk;

static void *address(const chunk *c, int buffer) {
  const espq_buffer *b = &c->run->plan->buffers[buffer];
  return b->input >= 0 ? c->worker->bound[b->input] : (char *)c->worker->memory + b->offset;
}

static espq_status run_step(const chunk *c, const espq_step *s, espq_error *err) {
  if (!s->kernel) {
    espq_plan_reorder(&s->reorder, address(c, s->in[0].buffer), address(c, s->out[0].buffer));
    return ESPQ_OK;
  }
  const void **in = c->worker->ports;
  void **out = (void **)in + s->nin;
  for (int i = 0; i < s->nin; i++) in[i] = s->in[i].buffer >= 0 ? address(c, s->in[i].buffer) : s->in[i].constant;
  for (int i = 0; i < s->nout; i++) out[i] = s->out[i].buffer >= 0 ? address(c, s->out[i].buffer) : NULL;
  espq_run_args args = {s->prepared.state, in, out, c->worker->scratch, c->worker->stream};
  return s->kernel->run(&args, err);
}

/* Observes what became available after step number `step`. What no input has a part in is the same in every
 * micro-batch, and is counted once in a run. */
static void observe(const chunk *c, int step) {
  espq_observation *o = c->run->observation;
  if (!o) return;
  const espq_plan *p = c->run->plan;
  for (int i = p->observed[step + 1]; i >= 0; i = p->next_observed[i]) {
    espq_id v = espq_observation_values(o)[i];
    const espq_place *home = &p->home[v];
    bool depends = c->run->exec->depends[v];
    if (!depends && c->number) continue;
    espq_observed seen = {.data = address(c, home->buffer), .steps = 1, .layout = home->layout};
    espq_plan_geometry(&p->values[v].shape, &seen.images, &seen.channels, &seen.pixels);
    if (c->run->exec->batch.pure && depends) seen.images = seen.steps = c->images;
    espq_observation_add(o, c->index, (size_t)i, &seen);
  }
}

/* Copies the micro-batch's part of an output tensor: all of it, once, where no input has a part in it. */
static void return_output(const chunk *c, espq_id v, const espq_tensor *t) {
  const run *r = c->run;
  size_t bytes = espq_tensor_bytes(t), at = 0;
  if (!r->exec->depends[v] && c->number) return;
  if (r->exec->depends[v]) {
    size_t image = bytes / (size_t)r->images;
    at = c->number * (size_t)r->chunk_images * image;
    bytes = (size_t)c->images * image;
  }
  if (bytes) memcpy((char *)t->data + at, address(c, r->plan->plain[v]), bytes);
}

static void return_outputs(const chunk *c) {
  const run *r = c->run;
  for (size_t i = 0; r->outputs && i < r->exec->noutputs; i++) {
    espq_id v = r->exec->outputs[i];
    if (r->plan->plain[v] >= 0) return_output(c, v, r->outputs[i]); /* else a constant */
  }
}

static espq_status run_chunk(chunk *c, espq_error *err) {
  const run *r = c->run;
  worker *w = c->worker;
  espq_status status = ensure(&w->memory, &w->memory_size, r->plan->memory, err);
  if (!status) status = ensure(&w->scratch, &w->scratch_size, r->plan->scratch, err);
  if (!status) status = ensure(&w->ports, &w->ports_size, (size_t)r->plan->most_ports * sizeof(void *), err);
  for (size_t k = 0; k < r->exec->ninputs && !status; k++) status = bind_input(r, w, k, c->number, err);
  if (status) return status;
  observe(c, -1);
  for (size_t i = 0; i < r->plan->nsteps && !status; i++) {
    status = run_step(c, &r->plan->steps[i], err);
    if (!status) observe(c, (int)i);
  }
  if (!status) return_outputs(c);
  return status;
}

static void job(void *context, size_t number, int index) {
  run *r = context;
  if (r->status[index]) return;
  espq_infer_thread_init();
  chunk c = {.run = r, .worker = &r->exec->workers[index], .index = index, .number = number};
  c.images = r->images - (int64_t)number * r->chunk_images;
  if (c.images > r->chunk_images) c.images = r->chunk_images;
  r->status[index] = run_chunk(&c, &r->errors[index]);
  r->failed_chunk[index] = number;
}

/* --- a whole run --- */

/* Rows of input k that the model takes at a time; 0: a scalar, or any number. */
static int64_t own_rows(const espq_exec *e, size_t k) {
  const espq_shape *s = &e->graph->values[e->graph->inputs[k]].shape;
  if (e->batch.pure || !s->rank) return 0;
  return s->dim[0] >= 0 ? s->dim[0] : e->batch.own;
}

static espq_status check_type_and_shape(const espq_exec *e, size_t k, const espq_tensor *t, espq_error *err) {
  const espq_value *v = &e->graph->values[e->graph->inputs[k]];
  char expected[160], got[160];
  espq_shape want = v->shape;
  bool fits = t->rank == want.rank;
  if (want.rank > 0) want.dim[0] = -1;
  for (int i = 1; fits && i < want.rank; i++) fits = t->dim[i] == want.dim[i];
  if (!fits)
    return espq_fail(err, ESPQ_EFORMAT, "input '%.200s' has shape %s, expected %s%s", v->name,
                     espq_shape_text(t->rank, t->dim, got, sizeof got),
                     espq_shape_text(want.rank, want.dim, expected, sizeof expected),
                     want.rank ? " (? is the number of images)" : "");
  if (t->dtype != v->dtype && !(t->dtype == ESPQ_F32 && v->quant.bits))
    return espq_fail(err, ESPQ_EFORMAT, "input '%.200s' has type %s, expected %s", v->name, espq_dtype_name(t->dtype),
                     espq_dtype_name(v->dtype));
  if (t->count == 0)
    return espq_fail(err, ESPQ_EFORMAT, "input '%.200s' holds no image: its shape is %s", v->name,
                     espq_shape_text(t->rank, t->dim, got, sizeof got));
  return ESPQ_OK;
}

/* Every input must hold the same number of images, or of the model's own batches; *images is that of the first. */
static espq_status check_images(const espq_exec *e, size_t k, const espq_tensor *t, int64_t *images, espq_error *err) {
  const char *name = e->graph->values[e->graph->inputs[k]].name;
  int64_t own = own_rows(e, k), n = own ? t->dim[0] / own : t->rank ? t->dim[0] : 0;
  if (own && t->dim[0] % own)
    return espq_fail(err, ESPQ_EFORMAT,
                     "input '%.200s' has %" PRId64 " images, but the model takes them %" PRId64 " at a time (%.300s)",
                     name, t->dim[0], own, e->batch.reason);
  if (n && *images && n != *images)
    return espq_fail(err, ESPQ_EFORMAT, "input '%.200s' has %" PRId64 " %s, the inputs before it have %" PRId64, name,
                     n, own ? "batches" : "images", *images);
  if (n) *images = n;
  return ESPQ_OK;
}

/* *images: the number along the first axis, or of batches where the model has its own size. */
static espq_status check_inputs(const espq_exec *e, espq_tensor *const *inputs, int64_t *images, espq_error *err) {
  espq_status status = ESPQ_OK;
  *images = 0;
  for (size_t k = 0; k < e->ninputs && !status; k++) {
    status = check_type_and_shape(e, k, inputs[k], err);
    if (!status) status = check_images(e, k, inputs[k], images, err);
  }
  if (!*images) *images = 1; /* scalars only */
  return status;
}

static espq_status new_output(const run *r, espq_id v, espq_tensor **out, espq_error *err) {
  const espq_exec *e = r->exec;
  const espq_typed_shape *t = &r->plan->values[v];
  espq_shape s = t->shape;
  if (e->graph->values[v].constant) {
    *out = espq_tensor_retain(e->graph->values[v].constant);
    return ESPQ_OK;
  }
  if (e->depends[v] && e->batch.pure) s.dim[0] = r->images;
  if (e->depends[v] && !e->batch.pure && r->images > 1) {
    if (!s.rank)
      return espq_fail(err, ESPQ_EFORMAT, "output '%.200s' is a scalar for each batch: run one batch at a time",
                       e->graph->values[v].name);
    if (!espq_mul64(s.dim[0], r->images, &s.dim[0]))
      return espq_fail(err, ESPQ_ELIMIT, "output '%.200s' is too large", e->graph->values[v].name);
  }
  return espq_tensor_new(t->dtype, s.rank, s.dim, out, err);
}

/* All images' outputs, before the first of them is made. */
static espq_status check_output_bytes(const run *r, espq_error *err) {
  const espq_graph *g = r->exec->graph;
  double need = 0; /* no product of files' numbers overflows here */
  for (size_t i = 0; i < r->exec->noutputs; i++) {
    const espq_typed_shape *t = &r->plan->values[r->exec->outputs[i]];
    double rows = r->exec->depends[r->exec->outputs[i]] ? (double)r->images / (double)r->chunk_images : 1;
    need += (double)espq_shape_elements(&t->shape) * (double)espq_dtype_size(t->dtype) * rows;
  }
  if (need <= (double)g->max_bytes) return ESPQ_OK;
  return espq_fail(err, ESPQ_ELIMIT,
                   "the outputs of %" PRId64 " images need %.0f bytes, the limit is %" PRIu64
                   " (--limit-bytes): run fewer images at a time",
                   r->images, need, g->max_bytes);
}

static espq_status new_outputs(const run *r, espq_error *err) {
  size_t n = r->exec->noutputs;
  for (size_t i = 0; r->outputs && i < n; i++) r->outputs[i] = NULL;
  espq_status status = r->outputs ? check_output_bytes(r, err) : ESPQ_OK;
  for (size_t i = 0; r->outputs && i < n && !status; i++)
    status = new_output(r, r->exec->outputs[i], &r->outputs[i], err);
  return status;
}

/* The plan for that many images: the micro-batch, less when there are not enough images to keep all workers busy. */
static espq_status choose_plan(espq_exec *e, int64_t images, espq_plan **plan, espq_error *err) {
  int k = 0, largest = e->batch.pure ? plan_index(e->micro_batch) : 0;
  int64_t share = (images + espq_pool_threads(e->pool) - 1) / espq_pool_threads(e->pool);
  while (k < largest && (1ll << k) < share) k++;
  espq_status status = ESPQ_OK;
  if (!e->plans[k]) status = new_plan(e, e->batch.pure ? 1ll << k : 0, &e->plans[k], err);
  *plan = e->plans[k];
  return status;
}

/* Plans compute what is observed; other values to observe need other plans. */
static espq_status adopt_observation(espq_exec *e, espq_observation *o, espq_error *err) {
  if (!o) return ESPQ_OK;
  size_t n = espq_observation_count(o);
  if (n != e->nobserved || (n && memcmp(e->observed, espq_observation_values(o), n * sizeof *e->observed) != 0)) {
    espq_status status = copy_ids(espq_observation_values(o), n, &e->observed, err);
    if (status) return status;
    e->nobserved = n;
    free_plans(e);
  }
  return espq_observation_prepare(o, espq_pool_threads(e->pool), err);
}

/* Of all failures, the one of the first micro-batch is told. */
static espq_status first_failure(const run *r, espq_error *err) {
  int which = -1;
  for (int i = 0; i < espq_pool_threads(r->exec->pool); i++)
    if (r->status[i] && (which < 0 || r->failed_chunk[i] < r->failed_chunk[which])) which = i;
  if (which < 0) return ESPQ_OK;
  if (err) *err = r->errors[which];
  return r->status[which];
}

static espq_status run_all(run *r, espq_error *err) {
  size_t threads = (size_t)espq_pool_threads(r->exec->pool);
  r->status = espq_calloc(threads, sizeof *r->status);
  r->errors = espq_calloc(threads, sizeof *r->errors);
  r->failed_chunk = espq_calloc(threads, sizeof *r->failed_chunk);
  espq_status status = r->status && r->errors && r->failed_chunk ? new_outputs(r, err) : espq_fail_memory(err);
  if (!status) {
    espq_pool_run(r->exec->pool, (size_t)((r->images + r->chunk_images - 1) / r->chunk_images), job, r);
    status = first_failure(r, err);
  }
  for (size_t i = 0; status && r->outputs && i < r->exec->noutputs; i++) {
    espq_tensor_release(r->outputs[i]);
    r->outputs[i] = NULL;
  }
  espq_free(r->status);
  espq_free(r->errors);
  espq_free(r->failed_chunk);
  return status;
}

/* A system that lends more memory than it has kills the process that uses it. */
static espq_status check_memory(const run *r, espq_error *err) {
  size_t have = espq_memory_size(), need = r->plan->memory + r->plan->scratch;
  int64_t jobs = (r->images + r->chunk_images - 1) / r->chunk_images, threads = espq_pool_threads(r->exec->pool);
  int64_t workers = jobs < threads ? jobs : threads;
  if (need <= have / (size_t)workers) return ESPQ_OK;
  return espq_fail(err, ESPQ_ELIMIT,
                   "the model's tensors need %zu MB for each of %" PRId64 " threads, this machine has %zu MB",
                   need >> 20, workers, have >> 20);
}

espq_status espq_exec_run(espq_exec *exec, espq_tensor *const *inputs, espq_tensor **outputs,
                          espq_observation *observation, espq_error *err) {
  int64_t images;
  espq_status status = check_inputs(exec, inputs, &images, err);
  if (!status) status = adopt_observation(exec, observation, err);
  espq_plan *plan = NULL;
  if (!status) status = choose_plan(exec, images, &plan, err);
  if (status) return status;
  run r = {.exec = exec,
           .plan = plan,
           .inputs = inputs,
           .outputs = outputs,
           .observation = observation,
           .images = images,
           .chunk_images = exec->batch.pure ? plan->batch : 1};
  status = check_memory(&r, err);
  return status ? status : run_all(&r, err);
}
