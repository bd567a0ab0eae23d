/* digest.h - SHA-256, which names models and data sets in tables, and SHA-1, by which ONNX files know their external
 * data (both FIPS 180-4; nettle computes them).
 *
 *   char hex[ESPQ_DIGEST_HEX];
 *   espq_digest d;
 *   espq_sha256_init(&d);
 *   espq_digest_add(&d, bytes, size);     -- as often as there are pieces
 *   espq_digest_hex(&d, hex);
 */
#ifndef ESPQ_BASE_DIGEST_H
#define ESPQ_BASE_DIGEST_H

#include <nettle/sha1.h>
#include <nettle/sha2.h>
#include <stdbool.h>
#include <stddef.h>

enum { ESPQ_DIGEST_HEX = 2 * SHA256_DIGEST_SIZE + 1 }; /* 64 digits, or 40 of SHA-1, and the NUL */

typedef struct espq_digest {
  bool is_sha1;
  union {
    struct sha256_ctx sha256;
    struct sha1_ctx sha1;
  } context;
} espq_digest;

void espq_sha256_init(espq_digest *d);
void espq_sha1_init(espq_digest *d);
void espq_digest_add(espq_digest *d, const void *bytes, size_t size);
void espq_digest_hex(espq_digest *d, char *hex); /* ends it */

#endif
