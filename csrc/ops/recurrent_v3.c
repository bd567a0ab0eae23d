/* GRU (linear before reset) and LSTM of ESP-DL v3. Both products of a gate are rounded to int16 at 2^-9, where the
 * biases lie; gates are float32. The hidden state is rounded to the output's integers in every step, the cell to int16 at
 * 2^-9. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "ops/kernel.h"
#include "ops/recurrent.h"

enum { CELL = -9 };

typedef struct integers {
  espq_recurrent r;
  espq_rounding rounding;
  bool wide, has_b, has_h, has_c, gives[3];
  int64_t right_w, right_r; /* shifts of the products of x and of h */
  int y;                    /* exponent of the hidden state */
} integers;

/* What one direction works with: the state, and for each gate the products of x and of h. */
typedef struct workspace {
  int32_t *h, *c, *wx, *rh;
} workspace;

/* ---- prepare ---- */

static espq_status check_inputs(const espq_call *call, const espq_recurrent *r, espq_error *err) {
  bool lstm = r->cell == ESPQ_CELL_LSTM;
  if (!lstm && !r->linear_before_reset)
    return espq_call_fail(call, err, ESPQ_EUNSUPPORTED, "linear_before_reset is 0, integers are defined for 1 only");
  if (espq_port_has(call, ESPQ_RNN_LENGTHS) || (lstm && espq_port_has(call, ESPQ_RNN_P)))
    return espq_call_fail(call, err, ESPQ_EUNSUPPORTED, "sequence_lens and peepholes have no integers");
  if (r->clip != 0 || r->input_forget || espq_node_attr(call->node, "activations"))
    return espq_call_fail(call, err, ESPQ_EUNSUPPORTED, "clip, input_forget and activations have no integers");
  for (int i = ESPQ_RNN_W; i <= ESPQ_RNN_B; i++)
    if (espq_port_has(call, i) && !call->in[i].constant)
      return espq_call_fail(call, err, ESPQ_EUNSUPPORTED, "input %d '%.100s' must be a constant", i, call->in[i].name);
  return ESPQ_OK;
}

static espq_status check_types(const espq_call *call, const integers *s, espq_error *err) {
  espq_dtype narrow = s->wide ? ESPQ_I16 : ESPQ_I8;
  const espq_dtype want[] = {narrow, narrow, narrow, ESPQ_I16, ESPQ_I32, narrow, ESPQ_I16};
  for (int i = 0; i < call->nin && i < 7; i++)
    if (espq_port_has(call, i) && call->in[i].dtype != want[i])
      return espq_call_fail(call, err, ESPQ_EUNSUPPORTED, "input %d '%.100s' has type %s, expected %s", i,
                            call->in[i].name, espq_dtype_name(call->in[i].dtype), espq_dtype_name(want[i]));
  return ESPQ_OK;
}

static espq_status read_scales(const espq_call *call, integers *s, espq_error *err) {
  int x, w, r, port = s->gives[0] ? 0 : 1;
  if (!s->gives[port]) return espq_call_fail(call, err, ESPQ_EUNSUPPORTED, "neither Y nor Y_h is there");
  espq_status status = espq_port_exponent(call, &call->in[ESPQ_RNN_X], &x, err);
  if (!status) status = espq_port_exponent(call, &call->in[ESPQ_RNN_W], &w, err);
  if (!status) status = espq_port_exponent(call, &call->in[ESPQ_RNN_R], &r, err);
  if (!status) status = espq_port_exponent(call, &call->out[port], &s->y, err);
  if (status) return status;
  s->right_w = (int64_t)CELL - x - w;
  s->right_r = (int64_t)CELL - s->y - r;
  return ESPQ_OK;
}

