#include "sim/conv_window.h"

#include <string.h>

#include "base/alloc.h"
#include "base/layout.h"
#include "sim/fixed.h"

enum {
  GROUP_PIXELS = 256,    /* where a row of the output is not longer */
  GROUP_BYTES = 1 << 16, /* of a copy, where a row does not need more */
  COPY_MAX = 1 << 20,    /* beyond it, windows are gathered */
  SLACK = 32             /* a compact copy is written and read by whole vectors */
};

/* ---- extents ---- */

/* From the first to the last input that n outputs read along an axis. */
static int64_t span(int n, int stride, int kernel, int dilation) {
  return (int64_t)(n - 1) * stride + (int64_t)(kernel - 1) * dilation + 1;
}

static bool inside(const espq_sim_conv_params *p) {
  return p->pt <= 0 && p->pl <= 0 && span(p->oh, p->sh, p->kh, p->dh) - p->pt <= p->ih &&
         span(p->ow, p->sw, p->kw, p->dw) - p->pl <= p->iw;
}

static bool flat(const espq_sim_conv_params *p) {
  return p->kh == 1 && p->kw == 1 && p->sh == 1 && p->sw == 1 && p->pt == 0 && p->pl == 0 && p->oh == p->ih &&
         p->ow == p->iw;
}

static bool compact_saves(const espq_sim_conv_params *p, int depth) {
  int64_t separate = (int64_t)p->kw * ((p->ic + depth - 1) / depth);
  int64_t together = ((int64_t)p->kw * p->ic + depth - 1) / depth;
  return p->groups == 1 && p->ic < 16 && p->dw == 1 && together < separate;
}

/* Bytes of the copy for `rows` rows of the output; false if that is no sensible number. */
static bool copy_bytes(const espq_conv_window *w, const espq_sim_conv_params *p, int rows, int64_t *bytes) {
  return espq_mul64(span(rows, p->sh, p->kh, p->dh), w->columns, bytes) && espq_mul64(*bytes, (int64_t)w->cell, bytes);
}

/* ---- choices ---- */

static void choose_access(espq_conv_window *w, const espq_sim_conv_params *p, int depth) {
  int64_t bytes;
  w->taps = p->kh * p->kw;
  w->cell = w->in_pixel;
  w->columns = span(p->ow, p->sw, p->kw, p->dw);
  w->access = flat(p) ? ESPQ_CONV_FLAT : inside(p) ? ESPQ_CONV_IN_PLACE : ESPQ_CONV_COPIED;
  bool small = copy_bytes(w, p, 1, &bytes) && bytes <= COPY_MAX;
  if (w->access == ESPQ_CONV_COPIED && !small) w->access = ESPQ_CONV_GATHERED;
  if (w->access == ESPQ_CONV_FLAT || !small || !compact_saves(p, depth)) return;
  w->access = ESPQ_CONV_COPIED;
  w->compact = true;
  w->taps = p->kh;
  w->cell = (size_t)p->ic * (size_t)(p->bits / 8);
}

/* Rows of the output in a group, in groups of about equal size. */
static int choose_rows(const espq_conv_window *w, const espq_sim_conv_params *p) {
  int64_t bytes;
  int rows = 1, groups;
  while (rows < p->oh && (int64_t)(rows + 1) * p->ow <= GROUP_PIXELS &&
         (w->access == ESPQ_CONV_IN_PLACE || (copy_bytes(w, p, rows + 1, &bytes) && bytes <= GROUP_BYTES)))
    rows++;
  groups = (p->oh + rows - 1) / rows;
  return (p->oh + groups - 1) / groups;
}

static bool choose_group(espq_conv_window *w, const espq_sim_conv_params *p) {
  int64_t bytes = 0;
  if (w->access == ESPQ_CONV_FLAT) w->group = GROUP_PIXELS;
  else if (w->access == ESPQ_CONV_GATHERED) {
    int64_t window = (int64_t)w->taps * (int64_t)w->in_pixel; /* 2^31 * 2^36 at most */
    w->group = (int)espq_fixed_clamp(GROUP_BYTES / window / 8 * 8, 8, GROUP_PIXELS);
    if (!espq_mul64(window, w->group, &bytes)) return false;
  } else {
    int rows = choose_rows(w, p);
    w->group = rows * p->ow;
    if (w->access == ESPQ_CONV_COPIED && !copy_bytes(w, p, rows, &bytes)) return false;
  }
  w->scratch = (size_t)bytes + SLACK;
  return bytes <= (int64_t)ESPQ_ALLOC_MAX - SLACK;
}

/* ---- tables ---- */

static void set_offsets(espq_conv_window *w, const espq_sim_conv_params *p) {
  bool copied = w->access == ESPQ_CONV_COPIED;
  size_t across = w->cell, down = (size_t)(copied ? w->columns : p->iw) * w->cell;
  int per_row = w->compact ? 1 : p->kw;
  for (int t = 0; t < w->taps; t++)
    w->tap[t] = (size_t)(t / per_row) * (size_t)p->dh * down + (size_t)(t % per_row) * (size_t)p->dw * across;
  for (int i = 0; i < w->group; i++)
    w->pixel[i] = (size_t)(i / p->ow) * (size_t)p->sh * down + (size_t)(i % p->ow) * (size_t)p->sw * across;
}

