/* prim.h - private to csrc/infer: an oneDNN primitive that many threads run at once.
 *
 * The primitive and its packed weights are made once. oneDNN wants a memory object per argument and run;
 * making one costs 0.3 us, so each stream's set is kept in bound[stream->slot]. Only the stream that owns
 * the slot touches that entry, hence no lock. Scratch memory is the stream's.
 */
#ifndef ESPQ_INFER_PRIM_H
#define ESPQ_INFER_PRIM_H

#include <dnnl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "infer/engine.h"

struct espq_infer_engine {
  dnnl_engine_t dnnl;
  atomic_int references;
  atomic_bool taken[ESPQ_INFER_STREAMS]; /* slots of living streams */
};

struct espq_infer_stream {
  espq_infer_engine *engine;
  dnnl_stream_t dnnl;
  int slot;
  void *scratch;
  size_t scratch_bytes;
};

enum { PRIM_SRC, PRIM_WEIGHTS, PRIM_BIAS, PRIM_DST, PRIM_SCRATCH, PRIM_ARGS };

typedef struct espq_infer_bound espq_infer_bound;

typedef struct espq_infer_prim {
  espq_infer_engine *engine; /* a reference */
  dnnl_primitive_desc_t desc;
  dnnl_primitive_t primitive;
  dnnl_memory_desc_t md[PRIM_ARGS];
  bool used[PRIM_ARGS];
  void *fixed[PRIM_ARGS]; /* owned: packed weights, bias; NULL: given at each run */
  espq_infer_bound *bound[ESPQ_INFER_STREAMS];
} espq_infer_prim;

/* Fills err from an oneDNN status; `what` names the object that was refused. */
espq_status espq_infer_dnnl_fail(espq_error *err, dnnl_status_t status, const char *what);

/* At least `bytes` of memory, valid until the next call; NULL: no memory. */
void *espq_infer_stream_scratch(espq_infer_stream *stream, size_t bytes);

/* *md = float tensor with dims and tag (dnnl_format_tag_any allowed). */
espq_status espq_infer_md(dnnl_memory_desc_t *md, int rank, const int64_t *dims, dnnl_format_tag_t tag,
                          espq_error *err);

/* The tag of float images in a layout. */
dnnl_format_tag_t espq_infer_tag(espq_layout layout);

/* Makes prim->desc and what can be asked of it (md, used) from an operation descriptor. prim is zeroed by the
 * caller and freed by it (espq_infer_prim_free) after a failure too. ESPQ_EUNSUPPORTED: no implementation. */
espq_status espq_infer_prim_describe(espq_infer_prim *prim, espq_infer_engine *engine, const void *op_desc, bool bias,
                                     bool relu, espq_error *err);

/* True when oneDNN only has its slow reference loops for prim->desc. */
bool espq_infer_prim_is_reference(const espq_infer_prim *prim);

/* True when it calls oneDNN's general matrix product, whose sums depend on the number of rows. */
bool espq_infer_prim_is_gemm(const espq_infer_prim *prim);

/* Copies data (of layout from) into the form the primitive wants for argument `which` and keeps it. */
espq_status espq_infer_prim_pack(espq_infer_prim *prim, int which, const dnnl_memory_desc_t *from, const float *data,
                                 espq_error *err);

/* Compiles prim->desc. */
espq_status espq_infer_prim_compile(espq_infer_prim *prim, espq_error *err);

/* Runs it; weights is NULL when they are packed. */
espq_status espq_infer_prim_run(espq_infer_prim *prim, espq_infer_stream *stream, const float *src,
                                const float *weights, float *dst, espq_error *err);

void espq_infer_prim_free(espq_infer_prim *prim); /* what prim holds, not prim itself */

#endif
