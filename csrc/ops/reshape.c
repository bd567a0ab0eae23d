/* Operators that rename the shape and leave the elements as they lie: Reshape, Flatten, Squeeze, Unsqueeze, Identity,
 * Dropout. */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "ops/kernel.h"

/* ---- kernels: output 0 is input 0 ---- */

static espq_status prepare_alias(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  (void)err;
  call->in[0].layout = call->out[0].layout = ESPQ_PLAIN;
  out->alias = 0;
  return ESPQ_OK;
}

/* Same shape, so the layout may stay too. */
static espq_status prepare_same(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  (void)err;
  call->out[0].layout = call->in[0].layout;
  out->alias = 0;
  return ESPQ_OK;
}

/* With one pixel per channel, dropping or adding axes of length 1 behind the channels leaves every layout as it is. */
static bool keeps_channels(const espq_call *call) {
  const espq_shape *a = &call->in[0].shape, *b = &call->out[0].shape;
  espq_image x = espq_image_of(a), y = espq_image_of(b);
  return a->rank >= 2 && b->rank >= 2 && a->rank <= 4 && b->rank <= 4 && x.n == y.n && x.c == y.c && x.pixels == 1 &&
         y.pixels == 1;
}

static espq_status prepare_reshape(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  return keeps_channels(call) ? prepare_same(env, call, out, err) : prepare_alias(env, call, out, err);
}

static espq_status copy_constant(const espq_run_args *args, espq_error *err) {
  const size_t *bytes = args->state;
  (void)err;
  memcpy(args->out[0], args->in[0], *bytes);
  return ESPQ_OK;
}

/* A constant cannot be aliased by a buffer, so it is copied. */
static espq_status prepare_with(espq_status (*prepare)(const espq_env *, espq_call *, espq_prepared *, espq_error *),
                                const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  if (!call->in[0].constant) return prepare(env, call, out, err);
  size_t *bytes = espq_calloc(1, sizeof *bytes);
  if (!bytes) return espq_fail_memory(err);
  *bytes = espq_tensor_bytes(call->in[0].constant);
  out->state = bytes;
  call->out[0].layout = ESPQ_PLAIN;
  return ESPQ_OK;
}

static espq_status prepare_reshape_f32(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  return prepare_with(prepare_reshape, env, call, out, err);
}

static espq_status prepare_same_f32(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  return prepare_with(prepare_same, env, call, out, err);
}

static espq_status prepare_reshape_q(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  espq_status status = espq_call_same_quant(call, err);
  return status ? status : prepare_reshape_f32(env, call, out, err);
}

static espq_status prepare_same_q(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  espq_status status = espq_call_same_quant(call, err);
  return status ? status : prepare_same_f32(env, call, out, err);
}

static const espq_kernel reshape_f32 = {prepare_reshape_f32, copy_constant, NULL};
static const espq_kernel reshape_q = {prepare_reshape_q, copy_constant, NULL};
static const espq_kernel same_f32 = {prepare_same_f32, copy_constant, NULL};
static const espq_kernel same_q = {prepare_same_q, copy_constant, NULL};

/* ---- Reshape ---- */

/* Product of the known dimensions of `s` from `from` up to `to`; -1: one is unknown. */
static int64_t product(const espq_shape *s, int from, int to) {
  int64_t n = 1;
  for (int i = from; i < to; i++) {
    if (s->dim[i] < 0) return -1;
    if (!espq_mul64(n, s->dim[i], &n)) return -1;
  }
  return n;
}

/* Replaces a 0 (copy) and reads where the -1 is (*wild, or -1). */
static espq_status read_target(const espq_call *call, const int64_t *want, int n, espq_shape *out, int *wild,
                               espq_error *err) {
  bool allow_zero = espq_node_int(call->node, "allowzero", 0) != 0;
  out->rank = n;
  *wild = -1;
  for (int i = 0; i < n; i++) {
    out->dim[i] = want[i];
    if (want[i] == 0 && !allow_zero) {
      if (i >= call->in[0].shape.rank)
        return espq_call_fail(call, err, ESPQ_EFORMAT,
                              "entry %d of the shape is 0 (copy), but the input has only rank %d", i,
                              call->in[0].shape.rank);
      out->dim[i] = call->in[0].shape.dim[i];
    } else if (want[i] == -1) {
      if (*wild >= 0) return espq_call_fail(call, err, ESPQ_EFORMAT, "the shape has two entries of -1");
      *wild = i;
    } else if (want[i] < 0) {
      return espq_call_fail(call, err, ESPQ_EFORMAT, "entry %d of the shape is %" PRId64, i, want[i]);
    }
  }
  return ESPQ_OK;
}

