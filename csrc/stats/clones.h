/* clones.h - one loop, compiled for three instruction sets.
 *
 * A function marked ESPQ_STATS_CLONES is compiled once per set and the loader picks the one the
 * processor has. Every clone gives the same bits: the loops are integer, or floating point without
 * reassociation, and the project compiles with -ffp-contract=off.
 */
#ifndef ESPQ_STATS_CLONES_H
#define ESPQ_STATS_CLONES_H

/* ThreadSanitizer's own code would run in the loader, before it is ready. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_THREAD__)
#define ESPQ_STATS_CLONES __attribute__((target_clones("arch=x86-64-v4", "avx2", "default")))
#else
#define ESPQ_STATS_CLONES
#endif

#endif
