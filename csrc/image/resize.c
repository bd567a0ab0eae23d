/* The one rule for resizing, see image.h. All weights are integers, so the result does not depend on the machine. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "image/image.h"

enum { BITS = 22 };

/* One axis: output i is the sum of weights[i * taps + k] * input[first[i] + k]. */
typedef struct axis {
  int taps; /* room per output; the weights behind `count` are 0 */
  int *first;
  int *count;
  int32_t *weights;
} axis;

static void free_axis(axis *a) {
  espq_free(a->first);
  espq_free(a->count);
  espq_free(a->weights);
}

static double triangle(int i, double centre, double reach) {
  return fmax(0, 1 - fabs((i - centre + 0.5) * (1 / reach)));
}

/* The weights of one output that looks at `centre` of an input of n pixels. */
static int fill_weights(double centre, double reach, int n, int32_t *weights, int *first) {
  int from = (int)fmax(centre - reach + 0.5, 0), to = (int)fmin(centre + reach + 0.5, n);
  double sum = 0;
  for (int i = from; i < to; i++) sum += triangle(i, centre, reach);
  for (int i = from; i < to; i++) weights[i - from] = (int32_t)(triangle(i, centre, reach) / sum * (1 << BITS) + 0.5);
  *first = from;
  return to - from;
}

/* Outputs offset .. offset + count - 1 of n pixels scaled to m. */
static espq_status make_axis(int n, int64_t m, int64_t offset, int count, axis *a, espq_error *err) {
  double scale = (double)n / (double)m, reach = fmax(scale, 1);
  a->taps = 2 * (int)ceil(reach) + 1;
  a->first = espq_alloc((size_t)count * sizeof *a->first);
  a->count = espq_alloc((size_t)count * sizeof *a->count);
  a->weights = espq_calloc((size_t)count * (size_t)a->taps, sizeof *a->weights);
  if (!a->first || !a->count || !a->weights) return espq_fail_memory(err);
  for (int i = 0; i < count; i++)
    a->count[i] = fill_weights(((double)(offset + i) + 0.5) * scale, reach, n, a->weights + (size_t)i * (size_t)a->taps,
                               &a->first[i]);
  return ESPQ_OK;
}

static unsigned char rounded(int32_t sum) {
  sum = (sum + (1 << (BITS - 1))) >> BITS;
  return (unsigned char)(sum > 255 ? 255 : sum);
}

static void resize_row(const unsigned char *in, int channels, const axis *a, int width, unsigned char *out) {
  for (int x = 0; x < width; x++) {
    const int32_t *weights = a->weights + (size_t)x * (size_t)a->taps;
    for (int c = 0; c < channels; c++) {
      const unsigned char *p = in + (size_t)a->first[x] * (size_t)channels + c;
      int32_t sum = 0;
      for (int k = 0; k < a->count[x]; k++) sum += weights[k] * p[k * channels];
      *out++ = rounded(sum);
    }
  }
}

/* One output row from `count` rows of n bytes. */
static void mix_rows(const unsigned char *rows, size_t n, const int32_t *weights, int count, unsigned char *out) {
  for (size_t x = 0; x < n; x++) {
    int32_t sum = 0;
    for (int k = 0; k < count; k++) sum += weights[k] * rows[(size_t)k * n + x];
    out[x] = rounded(sum);
  }
}

static espq_status apply(const espq_image *in, const axis *ax, const axis *ay, espq_image *out, espq_error *err) {
  int top = ay->first[0], last = out->height - 1, rows = ay->first[last] + ay->count[last] - top;
  size_t in_row = (size_t)in->width * (size_t)in->channels, row = (size_t)out->width * (size_t)out->channels;
  unsigned char *narrow = espq_alloc((size_t)rows * row);
  if (!narrow) return espq_fail_memory(err);
  for (int y = 0; y < rows; y++)
    resize_row(in->pixels + (size_t)(top + y) * in_row, in->channels, ax, out->width, narrow + (size_t)y * row);
  for (int y = 0; y < out->height; y++)
    mix_rows(narrow + (size_t)(ay->first[y] - top) * row, row, ay->weights + (size_t)y * (size_t)ay->taps, ay->count[y],
             out->pixels + (size_t)y * row);
  espq_free(narrow);
  return ESPQ_OK;
}

/* Half of what is cut away, the even of two neighbours where it is odd: torchvision's CenterCrop. */
static int64_t margin(int64_t scaled, int size) {
  int64_t half = (scaled - size) / 2;
  return half + ((scaled - size) % 2 && half % 2);
}

/* The size that the whole picture is scaled to. */
static espq_status scaled_size(const espq_image *in, int height, int width, int shorter, int64_t *h, int64_t *w,
                               espq_error *err) {
  *h = height;
  *w = width;
  if (shorter == 0) return ESPQ_OK;
  int side = in->height < in->width ? in->height : in->width;
  *h = (int64_t)shorter * in->height / side;
  *w = (int64_t)shorter * in->width / side;
  if (*h >= height && *w >= width) return ESPQ_OK;
  return espq_fail(err, ESPQ_EFORMAT, "scaled to %lldx%lld (height x width), no %dx%d can be cut out of it",
                   (long long)*h, (long long)*w, height, width);
}

static espq_status check_size(int height, int width, espq_error *err) {
  if (height >= 1 && width >= 1 && height <= ESPQ_IMAGE_MAX_SIDE && width <= ESPQ_IMAGE_MAX_SIDE &&
      (int64_t)height * width <= ESPQ_IMAGE_MAX_PIXELS)
    return ESPQ_OK;
  return espq_fail(err, ESPQ_ELIMIT, "images cannot be resized to %dx%d", height, width);
}

espq_status espq_image_resize(const espq_image *in, int height, int width, int shorter, espq_image *out,
                              espq_error *err) {
  axis ax = {0}, ay = {0};
  int64_t h, w;
  espq_status status = check_size(height, width, err);
  if (!status) status = scaled_size(in, height, width, shorter, &h, &w, err);
  if (status) return status;
  espq_image made = {height, width, in->channels, espq_alloc((size_t)height * (size_t)width * (size_t)in->channels)};
  status = made.pixels ? make_axis(in->width, w, margin(w, width), width, &ax, err) : espq_fail_memory(err);
  if (!status) status = make_axis(in->height, h, margin(h, height), height, &ay, err);
  if (!status) status = apply(in, &ax, &ay, &made, err);
  free_axis(&ax);
  free_axis(&ay);
  if (status) espq_free(made.pixels);
  else *out = made;
  return status;
}
