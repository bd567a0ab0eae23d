#include "infer/prim.h"

#include <string.h>
#include <sys/mman.h>

#include "base/alloc.h"

struct espq_infer_bound {
  dnnl_memory_t memory[PRIM_ARGS];
  dnnl_exec_arg_t args[PRIM_ARGS];
  int count;
};

static const int arg_names[PRIM_ARGS] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS, DNNL_ARG_DST,
                                         DNNL_ARG_SCRATCHPAD};

espq_status espq_infer_dnnl_fail(espq_error *err, dnnl_status_t status, const char *what) {
  if (status == dnnl_out_of_memory) return espq_fail_memory(err);
  if (status == dnnl_unimplemented || status == dnnl_invalid_arguments)
    return espq_fail(err, ESPQ_EUNSUPPORTED, "oneDNN has no %s of this kind (status %d)", what, (int)status);
  return espq_fail(err, ESPQ_EBUG, "oneDNN: %s failed with status %d", what, (int)status);
}

espq_status espq_infer_md(dnnl_memory_desc_t *md, int rank, const int64_t *dims, dnnl_format_tag_t tag,
                          espq_error *err) {
  dnnl_status_t status = dnnl_memory_desc_init_by_tag(md, rank, dims, dnnl_f32, tag);
  return status == dnnl_success ? ESPQ_OK : espq_infer_dnnl_fail(err, status, "tensor");
}

dnnl_format_tag_t espq_infer_tag(espq_layout layout) {
  return layout == ESPQ_C16 ? dnnl_nChw16c : layout == ESPQ_C8 ? dnnl_nChw8c : dnnl_nchw;
}

static dnnl_status_t make_attributes(bool relu, dnnl_primitive_attr_t *attr) {
  dnnl_post_ops_t ops = NULL;
  dnnl_status_t status = dnnl_primitive_attr_create(attr);
  if (status == dnnl_success) status = dnnl_primitive_attr_set_scratchpad_mode(*attr, dnnl_scratchpad_mode_user);
  if (status != dnnl_success || !relu) return status;
  status = dnnl_post_ops_create(&ops);
  if (status == dnnl_success) status = dnnl_post_ops_append_eltwise(ops, 1, dnnl_eltwise_relu, 0, 0);
  if (status == dnnl_success) status = dnnl_primitive_attr_set_post_ops(*attr, ops);
  if (ops) dnnl_post_ops_destroy(ops);
  return status;
}

static void query_arguments(espq_infer_prim *prim, bool bias) {
  static const struct {
    dnnl_query_t query;
    int index;
  } queries[PRIM_ARGS] = {{dnnl_query_src_md, 0},
                          {dnnl_query_weights_md, 0},
                          {dnnl_query_weights_md, 1},
                          {dnnl_query_dst_md, 0},
                          {dnnl_query_scratchpad_md, 0}};
  for (int i = 0; i < PRIM_ARGS; i++) {
    const dnnl_memory_desc_t *md = dnnl_primitive_desc_query_md(prim->desc, queries[i].query, queries[i].index);
    if (!md || (i == PRIM_BIAS && !bias)) continue;
    prim->md[i] = *md;
    prim->used[i] = dnnl_memory_desc_get_size(md) > 0;
  }
}

espq_status espq_infer_prim_describe(espq_infer_prim *prim, espq_infer_engine *engine, const void *op_desc, bool bias,
                                     bool relu, espq_error *err) {
  espq_infer_thread_init();
  prim->engine = espq_infer_engine_retain(engine);
  dnnl_primitive_attr_t attr = NULL;
  dnnl_status_t status = make_attributes(relu, &attr);
  if (status == dnnl_success) status = dnnl_primitive_desc_create(&prim->desc, op_desc, attr, engine->dnnl, NULL);
  if (attr) dnnl_primitive_attr_destroy(attr);
  if (status != dnnl_success) return espq_infer_dnnl_fail(err, status, "kernel");
  query_arguments(prim, bias);
  return ESPQ_OK;
}

/* oneDNN names its kernels "jit:avx2", "brgconv:avx512_core", "gemm:jit", "x64:gemm:jit", "ref:any" and so on. */
static const char *kernel_name(const espq_infer_prim *prim) {
  const char *name = NULL;
  dnnl_primitive_desc_query(prim->desc, dnnl_query_impl_info_str, 0, &name);
  return name ? name : "ref";
}

bool espq_infer_prim_is_reference(const espq_infer_prim *prim) { return !strncmp(kernel_name(prim), "ref", 3); }

bool espq_infer_prim_is_gemm(const espq_infer_prim *prim) {
  const char *name = kernel_name(prim);
  return !strncmp(name, "gemm", 4) || !strncmp(name, "x64:gemm", 8);
}

/* Debian 12's oneDNN writes code without a look at whether it got memory for it. So there must be more room than it
 * takes; mmap, since a freed block of this size would change how malloc goes on. */
static bool has_room(void) {
  enum { ROOM = 16 << 20 };
  void *room = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return room != MAP_FAILED && !munmap(room, ROOM);
}

