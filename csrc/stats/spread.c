#include "stats/spread.h"

#include "base/alloc.h"
#include "stats/clones.h"

enum { LANES = ESPQ_SPREAD_LANES, SLOTS = ESPQ_SPREAD_SLOTS };

#define EPS 0.0001

/* Boundary j, 0 to levels, lies in front of level j. */
struct espq_spread_source {
  int bins, levels;
  double *count;           /* of each bin */
  double *occupied;        /* 1 where the count is not 0, else 0 */
  int64_t *before;         /* sum of the counts left of each bin; bins + 1 of them */
  int32_t *nonzero;        /* occupied bins left of each bin; bins + 1 of them */
  int32_t *below, *above;  /* floor and ceiling of the boundary */
  double *left, *right;    /* the parts of the bin it cuts: right of it (above - boundary), and left */
  double *weight;          /* of each level: occupied bins */
  double *value;           /* of each level: counts per occupied bin */
  double *edge;            /* the cut bin's value */
  float *level_r, *edge_r; /* both smoothed */
  float *p[SLOTS], *r[SLOTS];
};

static int round_up(int count) { return (count + LANES - 1) / LANES * LANES; }

/* --- memory: one block, cut into arrays ------------------------------------------------------------ */

/* Loops read and write whole lanes, and masked elements beyond both ends. */
static size_t padded(size_t count, size_t size) { return ((count + 4 * LANES) * size + 63) / 64 * 64; }

static void *cut(char **block, size_t count, size_t size) {
  char *array = *block + LANES * size;
  *block += padded(count, size);
  return array;
}

static void cut_arrays(espq_spread_source *s, char *block, size_t n, size_t l) {
  s->count = cut(&block, n, 8), s->occupied = cut(&block, n, 8), s->before = cut(&block, n, 8);
  s->nonzero = cut(&block, n, 4);
  s->below = cut(&block, l, 4), s->above = cut(&block, l, 4);
  s->left = cut(&block, l, 8), s->right = cut(&block, l, 8);
  s->weight = cut(&block, l, 8), s->value = cut(&block, l, 8), s->edge = cut(&block, l, 8);
  s->level_r = cut(&block, l, 4), s->edge_r = cut(&block, l, 4);
  for (int i = 0; i < SLOTS; i++) s->p[i] = cut(&block, n, 4), s->r[i] = cut(&block, n, 4);
}

espq_spread_source *espq_spread_source_new(const espq_histogram *h, int levels) {
  size_t n = (size_t)h->bins + 1, l = (size_t)levels + 1, head = padded(1, sizeof(espq_spread_source));
  size_t bytes = head + 3 * padded(n, 8) + (1 + 2 * SLOTS) * padded(n, 4) + 5 * padded(l, 8) + 4 * padded(l, 4);
  espq_spread_source *s = espq_calloc(1, bytes);
  if (!s) return NULL;
  s->bins = h->bins, s->levels = levels;
  cut_arrays(s, (char *)s + head, n, l);
  for (int i = 0; i < h->bins; i++) {
    int64_t count = espq_histogram_count(h, i);
    s->count[i] = (double)count;
    s->occupied[i] = count != 0;
    s->before[i + 1] = s->before[i] + count;
    s->nonzero[i + 1] = s->nonzero[i] + (count != 0);
  }
  return s;
}

void espq_spread_source_free(espq_spread_source *source) { espq_free(source); }

/* --- smoothing: zeros become EPS, which the others pay for ------------------------------------------ */

static double taken_off(int nonzero, int bins) { return EPS * (double)(bins - nonzero) / (double)nonzero; }

static inline float smoothed(double x, double off) {
  double less = x == 0 ? -EPS : off; /* a choice of numbers, so that the loop needs no branch */
  return (float)(x - less);
}

ESPQ_STATS_CLONES
static void smooth(const double *restrict x, float *restrict out, int lanes, double off) {
  for (int i = 0; i < lanes; i += LANES)
    for (int k = i; k < i + LANES; k++) out[k] = smoothed(x[k], off);
}

static void pad(float *array, int bins, float value) {
  for (int i = bins; i < round_up(bins); i++) array[i] = value;
}

