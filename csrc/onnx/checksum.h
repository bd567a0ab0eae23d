/* checksum.h - external data against the SHA-1 of its file, which a model may give for each of its tensors.
 *
 * Many tensors lie in one file, so digests are kept: those of the last few files, told apart by device and inode. Files
 * longer than the limit of external data are not read.
 *
 *   espq_onnx_checksums sums = {.left = limits->bytes};
 *   espq_onnx_checksum_verify(&sums, fd, "weights.bin", "da39a3ee...", err);
 */
#ifndef ESPQ_ONNX_CHECKSUM_H
#define ESPQ_ONNX_CHECKSUM_H

#include "base/digest.h"
#include "base/error.h"

enum { ESPQ_ONNX_CHECKSUMS = 8 };

typedef struct espq_onnx_checksums {
  uint64_t left; /* bytes that may still be read for digests */
  int next;      /* whose place the next file takes */
  struct {
    uint64_t device, inode;
    char hex[ESPQ_DIGEST_HEX]; /* "": none yet */
  } file[ESPQ_ONNX_CHECKSUMS];
} espq_onnx_checksums;

/* ESPQ_EFORMAT: `expected` is no SHA-1 in hexadecimal digits, or not that of the open file; ESPQ_ELIMIT: too many bytes
 * to read. */
espq_status espq_onnx_checksum_verify(espq_onnx_checksums *sums, int fd, const char *location, const char *expected,
                                      espq_error *err);

#endif
