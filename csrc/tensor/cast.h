/* cast.h - element types of tensors: conversion, single elements as numbers, comparison.
 *
 * Rules of conversion: to a float type the nearest, ties to even (one rounding, also from float64 to float16); float
 * to integer truncates, saturates, and makes 0 of NaN; integer to integer keeps the low bits, as C and numpy do;
 * to bool "is not zero".
 *
 *   espq_tensor *f;
 *   if (espq_tensor_cast(half, ESPQ_F32, &f, err)) return err->status;
 */
#ifndef ESPQ_TENSOR_CAST_H
#define ESPQ_TENSOR_CAST_H

#include "tensor/tensor.h"

float espq_f16_to_f32(uint16_t half);
uint16_t espq_f16_from_f64(double x); /* overflow gives infinity; a NaN stays one */

bool espq_dtype_is_float(espq_dtype dtype);
/* Smallest and largest integer of an integer type (uint64: up to INT64_MAX). */
void espq_dtype_range(espq_dtype dtype, int64_t *low, int64_t *high);

/* One element as a number: integer types fill i (uint64 its bits), float types f. */
typedef struct espq_number {
  bool is_float;
  double f;
  int64_t i;
} espq_number;

espq_number espq_tensor_get(const espq_tensor *tensor, int64_t index); /* index < count */
void espq_tensor_set(espq_tensor *tensor, int64_t index, espq_number x);
void espq_tensor_fill(espq_tensor *tensor, espq_number x);
/* n elements from `from` on, as doubles. */
void espq_tensor_read(const espq_tensor *tensor, int64_t from, int64_t n, double *out);

/* count elements from one type to another; src and dst do not overlap. */
void espq_cast(espq_dtype from, espq_dtype to, int64_t count, const void *src, void *dst);
/* A new tensor of the other type; also a plain copy when the types agree. */
espq_status espq_tensor_cast(const espq_tensor *tensor, espq_dtype dtype, espq_tensor **out, espq_error *err);

/* Element by element, for two tensors of one type and shape; 0 equals -0 and NaN equals NaN. Returns the number of
 * elements that differ; *first is the index of the first. */
int64_t espq_tensor_compare(const espq_tensor *a, const espq_tensor *b, int64_t *first);

#endif
