/* Resize of the last two axes, in float and ESPQ_PLAIN: to the nearest pixel, or linearly between the four around.
 *
 * Where each output pixel comes from is computed once per axis, in float32 and in onnxruntime's order of operations, as
 * half a pixel decides which neighbour is the nearest. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "ops/kernel.h"

typedef enum coordinates {
  HALF_PIXEL,
  PYTORCH_HALF_PIXEL,
  ALIGN_CORNERS,
  ASYMMETRIC,
  CROP,
  HALF_SYMMETRIC
} coordinates;
typedef enum rounding { PREFER_FLOOR, PREFER_CEIL, FLOOR, CEIL, OPSET_10 } rounding;
typedef enum mode { NEAREST, LINEAR, CUBIC } mode;

typedef struct options {
  coordinates coordinates;
  rounding rounding;
  mode mode;
} options;

/* ---- attributes ---- */

static espq_status choose(const espq_call *call, const char *attr, const char *const *names, int n, int *out,
                          espq_error *err) {
  const char *text = espq_node_string(call->node, attr, names[0]);
  for (*out = 0; *out < n; ++*out)
    if (strcmp(text, names[*out]) == 0) return ESPQ_OK;
  return espq_call_fail(call, err, ESPQ_EFORMAT, "%s is '%.40s', which ONNX does not have", attr, text);
}

