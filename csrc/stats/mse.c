#include "stats/mse.h"

#include <math.h>

enum { CANDIDATES = 17 };

/* The sum of squared errors when magnitudes become steps of 2^exponent, at most `most` of them. */
static double squared_error(const espq_histogram *h, int exponent, double most) {
  double step = ldexp(1, exponent), width = (double)h->hi / h->bins, sum = 0;
  for (int i = 0; i < h->bins; i++) {
    double x = (i + 0.5) * width, nearest = floor(x / step + 0.5), error = x - (nearest < most ? nearest : most) * step;
    double square = step < width && nearest < most ? step * step / 12 : error * error;
    sum += (double)espq_histogram_count(h, i) * square;
  }
  return sum;
}

int espq_mse_exponent(const espq_histogram *h, int bits) {
  double most = ldexp(1, bits - 1) - 1, smallest = INFINITY;
  int largest = (int)ceil(log2(h->hi / most)), best = largest;
  for (int e = largest; e > largest - CANDIDATES; e--) {
    double error = squared_error(h, e, most);
    if (error < smallest) smallest = error, best = e;
  }
  return best;
}
