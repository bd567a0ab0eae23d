/* Two operands. One operand: activation.c. */
#include "sim/elementwise.h"

#include <string.h>

#include "sim/fixed.h"
#include "sim/lanes.h"
#include "sim/versions.h"

/* Left shifts of a difference that 32 bits hold: 2^15 * 2^14 twice. */
enum { NEAR_SHIFT = 14 };

typedef struct plan {
  const espq_sim_binary *p;
  int64_t a_shift, b_shift;          /* ADD: to the right; SUB: to the left; one of them is 0 */
  int64_t right;                     /* of sum, difference or product */
  espq_lanes_scale scale;            /* the same for 32-bit lanes */
  espq_lanes_scale a_scale, b_scale; /* MAX, MIN: of the operands */
} plan;

static plan make_plan(const espq_sim_binary *p) {
  plan plan = {.p = p};
  int bits = espq_sim_format_bits(p->format);
  int64_t ea = p->ea, eb = p->eb, eo = p->eo, larger = ea > eb ? ea : eb;
  if (p->op == ESPQ_SIM_ADD) {
    plan.a_shift = larger - ea, plan.b_shift = larger - eb;
    plan.right = eo - larger;
  } else if (p->op == ESPQ_SIM_SUB) {
    int64_t smaller = ea + eb - larger;
    plan.a_shift = ea - smaller, plan.b_shift = eb - smaller;
    plan.right = eo - smaller;
  } else {
    plan.right = eo - ea - eb;
  }
  plan.scale = espq_lanes_scale_to(p->op == ESPQ_SIM_MUL ? p->rounding : ESPQ_ROUND_FLOOR, plan.right, bits);
  plan.a_scale = espq_lanes_scale_to(ESPQ_ROUND_FLOOR, eo - ea, bits);
  plan.b_scale = espq_lanes_scale_to(ESPQ_ROUND_FLOOR, eo - eb, bits);
  return plan;
}

/* ---- sums of whole arrays, without stops in between ---- */

enum { ADD_BLOCK = 64 };

typedef struct add_step {
  int right_a, right_b; /* of the operands */
  espq_lanes_scale scale;
  uint8_t flip; /* int8: from the storage format to offset binary */
} add_step;

ESPQ_BODY int32_t add_lane(const add_step *s, int32_t a, int32_t b) {
  return espq_lanes_floor(&s->scale, (a >> s->right_a) + (b >> s->right_b));
}

/* The block goes through memory of its own, so that out may be an operand. */
ESPQ_BODY void add_blocks8_body(const add_step step, int64_t blocks, const void *a, const void *b, void *out) {
  const uint8_t *x = a, *y = b;
  for (int64_t i = 0; i < blocks; i++) {
    uint8_t z[ADD_BLOCK];
    for (int j = 0; j < ADD_BLOCK; j++) {
      uint8_t u = x[i * ADD_BLOCK + j] ^ step.flip, v = y[i * ADD_BLOCK + j] ^ step.flip;
      z[j] = (uint8_t)(add_lane(&step, u - 128, v - 128) + 128) ^ step.flip;
    }
    memcpy((uint8_t *)out + i * ADD_BLOCK, z, sizeof z);
  }
}

ESPQ_BODY void add_blocks16_body(const add_step step, int64_t blocks, const void *a, const void *b, void *out) {
  const int16_t *x = a, *y = b;
  for (int64_t i = 0; i < blocks; i++) {
    int16_t z[ADD_BLOCK];
    for (int j = 0; j < ADD_BLOCK; j++) z[j] = (int16_t)add_lane(&step, x[i * ADD_BLOCK + j], y[i * ADD_BLOCK + j]);
    memcpy((int16_t *)out + i * ADD_BLOCK, z, sizeof z);
  }
}