static void make_p(espq_spread_source *s, float *p, int first, int bins, const double *ends) {
  int inner = s->nonzero[first + bins - 1] - s->nonzero[first + 1];
  double off = taken_off(inner + (ends[0] != 0) + (ends[1] != 0), bins);
  smooth(s->count + first, p, round_up(bins), off);
  p[0] = smoothed(ends[0], off);
  p[bins - 1] = smoothed(ends[1], off);
  pad(p, bins, 0.0f);
}

/* --- merging into levels, expanding ------------------------------------------------------------------ */

/* Boundaries at j * width, the product rounded as it comes. */
ESPQ_STATS_CLONES
static void place_boundaries(int32_t *restrict below, int32_t *restrict above, double *restrict left,
                             double *restrict right, double width, int lanes) {
  for (int i = 0; i < lanes; i += LANES)
    for (int j = i; j < i + LANES; j++) {
      double boundary = j * width, floor = (int32_t)boundary;
      double ceiling = boundary > floor ? floor + 1 : floor;
      below[j] = (int32_t)floor;
      above[j] = (int32_t)ceiling;
      left[j] = ceiling - boundary;
      right[j] = boundary - floor;
    }
}

/* The last boundary is bins, or one rounding away: it is not let beyond, nor are those that only fill the lanes. */
static void place_levels(espq_spread_source *s, int bins) {
  int lanes = round_up(s->levels + 1);
  place_boundaries(s->below, s->above, s->left, s->right, (double)bins / s->levels, lanes);
  for (int j = s->levels; j < lanes; j++)
    if (s->below[j] >= bins) {
      s->below[j] = s->above[j] = bins;
      s->left[j] = s->right[j] = 0;
    }
}

/* Counts and occupied bins of each level, of its cut bins by their parts; left to right, as the parts are
 * rounded. The loop has a fixed length, the whole bins of the longest level: what is too much adds 0. */
static void sum_levels(espq_spread_source *s, int first, int longest) {
  const double *count = s->count + first, *occupied = s->occupied + first;
  for (int j = 0; j < s->levels; j++) {
    int from = s->above[j], to = s->below[j + 1];
    double left = s->left[j], right = s->right[j + 1];
    double sum = left * count[from - 1] + right * count[to];
    double weight = left * occupied[from - 1] + right * occupied[to];
    for (int k = from; k < from + longest; k++) {
      sum += k < to ? count[k] : 0.0;
      weight += k < to ? occupied[k] : 0.0;
    }
    s->value[j] = sum;
    s->weight[j] = weight;
  }
}

/* Counts per occupied bin; a level without occupied bins has no counts. */
ESPQ_STATS_CLONES
static void divide_levels(double *restrict value, const double *restrict weight, int lanes) {
  for (int i = 0; i < lanes; i += LANES)
    for (int j = i; j < i + LANES; j++) {
      double divisor = weight[j] == 0 ? 1 : weight[j];
      value[j] /= divisor;
    }
}

/* The cut bins, of both levels by their parts, where occupied; where nothing is cut both parts are 0. */
ESPQ_STATS_CLONES
static void make_edges(espq_spread_source *s, const double *restrict occupied, int lanes) {
  const double *restrict value = s->value, *restrict left = s->left, *restrict right = s->right;
  double *restrict edge = s->edge;
  const int32_t *restrict below = s->below;
  for (int i = 0; i < lanes; i += LANES)
    for (int j = i; j < i + LANES; j++) edge[j] = occupied[below[j]] * (value[j - 1] * right[j] + value[j] * left[j]);
}

/* Bins that will not be zero. */
static int count_nonzero(const espq_spread_source *s) {
  int nonzero = 0;
  for (int j = 0; j < s->levels; j++) {
    nonzero += s->edge[j + 1] != 0;
    nonzero += s->value[j] != 0 ? s->below[j + 1] - s->above[j] : 0;
  }
  return nonzero;
}

