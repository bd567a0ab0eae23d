/* Data outside of the model's file: found in its folder, and nowhere else. */
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "check.h"
#include "model.h"
#include "onnx/read.h"

static char folder[] = "/tmp/espq-external-XXXXXX", model_path[64], outside[64];
static espq_error err;

static const char *inside(const char *name) {
  static char path[256];
  snprintf(path, sizeof path, "%s/model/%s", folder, name);
  return path;
}

static void add_entry(wire *tensor, const char *key, const char *value) {
  wire e = {0};
  if (!value) return;
  wire_text(&e, 1, key);
  wire_text(&e, 2, value);
  wire_message(tensor, 13, &e);
}

static const char *checksum; /* of the next models' data; NULL: left out */

/* Two int8 elements of 'w' at location, offset, length (NULL: left out). */
static wire make_external(const char *location, const char *offset, const char *length) {
  static const int64_t two[] = {2};
  wire t = make_tensor("w", INT8, two, 1);
  wire_int(&t, 14, 1);
  add_entry(&t, "location", location);
  add_entry(&t, "offset", offset);
  add_entry(&t, "length", length);
  add_entry(&t, "checksum", checksum);
  return t;
}

/* Writes a model with t (emptied) into the folder of the data, and reads it. max_bytes 0: the usual limit. */
static espq_graph *read_with(wire *t, size_t max_bytes) {
  static const int64_t two[] = {2};
  wire g = {0};
  wire_message(&g, 5, t);
  add_port(&g, INPUT, "x", FLOAT, two, 1);
  add_port(&g, OUTPUT, "x", FLOAT, two, 1);
  wire m = make_model(8, 13, &g);
  espq_graph *graph = NULL;
  espq_onnx_limits limits = espq_onnx_usual_limits;
  if (max_bytes) limits.bytes = max_bytes;
  memset(&err, 0, sizeof err);
  CHECK(espq_file_write(model_path, m.bytes, m.size, &err) == ESPQ_OK);
  if (espq_onnx_read(model_path, &limits, &graph, NULL, &err)) graph = NULL;
  wire_free(&m);
  return graph;
}

static void expect(const char *location, const char *offset, const char *length, espq_status status, const char *text) {
  wire t = make_external(location, offset, length);
  espq_graph *g = read_with(&t, 0);
  if (!CHECK(g == NULL && err.status == status && strstr(err.text, text) && strstr(err.text, "initializer 'w': ")))
    fprintf(stderr, "  expected %s '%s', got %s '%s'\n", espq_status_name(status), text, espq_status_name(err.status),
            err.text);
  espq_graph_free(g);
}

static void expect_data(const char *location, const char *offset, const char *length, const char *bytes) {
  wire t = make_external(location, offset, length);
  espq_graph *g = read_with(&t, 0);
  if (!CHECK(g != NULL)) fprintf(stderr, "  %s\n", err.text);
  const espq_tensor *w = g ? g->values[espq_graph_find_value(g, "w")].constant : NULL;
  CHECK(w && memcmp(w->data, bytes, 2) == 0);
  espq_graph_free(g);
}

static void test_found(void) {
  expect_data("data", NULL, NULL, "01");
  expect_data("data", "0", "2", "01");
  expect_data("data", "8", NULL, "89");
  expect_data("./data", "8", "2", "89");
  expect_data("sub/data", "1", NULL, "bc");
  expect_data("sub//data", "1", NULL, "bc");
}

static void test_ranges(void) {
  expect("data", "9", NULL, ESPQ_EFORMAT, "the tensor needs 2 bytes from byte 9, the file has 10");
  expect("data", "10", "2", ESPQ_EFORMAT, "from byte 10");
  expect("data", "0", "3", ESPQ_EFORMAT, "the tensor needs 2 bytes, length is 3");
  expect("data", "0", "1", ESPQ_EFORMAT, "length is 1");
  expect("data", "-1", NULL, ESPQ_EFORMAT, "offset is '-1'");
  expect("data", "", NULL, ESPQ_EFORMAT, "offset is ''");
  expect("data", "0x1", NULL, ESPQ_EFORMAT, "offset is '0x1'");
  expect("data", " 1", NULL, ESPQ_EFORMAT, "offset is ' 1'");
  expect("data", "9223372036854775807", NULL, ESPQ_EFORMAT, "from byte 9223372036854775807");
  expect("data", "9223372036854775808", NULL, ESPQ_EFORMAT, "offset is '9223372036854775808'");
  expect("data", "18446744073709551615", "2", ESPQ_EFORMAT, "offset is");
  expect("data", "99999999999999999999999", NULL, ESPQ_EFORMAT, "offset is");
  expect("data", NULL, "18446744073709551617", ESPQ_EFORMAT, "length is");
}

static void test_containment(void) {
  expect(NULL, NULL, NULL, ESPQ_EFORMAT, "has no location");
  expect("", NULL, NULL, ESPQ_EFORMAT, "expected a relative path");
  expect("../outside", NULL, NULL, ESPQ_EFORMAT, "inside the model's folder");
  expect("../../etc/passwd", NULL, NULL, ESPQ_EFORMAT, "inside the model's folder");
  expect("sub/../data", NULL, NULL, ESPQ_EFORMAT, "inside the model's folder");
  expect("sub/../../outside", NULL, NULL, ESPQ_EFORMAT, "inside the model's folder");
  expect("..", NULL, NULL, ESPQ_EFORMAT, "inside the model's folder");
  expect(outside, NULL, NULL, ESPQ_EFORMAT, "inside the model's folder");
  expect("/etc/passwd", NULL, NULL, ESPQ_EFORMAT, "inside the model's folder");
  expect("link", NULL, NULL, ESPQ_EFORMAT, "'link' is a symbolic link");
  expect("linked/outside", NULL, NULL, ESPQ_EFORMAT, "'linked' is a symbolic link");
  expect("hard", NULL, NULL, ESPQ_EFORMAT, "2 names (hard links)");
}

