/* image.h - PNG and JPEG pictures as 8-bit pixels, resized, and as the numbers of a network.
 *
 * Everything here is plain arrays. Pictures are strangers' files: sizes are checked before memory is asked for, a file
 * that is damaged anywhere (also where most programs would go on) is refused, and the work is bounded by the limits
 * below.
 *
 * What a file's pixels become: 8 bits per channel, gray or RGB. 16 bits are scaled by 255/65535 and rounded; palettes
 * are looked up; transparency is dropped, not composited; gamma, colour profiles, EXIF orientation and the further
 * frames of an APNG are ignored. JPEG is decoded with the accurate integer DCT and smooth chroma upsampling. CMYK is
 * refused.
 *
 *   espq_image image;
 *   if (espq_image_decode(bytes, size, 3, &image, err)) return err->status;
 *   espq_free(image.pixels);
 */
#ifndef ESPQ_IMAGE_IMAGE_H
#define ESPQ_IMAGE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum {
  ESPQ_IMAGE_MAX_SIDE = 65500,     /* what a JPEG can have */
  ESPQ_IMAGE_MAX_PIXELS = 1 << 26, /* 8192 x 8192 */
  ESPQ_IMAGE_MAX_BYTES = 1 << 28,  /* of a file */
  ESPQ_IMAGE_MAX_SCANS = 100       /* of a progressive JPEG; usual are 10 */
};

typedef struct espq_image {
  int height, width, channels; /* channels: 1 (gray) or 3 (RGB) */
  unsigned char *pixels;       /* height x width x channels, a block of espq_alloc */
} espq_image;

/* The picture in these bytes. channels: 1 or 3 convert, 0 keeps the file's. RGB becomes gray as
 * (19595 R + 38470 G + 7471 B + 2^15) / 2^16, rounded down; gray becomes RGB by repeating it.
 * ESPQ_EFORMAT: no PNG or JPEG, or damaged; ESPQ_EUNSUPPORTED; ESPQ_ELIMIT; ESPQ_EMEMORY. */
espq_status espq_image_decode(const void *bytes, size_t size, int channels, espq_image *out, espq_error *err);

/* Bilinear, with half-pixel centres, smoothed when it gets smaller. For each axis of n pixels that is scaled to m:
 * output x looks at c = (x + 1/2) n/m with a triangle of half-width s = max(n/m, 1); the pixels i from
 * floor(c - s + 1/2) up to but without floor(c + s + 1/2) have the weight max(0, 1 - |i + 1/2 - c| / s), divided by
 * their sum and rounded to 22 fractional bits. Rows first, rounded to 8 bits, then columns.
 *
 * shorter 0: the picture is stretched to height x width. Else its shorter side is scaled to `shorter`, its longer one
 * in proportion (rounded down), and the centre of height x width is cut out; ESPQ_EFORMAT where it does not reach. */
espq_status espq_image_resize(const espq_image *in, int height, int width, int shorter, espq_image *out,
                              espq_error *err);

/* How a picture becomes numbers. */
typedef struct espq_image_form {
  int height, width, channels;
  int shorter;        /* as in espq_image_resize; -1: nothing is resized, another size is refused */
  bool bgr;           /* channels in this order */
  bool planar;        /* channels x height x width instead of height x width x channels */
  const float *table; /* channels x 256: what a pixel's value becomes, in the order of the output's channels */
} espq_image_form;

/* Reads n files, on so many threads (0: one per CPU), and writes height * width * channels numbers for each, in the
 * order of the paths. problems[i].status says how file i fared; its text begins with the path. The result is ESPQ_OK
 * when all went well, else the first problem, which *err repeats. */
espq_status espq_image_load(const char *const *paths, size_t n, const espq_image_form *form, int threads, float *out,
                            espq_error *problems, espq_error *err);

#endif
