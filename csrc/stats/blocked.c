#include "stats/blocked.h"

#include <string.h>

enum { GATHERED = 512, WIDEST = 16 }; /* floats gathered at a time, and of a block */

/* The first `valid` lanes of `block`, a constant here, for each of `spatial` groups. Whole groups are copied, as that
 * is one or two instructions: each overwrites the lanes of the one before that do not count. */
static inline void gather(const float *data, int64_t spatial, int block, int valid, espq_span_visit *visit,
                          void *context) {
  float gathered[GATHERED + WIDEST];
  size_t count = 0;
  for (int64_t i = 0; i < spatial; i++, data += block) {
    if (count + (size_t)valid > GATHERED) {
      visit(context, gathered, count);
      count = 0;
    }
    memcpy(gathered + count, data, (size_t)block * sizeof *data);
    count += (size_t)valid;
  }
  visit(context, gathered, count);
}

static void last_block(const float *data, int64_t spatial, int block, int valid, espq_span_visit *visit,
                       void *context) {
  if (block == 16) gather(data, spatial, 16, valid, visit, context);
  else if (block == 8) gather(data, spatial, 8, valid, visit, context);
  else gather(data, spatial, block, valid, visit, context);
}

void espq_blocked_spans(const espq_blocked *b, espq_span_visit *visit, void *context) {
  if (b->images < 1 || b->channels < 1 || b->spatial < 1 || b->block < 1 || b->block > WIDEST) return;
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