/* Each level writes a fixed length; the next ones overwrite what was too much. */
static void expand(const espq_spread_source *s, float *r, int longest) {
  for (int j = 0; j < s->levels; j++) {
    float *level = r + s->above[j], value = s->level_r[j];
    for (int i = 0; i < longest; i += LANES / 2)
      for (int k = i; k < i + LANES / 2; k++) level[k] = value;
    int next = s->below[j + 1];
    r[next] = s->above[j + 1] > next ? s->edge_r[j + 1] : r[next];
  }
}

static espq_entropy_refusal make_r(espq_spread_source *s, float *r, int first, int bins) {
  int level_lanes = round_up(s->levels), lanes = round_up(s->levels + 1);
  int longest = bins / s->levels;
  place_levels(s, bins);
  sum_levels(s, first, longest);
  s->value[-1] = s->value[s->levels] = 0;
  divide_levels(s->value, s->weight, level_lanes);
  make_edges(s, s->occupied + first, lanes);
  int nonzero = count_nonzero(s);
  if (nonzero == 0) return ESPQ_ENTROPY_EMPTY;
  double off = taken_off(nonzero, bins);
  smooth(s->value, s->level_r, level_lanes, off);
  smooth(s->edge, s->edge_r, lanes, off);
  expand(s, r, longest);
  pad(r, bins, 1.0f);
  return ESPQ_ENTROPY_NONE;
}

/* While a candidate is made, the bins at its ends count as occupied if there are outliers beyond. */
espq_entropy_refusal espq_spread_make(espq_spread_source *s, int slot, int first, int bins, espq_spread *spread) {
  double *occupied = s->occupied + first, kept[2] = {occupied[0], occupied[bins - 1]};
  double ends[2] = {(double)s->before[first + 1], (double)(s->before[s->bins] - s->before[first + bins - 1])};
  *spread = (espq_spread){s->p[slot], s->r[slot], bins, 0, 0};
  make_p(s, spread->p, first, bins, ends);
  occupied[0] = ends[0] != 0;
  occupied[bins - 1] = ends[1] != 0;
  espq_entropy_refusal refusal = make_r(s, spread->r, first, bins);
  occupied[0] = kept[0];
  occupied[bins - 1] = kept[1];
  return refusal;
}

/* --- sums --------------------------------------------------------------------------------------------- */

/* An addition waits for the one before it, so several spreads are summed side by side. */
static int sum_common(espq_spread *s) {
  int common = s[0].bins;
  for (int i = 1; i < SLOTS; i++) common = s[i].bins < common ? s[i].bins : common;
  float p0 = 0, p1 = 0, p2 = 0, p3 = 0, r0 = 0, r1 = 0, r2 = 0, r3 = 0;
  for (int k = 0; k < common; k++) {
    p0 += s[0].p[k], p1 += s[1].p[k], p2 += s[2].p[k], p3 += s[3].p[k];
    r0 += s[0].r[k], r1 += s[1].r[k], r2 += s[2].r[k], r3 += s[3].r[k];
  }
  s[0].p_sum = p0, s[1].p_sum = p1, s[2].p_sum = p2, s[3].p_sum = p3;
  s[0].r_sum = r0, s[1].r_sum = r1, s[2].r_sum = r2, s[3].r_sum = r3;
  return common;
}

ESPQ_STATS_CLONES
static bool all_positive(const float *restrict p, const float *restrict r, int bins) {
  int bad = 0, whole = bins / LANES * LANES;
  for (int i = 0; i < whole; i += LANES)
    for (int k = i; k < i + LANES; k++) {
      float lower = p[k] < r[k] ? p[k] : r[k];
      bad += lower > 0 ? 0 : 1;
    }
  for (int k = whole; k < bins; k++) bad += !(p[k] > 0) + !(r[k] > 0);
  return bad == 0;
}

espq_entropy_refusal espq_spread_sum(espq_spread *s, int count) {
  int done = count == SLOTS ? sum_common(s) : 0;
  for (int i = 0; i < count; i++) {
    for (int k = done; k < s[i].bins; k++) {
      s[i].p_sum += s[i].p[k];
      s[i].r_sum += s[i].r[k];
    }
    if (!all_positive(s[i].p, s[i].r, s[i].bins)) return ESPQ_ENTROPY_SMOOTHING;
  }
  return ESPQ_ENTROPY_NONE;
}
