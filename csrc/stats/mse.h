/* mse.h - the exponent of smallest mean squared error, from a histogram of magnitudes.
 *
 * Every exponent from the one that holds all data down to where only 2^-16 of their range is left is tried. A bin's
 * elements are taken to lie at its middle where steps are wider than bins, else all over it.
 *
 *   int e = espq_mse_exponent(&histogram, 8);
 */
#ifndef ESPQ_STATS_MSE_H
#define ESPQ_STATS_MSE_H

#include "stats/histogram.h"

/* The exponent for integers of that many bits, -2^(bits-1) to 2^(bits-1) - 1; the largest, where several are as good. */
int espq_mse_exponent(const espq_histogram *h, int bits);

#endif
