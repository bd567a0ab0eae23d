#include "sim/conv.h"

#include "base/alloc.h"
#include "base/layout.h"
#include "sim/conv_kernel.h"
#include "sim/conv_pack.h"

#include <string.h>

enum {
  GROUP_TILES = 32,           /* tiles whose input pixels are found at once */
  GROUP_POINTERS = 1 << 13,   /* and how many pointers that may take, where one tile does not need more */
  INT8_WEIGHTS_MAX = 1 << 17, /* 2^14 * this leaves 32 bits */
  ACC_BYTES = ESPQ_CONV_TILE_MAX * ESPQ_CONV_STRIP_MAX * 8
};

struct espq_sim_conv {
  espq_sim_conv_params p;
  espq_conv_pack pack;
  espq_requant_plan requant;
  int taps, group;           /* group: pixels whose pointers are found at once */
  int64_t *tap_offset;       /* bytes from the pixel under tap 0 to the one under tap t */
  void *zero_row;            /* a pixel of zeros */
  size_t in_pixel, in_image; /* bytes */
  size_t out_channels, out_pixel;
};

/* ---- checks ---- */

static espq_status check_counts(const espq_sim_conv_params *p, espq_error *err) {
  if (p->bits != 8 && p->bits != 16) return espq_fail(err, ESPQ_EBUG, "%d bits", p->bits);
  const int positive[] = {p->ic, p->ih, p->iw, p->oc, p->oh, p->ow,    p->kh,
                          p->kw, p->sh, p->sw, p->dh, p->dw, p->groups};
  for (size_t i = 0; i < sizeof positive / sizeof *positive; i++)
    if (positive[i] < 1)
      return espq_fail(err, ESPQ_EFORMAT, "convolution with a size, stride or dilation of %d", positive[i]);
  if (p->ic % p->groups || p->oc % p->groups)
    return espq_fail(err, ESPQ_EFORMAT, "%d input and %d output channels in %d groups", p->ic, p->oc, p->groups);
  return ESPQ_OK;
}

/* channels * height * width * bytes an element, or a limit error. */
static espq_status image_bytes(int channels, int h, int w, int bits, int64_t *bytes, espq_error *err) {
  int64_t n = espq_layout_channels(ESPQ_NHWC16, channels) * (bits / 8);
  if (!espq_mul64(n, h, &n) || !espq_mul64(n, w, &n) || n > (int64_t)ESPQ_ALLOC_MAX)
    return espq_fail(err, ESPQ_ELIMIT, "an image of %d x %d x %d is too large", channels, h, w);
  *bytes = n;
  return ESPQ_OK;
}

static espq_status check_limits(const espq_sim_conv_params *p, espq_error *err) {
  int64_t weights = p->ic / p->groups, outputs, bytes;
  if (p->ic > INT32_MAX - 16 || p->oc > INT32_MAX - 16 || !espq_mul64(weights, p->kh, &weights) ||
      !espq_mul64(weights, p->kw, &weights) || weights >= (p->bits == 8 ? INT8_WEIGHTS_MAX : INT32_MAX))
    return espq_fail(err, ESPQ_ELIMIT, "sums of %d x %d x %d products may leave the accumulator", p->ic / p->groups,
                     p->kh, p->kw);
  if (!espq_mul64(weights, p->oc, &outputs) || outputs > (int64_t)ESPQ_ALLOC_MAX)
    return espq_fail(err, ESPQ_ELIMIT, "too many weights");
  espq_status status = image_bytes(p->ic, p->ih, p->iw, p->bits, &bytes, err);
  return status ? status : image_bytes(p->oc, p->oh, p->ow, p->bits, &bytes, err);
}

/* ---- preparing ---- */

static espq_status make_tables(espq_sim_conv *conv, espq_error *err) {
  const espq_sim_conv_params *p = &conv->p;
  conv->tap_offset = espq_calloc((size_t)conv->taps, sizeof *conv->tap_offset);
  conv->zero_row = espq_alloc(conv->in_pixel);
  if (!conv->tap_offset || !conv->zero_row) return espq_fail_memory(err);
  memset(conv->zero_row, p->bits == 8 ? 128 : 0, conv->in_pixel);
  for (int t = 0; t < conv->taps; t++) {
    int64_t y = (int64_t)(t / p->kw) * p->dh, x = (int64_t)(t % p->kw) * p->dw;
    /* Only used where the pixel is inside, so an overflow of a far one does not matter. */
    conv->tap_offset[t] = (int64_t)(((uint64_t)y * (uint64_t)p->iw + (uint64_t)x) * conv->in_pixel);
  }
  return ESPQ_OK;
}

static void set_sizes(espq_sim_conv *conv) {
  const espq_sim_conv_params *p = &conv->p;
  size_t bytes = (size_t)p->bits / 8;
  conv->in_pixel = (size_t)espq_layout_channels(ESPQ_NHWC16, p->ic) * bytes;
  conv->in_image = conv->in_pixel * (size_t)p->ih * (size_t)p->iw;
  conv->out_channels = (size_t)espq_layout_channels(ESPQ_NHWC16, p->oc);
  conv->out_pixel = conv->out_channels * bytes;
  conv->taps = p->kh * p->kw;
}

static void set_group(espq_sim_conv *conv) {
  int tile = conv->pack.kernel->tile, tiles = GROUP_POINTERS / conv->taps / tile;
  if (tiles > GROUP_TILES) tiles = GROUP_TILES;
  conv->group = tile * (tiles > 0 ? tiles : 1);
}

