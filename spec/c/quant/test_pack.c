/* Element orders against their definition: the list of all elements, sorted by the key that the table of pack.h reads
 * from left to right. And the text of elements against printf. */
#include "quant/pack.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "check.h"

enum { MOST = 4096 };

typedef struct element {
  int64_t key[6];
  int value;
} element;

static int by_key(const void *a, const void *b) {
  const element *x = a, *y = b;
  for (int k = 0; k < 6; k++)
    if (x->key[k] != y->key[k]) return x->key[k] < y->key[k] ? -1 : 1;
  return 0;
}

/* Part 0: full blocks, part 1: what remains. */
static void set_key(element *e, const espq_filter_layout *l, int64_t channels, int64_t block, const int64_t *at) {
  int64_t o = at[0], i = at[1], h = at[2], w = at[3];
  bool rest = l->order == ESPQ_ORDER_PLAIN || o >= channels - channels % block;
  int64_t dense_rest[] = {1, o, h, w, i, 0}, grouped_rest[] = {1, i, h, w, o, 0};
  int64_t dense_block[] = {0, o / block, h, w, i, o % block}, grouped_block[] = {0, o / block, i, h, w, o % block};
  memcpy(e->key, rest ? (l->grouped ? grouped_rest : dense_rest) : (l->grouped ? grouped_block : dense_block),
         sizeof e->key);
}

static void put(espq_tensor *t, int64_t at, int value) {
  if (t->dtype == ESPQ_I8) ((int8_t *)t->data)[at] = (int8_t)value;
  else ((int16_t *)t->data)[at] = (int16_t)value;
}

static int get(const espq_tensor *t, int64_t at) {
  return t->dtype == ESPQ_I8 ? ((int8_t *)t->data)[at] : ((int16_t *)t->data)[at];
}

/* Fills a filter of these axes with values that tell neighbours apart, and lists its elements in the chip's order. */
static espq_tensor *make(espq_dtype dtype, const espq_filter_layout *l, const int64_t *ohw, element *list) {
  int rank = (int)strlen(l->axes);
  int64_t dim[4], at[4] = {0};
  for (int k = 0; k < rank; k++) dim[k] = ohw[strchr("oihw", l->axes[k]) - "oihw"];
  espq_tensor *t = NULL;
  if (!CHECK(!espq_tensor_new(dtype, rank, dim, &t, NULL))) exit(1);
  for (int64_t n = 0; n < t->count; n++) {
    int64_t rest = n;
    for (int k = rank - 1; k >= 0; k--) {
      at[strchr("oihw", l->axes[k]) - "oihw"] = rest % dim[k];
      rest /= dim[k];
    }
    list[n].value = dtype == ESPQ_I8 ? (int8_t)(n * 37 + 11) : (int16_t)(n * 37 + 11);
    put(t, n, list[n].value);
    set_key(&list[n], l, ohw[0], espq_pack_block(dtype), at);
  }
  qsort(list, (size_t)t->count, sizeof *list, by_key);
  return t;
}

static int64_t tail_of(int64_t n, int block) { return n % block ? block - n % block + block : 0; }

static void one_order(espq_dtype dtype, const espq_filter_layout *l, const int64_t *ohw) {
  static element list[MOST];
  espq_tensor *t = make(dtype, l, ohw, list), *packed = NULL;
  int wrong = 0;
  if (!CHECK(!espq_pack_filter(t, l, &packed, NULL))) exit(1);
  CHECK(packed->dtype == dtype && packed->rank == 1);
  CHECK(packed->count == t->count + (l->tail ? tail_of(t->count, espq_pack_block(dtype)) : 0));
  for (int64_t n = 0; n < packed->count; n++) wrong += get(packed, n) != (n < t->count ? list[n].value : 0);
  if (!CHECK(wrong == 0))
    fprintf(stderr, "  %s, order %d, grouped %d, %s, %" PRId64 " channels: %d elements\n", l->axes, l->order,
            l->grouped, espq_dtype_name(dtype), ohw[0], wrong);
  espq_tensor_release(packed);
  espq_tensor_release(t);
}

static void every_order(void) {
  static const struct {
    const char *axes;
    int64_t i, h, w;
  } shapes[] = {{"oihw", 3, 2, 5}, {"hwio", 3, 2, 5}, {"oihw", 1, 3, 3}, {"hwoi", 1, 3, 3},
                {"oi", 7, 1, 1},   {"io", 7, 1, 1},   {"oiw", 2, 1, 3}};
  static const int64_t channels[] = {1, 7, 8, 9, 15, 16, 17, 32, 40};
  for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
    for (size_t c = 0; c < sizeof channels / sizeof *channels; c++)
      for (int variant = 0; variant < 16; variant++) {
        espq_filter_layout l = {shapes[s].axes, variant & 1 ? ESPQ_ORDER_BLOCKED : ESPQ_ORDER_PLAIN, variant & 2,
                                variant & 4};
        one_order(variant & 8 ? ESPQ_I16 : ESPQ_I8, &l,
                  (int64_t[]){channels[c], shapes[s].i, shapes[s].h, shapes[s].w});
      }
}

