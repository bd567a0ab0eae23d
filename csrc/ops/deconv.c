/* ConvTranspose: shape rule and float kernel (csrc/infer/deconv.h), in ESPQ_PLAIN. */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "infer/deconv.h"
#include "ops/kernel.h"
#include "ops/window.h"

enum { AXES = ESPQ_WINDOW_AXES, LARGEST = 1 << 29 };

static const espq_attr_spec attrs[] = {ESPQ_WINDOW_ATTRS,
                                       {"group", ESPQ_ATTR_INT, false, 1, NULL},
                                       {"output_padding", ESPQ_ATTR_INTS, false, 0, ""},
                                       {"output_shape", ESPQ_ATTR_INTS, false, 0, ""},
                                       {NULL, ESPQ_ATTR_INT, false, 0, NULL}};

/* The attributes, one number for each axis of the image; out -1: unknown. */
typedef struct form {
  int rank; /* of the image */
  int64_t group;
  int64_t kernel[AXES], stride[AXES], dilation[AXES], begin[AXES], end[AXES], extra[AXES], out[AXES];
} form;

/* A list of `want` numbers from low to 2^29; *found: it is there. */
static espq_status read_list(const espq_call *call, const char *attr, int want, int64_t low, int64_t *out, bool *found,
                             espq_error *err) {
  int n;
  int64_t list[2 * ESPQ_MAX_RANK];
  espq_status status = espq_call_ints(call, attr, list, 2 * ESPQ_MAX_RANK, &n, err);
  *found = !status && n > 0;
  if (!*found) return status;
  if (n != want)
    return espq_call_fail(call, err, ESPQ_EFORMAT, "attribute '%s' has %d numbers, expected %d", attr, n, want);
  for (int i = 0; i < n; i++) {
    if (list[i] < low || list[i] > LARGEST)
      return espq_call_fail(call, err, ESPQ_EFORMAT, "attribute '%s' holds %" PRId64 ", expected %" PRId64 " to %d",
                            attr, list[i], low, LARGEST);
    out[i] = list[i];
  }
  return ESPQ_OK;
}

static espq_status check_shapes(const espq_call *call, form *f, espq_error *err) {
  const espq_shape *x = &call->in[0].shape, *w = &call->in[1].shape;
  char tx[160], tw[160];
  espq_shape_text(x->rank, x->dim, tx, sizeof tx);
  espq_shape_text(w->rank, w->dim, tw, sizeof tw);
  if (x->rank < 3 || x->rank > 2 + AXES)
    return espq_call_fail(call, err, x->rank < 3 ? ESPQ_EFORMAT : ESPQ_EUNSUPPORTED,
                          "input 0 '%.100s' has shape %s, expected (N,C,L), (N,C,H,W) or (N,C,D,H,W)", call->in[0].name,
                          tx);
  f->rank = x->rank - 2;
  f->group = espq_node_int(call->node, "group", 1);
  bool fits = w->rank == x->rank && w->dim[0] != 0 && w->dim[1] != 0 && f->group >= 1 && f->group <= LARGEST;
  if (fits && x->dim[1] >= 0) fits = x->dim[1] % f->group == 0 && (w->dim[0] < 0 || w->dim[0] == x->dim[1]);
  if (!fits)
    return espq_call_fail(call, err, ESPQ_EFORMAT,
                          "weight '%.100s' of shape %s in %" PRId64 " groups does not fit input '%.100s' of shape %s",
                          call->in[1].name, tw, f->group, call->in[0].name, tx);
  if (!espq_port_has(call, 2)) return ESPQ_OK;
  const espq_shape *b = &call->in[2].shape;
  if (b->rank == 1 &&
      (b->dim[0] < 0 || w->dim[1] < 0 || (b->dim[0] % f->group == 0 && b->dim[0] / f->group == w->dim[1])))
    return ESPQ_OK;
  return espq_call_fail(call, err, ESPQ_EFORMAT,
                        "bias '%.100s' has shape %s, expected %" PRId64 " in %" PRId64 " groups", call->in[2].name,
                        espq_shape_text(b->rank, b->dim, tx, sizeof tx), w->dim[1], f->group);
}

