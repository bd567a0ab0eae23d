/* indices.h - an input of indices, int32 or int64, computed at run time: read, checked, made positive. Private to
 * csrc/ops.
 *
 *   s->indices = espq_indices_of(call, 1);                                       -- in prepare
 *   status = espq_indices_read(&s->indices, args->in[1], rows, index, err);      -- in run
 */
#ifndef ESPQ_OPS_INDICES_H
#define ESPQ_OPS_INDICES_H

#include "ops/kernel.h"

#define ESPQ_TYPES_INDEX (ESPQ_TYPES(ESPQ_I32) | ESPQ_TYPES(ESPQ_I64))

typedef struct espq_indices {
  espq_dtype dtype;
  int64_t count;
  char label[256]; /* of the node, for messages at run time */
} espq_indices;

espq_indices espq_indices_of(const espq_call *call, int input);

/* All of them into out, in [0, size): a negative one counts from the end. ESPQ_EFORMAT names the node and the first that
 * lies outside. */
espq_status espq_indices_read(const espq_indices *indices, const void *data, int64_t size, int64_t *out,
                              espq_error *err);

#endif
