#include "sim/conv_pack.h"

#include "base/alloc.h"
#include "base/layout.h"

enum { DEPTHWISE_TAPS_MAX = 256 };

typedef struct range {
  int begin, end;
} range;

static const espq_conv_kernel *choose_kernel(const espq_sim_conv_params *p) {
  bool depthwise =
      p->groups > 1 && p->groups == p->ic && p->groups == p->oc && (int64_t)p->kh * p->kw <= DEPTHWISE_TAPS_MAX;
#if defined(__x86_64__)
  if (p->isa == ESPQ_ISA_AVX512_VNNI) return espq_conv_kernel_vnni(p->bits, depthwise);
  if (p->isa == ESPQ_ISA_AVX2) return espq_conv_kernel_avx2(p->bits, depthwise);
#endif
  return espq_conv_kernel_portable(p->bits, depthwise);
}

static int stored(int channels) { return (int)espq_layout_channels(ESPQ_NHWC16, channels); }

static int weight_at(const espq_sim_conv_params *p, const void *weights, int o, int c, int tap) {
  size_t i = ((size_t)o * (p->ic / p->groups) + c) * ((size_t)p->kh * p->kw) + tap;
  return p->bits == 8 ? ((const int8_t *)weights)[i] : ((const int16_t *)weights)[i];
}

/* ---- strips ---- */

/* The input channels that 16 outputs from `first` read, widened to whole steps. */
static range block_inputs(const espq_sim_conv_params *p, int depth, int first) {
  int per_group = p->oc / p->groups, inputs = p->ic / p->groups;
  int last = first + 15 < p->oc ? first + 15 : p->oc - 1;
  range r = {first / per_group * inputs, (last / per_group + 1) * inputs};
  r.begin -= r.begin % depth;
  r.end = (r.end + depth - 1) / depth * depth;
  return r;
}

/* How many blocks from `first` on have the same inputs. */
static int equal_blocks(const espq_sim_conv_params *p, int depth, int first) {
  range r = block_inputs(p, depth, first);
  int n = 1;
  for (int o = first + 16; o < p->oc; o += 16, n++) {
    range other = block_inputs(p, depth, o);
    if (other.begin != r.begin || other.end != r.end) break;
  }
  return n;
}

static void add_strip(espq_conv_pack *pack, const espq_sim_conv_params *p, int first, int blocks) {
  const espq_conv_kernel *kernel = pack->kernel;
  range r = kernel->depth ? block_inputs(p, kernel->depth, first) : (range){first, first + 1};
  pack->strips[pack->count++] = (espq_conv_strip){.first = first,
                                                  .channels = 16 * blocks,
                                                  .in_offset = (size_t)r.begin * (p->bits / 8),
                                                  .steps = kernel->depth ? (r.end - r.begin) / kernel->depth : 1};
}

/* Runs of blocks with the same inputs become strips of about equal width. */
static void cut_strips(espq_conv_pack *pack, const espq_sim_conv_params *p) {
  int widest = pack->kernel->strip / 16;
  for (int first = 0; first < p->oc;) {
    int blocks = pack->kernel->depth ? equal_blocks(p, pack->kernel->depth, first) : (stored(p->oc) - first) / 16;
    int strips = (blocks + widest - 1) / widest;
    for (; blocks; strips--) {
      int width = pack->kernel->depth ? (blocks + strips - 1) / strips : (blocks < widest ? blocks : widest);
      add_strip(pack, p, first, width);
      first += 16 * width;
      blocks -= width;
    }
  }
}

/* ---- weights ---- */

static int64_t strip_units(const espq_conv_kernel *kernel, const espq_conv_strip *strip, int taps) {
  if (!kernel->depth) return (taps + kernel->pair - 1) / kernel->pair;
  return (int64_t)taps * strip->steps * (strip->channels / 16);
}

static void pack_depthwise(const espq_conv_kernel *kernel, const espq_sim_conv_params *p, const void *weights,
                           const espq_conv_strip *strip, char *units) {
  int taps = p->kh * p->kw;
  for (int lane = 0; lane < strip->channels && strip->first + lane < p->oc; lane++)
    for (int t = 0; t < taps; t++)
      kernel->put(units + (size_t)(t / kernel->pair) * kernel->unit_bytes, lane, t % kernel->pair,
                  weight_at(p, weights, strip->first + lane, 0, t));
}

