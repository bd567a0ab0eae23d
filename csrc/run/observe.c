#include "run/observe.h"

#include <string.h>

#include "base/alloc.h"
#include "base/pool.h"

typedef struct worker_stats {
  espq_minmax *range;
  espq_histogram *histogram;
} worker_stats;

struct espq_observation {
  size_t n;
  espq_id *values;
  espq_minmax *ranges; /* histograms: what they span; NULL: ranges are being observed */
  worker_stats *workers;
  size_t nworkers;
};

static espq_observation *observation_new(const espq_id *values, size_t n) {
  espq_observation *o = espq_calloc(1, sizeof *o);
  if (!o) return NULL;
  o->n = n;
  o->values = espq_calloc(n, sizeof *o->values);
  if (!o->values) {
    espq_free(o);
    return NULL;
  }
  memcpy(o->values, values, n * sizeof *values);
  return o;
}

espq_status espq_observe_range(const espq_id *values, size_t n, espq_observation **out, espq_error *err) {
  *out = observation_new(values, n);
  return *out ? ESPQ_OK : espq_fail_memory(err);
}

espq_status espq_observe_histogram(const espq_id *values, size_t n, const espq_minmax *ranges, espq_observation **out,
                                   espq_error *err) {
  espq_observation *o = observation_new(values, n);
  if (o) o->ranges = espq_calloc(n, sizeof *o->ranges);
  if (!o || !o->ranges) {
    espq_observation_free(o);
    return espq_fail_memory(err);
  }
  memcpy(o->ranges, ranges, n * sizeof *ranges);
  *out = o;
  return ESPQ_OK;
}

static void free_worker(const espq_observation *o, worker_stats *w) {
  for (size_t i = 0; w->histogram && i < o->n; i++) espq_histogram_free(&w->histogram[i]);
  espq_free(w->range);
  espq_free(w->histogram);
}

void espq_observation_free(espq_observation *observation) {
  if (!observation) return;
  for (size_t i = 0; i < observation->nworkers; i++) free_worker(observation, &observation->workers[i]);
  espq_free(observation->workers);
  espq_free(observation->values);
  espq_free(observation->ranges);
  espq_free(observation);
}

size_t espq_observation_count(const espq_observation *observation) { return observation->n; }

const espq_id *espq_observation_values(const espq_observation *observation) { return observation->values; }

/* Ranges that the search would refuse anyway get no table. */
static espq_status init_histogram(const espq_minmax *range, espq_histogram *h, espq_error *err) {
  espq_entropy_refusal refusal = ESPQ_ENTROPY_NONE;
  espq_status status = espq_entropy_histogram(h, range, ESPQ_ENTROPY_BINS, &refusal, err);
  if (!refusal) return status;
  *h = (espq_histogram){0};
  return ESPQ_OK;
}

static espq_status init_worker(const espq_observation *o, worker_stats *w, espq_error *err) {
  if (!o->ranges) {
    w->range = espq_calloc(o->n, sizeof *w->range);
    for (size_t i = 0; w->range && i < o->n; i++) espq_minmax_init(&w->range[i]);
    return w->range ? ESPQ_OK : espq_fail_memory(err);
  }
  w->histogram = espq_calloc(o->n, sizeof *w->histogram);
  if (!w->histogram) return espq_fail_memory(err);
  espq_status status = ESPQ_OK;
  for (size_t i = 0; i < o->n && !status; i++) status = init_histogram(&o->ranges[i], &w->histogram[i], err);
  return status;
}

espq_status espq_observation_prepare(espq_observation *observation, int workers, espq_error *err) {
  size_t want = (size_t)workers;
  if (want <= observation->nworkers) return ESPQ_OK;
  worker_stats *grown = espq_calloc(want, sizeof *grown);
  if (!grown) return espq_fail_memory(err);
  if (observation->nworkers) memcpy(grown, observation->workers, observation->nworkers * sizeof *grown);
  espq_free(observation->workers);
  observation->workers = grown;
  while (observation->nworkers < want) {
    espq_status status = init_worker(observation, &grown[observation->nworkers++], err);
    if (status) return status;
  }
  return ESPQ_OK;
}

void espq_observation_add(espq_observation *observation, int worker, size_t which, const float *data, int64_t images,
                          int64_t channels, int64_t pixels, espq_layout layout) {
  const worker_stats *w = &observation->workers[worker];
  espq_blocked b = {data, images, channels, pixels, espq_layout_block(layout)};
  if (w->range) espq_minmax_update_blocked(&w->range[which], &b);
  else if (w->histogram[which].table) espq_histogram_update_blocked(&w->histogram[which], &b);
}

espq_status espq_observed_range(const espq_observation *observation, size_t which, espq_minmax *out) {
  if (observation->ranges) {
    *out = observation->ranges[which];
    return ESPQ_OK;
  }
  espq_minmax_init(out);
  for (size_t i = 0; i < observation->nworkers; i++) espq_minmax_merge(out, &observation->workers[i].range[which]);
  return ESPQ_OK;
}

espq_status espq_observed_histogram(const espq_observation *observation, size_t which, espq_histogram *out, bool *have,
                                    espq_error *err) {
  *out = (espq_histogram){0};
  *have = false;
  if (!observation->ranges) return espq_fail(err, ESPQ_EBUG, "no histograms were observed");
  espq_status status = init_histogram(&observation->ranges[which], out, err);
  if (status || !out->table) return status;
  *have = true;
  for (size_t i = 0; i < observation->nworkers && !status; i++)
    status = espq_histogram_merge(out, &observation->workers[i].histogram[which], err);
  return status;
}

/* --- thresholds --- */

espq_status espq_observed_threshold(const espq_observation *observation, size_t which, espq_threshold *out,
                                    espq_error *err) {
  espq_histogram h = {0};
  bool have;
  *out = (espq_threshold){.refusal = ESPQ_ENTROPY_NONE};
  out->status = espq_observed_histogram(observation, which, &h, &have, err);
  if (!out->status && !have) /* its range is refused; ask why */
    out->status = espq_entropy_histogram(&h, &observation->ranges[which], ESPQ_ENTROPY_BINS, &out->refusal, err);
  if (!out->status) out->status = espq_entropy_threshold(&h, ESPQ_ENTROPY_LEVELS, &out->value, &out->refusal, err);
  espq_histogram_free(&h);
  return out->status;
}

typedef struct search {
  const espq_observation *observation;
  espq_threshold *out;
} search;

static void search_one(void *context, size_t which, int worker) {
  const search *s = context;
  (void)worker;
  espq_observed_threshold(s->observation, which, &s->out[which], NULL);
}

espq_status espq_observed_thresholds(const espq_observation *observation, int threads, espq_threshold *out,
                                     espq_error *err) {
  if (!observation->ranges) return espq_fail(err, ESPQ_EBUG, "no histograms were observed");
  espq_pool *pool;
  espq_status status = espq_pool_new(threads, &pool, err);
  if (status) return status;
  espq_pool_run(pool, observation->n, search_one, &(search){observation, out});
  espq_pool_free(pool);
  for (size_t i = 0; i < observation->n; i++)
    if (out[i].status == ESPQ_EMEMORY) return espq_fail_memory(err);
  return ESPQ_OK;
}
