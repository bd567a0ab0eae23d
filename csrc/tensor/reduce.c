#include "tensor/reduce.h"

#include <math.h>
#include <string.h>

#include "tensor/function.h"
#include "tensor/move.h"
#include "tensor/row.h"

/* The axes of a reduction, those that stay and those that go, with their steps in elements. */
typedef struct axes {
  int rank;
  int64_t dim[ESPQ_MAX_RANK], step[ESPQ_MAX_RANK];
} axes;

typedef struct reduction {
  espq_reduction kind;
  espq_dtype type;
  bool is_float, is_unsigned;
  axes kept, gone;
  int64_t count; /* elements that make one result */
  const char *x;
} reduction;

typedef struct total {
  double f, scale; /* scale: of LOG_SUM_EXP, the largest element so far */
  int64_t i;
  bool any;
} total;

/* --- one result --- */

static void add_float(espq_reduction kind, total *t, double x) {
  switch (kind) {
    case ESPQ_REDUCE_MAX: t->f = !t->any || x != x || x > t->f ? x : t->f; break;
    case ESPQ_REDUCE_MIN: t->f = !t->any || x != x || x < t->f ? x : t->f; break;
    case ESPQ_REDUCE_PROD: t->f *= x; break;
    case ESPQ_REDUCE_L1: t->f += fabs(x); break;
    case ESPQ_REDUCE_L2:
    case ESPQ_REDUCE_SUM_SQUARE: t->f += x * x; break;
    case ESPQ_REDUCE_LOG_SUM_EXP:
      if (t->any && x <= t->scale) t->f += x == t->scale ? 1 : exp(x - t->scale);
      else t->f = (t->any ? t->f * exp(t->scale - x) : 0) + 1, t->scale = x;
      break;
    default: t->f += x;
  }
  t->any = true;
}

/* Unsigned arithmetic wraps where signed overflow would be undefined. */
static void add_integer(const reduction *r, total *t, int64_t x) {
  uint64_t u = (uint64_t)x, sum = (uint64_t)t->i;
  bool larger = r->is_unsigned ? u > sum : x > t->i;
  switch (r->kind) {
    case ESPQ_REDUCE_MAX: t->i = !t->any || larger ? x : t->i; break;
    case ESPQ_REDUCE_MIN: t->i = t->any && (larger || x == t->i) ? t->i : x; break;
    case ESPQ_REDUCE_PROD: t->i = (int64_t)(sum * u); break;
    case ESPQ_REDUCE_L1: t->i = (int64_t)(sum + (!r->is_unsigned && x < 0 ? 0 - u : u)); break;
    case ESPQ_REDUCE_SUM_SQUARE: t->i = (int64_t)(sum + u * u); break;
    default: t->i = (int64_t)(sum + u);
  }
  t->any = true;
}

/* Integers whose result is a fraction on the way (norms, logarithms) are added as doubles. */
static bool adds_doubles(const reduction *r) {
  return r->is_float || r->kind == ESPQ_REDUCE_L2 || r->kind == ESPQ_REDUCE_LOG_SUM ||
         r->kind == ESPQ_REDUCE_LOG_SUM_EXP;
}

static void add_row(const reduction *r, total *t, int64_t offset, int64_t step, int64_t n) {
  espq_row row;
  size_t size = espq_dtype_size(r->type);
  for (int64_t i = 0; i < n; i += ESPQ_ROW) {
    int64_t m = n - i < ESPQ_ROW ? n - i : ESPQ_ROW;
    espq_row_load(r->type, r->x + (offset + i * step) * (int64_t)size, step, m, &row);
    for (int64_t k = 0; k < m; k++) {
      double x = r->is_float ? row.f[k] : r->is_unsigned ? (double)(uint64_t)row.i[k] : (double)row.i[k];
      if (adds_doubles(r)) add_float(r->kind, t, x);
      else add_integer(r, t, row.i[k]);
    }
  }
}

