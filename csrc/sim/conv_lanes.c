#include "sim/conv_lanes.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "sim/conv_drive.h"

/* ---- preparing ---- */

static int64_t taps_of(const espq_sim_conv_params *p) { return (int64_t)p->kh * p->kw * (p->ic / p->groups); }

static const void *weights_of(const espq_sim_conv_params *p, const void *weights, int64_t channel) {
  return (const char *)weights + (size_t)(channel * taps_of(p)) * (size_t)(p->bits / 8);
}

static espq_status check_bias(const espq_sim_conv_params *p, const int64_t *bias, espq_error *err) {
  int bits = espq_fixed_lane_bits(p->bits);
  for (int c = 0; bias && c < p->oc; c++)
    if (espq_fixed_clip(bias[c], bits) != bias[c])
      return espq_fail(err, ESPQ_EUNSUPPORTED,
                       "the bias of channel %d is %" PRId64 ", which the ESP32-S3's lanes of %d bits do not hold", c,
                       bias[c], bits);
  return ESPQ_OK;
}

static bool saturates(const espq_sim_conv_params *p, const void *weights, const int64_t *bias, int c) {
  bool known = p->input.lo || p->input.hi;
  espq_sim_interval input = known ? p->input : espq_sim_integers(p->bits);
  espq_sim_interval sums = espq_sim_sums(p->bits, weights_of(p, weights, c), taps_of(p), 1, input, bias ? bias[c] : 0);
  return !espq_sim_fits(sums, espq_fixed_lane_bits(p->bits));
}

/* [ic / groups][kh][kw] to the order of the sums, [kh][kw][ic / groups]. */
static void put_weights(const espq_sim_conv_params *p, const void *from, int16_t *to) {
  int inputs = p->ic / p->groups, window = p->kh * p->kw;
  for (int i = 0; i < inputs; i++)
    for (int t = 0; t < window; t++) {
      size_t k = (size_t)i * window + t;
      to[(size_t)t * inputs + i] = p->bits == 8 ? ((const int8_t *)from)[k] : ((const int16_t *)from)[k];
    }
}

static espq_status allocate(espq_conv_lanes *lanes, size_t count, size_t taps, espq_error *err) {
  lanes->bytes = count * (sizeof *lanes->start + sizeof *lanes->channel + taps * sizeof *lanes->weights);
  lanes->start = espq_alloc(lanes->bytes); /* the widest first, so that all are aligned */
  if (!lanes->start) return espq_fail_memory(err);
  lanes->channel = (int *)(lanes->start + count);
  lanes->weights = (int16_t *)(lanes->channel + count);
  return ESPQ_OK;
}

espq_status espq_conv_lanes_make(espq_conv_lanes *lanes, const espq_sim_conv_params *p, const void *weights,
                                 const int64_t *bias, espq_error *err) {
  int count = 0;
  size_t taps = (size_t)taps_of(p);
  *lanes = (espq_conv_lanes){0};
  espq_status status = check_bias(p, bias, err);
  for (int c = 0; c < p->oc; c++) count += saturates(p, weights, bias, c);
  if (status || !count) return status;
  status = allocate(lanes, (size_t)count, taps, err);
  for (int c = 0; c < p->oc && !status; c++) {
    if (!saturates(p, weights, bias, c)) continue;
    lanes->channel[lanes->count] = c;
    lanes->start[lanes->count] = bias ? bias[c] : 0;
    put_weights(p, weights_of(p, weights, c), lanes->weights + (size_t)lanes->count++ * taps);
  }
  return status;
}

void espq_conv_lanes_free(espq_conv_lanes *lanes) {
  espq_free(lanes->start);
  *lanes = (espq_conv_lanes){0};
}

/* ---- running ---- */

/* Continues a sum with the products of one pixel under the window. */
static int64_t add_pixel(int64_t sum, int bits, const void *x, const int16_t *w, int n) {
  int lane_bits = espq_fixed_lane_bits(bits);
  for (int i = 0; i < n; i++) {
    int64_t v = bits == 8 ? ((const uint8_t *)x)[i] - 128 : ((const int16_t *)x)[i];
    sum = espq_fixed_accumulate(sum, v * w[i], lane_bits);
  }
  return sum;
}

/* The lane of channel number k of the list for the output pixel (oy, ox) of an image. Padding adds nothing. */
static int64_t sum_window(const espq_sim_conv *conv, int k, const char *image, int oy, int ox) {
  const espq_sim_conv_params *p = &conv->p;
  int inputs = p->ic / p->groups, group = conv->lanes.channel[k] / (p->oc / p->groups);
  size_t element = (size_t)p->bits / 8, pixel = (size_t)espq_layout_channels(ESPQ_NHWC16, p->ic) * element;
  const int16_t *w = conv->lanes.weights + (size_t)k * (size_t)taps_of(p);
  int64_t sum = conv->lanes.start[k];
  image += (size_t)group * (size_t)inputs * element;
  for (int ky = 0; ky < p->kh; ky++)
    for (int kx = 0; kx < p->kw; kx++, w += inputs) {
      int64_t y = (int64_t)oy * p->sh + (int64_t)ky * p->dh - p->pt;
      int64_t x = (int64_t)ox * p->sw + (int64_t)kx * p->dw - p->pl;
      if (y < 0 || y >= p->ih || x < 0 || x >= p->iw) continue;
      sum = add_pixel(sum, p->bits, image + (size_t)(y * p->iw + x) * pixel, w, inputs);
    }
  return sum;
}

/* The channels first .. first + 15 of the list's numbers from k on for one output pixel; returns the number after them.
 * requant.h takes the sums of sixteen channels, and adds a bias that these sums began with. */
static int run_block(const espq_sim_conv *conv, int k, const char *image, int oy, int ox, char *out) {
  const espq_conv_lanes *lanes = &conv->lanes;
  size_t element = (size_t)conv->p.bits / 8;
  int first = lanes->channel[k] / 16 * 16, end = k;
  _Alignas(64) int64_t wide[16] = {0};
  _Alignas(64) int32_t narrow[16] = {0};
  _Alignas(64) char results[16 * 2];
  for (; end < lanes->count && lanes->channel[end] < first + 16; end++) {
    int64_t sum = sum_window(conv, end, image, oy, ox) - lanes->start[end];
    wide[lanes->channel[end] - first] = sum;
    narrow[lanes->channel[end] - first] = (int32_t)sum;
  }
  conv->requant.rows(&conv->requant, conv->p.bits == 8 ? (const void *)narrow : wide, 1, first, 16, results, 16);
  for (; k < end; k++)
    memcpy(out + (size_t)lanes->channel[k] * element, results + (size_t)(lanes->channel[k] - first) * element, element);
  return end;
}

void espq_conv_run_lanes(const espq_sim_conv *conv, int64_t n, const void *in, void *out) {
  const espq_sim_conv_params *p = &conv->p;
  size_t element = (size_t)p->bits / 8, pixel = espq_conv_out_channels(conv) * element;
  size_t in_image = (size_t)espq_layout_channels(ESPQ_NHWC16, p->ic) * element * (size_t)p->ih * (size_t)p->iw;
  const char *image = in;
  char *to = out;
  for (; n > 0; n--, image += in_image)
    for (int y = 0; y < p->oh; y++)
      for (int x = 0; x < p->ow; x++, to += pixel)
        for (int k = 0; k < conv->lanes.count;) k = run_block(conv, k, image, y, x, to);
}
