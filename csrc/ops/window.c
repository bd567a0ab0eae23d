/* Attributes of sliding windows to sizes; every number in them may be hostile. */
#include "ops/window.h"

#include <inttypes.h>
#include <string.h>

enum { AXES = ESPQ_WINDOW_AXES };
enum { WINDOW_MAX = 1 << 30 }; /* of kernels, strides, pads and images: sums of a few, products of two fit 64 bits */

typedef enum auto_pad { NOTSET, SAME_UPPER, SAME_LOWER, VALID } auto_pad;

static espq_status read_auto_pad(const espq_call *call, auto_pad *out, espq_error *err) {
  static const char *const names[] = {"NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"};
  const char *text = espq_node_string(call->node, "auto_pad", "NOTSET");
  for (int i = NOTSET; i <= VALID; i++)
    if (strcmp(text, names[i]) == 0) {
      *out = (auto_pad)i;
      return ESPQ_OK;
    }
  return espq_call_fail(call, err, ESPQ_EFORMAT,
                        "auto_pad is '%.40s', expected NOTSET, SAME_UPPER, SAME_LOWER or VALID", text);
}

/* Reads the `want` numbers of a list, each in [low, WINDOW_MAX], into out; leaves out alone when the list is absent. */
static espq_status read_list(const espq_call *call, const char *attr, int want, int64_t low, int64_t *out, bool *found,
                             espq_error *err) {
  const espq_attr *a = espq_node_attr(call->node, attr);
  *found = a && a->n > 0;
  if (!*found) return ESPQ_OK;
  if (a->kind != ESPQ_ATTR_INTS || a->n != (size_t)want)
    return espq_call_fail(call, err, ESPQ_EFORMAT, "attribute '%s' has %zu numbers, expected %d", attr, a->n, want);
  for (int i = 0; i < want; i++) {
    if (a->ints[i] < low || a->ints[i] > WINDOW_MAX)
      return espq_call_fail(call, err, ESPQ_EFORMAT, "attribute '%s' holds %" PRId64 ", expected %" PRId64 " to %d",
                            attr, a->ints[i], low, WINDOW_MAX);
    out[i] = a->ints[i];
  }
  return ESPQ_OK;
}

static espq_status read_input(const espq_call *call, espq_window *w, espq_error *err) {
  const espq_shape *s = &call->in[0].shape;
  char text[160];
  if (s->rank > 2 + AXES)
    return espq_call_fail(call, err, ESPQ_EUNSUPPORTED,
                          "input 0 '%.100s' has shape %s: windows over four or more axes are not supported, only "
                          "(N,C,L), (N,C,H,W) and (N,C,D,H,W)",
                          call->in[0].name, espq_shape_text(s->rank, s->dim, text, sizeof text));
  if (s->rank < 3)
    return espq_call_fail(call, err, ESPQ_EFORMAT,
                          "input 0 '%.100s' has shape %s, expected (N,C,L), (N,C,H,W) or (N,C,D,H,W)", call->in[0].name,
                          espq_shape_text(s->rank, s->dim, text, sizeof text));
  w->rank = s->rank - 2;
  for (int i = 0; i < w->rank; i++) {
    if (s->dim[2 + i] > WINDOW_MAX)
      return espq_call_fail(call, err, ESPQ_ELIMIT, "input 0 '%.100s' has shape %s: at most %d pixels along an axis",
                            call->in[0].name, espq_shape_text(s->rank, s->dim, text, sizeof text), WINDOW_MAX);
    w->in[AXES - w->rank + i] = s->dim[2 + i];
  }
  return ESPQ_OK;
}

static espq_status read_kernel(const espq_call *call, const int64_t *kernel, espq_window *w, espq_error *err) {
  int64_t *out = w->kernel + AXES - w->rank;
  bool found;
  espq_status status = read_list(call, "kernel_shape", w->rank, 1, out, &found, err);
  if (status) return status;
  if (!kernel && !found) return espq_call_fail(call, err, ESPQ_EFORMAT, "attribute 'kernel_shape' is missing");
  for (int i = 0; kernel && i < w->rank; i++) {
    if (found && kernel[i] >= 0 && kernel[i] != out[i])
      return espq_call_fail(call, err, ESPQ_EFORMAT,
                            "kernel_shape says %" PRId64 " along axis %d, but the weight has %" PRId64, out[i], i,
                            kernel[i]);
    if (!found) out[i] = kernel[i];
    if (out[i] == 0 || out[i] > WINDOW_MAX)
      return espq_call_fail(call, err, ESPQ_EFORMAT, "the weight has a kernel size of %" PRId64 ", expected 1 to %d",
                            out[i], WINDOW_MAX);
  }
  return ESPQ_OK;
}

