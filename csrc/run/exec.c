#include "run/exec.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "base/alloc.h"
#include "base/pool.h"
#include "infer/engine.h"
#include "infer/reorder.h"
#include "run/plan.h"
#include "sim/convert.h"
#include "sim/reorder.h"

enum { MAX_PLANS = 8, MAX_MICRO_BATCH = 32, CACHE_BYTES = 1 << 20 };

typedef struct worker {
  espq_infer_stream *stream;
  void *memory, *scratch;
  size_t memory_size, scratch_size;
  void **inputs;       /* per graph input: a staged micro-batch, or NULL until needed */
  size_t *input_sizes;
} worker;

struct espq_exec {
  const espq_graph *graph;
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
  int64_t images, chunk_images;
  espq_status *status; /* per worker */
  espq_error *errors;  /* per worker */
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
  for (size_t i = 0; w->inputs && i < e->graph->ninputs; i++) espq_free(w->inputs[i]);
  espq_free(w->inputs);
  espq_free(w->input_sizes);
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
    w->inputs = espq_calloc(e->graph->ninputs, sizeof *w->inputs);
    w->input_sizes = espq_calloc(e->graph->ninputs, sizeof *w->input_sizes);
    if (!w->inputs || !w->input_sizes) return espq_fail_memory(err);
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
  espq_plan_options o = {.batch = batch, .outputs = e->outputs, .noutputs = e->noutputs, .observed = e->observed,
                         .nobserved = e->nobserved};
  return espq_plan_new(e->graph, &e->env, &o, out, err);
}

/* The largest batch, a power of two, at which every step's tensors stay in the cache. */
static int64_t choose_micro_batch(const espq_plan *one) {
  size_t largest = 1;
  for (size_t i = 0; i < one->nsteps; i++) {
    size_t bytes = 0;
    const espq_step *s = &one->steps[i];
    for (int k = 0; k < s->nin + s->nout; k++)
      if (s->in[k].buffer >= 0) bytes += one->buffers[s->in[k].buffer].size;
    if (bytes > largest) largest = bytes;
  }
  int64_t n = 1;
  while (n < MAX_MICRO_BATCH && largest * (size_t)n * 2 <= CACHE_BYTES) n *= 2;
  return n;
}

static espq_status start(espq_exec *e, const espq_exec_options *o, espq_error *err) {
  const espq_graph *g = e->graph;
  e->env.isa = espq_isa_detect();
  if (o->isa < e->env.isa) e->env.isa = o->isa;
  espq_status status = espq_infer_engine_new(&e->env.engine, err);
  if (!status) status = espq_batch_analyze(g, &e->batch, err);
  if (!status) status = copy_ids(o->outputs ? o->outputs : g->outputs, o->outputs ? o->noutputs : g->noutputs, &e->outputs, err);
  e->noutputs = o->outputs ? o->noutputs : g->noutputs;
  if (!status) status = new_workers(e, o->threads, err);
  if (status) return status;
  e->depends = espq_calloc(g->nvalues, sizeof *e->depends);
  if (!e->depends) return espq_fail_memory(err);
  espq_batch_depends(g, e->depends);
  status = new_plan(e, e->batch.pure ? 1 : e->batch.own, &e->plans[0], err);
  if (status) return status;
  e->micro_batch = !e->batch.pure ? e->batch.own : o->micro_batch > 0 ? o->micro_batch : choose_micro_batch(e->plans[0]);
  return ESPQ_OK;
}

espq_status espq_exec_new(const espq_graph *graph, const espq_exec_options *options, espq_exec **out, espq_error *err) {
  if (!graph->ninputs) return espq_fail(err, ESPQ_EFORMAT, "the model has no input");
  espq_exec *e = espq_calloc(1, sizeof *e);
  if (!e) return espq_fail_memory(err);
  e->graph = graph;
  espq_status status = start(e, options, err);
  if (status) espq_exec_free(e);
  else *out = e;
  return status;
}

size_t espq_exec_noutputs(const espq_exec *exec) {
  return exec->noutputs;
}

