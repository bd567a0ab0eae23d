/* versions.h - one body of plain C, compiled for each instruction set (internal to csrc/sim).
 *
 * Write `name_body` as an ESPQ_BODY function whose inner loops have constant trip counts (gcc -O2
 * vectorizes only those), then
 *
 *   ESPQ_VERSIONS(name, (int n, const int32_t *x, int32_t *y), (n, x, y))
 *
 * defines name_versions[isa], a table of functions that differ in speed alone.
 */
#ifndef ESPQ_SIM_VERSIONS_H
#define ESPQ_SIM_VERSIONS_H

#include "base/isa.h"

#define ESPQ_BODY static inline __attribute__((always_inline))

#if defined(__clang__)
#define ESPQ_UNROLL _Pragma("unroll")
#else
#define ESPQ_UNROLL _Pragma("GCC unroll 16")
#endif

#define ESPQ_ARGUMENTS(...) __VA_ARGS__

#if defined(__x86_64__)
#define ESPQ_TARGET_AVX2 __attribute__((target("avx2")))
#if defined(__clang__)
#define ESPQ_TARGET_AVX512 __attribute__((target("avx2,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))
#else /* gcc would otherwise vectorize with half of a register */
#define ESPQ_TARGET_AVX512 \
  __attribute__((target("avx2,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,prefer-vector-width=512")))
#endif
#define ESPQ_VERSIONS_OF(name, params, portable, avx2, avx512)                \
  static void name##_portable params { name##_body portable; }                \
  ESPQ_TARGET_AVX2 static void name##_avx2 params { name##_body avx2; }       \
  ESPQ_TARGET_AVX512 static void name##_avx512 params { name##_body avx512; } \
  static void(*const name##_versions[ESPQ_ISA_COUNT]) params = {name##_portable, name##_avx2, name##_avx512};
#else
#define ESPQ_VERSIONS_OF(name, params, portable, avx2, avx512) \
  static void name##_portable params { name##_body portable; } \
  static void(*const name##_versions[ESPQ_ISA_COUNT]) params = {name##_portable, name##_portable, name##_portable};
#endif

#define ESPQ_VERSIONS(name, params, args) ESPQ_VERSIONS_OF(name, params, args, args, args)

/* The same for a body whose first parameter is the (constant) instruction set. */
#define ESPQ_VERSIONS_ISA(name, params, args)                                                                    \
  ESPQ_VERSIONS_OF(name, params, (ESPQ_ISA_PORTABLE, ESPQ_ARGUMENTS args), (ESPQ_ISA_AVX2, ESPQ_ARGUMENTS args), \
                   (ESPQ_ISA_AVX512_VNNI, ESPQ_ARGUMENTS args))

#endif
