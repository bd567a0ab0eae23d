/* Resize and Upsample: sizes from scales or sizes, in every form since opset 7; each axis in turn is resampled
 * (tensor/resample.h). Nearest moves elements of any type; the others compute float32 as it is, the rest as doubles. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "ops/kernel.h"
#include "tensor/move.h"
#include "tensor/resample.h"

/* ---- attributes ---- */

static bool is_upsample(const espq_call *call) { return strcmp(call->node->op_type, "Upsample") == 0; }

/* Before opset 11, Resize was Upsample under another name. */
static bool is_old(const espq_call *call) { return call->opset < 11 || is_upsample(call); }

static espq_status choose(const espq_call *call, const char *attr, const char *const *names, int n, int *out,
                          espq_error *err) {
  const char *text = espq_node_string(call->node, attr, names[0]);
  for (*out = 0; *out < n; ++*out)
    if (strcmp(text, names[*out]) == 0) return ESPQ_OK;
  return espq_call_fail(call, err, ESPQ_EFORMAT, "%s is '%.40s', which ONNX does not have", attr, text);
}

/* The old form has a mode only; its coordinates have been called asymmetric since. */
static espq_status read_options(const espq_call *call, espq_resample_options *o, espq_error *err) {
  static const char *const modes[] = {"nearest", "linear", "cubic"};
  static const char *const coordinates[] = {"half_pixel",          "pytorch_half_pixel", "align_corners",
                                            "asymmetric",          "tf_crop_and_resize", "half_pixel_symmetric",
                                            "tf_half_pixel_for_nn"};
  static const char *const roundings[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"};
  int m, c, r;
  espq_status status = choose(call, "mode", modes, is_old(call) ? 2 : 3, &m, err);
  if (!status) status = choose(call, "coordinate_transformation_mode", coordinates, 7, &c, err);
  if (!status) status = choose(call, "nearest_mode", roundings, 4, &r, err);
  if (status) return status;
  *o = (espq_resample_options){.coordinates = (espq_coordinates)c,
                               .nearest = (espq_nearest)r,
                               .interpolation = (espq_interpolation)m,
                               .antialias = espq_node_int(call->node, "antialias", 0) != 0,
                               .exclude_outside = espq_node_int(call->node, "exclude_outside", 0) != 0,
                               .cubic_a = espq_node_float(call->node, "cubic_coeff_a", -0.75F)};
  if (is_old(call)) o->coordinates = ESPQ_ASYMMETRIC, o->nearest = ESPQ_SIMPLE;
  return ESPQ_OK;
}

/* ---- sizes ---- */

typedef struct axis_scale {
  int64_t size; /* asked for, or -1: what the scale makes of it */
  float scale;  /* of size: 0 until the input's size is known */
  int entry;    /* its place in the lists of roi; -1: not named */
} axis_scale;

static int scales_input(const espq_call *call) { return is_old(call) ? 1 : 2; }

/* An input that is there and, if it is a constant, not empty: exporters leave out scales or sizes either way. */
static bool given(const espq_call *call, int input) {
  return espq_port_has(call, input) && !(call->in[input].constant && call->in[input].constant->count == 0);
}

static espq_status check_scales(const espq_call *call, const float *scales, size_t n, axis_scale *list,
                                espq_error *err) {
  if (n > ESPQ_MAX_RANK)
    return espq_call_fail(call, err, ESPQ_EFORMAT, "%zu scales, expected at most %d", n, ESPQ_MAX_RANK);
  for (size_t i = 0; i < n; i++) {
    list[i] = (axis_scale){.size = -1, .scale = scales[i]};
    if (!(scales[i] > 0) || !isfinite(scales[i]))
      return espq_call_fail(call, err, ESPQ_EFORMAT, "scale %zu is %g, expected a number above 0", i,
                            (double)scales[i]);
  }
  return ESPQ_OK;
}

/* An attribute of Upsample before opset 9, else an input. */
static espq_status read_scales(const espq_call *call, axis_scale *list, int *n, espq_error *err) {
  const espq_attr *a = espq_node_attr(call->node, "scales");
  if (a) *n = (int)a->n;
  if (a) return check_scales(call, a->floats, a->n, list, err);
  const espq_port *p = &call->in[scales_input(call)];
  const espq_tensor *t = p->constant;
  if (!t)
    return espq_call_fail(call, err, ESPQ_EUNSUPPORTED, "scales '%.100s' must be a constant; simplify the model",
                          p->name);
  if (t->dtype != ESPQ_F32)
    return espq_call_fail(call, err, ESPQ_EFORMAT, "scales '%.100s' are of type %s, expected float32", p->name,
                          espq_dtype_name(t->dtype));
  *n = (int)(t->count > ESPQ_MAX_RANK ? ESPQ_MAX_RANK : t->count);
  return check_scales(call, t->data, (size_t)t->count, list, err);
}

static espq_status read_sizes(const espq_call *call, axis_scale *list, int *n, espq_error *err) {
  int64_t sizes[ESPQ_MAX_RANK];
  espq_status status = espq_port_ints(call, 3, sizes, ESPQ_MAX_RANK, n, err);
  for (int i = 0; i < *n && !status; i++) {
    list[i] = (axis_scale){.size = sizes[i]};
    if (sizes[i] < 1)
      status = espq_call_fail(call, err, ESPQ_EFORMAT, "size %d is %" PRId64 ", expected 1 or more", i, sizes[i]);
  }
  return status;
}

/* One scale for all axes that are named: the smallest that a size means, or the largest; sizes are rounded to it. */
static espq_status keep_aspect(const espq_call *call, axis_scale *axes, espq_error *err) {
  static const char *const policies[] = {"stretch", "not_larger", "not_smaller"};
  int policy;
  const espq_shape *x = &call->in[0].shape;
  float scale = 0;
  espq_status status = choose(call, "keep_aspect_ratio_policy", policies, 3, &policy, err);
  if (status || policy == 0 || !given(call, 3)) return status;
  for (int i = 0; i < x->rank; i++) {
    if (axes[i].entry < 0 || x->dim[i] < 1) continue;
    float own = (float)axes[i].size / (float)x->dim[i];
    if (scale == 0 || (policy == 1 ? own < scale : own > scale)) scale = own;
  }
  for (int i = 0; i < x->rank; i++) {
    if (axes[i].entry < 0 || x->dim[i] < 1) continue;
    double size = floor((double)scale * (double)x->dim[i] + 0.5);
    if (size < 1 || size > 0x1p40)
      return espq_call_fail(call, err, ESPQ_EFORMAT, "axis %d would have %g entries with the ratio kept", i, size);
    axes[i].size = (int64_t)size;
    axes[i].scale = scale;
  }
  return ESPQ_OK;
}

/* What is asked of every axis of the input; axes that the attribute `axes` does not name stay. */
static espq_status read_axes(const espq_call *call, axis_scale *out, espq_error *err) {
  axis_scale list[ESPQ_MAX_RANK];
  int64_t axes[ESPQ_MAX_RANK];
  bool attribute = espq_node_attr(call->node, "scales") != NULL, named[ESPQ_MAX_RANK] = {0};
  bool sizes = !is_old(call) && given(call, 3), scales = attribute || given(call, scales_input(call));
  int n = 0, naxes = 0, rank = call->in[0].shape.rank;
  if (sizes == scales)
    return espq_call_fail(call, err, ESPQ_EFORMAT, "it has %s, expected one of them",
                          sizes ? "scales and sizes" : "neither scales nor sizes");
  espq_status status = sizes ? read_sizes(call, list, &n, err) : read_scales(call, list, &n, err);
  if (!status) status = espq_call_ints(call, "axes", axes, ESPQ_MAX_RANK, &naxes, err);
  if (status) return status;
  bool in_order = !espq_node_attr(call->node, "axes");
  if (n != (in_order ? rank : naxes))
    return espq_call_fail(call, err, ESPQ_EFORMAT, "%d scales or sizes, expected %d", n, in_order ? rank : naxes);
  for (int i = 0; i < rank; i++) out[i] = (axis_scale){-1, 1, -1};
  for (int i = 0; i < n && !status; i++) {
    int axis = i;
    if (!in_order) status = espq_call_axis(call, axes[i], rank, &axis, err);
    if (!status && named[axis]) status = espq_call_fail(call, err, ESPQ_EFORMAT, "axis %d is named twice", axis);
    if (status) return status;
    named[axis] = true;
    out[axis] = list[i];
    out[axis].entry = i;
  }
  return status ? status : keep_aspect(call, out, err);
}

/* The size that an axis of `in` entries gets; sets the scale that a given size means. */
static espq_status resize_axis(const espq_call *call, int axis, int64_t in, axis_scale *a, int64_t *out,
                               espq_error *err) {
  const float limit = 1ll << 40;
  *out = a->size;
  if (in > 0 && a->size >= 0 && a->scale == 0) a->scale = (float)a->size / (float)in;
  if (a->size >= 0 || in < 0)
    return in == 0 ? espq_call_fail(call, err, ESPQ_EFORMAT, "axis %d is empty", axis) : ESPQ_OK;
  float size = a->scale == 1 ? 0 : (float)in * a->scale; /* beyond 2^24 even times 1 would not be exact */
  *out = a->scale == 1 ? in : size < limit ? (int64_t)size : -1;
  if (*out < 0) return espq_call_fail(call, err, ESPQ_ELIMIT, "axis %d would have %g entries", axis, (double)size);
  if (*out == 0 && in > 0)
    return espq_call_fail(call, err, ESPQ_EFORMAT,
                          "a scale of %g leaves nothing of axis %d, which has %" PRId64 " entries", (double)a->scale,
                          axis, in);
  return ESPQ_OK;
}

/* Sizes depend on the ratio of sizes that are not known. */
static bool ratio_unknown(const espq_call *call) {
  if (strcmp(espq_node_string(call->node, "keep_aspect_ratio_policy", "stretch"), "stretch") == 0) return false;
  return espq_shape_elements(&call->in[0].shape) < 0;
}

static espq_status infer(espq_call *call, espq_error *err) {
  axis_scale axes[ESPQ_MAX_RANK];
  espq_resample_options o;
  espq_shape shape = call->in[0].shape;
  espq_status status = read_options(call, &o, err);
  if (status) return status;
  bool unknown = ratio_unknown(call);
  for (int i = scales_input(call); i < call->nin; i++) unknown |= espq_port_has(call, i) && !call->in[i].constant;
  if (unknown) {
    for (int k = 0; k < shape.rank; k++) shape.dim[k] = -1;
    return espq_call_result(call, &shape);
  }
  status = read_axes(call, axes, err);
  for (int i = 0; i < shape.rank && !status; i++)
    status = resize_axis(call, i, call->in[0].shape.dim[i], &axes[i], &shape.dim[i], err);
  return status ? status : espq_call_result(call, &shape);
}

/* ---- kernel ---- */

/* One axis after the other, the last one first: then whole lines are left for those before. */
typedef struct pass {
  int64_t outer, in, inner;
  espq_resample_taps taps;
} pass;

typedef struct resize {
  espq_dtype type, work; /* elements of input and output, and of what is computed */
  int64_t count, out_count;
  size_t buffer; /* bytes of each of the two in the scratch */
  double extrapolation;
  int n;
  pass pass[ESPQ_MAX_RANK];
  int64_t behind[ESPQ_MAX_RANK]; /* elements of the output per entry of the pass's axis */
} resize;

static void free_resize(void *state) {
  resize *s = state;
  for (int i = 0; s && i < ESPQ_MAX_RANK; i++) espq_resample_taps_free(&s->pass[i].taps);
  espq_free(s);
}

/* The part of the input that tf_crop_and_resize takes: all starts, then all ends. */
static espq_status read_roi(const espq_call *call, int entry, int entries, espq_resample_axis *a, espq_error *err) {
  const espq_tensor *t = espq_port_has(call, 1) ? call->in[1].constant : NULL;
  a->end = 1;
  if (entry < 0) return ESPQ_OK;
  if (!t || !espq_dtype_is_float(t->dtype) || t->count != 2 * entries)
    return espq_call_fail(call, err, ESPQ_EFORMAT, "roi must be a constant of %d floats for tf_crop_and_resize",
                          2 * entries);
  espq_tensor_read(t, entry, 1, &a->start);
  espq_tensor_read(t, entry + entries, 1, &a->end);
  return ESPQ_OK;
}

static espq_status add_pass(const espq_call *call, const espq_resample_options *o, int axis, int entries,
                            const axis_scale *given_scale, resize *s, espq_error *err) {
  const espq_shape *x = &call->in[0].shape, *y = &call->out[0].shape;
  espq_resample_axis a = {.in = x->dim[axis], .out = y->dim[axis], .scale = given_scale->scale};
  a.width = given_scale->size >= 0 ? (float)a.out : (float)a.in * a.scale;
  if (a.in == a.out && a.scale == 1 && o->coordinates != ESPQ_CROP) return ESPQ_OK;
  espq_status status = o->coordinates == ESPQ_CROP ? read_roi(call, given_scale->entry, entries, &a, err) : ESPQ_OK;
  pass *p = &s->pass[s->n];
  if (!status) status = espq_resample_taps_new(o, &a, &p->taps, err);
  if (status) return status;
  p->in = a.in;
  p->outer = p->inner = 1;
  for (int i = 0; i < axis; i++) p->outer *= x->dim[i];
  for (int i = axis + 1; i < x->rank; i++) p->inner *= y->dim[i];
  s->behind[s->n++] = p->inner;
  size_t size = espq_dtype_size(s->work), line = (size_t)p->inner * size;
  size_t larger = (size_t)(a.in > a.out ? a.in : a.out), rows = (size_t)p->outer * larger;
  if (line && rows > ESPQ_ALLOC_MAX / 8 / line)
    return espq_call_fail(call, err, ESPQ_ELIMIT, "what lies between its axes has too many elements");
  if (rows * line > s->buffer) s->buffer = rows * line;
  return ESPQ_OK;
}

static espq_status add_passes(const espq_call *call, const espq_resample_options *o, resize *s, espq_error *err) {
  const espq_shape *x = &call->in[0].shape;
  axis_scale axes[ESPQ_MAX_RANK] = {{0}};
  int entries = 0;
  int64_t size;
  espq_status status = read_axes(call, axes, err);
  for (int i = 0; i < x->rank && !status; i++) {
    status = resize_axis(call, i, x->dim[i], &axes[i], &size, err);
    entries += axes[i].entry >= 0;
  }
  for (int i = x->rank - 1; i >= 0 && !status && s->out_count; i--)
    status = add_pass(call, o, i, entries, &axes[i], s, err);
  return status;
}

static espq_status prepare(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  espq_resample_options o;
  espq_status status = read_options(call, &o, err);
  if (status) return status;
  resize *s = espq_calloc(1, sizeof *s);
  if (!s) return espq_fail_memory(err);
  s->type = s->work = call->in[0].dtype;
  if (o.interpolation != ESPQ_NEAREST && s->type != ESPQ_F32) s->work = ESPQ_F64;
  s->count = espq_shape_elements(&call->in[0].shape);
  s->out_count = espq_shape_elements(&call->out[0].shape);
  s->extrapolation = (double)espq_node_float(call->node, "extrapolation_value", 0);
  status = add_passes(call, &o, s, err);
  if (status) {
    free_resize(s);
    return status;
  }
  s->buffer = (s->buffer + 63) / 64 * 64;
  for (int i = 0; i < call->nin; i++) call->in[i].layout = ESPQ_PLAIN;
  call->out[0].layout = ESPQ_PLAIN;
  out->state = s;
  out->scratch = 2 * s->buffer;
  return ESPQ_OK;
}

static void run_pass(const resize *s, const pass *p, const void *x, void *y) {
  if (!p->taps.weight)
    espq_move_take(espq_dtype_size(s->work), p->outer, p->in, p->inner, p->taps.out, p->taps.index, x, y);
  else if (s->work == ESPQ_F32) espq_resample_f32(&p->taps, p->outer, p->in, p->inner, x, y);
  else espq_resample_f64(&p->taps, p->outer, p->in, p->inner, x, y);
}

/* Whatever comes from outside of the input along some axis. */
static void extrapolate(const resize *s, char *y) {
  unsigned char value[8];
  size_t size = espq_dtype_size(s->type);
  espq_cast(ESPQ_F64, s->type, 1, &s->extrapolation, value);
  for (int k = 0; k < s->n; k++) {
    const espq_resample_taps *t = &s->pass[k].taps;
    int64_t line = s->behind[k], entries = s->out_count / line;
    for (int64_t i = 0; t->outside && i < entries; i++)
      if (t->outside[i % t->out]) espq_move_fill(size, line, value, y + (size_t)(i * line) * size);
  }
}

static espq_status run(const espq_run_args *args, espq_error *err) {
  (void)err;
  const resize *s = args->state;
  char *buffer[] = {args->scratch, (char *)args->scratch + s->buffer};
  const void *x = args->in[0];
  bool direct = s->work == s->type;
  if (s->out_count == 0) return ESPQ_OK;
  if (s->n == 0) {
    memcpy(args->out[0], x, (size_t)s->count * espq_dtype_size(s->type));
    return ESPQ_OK;
  }
  if (!direct) {
    espq_cast(s->type, s->work, s->count, x, buffer[1]);
    x = buffer[1];
  }
  for (int k = 0; k < s->n; k++) {
    void *y = k == s->n - 1 && direct ? args->out[0] : (void *)buffer[k % 2];
    run_pass(s, &s->pass[k], x, y);
    x = y;
  }
  if (!direct) espq_cast(s->work, s->type, s->out_count, x, args->out[0]);
  extrapolate(s, args->out[0]);
  return ESPQ_OK;
}

static const espq_kernel f32 = {prepare, run, free_resize};

/* The first axis must stay as it is, of however many images: a scale of 1.01 adds none to ten. */
static bool mixes_batch(const espq_call *call) {
  axis_scale axes[ESPQ_MAX_RANK];
  espq_resample_options o;
  int64_t size, rank = call->in[0].shape.rank, first = rank ? call->in[0].shape.dim[0] : 1;
  if (read_options(call, &o, NULL) || read_axes(call, axes, NULL)) return true;
  if (rank == 0) return false;
  if (resize_axis(call, 0, first, &axes[0], &size, NULL)) return true;
  return size != first || axes[0].scale != 1 || (o.coordinates == ESPQ_CROP && axes[0].entry >= 0);
}

/* ---- row ---- */

static const char *why_not(const espq_call *call, char *text, size_t size) {
  return espq_reason(text, size,
                     "%s has no integer form on the chip; resize the images before the model, or end the model at "
                     "'%.100s'",
                     call->node->op_type, call->in[0].name);
}

static const espq_attr_spec attrs[] = {{"mode", ESPQ_ATTR_STRING, false, 0, "nearest"},
                                       {"coordinate_transformation_mode", ESPQ_ATTR_STRING, false, 0, "half_pixel"},
                                       {"nearest_mode", ESPQ_ATTR_STRING, false, 0, "round_prefer_floor"},
                                       {"axes", ESPQ_ATTR_INTS, false, 0, ""},
                                       {"antialias", ESPQ_ATTR_INT, false, 0, NULL},
                                       {"keep_aspect_ratio_policy", ESPQ_ATTR_STRING, false, 0, "stretch"},
                                       {"cubic_coeff_a", ESPQ_ATTR_FLOAT, false, -0.75, NULL},
                                       {"exclude_outside", ESPQ_ATTR_INT, false, 0, NULL},
                                       {"extrapolation_value", ESPQ_ATTR_FLOAT, false, 0, NULL},
                                       {0}};

const espq_op espq_op_Resize = {.name = "Resize",
                                .domain = "",
                                .since = 10,
                                .min_in = 1,
                                .max_in = 4,
                                .min_out = 1,
                                .max_out = 1,
                                .attrs = attrs,
                                .infer = infer,
                                .f32 = &f32,
                                .weight = -1,
                                .bias = -1,
                                .mixes_batch = mixes_batch,
                                .why_not = why_not};

static const espq_attr_spec upsample_attrs[] = {{"mode", ESPQ_ATTR_STRING, false, 0, "nearest"},
                                                {"scales", ESPQ_ATTR_FLOATS, false, 0, ""}, /* opset 7 */
                                                {0}};

const espq_op espq_op_Upsample = {.name = "Upsample",
                                  .domain = "",
                                  .since = 7,
                                  .min_in = 1,
                                  .max_in = 2,
                                  .min_out = 1,
                                  .max_out = 1,
                                  .attrs = upsample_attrs,
                                  .infer = infer,
                                  .f32 = &f32,
                                  .weight = -1,
                                  .bias = -1,
                                  .mixes_batch = mixes_batch,
                                  .why_not = why_not};