static void add_axes(const reduction *r, total *t, int axis, int64_t offset) {
  const axes *a = &r->gone;
  if (axis >= a->rank - 1) {
    add_row(r, t, offset, a->rank ? a->step[axis] : 1, a->rank ? a->dim[axis] : 1);
    return;
  }
  for (int64_t i = 0; i < a->dim[axis]; i++) add_axes(r, t, axis + 1, offset + i * a->step[axis]);
}

static double finish_float(const reduction *r, const total *t) {
  switch (r->kind) {
    case ESPQ_REDUCE_MEAN: return t->f / (double)r->count;
    case ESPQ_REDUCE_MAX: return t->any ? t->f : -INFINITY;
    case ESPQ_REDUCE_MIN: return t->any ? t->f : INFINITY;
    case ESPQ_REDUCE_L2: return sqrt(t->f);
    case ESPQ_REDUCE_LOG_SUM: return log(t->f);
    case ESPQ_REDUCE_LOG_SUM_EXP: return t->any ? log(t->f) + t->scale : -INFINITY;
    default: return t->f;
  }
}

/* The extremes of nothing are the type's own. */
static int64_t finish_integer(const reduction *r, const total *t) {
  int64_t low, high;
  espq_dtype_range(r->type, &low, &high);
  if (r->type == ESPQ_U64) high = -1;
  switch (r->kind) {
    case ESPQ_REDUCE_MEAN:
      if (!r->count) return 0;
      return r->is_unsigned ? (int64_t)((uint64_t)t->i / (uint64_t)r->count) : t->i / r->count;
    case ESPQ_REDUCE_MAX: return t->any ? t->i : low;
    case ESPQ_REDUCE_MIN: return t->any ? t->i : high;
    default: return t->i;
  }
}

/* --- all results --- */

static void reduce_at(const reduction *r, int64_t offset, char *y) {
  total t = {.f = r->kind == ESPQ_REDUCE_PROD, .i = r->kind == ESPQ_REDUCE_PROD};
  espq_row row = {.is_float = adds_doubles(r), .is_unsigned = r->is_unsigned};
  if (r->count) add_axes(r, &t, 0, offset);
  if (row.is_float) row.f[0] = finish_float(r, &t);
  else row.i[0] = finish_integer(r, &t);
  espq_row_store(r->type, 1, &row, y);
}

static char *walk_kept(const reduction *r, int axis, int64_t offset, char *y) {
  if (axis == r->kept.rank) {
    reduce_at(r, offset, y);
    return y + espq_dtype_size(r->type);
  }
  for (int64_t i = 0; i < r->kept.dim[axis]; i++) y = walk_kept(r, axis + 1, offset + i * r->kept.step[axis], y);
  return y;
}

void espq_reduce(espq_reduction kind, espq_dtype type, int rank, const int64_t *dim, const bool *along, const void *x,
                 void *y) {
  reduction r = {.kind = kind,
                 .type = type,
                 .is_float = espq_dtype_is_float(type),
                 .is_unsigned = type == ESPQ_U64,
                 .count = 1,
                 .x = x};
  int64_t step[ESPQ_MAX_RANK];
  espq_move_strides(rank, dim, step);
  for (int i = 0; i < rank; i++) {
    axes *a = along[i] ? &r.gone : &r.kept;
    a->dim[a->rank] = dim[i];
    a->step[a->rank++] = step[i];
    if (along[i]) r.count *= dim[i];
    else if (dim[i] == 0) return; /* no results, however large the other axes are */
  }
  walk_kept(&r, 0, 0, y);
}

unsigned espq_reduce_types(espq_reduction kind) {
  unsigned wide = ESPQ_TYPES(ESPQ_I32) | ESPQ_TYPES(ESPQ_I64) | ESPQ_TYPES(ESPQ_U32) | ESPQ_TYPES(ESPQ_U64);
  bool extremum = kind == ESPQ_REDUCE_MAX || kind == ESPQ_REDUCE_MIN;
  return ESPQ_TYPES_FLOAT | wide | (extremum ? ESPQ_TYPES(ESPQ_I8) | ESPQ_TYPES(ESPQ_U8) | ESPQ_TYPES(ESPQ_BOOL) : 0);
}
