#include "stats/places.h"

#include <math.h>

#include "stats/clones.h"

enum { BLOCK = ESPQ_PLACES_BLOCK };

/* As lo is 0 or -hi and v a float, v < hi implies (v - lo) * factor < bins after rounding, too (the
 * distance is 2^-26 or more, the errors a few 2^-53): so only v == hi meets the minimum. */
ESPQ_STATS_CLONES
static void bins_of(const float *restrict x, int32_t *restrict bin, espq_places_rule r) {
  for (int i = 0; i < BLOCK; i++) {
    double v = x[i], place = (v - r.lo) * r.factor;
    place = place < r.bins - 1 ? place : r.bins - 1;
    place = v >= r.first ? place : r.bins;
    place = v <= r.hi ? place : r.bins;
    bin[i] = (int32_t)place;
  }
}

/* The quotient is exact enough for its floor: two floats' ratio is a whole number, or 2^-25 away from one. */
ESPQ_STATS_CLONES
static void bins_of_magnitudes(const float *restrict x, int32_t *restrict bin, espq_places_rule r) {
  for (int i = 0; i < BLOCK; i++) {
    double v = fabsf(x[i]), at = v * r.bins / r.hi;
    at = at < r.bins - 1 ? at : r.bins - 1;
    at = v <= r.hi ? at : r.bins;
    bin[i] = (int32_t)at;
  }
}

int espq_places_portable(const float *x, int32_t *place, int *lowest, const espq_places_rule *rule) {
  *lowest = 0;
  if (rule->magnitude) bins_of_magnitudes(x, place, *rule);
  else bins_of(x, place, *rule);
  return BLOCK;
}
