#include "infer/binary.h"

#include <stdbool.h>

#include "infer/simd.h"

/* ---- runs: the innermost axis --------------------------------------------------------------------- */

#define RUN_PARAMS (int64_t n, const float *src_a, int64_t a_step, const float *src_b, int64_t b_step, float *dst)
#define RUN_ARGS   (n, src_a, a_step, src_b, b_step, dst)

/* name, value as an expression of a and b. ORDER BINARY */
#define BINARY_LIST(X)            \
  X(add, a + b)                   \
  X(sub, a - b)                   \
  X(mul, (a * b))                 \
  X(div, a / b)                   \
  X(max, a > b || a != a ? a : b) \
  X(min, a < b || a != a ? a : b) \
  X(prelu, a < 0 ? a * b : a)

#define LOOP(value, a_index, b_index)                    \
  _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++) { \
    float a = src_a[a_index], b = src_b[b_index];        \
    dst[i] = value;                                      \
  }

/* The three common pairs of steps get loops of their own that vectorize. */
#define DEFINE_RUN(name, value)                            \
  SIMD_BODY void run_##name##_body RUN_PARAMS {            \
    if (a_step == 1 && b_step == 1) LOOP(value, i, i)      \
    else if (a_step == 1 && b_step == 0) LOOP(value, i, 0) \
    else if (a_step == 0 && b_step == 1) LOOP(value, 0, i) \
    else LOOP(value, (i * a_step), (i * b_step))           \
  }                                                        \
  SIMD_CLONES(run_##name, RUN_PARAMS, RUN_ARGS)

BINARY_LIST(DEFINE_RUN)

typedef void(*run_function) RUN_PARAMS;

#define RUN_ENTRY(name, value) run_##name,
static const run_function runs[] = {BINARY_LIST(RUN_ENTRY)};
_Static_assert(sizeof runs / sizeof *runs == ESPQ_INFER_BINARY_OPS, "ORDER BINARY");

/* ---- broadcasting --------------------------------------------------------------------------------- */

typedef struct axis {
  int64_t size, a, b;
} axis;

/* Drops axes of size 1 and joins neighbours that both operands walk through evenly. Returns how many are left. */
static int collapse(int rank, const int64_t *shape, const int64_t *a, const int64_t *b, axis *axes) {
  int count = 0;
  for (int i = 0; i < rank; i++) {
    if (shape[i] == 1) continue;
    axis *last = count ? &axes[count - 1] : NULL;
    if (last && last->a == a[i] * shape[i] && last->b == b[i] * shape[i]) {
      *last = (axis){last->size * shape[i], a[i], b[i]};
    } else {
      axes[count++] = (axis){shape[i], a[i], b[i]};
    }
  }
  if (!count) axes[count++] = (axis){1, 0, 0};
  return count;
}

void espq_infer_binary(espq_infer_binary_op op, int rank, const int64_t *shape, const float *a, const int64_t *a_stride,
                       const float *b, const int64_t *b_stride, float *y) {
  axis axes[ESPQ_INFER_MAX_RANK + 1];
  int64_t index[ESPQ_INFER_MAX_RANK + 1] = {0};
  for (int i = 0; i < rank; i++)
    if (shape[i] == 0) return;
  int outer = collapse(rank, shape, a_stride, b_stride, axes) - 1;
  const axis *run = &axes[outer];
  for (;;) {
    runs[op](run->size, a, run->a, b, run->b, y);
    y += run->size;
    int i = outer - 1;
    for (; i >= 0; i--) {
      a += axes[i].a;
      b += axes[i].b;
      if (++index[i] < axes[i].size) break;
      a -= axes[i].a * index[i];
      b -= axes[i].b * index[i];
      index[i] = 0;
    }
    if (i < 0) return;
  }
}

void espq_infer_binary_same(espq_infer_binary_op op, int64_t n, const float *a, const float *b, float *y) {
  runs[op](n, a, 1, b, 1, y);
}

/* ---- one operand per channel ---------------------------------------------------------------------- */

#define CHANNEL_PARAMS (int block, int64_t spatial, const float *src, const float *v, const float *w, float *dst)
#define CHANNEL_ARGS   (block, spatial, src, v, w, dst)

#define LANES(value, count)                                                                    \
  _Pragma("GCC ivdep") for (int64_t p = 0; p < spatial; p++) for (int l = 0; l < count; l++) { \
    float a = src[p * count + l], b = v[l], c = w[l];                                          \
    (void)c;                                                                                   \
    dst[p * count + l] = value;                                                                \
  }

#define DEFINE_CHANNEL(name, value)                     \
  SIMD_BODY void channel_##name##_body CHANNEL_PARAMS { \
    if (block == 16) LANES(value, 16)                   \
    else if (block == 8) LANES(value, 8)                \
    else LANES(value, 1)                                \
  }                                                     \
  SIMD_CLONES(channel_##name, CHANNEL_PARAMS, CHANNEL_ARGS)

BINARY_LIST(DEFINE_CHANNEL)
DEFINE_CHANNEL(affine, a *b + c)

typedef void(*channel_function) CHANNEL_PARAMS;

#define CHANNEL_ENTRY(name, value) channel_##name,
static const channel_function channel_functions[] = {BINARY_LIST(CHANNEL_ENTRY)};

/* Runs over the blocks of channels; lanes beyond the channels see v = fill, w = 0. */
static void each_block(channel_function function, espq_layout layout, int64_t n, int64_t channels, int64_t spatial,
                       const float *x, const float *v, const float *w, float fill, float *y) {
  int block = espq_layout_block(layout);
  for (int64_t i = 0; i < n; i++) {
    for (int64_t c = 0; c < channels; c += block) {
      float vs[16], ws[16] = {0};
      for (int l = 0; l < block; l++) {
        bool real = c + l < channels;
        vs[l] = real ? v[c + l] : fill;
        if (real && w) ws[l] = w[c + l];
      }
      function(block, spatial, x, vs, ws, y);
      x += spatial * block;
      y += spatial * block;
    }
  }
}

void espq_infer_channel_binary(espq_infer_binary_op op, espq_layout layout, int64_t n, int64_t channels,
                               int64_t spatial, const float *x, const float *v, float *y) {
  float fill = op == ESPQ_INFER_DIV ? 1 : 0; /* 0 / 1, not 0 / 0, in the padding lanes */
  each_block(channel_functions[op], layout, n, channels, spatial, x, v, NULL, fill, y);
}

void espq_infer_channel_affine(espq_layout layout, int64_t n, int64_t channels, int64_t spatial, const float *x,
                               const float *scale, const float *shift, float *y) {
  each_block(channel_affine, layout, n, channels, spatial, x, scale, shift, 0, y);
}
