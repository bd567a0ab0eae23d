/* sha256.h - SHA-256 (FIPS 180-4), which names models and data sets in tables.
 *
 *   char hex[ESPQ_SHA256_HEX];
 *   espq_sha256 s;
 *   espq_sha256_init(&s);
 *   espq_sha256_add(&s, bytes, size);     -- as often as there are pieces
 *   espq_sha256_hex(&s, hex);
 */
#ifndef ESPQ_BASE_SHA256_H
#define ESPQ_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { ESPQ_SHA256_HEX = 65 }; /* 64 digits and the NUL */

typedef struct espq_sha256 {
  uint32_t state[8];
  uint64_t total; /* bytes added */
  unsigned char block[64];
} espq_sha256;

void espq_sha256_init(espq_sha256 *s);
void espq_sha256_add(espq_sha256 *s, const void *bytes, size_t size);
void espq_sha256_hex(espq_sha256 *s, char *hex); /* ends it */

#endif
