/* faults.c - makes what the system does for espquant fail: the Nth allocation, write, rename ...
 *
 * Built into a second copy of the module, build/spec/faults/espquant/core.so, whose calls of the functions below the
 * linker leads here (--wrap, see CMakeLists.txt). What users get neither contains nor pays for any of it. Fallible:
 *
 *   memory  malloc and aligned_alloc under espq_alloc (and so protobuf-c, libpng and zlib, which allocate through it),
 *           every request to an arena, libjpeg's pools, oneDNN's objects
 *   lua     the allocator of the Lua state: the request and Lua's second try after a collection
 *   thread  pthread_create
 *   others  the system call of this name
 *
 *   local faults = package.loadlib(".../espquant/core.so", "luaopen_espquant_faults")()
 *   faults.arm("memory", 17)            -- or faults.arm("write", 1, "ENOSPC")
 *   ...
 *   local seen, failed = faults.disarm()  -- how many calls since arm, and whether one was made to fail
 *   faults.live()                         -- objects of the core that are not released: blocks, oneDNN's, threads
 */
#define _GNU_SOURCE
#include <dnnl.h>
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lua.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jpeglib.h>

#include <jerror.h>

#include "base/arena.h"

static const char *const kinds[] = {"memory", "lua",    "thread", "open",   "read",  "write", "fsync",
                                    "close",  "rename", "link",   "fchmod", "mkdir", NULL};
enum { MEMORY, LUA, THREAD, OPEN, READ, WRITE, FSYNC, CLOSE, RENAME, LINK, FCHMOD, MKDIR };

static atomic_int armed_kind = -1;
static atomic_long seen, wanted, live;
static atomic_bool failed, kill_instead;
static int number; /* the errno of a failing call */

/* Whether this call is the one to fail. */
static bool fails(int kind) {
  if (atomic_load(&armed_kind) != kind) return false;
  if (atomic_fetch_add(&seen, 1) + 1 != atomic_load(&wanted)) return false;
  if (atomic_load(&kill_instead)) raise(SIGKILL);
  atomic_store(&failed, true);
  errno = number;
  return true;
}

static bool system_fails(int kind) {
  if (fails(kind)) return true;
  /* A disk that is full stays full. */
  if (atomic_load(&failed) && atomic_load(&armed_kind) == kind && kind == WRITE && number == ENOSPC) {
    errno = number;
    return true;
  }
  return false;
}

static void *counted(void *block) {
  if (block) atomic_fetch_add(&live, 1);
  return block;
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t n, size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
void __real_free(void *block);

void *__wrap_malloc(size_t bytes) { return fails(MEMORY) ? NULL : counted(__real_malloc(bytes)); }
void *__wrap_calloc(size_t n, size_t bytes) { return fails(MEMORY) ? NULL : counted(__real_calloc(n, bytes)); }

void *__wrap_aligned_alloc(size_t alignment, size_t bytes) {
  return fails(MEMORY) ? NULL : counted(__real_aligned_alloc(alignment, bytes));
}

void __wrap_free(void *block) {
  if (block) atomic_fetch_sub(&live, 1);
  __real_free(block);
}

void *__real_mmap(void *at, size_t size, int access, int flags, int fd, off_t offset);

void *__wrap_mmap(void *at, size_t size, int access, int flags, int fd, off_t offset) {
  return fails(MEMORY) ? MAP_FAILED : __real_mmap(at, size, access, flags, fd, offset);
}

/* Most requests to an arena need no new block: each of them fails too. */
void *__real_espq_arena_alloc(espq_arena *arena, size_t n, size_t size);
char *__real_espq_arena_strndup(espq_arena *arena, const char *text, size_t len);

void *__wrap_espq_arena_alloc(espq_arena *arena, size_t n, size_t size) {
  return fails(MEMORY) ? NULL : __real_espq_arena_alloc(arena, n, size);
}

char *__wrap_espq_arena_strndup(espq_arena *arena, const char *text, size_t len) {
  return fails(MEMORY) ? NULL : __real_espq_arena_strndup(arena, text, len);
}

char *__wrap_espq_arena_strdup(espq_arena *arena, const char *text) {
  return __wrap_espq_arena_strndup(arena, text, strlen(text));
}

/* libjpeg allocates from pools through pointers in the decoder's own struct. */
static struct jpeg_memory_mgr jpeg_memory;

static void jpeg_request(j_common_ptr jpeg) {
  if (!fails(MEMORY)) return;
  ERREXIT1(jpeg, JERR_OUT_OF_MEMORY, 0);
}

static void *jpeg_small(j_common_ptr jpeg, int pool, size_t bytes) {
  jpeg_request(jpeg);
  return jpeg_memory.alloc_small(jpeg, pool, bytes);
}

static void *jpeg_large(j_common_ptr jpeg, int pool, size_t bytes) {
  jpeg_request(jpeg);
  return jpeg_memory.alloc_large(jpeg, pool, bytes);
}

static JSAMPARRAY jpeg_rows(j_common_ptr jpeg, int pool, JDIMENSION width, JDIMENSION rows) {
  jpeg_request(jpeg);
  return jpeg_memory.alloc_sarray(jpeg, pool, width, rows);
}

static JBLOCKARRAY jpeg_blocks(j_common_ptr jpeg, int pool, JDIMENSION width, JDIMENSION rows) {
  jpeg_request(jpeg);
  return jpeg_memory.alloc_barray(jpeg, pool, width, rows);
}

static void jpeg_virtual(j_common_ptr jpeg) {
  jpeg_request(jpeg);
  jpeg_memory.realize_virt_arrays(jpeg);
}

void __real_jpeg_CreateDecompress(j_decompress_ptr jpeg, int version, size_t size);

void __wrap_jpeg_CreateDecompress(j_decompress_ptr jpeg, int version, size_t size) {
  jpeg_request((j_common_ptr)jpeg);
  __real_jpeg_CreateDecompress(jpeg, version, size);
  jpeg_memory = *jpeg->mem;
  jpeg->mem->alloc_small = jpeg_small;
  jpeg->mem->alloc_large = jpeg_large;
  jpeg->mem->alloc_sarray = jpeg_rows;
  jpeg->mem->alloc_barray = jpeg_blocks;
  jpeg->mem->realize_virt_arrays = jpeg_virtual;
}

/* --- oneDNN ------------------------------------------------------------------------------------------------------- */

#define DNNL_CALL(name, parameters, arguments)    \
  dnnl_status_t __real_dnnl_##name parameters;    \
  dnnl_status_t __wrap_dnnl_##name parameters {   \
    if (fails(MEMORY)) return dnnl_out_of_memory; \
    return __real_dnnl_##name arguments;          \
  }

