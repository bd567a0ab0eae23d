/* PNG with libpng. Its errors are longjmps, so all that a decoding owns lies in one struct outside of the jump. */
#include <png.h>
#include <string.h>

#include "base/alloc.h"
#include "image/codec.h"

typedef struct reader {
  png_structp png;
  png_infop info;
  const unsigned char *bytes;
  size_t size, at;
  espq_image *out;
  espq_error *err;
  espq_status status; /* of what failed outside of libpng; ESPQ_OK: libpng said why */
} reader;

static void *allocate(png_structp png, png_alloc_size_t bytes) {
  (void)png;
  return espq_alloc(bytes);
}

static void release(png_structp png, void *block) {
  (void)png;
  espq_free(block);
}

static void read_bytes(png_structp png, png_bytep into, size_t n) {
  reader *r = png_get_io_ptr(png);
  if (n > r->size - r->at) png_error(png, "the file ends too early");
  memcpy(into, r->bytes + r->at, n);
  r->at += n;
}

static void on_error(png_structp png, const char *text) {
  reader *r = png_get_error_ptr(png);
  r->status = strstr(text, "memory") ? espq_fail_memory(r->err) : espq_fail(r->err, ESPQ_EFORMAT, "PNG: %s", text);
  png_longjmp(png, 1);
}

static void on_warning(png_structp png, const char *text) {
  (void)png;
  (void)text;
}

_Noreturn static void stop(reader *r, espq_status status) {
  r->status = status;
  png_longjmp(r->png, 1);
}

/* Pixels only: no profile, text or date is unpacked or kept. A wrong checksum is an error in any chunk. */
static void set_up(reader *r) {
  png_set_read_fn(r->png, r, read_bytes);
  png_set_user_limits(r->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX); /* espq_image_new words the refusal */
  png_set_chunk_cache_max(r->png, 16);
  png_set_chunk_malloc_max(r->png, 1 << 20);
  png_set_keep_unknown_chunks(r->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
  png_set_crc_action(r->png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
}

/* Asks for 8-bit gray or RGB. */
static void set_transformations(reader *r) {
  png_set_expand(r->png);
  png_set_scale_16(r->png);
  png_set_strip_alpha(r->png);
}

/* Deflate makes a byte of at most 1032. */
static int64_t most_pixels(const reader *r) {
  int bits = png_get_bit_depth(r->png, r->info) * png_get_channels(r->png, r->info);
  return (int64_t)r->size * 1032 * 8 / bits;
}

static void read_pixels(reader *r) {
  png_read_info(r->png, r->info);
  int64_t height = png_get_image_height(r->png, r->info), width = png_get_image_width(r->png, r->info);
  int channels = png_get_color_type(r->png, r->info) & PNG_COLOR_MASK_COLOR ? 3 : 1;
  espq_status status = espq_image_new(height, width, channels, most_pixels(r), r->out, r->err);
  if (status) stop(r, status);
  set_transformations(r);
  int passes = png_set_interlace_handling(r->png);
  png_read_update_info(r->png, r->info);
  size_t row = (size_t)width * (size_t)channels;
  if (png_get_rowbytes(r->png, r->info) != row) stop(r, espq_fail(r->err, ESPQ_EBUG, "PNG: a row of another size"));
  for (int pass = 0; pass < passes; pass++)
    for (int64_t y = 0; y < height; y++) png_read_row(r->png, r->out->pixels + (size_t)y * row, NULL);
  png_read_end(r->png, NULL);
}

static void decode(reader *r) {
  if (setjmp(png_jmpbuf(r->png))) return;
  set_up(r);
  read_pixels(r);
}

espq_status espq_png_decode(const unsigned char *bytes, size_t size, espq_image *out, espq_error *err) {
  reader r = {.bytes = bytes, .size = size, .out = out, .err = err};
  r.png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &r, on_error, on_warning, NULL, allocate, release);
  if (!r.png) return espq_fail_memory(err);
  r.info = png_create_info_struct(r.png);
  if (r.info) decode(&r);
  else r.status = espq_fail_memory(err);
  png_destroy_read_struct(&r.png, &r.info, NULL);
  if (!r.status) return ESPQ_OK;
  espq_free(out->pixels);
  out->pixels = NULL;
  return r.status;
}
