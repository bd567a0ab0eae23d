#include "stats/blocked.h"

enum { GATHERED = 512 }; /* floats gathered at a time, a multiple of nothing in particular */

/* The first `valid` lanes of each of `spatial` groups of `block` lanes. */
static void last_block(const float *data, int64_t spatial, int block, int valid, espq_span_visit *visit,
                       void *context) {
  float gathered[GATHERED];
  size_t count = 0;
  for (int64_t i = 0; i < spatial; i++, data += block) {
    if (count + (size_t)valid > GATHERED) {
      visit(context, gathered, count);
      count = 0;
    }
    for (int lane = 0; lane < valid; lane++) gathered[count++] = data[lane];
  }
  visit(context, gathered, count);
}

void espq_blocked_spans(const espq_blocked *b, espq_span_visit *visit, void *context) {
  if (b->images < 1 || b->channels < 1 || b->spatial < 1 || b->block < 1 || b->block > GATHERED) return;
  int valid = (int)(b->channels % b->block);
  size_t full = (size_t)(b->channels - valid) * (size_t)b->spatial;
  if (valid == 0) {
    visit(context, b->data, full * (size_t)b->images);
    return;
  }
  size_t image = full + (size_t)b->block * (size_t)b->spatial;
  for (int64_t n = 0; n < b->images; n++) {
    const float *data = b->data + (size_t)n * image;
    if (full > 0) visit(context, data, full);
    last_block(data + full, b->spatial, b->block, valid, visit, context);
  }
}
