#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"

/* Not errno's text alone: which path, doing what. */
espq_status espq_file_fail(espq_error *err, const char *path, const char *doing, int number) {
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

espq_status espq_file_fail_kind(espq_error *err, const char *path, mode_t mode) {
  return espq_fail(err, ESPQ_EIO, "%s: is %s, expected a regular file", path, kind_of(mode));
}

espq_status espq_file_size(int fd, const char *path, uint64_t *size, espq_error *err) {
  struct stat st;
  if (fstat(fd, &st)) return espq_file_fail(err, path, "look at it", errno);
  if (!S_ISREG(st.st_mode)) return espq_file_fail_kind(err, path, st.st_mode);
  *size = (uint64_t)st.st_size;
  return ESPQ_OK;
}

espq_status espq_file_read_at(int fd, const char *path, uint64_t offset, void *bytes, size_t size, espq_error *err) {
  size_t done = 0;
  while (done < size) {
    ssize_t n = pread(fd, (char *)bytes + done, size - done, (off_t)(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return espq_file_fail(err, path, "read", errno);
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
  if (fd < 0) return espq_file_fail(err, path, "open", errno);
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
  if (fd < 0) return espq_file_fail(err, path, "open", errno);
  espq_status status = read_part(fd, path, offset, size, bytes, got, total, err);
  close(fd);
  return status;
}
