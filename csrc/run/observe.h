/* observe.h - statistics of named tensors while a graph runs.
 *
 * Each worker has its own accumulators; they hold minima, maxima and integer counts only, so that merging them in
 * any order gives the same bits; means of percentiles are exact sums. An observation outlives many runs: a dataset is fed
 * batch by batch; as bytes it outlives the process, and parts made by several are added.
 *
 *   espq_observation *o;
 *   espq_observe_range(ids, n, &o, err);
 *   espq_exec_run(exec, inputs, outputs, o, err);  ...
 *   const espq_minmax *m = espq_observed_range(o, k);
 */
#ifndef ESPQ_RUN_OBSERVE_H
#define ESPQ_RUN_OBSERVE_H

#include "base/layout.h"
#include "graph/graph.h"
#include "stats/entropy.h"
#include "stats/histogram.h"
#include "stats/minmax.h"
#include "stats/percentile.h"

typedef struct espq_observation espq_observation;

/* Ranges of n values. */
espq_status espq_observe_range(const espq_id *values, size_t n, espq_observation **out, espq_error *err);
/* Histograms of n values over the ranges that were observed before. A value whose range is empty, zero or not finite
 * has no histogram. */
typedef enum espq_histograms {
  ESPQ_HISTOGRAMS_V1, /* [0, max] without zeros where nothing is negative, else symmetric: espq_observed_threshold */
  ESPQ_HISTOGRAMS_V3  /* magnitudes over [0, absmax]: espq_observed_exponents */
} espq_histograms;
espq_status espq_observe_histogram(const espq_id *values, size_t n, espq_histograms kind, const espq_minmax *ranges,
                                   espq_observation **out, espq_error *err);
/* Percentiles of n values (stats/percentile.h), of each image alone; of each batch where a model has its own size. */
espq_status espq_observe_percentile(const espq_id *values, size_t n, espq_observation **out, espq_error *err);
void espq_observation_free(espq_observation *observation); /* NULL is allowed */

size_t espq_observation_count(const espq_observation *observation);
const espq_id *espq_observation_values(const espq_observation *observation);

/* Makes room for that many workers. Before a run. */
espq_status espq_observation_prepare(espq_observation *observation, int workers, espq_error *err);
/* What a worker has of a value: `steps` steps (images, or a batch of the model's own size), images / steps images in
 * each. */
typedef struct espq_observed {
  const float *data;
  int64_t steps;
  int64_t images, channels, pixels;
  espq_layout layout;
} espq_observed;
/* Adds it to value number `which`; called by worker. */
void espq_observation_add(espq_observation *observation, int worker, size_t which, const espq_observed *seen);

/* Results over all workers; valid until the next run. Of percentiles the means over all steps are the range. NULL
 * histogram: see espq_observe_histogram. */
espq_status espq_observed_range(const espq_observation *observation, size_t which, espq_minmax *out);
espq_status espq_observed_histogram(const espq_observation *observation, size_t which, espq_histogram *out, bool *have,
                                    espq_error *err);

/* All that was seen, as bytes that are the same on every machine and for every number of workers; espq_free *bytes. */
espq_status espq_observation_write(const espq_observation *observation, char **bytes, size_t *size, espq_error *err);
/* Adds what such bytes say of as many values, of the same kind; ESPQ_EFORMAT where they are damaged or of something
 * else (another kind, another number of values, histograms over other ranges): the observation is then of no use. */
espq_status espq_observation_add_bytes(espq_observation *observation, const void *bytes, size_t size, espq_error *err);
/* An observation of no graph, that only takes and gives bytes. */
espq_status espq_observation_read(const void *bytes, size_t size, espq_observation **out, espq_error *err);

/* The threshold of smallest divergence of each value (stats/entropy.h); what the search refuses has a status. */
typedef struct espq_threshold {
  espq_status status;
  espq_entropy_refusal refusal;
  double value;
} espq_threshold;
/* Searches those of all values on that many threads (0: one per CPU) into out, one per value; each search alone decides
 * its result. Fails for lack of memory or of histograms only. */
espq_status espq_observed_thresholds(const espq_observation *observation, int threads, espq_threshold *out,
                                     espq_error *err);
/* The search of one value; on refusal the text says why. */
espq_status espq_observed_threshold(const espq_observation *observation, size_t which, espq_threshold *out,
                                    espq_error *err);

/* ESP-DL v3: the exponents of all values that one observer gives, on that many threads. Histograms of v3 only. */
typedef enum espq_observer { ESPQ_OBSERVER_KL, ESPQ_OBSERVER_MSE } espq_observer;
espq_status espq_observed_exponents(const espq_observation *observation, espq_observer observer, int bits, int threads,
                                    int *out, espq_error *err);

#endif
