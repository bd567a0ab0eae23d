#include "tensor/recurrent.h"

#include <math.h>
#include <string.h>

int espq_cell_gates(espq_cell cell) { return cell == ESPQ_CELL_RNN ? 1 : cell == ESPQ_CELL_GRU ? 3 : 4; }

/* One direction as doubles; all point into scratch. */
typedef struct work {
  double *w, *r;           /* turned: I x G*H, H x G*H */
  double *wb, *rb;         /* G*H each */
  double *p;               /* 3*H */
  double *from_x, *from_h; /* G*H each: the gates' sums */
  double *h, *c, *x, *row;
} work;

static int64_t width_of(const espq_recurrent *r) { return espq_cell_gates(r->cell) * r->hidden; }

static int64_t row_size(const espq_recurrent *r) { return r->inputs > r->hidden ? r->inputs : r->hidden; }

static work split(const espq_recurrent *r, double *at) {
  int64_t g = width_of(r), h = r->hidden;
  work k = {0};
  double **const parts[] = {&k.w, &k.r, &k.wb, &k.rb, &k.p, &k.from_x, &k.from_h, &k.h, &k.c, &k.x, &k.row};
  const int64_t sizes[] = {g * r->inputs, g * h, g, g, 3 * h, g, g, h, h, r->inputs, row_size(r)};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) *parts[i] = at, at += sizes[i];
  return k;
}

size_t espq_recurrent_scratch(const espq_recurrent *r) {
  int64_t g = width_of(r), h = r->hidden;
  return (size_t)(g * (r->inputs + h + 4) + 5 * h + r->inputs + row_size(r)) * sizeof(double);
}

/* ---- numbers in and out ---- */

/* n numbers from index `from` on; zeros without data. */
static void load(const espq_recurrent *r, const void *data, int64_t from, int64_t n, double *out) {
  if (data) espq_cast(r->dtype, ESPQ_F64, n, (const char *)data + (size_t)from * espq_dtype_size(r->dtype), out);
  else memset(out, 0, (size_t)n * sizeof *out);
}

static void store(const espq_recurrent *r, void *data, int64_t to, const double *x) {
  if (data) espq_cast(ESPQ_F64, r->dtype, r->hidden, x, (char *)data + (size_t)to * espq_dtype_size(r->dtype));
}

/* Rows of `columns` numbers, a row per gate and hidden number, turned into `out`. */
static void load_turned(const espq_recurrent *r, const void *data, int direction, int64_t columns, double *row,
                        double *out) {
  int64_t rows = width_of(r);
  for (int64_t i = 0; i < rows; i++) {
    load(r, data, (direction * rows + i) * columns, columns, row);
    for (int64_t j = 0; j < columns; j++) out[j * rows + i] = row[j];
  }
}

static void load_direction(const espq_recurrent *r, const espq_recurrent_data *data, int d, work *k) {
  int64_t g = width_of(r);
  load_turned(r, data->w, d, r->inputs, k->row, k->w);
  load_turned(r, data->r, d, r->hidden, k->row, k->r);
  load(r, data->b, 2 * g * d, g, k->wb);
  load(r, data->b, 2 * g * d + g, g, k->rb);
  load(r, data->p, 3 * r->hidden * d, 3 * r->hidden, k->p);
}

/* ---- cells ---- */

static double activate(const espq_recurrent *r, espq_activation f, double x) {
  double a = f.alpha, b = f.beta;
  if (r->clip > 0) x = x > r->clip ? r->clip : x < -r->clip ? -r->clip : x;
  switch (f.f) {
    case ESPQ_ACT_RELU: return x < 0 ? 0 : x;
    case ESPQ_ACT_TANH: return tanh(x);
    case ESPQ_ACT_SIGMOID: return 1 / (1 + exp(-x));
    case ESPQ_ACT_AFFINE: return a * x + b;
    case ESPQ_ACT_LEAKY_RELU: return x < 0 ? a * x : x;
    case ESPQ_ACT_THRESHOLDED_RELU: return x < a ? 0 : x;
    case ESPQ_ACT_SCALED_TANH: return a * tanh(b * x);
    case ESPQ_ACT_HARD_SIGMOID: return fmin(fmax(a * x + b, 0), 1);
    case ESPQ_ACT_ELU: return x < 0 ? a * expm1(x) : x;
    case ESPQ_ACT_SOFTSIGN: return x / (1 + fabs(x));
    default: return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
  }
}

/* y[j] += sum of x[i] * m[i][j], for n columns of rows that are `width` apart. */
static void add_product(int64_t rows, int64_t n, int64_t width, const double *x, const double *m, double *restrict y) {
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < n; j++) y[j] += x[i] * m[i * width + j];
}

