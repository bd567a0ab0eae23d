/* The bounded scan: what no protobuf library may see, and that every refusal says where. */
#include "onnx/proto.h"
#include "onnx/scan.h"

#include "check.h"
#include "wire.h"

static espq_error err;

/* Scans an exact copy, so that the sanitizer sees one byte too many; frees w. */
static espq_status scan(wire *w) {
  unsigned char *copy = malloc(w->size ? w->size : 1);
  memcpy(copy, w->bytes ? w->bytes : copy, w->size);
  memset(&err, 0, sizeof err);
  espq_status status = espq_onnx_scan(&onnx__model_proto__descriptor, copy, w->size, &espq_onnx_usual_limits, &err);
  free(copy);
  wire_free(w);
  return status;
}

static void expect(wire *w, espq_status expected, const char *text) {
  espq_status status = scan(w);
  if (!CHECK(status == expected && strstr(err.text, text)))
    fprintf(stderr, "  expected %s '%s', got %s '%s'\n", espq_status_name(expected), text, espq_status_name(status),
            err.text);
}

/* A model holding `graph`, which is emptied. */
static wire model_of(wire *graph) {
  wire m = {0};
  wire_int(&m, 1, 8);
  wire_message(&m, 7, graph);
  return m;
}

static wire small_model(void) {
  wire attribute = {0}, node = {0}, tensor = {0}, graph = {0};
  wire_text(&attribute, 1, "axis");
  wire_int(&attribute, 3, -1);
  wire_text(&node, 1, "x");
  wire_text(&node, 2, "y");
  wire_text(&node, 4, "Softmax");
  wire_message(&node, 5, &attribute);
  wire_message(&graph, 1, &node);
  wire_int(&tensor, 1, 2);
  wire_bytes(&tensor, 4, "\0\0\0\0\0\0\0\0", 8);
  wire_bytes(&tensor, 7, "\1\2\x80\1", 4);
  wire_message(&graph, 5, &tensor);
  return model_of(&graph);
}

static void test_valid(void) {
  wire w = small_model();
  CHECK(scan(&w) == ESPQ_OK);
  wire empty = {0};
  CHECK(scan(&empty) == ESPQ_OK);
}

static void test_truncation(void) {
  wire whole = small_model();
  int accepted = 0;
  for (size_t n = 0; n < whole.size; n++) {
    wire cut = {0};
    wire_raw(&cut, whole.bytes, n);
    accepted += scan(&cut) == ESPQ_OK;
  }
  CHECK(accepted == 2); /* nothing, and the IR version alone: between two fields of the outermost message */
  wire_free(&whole);
}

