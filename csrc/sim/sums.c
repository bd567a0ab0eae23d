#include "sim/sums.h"

static int64_t add(int64_t a, int64_t b) {
  int64_t sum;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return a < 0 ? INT64_MIN : INT64_MAX;
}

espq_sim_interval espq_sim_sums(int bits, const void *weights, int64_t count, int64_t step, espq_sim_interval input,
                                int64_t start) {
  espq_sim_interval sums = {0, 0};
  for (int64_t i = 0; i < count; i++) {
    int64_t w = bits == 8 ? ((const int8_t *)weights)[i * step] : ((const int16_t *)weights)[i * step];
    int64_t a = w * input.lo, b = w * input.hi, low = a < b ? a : b, high = a < b ? b : a;
    if (low < 0) sums.lo += low; /* at most 2^31 products of 2^30 */
    if (high > 0) sums.hi += high;
  }
  return (espq_sim_interval){add(start, sums.lo), add(start, sums.hi)};
}