static espq_status read_lists(const espq_call *call, form *f, int64_t *pads, bool *padded, bool *shaped,
                              espq_error *err) {
  bool found;
  int r = f->rank;
  int64_t kernel[AXES], shape[2 + AXES];
  espq_status status = read_list(call, "kernel_shape", r, 1, kernel, &found, err);
  for (int i = 0; i < r; i++) f->kernel[i] = call->in[1].shape.dim[2 + i];
  for (int i = 0; i < r && !status; i++)
    if ((found && f->kernel[i] >= 0 && kernel[i] != f->kernel[i]) || f->kernel[i] == 0 || f->kernel[i] > LARGEST)
      status = espq_call_fail(call, err, ESPQ_EFORMAT,
                              "the weight has a kernel size of %" PRId64
                              " along axis %d, "
                              "which kernel_shape or reason forbids",
                              f->kernel[i], i);
  if (!status) status = read_list(call, "strides", r, 1, f->stride, &found, err);
  if (!status) status = read_list(call, "dilations", r, 1, f->dilation, &found, err);
  if (!status) status = read_list(call, "output_padding", r, 0, f->extra, &found, err);
  if (!status) status = read_list(call, "pads", 2 * r, 0, pads, padded, err);
  const espq_attr *a = espq_node_attr(call->node, "output_shape");
  bool whole = a && a->n == (size_t)r + 2; /* some exporters give N and C as well */
  if (!status) status = read_list(call, "output_shape", whole ? r + 2 : r, whole ? 0 : 1, shape, shaped, err);
  for (int i = 0; i < r && *shaped && !status; i++) f->out[i] = shape[whole ? 2 + i : i];
  return status;
}

/* Output size and pads of one axis. A size that is given takes what is missing or too much as pads. */
static void set_axis(form *f, int i, int64_t in, const char *mode, bool shaped) {
  bool same = strncmp(mode, "SAME", 4) == 0;
  int64_t reach = (in - 1) * f->stride[i] + f->extra[i] + (f->kernel[i] - 1) * f->dilation[i] + 1;
  if (!shaped && same) f->out[i] = in * f->stride[i];
  if (!shaped && !same) f->out[i] = reach - f->begin[i] - f->end[i];
  if (!shaped && !same) return;
  int64_t total = reach > f->out[i] ? reach - f->out[i] : 0;
  f->begin[i] = strcmp(mode, "SAME_UPPER") == 0 ? total / 2 : total - total / 2;
}

static espq_status read_form(const espq_call *call, form *f, espq_error *err) {
  static const char *const modes[] = {"NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"};
  const char *mode = espq_node_string(call->node, "auto_pad", "NOTSET");
  int64_t pads[2 * AXES] = {0};
  bool known = false, padded = false, shaped = false;
  *f = (form){.stride = {1, 1, 1}, .dilation = {1, 1, 1}};
  for (int i = 0; i < 4; i++) known |= strcmp(mode, modes[i]) == 0;
  if (!known)
    return espq_call_fail(call, err, ESPQ_EFORMAT,
                          "auto_pad is '%.40s', expected NOTSET, SAME_UPPER, SAME_LOWER or VALID", mode);
  espq_status status = check_shapes(call, f, err);
  if (!status) status = read_lists(call, f, pads, &padded, &shaped, err);
  if (status) return status;
  padded = padded && strcmp(mode, "NOTSET") == 0;
  for (int i = 0; i < f->rank; i++) {
    int64_t in = call->in[0].shape.dim[2 + i];
    if (padded) f->begin[i] = pads[i], f->end[i] = pads[f->rank + i];
    if (in > LARGEST || in == 0)
      return espq_call_fail(call, err, ESPQ_EFORMAT, "an image of %" PRId64 " pixels along axis %d", in, i);
    if (in < 0 || f->kernel[i] < 0) {
      if (!shaped) f->out[i] = -1;
      continue;
    }
    set_axis(f, i, in, mode, shaped);
    if (f->out[i] < 1 || f->out[i] > LARGEST)
      return espq_call_fail(call, err, ESPQ_EFORMAT, "an output of %" PRId64 " pixels along axis %d, expected 1 to %d",
                            f->out[i], i, LARGEST);
  }
  return ESPQ_OK;
}

