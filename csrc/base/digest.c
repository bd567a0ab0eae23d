#include "base/digest.h"

#include <stdio.h>
#include <string.h>

/* The first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
static const uint32_t round_constant[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t turn(uint32_t x, int n) { return x >> n | x << (32 - n); } /* to the right */

static uint32_t big_endian(const unsigned char *p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void schedule256(const unsigned char *block, uint32_t w[64]) {
  for (int i = 0; i < 16; i++) w[i] = big_endian(block + 4 * i);
  for (int i = 16; i < 64; i++) {
    uint32_t a = w[i - 15], b = w[i - 2];
    uint32_t s0 = turn(a, 7) ^ turn(a, 18) ^ a >> 3, s1 = turn(b, 17) ^ turn(b, 19) ^ b >> 10;
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
}

static void compress256(uint32_t *state, const unsigned char *block) {
  uint32_t w[64], v[8];
  schedule256(block, w);
  memcpy(v, state, sizeof v);
  for (int i = 0; i < 64; i++) {
    uint32_t a = v[0], e = v[4];
    uint32_t choice = (e & v[5]) ^ (~e & v[6]), majority = (a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]);
    uint32_t t1 = v[7] + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + choice + round_constant[i] + w[i];
    uint32_t t2 = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + majority;
    memmove(v + 1, v, 7 * sizeof *v);
    v[4] += t1;
    v[0] = t1 + t2;
  }
  for (int i = 0; i < 8; i++) state[i] += v[i];
}

void espq_sha256_init(espq_digest *d) {
  /* The first 32 bits of the fractional parts of the square roots of the first eight primes. */
  *d = (espq_digest){
      .compress = compress256,
      .words = 8,
      .state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
}

/* What rounds 20k to 20k + 19 mix of three words, with their constant: the square roots of 2, 3, 5 and 10. */
static uint32_t mix(int round, uint32_t b, uint32_t c, uint32_t d) {
  if (round < 20) return ((b & c) | (~b & d)) + 0x5a827999;
  if (round < 40) return (b ^ c ^ d) + 0x6ed9eba1;
  if (round < 60) return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
  return (b ^ c ^ d) + 0xca62c1d6;
}

static void compress1(uint32_t *state, const unsigned char *block) {
  uint32_t w[80], v[5];
  for (int i = 0; i < 16; i++) w[i] = big_endian(block + 4 * i);
  for (int i = 16; i < 80; i++) w[i] = turn(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 31);
  memcpy(v, state, sizeof v);
  for (int i = 0; i < 80; i++) {
    uint32_t next = turn(v[0], 27) + mix(i, v[1], v[2], v[3]) + v[4] + w[i];
    memmove(v + 1, v, 4 * sizeof *v);
    v[2] = turn(v[2], 2);
    v[0] = next;
  }
  for (int i = 0; i < 5; i++) state[i] += v[i];
}

void espq_sha1_init(espq_digest *d) {
  *d = (espq_digest){
      .compress = compress1, .words = 5, .state = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}};
}

void espq_digest_add(espq_digest *d, const void *bytes, size_t size) {
  const unsigned char *p = bytes;
  size_t used = d->total % 64;
  d->total += size;
  if (used) {
    size_t n = size < 64 - used ? size : 64 - used;
    if (n) memcpy(d->block + used, p, n);
    p += n;
    size -= n;
    if (used + n < 64) return;
    d->compress(d->state, d->block);
  }
  for (; size >= 64; p += 64, size -= 64) d->compress(d->state, p);
  if (size) memcpy(d->block, p, size);
}

void espq_digest_hex(espq_digest *d, char *hex) {
  static const unsigned char padding[64] = {0x80};
  unsigned char length[8];
  uint64_t bits = d->total * 8;
  for (int i = 0; i < 8; i++) length[i] = (unsigned char)(bits >> (56 - 8 * i));
  espq_digest_add(d, padding, 1 + (119 - d->total % 64) % 64);
  espq_digest_add(d, length, sizeof length);
  for (int i = 0; i < d->words; i++) snprintf(hex + 8 * i, 9, "%08x", (unsigned)d->state[i]);
}