static void test_wrong_files(void) {
  expect("missing", NULL, NULL, ESPQ_EIO, "No such file");
  expect("data/below", NULL, NULL, ESPQ_EIO, "Not a directory");
  expect("sub", NULL, NULL, ESPQ_EIO, "is a directory");
  expect("sub/", NULL, NULL, ESPQ_EIO, "is a directory");
  expect(".", NULL, NULL, ESPQ_EIO, "is a directory");
  expect("fifo", NULL, NULL, ESPQ_EIO, "is a pipe"); /* and does not wait for a writer */
}

/* The SHA-1 of 0123456789, whichever part of it the tensor is. */
static void test_checksum(void) {
  checksum = "87acec17cd9dcd20a716cc2cf67417b71c8a7016";
  expect_data("data", "8", NULL, "89");
  checksum = "87ACEC17CD9DCD20A716CC2CF67417B71C8A7016";
  expect_data("data", NULL, NULL, "01");
  checksum = "0000000000000000000000000000000000000000";
  expect("data", NULL, NULL, ESPQ_EFORMAT,
         "'data': the file's SHA-1 is 87acec17cd9dcd20a716cc2cf67417b71c8a7016, the model's checksum is 0000");
  checksum = "whatever";
  expect("data", NULL, NULL, ESPQ_EFORMAT, "checksum 'whatever' is no SHA-1, expected 40 digits");
  checksum = "";
  expect("data", NULL, NULL, ESPQ_EFORMAT, "checksum '' is no SHA-1");
  checksum = "87acec17cd9dcd20a716cc2cf67417b71c8a7016";
  wire t = make_external("hole", NULL, NULL); /* is not read for a minute */
  espq_graph *g = read_with(&t, 1 << 19);
  CHECK(g == NULL && err.status == ESPQ_ELIMIT && strstr(err.text, "bytes to check against a checksum"));
  checksum = NULL;
}

static void test_contradictions(void) {
  wire t = make_external("data", NULL, NULL);
  wire_bytes(&t, 9, "12", 2);
  espq_graph *g = read_with(&t, 0);
  CHECK(g == NULL && strstr(err.text, "has both raw_data and external data"));
  t = make_external("data", NULL, NULL);
  wire_int(&t, 5, 1);
  g = read_with(&t, 0);
  CHECK(g == NULL && strstr(err.text, "has both int32_data and external data"));
}

/* A file with a hole has any size for nothing: what is read from it counts against the limit. */
static void test_budget(void) {
  static const int64_t big[] = {1 << 20};
  wire t = make_tensor("w", INT8, big, 1);
  wire_int(&t, 14, 1);
  add_entry(&t, "location", "hole");
  espq_graph *g = read_with(&t, 1 << 19);
  CHECK(g == NULL && err.status == ESPQ_ELIMIT && strstr(err.text, "limit for all external data"));
  t = make_tensor("w", INT8, big, 1);
  wire_int(&t, 14, 1);
  add_entry(&t, "location", "hole");
  g = read_with(&t, 1 << 20);
  CHECK(g != NULL);
  espq_graph_free(g);
}

static void make_files(void) {
  char target[256];
  CHECK(mkdtemp(folder) != NULL);
  snprintf(model_path, sizeof model_path, "%s/model/m.onnx", folder);
  snprintf(outside, sizeof outside, "%s/outside", folder);
  CHECK(mkdir(inside(""), 0700) == 0 && mkdir(inside("sub"), 0700) == 0);
  CHECK(espq_file_write(outside, "secret", 6, &err) == ESPQ_OK);
  CHECK(espq_file_write(inside("data"), "0123456789", 10, &err) == ESPQ_OK);
  CHECK(espq_file_write(inside("sub/data"), "abcdef", 6, &err) == ESPQ_OK);
  CHECK(symlink("data", inside("link")) == 0 && symlink("..", inside("linked")) == 0);
  CHECK(espq_file_write(inside("twice"), "xyz", 3, &err) == ESPQ_OK);
  snprintf(target, sizeof target, "%s", inside("hard"));
  CHECK(link(inside("twice"), target) == 0);
  CHECK(mkfifo(inside("fifo"), 0600) == 0);
  CHECK(espq_file_write(inside("hole"), "", 0, &err) == ESPQ_OK && truncate(inside("hole"), 1 << 20) == 0);
}

static void remove_files(void) {
  static const char *const names[] = {"m.onnx", "data", "sub/data", "link", "linked", "twice", "hard", "fifo", "hole"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) CHECK(unlink(inside(names[i])) == 0);
  CHECK(rmdir(inside("sub")) == 0 && rmdir(inside("")) == 0 && unlink(outside) == 0 && rmdir(folder) == 0);
}

int main(void) {
  make_files();
  test_found();
  test_ranges();
  test_containment();
  test_wrong_files();
  test_checksum();
  test_contradictions();
  test_budget();
  remove_files();
  return check_report();
}