/* A function that makes an object, and the one that destroys it. */
#define DNNL_MAKER(name, parameters, arguments)             \
  dnnl_status_t __real_dnnl_##name parameters;              \
  dnnl_status_t __wrap_dnnl_##name parameters {             \
    if (fails(MEMORY)) return dnnl_out_of_memory;           \
    dnnl_status_t status = __real_dnnl_##name arguments;    \
    if (status == dnnl_success) atomic_fetch_add(&live, 1); \
    return status;                                          \
  }

#define DNNL_DESTROYER(name, type)                \
  dnnl_status_t __real_dnnl_##name(type object);  \
  dnnl_status_t __wrap_dnnl_##name(type object) { \
    if (object) atomic_fetch_sub(&live, 1);       \
    return __real_dnnl_##name(object);            \
  }

DNNL_MAKER(engine_create, (dnnl_engine_t * out, dnnl_engine_kind_t kind, size_t index), (out, kind, index))
DNNL_DESTROYER(engine_destroy, dnnl_engine_t)
DNNL_MAKER(stream_create, (dnnl_stream_t * out, dnnl_engine_t engine, unsigned flags), (out, engine, flags))
DNNL_DESTROYER(stream_destroy, dnnl_stream_t)
DNNL_MAKER(memory_create, (dnnl_memory_t * out, const dnnl_memory_desc_t *md, dnnl_engine_t engine, void *handle),
           (out, md, engine, handle))
DNNL_DESTROYER(memory_destroy, dnnl_memory_t)
DNNL_MAKER(primitive_attr_create, (dnnl_primitive_attr_t * out), (out))
DNNL_DESTROYER(primitive_attr_destroy, dnnl_primitive_attr_t)
DNNL_MAKER(post_ops_create, (dnnl_post_ops_t * out), (out))
DNNL_DESTROYER(post_ops_destroy, dnnl_post_ops_t)
DNNL_MAKER(primitive_desc_create,
           (dnnl_primitive_desc_t * out, const_dnnl_op_desc_t op, const_dnnl_primitive_attr_t attr,
            dnnl_engine_t engine, const_dnnl_primitive_desc_t hint),
           (out, op, attr, engine, hint))
DNNL_MAKER(reorder_primitive_desc_create,
           (dnnl_primitive_desc_t * out, const dnnl_memory_desc_t *from, dnnl_engine_t from_engine,
            const dnnl_memory_desc_t *to, dnnl_engine_t to_engine, const_dnnl_primitive_attr_t attr),
           (out, from, from_engine, to, to_engine, attr))
DNNL_DESTROYER(primitive_desc_destroy, dnnl_primitive_desc_t)
DNNL_MAKER(primitive_create, (dnnl_primitive_t * out, const_dnnl_primitive_desc_t desc), (out, desc))
DNNL_DESTROYER(primitive_destroy, dnnl_primitive_t)
DNNL_CALL(primitive_attr_set_scratchpad_mode, (dnnl_primitive_attr_t attr, dnnl_scratchpad_mode_t mode), (attr, mode))
DNNL_CALL(primitive_attr_set_post_ops, (dnnl_primitive_attr_t attr, const_dnnl_post_ops_t ops), (attr, ops))
DNNL_CALL(post_ops_append_eltwise, (dnnl_post_ops_t ops, float scale, dnnl_alg_kind_t kind, float alpha, float beta),
          (ops, scale, kind, alpha, beta))
DNNL_CALL(primitive_execute,
          (const_dnnl_primitive_t primitive, dnnl_stream_t stream, int n, const dnnl_exec_arg_t *args),
          (primitive, stream, n, args))
