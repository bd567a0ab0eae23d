/* Tensors in every form a file may give them: raw, typed, of every type, and of impossible shapes. */
#include "check.h"
#include "model.h"
#include "onnx/read.h"
#include "onnx/write.h"

static espq_error err;
static espq_onnx_notes notes;

enum { RAW = 9, FLOAT_DATA = 4, INT32_DATA = 5, STRING_DATA = 6, INT64_DATA = 7, DOUBLE_DATA = 10, UINT64_DATA = 11 };

/* A model with the TensorProto `t` (emptied) as initializer 'w'. */
static espq_graph *decode_with(wire *t) {
  static const int64_t two[] = {2};
  wire g = {0};
  wire_message(&g, 5, t);
  add_port(&g, INPUT, "x", FLOAT, two, 1);
  add_port(&g, OUTPUT, "x", FLOAT, two, 1);
  wire m = make_model(8, 13, &g);
  espq_graph *graph = NULL;
  memset(&err, 0, sizeof err);
  memset(&notes, 0, sizeof notes);
  if (espq_onnx_decode(m.bytes, m.size, NULL, NULL, &graph, &notes, &err)) graph = NULL;
  wire_free(&m);
  return graph;
}

static void expect(wire *t, espq_status status, const char *text) {
  espq_graph *g = decode_with(t);
  if (!CHECK(g == NULL && err.status == status && strstr(err.text, text) &&
             (strstr(err.text, "initializer 'w': ") || strstr(err.text, "initializer[0]"))))
    fprintf(stderr, "  expected %s '%s', got %s '%s'\n", espq_status_name(status), text, espq_status_name(err.status),
            err.text);
  espq_graph_free(g);
}

static void expect_bytes(wire *t, espq_dtype dtype, const void *bytes, size_t size) {
  espq_graph *g = decode_with(t);
  if (!CHECK(g != NULL)) {
    fprintf(stderr, "  %s: %s\n", espq_dtype_name(dtype), err.text);
    return;
  }
  const espq_tensor *w = g->values[espq_graph_find_value(g, "w")].constant;
  CHECK(w && w->dtype == dtype && espq_tensor_bytes(w) == size && memcmp(w->data, bytes, size) == 0);
  espq_graph_free(g);
}

/* One row per type: two elements, as bytes and as varints of their typed field (or its fixed-width bytes). */
static const struct {
  int code;
  espq_dtype dtype;
  const char *raw;
  size_t size;
  int field;
  int64_t typed[2]; /* unused for float_data and double_data, whose packed bytes are the raw ones */
} types[] = {
    {1, ESPQ_F32, "\0\0\x80\x3f\0\0\0\xc0", 8, FLOAT_DATA, {0}},
    {2, ESPQ_U8, "\x01\xff", 2, INT32_DATA, {1, 255}},
    {3, ESPQ_I8, "\x01\xff", 2, INT32_DATA, {1, -1}},
    {4, ESPQ_U16, "\x01\0\xff\xff", 4, INT32_DATA, {1, 65535}},
    {5, ESPQ_I16, "\x01\0\xff\xff", 4, INT32_DATA, {1, -1}},
    {6, ESPQ_I32, "\x01\0\0\0\xff\xff\xff\xff", 8, INT32_DATA, {1, -1}},
    {7, ESPQ_I64, "\x01\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", 16, INT64_DATA, {1, -1}},
    {9, ESPQ_BOOL, "\0\x01", 2, INT32_DATA, {0, 1}},
    {10, ESPQ_F16, "\0\x3c\0\xc0", 4, INT32_DATA, {0x3c00, 0xc000}},
    {11, ESPQ_F64, "\0\0\0\0\0\0\xf0\x3f\0\0\0\0\0\0\0\xc0", 16, DOUBLE_DATA, {0}},
    {12, ESPQ_U32, "\x01\0\0\0\xff\xff\xff\xff", 8, UINT64_DATA, {1, 0xffffffff}},
    {13, ESPQ_U64, "\x01\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", 16, UINT64_DATA, {1, -1}},
};

static const int64_t pair[] = {2};

static void test_raw(void) {
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    wire t = make_tensor("w", types[i].code, pair, 1);
    wire_bytes(&t, RAW, types[i].raw, types[i].size);
    expect_bytes(&t, types[i].dtype, types[i].raw, types[i].size);
    for (int delta = -1; delta <= 1; delta += 2) {
      char longer[32] = "";
      memcpy(longer, types[i].raw, types[i].size);
      t = make_tensor("w", types[i].code, pair, 1);
      wire_bytes(&t, RAW, longer, types[i].size + (size_t)delta);
      expect(&t, ESPQ_EFORMAT, "of shape 2 needs");
    }
  }
}

