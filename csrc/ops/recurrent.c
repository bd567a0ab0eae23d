/* RNN, GRU and LSTM: float kernels of csrc/tensor/recurrent.h, in ESPQ_PLAIN. */
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "ops/kernel.h"
#include "ops/recurrent.h"

enum { X, W, R, B, LENGTHS, H, C, P, INPUTS };

static espq_cell cell_of(const espq_call *call) {
  const char *op = call->node->op_type;
  return strcmp(op, "RNN") == 0 ? ESPQ_CELL_RNN : strcmp(op, "GRU") == 0 ? ESPQ_CELL_GRU : ESPQ_CELL_LSTM;
}

/* ---- activations ---- */

static const struct {
  const char *name;
  bool has_alpha, has_beta;
  double alpha, beta; /* when they are not given */
} activations[ESPQ_ACT_COUNT] = {[ESPQ_ACT_RELU] = {"Relu", 0, 0, 0, 0},
                                 [ESPQ_ACT_TANH] = {"Tanh", 0, 0, 0, 0},
                                 [ESPQ_ACT_SIGMOID] = {"Sigmoid", 0, 0, 0, 0},
                                 [ESPQ_ACT_AFFINE] = {"Affine", 1, 1, 1, 0},
                                 [ESPQ_ACT_LEAKY_RELU] = {"LeakyRelu", 1, 0, 0.01, 0},
                                 [ESPQ_ACT_THRESHOLDED_RELU] = {"ThresholdedRelu", 1, 0, 1, 0},
                                 [ESPQ_ACT_SCALED_TANH] = {"ScaledTanh", 1, 1, 1, 1},
                                 [ESPQ_ACT_HARD_SIGMOID] = {"HardSigmoid", 1, 1, 0.2, 0.5},
                                 [ESPQ_ACT_ELU] = {"Elu", 1, 0, 1, 0},
                                 [ESPQ_ACT_SOFTSIGN] = {"Softsign", 0, 0, 0, 0},
                                 [ESPQ_ACT_SOFTPLUS] = {"Softplus", 0, 0, 0, 0}};

/* The next number of a list, as far as there is one. */
static double next_number(const espq_attr *list, size_t *at, double otherwise) {
  return list && list->kind == ESPQ_ATTR_FLOATS && *at < list->n ? (double)list->floats[(*at)++] : otherwise;
}

static espq_status find_activation(const espq_call *call, const char *name, espq_act *out, espq_error *err) {
  for (int i = 0; i < ESPQ_ACT_COUNT; i++)
    if (strcasecmp(name, activations[i].name) == 0) {
      *out = (espq_act)i;
      return ESPQ_OK;
    }
  return espq_call_fail(call, err, ESPQ_EFORMAT,
                        "activation '%.40s', expected Relu, Tanh, Sigmoid, Affine, LeakyRelu, ThresholdedRelu, "
                        "ScaledTanh, HardSigmoid, Elu, Softsign or Softplus",
                        name);
}

/* Alphas and betas belong to those activations, in order, that have some. */
static espq_status read_activations(const espq_call *call, espq_recurrent *r, espq_error *err) {
  static const int count[] = {1, 2, 3};
  const espq_attr *names = espq_node_attr(call->node, "activations");
  const espq_attr *alphas = espq_node_attr(call->node, "activation_alpha");
  const espq_attr *betas = espq_node_attr(call->node, "activation_beta");
  int n = count[r->cell];
  size_t alpha = 0, beta = 0;
  if (names && names->n == 0) names = NULL;
  if (names && (names->kind != ESPQ_ATTR_STRINGS || names->n != (size_t)(n * r->directions)))
    return espq_call_fail(call, err, ESPQ_EFORMAT, "%zu activations, expected %d", names->n, n * r->directions);
  for (int i = 0; i < n * r->directions; i++) {
    espq_activation *f = &r->f[i / n][i % n];
    f->f = r->cell == ESPQ_CELL_RNN || i % n ? ESPQ_ACT_TANH : ESPQ_ACT_SIGMOID;
    espq_status status = names ? find_activation(call, names->strings[i].text, &f->f, err) : ESPQ_OK;
    if (status) return status;
    f->alpha = activations[f->f].has_alpha ? next_number(alphas, &alpha, activations[f->f].alpha) : 0;
    f->beta = activations[f->f].has_beta ? next_number(betas, &beta, activations[f->f].beta) : 0;
  }
  return ESPQ_OK;
}

/* ---- shapes ---- */

static espq_status read_direction(const espq_call *call, espq_recurrent *r, espq_error *err) {
  const char *direction = espq_node_string(call->node, "direction", "forward");
  r->directions = strcasecmp(direction, "bidirectional") == 0 ? 2 : 1;
  r->reverse = strcasecmp(direction, "reverse") == 0;
  if (r->directions == 2 || r->reverse || strcasecmp(direction, "forward") == 0) return ESPQ_OK;
  return espq_call_fail(call, err, ESPQ_EFORMAT, "direction is '%.40s', expected forward, reverse or bidirectional",
                        direction);
}

