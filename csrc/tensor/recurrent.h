/* recurrent.h - the recurrent cells RNN, GRU and LSTM over whole sequences, as ONNX defines them, of any float type.
 *
 * Everything is computed as doubles and rounded once when it is stored. Each image of the batch is computed on its own.
 * D directions, T steps, N images, I inputs, H hidden numbers, G gates (RNN 1, GRU 3: zrh, LSTM 4: iofc).
 *
 *   espq_recurrent r = {.cell = ESPQ_CELL_GRU, .dtype = ESPQ_F32, .steps = 5, .batch = 1, .inputs = 8, .hidden = 16,
 *                       .directions = 1, .f = {{{ESPQ_ACT_SIGMOID}, {ESPQ_ACT_TANH}}}};
 *   espq_recurrent_run(&r, &(espq_recurrent_data){.x = x, .w = w, .r = rec, .y = y}, scratch);
 */
#ifndef ESPQ_TENSOR_RECURRENT_H
#define ESPQ_TENSOR_RECURRENT_H

#include "tensor/cast.h"

typedef enum espq_cell { ESPQ_CELL_RNN, ESPQ_CELL_GRU, ESPQ_CELL_LSTM } espq_cell;

typedef enum espq_act {
  ESPQ_ACT_RELU,
  ESPQ_ACT_TANH,
  ESPQ_ACT_SIGMOID,
  ESPQ_ACT_AFFINE,
  ESPQ_ACT_LEAKY_RELU,
  ESPQ_ACT_THRESHOLDED_RELU,
  ESPQ_ACT_SCALED_TANH,
  ESPQ_ACT_HARD_SIGMOID,
  ESPQ_ACT_ELU,
  ESPQ_ACT_SOFTSIGN,
  ESPQ_ACT_SOFTPLUS,
  ESPQ_ACT_COUNT
} espq_act;

typedef struct espq_activation {
  espq_act f;
  double alpha, beta;
} espq_activation;

typedef struct espq_recurrent {
  espq_cell cell;
  espq_dtype dtype; /* of all but the lengths */
  int64_t steps, batch, inputs, hidden;
  int directions;
  bool reverse;     /* of a single direction; of two the second is reversed */
  bool batch_first; /* layout 1 */
  bool linear_before_reset, input_forget;
  double clip; /* bound of what goes into activations; 0: none */
  espq_activation f[2][3];
} espq_recurrent;

/* Pointers may be NULL but x, w and r. */
typedef struct espq_recurrent_data {
  const void *x;          /* T N I, batch first N T I */
  const void *w, *r, *b;  /* D G*H I, D G*H H, D 2*G*H */
  const int32_t *lengths; /* N, each 0 to T */
  const void *h, *c;      /* D N H, batch first N D H; c only LSTM */
  const void *p;          /* D 3*H, peepholes iof of LSTM */
  void *y;                /* T D N H, batch first N T D H; 0 behind the end of a sequence */
  void *y_h, *y_c;        /* as h and c: the last states */
} espq_recurrent_data;

/* 1, 3 or 4. */
int espq_cell_gates(espq_cell cell);
size_t espq_recurrent_scratch(const espq_recurrent *r); /* bytes */
void espq_recurrent_run(const espq_recurrent *r, const espq_recurrent_data *data, void *scratch);

#endif
