#include "tensor/move.h"

#include <stdbool.h>
#include <string.h>

#include "tensor/tensor.h"

enum { TILE = 32 }; /* two 32x32 tiles of 8-byte elements fit the L1 cache */

/* A copy in progress: byte strides, dimensions of 1 dropped, neighbours merged where memory allows. */
typedef struct walk {
  size_t size;
  int rank;
  int64_t dim[ESPQ_MAX_RANK], from[ESPQ_MAX_RANK], to[ESPQ_MAX_RANK];
} walk;

/* --- one run of elements --- */

/* Two of every element: 16 at a time, which is what compilers make vectors of. */
#define TWICE(type)                                                            \
  {                                                                            \
    const type *in = (const type *)(const void *)src;                          \
    type *out = (type *)(void *)dst;                                           \
    for (; n >= 16; n -= 16, in += 16, out += 32)                              \
      for (int k = 0; k < 16; k++) out[2 * k] = in[k], out[2 * k + 1] = in[k]; \
    for (; n > 0; n--, in++, out += 2) out[0] = out[1] = *in;                  \
  }

static void copy_twice(size_t size, int64_t n, const unsigned char *restrict src, unsigned char *restrict dst) {
  switch (size) {
    case 1: TWICE(uint8_t) break;
    case 2: TWICE(uint16_t) break;
    case 4: TWICE(uint32_t) break;
    default: TWICE(uint64_t)
  }
}

#define RUN(bytes)                             \
  for (; n > 0; n--, src += from, dst += to) { \
    unsigned char element[bytes];              \
    memcpy(element, src, bytes);               \
    memcpy(dst, element, bytes);               \
  }

static void copy_run(size_t size, int64_t n, const unsigned char *src, int64_t from, unsigned char *dst, int64_t to) {
  int64_t step = (int64_t)size;
  if (to == step && from == step) {
    memcpy(dst, src, (size_t)n * size);
    return;
  }
  if (to == step && from == 0) {
    espq_move_fill(size, n, src, dst);
    return;
  }
  switch (size) {
    case 1: RUN(1) break;
    case 2: RUN(2) break;
    case 4: RUN(4) break;
    case 8: RUN(8) break;
    default:
      for (; n > 0; n--, src += from, dst += to) memcpy(dst, src, size);
  }
}

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/* The last two axes, in tiles: where one side runs along rows and the other along columns, each cache line is
 * fetched once. */
static void copy_plane(const walk *w, const unsigned char *src, unsigned char *dst) {
  int r = w->rank - 2, c = w->rank - 1;
  for (int64_t i = 0; i < w->dim[r]; i += TILE) {
    for (int64_t j = 0; j < w->dim[c]; j += TILE) {
      int64_t rows = smaller(TILE, w->dim[r] - i), columns = smaller(TILE, w->dim[c] - j);
      for (int64_t k = i; k < i + rows; k++)
        copy_run(w->size, columns, src + k * w->from[r] + j * w->from[c], w->from[c], dst + k * w->to[r] + j * w->to[c],
                 w->to[c]);
    }
  }
}

/* The last two axes repeat each element of a run, as nearest-neighbour resizing by 2 does. */
static bool is_twice(const walk *w, int axis) {
  int64_t size = (int64_t)w->size;
  return axis == w->rank - 2 && w->dim[axis + 1] == 2 && w->from[axis + 1] == 0 && w->to[axis + 1] == size &&
         w->from[axis] == size && w->to[axis] == 2 * size && (size == 1 || size == 2 || size == 4 || size == 8);
}

static void copy_axes(const walk *w, int axis, const unsigned char *src, unsigned char *dst);

/* What repeats is put together once and then copied, if it lies in one piece. */
static bool copy_repeats(const walk *w, int axis, const unsigned char *src, unsigned char *dst) {
  int64_t bytes = (int64_t)w->size;
  if (w->from[axis] != 0) return false;
  for (int i = w->rank - 1; i > axis; i--) {
    if (w->to[i] != bytes) return false;
    bytes *= w->dim[i];
  }
  if (w->to[axis] != bytes) return false;
  copy_axes(w, axis + 1, src, dst);
  for (int64_t i = 1; i < w->dim[axis]; i++) memcpy(dst + i * bytes, dst, (size_t)bytes);
  return true;
}