static espq_status fill(espq_call *call, integers *s, espq_error *err) {
  espq_status status = espq_recurrent_read(call, &s->r, err);
  if (!status) status = check_inputs(call, &s->r, err);
  if (status) return status;
  s->wide = call->in[ESPQ_RNN_X].dtype == ESPQ_I16;
  s->rounding = espq_call_rounding(call);
  s->has_b = espq_port_has(call, ESPQ_RNN_B);
  s->has_h = espq_port_has(call, ESPQ_RNN_H);
  s->has_c = espq_port_has(call, ESPQ_RNN_C);
  for (int i = 0; i < call->nin; i++) call->in[i].layout = ESPQ_PLAIN;
  for (int i = 0; i < call->nout; i++) {
    call->out[i].layout = ESPQ_PLAIN;
    s->gives[i] = call->out[i].present;
  }
  status = check_types(call, s, err);
  return status ? status : read_scales(call, s, err);
}

static espq_status prepare(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  integers *s = espq_calloc(1, sizeof *s);
  if (!s) return espq_fail_memory(err);
  espq_status status = fill(call, s, err);
  if (status) {
    espq_free(s);
    return status;
  }
  size_t gates = (size_t)espq_cell_gates(s->r.cell);
  out->state = s;
  out->scratch = (size_t)s->r.hidden * (2 + 2 * gates) * sizeof(int32_t);
  return ESPQ_OK;
}

/* ---- run ---- */

static int32_t load(const void *from, bool wide, int64_t i) {
  return wide ? ((const int16_t *)from)[i] : ((const int8_t *)from)[i];
}

static void store(void *to, bool wide, int64_t i, int32_t v) {
  if (wide) ((int16_t *)to)[i] = (int16_t)v;
  else ((int8_t *)to)[i] = (int8_t)v;
}

static float sigmoid(float x) { return (float)(1 / (1 + exp(-(double)x))); }

/* Element j of what a matrix is multiplied by: the state, or where there is none, numbers of a tensor. */
static int64_t element(const integers *s, const int32_t *state, const void *vector, int64_t j) {
  return state ? state[j] : load(vector, s->wide, j);
}

/* to[row] = the product of row `row` of a matrix and a vector, at 2^-9 in int16. */
static void products(const integers *s, const void *matrix, int64_t first, int64_t rows, const void *vector,
                     const int32_t *state, int64_t columns, int64_t right, int32_t *to) {
  for (int64_t i = 0; i < rows; i++) {
    int64_t sum = 0;
    for (int64_t j = 0; j < columns; j++)
      sum += (int64_t)load(matrix, s->wide, first + i * columns + j) * element(s, state, vector, j);
    to[i] = (int32_t)espq_fixed_clip(espq_fixed_shift(s->rounding, sum, right), 16);
  }
}

static float gate(int64_t sum) { return (float)sum * 0x1p-9f; }

static int32_t nearest(const integers *s, float x, int exponent, int bits) {
  return (int32_t)espq_fixed_round(s->rounding, (double)x, exponent, bits);
}

/* Gates z, r, h; b: those of W, then those of R. */
static void step_gru(const integers *s, const workspace *w, const int16_t *b) {
  int64_t n = s->r.hidden;
  for (int64_t j = 0; j < n; j++) {
    int32_t x[3], h[3];
    for (int g = 0; g < 3; g++) {
      x[g] = w->wx[g * n + j] + (b ? b[g * n + j] : 0);
      h[g] = w->rh[g * n + j] + (b ? b[(3 + g) * n + j] : 0);
    }
    float z = sigmoid(gate((int64_t)x[0] + h[0])), r = sigmoid(gate((int64_t)x[1] + h[1]));
    int32_t before = nearest(s, (float)x[2] + r * (float)h[2], 0, 16);
    float fresh = (float)tanh((double)gate(before)), old = ldexpf((float)w->h[j], s->y);
    w->h[j] = nearest(s, (1 - z) * fresh + z * old, s->y, s->wide ? 16 : 8);
  }
}

