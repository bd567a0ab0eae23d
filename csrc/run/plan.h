/* plan.h - a graph made ready to run at one batch size: kernels prepared, layouts chosen, memory laid out.
 *
 * A plan is immutable after it is built and is run by several threads at once, each with its own block of
 * `memory` bytes (buffers live at fixed offsets in it) and `scratch` bytes.
 * A value lives in one layout at home, where its producer wrote it; reorder steps make copies in other layouts
 * for kernels that want them, once per value and layout.
 */
#ifndef ESPQ_RUN_PLAN_H
#define ESPQ_RUN_PLAN_H

#include "ops/op.h"

typedef struct espq_buffer {
  size_t size, offset;
  int first, last; /* steps; -1: before the first, INT_MAX: to the end */
  int input;       /* >= 0: the memory of graph input k, given by the caller; else -1 */
  int same_as;     /* >= 0: shares the memory of that buffer (in-place steps) */
} espq_buffer;

typedef struct espq_operand {
  int buffer;           /* -1: none */
  const void *constant; /* data of a constant, or NULL */
  void *owned;          /* its copy in the layout that the kernel wants, which `constant` then is; or NULL */
} espq_operand;

/* A tensor from one layout to another; one of them is PLAIN. */
typedef struct espq_reorder {
  espq_dtype dtype;
  espq_layout from, to;
  int64_t images, channels, pixels;
} espq_reorder;

typedef struct espq_step {
  espq_id node;
  const espq_kernel *kernel; /* NULL: a reorder */
  espq_prepared prepared;
  int nin, nout;
  espq_operand *in, *out;
  espq_reorder reorder;
} espq_step;

/* Where a value is found, and after which step (-1: from the start). */
typedef struct espq_place {
  int buffer; /* -1: not computed by this plan */
  int step;
  espq_layout layout;
} espq_place;

typedef struct espq_plan {
  const espq_graph *graph; /* borrowed */
  int64_t batch;
  espq_typed_shape *values; /* by value id, at this batch */
  espq_place *home;         /* by value id */
  int *plain;               /* by value id: its buffer in PLAIN layout, or -1 */
  int *observed;            /* by step + 1: the first observed value made there, by its place in the options, or -1 */
  int *next_observed;       /* by such a place: the next one of the same step, or -1 */
  espq_step *steps;
  size_t nsteps, steps_capacity;
  espq_buffer *buffers;
  size_t nbuffers, buffers_capacity;
  size_t memory, scratch;
  int most_ports; /* inputs and outputs of a step */
} espq_plan;

typedef struct espq_plan_options {
  int64_t batch;          /* 0: the model's own (batch.h) */
  const espq_id *outputs; /* wanted in PLAIN layout at the end */
  size_t noutputs;
  const espq_id *observed; /* must be computed, in whatever layout; float32 */
  size_t nobserved;
} espq_plan_options;

/* ESPQ_EUNSUPPORTED names the nodes without a kernel for their column, all of them. */
espq_status espq_plan_new(const espq_graph *graph, const espq_env *env, const espq_plan_options *options,
                          espq_plan **out, espq_error *err);
void espq_plan_free(espq_plan *plan); /* NULL is allowed */

/* Bytes of a tensor of that type and shape in that layout. */
size_t espq_plan_bytes(const espq_typed_shape *type, espq_layout layout);
/* n, c, pixels of a shape, for layouts: rank 2 has one pixel. */
void espq_plan_geometry(const espq_shape *shape, int64_t *images, int64_t *channels, int64_t *pixels);
espq_reorder espq_plan_reorder_of(const espq_typed_shape *type, espq_layout from, espq_layout to);
void espq_plan_reorder(const espq_reorder *reorder, const void *in, void *out);

/* Gives every buffer its offset so that buffers alive at the same time do not overlap (memory.c). */
espq_status espq_plan_place_buffers(espq_plan *plan, espq_error *err);

#endif
