/* places.h - in which bins of a histogram the elements of a block lie: private to histogram.c.
 *
 * One rule, and two ways to apply it, by what the processor has; both count the same elements in the same bins.
 */
#ifndef ESPQ_STATS_PLACES_H
#define ESPQ_STATS_PLACES_H

#include <stdbool.h>
#include <stdint.h>

enum { ESPQ_PLACES_BLOCK = 512, ESPQ_PLACES_SLACK = 16 };

typedef struct espq_places_rule {
  double lo, hi;
  double first;  /* the smallest element that counts: lo, or the first float above it */
  double factor; /* bins / (hi - lo) */
  double bins;
  bool magnitude;
} espq_places_rule;

/* Writes the bins of ESPQ_PLACES_BLOCK elements into `place` (ESPQ_PLACES_SLACK longer), in their order, and returns
 * how many it wrote: elements that do not count are left out, or have the place after the last bin. Of bin 0, in which
 * all zeros of a histogram of magnitudes are, some may be left out as well: *lowest is their number. */
typedef int espq_places(const float *x, int32_t *place, int *lowest, const espq_places_rule *rule);

espq_places espq_places_portable;

/* For AVX-512; NULL where the processor or the compiler has none. */
espq_places *espq_places_avx512(void);

#endif
