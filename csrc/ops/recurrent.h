/* recurrent.h - GRU and LSTM of ESP-DL v3, private to csrc/ops. */
#ifndef ESPQ_OPS_RECURRENT_H
#define ESPQ_OPS_RECURRENT_H

#include "ops/op.h"
#include "tensor/recurrent.h"

/* Inputs by their numbers. */
enum { ESPQ_RNN_X, ESPQ_RNN_W, ESPQ_RNN_R, ESPQ_RNN_B, ESPQ_RNN_LENGTHS, ESPQ_RNN_H, ESPQ_RNN_C, ESPQ_RNN_P };

/* Sizes and attributes of the node; -1 for sizes that are not known. */
espq_status espq_recurrent_read(const espq_call *call, espq_recurrent *r, espq_error *err);

extern const espq_kernel espq_recurrent_v3;

#endif
