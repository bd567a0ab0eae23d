/* reorder.h - float tensors between the layouts PLAIN, C8 and C16 (base/layout.h).
 *
 *   espq_infer_reorder(ESPQ_PLAIN, ESPQ_C16, n, channels, height * width, src, dst);
 */
#ifndef ESPQ_INFER_REORDER_H
#define ESPQ_INFER_REORDER_H

#include <stdint.h>

#include "base/layout.h"

/* Copies n images of `channels` channels and `spatial` pixels from one float layout to another (also to the same);
 * padding lanes of dst become 0, those of src are not read. src and dst must not overlap. */
void espq_infer_reorder(espq_layout from, espq_layout to, int64_t n, int64_t channels, int64_t spatial,
                        const float *src, float *dst);

/* Sets the padding lanes of a blocked tensor to 0; a PLAIN one has none. */
void espq_infer_clear_lanes(espq_layout layout, int64_t n, int64_t channels, int64_t spatial, float *x);

#endif