static void step_rnn(const espq_recurrent *r, const espq_activation *f, work *k) {
  for (int64_t j = 0; j < r->hidden; j++) k->h[j] = activate(r, f[0], k->from_x[j] + k->from_h[j]);
}

/* from_h has the gates z and r, and without linear_before_reset only the bias of the third. */
static void step_gru(const espq_recurrent *r, const espq_activation *f, work *k) {
  int64_t n = r->hidden;
  double *z = k->from_x, *reset = z + n, *out = reset + n, *recurrent = k->from_h + 2 * n;
  for (int64_t j = 0; j < 2 * n; j++) k->from_x[j] = activate(r, f[0], k->from_x[j] + k->from_h[j]);
  if (!r->linear_before_reset) {
    for (int64_t j = 0; j < n; j++) k->row[j] = reset[j] * k->h[j];
    add_product(n, n, 3 * n, k->row, k->r + 2 * n, recurrent);
  }
  for (int64_t j = 0; j < n; j++) {
    double scale = r->linear_before_reset ? reset[j] : 1;
    out[j] = activate(r, f[1], out[j] + scale * recurrent[j]);
    k->h[j] = (1 - z[j]) * out[j] + z[j] * k->h[j];
  }
}

static void step_lstm(const espq_recurrent *r, const espq_activation *f, work *k) {
  int64_t n = r->hidden;
  for (int64_t j = 0; j < 4 * n; j++) k->from_x[j] += k->from_h[j];
  const double *i = k->from_x, *o = i + n, *forget = o + n, *cell = forget + n;
  for (int64_t j = 0; j < n; j++) {
    double in = activate(r, f[0], i[j] + k->p[j] * k->c[j]);
    double keep = r->input_forget ? 1 - in : activate(r, f[0], forget[j] + k->p[2 * n + j] * k->c[j]);
    k->c[j] = keep * k->c[j] + in * activate(r, f[1], cell[j]);
    k->h[j] = activate(r, f[0], o[j] + k->p[n + j] * k->c[j]) * activate(r, f[2], k->c[j]);
  }
}

static void step(const espq_recurrent *r, const espq_activation *f, work *k) {
  int64_t g = width_of(r), n = r->hidden;
  bool later = r->cell == ESPQ_CELL_GRU && !r->linear_before_reset;
  memcpy(k->from_x, k->wb, (size_t)g * sizeof(double));
  memcpy(k->from_h, k->rb, (size_t)g * sizeof(double));
  add_product(r->inputs, g, g, k->x, k->w, k->from_x);
  add_product(n, later ? 2 * n : g, g, k->h, k->r, k->from_h);
  if (r->cell == ESPQ_CELL_RNN) step_rnn(r, f, k);
  else if (r->cell == ESPQ_CELL_GRU) step_gru(r, f, k);
  else step_lstm(r, f, k);
}

/* ---- sequences ---- */

static int64_t state_at(const espq_recurrent *r, int d, int64_t n) {
  return (r->batch_first ? n * r->directions + d : d * r->batch + n) * r->hidden;
}

static int64_t output_at(const espq_recurrent *r, int64_t t, int d, int64_t n) {
  if (r->batch_first) return ((n * r->steps + t) * r->directions + d) * r->hidden;
  return ((t * r->directions + d) * r->batch + n) * r->hidden;
}

static void run_sequence(const espq_recurrent *r, const espq_recurrent_data *data, int d, int64_t n, work *k) {
  bool reverse = d == 1 || r->reverse;
  int64_t length = data->lengths ? data->lengths[n] : r->steps, state = state_at(r, d, n);
  load(r, data->h, state, r->hidden, k->h);
  load(r, data->c, state, r->hidden, k->c);
  for (int64_t i = 0; i < length; i++) {
    int64_t t = reverse ? length - 1 - i : i;
    load(r, data->x, (r->batch_first ? n * r->steps + t : t * r->batch + n) * r->inputs, r->inputs, k->x);
    step(r, r->f[d], k);
    store(r, data->y, output_at(r, t, d, n), k->h);
  }
  store(r, data->y_h, state, k->h);
  store(r, data->y_c, state, k->c);
  memset(k->row, 0, (size_t)r->hidden * sizeof(double));
  for (int64_t t = length; t < r->steps; t++) store(r, data->y, output_at(r, t, d, n), k->row);
}

void espq_recurrent_run(const espq_recurrent *r, const espq_recurrent_data *data, void *scratch) {
  work k = split(r, scratch);
  for (int d = 0; d < r->directions; d++) {
    load_direction(r, data, d, &k);
    for (int64_t n = 0; n < r->batch; n++) run_sequence(r, data, d, n, &k);
  }
}