#define ADD_BLOCKS_PARAMS (const add_step step, int64_t blocks, const void *a, const void *b, void *out)
ESPQ_VERSIONS(add_blocks8, ADD_BLOCKS_PARAMS, (step, blocks, a, b, out))
ESPQ_VERSIONS(add_blocks16, ADD_BLOCKS_PARAMS, (step, blocks, a, b, out))

/* Returns how many elements were done: all but an incomplete block. */
static int64_t add_whole_blocks(const plan *plan, int64_t count, const void *a, const void *b, void *out) {
  espq_sim_format format = plan->p->format;
  add_step step = {.right_a = (int)espq_fixed_clamp(plan->a_shift, 0, 31),
                   .right_b = (int)espq_fixed_clamp(plan->b_shift, 0, 31),
                   .scale = plan->scale,
                   .flip = format == ESPQ_SIM_I8 ? 0x80 : 0};
  int64_t blocks = count / ADD_BLOCK;
  (format == ESPQ_SIM_I16 ? add_blocks16_versions : add_blocks8_versions)[plan->p->isa](step, blocks, a, b, out);
  return blocks * ADD_BLOCK;
}

/* ---- 32-bit lanes ---- */

ESPQ_BODY void add_body(int ra, int rb, int n, const int32_t *a, const int32_t *b, int32_t *restrict y) {
  for (int i = 0; i < n; i += 16)
    for (int j = 0; j < 16; j++) y[i + j] = (a[i + j] >> ra) + (b[i + j] >> rb);
}

ESPQ_BODY void sub_body(int la, int lb, int n, const int32_t *a, const int32_t *b, int32_t *restrict y) {
  for (int i = 0; i < n; i += 16)
    for (int j = 0; j < 16; j++) y[i + j] = a[i + j] * (1 << la) - b[i + j] * (1 << lb);
}

ESPQ_BODY void mul_body(int unused_a, int unused_b, int n, const int32_t *a, const int32_t *b, int32_t *restrict y) {
  (void)unused_a, (void)unused_b;
  for (int i = 0; i < n; i += 16)
    for (int j = 0; j < 16; j++) y[i + j] = a[i + j] * b[i + j];
}

ESPQ_BODY void max_body(int unused_a, int unused_b, int n, const int32_t *a, const int32_t *b, int32_t *restrict y) {
  (void)unused_a, (void)unused_b;
  for (int i = 0; i < n; i += 16)
    for (int j = 0; j < 16; j++) y[i + j] = a[i + j] > b[i + j] ? a[i + j] : b[i + j];
}

ESPQ_BODY void min_body(int unused_a, int unused_b, int n, const int32_t *a, const int32_t *b, int32_t *restrict y) {
  (void)unused_a, (void)unused_b;
  for (int i = 0; i < n; i += 16)
    for (int j = 0; j < 16; j++) y[i + j] = a[i + j] < b[i + j] ? a[i + j] : b[i + j];
}

#define COMBINE_PARAMS (int sa, int sb, int n, const int32_t *a, const int32_t *b, int32_t *restrict y)
ESPQ_VERSIONS(add, COMBINE_PARAMS, (sa, sb, n, a, b, y))
ESPQ_VERSIONS(sub, COMBINE_PARAMS, (sa, sb, n, a, b, y))
ESPQ_VERSIONS(mul, COMBINE_PARAMS, (sa, sb, n, a, b, y))
ESPQ_VERSIONS(max, COMBINE_PARAMS, (sa, sb, n, a, b, y))
ESPQ_VERSIONS(min, COMBINE_PARAMS, (sa, sb, n, a, b, y))

/* a * 2^a_shift - b * 2^b_shift, then the floor, where the shifts are far apart. Beyond 40 bits the
   unshifted operand only decides the direction of the floor, unless the other one is 0. */
static int64_t far_difference(const plan *plan, int64_t a, int64_t b) {
  int64_t shift = plan->a_shift + plan->b_shift, near = shift < 40 ? shift : 40;
  if ((plan->a_shift ? a : b) == 0) return espq_fixed_floor(a - b, plan->right);
  int64_t factor = (int64_t)1 << near;
  int64_t difference = plan->a_shift ? a * factor - b : a - b * factor;
  return espq_fixed_floor(difference, plan->right - (shift - near));
}

