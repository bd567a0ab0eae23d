#include "quant/pack.h"

#include <string.h>

#include "base/alloc.h"

enum { REGISTER_BYTES = 16, ROW = 512, INDENT = 8, WIDTH = 6, MAX_LOOPS = 5 };

/* --- targets --- */

#define ESPQ_TARGET(runtime, chip, group, order, rounding, per_channel, bias8, bias16) \
  {runtime, chip, group, ESPQ_ORDER_##order, ESPQ_ROUND_##rounding, per_channel, bias8, bias16},
static const espq_target targets[] = {
#include "quant/targets.def"
};
#undef ESPQ_TARGET

const espq_target *espq_targets(int *count) {
  *count = (int)(sizeof targets / sizeof *targets);
  return targets;
}

const espq_target *espq_target_find(const char *runtime, const char *chip) {
  for (size_t i = 0; i < sizeof targets / sizeof *targets; i++)
    if (!strcmp(targets[i].runtime, runtime) && !strcmp(targets[i].chip, chip)) return &targets[i];
  return NULL;
}

/* --- element order --- */

/* The table of pack.h: loops from slowest to fastest, b over full blocks. Indexes: order, grouped. */
static const struct {
  const char *blocks, *rest; /* blocks NULL: all channels are the rest */
} nests[2][2] = {[ESPQ_ORDER_PLAIN] = {{NULL, "ohwi"}, {NULL, "ihwo"}},
                 [ESPQ_ORDER_BLOCKED] = {{"bhwio", "ohwi"}, {"bihwo", "ihwo"}}};

typedef struct loop {
  int64_t count, stride; /* in elements */
} loop;

typedef struct filter {
  loop o, i, h, w;
  size_t size; /* bytes of an element */
} filter;

static loop *axis_of(filter *f, char letter) {
  switch (letter) {
    case 'o': return &f->o;
    case 'i': return &f->i;
    case 'h': return &f->h;
    case 'w': return &f->w;
    default: return NULL;
  }
}

static espq_status read_axes(const espq_tensor *w, const char *axes, filter *f, espq_error *err) {
  int64_t stride = 1;
  bool fits = strlen(axes) == (size_t)w->rank;
  *f = (filter){{1, 0}, {1, 0}, {1, 0}, {1, 0}, espq_dtype_size(w->dtype)};
  for (int k = w->rank - 1; k >= 0 && fits; k--) {
    loop *axis = axis_of(f, axes[k]);
    fits = axis && !axis->stride;
    if (fits) *axis = (loop){w->dim[k], stride};
    stride *= w->dim[k] > 0 ? w->dim[k] : 1;
  }
  if (fits) return ESPQ_OK;
  return espq_fail(err, ESPQ_EFORMAT,
                   "axes '%.20s' for a tensor of rank %d: expected a different letter of o, i, h, w for each", axes,
                   w->rank);
}

static unsigned char *copy_line(const unsigned char *src, loop l, size_t size, unsigned char *dst) {
  for (int64_t k = 0; k < l.count; k++, dst += size) memcpy(dst, src + (size_t)(k * l.stride) * size, size);
  return dst;
}

static unsigned char *run_loops(const unsigned char *src, const loop *l, int n, size_t size, unsigned char *dst) {
  if (n == 1) return copy_line(src, *l, size, dst);
  for (int64_t k = 0; k < l->count; k++) dst = run_loops(src + (size_t)(k * l->stride) * size, l + 1, n - 1, size, dst);
  return dst;
}

/* Copies `channels` output channels from `first` on, in blocks of `block` of them where the nest has a b. */
static unsigned char *run_nest(const filter *f, const unsigned char *data, const char *nest, int64_t first,
                               int64_t channels, int64_t block, unsigned char *dst) {
  loop loops[MAX_LOOPS];
  filter part = *f;
  int n = 0;
  bool blocked = nest[0] == 'b';
  part.o.count = blocked ? block : channels;
  for (; nest[n]; n++)
    loops[n] = nest[n] == 'b' ? (loop){channels / block, block * f->o.stride} : *axis_of(&part, nest[n]);
  return run_loops(data + (size_t)(first * f->o.stride) * f->size, loops, n, f->size, dst);
}

int espq_pack_block(espq_dtype dtype) {
  return dtype == ESPQ_I8 || dtype == ESPQ_I16 ? REGISTER_BYTES / (int)espq_dtype_size(dtype) : 0;
}

static espq_status check_type(const espq_tensor *t, espq_error *err) {
  if (espq_pack_block(t->dtype)) return ESPQ_OK;
  return espq_fail(err, ESPQ_EFORMAT, "a %s tensor: expected int8 or int16", espq_dtype_name(t->dtype));
}

/* *out: room for the elements and their tail, which is zeroed. */
static espq_status new_packed(const espq_tensor *w, bool tail, espq_tensor **out, espq_error *err) {
  int block = espq_pack_block(w->dtype), over = (int)(w->count % block);
  int64_t zeros = tail && over ? 2 * block - over : 0, count;
  if (!espq_add64(w->count, zeros, &count)) return espq_fail(err, ESPQ_ELIMIT, "a filter of too many elements");
  espq_status status = espq_tensor_new(w->dtype, 1, &count, out, err);
  size_t size = espq_dtype_size(w->dtype);
  if (!status) memset((char *)(*out)->data + (size_t)w->count * size, 0, (size_t)zeros * size);
  return status;
}

espq_status espq_pack_filter(const espq_tensor *w, const espq_filter_layout *layout, espq_tensor **out,
                             espq_error *err) {
  filter f;
  espq_status status = check_type(w, err);
  if (!status) status = read_axes(w, layout->axes, &f, err);
  if (!status) status = new_packed(w, layout->tail, out, err);
  if (status || w->count == 0) return status;
  const char *blocks = nests[layout->order][layout->grouped].blocks, *rest = nests[layout->order][layout->grouped].rest;
  int64_t block = espq_pack_block(w->dtype), full = blocks ? f.o.count / block * block : 0;
  unsigned char *dst = (*out)->data;
  if (blocks) dst = run_nest(&f, w->data, blocks, 0, full, block, dst);
  run_nest(&f, w->data, rest, full, f.o.count - full, block, dst);
  return ESPQ_OK;
}

/* --- text --- */

/* Right-aligned in WIDTH characters: enough for every int16. */
static char *put_number(char *p, int v) {
  unsigned digits = v < 0 ? 0u - (unsigned)v : (unsigned)v;
  int at = WIDTH;
  do p[--at] = (char)('0' + digits % 10);
  while (digits /= 10);
  if (v < 0) p[--at] = '-';
  memset(p, ' ', (size_t)at);
  return p + WIDTH;
}

static char *put(char *p, const char *text, size_t size) {
  memcpy(p, text, size);
  return p + size;
}

static char *put_row(char *p, const espq_tensor *t, int64_t from, int64_t to) {
  p = put(p, "        ", INDENT);
  for (int64_t k = from; k < to; k++) {
    if (k > from) p = put(p, ", ", 2);
    p = put_number(p, t->dtype == ESPQ_I8 ? ((const int8_t *)t->data)[k] : ((const int16_t *)t->data)[k]);
  }
  return p;
}

/* Each number takes 8 characters with its separator, a row 8 more; the last separator is missing. */
static bool text_size(int64_t n, int64_t *size) {
  int64_t rows = n / ROW + (n % ROW != 0), numbers, blanks;
  if (!espq_mul64(n, WIDTH + 2, &numbers) || !espq_mul64(rows, INDENT, &blanks)) return false;
  if (!espq_add64(numbers, blanks, size)) return false;
  if (n) *size -= 2;
  return (uint64_t)*size <= ESPQ_ALLOC_MAX;
}

espq_status espq_format_elements(const espq_tensor *t, char **text, size_t *size, espq_error *err) {
  int64_t bytes = 0;
  espq_status status = check_type(t, err);
  if (status) return status;
  if (!text_size(t->count, &bytes)) return espq_fail(err, ESPQ_ELIMIT, "too many elements for one text");
  char *p = *text = espq_alloc(bytes ? (size_t)bytes : 1);
  if (!p) return espq_fail_memory(err);
  *size = (size_t)bytes;
  for (int64_t from = 0; from < t->count; from += ROW) {
    int64_t left = t->count - from;
    if (from) p = put(p, ",\n", 2);
    p = put_row(p, t, from, from + (left < ROW ? left : ROW));
  }
  return ESPQ_OK;
}
