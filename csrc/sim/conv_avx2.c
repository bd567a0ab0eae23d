#include "sim/conv_kernel.h"

#if defined(__x86_64__)
const espq_conv_kernel *espq_conv_kernel_avx2(int bits, bool depthwise) {
  return espq_conv_kernel_portable(bits, depthwise);
}
#endif
