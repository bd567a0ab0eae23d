/* Whole files in and out: what is refused, and that a failed write leaves nothing behind. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "check.h"

static char folder[] = "/tmp/espq-file-XXXXXX";
static char joined[256];

static const char *in_folder(const char *name) {
  snprintf(joined, sizeof joined, "%s/%s", folder, name);
  return joined;
}

static int count_entries(void) {
  int n = 0;
  DIR *d = opendir(folder);
  while (d && readdir(d)) n++;
  if (d) closedir(d);
  return n - 2;
}

static espq_status try_read(const char *path, size_t limit, espq_error *err) {
  unsigned char *bytes = NULL;
  size_t size;
  espq_status status = espq_file_read(path, limit, &bytes, &size, err);
  if (status == ESPQ_OK) espq_free(bytes);
  return status;
}

static void check_refused(const char *path, espq_status expected, const char *reason) {
  espq_error err = {0};
  CHECK(try_read(path, 1000, &err) == expected);
  CHECK(strstr(err.text, path) != NULL);
  if (!CHECK(strstr(err.text, reason) != NULL)) fprintf(stderr, "  got: %s\n", err.text);
}

static void test_round_trip(void) {
  espq_error err = {0};
  unsigned char *bytes = NULL;
  size_t size = 99;
  CHECK(espq_file_write(in_folder("a"), "hello", 5, &err) == ESPQ_OK);
  CHECK(espq_file_read(in_folder("a"), 5, &bytes, &size, &err) == ESPQ_OK);
  CHECK(size == 5 && memcmp(bytes, "hello", 5) == 0);
  espq_free(bytes);
  CHECK(espq_file_write(in_folder("a"), "", 0, &err) == ESPQ_OK);
  CHECK(espq_file_read(in_folder("a"), 0, &bytes, &size, &err) == ESPQ_OK);
  CHECK(size == 0);
  espq_free(bytes);
  CHECK(count_entries() == 1);
}

static void test_relative_path(void) {
  espq_error err = {0};
  char old[512];
  CHECK(getcwd(old, sizeof old) != NULL && chdir(folder) == 0);
  CHECK(espq_file_write("b", "x", 1, &err) == ESPQ_OK);
  CHECK(try_read("./b", 1, &err) == ESPQ_OK);
  CHECK(unlink("b") == 0 && chdir(old) == 0);
}

static void test_read_refuses(void) {
  char fifo[256];
  espq_error err = {0};
  check_refused("/nowhere/at/all", ESPQ_EIO, "No such file");
  check_refused(folder, ESPQ_EIO, "is a directory");
  check_refused("/dev/zero", ESPQ_EIO, "is a device");
  snprintf(fifo, sizeof fifo, "%s", in_folder("fifo"));
  CHECK(mkfifo(fifo, 0600) == 0);
  check_refused(fifo, ESPQ_EIO, "is a pipe");
  CHECK(espq_file_write(fifo, "x", 1, &err) == ESPQ_EIO && strstr(err.text, "is a pipe"));
  CHECK(unlink(fifo) == 0);
  CHECK(espq_file_write(in_folder("big"), joined, 200, &err) == ESPQ_OK);
  CHECK(try_read(in_folder("big"), 199, &err) == ESPQ_ELIMIT);
  CHECK(strstr(err.text, "200 bytes") && strstr(err.text, "199"));
  CHECK(unlink(in_folder("big")) == 0);
}

static void test_write_refuses(void) {
  espq_error err = {0};
  CHECK(espq_file_write("/nowhere/x", "x", 1, &err) == ESPQ_EIO && strstr(err.text, "/nowhere/x"));
  CHECK(espq_file_write("/tmp/", "x", 1, &err) == ESPQ_EIO && strstr(err.text, "name of a file"));
  CHECK(espq_file_write("", "x", 1, &err) == ESPQ_EIO);
  CHECK(espq_file_write("/dev/null", "x", 1, &err) == ESPQ_EIO && strstr(err.text, "is a device"));
  CHECK(espq_file_write(folder, "x", 1, &err) == ESPQ_EIO && strstr(err.text, "is a directory"));
}

/* A link is replaced and what it points to is not written; permissions of a file stay. */
static void test_write_over(void) {
  espq_error err = {0};
  struct stat st;
  char link[256];
  snprintf(link, sizeof link, "%s", in_folder("link"));
  CHECK(espq_file_write(in_folder("target"), "old", 3, &err) == ESPQ_OK);
  CHECK(chmod(joined, 0640) == 0 && symlink("target", link) == 0);
  CHECK(espq_file_write(link, "newer", 5, &err) == ESPQ_OK);
  CHECK(lstat(link, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 5);
  CHECK(stat(in_folder("target"), &st) == 0 && st.st_size == 3);
  CHECK(espq_file_write(in_folder("target"), "x", 1, &err) == ESPQ_OK);
  CHECK(stat(joined, &st) == 0 && (st.st_mode & 0777) == 0640 && st.st_size == 1);
  CHECK(unlink(link) == 0 && unlink(in_folder("target")) == 0);
}

/* A size limit stands in for a full disk: the write fails half way. */
static void test_full_disk(void) {
  espq_error err = {0};
  struct rlimit old, small;
  static char bytes[100000];
  int before = count_entries();
  CHECK(espq_file_write(in_folder("keep"), "old", 3, &err) == ESPQ_OK);
  CHECK(getrlimit(RLIMIT_FSIZE, &old) == 0);
  small = (struct rlimit){50000, old.rlim_max};
  signal(SIGXFSZ, SIG_IGN);
  CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
  CHECK(espq_file_write(in_folder("keep"), bytes, sizeof bytes, &err) == ESPQ_EIO);
  CHECK(strstr(err.text, "keep") && strstr(err.text, strerror(EFBIG)));
  CHECK(setrlimit(RLIMIT_FSIZE, &old) == 0);
  CHECK(try_read(in_folder("keep"), 3, &err) == ESPQ_OK);
  CHECK(count_entries() == before + 1);
  CHECK(unlink(in_folder("keep")) == 0);
}

/* The name under which the next write of "name" begins: found by making that write fail half way in a child. */
static void leave_temp(char *temp, size_t size) {
  pid_t child = fork();
  if (child == 0) {
    struct rlimit small = {10, 10};
    signal(SIGXFSZ, SIG_DFL); /* kills the process in its write */
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    setrlimit(RLIMIT_FSIZE, &small);
    espq_file_write(in_folder("name"), joined, 200, NULL);
    _exit(0);
  }
  int status;
  CHECK(child > 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status));
  DIR *d = opendir(folder);
  temp[0] = '\0';
  for (struct dirent *e; d && (e = readdir(d));)
    if (strncmp(e->d_name, ".espquant-", 10) == 0) snprintf(temp, size, "%s/%s", folder, e->d_name);
  if (d) closedir(d);
  CHECK(temp[0]);
}