static espq_status infer(espq_call *call, espq_error *err) {
  form f;
  espq_status status = ESPQ_OK;
  for (int i = 0; i < 3 && !status; i++) status = espq_port_number(call, i, err);
  if (!status) status = read_form(call, &f, err);
  if (status) return status;
  int64_t per_group = call->in[1].shape.dim[1], channels = -1;
  if (per_group >= 0 && !espq_mul64(per_group, f.group, &channels))
    return espq_call_fail(call, err, ESPQ_EFORMAT, "%" PRId64 " groups of %" PRId64 " channels", f.group, per_group);
  espq_shape y = {.rank = f.rank + 2, .dim = {call->in[0].shape.dim[0], channels}};
  for (int i = 0; i < f.rank; i++) y.dim[2 + i] = f.out[i];
  return espq_call_result(call, &y);
}

/* ---- float ---- */

typedef struct floats {
  espq_infer_deconv *deconv; /* NULL: no images */
  bool bias;
} floats;

static void free_f32(void *state) {
  floats *s = state;
  if (s) espq_infer_deconv_free(s->deconv);
  espq_free(s);
}

static espq_infer_deconv_params params_of(const espq_call *call, const form *f) {
  espq_infer_deconv_params p = {.n = call->in[0].shape.dim[0],
                                .ic = call->in[0].shape.dim[1],
                                .oc = call->out[0].shape.dim[1],
                                .groups = f->group};
  for (int i = 0; i < AXES; i++) {
    int k = i - (AXES - f->rank); /* missing axes stand in front */
    p.in[i] = k < 0 ? 1 : call->in[0].shape.dim[2 + k];
    p.out[i] = k < 0 ? 1 : f->out[k];
    p.kernel[i] = k < 0 ? 1 : f->kernel[k];
    p.stride[i] = k < 0 ? 1 : f->stride[k];
    p.dilation[i] = k < 0 ? 1 : f->dilation[k];
    p.before[i] = k < 0 ? 0 : f->begin[k];
  }
  return p;
}

static espq_status prepare(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  form f;
  espq_status status = read_form(call, &f, err);
  if (status) return status;
  floats *s = espq_calloc(1, sizeof *s);
  if (!s) return espq_fail_memory(err);
  for (int i = 0; i < call->nin; i++) call->in[i].layout = ESPQ_PLAIN;
  call->out[0].layout = ESPQ_PLAIN;
  espq_infer_deconv_params p = params_of(call, &f);
  s->bias = espq_port_has(call, 2);
  if (p.n > 0 && espq_infer_deconv_prepare(env->engine, &p, &s->deconv, err)) {
    free_f32(s);
    return espq_call_prefix(call, err);
  }
  out->state = s;
  out->scratch = s->deconv ? espq_infer_deconv_scratch(s->deconv) : 0;
  return ESPQ_OK;
}

static espq_status run(const espq_run_args *args, espq_error *err) {
  const floats *s = args->state;
  if (!s->deconv) return ESPQ_OK;
  return espq_infer_deconv_run(s->deconv, args->stream, args->in[0], args->in[1], s->bias ? args->in[2] : NULL,
                               args->out[0], args->scratch, err);
}

static const espq_kernel f32 = {prepare, run, free_f32};

static bool mixes_batch(const espq_call *call) {
  return !call->in[1].constant || (espq_port_has(call, 2) && !call->in[2].constant);
}

static const char *why_not(const espq_call *call, char *text, size_t size) {
  (void)call;
  return espq_reason(text, size,
                     "the chip's library has no transposed convolution; train the model with Resize and Conv instead");
}

const espq_op espq_op_ConvTranspose = {.name = "ConvTranspose",
                                       .domain = "",
                                       .since = 1,
                                       .min_in = 2,
                                       .max_in = 3,
                                       .min_out = 1,
                                       .max_out = 1,
                                       .attrs = attrs,
                                       .infer = infer,
                                       .f32 = &f32,
                                       .weight = 1,
                                       .bias = 2,
                                       .mixes_batch = mixes_batch,
                                       .why_not = why_not};