static espq_status read_steps(const espq_call *call, auto_pad mode, espq_window *w, espq_error *err) {
  int64_t pads[2 * AXES] = {0};
  int r = w->rank, first = AXES - r;
  bool found;
  espq_status status = read_list(call, "strides", r, 1, w->stride + first, &found, err);
  if (!status) status = read_list(call, "dilations", r, 1, w->dilation + first, &found, err);
  if (!status) status = read_list(call, "pads", 2 * r, 0, pads, &found, err);
  for (int i = 0; i < r && mode == NOTSET; i++) {
    w->pad_begin[first + i] = pads[i];
    w->pad_end[first + i] = pads[r + i];
  }
  return status;
}

int64_t espq_window_extent(const espq_window *w, int axis) { return (w->kernel[axis] - 1) * w->dilation[axis] + 1; }

static void pad_same(espq_window *w, int axis, auto_pad mode) {
  int64_t s = w->stride[axis];
  w->out[axis] = (w->in[axis] + s - 1) / s;
  int64_t pad = (w->out[axis] - 1) * s + espq_window_extent(w, axis) - w->in[axis];
  if (pad < 0) pad = 0;
  w->pad_begin[axis] = mode == SAME_UPPER ? pad / 2 : (pad + 1) / 2;
  w->pad_end[axis] = pad - w->pad_begin[axis];
}

/* A window that would begin behind the image and its front padding sees nothing of it: it is dropped. */
static int64_t round_up(const espq_window *w, int axis, int64_t room) {
  int64_t s = w->stride[axis], n = (room + s - 1) / s + 1;
  return (n - 1) * s >= w->in[axis] + w->pad_begin[axis] ? n - 1 : n;
}

static espq_status set_output(const espq_call *call, espq_window *w, int axis, auto_pad mode, bool ceil,
                              espq_error *err) {
  static const char *const names[AXES] = {"depth", "height", "width"};
  w->out[axis] = -1;
  if (w->in[axis] < 0 || w->kernel[axis] < 0) return ESPQ_OK;
  int64_t extent = espq_window_extent(w, axis);
  bool same = mode == SAME_UPPER || mode == SAME_LOWER;
  if (same && extent <= WINDOW_MAX) pad_same(w, axis, mode);
  int64_t padded = w->in[axis] + w->pad_begin[axis] + w->pad_end[axis];
  if (padded < extent || w->in[axis] == 0)
    return espq_call_fail(call, err, ESPQ_EFORMAT,
                          "a window of %" PRId64 " pixels does not fit into %" PRId64 " (padded to %" PRId64
                          ") along the %s",
                          extent, w->in[axis], padded, names[axis]);
  if (same) return ESPQ_OK;
  int64_t room = padded - extent;
  w->out[axis] = ceil && mode == NOTSET ? round_up(w, axis, room) : room / w->stride[axis] + 1;
  if (w->out[axis] > WINDOW_MAX)
    return espq_call_fail(call, err, ESPQ_ELIMIT, "an output of %" PRId64 " pixels along an axis is too large",
                          w->out[axis]);
  return ESPQ_OK;
}

/* Otherwise a window could lie in the padding alone, and a maximum or average of nothing is no number. */
static espq_status check_pool_pads(const espq_call *call, const espq_window *w, espq_error *err) {
  for (int i = 0; i < AXES; i++)
    if (w->pad_begin[i] >= espq_window_extent(w, i) || w->pad_end[i] >= espq_window_extent(w, i))
      return espq_call_fail(call, err, ESPQ_EFORMAT,
                            "pads of %" PRId64 " and %" PRId64 " are not smaller than the window of %" PRId64 " pixels",
                            w->pad_begin[i], w->pad_end[i], espq_window_extent(w, i));
  return ESPQ_OK;
}

espq_status espq_window_read(const espq_call *call, const int64_t *kernel, espq_window *w, espq_error *err) {
  auto_pad mode = NOTSET;
  *w = (espq_window){.in = {1, 1, 1}, .kernel = {1, 1, 1}, .stride = {1, 1, 1}, .dilation = {1, 1, 1}};
  espq_status status = read_auto_pad(call, &mode, err);
  if (!status) status = read_input(call, w, err);
  if (!status) status = read_kernel(call, kernel, w, err);
  if (!status) status = read_steps(call, mode, w, err);
  bool ceil = !kernel && espq_node_int(call->node, "ceil_mode", 0) != 0;
  for (int i = 0; i < AXES && !status; i++) status = set_output(call, w, i, mode, ceil, err);
  return status || kernel ? status : check_pool_pads(call, w, err);
}

espq_status espq_window_flat(const espq_call *call, const espq_window *w, espq_error *err) {
  if (w->rank < 3) return ESPQ_OK;
  return espq_call_fail(call, err, ESPQ_EUNSUPPORTED,
                        "windows over three axes cannot be quantized; the chip's library has 1-D and 2-D ones only");
}

void espq_window_shape(const espq_window *w, const espq_shape *in, int64_t channels, espq_shape *out) {
  *out = (espq_shape){.rank = w->rank + 2, .dim = {in->dim[0], channels}};
  for (int i = 0; i < w->rank; i++) out->dim[2 + i] = w->out[AXES - w->rank + i];
}