/* The weights of output o, which is lane o % 16 of a unit; `units` is where its block begins. */
static void pack_output(const espq_conv_kernel *kernel, const espq_sim_conv_params *p, const void *weights,
                        const espq_conv_strip *strip, int o, char *units) {
  int inputs = p->ic / p->groups, taps = p->kh * p->kw;
  size_t step_bytes = kernel->unit_bytes * (size_t)(strip->channels / 16);
  size_t tap_bytes = step_bytes * (size_t)strip->steps;
  int skipped = o / (p->oc / p->groups) * inputs - (int)(strip->in_offset / (p->bits / 8));
  for (int c = 0; c < inputs; c++) {
    char *unit = units + (size_t)((skipped + c) / kernel->depth) * step_bytes;
    for (int t = 0; t < taps; t++, unit += tap_bytes)
      kernel->put(unit, o % 16, (skipped + c) % kernel->depth, weight_at(p, weights, o, c, t));
  }
}

static void pack_strip(const espq_conv_kernel *kernel, const espq_sim_conv_params *p, const void *weights,
                       const espq_conv_strip *strip, char *units) {
  if (!kernel->depth) {
    pack_depthwise(kernel, p, weights, strip, units);
    return;
  }
  for (int o = strip->first; o < strip->first + strip->channels && o < p->oc; o++)
    pack_output(kernel, p, weights, strip, o, units + (size_t)((o - strip->first) / 16) * kernel->unit_bytes);
}

/* A kernel that multiplies value + 128 sums 128 * (sum of weights) too much. Padding counts as well:
   it is stored as 128. The limit on the number of weights keeps this within 32 bits. */
static int32_t start_of(const espq_sim_conv_params *p, const void *weights, int o) {
  int inputs = p->ic / p->groups, taps = p->kh * p->kw, sum = 0;
  for (int c = 0; c < inputs; c++)
    for (int t = 0; t < taps; t++) sum += weight_at(p, weights, o, c, t);
  return -128 * sum;
}

static bool allocate(espq_conv_pack *pack, const espq_sim_conv_params *p) {
  size_t channels = (size_t)stored(p->oc);
  pack->strips = espq_calloc(channels / 16, sizeof *pack->strips);
  pack->start = espq_calloc(channels, sizeof *pack->start);
  pack->bytes = channels / 16 * sizeof *pack->strips + channels * sizeof *pack->start;
  return pack->strips && pack->start;
}

static bool allocate_weights(espq_conv_pack *pack, int taps) {
  int64_t bytes = 0, add;
  for (int i = 0; i < pack->count; i++) {
    int64_t units = strip_units(pack->kernel, &pack->strips[i], taps);
    if (!espq_mul64(units, (int64_t)pack->kernel->unit_bytes, &add)) return false;
    if (!espq_add64(bytes, add, &bytes) || bytes > (int64_t)ESPQ_ALLOC_MAX) return false;
  }
  pack->weights = espq_calloc((size_t)bytes, 1);
  pack->bytes += (size_t)bytes;
  return pack->weights != NULL;
}

espq_status espq_conv_pack_make(espq_conv_pack *pack, const espq_sim_conv_params *p, const void *weights,
                                espq_error *err) {
  int taps = p->kh * p->kw;
  pack->kernel = choose_kernel(p);
  if (!allocate(pack, p)) return espq_fail_memory(err);
  cut_strips(pack, p);
  if (!allocate_weights(pack, taps)) return espq_fail_memory(err);
  char *units = pack->weights;
  for (int i = 0; i < pack->count; i++) {
    espq_conv_strip *strip = &pack->strips[i];
    pack_strip(pack->kernel, p, weights, strip, units);
    strip->weights = units;
    strip->start = pack->start + strip->first;
    units += (size_t)strip_units(pack->kernel, strip, taps) * pack->kernel->unit_bytes;
  }
  for (int o = 0; o < p->oc && pack->kernel->offset; o++) pack->start[o] = start_of(p, weights, o);
  return ESPQ_OK;
}

void espq_conv_pack_free(espq_conv_pack *pack) {
  espq_free(pack->strips);
  espq_free(pack->start);
  espq_free(pack->weights);
  *pack = (espq_conv_pack){0};
}
