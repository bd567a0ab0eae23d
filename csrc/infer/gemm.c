#include "infer/gemm.h"

#include <string.h>

#include "base/alloc.h"
#include "infer/prim.h"

struct espq_infer_gemm {
  espq_infer_prim prim;
  int64_t m, k;
  bool trans_a;
};

enum { MAX_ELEMENTS = 1 << 29 };

static espq_status check_sizes(int64_t m, int64_t n, int64_t k, espq_error *err) {
  if (m < 1 || n < 1 || k < 1)
    return espq_fail(err, ESPQ_EFORMAT, "a matrix product of %lld x %lld by %lld x %lld", (long long)m, (long long)k,
                     (long long)k, (long long)n);
  if (m >= MAX_ELEMENTS || n >= MAX_ELEMENTS || k >= MAX_ELEMENTS || m * k >= MAX_ELEMENTS || k * n >= MAX_ELEMENTS ||
      m * n >= MAX_ELEMENTS)
    return espq_fail(err, ESPQ_ELIMIT, "a matrix of 2^29 elements or more");
  return ESPQ_OK;
}

/* ---- constant right operand ----------------------------------------------------------------------- */

/* A 1x1 convolution of `images` images of m / images pixels, k channels in, n out, channels last. */
static espq_status describe(espq_infer_gemm *gemm, espq_infer_engine *engine, const espq_infer_gemm_params *p,
                            int64_t images, bool bias, espq_error *err) {
  dnnl_memory_desc_t src, weights, bias_md, dst;
  int64_t pixels = p->m / images;
  espq_status status = espq_infer_md(&src, 4, (const int64_t[]){images, p->k, 1, pixels}, dnnl_nhwc, err);
  if (!status) status = espq_infer_md(&weights, 4, (const int64_t[]){p->n, p->k, 1, 1}, dnnl_format_tag_any, err);
  if (!status) status = espq_infer_md(&bias_md, 1, &p->n, dnnl_a, err);
  if (!status) status = espq_infer_md(&dst, 4, (const int64_t[]){images, p->n, 1, pixels}, dnnl_nhwc, err);
  if (status) return status;
  const dnnl_dims_t one = {1, 1}, none = {0, 0};
  dnnl_convolution_desc_t desc;
  dnnl_status_t s = dnnl_convolution_forward_desc_init(&desc, dnnl_forward_inference, dnnl_convolution_direct, &src,
                                                       &weights, bias ? &bias_md : NULL, &dst, one, none, none);
  if (s != dnnl_success) return espq_infer_dnnl_fail(err, s, "matrix product");
  return espq_infer_prim_describe(&gemm->prim, engine, &desc, bias, p->relu, err);
}

/* Rows as pixels are fast, but where oneDNN falls back to its gemm (SSE4.1, odd n) the bits of a row depend on
 * the number of rows: then every row is an image. */
static espq_status describe_rows(espq_infer_gemm *gemm, espq_infer_engine *engine, const espq_infer_gemm_params *p,
                                 bool bias, espq_error *err) {
  espq_status status = describe(gemm, engine, p, 1, bias, err);
  if (status || !espq_infer_prim_is_gemm(&gemm->prim)) return status;
  espq_infer_prim_free(&gemm->prim);
  return describe(gemm, engine, p, p->m, bias, err);
}

static espq_status pack_b(espq_infer_gemm *gemm, const espq_infer_gemm_params *p, const float *b, espq_error *err) {
  dnnl_memory_desc_t md;
  const dnnl_dims_t dims = {p->n, p->k, 1, 1};
  const dnnl_dims_t strides = {p->trans_b ? p->k : 1, p->trans_b ? 1 : p->n, 1, 1};
  dnnl_status_t s = dnnl_memory_desc_init_by_strides(&md, 4, dims, dnnl_f32, strides);
  if (s != dnnl_success) return espq_infer_dnnl_fail(err, s, "matrix");
  if (p->alpha == 1) return espq_infer_prim_pack(&gemm->prim, PRIM_WEIGHTS, &md, b, err);
  float *scaled = espq_alloc(p->n * p->k * sizeof *scaled);
  if (!scaled) return espq_fail_memory(err);
  for (int64_t i = 0; i < p->n * p->k; i++) scaled[i] = p->alpha * b[i];
  espq_status status = espq_infer_prim_pack(&gemm->prim, PRIM_WEIGHTS, &md, scaled, err);
  espq_free(scaled);
  return status;
}

espq_status espq_infer_gemm_prepare(espq_infer_engine *engine, const espq_infer_gemm_params *params, const float *b,
                                    const float *bias, espq_infer_gemm **out, espq_error *err) {
  *out = NULL;
  espq_status status = check_sizes(params->m, params->n, params->k, err);
  if (status) return status;
  espq_infer_gemm *gemm = espq_calloc(1, sizeof *gemm);
  if (!gemm) return espq_fail_memory(err);
  gemm->m = params->m;
  gemm->k = params->k;
  gemm->trans_a = params->trans_a;
  status = describe_rows(gemm, engine, params, bias != NULL, err);
  if (!status) status = pack_b(gemm, params, b, err);
  if (!status && bias) status = espq_infer_prim_pack(&gemm->prim, PRIM_BIAS, &gemm->prim.md[PRIM_BIAS], bias, err);
  if (!status) status = espq_infer_prim_compile(&gemm->prim, err);
  if (status) {
    espq_infer_gemm_free(gemm);
    return status;
  }
  *out = gemm;
  return ESPQ_OK;
}