DNNL_CALL(stream_wait, (dnnl_stream_t stream), (stream))

/* --- threads and files -------------------------------------------------------------------------------------------- */

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *argument);
int __real_pthread_join(pthread_t thread, void **result);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *argument) {
  if (fails(THREAD)) return EAGAIN;
  int code = __real_pthread_create(thread, attr, run, argument);
  if (!code) atomic_fetch_add(&live, 1);
  return code;
}

int __wrap_pthread_join(pthread_t thread, void **result) {
  int code = __real_pthread_join(thread, result);
  if (!code) atomic_fetch_sub(&live, 1);
  return code;
}

#define SYSTEM_CALL(kind, type, name, parameters, arguments) \
  type __real_##name parameters;                             \
  type __wrap_##name parameters { return system_fails(kind) ? -1 : __real_##name arguments; }

SYSTEM_CALL(READ, ssize_t, pread, (int fd, void *bytes, size_t size, off_t offset), (fd, bytes, size, offset))
SYSTEM_CALL(FSYNC, int, fsync, (int fd), (fd))
SYSTEM_CALL(FCHMOD, int, fchmod, (int fd, mode_t mode), (fd, mode))
SYSTEM_CALL(RENAME, int, renameat, (int from, const char *old, int to, const char *name), (from, old, to, name))
SYSTEM_CALL(LINK, int, linkat, (int from, const char *old, int to, const char *name, int flags),
            (from, old, to, name, flags))
SYSTEM_CALL(MKDIR, int, mkdir, (const char *path, mode_t mode), (path, mode))

ssize_t __real_write(int fd, const void *bytes, size_t size);

/* The first write on a full disk still takes a part. */
ssize_t __wrap_write(int fd, const void *bytes, size_t size) {
  bool was_full = atomic_load(&failed);
  if (!system_fails(WRITE)) return __real_write(fd, bytes, size);
  return !was_full && number == ENOSPC && size > 1 ? __real_write(fd, bytes, size / 2) : -1;
}

/* The descriptor is gone even when close reports an error. */
int __real_close(int fd);
int __wrap_close(int fd) {
  bool refuse = system_fails(CLOSE);
  int code = __real_close(fd);
  if (refuse) errno = number;
  return refuse ? -1 : code;
}

int __real_open(const char *path, int flags, ...);
int __real_openat(int dir, const char *path, int flags, ...);

int __wrap_open(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return system_fails(OPEN) ? -1 : __real_open(path, flags, mode);
}

int __wrap_openat(int dir, const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return system_fails(OPEN) ? -1 : __real_openat(dir, path, flags, mode);
}

/* --- Lua ---------------------------------------------------------------------------------------------------------- */

static lua_Alloc lua_allocate;
static void *lua_data;
static bool again; /* the second try fails as well */

static void *lua_request(void *data, void *block, size_t old, size_t size) {
  if (size == 0 || (block && size <= old)) return lua_allocate(data, block, old, size);
  if (again || fails(LUA)) {
    again = !again;
    return NULL;
  }
  return lua_allocate(data, block, old, size);
}

static int error_number(lua_State *L, int arg) {
  static const char *const names[] = {"EIO", "ENOSPC", "EPIPE", "EMFILE", "EDQUOT", "EPERM", NULL};
  static const int numbers[] = {EIO, ENOSPC, EPIPE, EMFILE, EDQUOT, EPERM};
  return numbers[luaL_checkoption(L, arg, "EIO", names)];
}

static void release_lua(lua_State *L) {
  if (lua_allocate) lua_setallocf(L, lua_allocate, lua_data);
  lua_allocate = NULL;
  again = false;
}

/* faults.arm(kind, n[, errno[, kill]]): the nth call of this kind from now fails; 0: none, they are only counted.
 * kill: the process is killed there instead. */
static int faults_arm(lua_State *L) {
  int kind = luaL_checkoption(L, 1, NULL, kinds);
  lua_Integer n = luaL_checkinteger(L, 2);
  number = error_number(L, 3);
  release_lua(L);
  atomic_store(&kill_instead, lua_toboolean(L, 4));
  atomic_store(&seen, 0);
  atomic_store(&wanted, n);
  atomic_store(&failed, false);
  if (kind == LUA) {
    lua_allocate = lua_getallocf(L, &lua_data);
    lua_setallocf(L, lua_request, lua_data);
  }
  atomic_store(&armed_kind, kind);
  return 0;
}

/* faults.disarm() -> calls since arm, whether one failed. */
static int faults_disarm(lua_State *L) {
  atomic_store(&armed_kind, -1);
  release_lua(L);
  lua_pushinteger(L, atomic_load(&seen));
  lua_pushboolean(L, atomic_load(&failed));
  return 2;
}

static int faults_live(lua_State *L) {
  lua_pushinteger(L, atomic_load(&live));
  return 1;
}

int luaopen_espquant_faults(lua_State *L);

int luaopen_espquant_faults(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"arm", faults_arm}, {"disarm", faults_disarm}, {"live", faults_live}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
