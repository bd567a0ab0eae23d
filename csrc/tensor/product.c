#include "tensor/product.h"

#include <string.h>

#include "tensor/row.h"

static const void *at(const espq_product *p, const void *data, int64_t index) {
  return (const char *)data + index * (int64_t)espq_dtype_size(p->dtype);
}

/* y += a[0] * b, n numbers. */
static void multiply_add(int64_t n, const espq_row *a, const espq_row *b, espq_row *y) {
  if (b->is_float)
    for (int64_t j = 0; j < n; j++) y->f[j] += a->f[0] * b->f[j];
  else /* the low bits of products and sums do not depend on the sign */
    for (int64_t j = 0; j < n; j++) y->i[j] = (int64_t)((uint64_t)y->i[j] + (uint64_t)a->i[0] * (uint64_t)b->i[j]);
}

static double number(const espq_row *row, int64_t j) {
  return row->is_float ? row->f[j] : row->is_unsigned ? (double)(uint64_t)row->i[j] : (double)row->i[j];
}

/* y = alpha * y + beta * c; c NULL: nothing to add. */
static void scale_add(const espq_product *p, int64_t n, const espq_row *c, espq_row *y) {
  bool exact = p->alpha == 1 && (!c || p->beta == 1);
  if (exact && !y->is_float) {
    for (int64_t j = 0; c && j < n; j++) y->i[j] = (int64_t)((uint64_t)y->i[j] + (uint64_t)c->i[j]);
    return;
  }
  for (int64_t j = 0; j < n; j++) y->f[j] = p->alpha * number(y, j) + (c ? p->beta * number(c, j) : 0);
  y->is_float = true;
}

/* Columns j to j + n of row i, n <= ESPQ_ROW. */
static void part_of_row(const espq_product *p, int64_t i, int64_t j, int64_t n, const void *a, const void *b,
                        const void *c, void *y) {
  espq_row sum, left, right;
  memset(&sum, 0, sizeof sum);
  sum.is_float = espq_dtype_is_float(p->dtype);
  sum.is_unsigned = p->dtype == ESPQ_U64;
  for (int64_t k = 0; k < p->k; k++) {
    espq_row_load(p->dtype, at(p, a, i * p->a_row + k * p->a_column), 1, 1, &left);
    espq_row_load(p->dtype, at(p, b, k * p->b_row + j * p->b_column), p->b_column, n, &right);
    multiply_add(n, &left, &right, &sum);
  }
  bool add = c && p->beta != 0;
  if (add) espq_row_load(p->dtype, at(p, c, i * p->c_row + j * p->c_column), p->c_column, n, &right);
  scale_add(p, n, add ? &right : NULL, &sum);
  espq_row_store(p->dtype, n, &sum, (void *)at(p, y, i * p->n + j));
}

void espq_product_run(const espq_product *p, const void *a, const void *b, const void *c, void *y) {
  for (int64_t i = 0; i < p->m; i++)
    for (int64_t j = 0; j < p->n; j += ESPQ_ROW)
      part_of_row(p, i, j, p->n - j < ESPQ_ROW ? p->n - j : ESPQ_ROW, a, b, c, y);
}
