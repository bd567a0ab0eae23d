#include "infer/deconv.h"

#include "base/alloc.h"
#include "base/taps.h"
#include "infer/gemm.h"

typedef espq_infer_deconv_params params;

/* Output channels are computed `part` at a time, so that the columns stay small. */
struct espq_infer_deconv {
  params params;
  espq_infer_matmul *product;
  int64_t taps, pixels, places, part;
};

enum { COLUMNS = 1 << 20, MAX_ELEMENTS = 1 << 29 };

static espq_status multiply(const int64_t *factors, int n, int64_t *out, espq_error *err) {
  *out = 1;
  for (int i = 0; i < n; i++) {
    if (factors[i] < 1) return espq_fail(err, ESPQ_EFORMAT, "a size of a transposed convolution is below 1");
    if (!espq_mul64(*out, factors[i], out) || *out >= MAX_ELEMENTS)
      return espq_fail(err, ESPQ_ELIMIT, "a tensor of the transposed convolution has 2^29 elements or more");
  }
  return ESPQ_OK;
}

/* The largest divisor of the channels of a group whose columns are at most COLUMNS. */
static int64_t part_of(int64_t channels, int64_t each) {
  int64_t part = channels;
  while (part > 1 && (channels % part || part * each > COLUMNS)) part--;
  return part;
}

static espq_status set_sizes(espq_infer_deconv *d, espq_error *err) {
  const params *p = &d->params;
  int64_t each, all;
  espq_status status = multiply(p->kernel, 3, &d->taps, err);
  if (!status) status = multiply(p->in, 3, &d->pixels, err);
  if (!status) status = multiply(p->out, 3, &d->places, err);
  if (!status) status = multiply((const int64_t[]){d->taps, d->pixels}, 2, &each, err);
  if (!status) status = multiply((const int64_t[]){p->ic, p->oc, d->taps}, 3, &all, err);
  if (!status) d->part = part_of(p->oc / p->groups, each);
  return status;
}

espq_status espq_infer_deconv_prepare(espq_infer_engine *engine, const params *p, espq_infer_deconv **out,
                                      espq_error *err) {
  *out = NULL;
  espq_infer_deconv *d = espq_calloc(1, sizeof *d);
  if (!d) return espq_fail_memory(err);
  d->params = *p;
  espq_status status = set_sizes(d, err);
  espq_infer_matmul_params m = {.m = d->part * d->taps, .n = d->pixels, .k = p->ic / p->groups};
  if (!status) status = espq_infer_matmul_prepare(engine, &m, &d->product, err);
  if (status) espq_infer_deconv_free(d);
  else *out = d;
  return status;
}

static int64_t columns_of(const espq_infer_deconv *d) { return d->part * d->taps * d->pixels; }

size_t espq_infer_deconv_scratch(const espq_infer_deconv *d) {
  return (size_t)(columns_of(d) + d->taps * d->part * (d->params.ic / d->params.groups)) * sizeof(float);
}

/* What a tap adds along one axis: input places first .. first + n go to output places at, at + stride, ... */
typedef struct run {
  int64_t first, n, at;
} run;

static run run_of(const params *p, int axis, int64_t tap) {
  int64_t start = tap * p->dilation[axis] - p->before[axis];
  run r;
  r.n = espq_taps(start, p->in[axis], p->stride[axis], 0, p->out[axis], &r.first);
  r.at = start + r.first * p->stride[axis];
  return r;
}

/* One tap of one output channel: column holds a number for each input pixel. */
static void add_tap(const params *p, const int64_t *tap, const float *column, float *y) {
  run d = run_of(p, 0, tap[0]), h = run_of(p, 1, tap[1]), w = run_of(p, 2, tap[2]);
  for (int64_t i = 0; i < d.n; i++)
    for (int64_t j = 0; j < h.n; j++) {
      const float *from = column + ((d.first + i) * p->in[1] + h.first + j) * p->in[2] + w.first;
      float *to = y + ((d.at + i * p->stride[0]) * p->out[1] + h.at + j * p->stride[1]) * p->out[2] + w.at;
      for (int64_t k = 0; k < w.n; k++) to[k * p->stride[2]] += from[k];
    }
}

static void add_channel(const espq_infer_deconv *d, const float *columns, float bias, float *y) {
  const params *p = &d->params;
  for (int64_t i = 0; i < d->places; i++) y[i] = bias;
  for (int64_t a = 0; a < p->kernel[0]; a++)
    for (int64_t b = 0; b < p->kernel[1]; b++)
      for (int64_t c = 0; c < p->kernel[2]; c++, columns += d->pixels)
        add_tap(p, (const int64_t[]){a, b, c}, columns, y);
}

/* Rows first .. first + part * taps of a group's weights, which lie as columns. */
static void turn(const espq_infer_deconv *d, const float *weights, int64_t first, float *rows) {
  int64_t ic = d->params.ic / d->params.groups, width = d->params.oc / d->params.groups * d->taps;
  for (int64_t r = 0; r < d->part * d->taps; r++)
    for (int64_t i = 0; i < ic; i++) rows[r * ic + i] = weights[i * width + first + r];
}

espq_status espq_infer_deconv_run(const espq_infer_deconv *d, espq_infer_stream *stream, const float *x,
                                  const float *weights, const float *bias, float *y, void *scratch, espq_error *err) {
  const params *p = &d->params;
  int64_t ic = p->ic / p->groups, oc = p->oc / p->groups;
  float *columns = scratch, *rows = columns + columns_of(d);
  for (int64_t c = 0; c < p->oc; c += d->part) {
    int64_t group = c / oc;
    turn(d, weights + group * ic * oc * d->taps, c % oc * d->taps, rows);
    for (int64_t n = 0; n < p->n; n++) {
      const float *image = x + (n * p->ic + group * ic) * d->pixels;
      espq_status status = espq_infer_matmul_run(d->product, stream, rows, image, columns, err);
      if (status) return status;
      for (int64_t i = 0; i < d->part; i++)
        add_channel(d, columns + i * d->taps * d->pixels, bias ? bias[c + i] : 0, y + (n * p->oc + c + i) * d->places);
    }
  }
  return ESPQ_OK;
}

void espq_infer_deconv_free(espq_infer_deconv *d) {
  if (!d) return;
  espq_infer_matmul_free(d->product);
  espq_free(d);
}
