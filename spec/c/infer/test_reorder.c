/* Every pair of float layouts, odd channels, garbage in the source's padding lanes. */
#include "infer/reorder.h"

#include "fixture.h"

static void check_pair(espq_layout from, espq_layout to, int64_t n, int64_t channels, int64_t spatial) {
  float *x = random_floats(n * channels * spatial);
  float *src = to_layout(from, n, channels, spatial, x), *want = to_layout(to, n, channels, spatial, x);
  for (int64_t i = 0; i < n; i++)
    for (int64_t c = channels; c < espq_layout_channels(from, channels); c++)
      for (int64_t p = 0; p < spatial; p++) src[position(from, channels, spatial, i, c, p)] = NAN;
  int64_t size = stored(to, n, channels, spatial);
  float *dst = nan_floats(size);
  espq_infer_reorder(from, to, n, channels, spatial, src, dst);
  CHECK(same_bits(dst, want, size));
  espq_infer_clear_lanes(from, n, channels, spatial, src);
  CHECK(lanes_are_zero(from, n, channels, spatial, src));
  float *back = from_layout(from, n, channels, spatial, src);
  CHECK(same_bits(back, x, n * channels * spatial));
  espq_free(x), espq_free(src), espq_free(want), espq_free(dst), espq_free(back);
}

int main(void) {
  static const int64_t channels[] = {1, 3, 8, 15, 16, 17, 31, 40};
  static const int64_t pixels[] = {1, 5, 16, 99};
  for (int from = ESPQ_PLAIN; from <= ESPQ_C16; from++)
    for (int to = ESPQ_PLAIN; to <= ESPQ_C16; to++)
      for (int c = 0; c < 8; c++)
        for (int p = 0; p < 4; p++) check_pair((espq_layout)from, (espq_layout)to, 2, channels[c], pixels[p]);
  return check_report();
}
