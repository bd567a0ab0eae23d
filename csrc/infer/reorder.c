#include "infer/reorder.h"

#include "infer/simd.h"

/* A block of `block` channels, of which `real` exist; PLAIN channels are `spatial` apart. */
#define PARAMS (int block, int real, int64_t spatial, const float *src, float *dst)
#define ARGS   (block, real, spatial, src, dst)

SIMD_BODY void gather(int block, int64_t spatial, const float *src, float *restrict dst) {
  for (int64_t p = 0; p < spatial; p++)
    for (int l = 0; l < block; l++) dst[p * block + l] = src[l * spatial + p];
}

SIMD_BODY void to_block_body PARAMS {
  if (real == 16) gather(16, spatial, src, dst);
  else if (real == 8 && block == 8) gather(8, spatial, src, dst);
  else
    for (int64_t p = 0; p < spatial; p++)
      for (int l = 0; l < block; l++) dst[p * block + l] = l < real ? src[l * spatial + p] : 0;
}
SIMD_CLONES(to_block, PARAMS, ARGS)

typedef float quad __attribute__((vector_size(16), aligned(4), may_alias));

/* dst[l * spatial + p] = src[p * block + l] for 4 pixels and 4 lanes. */
SIMD_BODY void transpose4(int block, int64_t spatial, const float *src, float *dst) {
  quad a = *(const quad *)src, b = *(const quad *)(src + block);
  quad c = *(const quad *)(src + 2 * block), d = *(const quad *)(src + 3 * block);
  quad ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
  *(quad *)dst = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
  *(quad *)(dst + spatial) = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
  ab = __builtin_shufflevector(a, b, 2, 6, 3, 7), cd = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  *(quad *)(dst + 2 * spatial) = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
  *(quad *)(dst + 3 * spatial) = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
}

SIMD_BODY void to_plain_body PARAMS {
  int64_t p = 0;
  if (real == block)
    for (; p + 4 <= spatial; p += 4)
      for (int l = 0; l < block; l += 4) transpose4(block, spatial, src + p * block + l, dst + l * spatial + p);
  for (int l = 0; l < real; l++)
    for (int64_t q = p; q < spatial; q++) dst[l * spatial + q] = src[q * block + l];
}
SIMD_CLONES(to_plain, PARAMS, ARGS)

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* Between C8 and C16: lane by lane, for the rare graph that mixes them. */
static void block_to_block(espq_layout from, espq_layout to, int64_t channels, int64_t spatial, const float *src,
                           float *dst) {
  int a = espq_layout_block(from), b = espq_layout_block(to);
  for (int64_t c = 0; c < espq_layout_channels(to, channels); c++)
    for (int64_t p = 0; p < spatial; p++) {
      const float *value = src + (c / a * spatial + p) * a + c % a;
      dst[(c / b * spatial + p) * b + c % b] = c < channels ? *value : 0;
    }
}

static void reorder_image(espq_layout from, espq_layout to, int64_t channels, int64_t spatial, const float *src,
                          float *dst) {
  if (from != ESPQ_PLAIN && to != ESPQ_PLAIN) {
    block_to_block(from, to, channels, spatial, src, dst);
    return;
  }
  int block = espq_layout_block(from == ESPQ_PLAIN ? to : from);
  for (int64_t c = 0; c < channels; c += block, src += spatial * block, dst += spatial * block) {
    int real = (int)least(block, channels - c);
    if (from == ESPQ_PLAIN) to_block(block, real, spatial, src, dst);
    else to_plain(block, real, spatial, src, dst);
  }
}

void espq_infer_reorder(espq_layout from, espq_layout to, int64_t n, int64_t channels, int64_t spatial,
                        const float *src, float *dst) {
  int64_t in = espq_layout_channels(from, channels) * spatial;
  int64_t out = espq_layout_channels(to, channels) * spatial;
  for (int64_t i = 0; i < n; i++) reorder_image(from, to, channels, spatial, src + i * in, dst + i * out);
}

void espq_infer_clear_lanes(espq_layout layout, int64_t n, int64_t channels, int64_t spatial, float *x) {
  int block = espq_layout_block(layout);
  int first = (int)(channels % block);
  if (!first) return;
  int64_t image = espq_layout_channels(layout, channels) * spatial;
  for (int64_t i = 0; i < n; i++) {
    float *last = x + (i + 1) * image - spatial * block;
    for (int64_t p = 0; p < spatial; p++)
      for (int l = first; l < block; l++) last[p * block + l] = 0;
  }
}