static void copy_axes(const walk *w, int axis, const unsigned char *src, unsigned char *dst) {
  int left = w->rank - axis;
  if (left == 0) {
    memcpy(dst, src, w->size);
  } else if (left == 1) {
    copy_run(w->size, w->dim[axis], src, w->from[axis], dst, w->to[axis]);
  } else if (is_twice(w, axis)) {
    copy_twice(w->size, w->dim[axis], src, dst);
  } else if (copy_repeats(w, axis, src, dst)) {
    return;
  } else if (left == 2 && w->from[axis + 1] != (int64_t)w->size && w->from[axis + 1] != 0) {
    copy_plane(w, src, dst);
  } else {
    for (int64_t i = 0; i < w->dim[axis]; i++) copy_axes(w, axis + 1, src + i * w->from[axis], dst + i * w->to[axis]);
  }
}

static void add_axis(walk *w, int64_t dim, int64_t from, int64_t to) {
  int last = w->rank - 1;
  if (dim == 1) return;
  if (last >= 0 && w->from[last] == dim * from && w->to[last] == dim * to) {
    w->dim[last] *= dim;
    w->from[last] = from;
    w->to[last] = to;
    return;
  }
  w->dim[w->rank] = dim;
  w->from[w->rank] = from;
  w->to[w->rank++] = to;
}

static void swap_axes(walk *w, int a, int b) {
  int64_t dim = w->dim[a], from = w->from[a], to = w->to[a];
  w->dim[a] = w->dim[b], w->from[a] = w->from[b], w->to[a] = w->to[b];
  w->dim[b] = dim, w->from[b] = from, w->to[b] = to;
}

/* The order of the loops is free: when the last axis jumps through src, the axis along which src is contiguous goes
 * beside it, for copy_plane. */
static void pair_axes(walk *w) {
  int last = w->rank - 1;
  if (last < 1 || w->from[last] == (int64_t)w->size) return;
  for (int a = 0; a < last; a++)
    if (w->from[a] == (int64_t)w->size) swap_axes(w, a, last - 1);
}

void espq_move_copy(size_t size, int rank, const int64_t *dim, const void *src, const int64_t *src_stride, void *dst,
                    const int64_t *dst_stride) {
  walk w = {.size = size};
  for (int i = 0; i < rank; i++) {
    if (dim[i] <= 0) return;
    add_axis(&w, dim[i], src_stride[i] * (int64_t)size, dst_stride[i] * (int64_t)size);
  }
  pair_axes(&w);
  copy_axes(&w, 0, src, dst);
}

void espq_move_strides(int rank, const int64_t *dim, int64_t *stride) {
  int64_t n = 1;
  for (int i = rank - 1; i >= 0; i--) {
    stride[i] = n;
    n *= dim[i];
  }
}

static int64_t product(int rank, const int64_t *dim) {
  int64_t n = 1;
  for (int i = 0; i < rank; i++) n *= dim[i];
  return n;
}

/* Doubling: few long copies instead of many short ones. */
void espq_move_fill(size_t size, int64_t count, const void *element, void *dst) {
  if (count <= 0) return;
  size_t total = (size_t)count * size, done = size;
  memcpy(dst, element, size);
  while (done < total) {
    size_t n = done < total - done ? done : total - done;
    if (n > 4096) n = 4096 / size ? 4096 / size * size : size;
    memcpy((char *)dst + done, dst, n);
    done += n;
  }
}

void espq_move_transpose(size_t size, int rank, const int64_t *dim, const int64_t *perm, const void *src, void *dst) {
  int64_t stride[ESPQ_MAX_RANK] = {0}, out[ESPQ_MAX_RANK] = {0}, from[ESPQ_MAX_RANK] = {0}, to[ESPQ_MAX_RANK] = {0};
  espq_move_strides(rank, dim, stride);
  for (int i = 0; i < rank; i++) {
    out[i] = dim[perm[i]];
    from[i] = stride[perm[i]];
  }
  espq_move_strides(rank, out, to);
  espq_move_copy(size, rank, out, src, from, dst, to);
}

