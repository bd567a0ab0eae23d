/* digest.h - SHA-256, which names models and data sets in tables, and SHA-1, by which ONNX files know their external
 * data (both FIPS 180-4).
 *
 *   char hex[ESPQ_DIGEST_HEX];
 *   espq_digest d;
 *   espq_sha256_init(&d);
 *   espq_digest_add(&d, bytes, size);     -- as often as there are pieces
 *   espq_digest_hex(&d, hex);
 */
#ifndef ESPQ_BASE_DIGEST_H
#define ESPQ_BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

enum { ESPQ_DIGEST_HEX = 65 }; /* at most 64 digits, 40 of SHA-1, and the NUL */

typedef struct espq_digest {
  void (*compress)(uint32_t *state, const unsigned char *block);
  uint32_t state[8];
  int words;      /* of the state */
  uint64_t total; /* bytes added */
  unsigned char block[64];
} espq_digest;

void espq_sha256_init(espq_digest *d);
void espq_sha1_init(espq_digest *d);
void espq_digest_add(espq_digest *d, const void *bytes, size_t size);
void espq_digest_hex(espq_digest *d, char *hex); /* ends it */

#endif
