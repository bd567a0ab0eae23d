/* engine.h - what the float kernels share: oneDNN's CPU engine, one stream per worker, the ISA cap.
 *
 * This folder computes on float arrays and knows no graph. Kernels that oneDNN does well (conv.h, gemm.h, pool.h)
 * are prepared once for fixed sizes, which packs their weights, and then run from any number of threads:
 * a prepared object is never changed by a run, what a run needs to write belongs to the stream. The rest
 * (unary.h, binary.h, softmax.h, reorder.h) is plain C and needs neither engine nor stream.
 *
 * Ownership: an engine is counted; streams and prepared objects hold a reference, so it may be freed
 * first. A stream belongs to one thread at a time and runs what its own engine prepared.
 *
 * Threads: oneDNN on Debian is built on OpenMP, whose team size is a setting of each thread. We
 * parallelize over images, so prepare and run set it to 1 for the calling thread (espq_infer_thread_init)
 * and results never depend on the machine's threads.
 *
 *   espq_infer_engine *engine;
 *   espq_infer_stream *stream;
 *   if (espq_infer_engine_new(&engine, err) || espq_infer_stream_new(engine, &stream, err)) ...
 *   espq_infer_conv_prepare(engine, &params, weights, bias, ESPQ_INFER_ANY, ESPQ_INFER_ANY, &conv, err);
 *   espq_infer_conv_run(conv, stream, src, dst, err);
 */
#ifndef ESPQ_INFER_ENGINE_H
#define ESPQ_INFER_ENGINE_H

#include <stddef.h>

#include "base/error.h"
#include "base/layout.h"

/* More streams than this of one engine at a time are refused (ESPQ_ELIMIT). */
enum { ESPQ_INFER_STREAMS = 256 };

typedef struct espq_infer_engine espq_infer_engine;
typedef struct espq_infer_stream espq_infer_stream;

espq_status espq_infer_engine_new(espq_infer_engine **out, espq_error *err);
espq_infer_engine *espq_infer_engine_retain(espq_infer_engine *engine);
void espq_infer_engine_free(espq_infer_engine *engine); /* drops a reference; NULL is allowed */

/* A worker's stream with its scratch memory, which grows to what the largest kernel asks for. */
espq_status espq_infer_stream_new(espq_infer_engine *engine, espq_infer_stream **out, espq_error *err);
void espq_infer_stream_free(espq_infer_stream *stream); /* NULL is allowed */

/* Makes OpenMP, and so oneDNN, use only the calling thread when called from it. Called by every prepare
 * and run; a worker that calls it first spares OpenMP from ever starting its team. */
void espq_infer_thread_init(void);

/* Caps oneDNN's instruction set at "sse41", "avx2" or "avx512" for the whole process. Only before the first
 * engine; later, and for other names, an error. A cap above the machine is no error. The plain C kernels
 * give the same bits with every instruction set and ignore the cap. */
espq_status espq_infer_set_isa(const char *name, espq_error *err);

/* "sse41", "avx2" or "avx512": what oneDNN uses. Asking settles it: set_isa fails afterwards. */
const char *espq_infer_isa(void);

/* The channel block of that instruction set: ESPQ_C16 with AVX-512, else ESPQ_C8. */
espq_layout espq_infer_block_layout(void);

#endif