/* Input i must have these dimensions, as far as both are known. */
static espq_status check_input(const espq_call *call, int i, int rank, const int64_t *want, espq_error *err) {
  if (!espq_port_has(call, i)) return ESPQ_OK;
  const espq_shape *s = &call->in[i].shape;
  char got[160], expected[160];
  bool fits = s->rank == rank;
  for (int k = 0; fits && k < rank; k++) fits = s->dim[k] < 0 || want[k] < 0 || s->dim[k] == want[k];
  if (fits) return ESPQ_OK;
  return espq_call_fail(call, err, ESPQ_EFORMAT, "input %d '%.100s' has shape %s, expected %s", i, call->in[i].name,
                        espq_shape_text(s->rank, s->dim, got, sizeof got),
                        espq_shape_text(rank, want, expected, sizeof expected));
}

static espq_status check_inputs(const espq_call *call, const espq_recurrent *r, espq_error *err) {
  int64_t d = r->directions, h = r->hidden, g = h < 0 ? -1 : espq_cell_gates(r->cell) * h;
  int64_t state[] = {r->batch_first ? r->batch : d, r->batch_first ? d : r->batch, h};
  espq_status status = check_input(call, W, 3, (const int64_t[]){d, g, r->inputs}, err);
  if (!status) status = check_input(call, R, 3, (const int64_t[]){d, g, h}, err);
  if (!status) status = check_input(call, B, 2, (const int64_t[]){d, g < 0 ? -1 : 2 * g}, err);
  if (!status) status = check_input(call, LENGTHS, 1, &r->batch, err);
  if (!status) status = check_input(call, H, 3, state, err);
  if (!status) status = check_input(call, C, 3, state, err);
  return status ? status : check_input(call, P, 2, (const int64_t[]){d, h < 0 ? -1 : 3 * h}, err);
}

static espq_status check_types(const espq_call *call, espq_error *err) {
  if (call->node->column == ESPQ_COLUMN_V3) return ESPQ_OK; /* integers of several widths: recurrent_v3.c */
  espq_status status = espq_port_type(call, X, ESPQ_TYPES_FLOAT, err);
  for (int i = 1; i < call->nin && !status; i++)
    status = espq_port_type(call, i,
                            i == LENGTHS                           ? ESPQ_TYPES(ESPQ_I32)
                            : call->in[X].dtype == ESPQ_DTYPE_NONE ? ESPQ_TYPES_FLOAT
                                                                   : ESPQ_TYPES(call->in[X].dtype),
                            err);
  return status;
}

espq_status espq_recurrent_read(const espq_call *call, espq_recurrent *r, espq_error *err) {
  const espq_shape *x = &call->in[X].shape, *rec = &call->in[R].shape;
  char text[160];
  espq_status status = check_types(call, err);
  if (status) return status;
  int64_t layout = espq_node_int(call->node, "layout", 0);
  if (x->rank != 3 || rec->rank != 3 || (layout != 0 && layout != 1))
    return espq_call_fail(call, err, ESPQ_EFORMAT,
                          "layout %" PRId64 ", input %s of shape %s: expected 0 or 1 and rank 3", layout,
                          call->in[X].name, espq_shape_text(x->rank, x->dim, text, sizeof text));
  *r = (espq_recurrent){.cell = cell_of(call), .dtype = call->in[X].dtype, .batch_first = layout == 1};
  r->steps = x->dim[r->batch_first];
  r->batch = x->dim[!r->batch_first];
  r->inputs = x->dim[2];
  r->hidden = espq_node_int(call->node, "hidden_size", 0);
  if (r->hidden == 0) r->hidden = rec->dim[2];
  r->clip = (double)espq_node_float(call->node, "clip", 0);
  r->linear_before_reset = espq_node_int(call->node, "linear_before_reset", 0) != 0;
  r->input_forget = espq_node_int(call->node, "input_forget", 0) != 0;
  if (r->hidden < -1 || r->hidden == 0 || r->hidden > 1 << 28)
    return espq_call_fail(call, err, ESPQ_EFORMAT, "hidden_size is %" PRId64 ", expected 1 to %d", r->hidden, 1 << 28);
  status = read_direction(call, r, err);
  if (!status) status = check_inputs(call, r, err);
  return status ? status : read_activations(call, r, err);
}

static espq_status infer(espq_call *call, espq_error *err) {
  espq_recurrent r;
  espq_status status = espq_recurrent_read(call, &r, err);
  if (status) return status;
  int64_t d = r.directions;
  espq_shape state = {3, {d, r.batch, r.hidden}}, all = {4, {r.steps, d, r.batch, r.hidden}};
  if (r.batch_first) {
    state = (espq_shape){3, {r.batch, d, r.hidden}};
    all = (espq_shape){4, {r.batch, r.steps, d, r.hidden}};
  }
  for (int i = 0; i < call->nout; i++) {
    bool is_cell = call->node->column == ESPQ_COLUMN_V3 && i == 2;
    call->out[i].dtype = is_cell ? ESPQ_I16 : call->in[X].dtype;
    call->out[i].shape = i ? state : all;
  }
  return ESPQ_OK;
}