const espq_id *espq_exec_outputs(const espq_exec *exec) {
  return exec->outputs;
}

const espq_batch *espq_exec_batch(const espq_exec *exec) {
  return &exec->batch;
}

size_t espq_exec_bytes(const espq_exec *exec) {
  size_t bytes = 0;
  for (int i = 0; i < espq_pool_threads(exec->pool); i++)
    bytes += exec->workers[i].memory_size + exec->workers[i].scratch_size + espq_infer_stream_bytes(exec->workers[i].stream);
  return bytes;
}

/* --- one micro-batch --- */

static espq_status ensure(void **block, size_t *size, size_t need, espq_error *err) {
  if (need <= *size && *block) return ESPQ_OK;
  espq_free(*block);
  *block = espq_alloc(need);
  *size = *block ? need : 0;
  return *block ? ESPQ_OK : espq_fail_memory(err);
}

/* Copies the micro-batch's images of input k into `to`, converted if the graph wants integers, the last one repeated
 * up to the plan's batch. */
static void stage(const run *r, size_t k, int64_t first, int64_t images, char *to) {
  const espq_exec *e = r->exec;
  const espq_value *v = &e->graph->values[e->graph->inputs[k]];
  const espq_tensor *t = r->inputs[k];
  int64_t per_image = t->dim[0] ? t->count / t->dim[0] : 0;
  const char *from = (const char *)t->data + (size_t)(first * per_image) * espq_dtype_size(t->dtype);
  size_t out_image = (size_t)per_image * espq_dtype_size(v->dtype);
  if (t->dtype == v->dtype) memcpy(to, from, (size_t)images * out_image);
  else
    espq_sim_quantize(images * per_image, (const float *)from, v->quant.exponent[0],
                      espq_sim_format_of(v->quant.bits, ESPQ_PLAIN), to, e->env.isa);
  for (int64_t i = images; i < r->chunk_images; i++) memcpy(to + (size_t)i * out_image, to + (size_t)(images - 1) * out_image, out_image);
}

/* Memory of input k for this micro-batch: the caller's own where it can be used as it is. */
static espq_status bind_input(const run *r, worker *w, size_t k, int64_t first, int64_t images, void **data, espq_error *err) {
  const espq_exec *e = r->exec;
  const espq_value *v = &e->graph->values[e->graph->inputs[k]];
  const espq_tensor *t = r->inputs[k];
  size_t image_bytes = (size_t)(t->count / t->dim[0]) * espq_dtype_size(v->dtype);
  if (t->dtype == v->dtype && images == r->chunk_images) {
    *data = (char *)t->data + (size_t)first * image_bytes;
    return ESPQ_OK;
  }
  espq_status status = ensure(&w->inputs[k], &w->input_sizes[k], (size_t)r->chunk_images * image_bytes, err);
  if (status) return status;
  stage(r, k, first, images, w->inputs[k]);
  *data = w->inputs[k];
  return ESPQ_OK;
}

typedef struct chunk {
  const run *run;
  worker *worker;
  int index; /* of the worker */
  int64_t first, images;
  void **input; /* memory of each graph input */
} chunk;

static void *address(const chunk *c, int buffer) {
  const espq_buffer *b = &c->run->plan->buffers[buffer];
  return b->input >= 0 ? c->input[b->input] : (char *)c->worker->memory + b->offset;
}

static void reorder(const espq_step *s, const void *in, void *out) {
  if (s->dtype == ESPQ_F32) {
    espq_infer_reorder(s->from, s->to, s->images, s->channels, s->pixels, in, out);
    return;
  }
  int bits = (int)espq_dtype_size(s->dtype) * 8;
  if (s->to == ESPQ_NHWC16) espq_sim_to_nhwc16(bits, s->images, s->channels, s->pixels, in, out);
  else espq_sim_to_plain(bits, s->images, s->channels, s->pixels, in, out);
}