static void combine_far(const plan *plan, int n, const espq_lanes *a, const espq_lanes *b, espq_lanes *y) {
  for (int i = 0; i < n; i++)
    y->v[i] = (int32_t)espq_fixed_clamp(far_difference(plan, a->v[i], b->v[i]), plan->scale.lo, plan->scale.hi);
}

static void combine(const plan *plan, int n, const espq_lanes *a, const espq_lanes *b, espq_lanes *y) {
  espq_isa isa = plan->p->isa;
  int whole = espq_lanes_rounded(n);
  int right_a = (int)espq_fixed_clamp(plan->a_shift, 0, 31);
  int right_b = (int)espq_fixed_clamp(plan->b_shift, 0, 31);
  switch (plan->p->op) {
    case ESPQ_SIM_MAX: max_versions[isa](0, 0, whole, a->v, b->v, y->v); return;
    case ESPQ_SIM_MIN: min_versions[isa](0, 0, whole, a->v, b->v, y->v); return;
    case ESPQ_SIM_MUL: mul_versions[isa](0, 0, whole, a->v, b->v, y->v); break;
    case ESPQ_SIM_ADD: add_versions[isa](right_a, right_b, whole, a->v, b->v, y->v); break;
    case ESPQ_SIM_SUB:
      if (plan->a_shift > NEAR_SHIFT || plan->b_shift > NEAR_SHIFT) {
        combine_far(plan, n, a, b, y);
        return;
      }
      sub_versions[isa](right_a, right_b, whole, a->v, b->v, y->v);
  }
  espq_lanes_apply(isa, &plan->scale, n, y);
}

/* ---- operands ---- */

static void load(const plan *plan, const espq_lanes_scale *scale, const void *array, int64_t first, int64_t step, int n,
                 espq_lanes *out) {
  espq_lanes_load(plan->p->isa, plan->p->format, array, first, step, n, out);
  if (plan->p->op == ESPQ_SIM_MAX || plan->p->op == ESPQ_SIM_MIN) espq_lanes_apply(plan->p->isa, scale, n, out);
}

typedef struct operand {
  const void *array;
  int64_t first, step;
} operand;

/* out[out_first..] of a line of count elements. */
static void run_line(const plan *plan, int64_t count, operand a, operand b, void *out, int64_t out_first) {
  espq_lanes x, y, z;
  for (int64_t i = 0; i < count; i += ESPQ_LANES) {
    int n = count - i < ESPQ_LANES ? (int)(count - i) : ESPQ_LANES;
    load(plan, &plan->a_scale, a.array, a.first + i * a.step, a.step, n, &x);
    load(plan, &plan->b_scale, b.array, b.first + i * b.step, b.step, n, &y);
    combine(plan, n, &x, &y, &z);
    espq_lanes_store(plan->p->isa, plan->p->format, &z, n, out, out_first + i);
  }
}

void espq_sim_binary_run(const espq_sim_binary *p, int64_t count, const void *a, const void *b, void *out) {
  plan plan = make_plan(p);
  int64_t done = p->op == ESPQ_SIM_ADD ? add_whole_blocks(&plan, count, a, b, out) : 0;
  run_line(&plan, count - done, (operand){a, done, 1}, (operand){b, done, 1}, out, done);
}

/* ---- rows ---- */

static void repeat(espq_lanes *lanes, int count, int times) {
  for (int i = 1; i < times; i++) memcpy(lanes->v + (size_t)i * count, lanes->v, (size_t)count * sizeof *lanes->v);
  for (int i = count * times; i < espq_lanes_rounded(count * times); i++) lanes->v[i] = 0;
}

