/* Runs a dense convolution: group by group of output pixels, strip by strip, tile by tile. */
#include "sim/conv_drive.h"

enum { ACC_BYTES = ESPQ_CONV_TILE_MAX * ESPQ_CONV_STRIP_MAX * 8 };

/* One strip of `pixels` pixels, in tiles of about equal size. */
static void run_strip(const espq_sim_conv *conv, const espq_conv_strip *strip, espq_conv_tile tile, int pixels) {
  size_t channels = espq_conv_out_channels(conv);
  int tiles = (pixels + conv->dense->tile - 1) / conv->dense->tile;
  tile.out += (size_t)strip->first * (size_t)(conv->p.bits / 8);
  for (; tiles > 0; tiles--) {
    int n = (pixels + tiles - 1) / tiles;
    conv->dense->sum(strip, &tile, n);
    if (!strip->right)
      conv->requant.rows(&conv->requant, tile.acc, n, strip->first, strip->channels, tile.out, channels);
    tile.pixel += n;
    tile.out += (size_t)n * tile.out_pixel;
    pixels -= n;
  }
}

/* `pixels` pixels of one image; where access is flat, all images are one. */
static void run_image(const espq_sim_conv *conv, int64_t pixels, const char *in, char *out, void *scratch) {
  _Alignas(64) char acc[ACC_BYTES];
  const espq_conv_window *w = &conv->window;
  espq_conv_tile tile = {.pixel = w->pixel,
                         .tap = w->tap,
                         .taps = w->taps,
                         .out = out,
                         .out_pixel = espq_conv_out_channels(conv) * (size_t)(conv->p.bits / 8),
                         .acc = acc};
  for (int64_t first = 0; first < pixels; first += w->group) {
    int n = pixels - first < w->group ? (int)(pixels - first) : w->group;
    tile.in = espq_conv_window_fetch(w, &conv->p, in, first, n, scratch);
    for (int s = 0; s < conv->pack.count; s++) run_strip(conv, &conv->pack.strips[s], tile, n);
    tile.out += (size_t)n * tile.out_pixel;
  }
}

void espq_conv_run_dense(const espq_sim_conv *conv, int64_t n, const void *in, void *out, void *scratch) {
  int64_t pixels = (int64_t)conv->p.oh * conv->p.ow;
  size_t out_image = (size_t)pixels * espq_conv_out_channels(conv) * (size_t)(conv->p.bits / 8);
  if (conv->window.access == ESPQ_CONV_FLAT) {
    run_image(conv, n * pixels, in, out, scratch);
    return;
  }
  for (int64_t i = 0; i < n; i++)
    run_image(conv, pixels, (const char *)in + (size_t)i * conv->window.in_image, (char *)out + (size_t)i * out_image,
              scratch);
}
