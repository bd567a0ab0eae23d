/* From a file to the numbers of a network's input. */
#include "base/alloc.h"
#include "base/file.h"
#include "base/pool.h"
#include "image/image.h"

static void write_numbers(const espq_image *image, const espq_image_form *form, float *out) {
  size_t n = (size_t)form->height * (size_t)form->width, channels = (size_t)form->channels;
  size_t pixel = form->planar ? 1 : channels, plane = form->planar ? n : 1;
  for (size_t c = 0; c < channels; c++) {
    const unsigned char *in = image->pixels + (form->bgr ? channels - 1 - c : c);
    const float *table = form->table + 256 * c;
    for (size_t i = 0; i < n; i++) out[i * pixel + c * plane] = table[in[i * channels]];
  }
}

static espq_status fit(espq_image *image, const espq_image_form *form, espq_error *err) {
  if (image->height == form->height && image->width == form->width && form->shorter <= 0) return ESPQ_OK;
  if (form->shorter < 0)
    return espq_fail(err, ESPQ_EFORMAT, "an image of %dx%d (height x width), %dx%d expected; give a size to resize to",
                     image->height, image->width, form->height, form->width);
  espq_image resized;
  espq_status status = espq_image_resize(image, form->height, form->width, form->shorter, &resized, err);
  if (status) return status;
  espq_free(image->pixels);
  *image = resized;
  return ESPQ_OK;
}

static espq_status load(const unsigned char *bytes, size_t size, const espq_image_form *form, float *out,
                        espq_error *err) {
  espq_image image;
  espq_status status = espq_image_decode(bytes, size, form->channels, &image, err);
  if (status) return status;
  status = fit(&image, form, err);
  if (!status) write_numbers(&image, form, out);
  espq_free(image.pixels);
  return status;
}

typedef struct batch {
  const char *const *paths;
  const espq_image_form *form;
  float *out;
  espq_error *problems;
} batch;

static void load_one(void *context, size_t i, int worker) {
  (void)worker;
  const batch *b = context;
  espq_error *err = &b->problems[i];
  size_t numbers = (size_t)b->form->height * (size_t)b->form->width * (size_t)b->form->channels, size;
  unsigned char *bytes;
  err->status = ESPQ_OK;
  if (espq_file_read(b->paths[i], ESPQ_IMAGE_MAX_BYTES, &bytes, &size, err)) return;
  if (load(bytes, size, b->form, b->out + i * numbers, err)) espq_error_prefix(err, "%s", b->paths[i]);
  espq_free(bytes);
}

espq_status espq_image_load(const char *const *paths, size_t n, const espq_image_form *form, int threads, float *out,
                            espq_error *problems, espq_error *err) {
  batch b = {paths, form, out, problems};
  espq_pool *pool;
  espq_status status = espq_pool_new(threads, &pool, err);
  if (status) return status;
  espq_pool_run(pool, n, load_one, &b);
  espq_pool_free(pool);
  for (size_t i = 0; i < n; i++)
    if (problems[i].status) return espq_fail(err, problems[i].status, "%s", problems[i].text);
  return ESPQ_OK;
}
