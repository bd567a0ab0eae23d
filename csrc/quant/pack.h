/* pack.h - integer filters in the order in which a chip's kernels read them, and as text.
 *
 * With o, i, h, w for output channel, input channel, row, column, from slowest to fastest:
 *
 *                PLAIN          BLOCKED, full blocks of B channels     BLOCKED, the o that remain
 *   dense        o h w i        block h w i o-in-block                 o h w i
 *   grouped      i h w o        block i h w o-in-block                 i h w o
 *
 * B is the number of elements in a vector register of 16 bytes. Convolutions also get a tail of zeros where the number
 * of elements n is no multiple of B: up to the next multiple and B more, since the kernels load whole registers.
 *
 *   espq_filter_layout layout = {"oihw", espq_target_find("v1", "esp32s3")->order, false, true};
 *   if (espq_pack_filter(weight, &layout, &packed, err)) return err->status;       -- the caller owns packed
 */
#ifndef ESPQ_QUANT_PACK_H
#define ESPQ_QUANT_PACK_H

#include "sim/fixed.h"
#include "tensor/tensor.h"

typedef enum espq_filter_order { ESPQ_ORDER_PLAIN, ESPQ_ORDER_BLOCKED } espq_filter_order;

typedef struct espq_target {
  const char *runtime, *chip, *group;
  espq_filter_order order;
  espq_rounding rounding;
  bool per_channel;
  int bias_bits_8, bias_bits_16;
} espq_target;

/* All rows of targets.def; *count of them. */
const espq_target *espq_targets(int *count);
/* NULL: there is none. */
const espq_target *espq_target_find(const char *runtime, const char *chip);

typedef struct espq_filter_layout {
  const char
      *axes; /* what each axis of the tensor is, a letter each: "oihw", "io"; axes that are missing have length 1 */
  espq_filter_order order;
  bool grouped; /* a convolution whose group is not 1 */
  bool tail;    /* append the zeros */
} espq_filter_layout;

/* Elements of B for this type: 16 for int8, 8 for int16, 0 for others. */
int espq_pack_block(espq_dtype dtype);
/* The elements of w, int8 or int16, in the layout's order as a tensor of rank 1. ESPQ_EFORMAT: another type, or axes
 * that do not describe w. */
espq_status espq_pack_filter(const espq_tensor *w, const espq_filter_layout *layout, espq_tensor **out,
                             espq_error *err);

/* The elements of an int8 or int16 tensor as C text: rows of 512 that start with 8 blanks, each number 6 characters
 * wide, ", " between two numbers and a comma and a newline between two rows. *text is a block of espq_alloc without a
 * final zero. */
espq_status espq_format_elements(const espq_tensor *t, char **text, size_t *size, espq_error *err);

#endif