/* ---- float ---- */

typedef struct floats {
  espq_recurrent r;
  bool has[INPUTS], gives[3];
} floats;

static espq_status prepare(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  floats *s = espq_calloc(1, sizeof *s);
  if (!s) return espq_fail_memory(err);
  espq_status status = espq_recurrent_read(call, &s->r, err);
  if (status) {
    espq_free(s);
    return status;
  }
  for (int i = 0; i < call->nin; i++) {
    call->in[i].layout = ESPQ_PLAIN;
    s->has[i] = call->in[i].present;
  }
  for (int i = 0; i < call->nout; i++) {
    call->out[i].layout = ESPQ_PLAIN;
    s->gives[i] = call->out[i].present;
  }
  out->state = s;
  out->scratch = espq_recurrent_scratch(&s->r);
  return ESPQ_OK;
}

static espq_status check_lengths(const espq_recurrent *r, const int32_t *lengths, espq_error *err) {
  for (int64_t i = 0; lengths && i < r->batch; i++)
    if (lengths[i] < 0 || lengths[i] > r->steps)
      return espq_fail(err, ESPQ_EFORMAT, "sequence_lens holds %d, expected 0 to %" PRId64, (int)lengths[i], r->steps);
  return ESPQ_OK;
}

static espq_status run(const espq_run_args *args, espq_error *err) {
  const floats *s = args->state;
  const void *in[INPUTS] = {NULL};
  void *out[3] = {NULL};
  for (int i = 0; i < INPUTS; i++)
    if (s->has[i]) in[i] = args->in[i];
  for (int i = 0; i < 3; i++)
    if (s->gives[i]) out[i] = args->out[i];
  espq_status status = check_lengths(&s->r, in[LENGTHS], err);
  if (status) return status;
  espq_recurrent_data data = {.x = in[X],
                              .w = in[W],
                              .r = in[R],
                              .b = in[B],
                              .lengths = in[LENGTHS],
                              .h = in[H],
                              .c = in[C],
                              .p = in[P],
                              .y = out[0],
                              .y_h = out[1],
                              .y_c = out[2]};
  espq_recurrent_run(&s->r, &data, args->scratch);
  return ESPQ_OK;
}

static const espq_kernel f32 = {prepare, run, NULL};

/* In layout 0 axis 0 is time; states of layout 1 may come from anywhere. */
static bool mixes_batch(const espq_call *call) {
  (void)call;
  return true;
}

static const char *why_not(const espq_call *call, char *text, size_t size) {
  return espq_reason(text, size, "%s has no integer form on the chip; end the model before it", call->node->op_type);
}

#define COMMON                                                                                                \
  {"direction", ESPQ_ATTR_STRING, false, 0, "forward"}, {"hidden_size", ESPQ_ATTR_INT, false, 0, NULL},       \
      {"activations", ESPQ_ATTR_STRINGS, false, 0, ""}, {"activation_alpha", ESPQ_ATTR_FLOATS, false, 0, ""}, \
      {"activation_beta", ESPQ_ATTR_FLOATS, false, 0, ""}, {"clip", ESPQ_ATTR_FLOAT, false, 0, NULL}, {       \
    "layout", ESPQ_ATTR_INT, false, 0, NULL                                                                   \
  }
#define END \
  { NULL, ESPQ_ATTR_INT, false, 0, NULL }

static const espq_attr_spec rnn_attrs[] = {COMMON, END};
static const espq_attr_spec gru_attrs[] = {COMMON, {"linear_before_reset", ESPQ_ATTR_INT, false, 0, NULL}, END};
static const espq_attr_spec lstm_attrs[] = {COMMON, {"input_forget", ESPQ_ATTR_INT, false, 0, NULL}, END};

#define ROW(op, attributes, inputs, outputs, integers) \
  const espq_op espq_op_##op = {                       \
      .name = #op,                                     \
      .domain = "",                                    \
      .since = 7,                                      \
      .min_in = 3,                                     \
      .max_in = inputs,                                \
      .min_out = 0,                                    \
      .max_out = outputs,                              \
      .attrs = attributes,                             \
      .infer = infer,                                  \
      .f32 = &f32,                                     \
      .v3 = integers,                                  \
      .weight = -1,                                    \
      .bias = -1,                                      \
      .mixes_batch = mixes_batch,                      \
      .why_not = why_not,                              \
  }
ROW(RNN, rnn_attrs, 6, 2, NULL);
ROW(GRU, gru_attrs, 6, 2, &espq_recurrent_v3);
ROW(LSTM, lstm_attrs, 8, 3, &espq_recurrent_v3);
