/* file.h - whole files in and out.
 *
 * Reading takes regular files only: a directory, a pipe or a device is refused, never waited for. Writing
 * is atomic: a new file beside the old one takes its name when it is complete and on the disk, so that
 * a full disk or a crash leaves either the old file or the new one. The new file is called .espquant-<digits>.tmp
 * until then; one that a killed process has left is removed when its target is written again. A symbolic link to a file
 * is replaced, not followed. Every error is ESPQ_EIO (or ELIMIT, EMEMORY) and names the path and the system's reason.
 *
 *   unsigned char *bytes;
 *   size_t size;
 *   if (espq_file_read("model.onnx", SIZE_MAX, &bytes, &size, err)) return err->status;
 *   espq_status status = espq_file_write("copy.onnx", bytes, size, err);
 *   espq_free(bytes);
 */
#ifndef ESPQ_BASE_FILE_H
#define ESPQ_BASE_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/* The whole file in a block of espq_alloc. ESPQ_ELIMIT: it has more than `limit` bytes. */
espq_status espq_file_read(const char *path, size_t limit, unsigned char **bytes, size_t *size, espq_error *err);

/* At most `size` bytes from `offset` (fewer, or none, where the file ends) in a block of espq_alloc; *total is the size of
 * the whole file. For files that are not to be held in memory as a whole. */
espq_status espq_file_read_part(const char *path, uint64_t offset, size_t size, unsigned char **bytes, size_t *got,
                                uint64_t *total, espq_error *err);

/* Checks that fd is open on a regular file and gives its size; `path` is for messages. fd stays open. */
espq_status espq_file_size(int fd, const char *path, uint64_t *size, espq_error *err);

/* Exactly `size` bytes from `offset`; ESPQ_EIO when the file ends before. */
espq_status espq_file_read_at(int fd, const char *path, uint64_t offset, void *bytes, size_t size, espq_error *err);

/* Makes or replaces the file. On failure nothing is left behind and an old file is untouched. */
espq_status espq_file_write(const char *path, const void *bytes, size_t size, espq_error *err);

/* The same for what is never whole in memory: source(context, sink, err) puts the bytes, in order, into the sink. */
typedef struct espq_file_sink espq_file_sink;
typedef espq_status espq_file_source(void *context, espq_file_sink *sink, espq_error *err);
espq_status espq_file_put(espq_file_sink *sink, const void *bytes, size_t size, espq_error *err);
espq_status espq_file_write_from(const char *path, espq_file_source *source, void *context, espq_error *err);

/* Files that belong together: all are complete on the disk before the first one takes its name, and when a later one
 * cannot, those before it get their old files back. Only a crash between two of these last steps can leave new files
 * beside old ones. */
typedef struct espq_file_new {
  const char *path;
  espq_file_source *source;
  void *context;
} espq_file_new;
espq_status espq_files_write(const espq_file_new *files, size_t count, espq_error *err);

/* A source that puts one block. */
typedef struct espq_file_block {
  const void *bytes;
  size_t size;
} espq_file_block;
espq_status espq_file_put_block(void *block, espq_file_sink *sink, espq_error *err);

/* For who opens files: ESPQ_EIO (EMEMORY for ENOMEM) with the path, "cannot `doing`" and the system's reason. */
espq_status espq_file_fail(espq_error *err, const char *path, const char *doing, int number);
/* What has this mode is no regular file. */
espq_status espq_file_fail_kind(espq_error *err, const char *path, mode_t mode);

#endif