/* Whether a leading unknown dimension goes through unchanged, so that the rest can be compared alone. */
static int shared_prefix(const espq_call *call, const espq_shape *out, const int64_t *want) {
  const espq_shape *in = &call->in[0].shape;
  return in->rank && out->rank && in->dim[0] < 0 && want[0] == 0 ? 1 : 0;
}

static espq_status misfit(const espq_call *call, const espq_shape *out, espq_error *err) {
  char a[160], b[160];
  const espq_shape *in = &call->in[0].shape;
  return espq_call_fail(
      call, err, ESPQ_EFORMAT,
      "input '%.100s' of shape %s does not fit into shape %s, which is built into the model; export it for this input, "
      "or "
      "with -1 in that shape; if the batch is fixed in the constant, use convert_model_batch_to_dynamic",
      call->in[0].name, espq_shape_text(in->rank, in->dim, a, sizeof a),
      espq_shape_text(out->rank, out->dim, b, sizeof b));
}

static espq_status resolve_wild(const espq_call *call, espq_shape *out, int wild, int skip, espq_error *err) {
  int64_t total = product(&call->in[0].shape, skip, call->in[0].shape.rank);
  int64_t before = product(out, skip, wild < skip ? skip : wild), after = product(out, wild + 1, out->rank);
  out->dim[wild] = -1;
  if (total < 0 || before < 0 || after < 0) return ESPQ_OK; /* stays unknown */
  int64_t known;
  if (!espq_mul64(before, after, &known) || known == 0 || total % known) return misfit(call, out, err);
  out->dim[wild] = total / known;
  return ESPQ_OK;
}

static espq_status infer_reshape(espq_call *call, espq_error *err) {
  int64_t want[ESPQ_MAX_RANK];
  int n, wild;
  espq_shape *out = &call->out[0].shape;
  call->out[0].dtype = call->in[0].dtype;
  if (espq_port_has(call, 1) && !call->in[1].constant) return ESPQ_OK; /* computed: not known here */
  espq_status status = espq_port_ints(call, 1, want, ESPQ_MAX_RANK, &n, err);
  espq_shape target = {0};
  if (!status) status = read_target(call, want, n, &target, &wild, err);
  int skip = status ? 0 : shared_prefix(call, &target, want);
  if (!status && wild >= 0) status = resolve_wild(call, &target, wild, skip, err);
  if (status) return status;
  int64_t a = product(&call->in[0].shape, skip, call->in[0].shape.rank), b = product(&target, skip, target.rank);
  if (a >= 0 && b >= 0 && a != b) return misfit(call, &target, err);
  *out = target;
  return ESPQ_OK;
}

/* ---- Flatten, Squeeze, Unsqueeze ---- */

static espq_status infer_flatten(espq_call *call, espq_error *err) {
  const espq_shape *in = &call->in[0].shape;
  int64_t axis = espq_node_int(call->node, "axis", 1);
  if (axis < -in->rank || axis > in->rank)
    return espq_call_fail(call, err, ESPQ_EFORMAT, "axis %" PRId64 " is outside of a tensor of rank %d", axis,
                          in->rank);
  int cut = (int)(axis < 0 ? axis + in->rank : axis);
  espq_shape out = {.rank = 2, .dim = {product(in, 0, cut), product(in, cut, in->rank)}};
  return espq_call_result(call, &out);
}

/* Axes from the attribute or, since opset 13, from input 1, as flags. */
static espq_status read_axes(const espq_call *call, int rank, bool *flag, int *n, espq_error *err) {
  int64_t axes[ESPQ_MAX_RANK];
  espq_status status = espq_port_has(call, 1) ? espq_port_ints(call, 1, axes, ESPQ_MAX_RANK, n, err)
                                              : espq_call_ints(call, "axes", axes, ESPQ_MAX_RANK, n, err);
  memset(flag, 0, ESPQ_MAX_RANK * sizeof *flag);
  for (int i = 0; i < *n && !status; i++) {
    int axis;
    status = espq_call_axis(call, axes[i], rank, &axis, err);
    if (!status && flag[axis]) status = espq_call_fail(call, err, ESPQ_EFORMAT, "axis %d is named twice", axis);
    if (!status) flag[axis] = true;
  }
  return status;
}

/* Then the shape is not known before the model runs. */
static bool axes_from_data(espq_call *call) {
  if (!espq_port_has(call, 1) || call->in[1].constant) return false;
  call->out[0].dtype = call->in[0].dtype;
  return true;
}