void espq_move_slice(size_t size, int rank, const int64_t *dim, const int64_t *start, const int64_t *step,
                     const int64_t *out_dim, const void *src, void *dst) {
  if (product(rank, out_dim) == 0) return;
  int64_t stride[ESPQ_MAX_RANK] = {0}, from[ESPQ_MAX_RANK] = {0}, to[ESPQ_MAX_RANK] = {0}, offset = 0;
  espq_move_strides(rank, dim, stride);
  espq_move_strides(rank, out_dim, to);
  for (int i = 0; i < rank; i++) {
    offset += start[i] * stride[i];
    from[i] = step[i] * stride[i];
  }
  espq_move_copy(size, rank, out_dim, (const char *)src + offset * (int64_t)size, from, dst, to);
}

void espq_move_expand(size_t size, int rank, const int64_t *dim, int out_rank, const int64_t *out_dim, const void *src,
                      void *dst) {
  int64_t stride[ESPQ_MAX_RANK] = {0}, from[ESPQ_MAX_RANK] = {0}, to[ESPQ_MAX_RANK] = {0};
  int lead = out_rank - rank;
  espq_move_strides(rank, dim, stride);
  espq_move_strides(out_rank, out_dim, to);
  for (int i = 0; i < out_rank; i++) from[i] = i < lead || dim[i - lead] == 1 ? 0 : stride[i - lead];
  espq_move_copy(size, out_rank, out_dim, src, from, dst, to);
}

/* --- padding --- */

typedef struct padding {
  size_t size;
  int rank;
  unsigned char *dst;
  int64_t out[ESPQ_MAX_RANK], stride[ESPQ_MAX_RANK];
  int64_t first[ESPQ_MAX_RANK], inner[ESPQ_MAX_RANK]; /* where src's part lies in dst */
} padding;

/* Copies src's part; returns its number of elements. */
static int64_t place_inner(const padding *p, const int64_t *dim, const int64_t *before, const void *src) {
  if (product(p->rank, p->inner) == 0) return 0;
  int64_t from[ESPQ_MAX_RANK] = {0}, skip = 0, offset = 0;
  espq_move_strides(p->rank, dim, from);
  for (int i = 0; i < p->rank; i++) {
    if (before[i] < 0) skip -= before[i] * from[i];
    offset += p->first[i] * p->stride[i];
  }
  espq_move_copy(p->size, p->rank, p->inner, (const char *)src + skip * (int64_t)p->size, from,
                 p->dst + offset * (int64_t)p->size, p->stride);
  return product(p->rank, p->inner);
}

/* The inner index that stands at distance `at` from the inner part's first element (at < 0 or at >= n). */
static int64_t repeated(espq_pad_mode mode, int64_t at, int64_t n) {
  if (mode == ESPQ_PAD_EDGE || n == 1) return at < 0 ? 0 : n - 1;
  if (mode == ESPQ_PAD_WRAP) return at % n < 0 ? at % n + n : at % n;
  int64_t period = 2 * (n - 1), k = (at < 0 ? -at : at) % period;
  return k < n ? k : period - k;
}

/* Fills both ends of an axis from dst itself. The axes before it are complete, those behind have their inner part. */
static void repeat_axis(const padding *p, espq_pad_mode mode, int axis) {
  int64_t dim[ESPQ_MAX_RANK], offset = 0;
  for (int i = 0; i < p->rank; i++) {
    dim[i] = i < axis ? p->out[i] : i == axis ? 1 : p->inner[i];
    if (i > axis) offset += p->first[i] * p->stride[i];
  }
  for (int64_t i = 0; i < p->out[axis]; i++) {
    int64_t at = i - p->first[axis];
    if (at >= 0 && at < p->inner[axis]) continue;
    int64_t from = p->first[axis] + repeated(mode, at, p->inner[axis]);
    int64_t step = p->stride[axis], size = (int64_t)p->size;
    espq_move_copy(p->size, p->rank, dim, p->dst + (offset + from * step) * size, p->stride,
                   p->dst + (offset + i * step) * size, p->stride);
  }
}

