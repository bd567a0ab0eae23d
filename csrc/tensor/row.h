/* row.h - a few elements of any type as numbers, on their way from one array to another: what casts and functions of
 * numbers share.
 *
 *   espq_row row;                                     // n <= ESPQ_ROW
 *   espq_row_load(ESPQ_F16, x, 1, n, &row);           // floats arrive as doubles, integers in 64 bits
 *   espq_row_store(ESPQ_I8, n, &row, y);              // by the rules of cast.h
 */
#ifndef ESPQ_TENSOR_ROW_H
#define ESPQ_TENSOR_ROW_H

#include "tensor/cast.h"

enum { ESPQ_ROW = 512 };

typedef struct espq_row {
  bool is_float, is_unsigned; /* is_unsigned: i holds the bits of uint64 */
  double f[ESPQ_ROW];
  int64_t i[ESPQ_ROW];
} espq_row;

/* Every step-th element of data. */
void espq_row_load(espq_dtype dtype, const void *data, int64_t step, int64_t n, espq_row *row);
/* The row's numbers may become integers on the way. */
void espq_row_store(espq_dtype dtype, int64_t n, espq_row *row, void *data);

#endif
