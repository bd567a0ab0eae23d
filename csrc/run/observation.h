/* observation.h - what an observation is made of: for observe.c, which fills it, and state.c, which writes and reads it.
 */
#ifndef ESPQ_RUN_OBSERVATION_H
#define ESPQ_RUN_OBSERVATION_H

#include "run/observe.h"
#include "stats/range_mean.h"

typedef enum espq_observed_kind {
  ESPQ_OBSERVED_RANGES,
  ESPQ_OBSERVED_HISTOGRAMS_V1,
  ESPQ_OBSERVED_HISTOGRAMS_V3,
  ESPQ_OBSERVED_PERCENTILES
} espq_observed_kind;

/* One per value, by the kind of the observation. */
typedef struct espq_worker_stats {
  espq_minmax *range;
  espq_histogram *histogram;
  espq_percentile *percentile; /* one table for all */
  espq_range_mean *mean;
} espq_worker_stats;

struct espq_observation {
  size_t n;
  espq_id *values;
  espq_observed_kind kind;
  espq_minmax *ranges; /* histograms: what they span */
  espq_worker_stats *workers;
  size_t nworkers;
};

espq_status espq_observed_mean(const espq_observation *observation, size_t which, espq_range_mean *out,
                               espq_error *err);

#endif