static void test_typed_packed(void) {
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    wire t = make_tensor("w", types[i].code, pair, 1), values = {0};
    if (types[i].field == FLOAT_DATA || types[i].field == DOUBLE_DATA) wire_raw(&values, types[i].raw, types[i].size);
    else
      for (int k = 0; k < 2; k++) wire_varint(&values, (uint64_t)types[i].typed[k]);
    wire_message(&t, (uint64_t)types[i].field, &values);
    expect_bytes(&t, types[i].dtype, types[i].raw, types[i].size);
  }
}

static void test_typed_loose(void) {
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    wire t = make_tensor("w", types[i].code, pair, 1);
    size_t width = types[i].size / 2;
    for (int k = 0; k < 2; k++) {
      if (types[i].field != FLOAT_DATA && types[i].field != DOUBLE_DATA) {
        wire_int(&t, (uint64_t)types[i].field, types[i].typed[k]);
        continue;
      }
      wire_tag(&t, (uint64_t)types[i].field, width == 4 ? 5 : 1);
      wire_raw(&t, types[i].raw + (size_t)k * width, width);
    }
    expect_bytes(&t, types[i].dtype, types[i].raw, types[i].size);
  }
}

static void test_out_of_range(void) {
  static const struct {
    int code, field;
    int64_t value;
    const char *text;
  } cases[] = {
      {2, INT32_DATA, 256, "is 256, which is no uint8"},
      {2, INT32_DATA, -1, "no uint8"},
      {3, INT32_DATA, 128, "no int8"},
      {3, INT32_DATA, -129, "no int8"},
      {4, INT32_DATA, 65536, "no uint16"},
      {5, INT32_DATA, 32768, "no int16"},
      {10, INT32_DATA, -1, "no float16"},
      {12, UINT64_DATA, 1ll << 32, "no uint32"},
      {1, INT32_DATA, 1, "has int32_data, but float32 elements belong into float_data"},
      {7, INT32_DATA, 1, "belong into int64_data"},
      {6, INT64_DATA, 1, "belong into int32_data"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    wire t = make_tensor("w", cases[i].code, NULL, 0);
    wire_int(&t, (uint64_t)cases[i].field, cases[i].value);
    expect(&t, ESPQ_EFORMAT, cases[i].text);
  }
}

static void test_bool_bytes(void) {
  wire t = make_tensor("w", BOOL, pair, 1);
  wire_bytes(&t, RAW, "\x02\xff", 2);
  expect_bytes(&t, ESPQ_BOOL, "\1\1", 2);
}

static void test_bfloat16(void) {
  wire t = make_tensor("w", 16, pair, 1);
  wire_bytes(&t, RAW, "\x80\x3f\0\xc0", 4);
  expect_bytes(&t, ESPQ_F32, "\0\0\x80\x3f\0\0\0\xc0", 8);
  CHECK(notes.count == 1 && strcmp(notes.text, "tensor 'w': bfloat16 is read as float32") == 0);
  t = make_tensor("w", 16, pair, 1);
  wire_int(&t, INT32_DATA, 0x3f80);
  wire_int(&t, INT32_DATA, 0xc000);
  expect_bytes(&t, ESPQ_F32, "\0\0\x80\x3f\0\0\0\xc0", 8);
}

static void test_refused_types(void) {
  static const struct {
    int code;
    espq_status status;
    const char *text;
  } cases[] = {
      {0, ESPQ_EFORMAT, "data_type is 0"},       {99, ESPQ_EFORMAT, "data_type is 99"},
      {-1, ESPQ_EFORMAT, "data_type is -1"},     {8, ESPQ_EUNSUPPORTED, "type string"},
      {14, ESPQ_EUNSUPPORTED, "type complex64"}, {17, ESPQ_EUNSUPPORTED, "type float8e4m3fn"},
      {22, ESPQ_EFORMAT, "4-bit integers need"}, {28, ESPQ_EUNSUPPORTED, "type float6e3m2"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    wire t = make_tensor("w", cases[i].code, pair, 1);
    expect(&t, cases[i].status, cases[i].text);
  }
}

static void test_shapes(void) {
  static const int64_t negative[] = {2, -1}, wraps[] = {1ll << 62, 4}, huge[] = {1ll << 62, 1ll << 62, 1ll << 62, 4},
                       much[] = {1ll << 31};
  wire t = make_tensor("w", FLOAT, negative, 2);
  wire_bytes(&t, RAW, "", 0);
  expect(&t, ESPQ_EFORMAT, "dimension 1 is -1");
  t = make_tensor("w", FLOAT, wraps, 2); /* the product is 0 modulo 2^64 */
  wire_bytes(&t, RAW, "", 0);
  expect(&t, ESPQ_ELIMIT, "18446744073709551615 elements or more, the limit is 2147483648 (--limit-elements)");
  t = make_tensor("w", FLOAT, huge, 4);
  expect(&t, ESPQ_ELIMIT, "18446744073709551615 elements or more, the limit is 2147483648 (--limit-elements)");
  t = make_tensor("w", FLOAT, much, 1); /* 8 GB are not allocated for a file of a few bytes */
  expect(&t, ESPQ_EFORMAT, "needs 2147483648 elements in float_data (or raw_data), got 0");
  t = make_tensor("w", INT8, much, 1);
  wire_bytes(&t, RAW, "1234", 4);
  expect(&t, ESPQ_EFORMAT, "needs 2147483648 bytes, got 4");
  wire packed = {0};
  for (int i = 0; i < 1000000; i++) wire_varint(&packed, 1);
  t = make_tensor("w", FLOAT, NULL, 0);
  wire_message(&t, 1, &packed);
  expect(&t, ESPQ_ELIMIT, "9 dimensions or more, the limit is 8 (--limit-rank)");
}

/* Scalars, tensors without elements, rank 8. */
static void test_odd_shapes(void) {
  static const int64_t none[] = {0, 1000}, deep[] = {1, 1, 1, 2, 1, 1, 1, 1};
  wire t = make_tensor("w", INT8, NULL, 0);
  wire_bytes(&t, RAW, "\5", 1);
  expect_bytes(&t, ESPQ_I8, "\5", 1);
  t = make_tensor("w", INT8, none, 2);
  expect_bytes(&t, ESPQ_I8, "", 0);
  t = make_tensor("w", INT8, none, 2);
  wire_bytes(&t, RAW, "", 0);
  expect_bytes(&t, ESPQ_I8, "", 0);
  t = make_tensor("w", INT8, deep, 8);
  wire_bytes(&t, RAW, "\1\2", 2);
  expect_bytes(&t, ESPQ_I8, "\1\2", 2);
}

static void test_contradictions(void) {
  wire t = make_tensor("w", FLOAT, pair, 1);
  wire_bytes(&t, RAW, "12345678", 8);
  wire_float(&t, FLOAT_DATA, 1);
  expect(&t, ESPQ_EFORMAT, "has both float_data and raw_data");
  t = make_tensor("w", FLOAT, pair, 1);
  wire_bytes(&t, STRING_DATA, "x", 1);
  expect(&t, ESPQ_EFORMAT, "has string_data");
  t = make_tensor("w", FLOAT, pair, 1);
  wire_bytes(&t, 3, "", 0);
  expect(&t, ESPQ_EUNSUPPORTED, "segments");
  t = make_tensor("w", FLOAT, pair, 1);
  wire_int(&t, 14, 1); /* external, but this model comes from memory */
  expect(&t, ESPQ_EUNSUPPORTED, "external data of a model that was not read from a file");
}

static void test_names(void) {
  wire t = make_tensor("", INT8, NULL, 0);
  wire_bytes(&t, RAW, "1", 1);
  CHECK(decode_with(&t) == NULL && strstr(err.text, "initializer 0 has no name"));
  t = make_tensor("x", INT8, NULL, 0); /* as the graph's input: that is then no input any more */
  wire_bytes(&t, RAW, "1", 1);
  espq_graph *g = decode_with(&t);
  CHECK(g && g->ninputs == 0 && g->values[g->outputs[0]].constant);
  espq_graph_free(g);
  wire twice = {0};
  for (int i = 0; i < 2; i++) add_raw_initializer(&twice, "w", INT8, NULL, 0, "1", 1);
  wire m = make_model(8, 13, &twice);
  CHECK(espq_onnx_decode(m.bytes, m.size, NULL, NULL, &g, NULL, &err) == ESPQ_EFORMAT);
  CHECK(strstr(err.text, "tensor 'w' is defined twice: by the initializers and by the initializers"));
  wire_free(&m);
}

int main(void) {
  test_raw();
  test_typed_packed();
  test_typed_loose();
  test_out_of_range();
  test_bool_bytes();
  test_bfloat16();
  test_refused_types();
  test_shapes();
  test_odd_shapes();
  test_contradictions();
  test_names();
  return check_report();
}