static espq_status infer_squeeze(espq_call *call, espq_error *err) {
  const espq_shape *in = &call->in[0].shape;
  bool drop[ESPQ_MAX_RANK];
  int n = 0;
  if (axes_from_data(call)) return ESPQ_OK;
  espq_status status = read_axes(call, in->rank, drop, &n, err);
  if (status) return status;
  espq_shape out = {0};
  for (int i = 0; i < in->rank; i++) {
    bool goes = n ? drop[i] : in->dim[i] == 1;
    if (goes && in->dim[i] >= 0 && in->dim[i] != 1)
      return espq_call_fail(call, err, ESPQ_EFORMAT, "axis %d has %" PRId64 " entries, expected 1", i, in->dim[i]);
    if (!goes) out.dim[out.rank++] = in->dim[i];
  }
  return espq_call_result(call, &out);
}

/* Without axes the batch axis, too, goes when it holds one image and stays when it holds more. */
static bool squeeze_mixes(const espq_call *call) {
  return !espq_port_has(call, 1) && !espq_node_attr(call->node, "axes");
}

static espq_status infer_unsqueeze(espq_call *call, espq_error *err) {
  const espq_shape *in = &call->in[0].shape;
  int64_t axes[ESPQ_MAX_RANK];
  bool add[ESPQ_MAX_RANK];
  int n = 0;
  if (axes_from_data(call)) return ESPQ_OK;
  if (!espq_port_has(call, 1) && !espq_node_attr(call->node, "axes"))
    return espq_call_fail(call, err, ESPQ_EFORMAT, "its axes are missing, expected as %s in opset %" PRId64,
                          call->opset < 13 ? "the attribute 'axes'" : "input 1", call->opset);
  espq_status status = espq_port_has(call, 1) ? espq_port_ints(call, 1, axes, ESPQ_MAX_RANK, &n, err)
                                              : espq_call_ints(call, "axes", axes, ESPQ_MAX_RANK, &n, err);
  if (!status && in->rank + n > ESPQ_MAX_RANK)
    status = espq_call_fail(call, err, ESPQ_ELIMIT, "rank %d: at most %d", in->rank + n, ESPQ_MAX_RANK);
  if (!status) status = read_axes(call, in->rank + n, add, &n, err);
  if (status) return status;
  espq_shape out = {.rank = in->rank + n};
  for (int i = 0, from = 0; i < out.rank; i++) out.dim[i] = add[i] ? 1 : in->dim[from++];
  return espq_call_result(call, &out);
}

/* ---- Dropout ---- */

/* A Dropout that would drop. */
static bool trains(const espq_call *call) {
  const espq_tensor *flag = espq_port_has(call, 2) ? call->in[2].constant : NULL;
  return flag && flag->dtype == ESPQ_BOOL && flag->count && *(const unsigned char *)flag->data;
}

static bool has_mask(const espq_call *call) { return call->nout > 1 && call->out[1].present; }

typedef struct dropout_state {
  size_t bytes, mask; /* of both outputs; mask 0: none is wanted */
} dropout_state;

/* Nothing is dropped, so the mask is all true. */
static espq_status run_dropout(const espq_run_args *args, espq_error *err) {
  const dropout_state *s = args->state;
  (void)err;
  if (s->bytes) memcpy(args->out[0], args->in[0], s->bytes);
  if (s->mask) memset(args->out[1], 1, s->mask);
  return ESPQ_OK;
}

static espq_status prepare_dropout(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  if (trains(call))
    return espq_call_fail(call, err, ESPQ_EUNSUPPORTED, "it is in training mode; export the model for inference");
  if (!has_mask(call) && !call->in[0].constant) return prepare_same(env, call, out, err);
  dropout_state *s = espq_calloc(1, sizeof *s);
  if (!s) return espq_fail_memory(err);
  size_t elements = (size_t)espq_shape_elements(&call->in[0].shape);
  *s = (dropout_state){elements * espq_dtype_size(call->in[0].dtype), has_mask(call) ? elements : 0};
  for (int i = 0; i < call->nout; i++) call->out[i].layout = ESPQ_PLAIN;
  call->in[0].layout = ESPQ_PLAIN;
  out->state = s;
  return ESPQ_OK;
}

static espq_status prepare_dropout_q(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  espq_status status = espq_call_same_quant(call, err);
  return status ? status : prepare_dropout(env, call, out, err);
}

static const espq_kernel dropout_f32 = {prepare_dropout, run_dropout, NULL};
static const espq_kernel dropout_q = {prepare_dropout_q, run_dropout, NULL};

static espq_status infer_dropout(espq_call *call, espq_error *err) {
  if (has_mask(call)) {
    call->out[1].dtype = ESPQ_BOOL;
    call->out[1].shape = call->in[0].shape;
  }
  return espq_infer_same(call, err);
}

