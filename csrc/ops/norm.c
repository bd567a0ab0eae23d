/* BatchNormalization as inference runs it: one multiplication and one addition per channel. */
#include <inttypes.h>
#include <math.h>

#include "base/alloc.h"
#include "infer/binary.h"
#include "ops/kernel.h"

/* spatial and is_test are of old opsets, momentum and training_mode matter to training only. */
static const espq_attr_spec attrs[] = {{"epsilon", ESPQ_ATTR_FLOAT, false, (double)1e-5f, NULL},
                                       {"momentum", ESPQ_ATTR_FLOAT, false, (double)0.9f, NULL},
                                       {"spatial", ESPQ_ATTR_INT, false, 1, NULL},
                                       {"training_mode", ESPQ_ATTR_INT, false, 0, NULL},
                                       {NULL, ESPQ_ATTR_INT, false, 0, NULL}};

static const char *const names[] = {"input", "scale", "bias", "mean", "variance"};

static espq_status check_parameter(const espq_call *call, int input, espq_error *err) {
  const espq_shape *x = &call->in[0].shape, *p = &call->in[input].shape;
  char text[160];
  espq_status status = espq_port_number(call, input, err);
  if (status || (p->rank == 1 && (p->dim[0] < 0 || x->dim[1] < 0 || p->dim[0] == x->dim[1]))) return status;
  return espq_call_fail(call, err, ESPQ_EFORMAT,
                        "%s '%.100s' has shape %s, expected one number for each of %" PRId64 " channels", names[input],
                        call->in[input].name, espq_shape_text(p->rank, p->dim, text, sizeof text), x->dim[1]);
}

static bool is_read(const espq_call *call, int output) {
  espq_id id = call->node->out[output];
  return call->graph->values[id].nuses > 0 || espq_graph_is_output(call->graph, id);
}

/* The outputs after the first hold statistics of training; exporters name them and nobody reads them. */
static espq_status infer_statistics(espq_call *call, espq_error *err) {
  for (int i = 1; i < call->nout; i++) {
    if (!call->out[i].present) continue;
    if (is_read(call, i))
      return espq_call_fail(call, err, ESPQ_EUNSUPPORTED,
                            "output %d '%.100s' is a statistic of training; export the model for inference", i,
                            call->out[i].name);
    call->out[i].dtype = call->in[3].dtype;
    call->out[i].shape = call->in[3].shape;
  }
  return ESPQ_OK;
}

static espq_status infer(espq_call *call, espq_error *err) {
  if (espq_node_int(call->node, "training_mode", 0))
    return espq_call_fail(call, err, ESPQ_EUNSUPPORTED, "training_mode is on; export the model for inference");
  if (call->in[0].shape.rank < 2)
    return espq_call_fail(call, err, ESPQ_EFORMAT, "input '%.100s' has rank %d, expected 2 or more", call->in[0].name,
                          call->in[0].shape.rank);
  espq_status status = espq_infer_elementwise(call, err);
  for (int i = 1; i < 5 && !status; i++) status = check_parameter(call, i, err);
  return status ? status : infer_statistics(call, err);
}

typedef struct affine {
  espq_layout layout;
  espq_image image;
  float *scale, *shift; /* one block, owned by scale */
} affine;

static void free_affine(void *state) {
  affine *s = state;
  if (s) espq_free(s->scale);
  espq_free(s);
}

/* y = (x - mean) / sqrt(variance + epsilon) * scale + bias = x * s->scale + s->shift */
static espq_status fold(const espq_call *call, affine *s, espq_error *err) {
  const float *data[5];
  float epsilon = espq_node_float(call->node, "epsilon", 1e-5f);
  espq_status status = ESPQ_OK;
  for (int i = 1; i < 5 && !status; i++) status = espq_port_weights(call, i, &data[i], err);
  if (status) return status;
  s->scale = espq_calloc((size_t)s->image.c + 1, 2 * sizeof *s->scale);
  if (!s->scale) return espq_fail_memory(err);
  s->shift = s->scale + s->image.c;
  for (int64_t c = 0; c < s->image.c; c++) {
    double k = (double)data[1][c] / sqrt((double)data[4][c] + (double)epsilon);
    s->scale[c] = (float)k;
    s->shift[c] = (float)((double)data[2][c] - (double)data[3][c] * k);
  }
  return ESPQ_OK;
}

static espq_status prepare(const espq_env *env, espq_call *call, espq_prepared *out, espq_error *err) {
  (void)env;
  affine *s = espq_calloc(1, sizeof *s);
  if (!s) return espq_fail_memory(err);
  s->layout = call->in[0].layout;
  s->image = espq_image_of(&call->in[0].shape);
  espq_status status = fold(call, s, err);
  if (status) {
    free_affine(s);
    return status;
  }
  call->out[0].layout = s->layout;
  for (int i = 1; i < call->nout; i++) call->out[i].layout = ESPQ_PLAIN;
  out->state = s;
  out->in_place = true;
  return ESPQ_OK;
}

static espq_status run(const espq_run_args *args, espq_error *err) {
  (void)err;
  const affine *s = args->state;
  espq_infer_channel_affine(s->layout, s->image.n, s->image.c, s->image.pixels, args->in[0], s->scale, s->shift,
                            args->out[0]);
  return ESPQ_OK;
}

static const espq_kernel f32 = {prepare, run, free_affine};

static const char *why_not(const espq_call *call, char *text, size_t size) {
  (void)call;
  return espq_reason(text, size,
                     "BatchNormalization cannot be quantized; run the optimizer, which folds it into the "
                     "Conv or Gemm before it (fuse_bn_into_conv)");
}

const espq_op espq_op_BatchNormalization = {.name = "BatchNormalization",
                                            .domain = "",
                                            .since = 7,
                                            .min_in = 5,
                                            .max_in = 5,
                                            .min_out = 1,
                                            .max_out = 5,
                                            .attrs = attrs,
                                            .infer = infer,
                                            .f32 = &f32,
                                            .weight = -1,
                                            .bias = -1,
                                            .why_not = why_not};
