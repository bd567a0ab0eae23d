/* JPEG with libjpeg-turbo. Its errors are longjmps, so all that a decoding owns lies in one struct outside of the jump.
 * The library has no hook for memory; what it takes is bounded by the limits on pixels, components and scans. */
#include <setjmp.h>
#include <stdio.h> /* jpeglib.h needs FILE */

#include <jpeglib.h>

#include <jerror.h>

#include "base/alloc.h"
#include "image/codec.h"

typedef struct reader {
  struct jpeg_decompress_struct jpeg;
  struct jpeg_error_mgr errors;
  struct jpeg_progress_mgr progress;
  jmp_buf failed;
  espq_image *out;
  espq_error *err;
  espq_status status;
} reader;

_Noreturn static void stop(reader *r, espq_status status) {
  r->status = status;
  longjmp(r->failed, 1);
}

static espq_status kind_of(int code) {
  switch (code) {
    case JERR_OUT_OF_MEMORY: return ESPQ_EMEMORY;
    case JERR_ARITH_NOTIMPL:
    case JERR_BAD_PRECISION:
    case JERR_SOF_UNSUPPORTED: return ESPQ_EUNSUPPORTED;
    default: return ESPQ_EFORMAT;
  }
}

static void on_error(j_common_ptr jpeg) {
  reader *r = jpeg->client_data;
  char text[JMSG_LENGTH_MAX];
  jpeg->err->format_message(jpeg, text);
  stop(r, espq_fail(r->err, kind_of(jpeg->err->msg_code), "JPEG: %s", text));
}

/* Level -1 are warnings: the library would go on with gray where data is missing. */
static void on_message(j_common_ptr jpeg, int level) {
  if (level < 0) on_error(jpeg);
}

/* Called often, also while a file of many scans is read. */
static void on_progress(j_common_ptr jpeg) {
  reader *r = jpeg->client_data;
  if (r->jpeg.input_scan_number > ESPQ_IMAGE_MAX_SCANS)
    stop(r, espq_fail(r->err, ESPQ_ELIMIT, "JPEG: more than %d scans", ESPQ_IMAGE_MAX_SCANS));
}

/* Channels of the colours that the file has and that we want; refuses any others. */
static int choose_colours(reader *r) {
  J_COLOR_SPACE colours = r->jpeg.jpeg_color_space;
  if (colours == JCS_GRAYSCALE) return 1;
  if (colours != JCS_RGB && colours != JCS_YCbCr)
    stop(r, espq_fail(r->err, ESPQ_EUNSUPPORTED, "JPEG: %s with %d components; save it as RGB or gray",
                      colours == JCS_CMYK || colours == JCS_YCCK ? "CMYK" : "unknown colours", r->jpeg.num_components));
  r->jpeg.out_color_space = JCS_RGB;
  return 3;
}

/* Huffman codes take at least one bit for a block of 64 pixels; arithmetic coding can do better. */
static int64_t most_pixels(const reader *r, size_t size) {
  return r->jpeg.arith_code ? INT64_MAX : (int64_t)size * 8 * 64;
}

/* A component that no scan has told of would become gray. All scans but the only one are read by now. */
static void check_components(reader *r) {
  for (int i = 0; i < r->jpeg.num_components; i++)
    if (!r->jpeg.comp_info[i].quant_table)
      stop(r, espq_fail(r->err, ESPQ_EFORMAT, "JPEG: no data for component %d of %d", i + 1, r->jpeg.num_components));
}

static void read_pixels(reader *r, const unsigned char *bytes, size_t size) {
  struct jpeg_decompress_struct *jpeg = &r->jpeg;
  jpeg_create_decompress(jpeg);
  jpeg->progress = &r->progress;
  jpeg_mem_src(jpeg, bytes, size);
  jpeg_read_header(jpeg, TRUE);
  int channels = choose_colours(r);
  espq_status status =
      espq_image_new(jpeg->image_height, jpeg->image_width, channels, most_pixels(r, size), r->out, r->err);
  if (status) stop(r, status);
  jpeg->dct_method = JDCT_ISLOW;
  jpeg_start_decompress(jpeg);
  check_components(r);
  size_t row = (size_t)r->out->width * (size_t)channels;
  while (jpeg->output_scanline < jpeg->output_height) {
    JSAMPROW line = r->out->pixels + jpeg->output_scanline * row;
    jpeg_read_scanlines(jpeg, &line, 1);
  }
  jpeg_finish_decompress(jpeg);
}

static void decode(reader *r, const unsigned char *bytes, size_t size) {
  if (!setjmp(r->failed)) read_pixels(r, bytes, size);
}

espq_status espq_jpeg_decode(const unsigned char *bytes, size_t size, espq_image *out, espq_error *err) {
  reader r = {.out = out, .err = err, .progress.progress_monitor = on_progress};
  r.jpeg.err = jpeg_std_error(&r.errors);
  r.errors.error_exit = on_error;
  r.errors.emit_message = on_message;
  r.jpeg.client_data = &r;
  decode(&r, bytes, size);
  jpeg_destroy_decompress(&r.jpeg);
  if (!r.status) return ESPQ_OK;
  espq_free(out->pixels);
  out->pixels = NULL;
  return r.status;
}
