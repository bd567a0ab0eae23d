/* SHA-1 by the examples of its standard, in pieces of all sizes; SHA-256 is tested from Lua. */
#include <string.h>

#include "base/digest.h"
#include "check.h"

static void expect(const char *hex, const char *text, size_t repeat, size_t piece) {
  char got[ESPQ_DIGEST_HEX];
  espq_digest d;
  espq_sha1_init(&d);
  for (size_t i = 0; i < repeat; i++)
    for (size_t at = 0, size = strlen(text); at < size; at += piece)
      espq_digest_add(&d, text + at, size - at < piece ? size - at : piece);
  espq_digest_hex(&d, got);
  if (!CHECK(strcmp(got, hex) == 0)) fprintf(stderr, "  '%.20s' x %zu: %s\n", text, repeat, got);
}

int main(void) {
  static const char two_blocks[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
  expect("da39a3ee5e6b4b0d3255bfef95601890afd80709", "", 1, 1);
  expect("a9993e364706816aba3e25717850c26c9cd0d89d", "abc", 1, 8);
  for (size_t piece = 1; piece < 70; piece++) expect("84983e441c3bd26ebaae4aa1f95129e5e54670f1", two_blocks, 1, piece);
  expect("34aa973cd4c4daa4f61eeb2bdbad27316534016f", "aaaaaaaaaa", 100000, 7);
  return check_report();
}
