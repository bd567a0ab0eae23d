/* blocked.h - the elements of a channel-blocked buffer (base/layout.h) as plain spans, padding left
 * out.
 *
 * The buffer holds images x (C'/block) x spatial x block floats, C' being channels rounded up to
 * the block. Where channels fill their blocks the whole buffer is one span; otherwise each image
 * gives its full blocks as one span, and the valid lanes of its last block, gathered, in spans of a
 * few hundred.
 *
 *   static void add(void *sum, const float *span, size_t count) { ... }
 *   espq_blocked_spans(&(espq_blocked){data, images, channels, spatial, block}, add, &sum);
 */
#ifndef ESPQ_STATS_BLOCKED_H
#define ESPQ_STATS_BLOCKED_H

#include <stddef.h>
#include <stdint.h>

typedef struct espq_blocked {
  const float *data; /* borrowed */
  int64_t images, channels, spatial;
  int block; /* 1 (plain), 8 or 16: espq_layout_block() */
} espq_blocked;

typedef void espq_span_visit(void *context, const float *span, size_t count);

/* Calls visit for spans that together are the logical elements, each once; order and cuts depend on
 * the sizes alone. A size below 1 gives no span. The caller vouches that the buffer has the
 * elements. */
void espq_blocked_spans(const espq_blocked *buffer, espq_span_visit *visit, void *context);

#endif
