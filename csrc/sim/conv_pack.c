#include "sim/conv_pack.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/layout.h"

enum { TABLES = 3, SHIFTED_AWAY = 8 /* of 16-bit sums, before the rest fits 32 bits */ };

typedef struct range {
  int begin, end;
} range;

static int stored(int channels) { return (int)espq_layout_channels(ESPQ_NHWC16, channels); }

static int weight_at(const espq_conv_packing *k, int o, int c, int tap) {
  const espq_sim_conv_params *p = k->params;
  size_t i = ((size_t)o * (p->ic / p->groups) + c) * ((size_t)p->kh * p->kw) + tap;
  return p->bits == 8 ? ((const int8_t *)k->weights)[i] : ((const int16_t *)k->weights)[i];
}

/* ---- strips ---- */

/* The input channels that 16 outputs from `first` read, widened to whole steps. */
static range block_inputs(const espq_conv_packing *k, int first) {
  const espq_sim_conv_params *p = k->params;
  int per_group = p->oc / p->groups, inputs = p->ic / p->groups, depth = k->dense->depth;
  int last = first + 15 < p->oc ? first + 15 : p->oc - 1;
  range r = {first / per_group * inputs, (last / per_group + 1) * inputs};
  if (k->compact) r.end *= p->kw;
  r.begin -= r.begin % depth;
  r.end = (r.end + depth - 1) / depth * depth;
  return r;
}

/* How many blocks from `first` on have the same inputs. */
static int equal_blocks(const espq_conv_packing *k, int first) {
  range r = block_inputs(k, first);
  int n = 1;
  for (int o = first + 16; o < k->params->oc; o += 16, n++) {
    range other = block_inputs(k, o);
    if (other.begin != r.begin || other.end != r.end) break;
  }
  return n;
}

static void add_strip(espq_conv_pack *pack, const espq_conv_packing *k, int first, int blocks) {
  range r = k->dense ? block_inputs(k, first) : (range){first, first + 1};
  pack->strips[pack->count++] = (espq_conv_strip){.first = first,
                                                  .channels = 16 * blocks,
                                                  .in_offset = (size_t)r.begin * (size_t)(k->params->bits / 8),
                                                  .steps = k->dense ? (r.end - r.begin) / k->dense->depth : 1};
}

/* Runs of blocks with the same inputs become strips of about equal width. */
static void cut_dense(espq_conv_pack *pack, const espq_conv_packing *k) {
  int widest = k->dense->strip / 16;
  for (int first = 0; first < k->params->oc;) {
    int blocks = equal_blocks(k, first), strips = (blocks + widest - 1) / widest;
    for (; blocks; strips--) {
      int width = (blocks + strips - 1) / strips;
      add_strip(pack, k, first, width);
      first += 16 * width;
      blocks -= width;
    }
  }
}

static void cut_strips(espq_conv_pack *pack, const espq_conv_packing *k) {
  if (k->dense) cut_dense(pack, k);
  else
    for (int first = 0; first < k->params->oc; first += 16) add_strip(pack, k, first, 1);
}

/* ---- weights ---- */

static int taps_of(const espq_conv_packing *k) { return k->compact ? k->params->kh : k->params->kh * k->params->kw; }

static size_t unit_bytes(const espq_conv_packing *k) {
  return k->dense ? k->dense->unit_bytes : k->depthwise->unit_bytes;
}

static int64_t strip_units(const espq_conv_packing *k, const espq_conv_strip *strip) {
  if (k->depthwise) return (int64_t)k->params->kw * espq_depthwise_groups(k->depthwise, k->params->kh);
  return (int64_t)taps_of(k) * strip->steps * (strip->channels / 16);
}

static void pack_depthwise(const espq_conv_packing *k, const espq_conv_strip *strip, char *units) {
  const espq_sim_conv_params *p = k->params;
  int slots = k->depthwise->slots, groups = espq_depthwise_groups(k->depthwise, p->kh);
  for (int lane = 0; lane < 16 && strip->first + lane < p->oc; lane++)
    for (int t = 0; t < p->kh * p->kw; t++) {
      int row = t / p->kw, unit = t % p->kw * groups + row / slots;
      k->depthwise->put(units + (size_t)unit * k->depthwise->unit_bytes, lane, row % slots,
                        weight_at(k, strip->first + lane, 0, t));
    }
}

/* Output o, channel c: the weights of the window's places first, first + step, ..., one for each tap of the
   kernel, where the channel is number `input` of what the strip reads. */
static void put_weights(const espq_conv_packing *k, const espq_conv_strip *strip, int o, int input, int c, int first,
                        int step, char *units) {
  const espq_dense_kernel *kernel = k->dense;
  int lane = o - strip->first, slot = input % kernel->depth, taps = k->params->kh * k->params->kw;
  size_t group = kernel->unit_bytes * (size_t)(strip->channels / 16), next = group * (size_t)strip->steps;
  char *unit = units + (size_t)(input / kernel->depth) * group + (size_t)(lane / 16) * kernel->unit_bytes;
  for (int t = first; t < taps; t += step, unit += next) kernel->put(unit, lane % 16, slot, weight_at(k, o, c, t));
}

static void pack_output(const espq_conv_packing *k, const espq_conv_strip *strip, int o, char *units) {
  const espq_sim_conv_params *p = k->params;
  int inputs = p->ic / p->groups;
  int skipped = o / (p->oc / p->groups) * inputs - (int)(strip->in_offset / (size_t)(p->bits / 8));
  for (int c = 0; c < inputs; c++) {
    if (!k->compact) put_weights(k, strip, o, skipped + c, c, 0, 1, units);
    for (int kx = 0; k->compact && kx < p->kw; kx++) put_weights(k, strip, o, kx * inputs + c, c, kx, p->kw, units);
  }
}

