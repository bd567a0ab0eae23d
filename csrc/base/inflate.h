/* inflate.h - unpacking of deflate streams (zip, gzip, npz, PNG-like) and their checksum.
 *
 * A packed byte can become a thousand, so the caller says how many bytes it is willing to get.
 *
 *   unsigned char *bytes;
 *   size_t size;
 *   if (espq_inflate(packed, n, 1 << 20, true, &bytes, &size, err)) return err->status;
 *   espq_free(bytes);
 */
#ifndef ESPQ_BASE_INFLATE_H
#define ESPQ_BASE_INFLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* The whole stream (raw: deflate alone; otherwise with zlib's header and checksum) into a block of espq_alloc.
 * ESPQ_ELIMIT: more than `limit` bytes come out. ESPQ_EFORMAT: damaged, cut short, or followed by other bytes. */
espq_status espq_inflate(const void *packed, size_t packed_size, size_t limit, bool raw, unsigned char **bytes,
                         size_t *size, espq_error *err);

/* CRC-32 of zip, gzip and PNG. */
uint32_t espq_crc32(const void *bytes, size_t size);

#endif
