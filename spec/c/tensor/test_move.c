/* Every copy of tensor/move.h against the plainest possible loop over all indexes, for element sizes 1 to 8. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "check.h"
#include "tensor/move.h"
#include "tensor/tensor.h"

enum { MOST = 40000 };

static const size_t sizes[] = {1, 2, 3, 4, 8};
static unsigned char src[MOST * 8], dst[MOST * 8], expected[MOST * 8];

static int64_t count_of(int rank, const int64_t *dim) {
  int64_t n = 1;
  for (int i = 0; i < rank; i++) n *= dim[i];
  return n;
}

static void reset(void) {
  for (size_t i = 0; i < sizeof src; i++) src[i] = (unsigned char)(i * 2654435761u >> 13);
  memset(dst, 0xA5, sizeof dst);
  memset(expected, 0xA5, sizeof expected);
}

/* index of the n-th element */
static void unravel(int rank, const int64_t *dim, int64_t n, int64_t *index) {
  for (int i = rank - 1; i >= 0; i--) {
    index[i] = n % dim[i];
    n /= dim[i];
  }
}

static int64_t ravel(int rank, const int64_t *dim, const int64_t *index) {
  int64_t n = 0;
  for (int i = 0; i < rank; i++) n = n * dim[i] + index[i];
  return n;
}

static void expect(size_t size, int64_t to, int64_t from) {
  memcpy(expected + (size_t)to * size, src + (size_t)from * size, size);
}

static int same(void) { return memcmp(dst, expected, sizeof dst) == 0; }

static void test_transpose(size_t size, int rank, const int64_t *dim, const int64_t *perm) {
  int64_t out[ESPQ_MAX_RANK] = {0}, index[ESPQ_MAX_RANK] = {0}, from[ESPQ_MAX_RANK] = {0};
  reset();
  for (int i = 0; i < rank; i++) out[i] = dim[perm[i]];
  for (int64_t n = 0; n < count_of(rank, out); n++) {
    unravel(rank, out, n, index);
    for (int i = 0; i < rank; i++) from[perm[i]] = index[i];
    expect(size, n, ravel(rank, dim, from));
  }
  espq_move_transpose(size, rank, dim, perm, src, dst);
  CHECK(same());
}

static void test_slice(size_t size, int rank, const int64_t *dim, const int64_t *start, const int64_t *step,
                       const int64_t *out) {
  int64_t index[ESPQ_MAX_RANK] = {0};
  reset();
  for (int64_t n = 0; n < count_of(rank, out); n++) {
    unravel(rank, out, n, index);
    for (int i = 0; i < rank; i++) index[i] = start[i] + index[i] * step[i];
    expect(size, n, ravel(rank, dim, index));
  }
  espq_move_slice(size, rank, dim, start, step, out, src, dst);
  CHECK(same());
}

static void test_expand(size_t size, int rank, const int64_t *dim, int out_rank, const int64_t *out) {
  int64_t index[ESPQ_MAX_RANK] = {0}, from[ESPQ_MAX_RANK] = {0};
  reset();
  for (int64_t n = 0; n < count_of(out_rank, out); n++) {
    unravel(out_rank, out, n, index);
    for (int i = 0; i < rank; i++) from[i] = dim[i] == 1 ? 0 : index[out_rank - rank + i];
    expect(size, n, ravel(rank, dim, from));
  }
  espq_move_expand(size, rank, dim, out_rank, out, src, dst);
  CHECK(same());
}

/* Where a padded index reads, by walking: -1 for the constant. */
static int64_t padded(espq_pad_mode mode, int64_t at, int64_t first, int64_t n) {
  if (at >= first && at < first + n) return at - first;
  if (mode == ESPQ_PAD_CONSTANT) return -1;
  if (mode == ESPQ_PAD_EDGE) return at < first ? 0 : n - 1;
  int64_t k = at - first;
  while (mode == ESPQ_PAD_WRAP && n > 1 && (k < 0 || k >= n)) k += k < 0 ? n : -n;
  while (n > 1 && (k < 0 || k >= n)) k = k < 0 ? -k : 2 * (n - 1) - k;
  return n > 1 ? k : 0;
}

static void test_pad(size_t size, int rank, const int64_t *dim, const int64_t *before, const int64_t *after) {
  static const unsigned char value[8] = {9, 8, 7, 6, 5, 4, 3, 2};
  for (int mode = ESPQ_PAD_CONSTANT; mode <= ESPQ_PAD_WRAP; mode++) {
    int64_t out[ESPQ_MAX_RANK] = {0}, index[ESPQ_MAX_RANK] = {0};
    reset();
    for (int i = 0; i < rank; i++) out[i] = dim[i] + before[i] + after[i];
    for (int64_t n = 0; n < count_of(rank, out); n++) {
      int constant = 0;
      unravel(rank, out, n, index);
      for (int i = 0; i < rank; i++) {
        int64_t cut = before[i] < 0 ? -before[i] : 0, first = before[i] > 0 ? before[i] : 0;
        int64_t inner = dim[i] - cut + (after[i] < 0 ? after[i] : 0);
        int64_t k = padded((espq_pad_mode)mode, index[i], first, inner);
        if (k < 0) constant = 1;
        index[i] = k + cut;
      }
      if (constant) memcpy(expected + (size_t)n * size, value, size);
      else expect(size, n, ravel(rank, dim, index));
    }
    espq_move_pad(size, rank, dim, before, after, (espq_pad_mode)mode, value, src, dst);
    CHECK(same());
  }
}

