/* taps.h - which taps of a sliding window touch a range of positions, however large the window's numbers are.
 *
 *   int64_t first, n = espq_taps(start, kernel, dilation, 0, size, &first);   // of start, start + dilation, ...
 */
#ifndef ESPQ_BASE_TAPS_H
#define ESPQ_BASE_TAPS_H

#include <stdint.h>

/* ceil(a / b), at least 0; b > 0. */
static inline int64_t espq_ceil_div(int64_t a, int64_t b) { return a <= 0 ? 0 : (a - 1) / b + 1; }

/* Of the taps start, start + d, ... (k of them), how many lie in low <= position < high; *first is the first of them. */
static inline int64_t espq_taps(int64_t start, int64_t k, int64_t d, int64_t low, int64_t high, int64_t *first) {
  int64_t end = espq_ceil_div(high - start, d);
  *first = espq_ceil_div(low - start, d);
  if (end > k) end = k;
  return end > *first ? end - *first : 0;
}

#endif
