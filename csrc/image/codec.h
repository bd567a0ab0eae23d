/* codec.h - what the decoders and decode.c share. */
#ifndef ESPQ_IMAGE_CODEC_H
#define ESPQ_IMAGE_CODEC_H

#include "image/image.h"

/* Gives *out its pixels once a header told the size: the limits are checked here, and that the file can hold so many
 * pixels (`most`), so that a few bytes never get much memory. */
espq_status espq_image_new(int64_t height, int64_t width, int channels, int64_t most, espq_image *out, espq_error *err);

/* Each leaves *out without pixels when it fails. */
espq_status espq_png_decode(const unsigned char *bytes, size_t size, espq_image *out, espq_error *err);
espq_status espq_jpeg_decode(const unsigned char *bytes, size_t size, espq_image *out, espq_error *err);

#endif
