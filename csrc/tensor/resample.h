/* resample.h - one axis of an array becomes longer or shorter: where entries come from, and their weighted sums.
 *
 * Formulas are ONNX's for Resize. Positions are computed in float32 and in onnxruntime's order of operations, as half
 * an entry decides which neighbour is the nearest. With align_corners, scales mean the width that is not rounded, as in
 * ONNX's own tests; onnxruntime rounds it.
 *
 *   espq_resample_taps taps;
 *   espq_resample_taps_new(&options, &axis, &taps, err);
 *   espq_resample_f32(&taps, outer, axis.in, inner, x, y);       -- or, for nearest, espq_move_take with taps.index
 */
#ifndef ESPQ_TENSOR_RESAMPLE_H
#define ESPQ_TENSOR_RESAMPLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

typedef enum espq_coordinates {
  ESPQ_HALF_PIXEL,
  ESPQ_PYTORCH_HALF_PIXEL,
  ESPQ_ALIGN_CORNERS,
  ESPQ_ASYMMETRIC,
  ESPQ_CROP,           /* tf_crop_and_resize */
  ESPQ_HALF_SYMMETRIC, /* half_pixel_symmetric */
  ESPQ_HALF_PIXEL_FOR_NN
} espq_coordinates;
typedef enum espq_nearest {
  ESPQ_PREFER_FLOOR,
  ESPQ_PREFER_CEIL,
  ESPQ_FLOOR,
  ESPQ_CEIL,
  ESPQ_SIMPLE /* opset 10: up when shrinking, down when growing */
} espq_nearest;
typedef enum espq_interpolation { ESPQ_NEAREST, ESPQ_LINEAR, ESPQ_CUBIC } espq_interpolation;

typedef struct espq_resample_options {
  espq_coordinates coordinates;
  espq_nearest nearest;
  espq_interpolation interpolation;
  bool antialias, exclude_outside;
  float cubic_a;
} espq_resample_options;

typedef struct espq_resample_axis {
  int64_t in, out;
  float scale;       /* out / in, as it was given */
  float width;       /* in * scale, of which out is the integer part */
  double start, end; /* CROP: the part of the input, from 0 to 1 */
} espq_resample_axis;

/* Entry i of the result is the sum of weight[i * n + k] times entry index[i * n + k]. */
typedef struct espq_resample_taps {
  int64_t out, n;
  int64_t *index;
  double *weight; /* NULL: nearest, n is 1 */
  bool *outside;  /* CROP: entries that lie outside of the input; else NULL */
} espq_resample_taps;

/* axis->in and out are above 0. */
espq_status espq_resample_taps_new(const espq_resample_options *options, const espq_resample_axis *axis,
                                   espq_resample_taps *taps, espq_error *err);
void espq_resample_taps_free(espq_resample_taps *taps);

/* outer x in x inner to outer x out x inner; x and y do not overlap. */
void espq_resample_f32(const espq_resample_taps *taps, int64_t outer, int64_t in, int64_t inner, const float *x,
                       float *y);
void espq_resample_f64(const espq_resample_taps *taps, int64_t outer, int64_t in, int64_t inner, const double *x,
                       double *y);

#endif