/* Short rows against one vector: as many rows at once as fit. */
static void run_short_rows(const plan *plan, int64_t rows, int count, const void *dense, const void *vector,
                           bool vector_is_a, void *out) {
  const espq_lanes_scale *vector_scale = vector_is_a ? &plan->a_scale : &plan->b_scale;
  const espq_lanes_scale *dense_scale = vector_is_a ? &plan->b_scale : &plan->a_scale;
  espq_lanes x, v, z;
  int together = ESPQ_LANES / count;
  load(plan, vector_scale, vector, 0, 1, count, &v);
  repeat(&v, count, together);
  for (int64_t r = 0; r < rows; r += together) {
    int n = (rows - r < together ? (int)(rows - r) : together) * count;
    load(plan, dense_scale, dense, r * count, 1, n, &x);
    combine(plan, n, vector_is_a ? &v : &x, vector_is_a ? &x : &v, &z);
    espq_lanes_store(plan->p->isa, plan->p->format, &z, n, out, r * count);
  }
}

void espq_sim_binary_rows(const espq_sim_binary *p, int64_t rows, int64_t count, const void *a, bool a_row,
                          const void *b, bool b_row, void *out) {
  plan plan = make_plan(p);
  if (a_row && b_row) {
    espq_sim_binary_run(p, rows * count, a, b, out);
    return;
  }
  if (a_row != b_row && count > 0 && count <= ESPQ_LANES / 2) {
    run_short_rows(&plan, rows, (int)count, a_row ? a : b, a_row ? b : a, !a_row, out);
    return;
  }
  for (int64_t r = 0; r < rows; r++)
    run_line(&plan, count, (operand){a, a_row ? r * count : 0, 1}, (operand){b, b_row ? r * count : 0, 1}, out,
             r * count);
}

/* ---- strides ---- */

typedef struct axes {
  int rank;
  int64_t dims[ESPQ_SIM_RANK_MAX], a[ESPQ_SIM_RANK_MAX], b[ESPQ_SIM_RANK_MAX];
} axes;

/* Neighbouring axes that both operands walk without a jump become one; axes of one element go. */
static axes merge_axes(int rank, const int64_t *dims, const int64_t *a, const int64_t *b) {
  axes m = {0};
  for (int i = 0; i < rank; i++) {
    if (dims[i] == 1) continue;
    int last = m.rank - 1;
    if (last >= 0 && m.a[last] == a[i] * dims[i] && m.b[last] == b[i] * dims[i]) {
      m.dims[last] *= dims[i], m.a[last] = a[i], m.b[last] = b[i];
      continue;
    }
    m.dims[m.rank] = dims[i], m.a[m.rank] = a[i], m.b[m.rank++] = b[i];
  }
  return m;
}

/* The next position of all axes but the last; false after the last one. */
static bool next_line(const axes *m, int64_t *at, int64_t *a, int64_t *b) {
  for (int i = m->rank - 2; i >= 0; i--) {
    *a += m->a[i], *b += m->b[i];
    if (++at[i] < m->dims[i]) return true;
    *a -= at[i] * m->a[i], *b -= at[i] * m->b[i];
    at[i] = 0;
  }
  return false;
}

void espq_sim_binary_strided(const espq_sim_binary *p, int rank, const int64_t *dims, const int64_t *a_steps,
                             const int64_t *b_steps, const void *a, const void *b, void *out) {
  plan plan = make_plan(p);
  for (int i = 0; i < rank; i++)
    if (dims[i] == 0) return;
  axes m = merge_axes(rank, dims, a_steps, b_steps);
  int64_t at[ESPQ_SIM_RANK_MAX] = {0}, ia = 0, ib = 0, written = 0;
  int last = m.rank - 1;
  int64_t count = m.rank ? m.dims[last] : 1, sa = m.rank ? m.a[last] : 1, sb = m.rank ? m.b[last] : 1;
  do {
    run_line(&plan, count, (operand){a, ia, sa}, (operand){b, ib, sb}, out, written);
    written += count;
  } while (next_line(&m, at, &ia, &ib));
}
