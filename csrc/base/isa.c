#include "base/isa.h"

espq_isa espq_isa_detect(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2")) return ESPQ_ISA_PORTABLE;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni"))
    return ESPQ_ISA_AVX512_VNNI;
  return ESPQ_ISA_AVX2;
#else
  return ESPQ_ISA_PORTABLE;
#endif
}

const char *espq_isa_name(espq_isa isa) {
  static const char *const names[ESPQ_ISA_COUNT] = {"portable", "avx2", "avx512-vnni"};
  return (unsigned)isa < ESPQ_ISA_COUNT ? names[isa] : "unknown";
}
