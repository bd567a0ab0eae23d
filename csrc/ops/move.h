/* move.h - operators whose elements, of any type, go elsewhere in ESPQ_PLAIN: Transpose, Slice, Pad, Expand, Tile ...
 * Private to csrc/ops.
 *
 *   espq_move s = {.a = {...}};                                -- what the family's run needs besides the shapes
 *   espq_status status = espq_move_keep(call, &s, out, err);   -- the last line of its prepare
 */
#ifndef ESPQ_OPS_MOVE_H
#define ESPQ_OPS_MOVE_H

#include "ops/kernel.h"
#include "tensor/move.h"

/* What they remember: at most two lists of numbers beside the shapes. */
typedef struct espq_move {
  size_t size; /* of an element */
  int rank, out_rank;
  int64_t dim[ESPQ_MAX_RANK], out_dim[ESPQ_MAX_RANK];
  int64_t a[ESPQ_MAX_RANK], b[ESPQ_MAX_RANK]; /* perm; pads before and after; start and step */
  espq_pad_mode mode;
  unsigned char value[8]; /* one element, for Pad */
} espq_move;

/* Fills in size and shapes, asks for ESPQ_PLAIN; a copy of `given` becomes the prepared state. */
espq_status espq_move_keep(espq_call *call, const espq_move *given, espq_prepared *out, espq_error *err);

/* name_f32 and name_q from prepare_name and run_name: moving keeps integers, so it keeps their exponent. */
#define ESPQ_MOVE_KERNELS(name)                                                                                      \
  static espq_status prepare_##name##_q(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) { \
    espq_status status = espq_call_same_quant(call, err);                                                            \
    return status ? status : prepare_##name(env, call, out, err);                                                    \
  }                                                                                                                  \
  static const espq_kernel name##_f32 = {prepare_##name, run_##name, NULL};                                          \
  static const espq_kernel name##_q = {prepare_##name##_q, run_##name, NULL}

/* The input is there, but its numbers are not known before the model runs. */
bool espq_port_computed(const espq_call *call, int input);

/* Output 0 has the type of input 0 and -1 for every dimension (rank -1: not even the rank is known). */
espq_status espq_call_result_unknown(espq_call *call, int rank);

/* The axes of input 0 that `n` entries of a list are for: input `input`, else attribute `attr` (or NULL), else all in
 * order. Each is valid and named once. */
espq_status espq_call_axes(const espq_call *call, int input, const char *attr, int n, int *axis, espq_error *err);

/* What calibration does with them. */
enum {
  ESPQ_MOVE_V1 = ESPQ_V1_SHARES | ESPQ_V1_PASS | ESPQ_V1_CALIBRATOR | ESPQ_V1_CHIP,
  ESPQ_MOVE_V1_OURS = ESPQ_MOVE_V1 | ESPQ_V1_UNMEASURED,
  ESPQ_MOVE_V1_LIFTS = ESPQ_MOVE_V1 | ESPQ_V1_LIFTS | ESPQ_V1_EVALUATOR
};

#endif