/* Gates i, o, f, c. */
static void step_lstm(const integers *s, const workspace *w, const int16_t *b) {
  int64_t n = s->r.hidden;
  for (int64_t j = 0; j < n; j++) {
    float in[4];
    for (int g = 0; g < 4; g++) {
      int64_t bias = b ? (int64_t)b[g * n + j] + b[(4 + g) * n + j] : 0;
      in[g] = gate((int64_t)w->wx[g * n + j] + w->rh[g * n + j] + bias);
    }
    float cell = sigmoid(in[2]) * gate(w->c[j]) + sigmoid(in[0]) * (float)tanh((double)in[3]);
    w->c[j] = nearest(s, cell, CELL, 16);
    w->h[j] = nearest(s, sigmoid(in[1]) * (float)tanh((double)gate(w->c[j])), s->y, s->wide ? 16 : 8);
  }
}

/* Where a direction's state of an image begins. */
static int64_t state_at(const espq_recurrent *r, int64_t d, int64_t image) {
  return (r->batch_first ? image * r->directions + d : d * r->batch + image) * r->hidden;
}

static int64_t output_at(const espq_recurrent *r, int64_t t, int64_t d, int64_t image) {
  int64_t outer =
      r->batch_first ? (image * r->steps + t) * r->directions + d : (t * r->directions + d) * r->batch + image;
  return outer * r->hidden;
}

static void start(const integers *s, const espq_run_args *args, const workspace *w, int64_t at) {
  for (int64_t j = 0; j < s->r.hidden; j++) {
    w->h[j] = s->has_h ? load(args->in[ESPQ_RNN_H], s->wide, at + j) : 0;
    w->c[j] = s->has_c ? ((const int16_t *)args->in[ESPQ_RNN_C])[at + j] : 0;
  }
}

static void step(const integers *s, const espq_run_args *args, const workspace *w, int64_t d, const void *x) {
  const espq_recurrent *r = &s->r;
  int64_t rows = espq_cell_gates(r->cell) * r->hidden;
  const int16_t *b = s->has_b ? (const int16_t *)args->in[ESPQ_RNN_B] + d * 2 * rows : NULL;
  products(s, args->in[ESPQ_RNN_W], d * rows * r->inputs, rows, x, NULL, r->inputs, s->right_w, w->wx);
  products(s, args->in[ESPQ_RNN_R], d * rows * r->hidden, rows, NULL, w->h, r->hidden, s->right_r, w->rh);
  if (r->cell == ESPQ_CELL_LSTM) step_lstm(s, w, b);
  else step_gru(s, w, b);
}

static void run_direction(const integers *s, const espq_run_args *args, const workspace *w, int64_t d, int64_t image) {
  const espq_recurrent *r = &s->r;
  int64_t at = state_at(r, d, image);
  start(s, args, w, at);
  for (int64_t i = 0; i < r->steps; i++) {
    int64_t t = r->reverse || d == 1 ? r->steps - 1 - i : i,
            row = r->batch_first ? image * r->steps + t : t * r->batch + image;
    step(s, args, w, d, (const char *)args->in[ESPQ_RNN_X] + (size_t)(row * r->inputs) * (s->wide ? 2 : 1));
    for (int64_t j = 0; s->gives[0] && j < r->hidden; j++)
      store(args->out[0], s->wide, output_at(r, t, d, image) + j, w->h[j]);
  }
  for (int64_t j = 0; j < r->hidden; j++) {
    if (s->gives[1]) store(args->out[1], s->wide, at + j, w->h[j]);
    if (s->gives[2]) ((int16_t *)args->out[2])[at + j] = (int16_t)w->c[j];
  }
}

static espq_status run(const espq_run_args *args, espq_error *err) {
  (void)err;
  const integers *s = args->state;
  int64_t rows = espq_cell_gates(s->r.cell) * s->r.hidden;
  int32_t *at = args->scratch;
  workspace w = {.h = at, .c = at + s->r.hidden, .wx = at + 2 * s->r.hidden, .rh = at + 2 * s->r.hidden + rows};
  for (int64_t image = 0; image < s->r.batch; image++)
    for (int64_t d = 0; d < s->r.directions; d++) run_direction(s, args, &w, d, image);
  return ESPQ_OK;
}

const espq_kernel espq_recurrent_v3 = {prepare, run, NULL};
