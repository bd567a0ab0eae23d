/* isa.h - which instruction set a kernel may use.
 *
 * Integer kernels give the same bits on every instruction set, so the choice is only one of speed (and
 * of tests, which run all of them). It is a parameter, never a global:
 *
 *   espq_isa isa = espq_isa_detect();      -- the best of this machine
 *   if (isa > wanted) isa = wanted;        -- the enum is ordered: each one includes those before it
 */
#ifndef ESPQ_BASE_ISA_H
#define ESPQ_BASE_ISA_H

typedef enum espq_isa {
  ESPQ_ISA_PORTABLE = 0, /* plain C, what the compiler makes of it */
  ESPQ_ISA_AVX2,
  ESPQ_ISA_AVX512_VNNI /* AVX-512 F, BW, DQ, VL and VNNI */
} espq_isa;

enum { ESPQ_ISA_COUNT = ESPQ_ISA_AVX512_VNNI + 1 };

espq_isa espq_isa_detect(void);

/* "portable", "avx2" or "avx512-vnni". */
const char *espq_isa_name(espq_isa isa);

#endif
