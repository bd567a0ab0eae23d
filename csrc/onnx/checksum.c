#include "onnx/checksum.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/file.h"

enum { DIGITS = 40, PIECE = 1 << 16 };

static espq_status read_all(int fd, const char *location, uint64_t size, espq_digest *d, espq_error *err) {
  unsigned char *piece = espq_alloc(PIECE);
  espq_status status = piece ? ESPQ_OK : espq_fail_memory(err);
  for (uint64_t at = 0; at < size && !status; at += PIECE) {
    size_t n = size - at < PIECE ? (size_t)(size - at) : PIECE;
    status = espq_file_read_at(fd, location, at, piece, n, err);
    if (!status) espq_digest_add(d, piece, n);
  }
  espq_free(piece);
  return status;
}

/* The file's digest, from what is kept or from the file; NULL: failed. */
static const char *digest_of(espq_onnx_checksums *sums, int fd, const char *location, espq_error *err) {
  struct stat st;
  espq_digest d;
  if (fstat(fd, &st)) {
    espq_fail(err, ESPQ_EIO, "external data '%.200s' cannot be looked at", location);
    return NULL;
  }
  for (int i = 0; i < ESPQ_ONNX_CHECKSUMS; i++)
    if (*sums->file[i].hex && sums->file[i].device == st.st_dev && sums->file[i].inode == st.st_ino)
      return sums->file[i].hex;
  if ((uint64_t)st.st_size > sums->left) {
    espq_fail(err, ESPQ_ELIMIT,
              "external data '%.200s': %" PRIu64 " bytes to check against a checksum, %" PRIu64
              " are left of the limit for all of them (--limit-bytes)",
              location, (uint64_t)st.st_size, sums->left);
    return NULL;
  }
  sums->left -= (uint64_t)st.st_size;
  espq_sha1_init(&d);
  if (read_all(fd, location, (uint64_t)st.st_size, &d, err)) return NULL;
  int k = sums->next++ % ESPQ_ONNX_CHECKSUMS;
  sums->file[k].device = st.st_dev;
  sums->file[k].inode = st.st_ino;
  espq_digest_hex(&d, sums->file[k].hex);
  return sums->file[k].hex;
}

espq_status espq_onnx_checksum_verify(espq_onnx_checksums *sums, int fd, const char *location, const char *expected,
                                      espq_error *err) {
  if (strlen(expected) != DIGITS || strspn(expected, "0123456789abcdefABCDEF") != DIGITS)
    return espq_fail(err, ESPQ_EFORMAT, "external data '%.200s': checksum '%.60s' is no SHA-1, expected %d digits",
                     location, expected, DIGITS);
  const char *hex = digest_of(sums, fd, location, err);
  if (!hex) return err->status;
  if (strcasecmp(hex, expected) == 0) return ESPQ_OK;
  return espq_fail(
      err, ESPQ_EFORMAT,
      "external data '%.200s': the file's SHA-1 is %s, the model's checksum is %s: the file was changed, or "
      "belongs to another model",
      location, hex, expected);
}
