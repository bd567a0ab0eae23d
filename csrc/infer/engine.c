#include "infer/engine.h"

#include <omp.h>
#include <string.h>

#include "base/alloc.h"
#include "infer/prim.h"

espq_status espq_infer_engine_new(espq_infer_engine **out, espq_error *err) {
  *out = NULL;
  espq_infer_thread_init();
  espq_infer_engine *engine = espq_calloc(1, sizeof *engine);
  if (!engine) return espq_fail_memory(err);
  dnnl_status_t status = dnnl_engine_create(&engine->dnnl, dnnl_cpu, 0);
  if (status != dnnl_success) {
    espq_free(engine);
    return espq_infer_dnnl_fail(err, status, "engine");
  }
  atomic_init(&engine->references, 1);
  for (int i = 0; i < ESPQ_INFER_STREAMS; i++) atomic_init(&engine->taken[i], false);
  *out = engine;
  return ESPQ_OK;
}

espq_infer_engine *espq_infer_engine_retain(espq_infer_engine *engine) {
  atomic_fetch_add(&engine->references, 1);
  return engine;
}

void espq_infer_engine_free(espq_infer_engine *engine) {
  if (!engine || atomic_fetch_sub(&engine->references, 1) != 1) return;
  dnnl_engine_destroy(engine->dnnl);
  espq_free(engine);
}

static int take_slot(espq_infer_engine *engine) {
  for (int i = 0; i < ESPQ_INFER_STREAMS; i++)
    if (!atomic_exchange(&engine->taken[i], true)) return i;
  return -1;
}

espq_status espq_infer_stream_new(espq_infer_engine *engine, espq_infer_stream **out, espq_error *err) {
  *out = NULL;
  espq_infer_stream *stream = espq_calloc(1, sizeof *stream);
  if (!stream) return espq_fail_memory(err);
  stream->engine = espq_infer_engine_retain(engine);
  stream->slot = take_slot(engine);
  if (stream->slot < 0) {
    espq_infer_stream_free(stream);
    return espq_fail(err, ESPQ_ELIMIT, "more than %d workers", ESPQ_INFER_STREAMS);
  }
  dnnl_status_t status = dnnl_stream_create(&stream->dnnl, engine->dnnl, dnnl_stream_in_order);
  if (status != dnnl_success) {
    espq_infer_stream_free(stream);
    return espq_infer_dnnl_fail(err, status, "stream");
  }
  *out = stream;
  return ESPQ_OK;
}

void espq_infer_stream_free(espq_infer_stream *stream) {
  if (!stream) return;
  if (stream->dnnl) dnnl_stream_destroy(stream->dnnl);
  if (stream->slot >= 0) atomic_store(&stream->engine->taken[stream->slot], false);
  espq_infer_engine_free(stream->engine);
  espq_free(stream->scratch);
  espq_free(stream);
}

void *espq_infer_stream_scratch(espq_infer_stream *stream, size_t bytes) {
  if (bytes <= stream->scratch_bytes) return stream->scratch;
  espq_free(stream->scratch);
  stream->scratch = espq_alloc(bytes);
  stream->scratch_bytes = stream->scratch ? bytes : 0;
  return stream->scratch;
}

void espq_infer_thread_init(void) { omp_set_num_threads(1); }

static const struct {
  const char *name;
  dnnl_cpu_isa_t isa;
} isas[] = {{"avx512", dnnl_cpu_isa_avx512_core}, {"avx2", dnnl_cpu_isa_avx2}, {"sse41", dnnl_cpu_isa_sse41}};
enum { ISAS = sizeof isas / sizeof *isas };

espq_status espq_infer_set_isa(const char *name, espq_error *err) {
  for (int i = 0; i < ISAS; i++) {
    if (strcmp(isas[i].name, name)) continue;
    if (dnnl_set_max_cpu_isa(isas[i].isa) == dnnl_success) return ESPQ_OK;
    return espq_fail(err, ESPQ_EUNSUPPORTED, "the instruction set is already settled, too late for '%s'", name);
  }
  return espq_fail(err, ESPQ_EUNSUPPORTED, "unknown instruction set '%s' (sse41, avx2 or avx512)", name);
}

const char *espq_infer_isa(void) {
  unsigned isa = dnnl_get_effective_cpu_isa();
  for (int i = 0; i < ISAS - 1; i++)
    if ((isa & isas[i].isa) == (unsigned)isas[i].isa) return isas[i].name;
  return isas[ISAS - 1].name;
}

espq_layout espq_infer_block_layout(void) { return strcmp(espq_infer_isa(), "avx512") ? ESPQ_C8 : ESPQ_C16; }