static void set_tables(espq_conv_window *w, const espq_sim_conv_params *p) {
  if (w->access == ESPQ_CONV_COPIED || w->access == ESPQ_CONV_IN_PLACE) {
    set_offsets(w, p);
    return;
  }
  for (int t = 0; t < w->taps; t++) w->tap[t] = (size_t)t * w->in_pixel;
  for (int i = 0; i < w->group; i++) w->pixel[i] = (size_t)i * (size_t)w->taps * w->in_pixel;
}

espq_status espq_conv_window_make(espq_conv_window *w, const espq_sim_conv_params *p, int depth, espq_error *err) {
  w->in_pixel = (size_t)espq_layout_channels(ESPQ_NHWC16, p->ic) * (size_t)(p->bits / 8);
  w->in_image = w->in_pixel * (size_t)p->ih * (size_t)p->iw;
  choose_access(w, p, depth);
  if (!choose_group(w, p)) return espq_fail(err, ESPQ_ELIMIT, "windows of %d x %d are too large", p->kh, p->kw);
  w->bytes = ((size_t)w->taps + (size_t)w->group) * sizeof *w->tap;
  w->tap = espq_alloc(w->bytes);
  if (!w->tap) return espq_fail_memory(err);
  w->pixel = w->tap + w->taps;
  set_tables(w, p);
  return ESPQ_OK;
}

void espq_conv_window_free(espq_conv_window *w) {
  espq_free(w->tap);
  *w = (espq_conv_window){0};
}

/* ---- copies ---- */

static void fill_zeros(const espq_sim_conv_params *p, char *to, size_t bytes) {
  memset(to, p->bits == 8 ? 128 : 0, bytes);
}

/* Whole vectors, of which the next cell overwrites what is too much. */
static void copy_compact(const espq_conv_window *w, const char *from, int64_t n, char *to) {
  if (w->in_pixel == 16)
    for (; n > 0; n--, from += 16, to += w->cell) memcpy(to, from, 16);
  else
    for (; n > 0; n--, from += 32, to += w->cell) memcpy(to, from, 32);
}

/* Row y of the input, which may be outside, from column -pl on. */
static void copy_row(const espq_conv_window *w, const espq_sim_conv_params *p, const char *image, int64_t y, char *to) {
  int64_t first = p->pl < 0 ? -(int64_t)p->pl : 0, left = espq_fixed_clamp(p->pl, 0, w->columns);
  int64_t n = espq_fixed_clamp(p->iw - first, 0, w->columns - left);
  if (y < 0 || y >= p->ih || n == 0) {
    fill_zeros(p, to, (size_t)w->columns * w->cell);
    return;
  }
  const char *from = image + (size_t)(y * p->iw + first) * w->in_pixel;
  char *middle = to + (size_t)left * w->cell;
  fill_zeros(p, to, (size_t)left * w->cell);
  if (w->compact) copy_compact(w, from, n, middle);
  else memcpy(middle, from, (size_t)n * w->cell);
  fill_zeros(p, middle + (size_t)n * w->cell, (size_t)(w->columns - left - n) * w->cell);
}

static void copy_rows(const espq_conv_window *w, const espq_sim_conv_params *p, const char *image, int64_t top,
                      int64_t rows, char *to) {
  for (int64_t r = 0; r < rows; r++, to += (size_t)w->columns * w->cell) copy_row(w, p, image, top + r, to);
}

static void gather(const espq_conv_window *w, const espq_sim_conv_params *p, const char *image, int64_t top,
                   int64_t left, char *to) {
  for (int t = 0; t < w->taps; t++, to += w->in_pixel) {
    int64_t y = top + (int64_t)(t / p->kw) * p->dh, x = left + (int64_t)(t % p->kw) * p->dw;
    bool inside = y >= 0 && y < p->ih && x >= 0 && x < p->iw;
    if (inside) memcpy(to, image + (size_t)(y * p->iw + x) * w->in_pixel, w->in_pixel);
    else fill_zeros(p, to, w->in_pixel);
  }
}

static void gather_group(const espq_conv_window *w, const espq_sim_conv_params *p, const char *image, int64_t first,
                         int pixels, char *to) {
  for (int i = 0; i < pixels; i++) {
    int64_t top = (first + i) / p->ow * p->sh - p->pt, left = (first + i) % p->ow * p->sw - p->pl;
    gather(w, p, image, top, left, to + w->pixel[i]);
  }
}

const char *espq_conv_window_fetch(const espq_conv_window *w, const espq_sim_conv_params *p, const char *image,
                                   int64_t first, int pixels, void *scratch) {
  int64_t top = first / p->ow * p->sh - p->pt;
  switch (w->access) {
    case ESPQ_CONV_FLAT: return image + (size_t)first * w->in_pixel;
    case ESPQ_CONV_IN_PLACE: return image + (size_t)(top * p->iw - p->pl) * w->in_pixel;
    case ESPQ_CONV_COPIED:
      copy_rows(w, p, image, top, span(pixels / p->ow, p->sh, p->kh, p->dh), scratch);
      return scratch;
    default: gather_group(w, p, image, first, pixels, scratch); return scratch;
  }
}
