#include "base/inflate.h"

#include <limits.h>
#include <string.h>
#include <zlib.h>

#include "base/alloc.h"

enum { FIRST = 1 << 16 };

typedef struct unpacker {
  z_stream z;
  const unsigned char *packed;
  size_t packed_left; /* not yet given to zlib, whose counters have 32 bits */
  unsigned char *bytes;
  size_t size, capacity, limit;
} unpacker;

static void *allocate(void *opaque, uInt items, uInt size) {
  (void)opaque;
  return espq_alloc((size_t)items * size);
}

static void release(void *opaque, void *block) {
  (void)opaque;
  espq_free(block);
}

/* Makes room for more output: twice as much, at most one byte more than the limit, which shows that it is passed. */
static espq_status make_room(unpacker *u, espq_error *err) {
  size_t most = u->limit == SIZE_MAX ? SIZE_MAX : u->limit + 1;
  if (u->size < u->capacity) return ESPQ_OK;
  size_t capacity = u->capacity ? u->capacity * 2 : FIRST;
  if (capacity > most) capacity = most;
  unsigned char *grown = espq_alloc(capacity);
  if (!grown) return espq_fail_memory(err);
  if (u->size) memcpy(grown, u->bytes, u->size);
  espq_free(u->bytes);
  u->bytes = grown;
  u->capacity = capacity;
  return ESPQ_OK;
}

static uInt piece(size_t size) { return size < UINT_MAX ? (uInt)size : UINT_MAX; }

/* One call of zlib. */
static int step(unpacker *u) {
  if (u->z.avail_in == 0) {
    u->z.next_in = (unsigned char *)u->packed;
    u->z.avail_in = piece(u->packed_left);
    u->packed += u->z.avail_in;
    u->packed_left -= u->z.avail_in;
  }
  uInt room = piece(u->capacity - u->size);
  u->z.next_out = u->bytes + u->size;
  u->z.avail_out = room;
  int code = inflate(&u->z, Z_NO_FLUSH);
  u->size += room - u->z.avail_out;
  return code;
}

static espq_status refuse(const unpacker *u, int code, espq_error *err) {
  if (code == Z_MEM_ERROR) return espq_fail_memory(err);
  if (code == Z_BUF_ERROR)
    return espq_fail(err, ESPQ_EFORMAT, "the packed bytes end too early, after %zu bytes of content", u->size);
  return espq_fail(err, ESPQ_EFORMAT, "the packed bytes are damaged after %zu bytes of content: %s", u->size,
                   u->z.msg ? u->z.msg : "a preset dictionary");
}

static espq_status unpack(unpacker *u, espq_error *err) {
  for (;;) {
    espq_status status = make_room(u, err);
    if (status) return status;
    int code = step(u);
    if (u->size > u->limit) return espq_fail(err, ESPQ_ELIMIT, "unpacks to more than %zu bytes", u->limit);
    if (code == Z_STREAM_END) break;
    if (code != Z_OK) return refuse(u, code, err);
  }
  size_t left = u->packed_left + u->z.avail_in;
  return left ? espq_fail(err, ESPQ_EFORMAT, "%zu bytes follow the packed ones", left) : ESPQ_OK;
}

espq_status espq_inflate(const void *packed, size_t packed_size, size_t limit, bool raw, unsigned char **bytes,
                         size_t *size, espq_error *err) {
  unpacker u = {
      .z = {.zalloc = allocate, .zfree = release}, .packed = packed, .packed_left = packed_size, .limit = limit};
  int code = inflateInit2(&u.z, raw ? -MAX_WBITS : MAX_WBITS);
  if (code != Z_OK) return code == Z_MEM_ERROR ? espq_fail_memory(err) : espq_fail(err, ESPQ_EBUG, "zlib: %d", code);
  espq_status status = unpack(&u, err);
  inflateEnd(&u.z);
  if (status) {
    espq_free(u.bytes);
    return status;
  }
  *bytes = u.bytes;
  *size = u.size;
  return ESPQ_OK;
}

uint32_t espq_crc32(const void *bytes, size_t size) { return (uint32_t)crc32_z(0, bytes, size); }
