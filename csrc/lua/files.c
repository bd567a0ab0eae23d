/* Files, checksums and what Lua has no function for: terminals, a monotonic clock, peak memory. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cipher.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/inflate.h"
#include "lua/espq_lua.h"

/* Bytes that a function of the core made become a string; the block is released at once. */
static int push_block(lua_State *L, void **block, size_t size) {
  lua_pushlstring(L, *block ? *block : "", size);
  espq_free(*block);
  *block = NULL;
  return 1;
}

static size_t opt_limit(lua_State *L, int arg) {
  if (lua_isnoneornil(L, arg)) return ESPQ_ALLOC_MAX;
  lua_Integer limit = luaL_checkinteger(L, arg);
  luaL_argcheck(L, limit >= 0, arg, "a number of bytes expected");
  return (size_t)limit;
}

/* core.read_file(path[, limit]) */
static int core_read_file(lua_State *L) {
  const char *path = espq_lua_checkname(L, 1);
  size_t limit = opt_limit(L, 2), size = 0;
  void **block = espq_lua_newblock(L);
  unsigned char *bytes = NULL;
  espq_error err;
  if (espq_file_read(path, limit, &bytes, &size, &err)) return espq_lua_fail(L, &err);
  *block = bytes;
  return push_block(L, block, size);
}

/* core.read_part(path, offset, size): at most size bytes from offset on, and the size of the whole file. */
static int core_read_part(lua_State *L) {
  const char *path = espq_lua_checkname(L, 1);
  lua_Integer offset = luaL_checkinteger(L, 2), size = luaL_checkinteger(L, 3);
  luaL_argcheck(L, offset >= 0, 2, "an offset expected");
  luaL_argcheck(L, size >= 0 && (uint64_t)size <= ESPQ_ALLOC_MAX, 3, "a number of bytes expected");
  void **block = espq_lua_newblock(L);
  unsigned char *bytes = NULL;
  size_t got = 0;
  uint64_t total = 0;
  espq_error err;
  if (espq_file_read_part(path, (uint64_t)offset, (size_t)size, &bytes, &got, &total, &err))
    return espq_lua_fail(L, &err);
  *block = bytes;
  push_block(L, block, got);
  lua_pushinteger(L, (lua_Integer)total);
  return 2;
}

/* core.write_file(path, bytes): the whole file, or nothing changes. */
static int core_write_file(lua_State *L) {
  size_t size;
  const char *path = espq_lua_checkname(L, 1), *bytes = luaL_checklstring(L, 2, &size);
  espq_error err;
  espq_status status = espq_file_write(path, bytes, size, &err);
  return espq_lua_done(L, status, &err);
}

enum { MOST_FILES = 1 << 16 };

static const char *string_at(lua_State *L, int arg, int i, size_t *size) {
  if (lua_rawgeti(L, arg, i) != LUA_TSTRING) luaL_argerror(L, arg, "a list of strings expected");
  const char *text = lua_tolstring(L, -1, size);
  lua_pop(L, 1); /* the list keeps it */
  return text;
}

/* core.write_files(paths, texts): files that belong together, each the whole; or nothing changes. */
static int core_write_files(lua_State *L) {
  int n = espq_lua_checklist(L, 1, MOST_FILES);
  luaL_argcheck(L, espq_lua_checklist(L, 2, MOST_FILES) == n, 2, "as many texts as paths expected");
  espq_file_new *files = espq_lua_scratch(L, (size_t)n, sizeof *files);
  espq_file_block *blocks = espq_lua_scratch(L, (size_t)n, sizeof *blocks);
  for (int i = 0; i < n; i++) {
    size_t size;
    blocks[i].bytes = string_at(L, 2, i + 1, &blocks[i].size);
    files[i] = (espq_file_new){string_at(L, 1, i + 1, &size), espq_file_put_block, &blocks[i]};
    luaL_argcheck(L, strlen(files[i].path) == size, 1, "names without zero bytes expected");
  }
  espq_error err;
  espq_status status = espq_files_write(files, (size_t)n, &err);
  return espq_lua_done(L, status, &err);
}

/* core.inflate(bytes[, limit[, raw]]) */
static int core_inflate(lua_State *L) {
  size_t packed_size, size = 0;
  const char *packed = luaL_checklstring(L, 1, &packed_size);
  size_t limit = opt_limit(L, 2);
  bool raw = lua_toboolean(L, 3);
  void **block = espq_lua_newblock(L);
  unsigned char *bytes = NULL;
  espq_error err;
  if (espq_inflate(packed, packed_size, limit, raw, &bytes, &size, &err)) return espq_lua_fail(L, &err);
  *block = bytes;
  return push_block(L, block, size);
}