/* What a killed process has left goes away with the next write of the same file; what another process is writing, or
 * what is no file of ours, stays. */
static void test_stale(void) {
  espq_error err = {0};
  struct stat st;
  char temp[512];
  int before = count_entries();
  leave_temp(temp, sizeof temp);
  CHECK(count_entries() == before + 1);
  CHECK(espq_file_write(in_folder("other"), "x", 1, &err) == ESPQ_OK && unlink(in_folder("other")) == 0);
  CHECK(stat(temp, &st) == 0);
  CHECK(espq_file_write(in_folder("name"), "new", 3, &err) == ESPQ_OK);
  CHECK(stat(temp, &st) != 0 && count_entries() == before + 1);

  leave_temp(temp, sizeof temp);
  int fd = open(temp, O_RDONLY);
  CHECK(fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0);
  CHECK(espq_file_write(in_folder("name"), "newer", 5, &err) == ESPQ_OK);
  CHECK(stat(temp, &st) == 0 && stat(in_folder("name"), &st) == 0 && st.st_size == 5);
  close(fd);
  CHECK(unlink(temp) == 0 && symlink("name", temp) == 0);
  CHECK(espq_file_write(in_folder("name"), "newest", 6, &err) == ESPQ_OK);
  CHECK(lstat(temp, &st) == 0 && S_ISLNK(st.st_mode));
  CHECK(unlink(temp) == 0 && mkfifo(temp, 0600) == 0);
  CHECK(espq_file_write(in_folder("name"), "newest", 6, &err) == ESPQ_OK);
  CHECK(unlink(temp) == 0 && unlink(in_folder("name")) == 0 && count_entries() == before);
}

/* Several files: when the last cannot be written, the others are as they were. */
static void test_together(void) {
  espq_error err = {0};
  int before = count_entries();
  char a[256], b[256], c[256];
  snprintf(a, sizeof a, "%s", in_folder("first"));
  snprintf(b, sizeof b, "%s", in_folder("second"));
  snprintf(c, sizeof c, "%s", in_folder("third"));
  espq_file_block text = {"new text", 8};
  espq_file_new files[] = {
      {a, espq_file_put_block, &text}, {b, espq_file_put_block, &text}, {c, espq_file_put_block, &text}};
  CHECK(espq_file_write(a, "old", 3, &err) == ESPQ_OK);
  CHECK(mkdir(c, 0700) == 0);
  CHECK(espq_files_write(files, 3, &err) == ESPQ_EIO && strstr(err.text, "third"));
  CHECK(try_read(a, 3, &err) == ESPQ_OK && try_read(b, 9, &err) == ESPQ_EIO && count_entries() == before + 2);
  CHECK(rmdir(c) == 0);
  CHECK(espq_files_write(files, 3, &err) == ESPQ_OK && count_entries() == before + 3);
  CHECK(try_read(a, 8, &err) == ESPQ_OK && try_read(c, 8, &err) == ESPQ_OK);
  CHECK(espq_files_write(files, 0, &err) == ESPQ_OK);
  CHECK(unlink(a) == 0 && unlink(b) == 0 && unlink(c) == 0);
}

int main(void) {
  if (!CHECK(mkdtemp(folder) != NULL)) return check_report();
  test_round_trip();
  test_relative_path();
  test_read_refuses();
  test_write_refuses();
  test_write_over();
  test_full_disk();
  test_stale();
  test_together();
  CHECK(unlink(in_folder("a")) == 0);
  CHECK(rmdir(folder) == 0);
  return check_report();
}