static espq_status prepare(espq_sim_conv *conv, const void *weights, espq_error *err) {
  espq_sim_conv_params *p = &conv->p;
  set_sizes(conv);
  int64_t products = (int64_t)(p->ic / p->groups) * conv->taps;
  int64_t bound = products << (p->bits == 8 ? 14 : 30);
  espq_status status = espq_requant_prepare(&conv->requant, &p->requant, p->bits, p->oc, bound, p->isa, err);
  p->requant = conv->requant.spec; /* the caller's arrays may be gone later */
  if (!status) status = make_tables(conv, err);
  if (!status) status = espq_conv_pack_make(&conv->pack, p, weights, err);
  if (!status) set_group(conv);
  return status;
}

espq_status espq_sim_conv_prepare(const espq_sim_conv_params *params, const void *weights, espq_sim_conv **out,
                                  espq_error *err) {
  *out = NULL;
  espq_status status = check_counts(params, err);
  if (!status) status = check_limits(params, err);
  if (status) return status;
  espq_sim_conv *conv = espq_calloc(1, sizeof *conv);
  if (!conv) return espq_fail_memory(err);
  conv->p = *params;
  status = prepare(conv, weights, err);
  if (status) espq_sim_conv_free(conv);
  else *out = conv;
  return status;
}

void espq_sim_conv_free(espq_sim_conv *conv) {
  if (!conv) return;
  espq_requant_free(&conv->requant);
  espq_conv_pack_free(&conv->pack);
  espq_free(conv->tap_offset);
  espq_free(conv->zero_row);
  espq_free(conv);
}

size_t espq_sim_conv_scratch(const espq_sim_conv *conv) {
  return (size_t)conv->group * (size_t)conv->taps * sizeof(void *);
}

size_t espq_sim_conv_bytes(const espq_sim_conv *conv) {
  return sizeof *conv + conv->pack.bytes + conv->out_channels * 5 * sizeof(int32_t) +
         (size_t)conv->taps * sizeof *conv->tap_offset + conv->in_pixel;
}

/* ---- running ---- */

/* The output pixel whose inputs come next. */
typedef struct cursor {
  const char *image;
  int y, x;
} cursor;

static void advance(const espq_sim_conv *conv, cursor *at) {
  if (++at->x < conv->p.ow) return;
  at->x = 0;
  if (++at->y < conv->p.oh) return;
  at->y = 0;
  at->image += conv->in_image;
}

static void find_edge_rows(const espq_sim_conv *conv, const char *image, int64_t top, int64_t left, const void **rows) {
  const espq_sim_conv_params *p = &conv->p;
  for (int ky = 0; ky < p->kh; ky++) {
    int64_t y = top + (int64_t)ky * p->dh;
    for (int kx = 0; kx < p->kw; kx++) {
      int64_t x = left + (int64_t)kx * p->dw;
      bool inside = y >= 0 && y < p->ih && x >= 0 && x < p->iw;
      *rows++ = inside ? image + (size_t)(y * p->iw + x) * conv->in_pixel : conv->zero_row;
    }
  }
}

static void find_rows(const espq_sim_conv *conv, const cursor *at, const void **rows) {
  const espq_sim_conv_params *p = &conv->p;
  int64_t top = (int64_t)at->y * p->sh - p->pt, left = (int64_t)at->x * p->sw - p->pl;
  int64_t bottom = top + (int64_t)(p->kh - 1) * p->dh, right = left + (int64_t)(p->kw - 1) * p->dw;
  if (top < 0 || left < 0 || bottom >= p->ih || right >= p->iw) {
    find_edge_rows(conv, at->image, top, left, rows);
    return;
  }
  const char *first = at->image + (size_t)(top * p->iw + left) * conv->in_pixel;
  for (int t = 0; t < conv->taps; t++) rows[t] = first + conv->tap_offset[t];
}

/* One strip of `pixels` pixels, in tiles of about equal size. */
static void run_strip(const espq_sim_conv *conv, const espq_conv_strip *strip, const void *const *rows, int pixels,
                      char *out) {
  _Alignas(64) char acc[ACC_BYTES];
  const espq_conv_kernel *kernel = conv->pack.kernel;
  int tiles = (pixels + kernel->tile - 1) / kernel->tile;
  out += (size_t)strip->first * (conv->out_pixel / conv->out_channels);
  for (; tiles > 0; tiles--) {
    int n = (pixels + tiles - 1) / tiles;
    kernel->sum(strip, conv->taps, rows, n, acc);
    conv->requant.rows(&conv->requant, acc, n, strip->first, strip->channels, out, conv->out_channels);
    rows += (size_t)n * conv->taps;
    out += (size_t)n * conv->out_pixel;
    pixels -= n;
  }
}

void espq_sim_conv_run(const espq_sim_conv *conv, int64_t n, const void *in, void *out, void *scratch) {
  const void **rows = scratch;
  cursor at = {in, 0, 0};
  char *y = out;
  int64_t left = n * conv->p.oh * conv->p.ow;
  while (left > 0) {
    int pixels = left < conv->group ? (int)left : conv->group;
    for (int i = 0; i < pixels; i++, advance(conv, &at)) find_rows(conv, &at, rows + (size_t)i * conv->taps);
    for (int s = 0; s < conv->pack.count; s++) run_strip(conv, &conv->pack.strips[s], rows, pixels, y);
    y += (size_t)pixels * conv->out_pixel;
    left -= pixels;
  }
}