static void test_tags(void) {
  static const struct {
    const char *bytes;
    size_t size;
    const char *text;
  } cases[] = {
      {"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 12, "more than 64 bits"},
      {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11, "more than 64 bits"},
      {"\x08\x80", 2, "cut off"},
      {"\x00\x01", 2, "field number 0"},
      {"\x80\x80\x80\x80\x10\x01", 6, "field number 536870912"},
      {"\x88\x80\x80\x80\x80\x00\x01", 7, "out of range"},
      {"\x0b", 1, "field 1 is a group"},
      {"\x0c", 1, "the end of a group"},
      {"\x0e", 1, "wire type 6"},
      {"\x0f", 1, "wire type 7"},
      {"\xfb\x01", 2, "field 31 is a group"},
      {"\x09\0\0\0\0\0\0\0\0", 9, "ModelProto.ir_version: expected a varint, got a 64-bit value"},
      {"\x38\x01", 2, "ModelProto.graph: expected a length-prefixed block, got a varint"},
      {"\x08\x01\x08\x02", 4, "byte 2: ModelProto.ir_version: appears twice"},
      {"\x3a\x00\x3a\x00", 4, "byte 2: ModelProto.graph: appears twice"},
      {"\x12\x00\x12\x00", 4, "appears twice"},
      {"\x3a\x80\x80\x80\x80\x08", 6, "has length 2147483648"},
      {"\x3a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11, "has length 9223372036854775808"},
      {"\x3a\x02\x00", 3, "has length 2, but its message ends after 1 bytes"},
      {"\xfd\x01\0\0\0", 5, "needs 4 bytes, but its message ends after 3"},
      {"\xfa\x01\x05\0", 4, "has length 5"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    wire w = {0};
    wire_raw(&w, cases[i].bytes, cases[i].size);
    expect(&w, ESPQ_EFORMAT, cases[i].text);
  }
}

/* The offset and the way to the fault, through messages that were read before it. */
static void test_path(void) {
  wire first = {0}, attribute = {0}, good = {0}, node = {0}, graph = {0};
  wire_text(&first, 4, "Relu");
  wire_message(&graph, 1, &first);
  wire_text(&good, 1, "a");
  wire_message(&node, 5, &good);
  wire_text(&attribute, 3, "no integer");
  wire_message(&node, 5, &attribute);
  wire_message(&graph, 1, &node);
  wire w = model_of(&graph);
  expect(&w, ESPQ_EFORMAT,
         "byte 21: ModelProto.graph.node[1].attribute[1].i: expected a varint, got a length-prefixed block");
}

static void test_unknown_fields(void) {
  wire w = {0};
  wire_int(&w, 99, 7);
  wire_text(&w, 100, "from the future");
  wire_float(&w, 536870911, 1);
  wire_tag(&w, 101, 1);
  wire_raw(&w, "12345678", 8);
  CHECK(scan(&w) == ESPQ_OK);
  for (int i = 0; i <= ESPQ_ONNX_MAX_UNKNOWN; i++) wire_int(&w, 99, 1);
  expect(&w, ESPQ_ELIMIT, "unknown fields");
}

static void test_nesting(void) {
  static const uint64_t types[] = {4, 1};        /* sequence of sequence of ... */
  static const uint64_t recursion[] = {1, 5, 6}; /* node, attribute, subgraph ... */
  wire graph = {0}, info = {0}, inner = wire_nested(types, 2, 100000);
  wire_message(&info, 2, &inner);
  wire_message(&graph, 11, &info);
  wire w = model_of(&graph);
  expect(&w, ESPQ_ELIMIT, "65 messages inside messages or more, the limit is 64 (--limit-depth)");
  inner = wire_nested(recursion, 3, 99999);
  w = model_of(&inner);
  expect(&w, ESPQ_ELIMIT, "ModelProto.graph.node[0].attribute[0].g.node[0].attribute[0].g");
  inner = wire_nested(recursion, 3, (int)espq_onnx_usual_limits.depth - 2);
  w = model_of(&inner);
  CHECK(scan(&w) == ESPQ_OK);
}

static wire with_node_name(const char *bytes, size_t n) {
  wire node = {0}, graph = {0};
  wire_bytes(&node, 3, bytes, n);
  wire_message(&graph, 1, &node);
  return model_of(&graph);
}

static void test_names(void) {
  static const struct {
    const char *bytes;
    size_t size;
    int ok;
  } cases[] = {
      {"", 0, 1},
      {"%n%s </script>", 14, 1},
      {"line\n", 5, 0},
      {"\x1b[2J", 4, 0},
      {"\x7f", 1, 0},
      {"\xc2\x9b", 2, 0}, /* a control character of Latin-1 */
      {"\xc2\xa0", 2, 1},
      {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9, 1}, /* two, three and four bytes */
      {"a\0b", 3, 0},
      {"\xff", 1, 0},
      {"\xc3", 1, 0},             /* cut off */
      {"\xc0\x80", 2, 0},         /* NUL, too long */
      {"\xe0\x80\xaf", 3, 0},     /* '/', too long */
      {"\xed\xa0\x80", 3, 0},     /* surrogate */
      {"\xf4\x90\x80\x80", 4, 0}, /* beyond Unicode */
      {"\x80", 1, 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    wire w = with_node_name(cases[i].bytes, cases[i].size);
    if (cases[i].ok) CHECK(scan(&w) == ESPQ_OK);
    else expect(&w, ESPQ_EFORMAT, "ModelProto.graph.node[0].name");
  }
  char *big = calloc(1, 1 << 20);
  memset(big, 'n', 1 << 20);
  wire w = with_node_name(big, ESPQ_ONNX_MAX_NAME);
  CHECK(scan(&w) == ESPQ_OK);
  w = with_node_name(big, 1 << 20);
  expect(&w, ESPQ_ELIMIT, "a name of 1048576 bytes");
  wire_bytes(&w, 6, big, 1 << 20); /* doc_string: as long as it likes, in any encoding */
  CHECK(scan(&w) == ESPQ_OK);
  wire_bytes(&w, 6, "caf\xe9", 4);
  CHECK(scan(&w) == ESPQ_OK);
  free(big);
}

static void test_packed(void) {
  static const struct {
    unsigned field;
    const char *bytes;
    size_t size;
    const char *text; /* NULL: accepted */
  } cases[] = {
      {1, "\1\2\3", 3, NULL},
      {1, "\1\x80", 2, "a varint is cut off"},
      {4, "12345", 5, "has 5 bytes, expected a multiple of 4"},
      {10, "12345678abcd", 12, "has 12 bytes, expected a multiple of 8"},
      {2, "\1", 1, "expected a varint"}, /* data_type is not repeated */
      {11, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, "more than 64 bits"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    wire tensor = {0}, graph = {0};
    wire_bytes(&tensor, cases[i].field, cases[i].bytes, cases[i].size);
    wire_message(&graph, 5, &tensor);
    wire w = model_of(&graph);
    if (cases[i].text) expect(&w, ESPQ_EFORMAT, cases[i].text);
    else CHECK(scan(&w) == ESPQ_OK);
  }
}

static void test_counts(void) {
  wire graph = {0}, node = {0}, w;
  for (int i = 0; i < 1000000; i++) wire_bytes(&graph, 1, "", 0);
  w = model_of(&graph);
  expect(&w, ESPQ_ELIMIT, "ModelProto.graph.node[100000]: 100001 nodes or more, the limit is 100000 (--limit-nodes)");
  for (int i = 0; i < 100000; i++) wire_text(&node, 1, "x");
  wire_message(&graph, 1, &node);
  w = model_of(&graph);
  expect(&w, ESPQ_ELIMIT,
         "ModelProto.graph.node[0].input[65536]: 65537 of them or more, the limit is 65536 (--limit-inputs)");
  for (int i = 0; i <= ESPQ_ONNX_MAX_ITEMS; i++) wire_bytes(&w, 14, "", 0);
  expect(&w, ESPQ_ELIMIT, "messages and strings");
}

int main(void) {
  test_valid();
  test_truncation();
  test_tags();
  test_path();
  test_unknown_fields();
  test_nesting();
  test_names();
  test_packed();
  test_counts();
  return check_report();
}