static dnnl_status_t reorder(espq_infer_engine *engine, const dnnl_memory_desc_t *from, void *source,
                             const dnnl_memory_desc_t *to, void *target) {
  dnnl_primitive_desc_t desc = NULL;
  dnnl_primitive_t primitive = NULL;
  dnnl_stream_t stream = NULL;
  dnnl_memory_t a = NULL, b = NULL;
  dnnl_status_t s = dnnl_reorder_primitive_desc_create(&desc, from, engine->dnnl, to, engine->dnnl, NULL);
  if (s == dnnl_success) s = has_room() ? dnnl_primitive_create(&primitive, desc) : dnnl_out_of_memory;
  if (s == dnnl_success) s = dnnl_stream_create(&stream, engine->dnnl, dnnl_stream_in_order);
  if (s == dnnl_success) s = dnnl_memory_create(&a, from, engine->dnnl, source);
  if (s == dnnl_success) s = dnnl_memory_create(&b, to, engine->dnnl, target);
  dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, a}, {DNNL_ARG_TO, b}};
  if (s == dnnl_success) s = dnnl_primitive_execute(primitive, stream, 2, args);
  if (s == dnnl_success) s = dnnl_stream_wait(stream);
  if (b) dnnl_memory_destroy(b);
  if (a) dnnl_memory_destroy(a);
  if (stream) dnnl_stream_destroy(stream);
  if (primitive) dnnl_primitive_destroy(primitive);
  if (desc) dnnl_primitive_desc_destroy(desc);
  return s;
}

espq_status espq_infer_prim_pack(espq_infer_prim *prim, int which, const dnnl_memory_desc_t *from, const float *data,
                                 espq_error *err) {
  const dnnl_memory_desc_t *to = &prim->md[which];
  size_t bytes = dnnl_memory_desc_get_size(to);
  prim->fixed[which] = espq_calloc(1, bytes);
  if (!prim->fixed[which]) return espq_fail_memory(err);
  if (dnnl_memory_desc_equal(from, to)) {
    memcpy(prim->fixed[which], data, bytes);
    return ESPQ_OK;
  }
  dnnl_status_t status = reorder(prim->engine, from, (void *)data, to, prim->fixed[which]);
  return status == dnnl_success ? ESPQ_OK : espq_infer_dnnl_fail(err, status, "weight reorder");
}

espq_status espq_infer_prim_compile(espq_infer_prim *prim, espq_error *err) {
  if (!has_room()) return espq_fail_memory(err);
  dnnl_status_t status = dnnl_primitive_create(&prim->primitive, prim->desc);
  return status == dnnl_success ? ESPQ_OK : espq_infer_dnnl_fail(err, status, "kernel");
}

static void bound_free(espq_infer_bound *bound) {
  if (!bound) return;
  for (int i = 0; i < PRIM_ARGS; i++)
    if (bound->memory[i]) dnnl_memory_destroy(bound->memory[i]);
  espq_free(bound);
}

static espq_infer_bound *bound_new(const espq_infer_prim *prim) {
  espq_infer_bound *bound = espq_calloc(1, sizeof *bound);
  if (!bound) return NULL;
  for (int i = 0; i < PRIM_ARGS; i++) {
    if (!prim->used[i]) continue;
    if (dnnl_memory_create(&bound->memory[i], &prim->md[i], prim->engine->dnnl, prim->fixed[i]) != dnnl_success) {
      bound_free(bound);
      return NULL;
    }
    bound->args[bound->count++] = (dnnl_exec_arg_t){arg_names[i], bound->memory[i]};
  }
  return bound;
}

espq_status espq_infer_prim_run(espq_infer_prim *prim, espq_infer_stream *stream, const float *src,
                                const float *weights, float *dst, espq_error *err) {
  if (stream->engine != prim->engine) return espq_fail(err, ESPQ_EBUG, "a stream of another engine");
  espq_infer_thread_init();
  espq_infer_bound *bound = prim->bound[stream->slot];
  if (!bound) bound = prim->bound[stream->slot] = bound_new(prim);
  if (!bound) return espq_fail_memory(err);
  void *data[PRIM_ARGS] = {(void *)src, (void *)weights, NULL, dst, NULL};
  if (prim->used[PRIM_SCRATCH]) {
    data[PRIM_SCRATCH] = espq_infer_stream_scratch(stream, dnnl_memory_desc_get_size(&prim->md[PRIM_SCRATCH]));
    if (!data[PRIM_SCRATCH]) return espq_fail_memory(err);
  }
  for (int i = 0; i < PRIM_ARGS; i++)
    if (bound->memory[i] && !prim->fixed[i]) dnnl_memory_set_data_handle(bound->memory[i], data[i]);
  dnnl_status_t status = dnnl_primitive_execute(prim->primitive, stream->dnnl, bound->count, bound->args);
  if (status == dnnl_success) status = dnnl_stream_wait(stream->dnnl);
  return status == dnnl_success ? ESPQ_OK : espq_infer_dnnl_fail(err, status, "run");
}

void espq_infer_prim_free(espq_infer_prim *prim) {
  for (int i = 0; i < ESPQ_INFER_STREAMS; i++) bound_free(prim->bound[i]);
  if (prim->primitive) dnnl_primitive_destroy(prim->primitive);
  if (prim->desc) dnnl_primitive_desc_destroy(prim->desc);
  for (int i = 0; i < PRIM_ARGS; i++) espq_free(prim->fixed[i]);
  espq_infer_engine_free(prim->engine);
  memset(prim, 0, sizeof *prim);
}