void espq_move_pad(size_t size, int rank, const int64_t *dim, const int64_t *before, const int64_t *after,
                   espq_pad_mode mode, const void *value, const void *src, void *dst) {
  padding p = {.size = size, .rank = rank, .dst = dst};
  for (int i = 0; i < rank; i++) {
    p.out[i] = dim[i] + before[i] + after[i];
    p.first[i] = before[i] > 0 ? before[i] : 0;
    p.inner[i] = dim[i] + (before[i] < 0 ? before[i] : 0) + (after[i] < 0 ? after[i] : 0);
    if (p.inner[i] < 0) p.inner[i] = 0;
  }
  espq_move_strides(rank, p.out, p.stride);
  int64_t count = product(rank, p.out);
  if (mode == ESPQ_PAD_CONSTANT) espq_move_fill(size, count, value, dst);
  if (place_inner(&p, dim, before, src)) {
    for (int i = 0; i < rank && mode != ESPQ_PAD_CONSTANT; i++) repeat_axis(&p, mode, i);
  } else if (mode != ESPQ_PAD_CONSTANT) {
    memset(dst, 0, (size_t)count * size);
  }
}

/* --- the rest --- */

/* Nothing at all, however large outer is. */
static bool all_empty(int n, const int64_t *row) {
  int k = 0;
  while (k < n && row[k] == 0) k++;
  return k == n;
}

void espq_move_concat(size_t size, int64_t outer, int n, const void *const *src, const int64_t *row, void *dst) {
  char *to = dst;
  if (all_empty(n, row)) return;
  for (int64_t o = 0; o < outer; o++) {
    for (int k = 0; k < n; k++) {
      size_t bytes = (size_t)row[k] * size;
      if (bytes) memcpy(to, (const char *)src[k] + (size_t)o * bytes, bytes);
      to += bytes;
    }
  }
}

void espq_move_split(size_t size, int64_t outer, int n, const int64_t *row, const void *src, void *const *dst) {
  const char *from = src;
  if (all_empty(n, row)) return;
  for (int64_t o = 0; o < outer; o++) {
    for (int k = 0; k < n; k++) {
      size_t bytes = (size_t)row[k] * size;
      if (bytes && dst[k]) memcpy((char *)dst[k] + (size_t)o * bytes, from, bytes);
      from += bytes;
    }
  }
}

void espq_move_take(size_t size, int64_t outer, int64_t in, int64_t inner, int64_t count, const int64_t *index,
                    const void *src, void *dst) {
  const unsigned char *from = src;
  unsigned char *to = dst;
  size_t bytes = (size_t)inner * size;
  if (bytes == 0 || count == 0) return;
#define TAKE(n) \
  for (int64_t k = 0; k < count; k++, to += (n)) memcpy(to, from + (size_t)index[k] * (n), n);
  for (int64_t o = 0; o < outer; o++, from += (size_t)in * bytes) {
    if (bytes == 4) {
      TAKE(4)
    } else {
      TAKE(bytes)
    }
  }
#undef TAKE
}

void espq_move_from_fortran(size_t size, int rank, const int64_t *dim, const void *src, void *dst) {
  int64_t from[ESPQ_MAX_RANK] = {0}, to[ESPQ_MAX_RANK] = {0}, n = 1;
  for (int i = 0; i < rank; i++) {
    from[i] = n;
    n *= dim[i];
  }
  espq_move_strides(rank, dim, to);
  espq_move_copy(size, rank, dim, src, from, dst, to);
}

void espq_move_swap_bytes(size_t size, int64_t count, void *data) {
  unsigned char *p = data;
  for (int64_t i = 0; i < count; i++, p += size) {
    for (size_t a = 0, b = size - 1; a < b; a++, b--) {
      unsigned char byte = p[a];
      p[a] = p[b];
      p[b] = byte;
    }
  }
}

void espq_move_choose(size_t size, int rank, const int64_t *dim, const uint8_t *which, const int64_t *which_step,
                      const void *a, const int64_t *a_step, const void *b, const int64_t *b_step, void *dst) {
  if (rank == 0) {
    memcpy(dst, *which ? a : b, size);
    return;
  }
  int64_t below = (int64_t)size;
  for (int i = 1; i < rank; i++) below *= dim[i];
  if (below == 0) return;
  for (int64_t i = 0; i < dim[0]; i++)
    espq_move_choose(size, rank - 1, dim + 1, which + i * which_step[0], which_step + 1,
                     (const char *)a + i * a_step[0] * (int64_t)size, a_step + 1,
                     (const char *)b + i * b_step[0] * (int64_t)size, b_step + 1, (char *)dst + i * below);
}