/* Opset 10 had a mode only; its coordinates have been called asymmetric since. */
static espq_status read_options(const espq_call *call, options *o, espq_error *err) {
  static const char *const modes[] = {"nearest", "linear", "cubic"};
  static const char *const all_coordinates[] = {"half_pixel", "pytorch_half_pixel", "align_corners",
                                                "asymmetric", "tf_crop_and_resize", "half_pixel_symmetric"};
  static const char *const roundings[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"};
  int m, c, r;
  espq_status status = choose(call, "mode", modes, 3, &m, err);
  if (!status) status = choose(call, "coordinate_transformation_mode", all_coordinates, 6, &c, err);
  if (!status) status = choose(call, "nearest_mode", roundings, 4, &r, err);
  if (status) return status;
  *o = (options){(coordinates)c, (rounding)r, (mode)m};
  if (call->opset < 11) *o = (options){ASYMMETRIC, OPSET_10, (mode)m};
  return ESPQ_OK;
}

static espq_status check_supported(const espq_call *call, const options *o, espq_error *err) {
  const char *what = NULL;
  if (o->mode == CUBIC) what = "mode 'cubic' is not supported; use nearest or linear";
  else if (o->coordinates == CROP || o->coordinates == HALF_SYMMETRIC)
    what =
        "this coordinate_transformation_mode is not supported; use half_pixel, pytorch_half_pixel, align_corners or "
        "asymmetric";
  else if (espq_node_int(call->node, "antialias", 0)) what = "antialias is not supported; export the model without it";
  else if (strcmp(espq_node_string(call->node, "keep_aspect_ratio_policy", "stretch"), "stretch") != 0)
    what = "only 'stretch' is supported of keep_aspect_ratio_policy; give the sizes themselves";
  return what ? espq_call_fail(call, err, ESPQ_EUNSUPPORTED, "%s", what) : ESPQ_OK;
}

/* ---- sizes ---- */

typedef struct axis_scale {
  int64_t size; /* asked for, or -1: what the scale makes of it */
  float scale;  /* of size: 0 until the input's size is known */
} axis_scale;

static int scales_input(const espq_call *call) { return call->opset < 11 ? 1 : 2; }

/* An input that is there and, if it is a constant, not empty: exporters leave out scales or sizes either way. */
static bool given(const espq_call *call, int input) {
  return espq_port_has(call, input) && !(call->in[input].constant && call->in[input].constant->count == 0);
}

static espq_status read_scales(const espq_call *call, axis_scale *list, int *n, espq_error *err) {
  const espq_port *p = &call->in[scales_input(call)];
  const espq_tensor *t = p->constant;
  if (t->dtype != ESPQ_F32 || t->count > ESPQ_MAX_RANK)
    return espq_call_fail(call, err, ESPQ_EFORMAT,
                          "scales '%.100s' are %" PRId64
                          " numbers of type %s, expected at "
                          "most %d of float32",
                          p->name, t->count, espq_dtype_name(t->dtype), ESPQ_MAX_RANK);
  *n = (int)t->count;
  for (int i = 0; i < *n; i++) {
    list[i] = (axis_scale){-1, ((const float *)t->data)[i]};
    if (!(list[i].scale > 0) || !isfinite(list[i].scale))
      return espq_call_fail(call, err, ESPQ_EFORMAT, "scale %d is %g, expected a number above 0", i,
                            (double)list[i].scale);
  }
  return ESPQ_OK;
}

static espq_status read_sizes(const espq_call *call, axis_scale *list, int *n, espq_error *err) {
  int64_t sizes[ESPQ_MAX_RANK];
  espq_status status = espq_port_ints(call, 3, sizes, ESPQ_MAX_RANK, n, err);
  for (int i = 0; i < *n && !status; i++) {
    list[i] = (axis_scale){sizes[i], 0};
    if (sizes[i] < 1)
      status = espq_call_fail(call, err, ESPQ_EFORMAT, "size %d is %" PRId64 ", expected 1 or more", i, sizes[i]);
  }
  return status;
}

/* What is asked of every axis of the input; axes that the attribute `axes` does not name stay. */
static espq_status read_axes(const espq_call *call, axis_scale *out, espq_error *err) {
  axis_scale list[ESPQ_MAX_RANK];
  int64_t axes[ESPQ_MAX_RANK];
  bool sizes = given(call, 3), scales = given(call, scales_input(call)), named[ESPQ_MAX_RANK] = {0};
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
  for (int i = 0; i < rank; i++) out[i] = (axis_scale){-1, 1};
  for (int i = 0; i < n && !status; i++) {
    int axis = i;
    if (!in_order) status = espq_call_axis(call, axes[i], rank, &axis, err);
    if (!status && named[axis]) status = espq_call_fail(call, err, ESPQ_EFORMAT, "axis %d is named twice", axis);
    if (status) return status;
    named[axis] = true;
    out[axis] = list[i];
  }
  return status;
}

/* The size that an axis of `in` entries gets; sets the scale that a given size means. */
static espq_status resize_axis(const espq_call *call, int axis, int64_t in, axis_scale *a, int64_t *out,
                               espq_error *err) {
  const float limit = 1ll << 40;
  *out = a->size;
  if (in > 0 && a->size >= 0) a->scale = (float)a->size / (float)in;
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

static espq_status infer(espq_call *call, espq_error *err) {
  axis_scale axes[ESPQ_MAX_RANK];
  options o;
  espq_shape shape = call->in[0].shape;
  espq_status status = espq_port_number(call, 0, err);
  if (!status) status = read_options(call, &o, err);
  if (status) return status;
  for (int i = 1; i < call->nin; i++)
    if (i != (call->opset < 11 ? 0 : 1) && espq_port_has(call, i) && !call->in[i].constant) {
      for (int k = 0; k < shape.rank; k++) shape.dim[k] = -1; /* computed at run time */
      return espq_call_result(call, &shape);
    }
  status = read_axes(call, axes, err);
  for (int i = 0; i < shape.rank && !status; i++)
    status = resize_axis(call, i, call->in[0].shape.dim[i], &axes[i], &shape.dim[i], err);
  return status ? status : espq_call_result(call, &shape);
}

/* ---- where pixels come from ---- */

typedef struct source {
  int64_t a, b;         /* NEAREST uses a alone */
  float a_part, b_part; /* LINEAR: what each counts */
} source;

static float position(coordinates kind, int64_t at, float scale, int64_t in, int64_t out) {
  float x = (float)at;
  switch (kind) {
    case ASYMMETRIC: return x / scale;
    case ALIGN_CORNERS: return out == 1 ? 0 : x * (float)(in - 1) / (float)(out - 1);
    case PYTORCH_HALF_PIXEL: return out == 1 ? 0 : (x + 0.5f) / scale - 0.5f;
    default: return (x + 0.5f) / scale - 0.5f;
  }
}

static int64_t clamp(int64_t v, int64_t low, int64_t high) { return v < low ? low : v > high ? high : v; }

static int64_t nearest(rounding kind, float x, float scale) {
  switch (kind) {
    case FLOOR: return (int64_t)floorf(x);
    case CEIL: return (int64_t)ceilf(x);
    case OPSET_10: return (int64_t)(scale < 1 ? ceilf(x) : x);
    case PREFER_FLOOR:
      if (x == (float)(int64_t)x + 0.5f) return (int64_t)floorf(x);
      return (int64_t)roundf(x);
    default: return (int64_t)roundf(x);
  }
}

static source between(float x, int64_t last) {
  x = x < 0 ? 0 : x > (float)last ? (float)last : x;
  int64_t a = clamp((int64_t)x, 0, last), b = clamp(a + 1, 0, last);
  if (a == b) return (source){a, b, 0.5f, 0.5f};
  return (source){a, b, fabsf(x - (float)b), fabsf(x - (float)a)};
}

static void fill_sources(const options *o, float scale, int64_t in, int64_t out, source *list) {
  for (int64_t i = 0; i < out; i++) {
    float x = position(o->coordinates, i, scale, in, out);
    if (in == out && scale == 1) list[i] = (source){i, i, 0.5f, 0.5f};
    else if (o->mode == LINEAR) list[i] = between(x, in - 1);
    else list[i] = (source){.a = clamp(nearest(o->rounding, x, scale), 0, in - 1)};
  }
}

/* ---- kernel ---- */

typedef struct resize {
  bool linear;
  int64_t planes, ih, iw, oh, ow;
  source *rows, *columns;
} resize;

static void free_resize(void *state) {
  resize *s = state;
  if (!s) return;
  espq_free(s->rows);
  espq_free(s->columns);
  espq_free(s);
}

static espq_status check_axes(const espq_call *call, espq_error *err) {
  const espq_shape *x = &call->in[0].shape, *y = &call->out[0].shape;
  for (int i = 0; i < x->rank - 2; i++)
    if (x->dim[i] != y->dim[i])
      return espq_call_fail(call, err, ESPQ_EUNSUPPORTED,
                            "axis %d goes from %" PRId64 " to %" PRId64
                            " entries; only the last two axes can be "
                            "resized",
                            i, x->dim[i], y->dim[i]);
  return ESPQ_OK;
}

static espq_status make_sources(const espq_call *call, const options *o, resize *s, espq_error *err) {
  const espq_shape *x = &call->in[0].shape;
  axis_scale axes[ESPQ_MAX_RANK] = {{0, 0}};
  int64_t size;
  espq_status status = read_axes(call, axes, err);
  for (int i = 0; i < x->rank && !status; i++) status = resize_axis(call, i, x->dim[i], &axes[i], &size, err);
  if (status) return status;
  s->rows = espq_calloc((size_t)s->oh + 1, sizeof *s->rows);
  s->columns = espq_calloc((size_t)s->ow + 1, sizeof *s->columns);
  if (!s->rows || !s->columns) return espq_fail_memory(err);
  fill_sources(o, x->rank < 2 ? 1 : axes[x->rank - 2].scale, s->ih, s->oh, s->rows);
  fill_sources(o, x->rank < 1 ? 1 : axes[x->rank - 1].scale, s->iw, s->ow, s->columns);
  return ESPQ_OK;
}

static espq_status prepare(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  options o;
  espq_status status = read_options(call, &o, err);
  if (!status) status = check_supported(call, &o, err);
  if (!status) status = check_axes(call, err);
  if (status) return status;
  const espq_shape *x = &call->in[0].shape, *y = &call->out[0].shape;
  int r = x->rank;
  resize *s = espq_calloc(1, sizeof *s);
  if (!s) return espq_fail_memory(err);
  *s = (resize){.linear = o.mode == LINEAR, .planes = 1, .ih = 1, .iw = 1, .oh = 1, .ow = 1};
  for (int i = 0; i < r - 2; i++) s->planes *= x->dim[i];
  if (r > 1) s->ih = x->dim[r - 2], s->oh = y->dim[r - 2];
  if (r > 0) s->iw = x->dim[r - 1], s->ow = y->dim[r - 1];
  status = make_sources(call, &o, s, err);
  if (status) {
    free_resize(s);
    return status;
  }
  call->in[0].layout = call->out[0].layout = ESPQ_PLAIN;
  out->state = s;
  return ESPQ_OK;
}

static void nearest_row(const resize *s, const source *row, const float *x, float *y) {
  for (int64_t i = 0; i < s->ow; i++) y[i] = x[row->a * s->iw + s->columns[i].a];
}

static void linear_row(const resize *s, const source *row, const float *x, float *y) {
  const float *above = x + row->a * s->iw, *below = x + row->b * s->iw;
  for (int64_t i = 0; i < s->ow; i++) {
    const source *c = &s->columns[i];
    y[i] = c->a_part * row->a_part * above[c->a] + c->b_part * row->a_part * above[c->b] +
           c->a_part * row->b_part * below[c->a] + c->b_part * row->b_part * below[c->b];
  }
}

static espq_status run(const espq_run_args *args, espq_error *err) {
  (void)err;
  const resize *s = args->state;
  const float *x = args->in[0];
  float *y = args->out[0];
  for (int64_t p = 0; p < s->planes; p++, x += s->ih * s->iw)
    for (int64_t i = 0; i < s->oh; i++, y += s->ow) (s->linear ? linear_row : nearest_row)(s, &s->rows[i], x, y);
  return ESPQ_OK;
}

static const espq_kernel f32 = {prepare, run, free_resize};

/* ---- row ---- */

static const char *why_not(const espq_call *call, char *text, size_t size) {
  return espq_reason(text, size,
                     "Resize has no integer form on the chip; resize the images before the model, or end the model at "
                     "'%.100s'",
                     call->in[0].name);
}

static const espq_attr_spec attrs[] = {
    {"mode", ESPQ_ATTR_STRING, false, 0, "nearest"},
    {"coordinate_transformation_mode", ESPQ_ATTR_STRING, false, 0, "half_pixel"},
    {"nearest_mode", ESPQ_ATTR_STRING, false, 0, "round_prefer_floor"},
    {"axes", ESPQ_ATTR_INTS, false, 0, ""},
    {"antialias", ESPQ_ATTR_INT, false, 0, NULL},
    {"keep_aspect_ratio_policy", ESPQ_ATTR_STRING, false, 0, "stretch"},
    {"cubic_coeff_a", ESPQ_ATTR_FLOAT, false, -0.75, NULL}, /* the others matter to modes that are refused */
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
                                .why_not = why_not};