static void pack_strip(const espq_conv_packing *k, const espq_conv_strip *strip, char *units) {
  if (k->depthwise) {
    pack_depthwise(k, strip, units);
    return;
  }
  for (int o = strip->first; o < strip->first + strip->channels && o < k->params->oc; o++)
    pack_output(k, strip, o, units);
}

/* ---- sums and requantization ---- */

/* Sums over the weights of an output, of the weights themselves and of the size of their parts. */
typedef struct totals {
  int64_t weights, high, low;
} totals;

static totals totals_of(const espq_conv_packing *k, int o) {
  const espq_sim_conv_params *p = k->params;
  totals sum = {0};
  for (int c = 0; c < p->ic / p->groups; c++)
    for (int t = 0; t < p->kh * p->kw; t++) {
      int w = weight_at(k, o, c, t);
      sum.weights += w;
      sum.high += abs(espq_conv_high(w));
      sum.low += abs(espq_conv_low(w));
    }
  return sum;
}

/* Do the 32-bit sums of 16-bit kernels hold this output, with what requantization adds? */
static bool sums_are_short(const espq_conv_packing *k, int o) {
  const espq_requant_shift *s = &k->requant->shift;
  totals sum = totals_of(k, o);
  int64_t add = s->add[o] >> 8, carry = (int64_t)1 << 23;
  return s->right[o] >= SHIFTED_AWAY && (sum.low << 15) + 255 <= INT32_MAX &&
         (sum.high << 15) + (add < 0 ? -add : add) + carry <= INT32_MAX;
}

static bool can_shift(const espq_conv_packing *k, const espq_conv_strip *strip) {
  bool can = k->dense ? k->dense->shifts : k->depthwise->shifts;
  for (int o = strip->first; can && o < strip->first + strip->channels && o < k->params->oc; o++)
    can = k->requant->shift.right[o] >= 0 && (k->params->bits == 8 || sums_are_short(k, o));
  return can;
}

/* A kernel that multiplies value + 128 sums 128 * (sum of weights) too much. Padding counts as well:
   it is stored as 128. The limit on the number of weights keeps this within 32 bits; what is added for
   requantization may wrap here, but not in the sum. */
static int32_t start8(const espq_conv_packing *k, bool shifts, int o) {
  bool offset = k->dense ? k->dense->offset : k->depthwise->offset;
  int64_t start = offset ? -128 * totals_of(k, o).weights : 0;
  return (int32_t)(uint32_t)(start + (shifts ? k->requant->shift.add[o] : 0));
}

static void set_channel(const espq_conv_packing *k, bool shifts, int o, int32_t *start, int32_t *low, int32_t *right) {
  const espq_requant_shift *s = &k->requant->shift;
  if (k->params->bits == 8) {
    *start = start8(k, shifts, o);
    *right = s->right[o];
  } else if (shifts) {
    *start = (int32_t)(s->add[o] >> 8);
    *low = (int32_t)(s->add[o] & 255);
    *right = s->right[o] - SHIFTED_AWAY;
  }
}

static void set_strip(espq_conv_pack *pack, const espq_conv_packing *k, espq_conv_strip *strip) {
  size_t channels = (size_t)stored(k->params->oc);
  int32_t *start = pack->tables, *low = start + channels, *right = low + channels;
  bool shifts = can_shift(k, strip);
  for (int o = strip->first; o < strip->first + strip->channels && o < k->params->oc; o++)
    set_channel(k, shifts, o, &start[o], &low[o], &right[o]);
  strip->start = start + strip->first;
  strip->start_low = low + strip->first;
  strip->right = shifts ? right + strip->first : NULL;
  strip->lo = k->requant->shift.lo + strip->first;
  strip->hi = k->requant->shift.hi + strip->first;
}

/* ---- interface ---- */

static bool allocate(espq_conv_pack *pack, const espq_conv_packing *k) {
  size_t channels = (size_t)stored(k->params->oc);
  pack->strips = espq_calloc(channels / 16, sizeof *pack->strips);
  pack->tables = espq_calloc(channels, TABLES * sizeof *pack->tables);
  pack->bytes = channels / 16 * sizeof *pack->strips + channels * TABLES * sizeof *pack->tables;
  return pack->strips && pack->tables;
}

static bool allocate_weights(espq_conv_pack *pack, const espq_conv_packing *k) {
  int64_t bytes = 0, add;
  for (int i = 0; i < pack->count; i++) {
    if (!espq_mul64(strip_units(k, &pack->strips[i]), (int64_t)unit_bytes(k), &add)) return false;
    if (!espq_add64(bytes, add, &bytes) || bytes > (int64_t)ESPQ_ALLOC_MAX) return false;
  }
  pack->weights = espq_calloc((size_t)bytes, 1);
  pack->bytes += (size_t)bytes;
  return pack->weights != NULL;
}

espq_status espq_conv_pack_make(espq_conv_pack *pack, const espq_conv_packing *k, espq_error *err) {
  if (!allocate(pack, k)) return espq_fail_memory(err);
  cut_strips(pack, k);
  if (!allocate_weights(pack, k)) return espq_fail_memory(err);
  char *units = pack->weights;
  for (int i = 0; i < pack->count; i++) {
    espq_conv_strip *strip = &pack->strips[i];
    pack_strip(k, strip, units);
    strip->weights = units;
    set_strip(pack, k, strip);
    units += (size_t)strip_units(k, strip) * unit_bytes(k);
  }
  return ESPQ_OK;
}

void espq_conv_pack_free(espq_conv_pack *pack) {
  espq_free(pack->strips);
  espq_free(pack->tables);
  espq_free(pack->weights);
  *pack = (espq_conv_pack){0};
}
