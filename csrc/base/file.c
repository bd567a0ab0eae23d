#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"

/* Not errno's text alone: which path, doing what. */
static espq_status fail_errno(espq_error *err, const char *path, const char *doing, int number) {
  char reason[128];
  if (strerror_r(number, reason, sizeof reason)) snprintf(reason, sizeof reason, "error %d", number);
  return espq_fail(err, number == ENOMEM ? ESPQ_EMEMORY : ESPQ_EIO, "%.700s: cannot %s: %s", path, doing, reason);
}

static const char *kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISSOCK(mode)) return "a socket";
  if (S_ISLNK(mode)) return "a symbolic link";
  return "a device";
}

static espq_status fail_kind(espq_error *err, const char *path, mode_t mode) {
  return espq_fail(err, ESPQ_EIO, "%s: is %s, expected a regular file", path, kind_of(mode));
}

espq_status espq_file_size(int fd, const char *path, uint64_t *size, espq_error *err) {
  struct stat st;
  if (fstat(fd, &st)) return fail_errno(err, path, "look at it", errno);
  if (!S_ISREG(st.st_mode)) return fail_kind(err, path, st.st_mode);
  *size = (uint64_t)st.st_size;
  return ESPQ_OK;
}

espq_status espq_file_read_at(int fd, const char *path, uint64_t offset, void *bytes, size_t size, espq_error *err) {
  size_t done = 0;
  while (done < size) {
    ssize_t n = pread(fd, (char *)bytes + done, size - done, (off_t)(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(err, path, "read", errno);
    if (n == 0)
      return espq_fail(err, ESPQ_EIO, "%s: ends at byte %" PRIu64 ", expected %zu bytes from byte %" PRIu64, path,
                       offset + done, size, offset);
    done += (size_t)n;
  }
  return ESPQ_OK;
}

static espq_status read_open(int fd, const char *path, size_t limit, unsigned char **bytes, size_t *size,
                             espq_error *err) {
  uint64_t length;
  espq_status status = espq_file_size(fd, path, &length, err);
  if (status) return status;
  if (length > limit)
    return espq_fail(err, ESPQ_ELIMIT, "%s: has %" PRIu64 " bytes, the limit is %zu", path, length, limit);
  unsigned char *block = espq_alloc((size_t)length);
  if (!block) return espq_fail(err, ESPQ_EMEMORY, "%s: not enough memory for %" PRIu64 " bytes", path, length);
  status = espq_file_read_at(fd, path, 0, block, (size_t)length, err);
  if (status) {
    espq_free(block);
    return status;
  }
  *bytes = block;
  *size = (size_t)length;
  return ESPQ_OK;
}

/* O_NONBLOCK: opening a pipe nobody writes to returns at once, and is then refused. */
static int open_to_read(const char *path) { return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); }

espq_status espq_file_read(const char *path, size_t limit, unsigned char **bytes, size_t *size, espq_error *err) {
  int fd = open_to_read(path);
  if (fd < 0) return fail_errno(err, path, "open", errno);
  espq_status status = read_open(fd, path, limit, bytes, size, err);
  close(fd);
  return status;
}

static espq_status read_part(int fd, const char *path, uint64_t offset, size_t size, unsigned char **bytes, size_t *got,
                             uint64_t *total, espq_error *err) {
  espq_status status = espq_file_size(fd, path, total, err);
  if (status) return status;
  uint64_t left = offset < *total ? *total - offset : 0;
  *got = left < size ? (size_t)left : size;
  unsigned char *block = espq_alloc(*got);
  if (!block) return espq_fail(err, ESPQ_EMEMORY, "%s: not enough memory for %zu bytes", path, *got);
  status = espq_file_read_at(fd, path, offset, block, *got, err);
  if (status) espq_free(block);
  else *bytes = block;
  return status;
}

espq_status espq_file_read_part(const char *path, uint64_t offset, size_t size, unsigned char **bytes, size_t *got,
                                uint64_t *total, espq_error *err) {
  int fd = open_to_read(path);
  if (fd < 0) return fail_errno(err, path, "open", errno);
  espq_status status = read_part(fd, path, offset, size, bytes, got, total, err);
  close(fd);
  return status;
}

/* --- atomic write --- */

typedef struct writer {
  const char *path; /* as the caller gave it, for messages */
  const char *base; /* its last component */
  int dir, fd;
  char temp[64]; /* name of the new file in dir */
} writer;

static espq_status open_folder(writer *w, espq_error *err) {
  const char *slash = strrchr(w->path, '/');
  w->base = slash ? slash + 1 : w->path;
  if (!*w->base) return espq_fail(err, ESPQ_EIO, "'%s': expected the name of a file", w->path);
  char *folder = NULL;
  if (slash) {
    size_t len = slash == w->path ? 1 : (size_t)(slash - w->path);
    folder = espq_calloc(len + 1, 1);
    if (!folder) return espq_fail_memory(err);
    memcpy(folder, w->path, len);
  }
  w->dir = open(folder ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int number = errno;
  espq_free(folder);
  return w->dir < 0 ? fail_errno(err, w->path, "open its folder", number) : ESPQ_OK;
}

/* What has the name now must be a file, or a link to one: rename would replace /dev/stdout without a word. */
static espq_status check_target(const writer *w, mode_t *mode, espq_error *err) {
  struct stat st;
  *mode = 0;
  if (fstatat(w->dir, w->base, &st, 0)) return errno == ENOENT ? ESPQ_OK : fail_errno(err, w->path, "write", errno);
  if (!S_ISREG(st.st_mode)) return fail_kind(err, w->path, st.st_mode);
  *mode = st.st_mode & 07777;
  return ESPQ_OK;
}

static espq_status open_temp(writer *w, espq_error *err) {
  for (unsigned attempt = 0; attempt < 100; attempt++) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(w->temp, sizeof w->temp, ".espquant-%ld-%ld-%u.tmp", (long)getpid(), now.tv_nsec, attempt);
    w->fd = openat(w->dir, w->temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (w->fd >= 0) return ESPQ_OK;
    if (errno != EEXIST) break;
  }
  return fail_errno(err, w->path, "make a file in its folder", errno);
}

static espq_status write_all(const writer *w, const void *bytes, size_t size, espq_error *err) {
  for (size_t done = 0; done < size;) {
    ssize_t n = write(w->fd, (const char *)bytes + done, size - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(err, w->path, "write", errno);
    done += (size_t)n;
  }
  return ESPQ_OK;
}

enum { SINK = 1 << 16 };

/* Gathers what is put in small pieces. */
struct espq_file_sink {
  const writer *w;
  size_t used;
  unsigned char bytes[SINK];
};

static espq_status drain(espq_file_sink *sink, espq_error *err) {
  size_t used = sink->used;
  sink->used = 0;
  return write_all(sink->w, sink->bytes, used, err);
}

espq_status espq_file_put(espq_file_sink *sink, const void *bytes, size_t size, espq_error *err) {
  if (size > SINK - sink->used) {
    espq_status status = drain(sink, err);
    if (status) return status;
  }
  if (size > SINK) return write_all(sink->w, bytes, size, err);
  if (size) memcpy(sink->bytes + sink->used, bytes, size);
  sink->used += size;
  return ESPQ_OK;
}

typedef espq_status (*file_source)(void *context, espq_file_sink *sink, espq_error *err);

static espq_status fill(const writer *w, file_source source, void *context, espq_error *err) {
  espq_file_sink *sink = espq_alloc(sizeof *sink);
  if (!sink) return espq_fail_memory(err);
  sink->w = w;
  sink->used = 0;
  espq_status status = source(context, sink, err);
  if (!status) status = drain(sink, err);
  if (!status && fsync(w->fd)) status = fail_errno(err, w->path, "write", errno);
  espq_free(sink);
  return status;
}

/* Fills the new file and gives it the name; an old file's permissions are kept. */
static espq_status write_temp(writer *w, mode_t mode, file_source source, void *context, espq_error *err) {
  espq_status status = fill(w, source, context, err);
  if (!status && mode && fchmod(w->fd, mode)) status = fail_errno(err, w->path, "keep its permissions", errno);
  if (close(w->fd) && !status) status = fail_errno(err, w->path, "write", errno);
  if (!status && renameat(w->dir, w->temp, w->dir, w->base)) status = fail_errno(err, w->path, "rename to it", errno);
  if (status) unlinkat(w->dir, w->temp, 0);
  else (void)!fsync(w->dir); /* some file systems cannot; the file itself is safe */
  return status;
}

espq_status espq_file_write_from(const char *path, file_source source, void *context, espq_error *err) {
  writer w = {.path = path, .dir = -1, .fd = -1};
  espq_status status = open_folder(&w, err);
  if (status) return status;
  mode_t mode;
  status = check_target(&w, &mode, err);
  if (!status) status = open_temp(&w, err);
  if (!status) status = write_temp(&w, mode, source, context, err);
  close(w.dir);
  return status;
}

typedef struct block {
  const void *bytes;
  size_t size;
} block;

static espq_status put_block(void *context, espq_file_sink *sink, espq_error *err) {
  const block *b = context;
  return espq_file_put(sink, b->bytes, b->size, err);
}

espq_status espq_file_write(const char *path, const void *bytes, size_t size, espq_error *err) {
  block b = {bytes, size};
  return espq_file_write_from(path, put_block, &b, err);
}
