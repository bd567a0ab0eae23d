/* Whole files out: under another name first, and then all or none takes its place. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"

enum { NAME = 48, ATTEMPTS = 100, SINK = 1 << 16 };

typedef struct writer {
  const char *path; /* as the caller gave it, for messages */
  const char *base; /* its last component */
  int dir, fd;
  mode_t mode; /* of the old file; 0: there is none */
  bool made, placed, saved, is_new;
  char temp[NAME]; /* of the new file in dir */
  char old[NAME];  /* a second name of the old file, when others are written with this one */
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
  return w->dir < 0 ? espq_file_fail(err, w->path, "open its folder", number) : ESPQ_OK;
}

/* What has the name now must be a file, or a link to one: rename would replace /dev/stdout without a word. */
static espq_status check_target(writer *w, espq_error *err) {
  struct stat st;
  if (fstatat(w->dir, w->base, &st, 0)) {
    return errno == ENOENT ? ESPQ_OK : espq_file_fail(err, w->path, "write", errno);
  }
  if (!S_ISREG(st.st_mode)) return espq_file_fail_kind(err, w->path, st.st_mode);
  w->mode = st.st_mode & 07777;
  return ESPQ_OK;
}

/* --- the file under another name ------------------------------------------------------------------------------------
 *
 * The names follow from the target's, and whoever writes holds a lock on the file. So the next writer of this target
 * finds what a killed one has left, and tells it by the missing lock from what another process is writing just now. */

static void choose_names(writer *w, unsigned attempt) {
  uint64_t hash = 0xcbf29ce484222325; /* FNV-1a */
  for (const char *c = w->base; *c; c++) hash = (hash ^ (unsigned char)*c) * 0x100000001b3;
  snprintf(w->temp, sizeof w->temp, ".espquant-%016" PRIx64 "-%u.tmp", hash, attempt);
  snprintf(w->old, sizeof w->old, ".espquant-%016" PRIx64 "-%u.old", hash, attempt);
}

static bool lock(int fd) { return flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK; }

/* Removes the file of this name when nobody writes it any more. */
static bool remove_stale(const writer *w) {
  struct stat file, name;
  int fd = openat(w->dir, w->temp, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (fd < 0) return false;
  bool ours = flock(fd, LOCK_EX | LOCK_NB) == 0 && !fstat(fd, &file) && S_ISREG(file.st_mode) &&
              !fstatat(w->dir, w->temp, &name, AT_SYMLINK_NOFOLLOW) && name.st_ino == file.st_ino;
  bool removed = ours && !unlinkat(w->dir, w->temp, 0);
  close(fd);
  return removed;
}

/* Makes the file and locks it, unless another process removes it in between, taking it for a stale one. */
static bool make_temp(writer *w) {
  struct stat st;
  w->fd = openat(w->dir, w->temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
  if (w->fd < 0) return false;
  if (lock(w->fd) && !fstat(w->fd, &st) && st.st_nlink) return true;
  close(w->fd);
  w->fd = -1;
  errno = EEXIST;
  return false;
}

static espq_status open_temp(writer *w, espq_error *err) {
  for (unsigned attempt = 0; attempt < ATTEMPTS; attempt++) {
    choose_names(w, attempt);
    w->made = make_temp(w);
    if (!w->made && errno != EEXIST) break;
    if (!w->made) w->made = remove_stale(w) && make_temp(w);
    if (w->made) return ESPQ_OK;
  }
  return espq_file_fail(err, w->path, "make a file in its folder", errno);
}

static espq_status write_all(const writer *w, const void *bytes, size_t size, espq_error *err) {
  for (size_t done = 0; done < size;) {
    ssize_t n = write(w->fd, (const char *)bytes + done, size - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return espq_file_fail(err, w->path, "write", errno);
    done += (size_t)n;
  }
  return ESPQ_OK;
}

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

/* An old file's permissions are kept. */
static espq_status fill(const writer *w, const espq_file_new *file, espq_error *err) {
  espq_file_sink *sink = espq_alloc(sizeof *sink);
  if (!sink) return espq_fail_memory(err);
  sink->w = w;
  sink->used = 0;
  espq_status status = file->source(file->context, sink, err);
  if (!status) status = drain(sink, err);
  if (!status && w->mode && fchmod(w->fd, w->mode))
    status = espq_file_fail(err, w->path, "keep its permissions", errno);
  if (!status && fsync(w->fd)) status = espq_file_fail(err, w->path, "write", errno);
  espq_free(sink);
  return status;
}

static espq_status prepare(writer *w, const espq_file_new *file, espq_error *err) {
  *w = (writer){.path = file->path, .dir = -1, .fd = -1};
  espq_status status = open_folder(w, err);
  if (!status) status = check_target(w, err);
  if (!status) status = open_temp(w, err);
  return status ? status : fill(w, file, err);
}

/* --- taking its place ------------------------------------------------------------------------------------------- */

/* Gives the old file a second name, so that it can come back. Not every file system can; then it could not. */
static void save_old(writer *w) {
  unlinkat(w->dir, w->old, 0); /* of a killed process */
  w->saved = !linkat(w->dir, w->base, w->dir, w->old, 0);
  w->is_new = !w->saved && errno == ENOENT;
}

static espq_status place(writer *w, espq_error *err) {
  if (renameat(w->dir, w->temp, w->dir, w->base)) return espq_file_fail(err, w->path, "rename to it", errno);
  w->made = false;
  w->placed = true;
  /* Some file systems cannot, and say EINVAL. */
  if (fsync(w->dir) && errno != EINVAL) return espq_file_fail(err, w->path, "write its folder", errno);
  return ESPQ_OK;
}

static void take_back(writer *w) {
  if (!w->placed) return;
  if (w->saved) w->saved = renameat(w->dir, w->old, w->dir, w->base) != 0;
  else if (w->is_new) unlinkat(w->dir, w->base, 0);
}

static void finish(writer *w) {
  if (w->made) unlinkat(w->dir, w->temp, 0);
  if (w->saved) unlinkat(w->dir, w->old, 0);
  if (w->fd >= 0) close(w->fd);
  if (w->dir >= 0) close(w->dir);
}

espq_status espq_files_write(const espq_file_new *files, size_t count, espq_error *err) {
  writer *writers = espq_calloc(count, sizeof *writers);
  if (!writers) return espq_fail_memory(err);
  size_t begun = 0;
  espq_status status = ESPQ_OK;
  for (; begun < count && !status; begun++) status = prepare(&writers[begun], &files[begun], err);
  for (size_t i = 0; count > 1 && i < count && !status; i++) save_old(&writers[i]);
  for (size_t i = 0; i < count && !status; i++) status = place(&writers[i], err);
  for (size_t i = begun; status && count > 1 && i-- > 0;) take_back(&writers[i]);
  for (size_t i = 0; i < begun; i++) finish(&writers[i]);
  espq_free(writers);
  return status;
}

espq_status espq_file_write_from(const char *path, espq_file_source *source, void *context, espq_error *err) {
  return espq_files_write(&(espq_file_new){path, source, context}, 1, err);
}

espq_status espq_file_put_block(void *block, espq_file_sink *sink, espq_error *err) {
  const espq_file_block *b = block;
  return espq_file_put(sink, b->bytes, b->size, err);
}

espq_status espq_file_write(const char *path, const void *bytes, size_t size, espq_error *err) {
  return espq_file_write_from(path, espq_file_put_block, &(espq_file_block){bytes, size}, err);
}
