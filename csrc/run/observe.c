#include "run/observe.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/pool.h"
#include "quant/exponent.h"
#include "run/observation.h"
#include "stats/kl.h"
#include "stats/mse.h"

typedef espq_worker_stats worker_stats;

static espq_observation *observation_new(espq_observed_kind kind, const espq_id *values, size_t n) {
  espq_observation *o = espq_calloc(1, sizeof *o);
  if (!o) return NULL;
  o->n = n;
  o->kind = kind;
  o->values = espq_calloc(n, sizeof *o->values);
  if (!o->values) {
    espq_free(o);
    return NULL;
  }
  memcpy(o->values, values, n * sizeof *values);
  return o;
}

espq_status espq_observe_range(const espq_id *values, size_t n, espq_observation **out, espq_error *err) {
  *out = observation_new(ESPQ_OBSERVED_RANGES, values, n);
  return *out ? ESPQ_OK : espq_fail_memory(err);
}

espq_status espq_observe_percentile(const espq_id *values, size_t n, espq_observation **out, espq_error *err) {
  *out = observation_new(ESPQ_OBSERVED_PERCENTILES, values, n);
  return *out ? ESPQ_OK : espq_fail_memory(err);
}

espq_status espq_observe_histogram(const espq_id *values, size_t n, espq_histograms kind, const espq_minmax *ranges,
                                   espq_observation **out, espq_error *err) {
  espq_observation *o = observation_new(
      kind == ESPQ_HISTOGRAMS_V1 ? ESPQ_OBSERVED_HISTOGRAMS_V1 : ESPQ_OBSERVED_HISTOGRAMS_V3, values, n);
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
  espq_percentile_free(w->percentile);
  espq_free(w->mean);
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
static espq_status init_histogram(espq_observed_kind kind, const espq_minmax *range, espq_histogram *h,
                                  espq_error *err) {
  *h = (espq_histogram){0};
  if (kind == ESPQ_OBSERVED_HISTOGRAMS_V3) {
    float absmax = espq_minmax_absmax(range);
    if (!(absmax > 0) || isinf(absmax)) return ESPQ_OK;
    return espq_histogram_init(h, ESPQ_HISTOGRAM_MAGNITUDE, absmax, ESPQ_KL_BINS, err);
  }
  espq_entropy_refusal refusal = ESPQ_ENTROPY_NONE;
  espq_status status = espq_entropy_histogram(h, range, ESPQ_ENTROPY_BINS, &refusal, err);
  if (!refusal) return status;
  *h = (espq_histogram){0};
  return ESPQ_OK;
}

static espq_status init_worker(const espq_observation *o, worker_stats *w, espq_error *err) {
  if (o->kind == ESPQ_OBSERVED_PERCENTILES) {
    w->mean = espq_calloc(o->n, sizeof *w->mean);
    return w->mean ? espq_percentile_new(&w->percentile, err) : espq_fail_memory(err);
  }
  if (o->kind == ESPQ_OBSERVED_RANGES) {
    w->range = espq_calloc(o->n, sizeof *w->range);
    for (size_t i = 0; w->range && i < o->n; i++) espq_minmax_init(&w->range[i]);
    return w->range ? ESPQ_OK : espq_fail_memory(err);
  }
  w->histogram = espq_calloc(o->n, sizeof *w->histogram);
  if (!w->histogram) return espq_fail_memory(err);
  espq_status status = ESPQ_OK;
  for (size_t i = 0; i < o->n && !status; i++) status = init_histogram(o->kind, &o->ranges[i], &w->histogram[i], err);
  return status;
}

espq_status espq_observation_prepare(espq_observation *o, int workers, espq_error *err) {
  size_t want = (size_t)workers;
  if (want <= o->nworkers) return ESPQ_OK;
  worker_stats *grown = espq_calloc(want, sizeof *grown);
  if (!grown) return espq_fail_memory(err);
  if (o->nworkers) memcpy(grown, o->workers, o->nworkers * sizeof *grown);
  espq_free(o->workers);
  o->workers = grown;
  while (o->nworkers < want) {
    espq_status status = init_worker(o, &grown[o->nworkers++], err);
    if (status) return status;
  }
  return ESPQ_OK;
}

static void add_percentiles(const worker_stats *w, size_t which, const espq_observed *seen) {
  int block = espq_layout_block(seen->layout);
  int64_t lanes = (seen->channels + block - 1) / block * block, images = seen->images / seen->steps;
  for (int64_t s = 0; s < seen->steps; s++) {
    espq_blocked b = {seen->data + s * images * lanes * seen->pixels, images, seen->channels, seen->pixels, block};
    espq_range_mean_add(&w->mean[which], espq_percentile_of(w->percentile, &b, ESPQ_PERCENTILE));
  }
}

void espq_observation_add(espq_observation *observation, int worker, size_t which, const espq_observed *seen) {
  const worker_stats *w = &observation->workers[worker];
  espq_blocked b = {seen->data, seen->images, seen->channels, seen->pixels, espq_layout_block(seen->layout)};
  if (w->percentile) add_percentiles(w, which, seen);
  else if (w->range) espq_minmax_update_blocked(&w->range[which], &b);
  else if (w->histogram[which].table) espq_histogram_update_blocked(&w->histogram[which], &b);
}

espq_status espq_observed_mean(const espq_observation *observation, size_t which, espq_range_mean *out,
                               espq_error *err) {
  *out = (espq_range_mean){0};
  for (size_t i = 0; i < observation->nworkers; i++)
    if (!espq_range_mean_merge(out, &observation->workers[i].mean[which]))
      return espq_fail(err, ESPQ_ELIMIT, "more images than 64 bits can count");
  return ESPQ_OK;
}

espq_status espq_observed_range(const espq_observation *observation, size_t which, espq_minmax *out) {
  if (observation->ranges) {
    *out = observation->ranges[which];
    return ESPQ_OK;
  }
  espq_minmax_init(out);
  if (observation->kind == ESPQ_OBSERVED_PERCENTILES) {
    espq_range_mean mean;
    espq_status status = espq_observed_mean(observation, which, &mean, NULL);
    *out = espq_range_mean_of(&mean);
    return status;
  }
  for (size_t i = 0; i < observation->nworkers; i++) espq_minmax_merge(out, &observation->workers[i].range[which]);
  return ESPQ_OK;
}

espq_status espq_observed_histogram(const espq_observation *observation, size_t which, espq_histogram *out, bool *have,
                                    espq_error *err) {
  *out = (espq_histogram){0};
  *have = false;
  if (!observation->ranges) return espq_fail(err, ESPQ_EBUG, "no histograms were observed");
  espq_status status = init_histogram(observation->kind, &observation->ranges[which], out, err);
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
  if (observation->kind == ESPQ_OBSERVED_HISTOGRAMS_V3)
    return out->status = espq_fail(err, ESPQ_EBUG, "no histograms of ESP-DL v1 were observed");
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
  if (observation->kind != ESPQ_OBSERVED_HISTOGRAMS_V1)
    return espq_fail(err, ESPQ_EBUG, "no histograms of ESP-DL v1 were observed");
  espq_pool *pool;
  espq_status status = espq_pool_new(threads, &pool, err);
  if (status) return status;
  espq_pool_run(pool, observation->n, search_one, &(search){observation, out});
  espq_pool_free(pool);
  for (size_t i = 0; i < observation->n; i++)
    if (out[i].status == ESPQ_EMEMORY) return espq_fail_memory(err);
  return ESPQ_OK;
}

/* --- exponents of ESP-DL v3 --- */

typedef struct exponent_search {
  const espq_observation *observation;
  espq_observer observer;
  int bits, *out;
  espq_status *status;
} exponent_search;

/* The step of a value without histogram is told by its range: 0, infinity or NaN. */
static int exponent_without_histogram(const exponent_search *s, const espq_minmax *range) {
  float absmax = espq_minmax_absmax(range);
  return s->observer == ESPQ_OBSERVER_KL ? espq_exponent_of_step_v3(absmax)
                                         : espq_exponent_of_absmax_v3(absmax, s->bits);
}

static void search_exponent(void *context, size_t which, int worker) {
  const exponent_search *s = context;
  espq_histogram h;
  bool have;
  double step = 0;
  (void)worker;
  espq_status status = espq_observed_histogram(s->observation, which, &h, &have, NULL);
  if (!status && have && s->observer == ESPQ_OBSERVER_KL) status = espq_kl_step(&h, ESPQ_KL_LEVELS, &step, NULL);
  if (!have) s->out[which] = exponent_without_histogram(s, &s->observation->ranges[which]);
  else if (s->observer == ESPQ_OBSERVER_KL) s->out[which] = espq_exponent_of_step_v3(step);
  else if (!status) s->out[which] = espq_mse_exponent(&h, s->bits);
  s->status[which] = status;
  espq_histogram_free(&h);
}

espq_status espq_observed_exponents(const espq_observation *observation, espq_observer observer, int bits, int threads,
                                    int *out, espq_error *err) {
  size_t n = observation->n;
  if (observation->kind != ESPQ_OBSERVED_HISTOGRAMS_V3) return espq_fail(err, ESPQ_EBUG, "no magnitudes were counted");
  espq_status *found = espq_calloc(n + 1, sizeof *found);
  espq_pool *pool = NULL;
  espq_status status = found ? espq_pool_new(threads, &pool, err) : espq_fail_memory(err);
  if (!status) {
    espq_pool_run(pool, n, search_exponent, &(exponent_search){observation, observer, bits, out, found});
    espq_pool_free(pool);
  }
  for (size_t i = 0; i < n && !status; i++)
    if (found[i]) status = espq_fail_memory(err);
  espq_free(found);
  return status;
}