static const char *dropout_why_not(const espq_call *call, char *text, size_t size) {
  if (trains(call))
    return espq_reason(text, size, "it is in training mode; export the model for inference (model.eval())");
  espq_id mask = has_mask(call) ? call->node->out[1] : ESPQ_NONE;
  if (mask != ESPQ_NONE && (call->graph->values[mask].nuses || espq_graph_is_output(call->graph, mask)))
    return espq_reason(text, size, "its second output, the mask '%.100s', has no integer form; remove what reads it",
                       call->out[1].name);
  return espq_computed_why_not(call, text, size);
}

/* ---- rows ---- */

enum {
  MOVES = ESPQ_V1_SHARES | ESPQ_V1_PASS | ESPQ_V1_CHIP,
  OURS = MOVES | ESPQ_V1_UNMEASURED,
  ORIGINAL = ESPQ_V1_CALIBRATOR | ESPQ_V1_EVALUATOR
};

static const espq_attr_spec reshape_attrs[] = {{"allowzero", ESPQ_ATTR_INT, false, 0, NULL},
                                               {"shape", ESPQ_ATTR_INTS, false, 0, ""}, /* opset 1 */
                                               {0}};
static const espq_attr_spec flatten_attrs[] = {{"axis", ESPQ_ATTR_INT, false, 1, NULL}, {0}};
static const espq_attr_spec axes_attrs[] = {{"axes", ESPQ_ATTR_INTS, false, 0, ""}, {0}};
static const espq_attr_spec dropout_attrs[] = {
    {"ratio", ESPQ_ATTR_FLOAT, false, 0.5, NULL}, {"seed", ESPQ_ATTR_INT, false, 0, NULL}, {0}};

const espq_op espq_op_Reshape = {.name = "Reshape",
                                 .domain = "",
                                 .since = 5,
                                 .min_in = 2,
                                 .max_in = 2,
                                 .min_out = 1,
                                 .max_out = 1,
                                 .attrs = reshape_attrs,
                                 .infer = infer_reshape,
                                 .f32 = &reshape_f32,
                                 .q = &reshape_q,
                                 .v1 = MOVES | ORIGINAL,
                                 .weight = -1,
                                 .bias = -1,
                                 .why_not = espq_computed_why_not};
const espq_op espq_op_Flatten = {.name = "Flatten",
                                 .domain = "",
                                 .since = 1,
                                 .min_in = 1,
                                 .max_in = 1,
                                 .min_out = 1,
                                 .max_out = 1,
                                 .attrs = flatten_attrs,
                                 .infer = infer_flatten,
                                 .f32 = &reshape_f32,
                                 .q = &reshape_q,
                                 .v1 = MOVES | ESPQ_V1_LIFTS | ORIGINAL,
                                 .weight = -1,
                                 .bias = -1};
const espq_op espq_op_Squeeze = {.name = "Squeeze",
                                 .domain = "",
                                 .since = 1,
                                 .min_in = 1,
                                 .max_in = 2,
                                 .min_out = 1,
                                 .max_out = 1,
                                 .attrs = axes_attrs,
                                 .infer = infer_squeeze,
                                 .f32 = &reshape_f32,
                                 .q = &reshape_q,
                                 .v1 = MOVES | ESPQ_V1_LIFTS | ORIGINAL,
                                 .weight = -1,
                                 .bias = -1,
                                 .why_not = espq_computed_why_not,
                                 .mixes_batch = squeeze_mixes};
const espq_op espq_op_Unsqueeze = {.name = "Unsqueeze",
                                   .domain = "",
                                   .since = 1,
                                   .min_in = 1,
                                   .max_in = 2,
                                   .min_out = 1,
                                   .max_out = 1,
                                   .attrs = axes_attrs,
                                   .infer = infer_unsqueeze,
                                   .f32 = &reshape_f32,
                                   .q = &reshape_q,
                                   .v1 = OURS,
                                   .weight = -1,
                                   .bias = -1,
                                   .why_not = espq_computed_why_not};
const espq_op espq_op_Identity = {.name = "Identity",
                                  .domain = "",
                                  .since = 1,
                                  .min_in = 1,
                                  .max_in = 1,
                                  .min_out = 1,
                                  .max_out = 1,
                                  .infer = espq_infer_same,
                                  .f32 = &same_f32,
                                  .q = &same_q,
                                  .v1 = OURS,
                                  .weight = -1,
                                  .bias = -1};
const espq_op espq_op_Dropout = {.name = "Dropout",
                                 .domain = "",
                                 .since = 7,
                                 .min_in = 1,
                                 .max_in = 3,
                                 .min_out = 1,
                                 .max_out = 2,
                                 .attrs = dropout_attrs,
                                 .infer = infer_dropout,
                                 .f32 = &dropout_f32,
                                 .q = &dropout_q,
                                 .v1 = OURS,
                                 .weight = -1,
                                 .bias = -1,
                                 .why_not = dropout_why_not};