static void test_concat(size_t size) {
  const void *parts[] = {src, src + 300 * size, src + 320 * size};
  int64_t row[] = {3, 0, 5};
  reset();
  for (int64_t o = 0; o < 7; o++) {
    for (int64_t i = 0; i < 3; i++) expect(size, o * 8 + i, o * 3 + i);
    for (int64_t i = 0; i < 5; i++) expect(size, o * 8 + 3 + i, 320 + o * 5 + i);
  }
  espq_move_concat(size, 7, 3, parts, row, dst);
  CHECK(same());
}

static void test_fortran(size_t size) {
  int64_t dim[] = {3, 4, 5}, index[3];
  reset();
  for (int64_t n = 0; n < 60; n++) {
    unravel(3, dim, n, index);
    expect(size, n, index[0] + 3 * (index[1] + 4 * index[2]));
  }
  espq_move_from_fortran(size, 3, dim, src, dst);
  CHECK(same());
}

static void test_fill(size_t size, int64_t count) {
  reset();
  for (int64_t n = 0; n < count; n++) expect(size, n, 0);
  espq_move_fill(size, count, src, dst);
  CHECK(same());
}

static void test_swap(size_t size) {
  reset();
  memcpy(dst, src, 11 * size);
  espq_move_swap_bytes(size, 10, dst);
  for (size_t i = 0; i < 10; i++)
    for (size_t k = 0; k < size; k++) expected[i * size + k] = src[i * size + size - 1 - k];
  expect(size, 10, 10);
  CHECK(same());
}

static void test_size(size_t size) {
  test_transpose(size, 4, (int64_t[]){2, 3, 5, 7}, (int64_t[]){0, 2, 3, 1});
  test_transpose(size, 4, (int64_t[]){2, 5, 7, 3}, (int64_t[]){0, 3, 1, 2});
  test_transpose(size, 2, (int64_t[]){67, 131}, (int64_t[]){1, 0});
  test_transpose(size, 3, (int64_t[]){40, 1, 50}, (int64_t[]){2, 1, 0});
  test_transpose(size, 3, (int64_t[]){2, 3, 4}, (int64_t[]){0, 1, 2});
  test_transpose(size, 8, (int64_t[]){2, 3, 2, 2, 3, 1, 2, 2}, (int64_t[]){7, 0, 3, 4, 1, 2, 6, 5});
  test_transpose(size, 0, NULL, NULL);
  test_transpose(size, 2, (int64_t[]){0, 3}, (int64_t[]){1, 0});
  test_slice(size, 3, (int64_t[]){4, 6, 8}, (int64_t[]){1, 0, 2}, (int64_t[]){1, 2, 3}, (int64_t[]){2, 3, 2});
  test_slice(size, 3, (int64_t[]){4, 6, 8}, (int64_t[]){3, 5, 7}, (int64_t[]){-1, -2, -3}, (int64_t[]){4, 3, 3});
  test_slice(size, 2, (int64_t[]){90, 80}, (int64_t[]){2, 79}, (int64_t[]){1, -1}, (int64_t[]){70, 80});
  test_slice(size, 1, (int64_t[]){5}, (int64_t[]){5}, (int64_t[]){1}, (int64_t[]){0});
  test_expand(size, 3, (int64_t[]){3, 1, 5}, 4, (int64_t[]){2, 3, 4, 5});
  test_expand(size, 2, (int64_t[]){3, 1}, 2, (int64_t[]){3, 600});
  for (int64_t n = 1; n <= 40; n++) /* rows and columns twice, as nearest-neighbour resizing by 2 */
    test_expand(size, 5, (int64_t[]){3, 1 + n % 5, 1, n, 1}, 5, (int64_t[]){3, 1 + n % 5, 2, n, 2});
  test_expand(size, 0, NULL, 2, (int64_t[]){3, 4});
  test_expand(size, 1, (int64_t[]){1}, 1, (int64_t[]){0});
  test_pad(size, 3, (int64_t[]){2, 3, 4}, (int64_t[]){1, 2, 3}, (int64_t[]){0, 1, 2});
  test_pad(size, 3, (int64_t[]){2, 5, 4}, (int64_t[]){-1, -2, 3}, (int64_t[]){2, 1, -2});
  test_pad(size, 2, (int64_t[]){1, 2}, (int64_t[]){2, 7}, (int64_t[]){2, 9});
  test_pad(size, 1, (int64_t[]){6}, (int64_t[]){0}, (int64_t[]){0});
  test_concat(size);
  test_fortran(size);
  test_fill(size, 1);
  test_fill(size, 5000);
  test_fill(size, 0);
  test_swap(size);
}

int main(void) {
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) test_size(sizes[i]);
  return check_report();
}