static espq_status run_step(const chunk *c, const espq_step *s, espq_error *err) {
  if (!s->kernel) {
    reorder(s, address(c, s->in[0].buffer), address(c, s->out[0].buffer));
    return ESPQ_OK;
  }
  const void *in[s->nin + 1];
  void *out[s->nout + 1];
  for (int i = 0; i < s->nin; i++) in[i] = s->in[i].buffer >= 0 ? address(c, s->in[i].buffer) : s->in[i].constant;
  for (int i = 0; i < s->nout; i++) out[i] = s->out[i].buffer >= 0 ? address(c, s->out[i].buffer) : NULL;
  espq_run_args args = {s->prepared.state, in, out, c->worker->scratch, c->worker->stream};
  return s->kernel->run(&args, err);
}

/* Observes what became available after step number `step`. */
static void observe(const chunk *c, int step) {
  espq_observation *o = c->run->observation;
  if (!o) return;
  const espq_plan *p = c->run->plan;
  for (size_t i = 0; i < espq_observation_count(o); i++) {
    espq_id v = espq_observation_values(o)[i];
    const espq_place *home = &p->home[v];
    if (home->step != step || home->buffer < 0) continue;
    int64_t n, channels, pixels;
    espq_plan_geometry(&p->values[v].shape, &n, &channels, &pixels);
    if (c->run->exec->batch.pure && c->run->exec->depends[v]) n = c->images;
    espq_observation_add(o, c->index, i, address(c, home->buffer), n, channels, pixels, home->layout);
  }
}

static void return_outputs(const chunk *c) {
  const run *r = c->run;
  const espq_exec *e = r->exec;
  for (size_t i = 0; r->outputs && i < e->noutputs; i++) {
    espq_id v = e->outputs[i];
    const espq_tensor *t = r->outputs[i];
    if (r->plan->plain[v] < 0) continue; /* a constant */
    if (!e->depends[v] && c->first) continue;
    int64_t rows = e->depends[v] ? r->images : 1, from = e->depends[v] ? c->first : 0;
    if (!e->batch.pure) rows = r->images / r->chunk_images, from = c->first / r->chunk_images;
    size_t row = rows ? espq_tensor_bytes(t) / (size_t)rows : 0;
    int64_t count = !e->batch.pure || !e->depends[v] ? 1 : c->images;
    memcpy((char *)t->data + (size_t)from * row, address(c, r->plan->plain[v]), (size_t)count * row);
  }
}

static espq_status run_chunk(chunk *c, espq_error *err) {
  const run *r = c->run;
  worker *w = c->worker;
  espq_status status = ensure(&w->memory, &w->memory_size, r->plan->memory, err);
  if (!status) status = ensure(&w->scratch, &w->scratch_size, r->plan->scratch, err);
  for (size_t k = 0; k < r->exec->graph->ninputs && !status; k++)
    status = bind_input(r, w, k, c->first, c->images, &c->input[k], err);
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
  void *input[r->exec->graph->ninputs];
  chunk c = {.run = r, .worker = &r->exec->workers[index], .index = index, .first = (int64_t)number * r->chunk_images,
             .input = input};
  c.images = r->images - c.first < r->chunk_images ? r->images - c.first : r->chunk_images;
  r->status[index] = run_chunk(&c, &r->errors[index]);
  r->failed_chunk[index] = number;
}

/* --- a whole run --- */

