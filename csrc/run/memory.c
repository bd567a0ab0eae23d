/* Where buffers lie: first fit in order of size, among the buffers whose lives overlap. */
#include <stdlib.h>

#include "base/alloc.h"
#include "run/plan.h"

static bool overlap(const espq_buffer *a, const espq_buffer *b) { return a->first <= b->last && b->first <= a->last; }

static int root(const espq_plan *plan, int buffer) {
  while (plan->buffers[buffer].same_as >= 0) buffer = plan->buffers[buffer].same_as;
  return buffer;
}

/* An in-place step whose input is read for the last time writes its output over it. */
static void share_in_place(espq_plan *plan) {
  for (size_t i = 0; i < plan->nsteps; i++) {
    espq_step *s = &plan->steps[i];
    if (!s->kernel || !s->prepared.in_place || s->in[0].buffer < 0 || s->out[0].buffer < 0) continue;
    int from = root(plan, s->in[0].buffer), to = s->out[0].buffer;
    espq_buffer *a = &plan->buffers[from], *b = &plan->buffers[to];
    if (a->input >= 0 || a->last != (int)i || a->size != b->size || from == to) continue;
    b->same_as = from;
    a->last = b->last;
  }
}

typedef struct entry {
  int buffer;
  size_t size;
} entry;

static int by_size(const void *x, const void *y) {
  const entry *a = x, *b = y;
  if (a->size != b->size) return a->size < b->size ? 1 : -1;
  return a->buffer - b->buffer;
}

/* The lowest offset at which b fits among the placed ones that live at the same time. */
static size_t first_fit(const espq_plan *plan, const entry *placed, size_t n, const espq_buffer *b) {
  size_t offset = 0;
  for (bool moved = true; moved;) {
    moved = false;
    for (size_t i = 0; i < n; i++) {
      const espq_buffer *p = &plan->buffers[placed[i].buffer];
      if (!overlap(p, b) || offset + b->size <= p->offset || p->offset + p->size <= offset) continue;
      offset = p->offset + p->size;
      moved = true;
    }
  }
  return offset;
}

espq_status espq_plan_place_buffers(espq_plan *plan, espq_error *err) {
  share_in_place(plan);
  entry *order = espq_calloc(plan->nbuffers, sizeof *order);
  if (!order) return espq_fail_memory(err);
  size_t n = 0;
  for (size_t i = 0; i < plan->nbuffers; i++)
    if (plan->buffers[i].input < 0 && plan->buffers[i].same_as < 0) order[n++] = (entry){(int)i, plan->buffers[i].size};
  qsort(order, n, sizeof *order, by_size);
  plan->memory = 0;
  for (size_t i = 0; i < n; i++) {
    espq_buffer *b = &plan->buffers[order[i].buffer];
    b->offset = first_fit(plan, order, i, b);
    if (b->offset + b->size > plan->memory) plan->memory = b->offset + b->size;
  }
  for (size_t i = 0; i < plan->nbuffers; i++)
    if (plan->buffers[i].same_as >= 0) plan->buffers[i].offset = plan->buffers[root(plan, (int)i)].offset;
  espq_free(order);
  if (plan->memory > ESPQ_ALLOC_MAX)
    return espq_fail(err, ESPQ_ELIMIT, "the model's tensors need %zu bytes", plan->memory);
  return ESPQ_OK;
}
