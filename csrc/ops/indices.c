#include "ops/indices.h"

#include <inttypes.h>

espq_indices espq_indices_of(const espq_call *call, int input) {
  const espq_port *p = &call->in[input];
  espq_indices k = {.dtype = p->dtype, .count = espq_shape_elements(&p->shape)};
  espq_node_label(call->graph, call->node, k.label, sizeof k.label);
  return k;
}

espq_status espq_indices_read(const espq_indices *indices, const void *data, int64_t size, int64_t *out,
                              espq_error *err) {
  for (int64_t i = 0; i < indices->count; i++) {
    int64_t k = indices->dtype == ESPQ_I64 ? ((const int64_t *)data)[i] : ((const int32_t *)data)[i];
    if (k < -size || k >= size)
      return espq_fail(err, ESPQ_EFORMAT,
                       "%s: index %" PRId64 " is %" PRId64 ", which is outside of %" PRId64 " entries", indices->label,
                       i, k, size);
    out[i] = k < 0 ? k + size : k;
  }
  return ESPQ_OK;
}
