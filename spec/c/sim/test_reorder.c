/* reorder.h against the definition of the layouts, and there and back. */
#include "../check.h"

#include <string.h>

#include "arrays.h"
#include "sim/reorder.h"

static void test_shape(int bits, int n, int channels, int pixels) {
  espq_sim_format plain_format = bits == 8 ? ESPQ_SIM_I8 : ESPQ_SIM_I16;
  espq_sim_format blocked_format = espq_sim_format_of(bits, ESPQ_NHWC16);
  int stored = (int)espq_layout_channels(ESPQ_NHWC16, channels), total = n * channels * pixels;
  void *plain = array_random(plain_format, total), *back = array_new(plain_format, total);
  void *blocked = array_random(blocked_format, n * stored * pixels);
  espq_sim_to_nhwc16(bits, n, channels, pixels, plain, blocked);
  bool same = true;
  for (int i = 0; i < n; i++)
    for (int p = 0; p < pixels; p++)
      for (int c = 0; c < stored; c++) {
        int want = c < channels ? array_get(plain_format, plain, (i * channels + c) * pixels + p) : 0;
        same &= array_get(blocked_format, blocked, (i * pixels + p) * stored + c) == want;
      }
  CHECK(same);
  espq_sim_to_plain(bits, n, channels, pixels, blocked, back);
  CHECK(memcmp(plain, back, (size_t)total * (size_t)bits / 8) == 0);
  free(plain), free(back), free(blocked);
}

int main(void) {
  static const int channels[] = {1, 3, 7, 8, 15, 16, 17, 31, 32, 33, 50};
  static const int pixels[] = {1, 2, 7, 8, 9, 15, 16, 17, 49, 64, 100};
  for (int bits = 8; bits <= 16; bits += 8)
    for (int c = 0; c < 11; c++)
      for (int p = 0; p < 11; p++) test_shape(bits, 1 + (c + p) % 3, channels[c], pixels[p]);
  return check_report();
}