espq_status espq_infer_gemm_run(espq_infer_gemm *gemm, espq_infer_stream *stream, const float *a, float *y,
                                espq_error *err) {
  if (!gemm->trans_a) return espq_infer_prim_run(&gemm->prim, stream, a, NULL, y, err);
  float *turned = espq_alloc(gemm->m * gemm->k * sizeof *turned);
  if (!turned) return espq_fail_memory(err);
  for (int64_t i = 0; i < gemm->m; i++)
    for (int64_t j = 0; j < gemm->k; j++) turned[i * gemm->k + j] = a[j * gemm->m + i];
  espq_status status = espq_infer_prim_run(&gemm->prim, stream, turned, NULL, y, err);
  espq_free(turned);
  return status;
}

void espq_infer_gemm_free(espq_infer_gemm *gemm) {
  if (!gemm) return;
  espq_infer_prim_free(&gemm->prim);
  espq_free(gemm);
}

void espq_infer_gemm_add(int64_t m, int64_t n, float alpha, float beta, const float *c, int64_t row_stride,
                         int64_t column_stride, float *y) {
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) {
      float extra = beta == 0 ? 0 : beta * c[i * row_stride + j * column_stride];
      y[i * n + j] = alpha * y[i * n + j] + extra;
    }
}

/* ---- two variable operands ------------------------------------------------------------------------ */

struct espq_infer_matmul {
  espq_infer_prim prim;
  espq_infer_matmul_params params;
};

static espq_status check_batch(const espq_infer_matmul_params *p, espq_error *err) {
  int64_t count = 1;
  if (p->rank < 0 || p->rank > ESPQ_INFER_BATCH_RANK)
    return espq_fail(err, ESPQ_ELIMIT, "a matrix product with %d batch axes", p->rank);
  for (int i = 0; i < p->rank; i++) {
    if (p->batch[i] < 1 || p->a_stride[i] < 0 || p->b_stride[i] < 0)
      return espq_fail(err, ESPQ_EFORMAT, "batch axis %d of a matrix product is out of range", i);
    if (!espq_mul64(count, p->batch[i], &count) || count >= MAX_ELEMENTS || p->a_stride[i] >= MAX_ELEMENTS ||
        p->b_stride[i] >= MAX_ELEMENTS)
      return espq_fail(err, ESPQ_ELIMIT, "a batch of 2^29 matrices or more");
  }
  return ESPQ_OK;
}

static espq_status describe_matmul(espq_infer_matmul *matmul, espq_infer_engine *engine, espq_error *err) {
  const espq_infer_matmul_params *p = &matmul->params;
  dnnl_memory_desc_t a, b, y;
  espq_status status = espq_infer_md(&a, 2, (const int64_t[]){p->m, p->k}, p->trans_a ? dnnl_ba : dnnl_ab, err);
  if (!status) status = espq_infer_md(&b, 2, (const int64_t[]){p->k, p->n}, p->trans_b ? dnnl_ba : dnnl_ab, err);
  if (!status) status = espq_infer_md(&y, 2, (const int64_t[]){p->m, p->n}, dnnl_ab, err);
  if (status) return status;
  dnnl_matmul_desc_t desc;
  dnnl_status_t s = dnnl_matmul_desc_init(&desc, &a, &b, NULL, &y);
  if (s != dnnl_success) return espq_infer_dnnl_fail(err, s, "matrix product");
  return espq_infer_prim_describe(&matmul->prim, engine, &desc, false, false, err);
}

espq_status espq_infer_matmul_prepare(espq_infer_engine *engine, const espq_infer_matmul_params *params,
                                      espq_infer_matmul **out, espq_error *err) {
  *out = NULL;
  espq_status status = check_sizes(params->m, params->n, params->k, err);
  if (!status) status = check_batch(params, err);
  if (status) return status;
  espq_infer_matmul *matmul = espq_calloc(1, sizeof *matmul);
  if (!matmul) return espq_fail_memory(err);
  matmul->params = *params;
  status = describe_matmul(matmul, engine, err);
  if (!status) status = espq_infer_prim_compile(&matmul->prim, err);
  if (status) {
    espq_infer_matmul_free(matmul);
    return status;
  }
  *out = matmul;
  return ESPQ_OK;
}

/* Steps index like an odometer and moves a and b along; false after the last one. */
static bool next_matrix(const espq_infer_matmul_params *p, int64_t *index, const float **a, const float **b) {
  for (int i = p->rank - 1; i >= 0; i--) {
    *a += p->a_stride[i];
    *b += p->b_stride[i];
    if (++index[i] < p->batch[i]) return true;
    *a -= p->a_stride[i] * index[i];
    *b -= p->b_stride[i] * index[i];
    index[i] = 0;
  }
  return false;
}

espq_status espq_infer_matmul_run(espq_infer_matmul *matmul, espq_infer_stream *stream, const float *a, const float *b,
                                  float *y, espq_error *err) {
  const espq_infer_matmul_params *p = &matmul->params;
  int64_t index[ESPQ_INFER_BATCH_RANK] = {0};
  do {
    espq_status status = espq_infer_prim_run(&matmul->prim, stream, a, b, y, err);
    if (status) return status;
    y += p->m * p->n;
  } while (next_matrix(p, index, &a, &b));
  return ESPQ_OK;
}

void espq_infer_matmul_free(espq_infer_matmul *matmul) {
  if (!matmul) return;
  espq_infer_prim_free(&matmul->prim);
  espq_free(matmul);
}