static int core_crc32(lua_State *L) {
  size_t size;
  const char *bytes = luaL_checklstring(L, 1, &size);
  lua_pushinteger(L, espq_crc32(bytes, size));
  return 1;
}

/* core.make_folder(path): makes it, unless it is there. */
static int core_make_folder(lua_State *L) {
  const char *path = espq_lua_checkname(L, 1);
  espq_error err;
  struct stat s;
  if (mkdir(path, 0777) == 0 || (errno == EEXIST && stat(path, &s) == 0 && S_ISDIR(s.st_mode))) {
    lua_pushboolean(L, true);
    return 1;
  }
  espq_fail(&err, ESPQ_EIO, "cannot make the folder '%s': %s", path, strerror(errno));
  return espq_lua_fail(L, &err);
}

/* core.aes128_ctr(bytes, key, counter): the bytes encrypted, or decrypted, with a key and a first counter of 16 bytes. */
static int core_aes128_ctr(lua_State *L) {
  size_t size, key_size, counter_size;
  const char *bytes = luaL_checklstring(L, 1, &size), *key = luaL_checklstring(L, 2, &key_size);
  const char *counter = luaL_checklstring(L, 3, &counter_size);
  luaL_argcheck(L, key_size == ESPQ_AES_BLOCK, 2, "16 bytes expected");
  luaL_argcheck(L, counter_size == ESPQ_AES_BLOCK, 3, "16 bytes expected");
  luaL_Buffer out;
  char *to = luaL_buffinitsize(L, &out, size);
  espq_aes128_ctr((const uint8_t *)key, (const uint8_t *)counter, size, (const uint8_t *)bytes, (uint8_t *)to);
  luaL_pushresultsize(&out, size);
  return 1;
}

static int core_sha256(lua_State *L) {
  size_t size;
  const char *bytes = luaL_checklstring(L, 1, &size);
  char hex[ESPQ_DIGEST_HEX];
  espq_digest s;
  espq_sha256_init(&s);
  espq_digest_add(&s, bytes, size);
  espq_digest_hex(&s, hex);
  lua_pushstring(L, hex);
  return 1;
}

/* core.check_folder(path): whether files can be made in it. */
static int core_check_folder(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  struct stat st;
  espq_error err = {0};
  if (stat(path, &st) || (S_ISDIR(st.st_mode) && access(path, W_OK | X_OK)))
    espq_fail(&err, ESPQ_EIO, "cannot write into folder '%s': %s", path, strerror(errno));
  else if (!S_ISDIR(st.st_mode)) espq_fail(&err, ESPQ_EIO, "cannot write into folder '%s': it is no folder", path);
  return espq_lua_done(L, err.status, &err);
}

/* core.isatty(fd): 0, 1 and 2 are stdin, stdout and stderr. */
static int core_isatty(lua_State *L) {
  lua_Integer fd = luaL_checkinteger(L, 1);
  lua_pushboolean(L, fd >= 0 && fd <= INT32_MAX && isatty((int)fd));
  return 1;
}

/* core.has_failed(file): whether something written to this file of Lua's io is lost. */
static int core_has_failed(lua_State *L) {
  const luaL_Stream *stream = luaL_checkudata(L, 1, LUA_FILEHANDLE);
  luaL_argcheck(L, stream->closef, 1, "an open file expected");
  lua_pushboolean(L, ferror(stream->f));
  return 1;
}

/* core.clock(): seconds since some moment, for differences; never goes back. */
static int core_clock(lua_State *L) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  lua_pushnumber(L, (lua_Number)now.tv_sec + (lua_Number)now.tv_nsec * 1e-9);
  return 1;
}

/* core.peak_rss(): the most bytes of memory that the process ever held. */
static int core_peak_rss(lua_State *L) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  lua_pushinteger(L, (lua_Integer)usage.ru_maxrss * 1024);
  return 1;
}

void espq_lua_open_files(lua_State *L) {
  static const luaL_Reg functions[] = {{"check_folder", core_check_folder},
                                       {"clock", core_clock},
                                       {"crc32", core_crc32},
                                       {"has_failed", core_has_failed},
                                       {"inflate", core_inflate},
                                       {"isatty", core_isatty},
                                       {"peak_rss", core_peak_rss},
                                       {"read_file", core_read_file},
                                       {"read_part", core_read_part},
                                       {"sha256", core_sha256},
                                       {"make_folder", core_make_folder},
                                       {"aes128_ctr", core_aes128_ctr},
                                       {"write_file", core_write_file},
                                       {"write_files", core_write_files},
                                       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
