/* Which decoder a file needs, and gray from RGB and back. */
#include <string.h>

#include "base/alloc.h"
#include "image/codec.h"

espq_status espq_image_new(int64_t height, int64_t width, int channels, int64_t most, espq_image *out,
                           espq_error *err) {
  if (height < 1 || width < 1)
    return espq_fail(err, ESPQ_EFORMAT, "the image is %lld x %lld", (long long)width, (long long)height);
  if (height > ESPQ_IMAGE_MAX_SIDE || width > ESPQ_IMAGE_MAX_SIDE || height * width > ESPQ_IMAGE_MAX_PIXELS)
    return espq_fail(err, ESPQ_ELIMIT, "an image of %lld x %lld; the limit is %d pixels, none of its sides above %d",
                     (long long)width, (long long)height, ESPQ_IMAGE_MAX_PIXELS, ESPQ_IMAGE_MAX_SIDE);
  if (height * width > most)
    return espq_fail(err, ESPQ_EFORMAT, "an image of %lld x %lld, but the file is too short for more than %lld pixels",
                     (long long)width, (long long)height, (long long)most);
  unsigned char *pixels = espq_alloc((size_t)(height * width) * (size_t)channels);
  if (!pixels) return espq_fail_memory(err);
  *out = (espq_image){(int)height, (int)width, channels, pixels};
  return ESPQ_OK;
}

static void to_gray(const unsigned char *rgb, size_t n, unsigned char *gray) {
  for (size_t i = 0; i < n; i++, rgb += 3)
    gray[i] = (unsigned char)((19595 * rgb[0] + 38470 * rgb[1] + 7471 * rgb[2] + (1 << 15)) >> 16);
}

static void to_rgb(const unsigned char *gray, size_t n, unsigned char *rgb) {
  for (size_t i = 0; i < n; i++) memset(rgb + 3 * i, gray[i], 3);
}

static espq_status convert(espq_image *image, int channels, espq_error *err) {
  espq_image out;
  espq_status status = espq_image_new(image->height, image->width, channels, INT64_MAX, &out, err);
  if (!status) {
    (channels == 1 ? to_gray : to_rgb)(image->pixels, (size_t)image->height * (size_t)image->width, out.pixels);
    espq_free(image->pixels);
    *image = out;
  }
  return status;
}

espq_status espq_image_decode(const void *bytes, size_t size, int channels, espq_image *out, espq_error *err) {
  espq_image image = {0};
  espq_status status;
  if (size >= 8 && !memcmp(bytes, "\x89PNG\r\n\x1a\n", 8)) status = espq_png_decode(bytes, size, &image, err);
  else if (size >= 3 && !memcmp(bytes, "\xff\xd8\xff", 3)) status = espq_jpeg_decode(bytes, size, &image, err);
  else return espq_fail(err, ESPQ_EFORMAT, "neither PNG nor JPEG, by its first bytes");
  if (!status && channels && channels != image.channels) status = convert(&image, channels, err);
  if (status) {
    espq_free(image.pixels);
    return status;
  }
  *out = image;
  return ESPQ_OK;
}
