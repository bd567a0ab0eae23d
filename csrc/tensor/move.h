/* move.h - copies elements between arrays of any shape: transpose, slice, pad, concat, broadcast.
 *
 * Nothing here knows element types, only their size in bytes (1, 2, 4 and 8 are fast, any other works).
 * The caller has checked everything: rank <= ESPQ_MAX_RANK, no dimension is negative, products fit
 * (espq_shape_count), indexes lie inside. Source and destination never overlap; every element of the
 * destination is written. Strides count elements and may be 0 (broadcast) or negative. Nothing fails.
 *
 *   int64_t dim[] = {2, 3, 4}, perm[] = {2, 0, 1};
 *   espq_move_transpose(sizeof(float), 3, dim, perm, src, dst);      // dst is 4x2x3
 */
#ifndef ESPQ_TENSOR_MOVE_H
#define ESPQ_TENSOR_MOVE_H

#include <stddef.h>
#include <stdint.h>

typedef enum espq_pad_mode { ESPQ_PAD_CONSTANT, ESPQ_PAD_EDGE, ESPQ_PAD_REFLECT, ESPQ_PAD_WRAP } espq_pad_mode;

/* Strides of a contiguous array in C order. */
void espq_move_strides(int rank, const int64_t *dim, int64_t *stride);
/* The general copy: element (i, j, ...) of `dim` from src + i*src_stride[0] + ... to dst + i*dst_stride[0] + ... */
void espq_move_copy(size_t size, int rank, const int64_t *dim, const void *src, const int64_t *src_stride, void *dst,
                    const int64_t *dst_stride);
/* count copies of one element. */
void espq_move_fill(size_t size, int64_t count, const void *element, void *dst);
/* Axis i of dst is axis perm[i] of src, as ONNX Transpose; dim is src's shape. */
void espq_move_transpose(size_t size, int rank, const int64_t *dim, const int64_t *perm, const void *src, void *dst);
/* dst[i, ...] = src[start[0] + i*step[0], ...]; start is normalized (a valid index unless out_dim is 0), steps may be
 * negative. */
void espq_move_slice(size_t size, int rank, const int64_t *dim, const int64_t *start, const int64_t *step,
                     const int64_t *out_dim, const void *src, void *dst);
/* dst, contiguous, of shape dim: the element of a where the byte of `which` is not 0, else of b; with steps per axis. */
void espq_move_choose(size_t size, int rank, const int64_t *dim, const uint8_t *which, const int64_t *which_step,
                      const void *a, const int64_t *a_step, const void *b, const int64_t *b_step, void *dst);
/* Numpy broadcasting of src (rank <= out_rank, shapes aligned at the right) to out_dim. */
void espq_move_expand(size_t size, int rank, const int64_t *dim, int out_rank, const int64_t *out_dim, const void *src,
                      void *dst);
/* dst has dim[i] + before[i] + after[i] elements along axis i; a negative number cuts. `value` is one element, used by
 * CONSTANT only. REFLECT does not repeat the edge and goes back and forth when it must; WRAP begins again. An axis that is cut to nothing
 * and then padded has nothing to repeat: zeros. */
void espq_move_pad(size_t size, int rank, const int64_t *dim, const int64_t *before, const int64_t *after,
                   espq_pad_mode mode, const void *value, const void *src, void *dst);
/* Joins n arrays along one axis: outer = product of the dimensions before it, row[k] = elements of src[k] per outer
 * index (its own dimension on the axis times the product of those behind). */
void espq_move_concat(size_t size, int64_t outer, int n, const void *const *src, const int64_t *row, void *dst);
/* The reverse: dst[k], row[k] elements per outer index, gets its part of src; NULL: nobody wants it. */
void espq_move_split(size_t size, int64_t outer, int n, const int64_t *row, const void *src, void *const *dst);
/* dst[o, k, i] = src[o, index[k], i]: outer x in x inner to outer x count x inner. */
void espq_move_take(size_t size, int64_t outer, int64_t in, int64_t inner, int64_t count, const int64_t *index,
                    const void *src, void *dst);
/* Column-major (Fortran order) src of shape dim to C order. */
void espq_move_from_fortran(size_t size, int rank, const int64_t *dim, const void *src, void *dst);
/* Reverses the bytes of every element, in place. */
void espq_move_swap_bytes(size_t size, int64_t count, void *data);

#endif
