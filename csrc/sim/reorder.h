/* reorder.h - ESPQ_PLAIN (true int8 or int16) to and from ESPQ_NHWC16 (base/layout.h).
 *
 * n images of `channels` logical channels and `pixels` = H * W; padding lanes are written as value 0
 * and ignored when read. `in` and `out` must not overlap.
 *
 *   espq_sim_to_nhwc16(8, n, 3, 28 * 28, plain, blocked);
 */
#ifndef ESPQ_SIM_REORDER_H
#define ESPQ_SIM_REORDER_H

#include <stdint.h>

void espq_sim_to_nhwc16(int bits, int64_t n, int64_t channels, int64_t pixels, const void *plain, void *blocked);
void espq_sim_to_plain(int bits, int64_t n, int64_t channels, int64_t pixels, const void *blocked, void *plain);

#endif
