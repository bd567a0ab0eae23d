#include "onnx/external.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

enum { MAX_COMPONENT = 255 };

/* Decimal digits only: no sign, no spaces, no overflow. */
static bool parse_number(const char *text, uint64_t *out) {
  uint64_t value = 0;
  if (!*text) return false;
  for (; *text; text++) {
    if (*text < '0' || *text > '9') return false;
    if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
      return false;
  }
  *out = value;
  return value <= INT64_MAX;
}

espq_status espq_onnx_external_set(espq_onnx_external *external, const char *key, const char *value, espq_error *err) {
  bool ok = true;
  if (strcmp(key, "location") == 0) external->location = value;
  else if (strcmp(key, "offset") == 0) ok = parse_number(value, &external->offset);
  else if (strcmp(key, "checksum") == 0) external->checksum = value;
  else if (strcmp(key, "length") == 0) ok = external->has_length = parse_number(value, &external->length);
  if (ok) return ESPQ_OK;
  return espq_fail(err, ESPQ_EFORMAT, "external data: %s is '%.60s', expected a number of bytes", key, value);
}

static espq_status fail_open(espq_error *err, int dir, const char *part, const char *location, int number) {
  struct stat st;
  char reason[128];
  if (fstatat(dir, part, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode))
    return espq_fail(err, ESPQ_EFORMAT,
                     "external data '%.200s': '%.100s' is a symbolic link; the data must lie in the "
                     "model's own folder",
                     location, part);
  if (strerror_r(number, reason, sizeof reason)) reason[0] = 0;
  return espq_fail(err, ESPQ_EIO, "external data '%.200s': cannot open '%.100s': %s", location, part, reason);
}

/* Copies the next component of *path, moving behind it and its slashes; false when there is none or it is too long. */
static bool next_part(const char **path, char part[MAX_COMPONENT + 1]) {
  size_t n = strcspn(*path, "/");
  if (n == 0 || n > MAX_COMPONENT) return false;
  memcpy(part, *path, n);
  part[n] = 0;
  *path += n;
  *path += strspn(*path, "/");
  return true;
}

/* Opens location component by component, so that no link is followed on the way. Takes over dir. */
static espq_status walk(int dir, const char *location, int *out, espq_error *err) {
  char part[MAX_COMPONENT + 1];
  const char *rest = location;
  for (;;) {
    if (!next_part(&rest, part) || strcmp(part, "..") == 0) {
      close(dir);
      return espq_fail(err, ESPQ_EFORMAT, "external data '%.200s': expected a relative path inside the model's folder",
                       location);
    }
    /* O_NONBLOCK: a pipe is opened without waiting, and refused by the caller. */
    int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | (*rest ? O_DIRECTORY : O_NONBLOCK);
    int fd = openat(dir, part, flags);
    if (fd < 0) {
      espq_status status = fail_open(err, dir, part, location, errno);
      close(dir);
      return status;
    }
    close(dir);
    if (!*rest) {
      *out = fd;
      return ESPQ_OK;
    }
    dir = fd;
  }
}

static espq_status open_inside(const char *dir, const char *location, int *fd, espq_error *err) {
  int folder = open(*dir ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) {
    char reason[128];
    if (strerror_r(errno, reason, sizeof reason)) reason[0] = 0;
    return espq_fail(err, ESPQ_EIO, "external data '%.200s': cannot open the model's folder '%.200s': %s", location,
                     dir, reason);
  }
  return walk(folder, location, fd, err);
}

static espq_status check_file(int fd, const espq_onnx_external *x, uint64_t need, espq_error *err) {
  uint64_t size;
  struct stat st;
  espq_status status = espq_file_size(fd, x->location, &size, err);
  if (status) {
    espq_error_prefix(err, "external data");
    return status;
  }
  if (fstat(fd, &st) == 0 && st.st_nlink > 1)
    return espq_fail(err, ESPQ_EFORMAT,
                     "external data '%.200s': the file has %lu names (hard links), expected 1: copy it", x->location,
                     (unsigned long)st.st_nlink);
  if (x->has_length && x->length != need)
    return espq_fail(err, ESPQ_EFORMAT,
                     "external data '%.200s': the tensor needs %" PRIu64 " bytes, length is %" PRIu64, x->location,
                     need, x->length);
  if (x->offset > size || need > size - x->offset)
    return espq_fail(err, ESPQ_EFORMAT,
                     "external data '%.200s': the tensor needs %" PRIu64 " bytes from byte %" PRIu64
                     ", the file has %" PRIu64,
                     x->location, need, x->offset, size);
  return ESPQ_OK;
}

espq_status espq_onnx_external_load(const espq_onnx_external *x, const char *dir, espq_dtype dtype, int rank,
                                    const int64_t *dim, espq_onnx_checksums *sums, espq_tensor **out, espq_error *err) {
  int64_t count;
  int fd = -1;
  if (!x->location) return espq_fail(err, ESPQ_EFORMAT, "external data has no location");
  espq_status status = espq_shape_count(rank, dim, &count, err);
  if (!status) status = open_inside(dir, x->location, &fd, err);
  if (status) return status;
  espq_tensor *tensor = NULL;
  status = check_file(fd, x, (uint64_t)count * espq_dtype_size(dtype), err);
  if (!status && x->checksum) status = espq_onnx_checksum_verify(sums, fd, x->location, x->checksum, err);
  if (!status) status = espq_tensor_new(dtype, rank, dim, &tensor, err);
  if (!status) status = espq_file_read_at(fd, x->location, x->offset, tensor->data, espq_tensor_bytes(tensor), err);
  close(fd);
  if (status) espq_tensor_release(tensor);
  else *out = tensor;
  return status;
}
