#include "base/digest.h"

#include <stdio.h>

void espq_sha256_init(espq_digest *d) {
  d->is_sha1 = false;
  sha256_init(&d->context.sha256);
}

void espq_sha1_init(espq_digest *d) {
  d->is_sha1 = true;
  sha1_init(&d->context.sha1);
}

void espq_digest_add(espq_digest *d, const void *bytes, size_t size) {
  if (!size) return;
  if (d->is_sha1) sha1_update(&d->context.sha1, size, bytes);
  else sha256_update(&d->context.sha256, size, bytes);
}

void espq_digest_hex(espq_digest *d, char *hex) {
  uint8_t digest[SHA256_DIGEST_SIZE];
  size_t size = d->is_sha1 ? SHA1_DIGEST_SIZE : SHA256_DIGEST_SIZE;
  if (d->is_sha1) sha1_digest(&d->context.sha1, size, digest);
  else sha256_digest(&d->context.sha256, size, digest);
  for (size_t i = 0; i < size; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}
