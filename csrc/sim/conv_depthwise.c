/* Runs a depthwise convolution: row by row of the output, 16 channels at a time. */
#include <string.h>

#include "base/alloc.h"
#include "sim/conv_drive.h"
#include "sim/fixed.h"

enum {
  COLUMNS_MAX = 1 << 20, /* bytes of the columns that a line of output pixels needs */
  TAPS_MAX = ESPQ_CONV_ROWS_MAX
};

/* ---- preparing ---- */

static int line_pixels(const espq_sim_conv_params *p) {
  return p->ow < ESPQ_CONV_LINE_MAX ? p->ow : ESPQ_CONV_LINE_MAX;
}

static int64_t columns_of(const espq_sim_conv_params *p, int pixels) {
  return (int64_t)(pixels - 1) * p->sw + (int64_t)(p->kw - 1) * p->dw + 1;
}

static size_t column_bytes(const espq_sim_conv_params *p, const espq_depthwise_kernel *kernel) {
  return kernel->column_bytes * (size_t)espq_depthwise_groups(kernel, p->kh);
}

bool espq_conv_is_depthwise(const espq_sim_conv_params *p, const espq_depthwise_kernel *kernel) {
  if (p->groups == 1 || p->groups != p->ic || p->groups != p->oc || (int64_t)p->kh * p->kw > TAPS_MAX) return false;
  return columns_of(p, line_pixels(p)) <= COLUMNS_MAX / (int64_t)column_bytes(p, kernel);
}

espq_status espq_conv_zeros_make(void **zeros, const espq_sim_conv_params *p, espq_error *err) {
  size_t bytes = (size_t)espq_layout_channels(ESPQ_NHWC16, p->ic) * (size_t)(p->bits / 8);
  *zeros = espq_alloc(bytes);
  if (!*zeros) return espq_fail_memory(err);
  memset(*zeros, p->bits == 8 ? 128 : 0, bytes);
  return ESPQ_OK;
}

/* The columns, aligned by hand. */
size_t espq_conv_depthwise_scratch(const espq_sim_conv_params *p, const espq_depthwise_kernel *kernel) {
  return (size_t)columns_of(p, line_pixels(p)) * column_bytes(p, kernel) + 63;
}

/* ---- running ---- */

/* One row of an image of the output. */
typedef struct row {
  const espq_sim_conv *conv;
  const char *image;
  int y;
  size_t pixel; /* bytes, of the input as of the output */
  char *columns;
} row;

/* The walks along the input rows of the window, from column `left` on. */
static void find_rows(const row *r, int64_t left, espq_conv_walk *walks) {
  const espq_sim_conv_params *p = &r->conv->p;
  for (int ky = 0; ky < p->kh; ky++) {
    int64_t y = (int64_t)r->y * p->sh - p->pt + (int64_t)ky * p->dh;
    bool inside = y >= 0 && y < p->ih;
    walks[ky] = inside ? (espq_conv_walk){r->image + (size_t)(y * p->iw + left) * r->pixel, r->pixel}
                       : (espq_conv_walk){r->conv->zeros, 0};
  }
}

/* n outputs from number `first` of the row on: where their windows' columns are inside of the image. */
static espq_conv_line make_line(const row *r, int64_t first, int n, espq_conv_walk *walks) {
  const espq_sim_conv_params *p = &r->conv->p;
  espq_conv_line line = {.rows = walks,
                         .kh = p->kh,
                         .kw = p->kw,
                         .stride = p->sw,
                         .dilation = p->dw,
                         .pixels = n,
                         .columns = r->columns,
                         .out_pixel = r->pixel};
  int64_t at = first * p->sw - p->pl, columns = columns_of(p, n), inside = espq_fixed_clamp(at, 0, p->iw);
  line.left = (int)espq_fixed_clamp(-at, 0, columns);
  line.middle = (int)espq_fixed_clamp(p->iw - inside, 0, columns - line.left);
  line.right = (int)columns - line.left - line.middle;
  find_rows(r, line.middle ? inside : 0, walks);
  return line;
}

static void run_line(const row *r, int64_t first, int n, char *out) {
  _Alignas(64) int64_t acc[ESPQ_CONV_LINE_MAX * 16];
  espq_conv_walk walks[TAPS_MAX];
  const espq_sim_conv *conv = r->conv;
  espq_conv_line line = make_line(r, first, n, walks);
  line.acc = acc;
  for (int s = 0; s < conv->pack.count; s++) {
    const espq_conv_strip *strip = &conv->pack.strips[s];
    line.out = out + strip->in_offset;
    conv->depthwise->run(strip, &line);
    if (!strip->right)
      conv->requant.rows(&conv->requant, acc, n, strip->first, 16, line.out, espq_conv_out_channels(conv));
  }
}

static void run_row(const row *r, char *out) {
  const espq_sim_conv_params *p = &r->conv->p;
  for (int64_t x = 0; x < p->ow; x += ESPQ_CONV_LINE_MAX) {
    int n = p->ow - x < ESPQ_CONV_LINE_MAX ? (int)(p->ow - x) : ESPQ_CONV_LINE_MAX;
    run_line(r, x, n, out + (size_t)x * r->pixel);
  }
}

void espq_conv_run_depthwise(const espq_sim_conv *conv, int64_t n, const void *in, void *out, void *scratch) {
  const espq_sim_conv_params *p = &conv->p;
  row r = {.conv = conv, .image = in, .pixel = espq_conv_out_channels(conv) * (size_t)(p->bits / 8)};
  r.columns = (char *)(((uintptr_t)scratch + 63) & ~(uintptr_t)63);
  char *y = out;
  for (; n > 0; n--, r.image += r.pixel * (size_t)p->ih * (size_t)p->iw)
    for (r.y = 0; r.y < p->oh; r.y++, y += r.pixel * (size_t)p->ow) run_row(&r, y);
}
