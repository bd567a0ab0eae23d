/* cipher.h - AES-128 in counter mode, as .espdl files are encrypted with: by nettle.
 *
 *   espq_aes128_ctr(key, counter, size, in, out);     -- the same call encrypts and decrypts
 */
#ifndef ESPQ_BASE_CIPHER_H
#define ESPQ_BASE_CIPHER_H

#include <stddef.h>
#include <stdint.h>

enum { ESPQ_AES_BLOCK = 16 };

/* `size` bytes from in to out, which may be in. `counter` is the first counter block, big-endian. */
void espq_aes128_ctr(const uint8_t key[ESPQ_AES_BLOCK], const uint8_t counter[ESPQ_AES_BLOCK], size_t size,
                     const uint8_t *in, uint8_t *out);

#endif
