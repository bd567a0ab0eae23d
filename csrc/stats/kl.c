#include "stats/kl.h"

#include <math.h>

#include "base/alloc.h"

#define LEAST 1e-30 /* added to a probability, so that it has a logarithm */

/* The histogram's counts and what all ranges share. Counts and their sums are whole numbers, exact in double. */
typedef struct counts {
  int bins;
  double total;
  double *count;    /* bins */
  double *before;   /* bins + 1: sum of the counts of lower bins */
  double *occupied; /* bins + 1: how many lower bins are not empty */
  double *share;    /* bins: count / total */
  double *log;      /* bins: its logarithm */
} counts;

static void fill(counts *c, const espq_histogram *h) {
  int emptied = (int)(c->bins * 0.002);
  for (int i = 0; i < c->bins; i++) {
    c->count[i] = i < emptied ? 0 : i == emptied ? 1 : (double)espq_histogram_count(h, i);
    c->before[i + 1] = c->before[i] + c->count[i];
    c->occupied[i + 1] = c->occupied[i] + (c->count[i] > 0);
  }
  c->total = c->before[c->bins];
  for (int i = 0; i < c->bins; i++) {
    c->share[i] = c->count[i] / c->total;
    c->log[i] = log10(c->share[i] + LEAST);
  }
}

/* Of the range's first bins to its groups; its last bin, which also holds what lies beyond, is left out. */
static double divergence(const counts *c, int range, int levels) {
  int width = range / levels;
  double sum = 0, inside = c->before[range], last = 0;
  for (int first = 0; first < range; first += width) {
    int end = first + width, whole = end == range ? end - 1 : end;
    double filled = c->occupied[end] - c->occupied[first];
    double each = filled > 0 ? (c->before[end] - c->before[first]) / filled / inside : 0;
    double log = log10(each + LEAST);
    for (int i = first; i < whole; i++) sum += c->share[i] * (c->log[i] - log);
    last = c->count[range - 1] > 0 ? log : log10(LEAST);
  }
  double beyond = (c->count[range - 1] + c->total - inside) / c->total;
  return sum + beyond * (log10(beyond + LEAST) - last);
}

espq_status espq_kl_step(const espq_histogram *h, int levels, double *step, espq_error *err) {
  size_t n = (size_t)h->bins + 1;
  double *block = espq_calloc(5 * n, sizeof *block), smallest = INFINITY;
  if (!block) return espq_fail_memory(err);
  counts c = {h->bins, 0, block, block + n, block + 2 * n, block + 3 * n, block + 4 * n};
  int best = h->bins;
  fill(&c, h);
  for (int range = levels; range <= h->bins; range += levels) {
    double d = divergence(&c, range, levels);
    if (d < smallest) smallest = d, best = range;
  }
  *step = best * ((double)h->hi / h->bins) / levels;
  espq_free(block);
  return ESPQ_OK;
}