/* By hand: 17 channels of a 1x1x2 filter, element 100 * column + channel. */
static void by_hand(void) {
  int64_t dim[] = {17, 1, 1, 2};
  espq_tensor *t, *packed;
  CHECK(!espq_tensor_new(ESPQ_I8, 4, dim, &t, NULL));
  for (int o = 0; o < 17; o++)
    for (int w = 0; w < 2; w++) put(t, o * 2 + w, 100 * w + o);
  CHECK(!espq_pack_filter(t, &(espq_filter_layout){"oihw", ESPQ_ORDER_BLOCKED, false, true}, &packed, NULL));
  CHECK(packed->count == 34 + 14 + 16);
  CHECK(get(packed, 0) == 0 && get(packed, 1) == 1 && get(packed, 15) == 15);
  CHECK(get(packed, 16) == 100 && get(packed, 31) == 115);
  CHECK(get(packed, 32) == 16 && get(packed, 33) == 116 && get(packed, 34) == 0 && get(packed, 63) == 0);
  espq_tensor_release(packed);
  espq_tensor_release(t);
}

static void refuse(espq_dtype dtype, const char *axes, const char *text) {
  int64_t dim[] = {2, 3};
  espq_tensor *t, *packed = NULL;
  espq_error err;
  CHECK(!espq_tensor_new(dtype, 2, dim, &t, NULL));
  CHECK(espq_pack_filter(t, &(espq_filter_layout){axes, ESPQ_ORDER_PLAIN, false, false}, &packed, &err) ==
        ESPQ_EFORMAT);
  CHECK(strstr(err.text, text) && !packed);
  espq_tensor_release(t);
}

static void refusals(void) {
  refuse(ESPQ_I8, "o", "rank 2");
  refuse(ESPQ_I8, "oih", "rank 2");
  refuse(ESPQ_I8, "oo", "different letter");
  refuse(ESPQ_I8, "ox", "different letter");
  refuse(ESPQ_I8, "", "rank 2");
  refuse(ESPQ_F32, "oi", "float32");
  refuse(ESPQ_I32, "oi", "int32");
}

/* No elements: nothing is read, however long the other axes are. */
static void empty(void) {
  int64_t dim[] = {1 << 20, 0};
  espq_tensor *t, *packed;
  char *text;
  size_t size;
  CHECK(!espq_tensor_new(ESPQ_I8, 2, dim, &t, NULL));
  CHECK(!espq_pack_filter(t, &(espq_filter_layout){"oi", ESPQ_ORDER_BLOCKED, true, true}, &packed, NULL));
  CHECK(packed->count == 0);
  CHECK(!espq_format_elements(packed, &text, &size, NULL) && size == 0);
  espq_free(text);
  espq_tensor_release(packed);
  espq_tensor_release(t);
}

static void one_text(espq_dtype dtype, int64_t n, int first, int step) {
  static char expected[3 * 512 * 8 + 100];
  size_t at = 0, size;
  char *text;
  espq_tensor *t;
  CHECK(!espq_tensor_new(dtype, 1, &n, &t, NULL));
  for (int64_t k = 0; k < n; k++) {
    put(t, k, first + (int)k * step);
    at += (size_t)sprintf(expected + at, "%s%6d", k % 512 ? ", " : k ? ",\n        " : "        ", get(t, k));
  }
  CHECK(!espq_format_elements(t, &text, &size, NULL));
  CHECK(size == at && memcmp(text, expected, at) == 0);
  espq_free(text);
  espq_tensor_release(t);
}

static void texts(void) {
  static const int64_t counts[] = {1, 2, 511, 512, 513, 1024, 1025};
  for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
    one_text(ESPQ_I8, counts[k], -128, 1);
    one_text(ESPQ_I16, counts[k], -32768, 127);
  }
  espq_tensor *t;
  int64_t n = 1;
  char *text;
  size_t size;
  CHECK(!espq_tensor_new(ESPQ_F32, 1, &n, &t, NULL));
  CHECK(espq_format_elements(t, &text, &size, NULL) == ESPQ_EFORMAT);
  espq_tensor_release(t);
}

static void targets(void) {
  int n;
  const espq_target *all = espq_targets(&n);
  for (int k = 0; k < n; k++) CHECK(espq_target_find(all[k].runtime, all[k].chip) == &all[k]);
  CHECK(espq_target_find("v1", "esp32s3")->order == ESPQ_ORDER_BLOCKED);
  CHECK(espq_target_find("v1", "esp32c3")->order == ESPQ_ORDER_PLAIN);
  CHECK(espq_target_find("v3", "esp32p4")->rounding == ESPQ_ROUND_HALF_EVEN);
  CHECK(espq_target_find("v3", "esp32s3")->bias_bits_8 == 20 && !espq_target_find("v3", "esp32s3")->per_channel);
  CHECK(!espq_target_find("v1", "ESP32") && !espq_target_find("v1", "esp32p4") && !espq_target_find("v2", "esp32"));
}

int main(void) {
  by_hand();
  every_order();
  refusals();
  empty();
  texts();
  targets();
  return check_report();
}
