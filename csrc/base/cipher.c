#include "base/cipher.h"

#include <nettle/aes.h>
#include <nettle/ctr.h>
#include <string.h>

void espq_aes128_ctr(const uint8_t key[ESPQ_AES_BLOCK], const uint8_t counter[ESPQ_AES_BLOCK], size_t size,
                     const uint8_t *in, uint8_t *out) {
  struct aes128_ctx aes;
  uint8_t block[ESPQ_AES_BLOCK]; /* it is counted up */
  memcpy(block, counter, sizeof block);
  aes128_set_encrypt_key(&aes, key);
  ctr_crypt(&aes, (nettle_cipher_func *)aes128_encrypt, AES_BLOCK_SIZE, block, size, out, in);
}