static espq_status check_input(const espq_exec *e, size_t k, const espq_tensor *t, int64_t images, espq_error *err) {
  const espq_value *v = &e->graph->values[e->graph->inputs[k]];
  char expected[160], got[160];
  espq_shape want = v->shape;
  bool fits = t->rank == want.rank && t->rank > 0;
  if (want.rank > 0) want.dim[0] = e->batch.pure ? -1 : e->batch.own;
  for (int i = 1; fits && i < want.rank; i++) fits = t->dim[i] == want.dim[i];
  if (!fits)
    return espq_fail(err, ESPQ_EFORMAT, "input '%.200s' has shape %s, expected %s (? is the number of images)", v->name,
                     espq_shape_text(t->rank, t->dim, got, sizeof got),
                     espq_shape_text(want.rank, want.dim, expected, sizeof expected));
  if (t->dtype != v->dtype && !(t->dtype == ESPQ_F32 && v->quant.bits))
    return espq_fail(err, ESPQ_EFORMAT, "input '%.200s' has type %s, expected %s", v->name, espq_dtype_name(t->dtype),
                     espq_dtype_name(v->dtype));
  if (t->dim[0] != images)
    return espq_fail(err, ESPQ_EFORMAT, "input '%.200s' has %" PRId64 " images, the first input has %" PRId64, v->name,
                     t->dim[0], images);
  if (images == 0) return espq_fail(err, ESPQ_EFORMAT, "input '%.200s' holds no image", v->name);
  if (!e->batch.pure && images % e->batch.own)
    return espq_fail(err, ESPQ_EFORMAT, "%" PRId64 " images for a model that takes them %" PRId64 " at a time (%.300s)",
                     images, e->batch.own, e->batch.reason);
  return ESPQ_OK;
}

static espq_status new_output(const run *r, espq_id v, espq_tensor **out, espq_error *err) {
  const espq_exec *e = r->exec;
  const espq_typed_shape *t = &r->plan->values[v];
  if (e->graph->values[v].constant) {
    *out = espq_tensor_retain(e->graph->values[v].constant);
    return ESPQ_OK;
  }
  espq_shape s = t->shape;
  if (e->batch.pure && e->depends[v]) s.dim[0] = r->images;
  if (!e->batch.pure && r->images != r->chunk_images) {
    if (!s.rank) return espq_fail(err, ESPQ_EFORMAT, "several batches of a scalar output; run one batch at a time");
    s.dim[0] *= r->images / r->chunk_images;
  }
  return espq_tensor_new(t->dtype, s.rank, s.dim, out, err);
}

static espq_status new_outputs(const run *r, espq_error *err) {
  espq_status status = ESPQ_OK;
  size_t n = r->exec->noutputs;
  for (size_t i = 0; r->outputs && i < n; i++) r->outputs[i] = NULL;
  for (size_t i = 0; r->outputs && i < n && !status; i++) status = new_output(r, r->exec->outputs[i], &r->outputs[i], err);
  return status;
}

/* The plan for that many images: the micro-batch, less when there are not enough images to keep all workers busy. */
static espq_status choose_plan(espq_exec *e, int64_t images, espq_plan **plan, espq_error *err) {
  int k = 0;
  int64_t share = (images + espq_pool_threads(e->pool) - 1) / espq_pool_threads(e->pool);
  while (e->batch.pure && k + 1 < MAX_PLANS && (2ll << k) <= e->micro_batch && (1ll << k) < share) k++;
  espq_status status = ESPQ_OK;
  if (!e->plans[k]) status = new_plan(e, e->batch.pure ? 1ll << k : e->batch.own, &e->plans[k], err);
  *plan = e->plans[k];
  return status;
}

/* Plans compute what is observed; other values to observe need other plans. */
static espq_status adopt_observation(espq_exec *e, espq_observation *o, espq_error *err) {
  if (!o) return ESPQ_OK;
  size_t n = espq_observation_count(o);
  if (n != e->nobserved || memcmp(e->observed, espq_observation_values(o), n * sizeof *e->observed) != 0) {
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

espq_status espq_exec_run(espq_exec *exec, espq_tensor *const *inputs, espq_tensor **outputs, espq_observation *observation,
                          espq_error *err) {
  espq_status status = ESPQ_OK;
  int64_t images = inputs[0]->rank ? inputs[0]->dim[0] : 0;
  for (size_t k = 0; k < exec->graph->ninputs && !status; k++) status = check_input(exec, k, inputs[k], images, err);
  if (!status) status = adopt_observation(exec, observation, err);
  espq_plan *plan = NULL;
  if (!status) status = choose_plan(exec, images, &plan, err);
  if (status) return status;
  run r = {.exec = exec, .plan = plan, .inputs = inputs, .outputs = outputs, .observation = observation, .images = images,
           .chunk_images = exec->batch.pure ? plan->batch : exec->batch.own};
  return run_all(&r, err);
}
