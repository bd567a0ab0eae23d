/* Where buffers lie: first fit in order of size, among the buffers whose lives overlap. That takes the square of their
 * number, so where they are very many, each takes what one of its kind of size left behind. */
#include <inttypes.h>
#include <limits.h>
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

enum { MANY = 4096, KINDS = 64 };

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

static void place_by_size(espq_plan *plan, entry *order, size_t n) {
  qsort(order, n, sizeof *order, by_size);
  for (size_t i = 0; i < n; i++) {
    espq_buffer *b = &plan->buffers[order[i].buffer];
    b->offset = first_fit(plan, order, i, b);
    if (b->offset + b->size > plan->memory) plan->memory = b->offset + b->size;
  }
}

/* --- very many buffers --- */

/* Buffers that a step ends, and places that are free, as lists through `next`. */
typedef struct places {
  int *next;   /* by buffer */
  int *ending; /* by step; -1: none */
  int free[KINDS];
} places;

static int kind_of(size_t size) { return size ? 63 - __builtin_clzll(size) + ((size & (size - 1)) != 0) : 0; }

static void push(int *list, int *next, int buffer) {
  next[buffer] = *list;
  *list = buffer;
}

/* All sizes of a kind take the room of the largest. */
static void take_place(espq_plan *plan, places *p, int buffer) {
  espq_buffer *b = &plan->buffers[buffer];
  int kind = kind_of(b->size), left = p->free[kind];
  if (left >= 0) {
    p->free[kind] = p->next[left];
    b->offset = plan->buffers[left].offset;
  } else {
    b->offset = plan->memory;
    plan->memory += (size_t)1 << kind;
  }
  if (b->last != INT_MAX) push(&p->ending[b->last], p->next, buffer);
}

static void leave_places(espq_plan *plan, places *p, int step) {
  for (int b = p->ending[step], after; b >= 0; b = after) {
    after = p->next[b];
    push(&p->free[kind_of(plan->buffers[b].size)], p->next, b);
  }
}

/* order: by number, which is by the step that makes them. */
static espq_status place_by_step(espq_plan *plan, const entry *order, size_t n, espq_error *err) {
  places p = {.next = espq_calloc(plan->nbuffers, sizeof *p.next),
              .ending = espq_calloc(plan->nsteps + 1, sizeof *p.ending)};
  espq_status status = p.next && p.ending ? ESPQ_OK : espq_fail_memory(err);
  for (int k = 0; k < KINDS; k++) p.free[k] = -1;
  for (size_t i = 0; i <= plan->nsteps && !status; i++) p.ending[i] = -1;
  for (size_t step = 0, i = 0; step < plan->nsteps && !status; step++) {
    for (; i < n && plan->buffers[order[i].buffer].first <= (int)step; i++) take_place(plan, &p, order[i].buffer);
    leave_places(plan, &p, (int)step);
  }
  espq_free(p.next);
  espq_free(p.ending);
  return status;
}

/* Says also who makes the largest buffer. */
static espq_status fail_size(const espq_plan *plan, uint64_t limit, espq_error *err) {
  const espq_buffer *largest = NULL;
  for (size_t i = 0; i < plan->nbuffers; i++) {
    const espq_buffer *b = &plan->buffers[i];
    if (b->input < 0 && (!largest || b->size > largest->size)) largest = b;
  }
  if (!largest) return espq_fail(err, ESPQ_EBUG, "tensors without a buffer need %zu bytes", plan->memory);
  espq_id id = plan->steps[largest->first].node;
  char label[256] = "a change of layout";
  if (id != ESPQ_NONE) espq_node_label(plan->graph, &plan->graph->nodes[id], label, sizeof label);
  return espq_fail(err, ESPQ_ELIMIT,
                   "the model's tensors need %zu bytes, the limit is %" PRIu64
                   " (--limit-bytes); the largest has %zu bytes, made by %s",
                   plan->memory, limit, largest->size, label);
}

espq_status espq_plan_place_buffers(espq_plan *plan, espq_error *err) {
  share_in_place(plan);
  entry *order = espq_calloc(plan->nbuffers, sizeof *order);
  if (!order) return espq_fail_memory(err);
  size_t n = 0;
  for (size_t i = 0; i < plan->nbuffers; i++)
    if (plan->buffers[i].input < 0 && plan->buffers[i].same_as < 0) order[n++] = (entry){(int)i, plan->buffers[i].size};
  plan->memory = 0;
  espq_status status = n > MANY ? place_by_step(plan, order, n, err) : ESPQ_OK;
  if (n <= MANY) place_by_size(plan, order, n);
  for (size_t i = 0; i < plan->nbuffers; i++)
    if (plan->buffers[i].same_as >= 0) plan->buffers[i].offset = plan->buffers[root(plan, (int)i)].offset;
  espq_free(order);
  if (status) return status;
  uint64_t limit = plan->graph->max_bytes < ESPQ_ALLOC_MAX ? plan->graph->max_bytes : ESPQ_ALLOC_MAX;
  return plan->memory <= limit ? ESPQ_OK : fail_size(plan, limit, err);
}
