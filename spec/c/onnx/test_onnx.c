/* Reading and writing whole models: what the graph holds, what is refused and how, and the way back. */
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "check.h"
#include "model.h"
#include "onnx/read.h"
#include "onnx/write.h"

static espq_error err;
static espq_onnx_notes notes;

static const int64_t two[] = {2}, batch[] = {-1, 3};

static espq_graph *decode(const unsigned char *bytes, size_t size) {
  espq_graph *g = NULL;
  memset(&err, 0, sizeof err);
  memset(&notes, 0, sizeof notes);
  return espq_onnx_decode(bytes, size, NULL, NULL, &g, &notes, &err) ? NULL : g;
}

/* Decodes and frees w; a failure fails the test. */
static espq_graph *must_read(wire *w) {
  espq_graph *g = decode(w->bytes, w->size);
  if (!CHECK(g != NULL)) fprintf(stderr, "  %s\n", err.text);
  wire_free(w);
  return g;
}

static void expect(wire *w, espq_status status, const char *text) {
  espq_graph *g = decode(w->bytes, w->size);
  if (!CHECK(g == NULL && err.status == status && strstr(err.text, text)))
    fprintf(stderr, "  expected %s '%s', got %s '%s'\n", espq_status_name(status), text, espq_status_name(err.status),
            err.text);
  espq_graph_free(g);
  wire_free(w);
}

/* x -> Relu -> y, plus what the caller has put into g before. */
static wire relu_model(wire *g) {
  add_node(g, "Relu", "r", "x", "y", NULL);
  add_port(g, INPUT, "x", FLOAT, two, 1);
  add_port(g, OUTPUT, "y", FLOAT, two, 1);
  return make_model(8, 13, g);
}

static bool is_attribute(const espq_node *n, const char *name, espq_attr_kind kind) {
  const espq_attr *a = espq_node_attr(n, name);
  return a && a->kind == kind;
}

/* --- a model with one of everything --- */

static wire make_attributes(void) {
  wire all = {0}, a = make_attribute("i", 2);
  wire_int(&a, 3, -5);
  wire_message(&all, 5, &a);
  a = make_attribute("f", 1);
  wire_float(&a, 2, 0.5f);
  wire_message(&all, 5, &a);
  a = make_attribute("s", 3);
  wire_bytes(&a, 4, "a\0b", 3);
  wire_message(&all, 5, &a);
  a = make_attribute("empty", 3);
  wire_message(&all, 5, &a);
  a = make_attribute("ints", 7);
  wire_int(&a, 8, 1);
  wire_int(&a, 8, -2);
  wire_message(&all, 5, &a);
  a = make_attribute("packed", 7);
  wire_bytes(&a, 8, "\3\4", 2);
  wire_message(&all, 5, &a);
  a = make_attribute("floats", 6);
  wire_float(&a, 7, 1);
  wire_message(&all, 5, &a);
  a = make_attribute("strings", 8);
  wire_text(&a, 9, "p");
  wire_text(&a, 9, "");
  wire_message(&all, 5, &a);
  a = make_attribute("t", 4);
  wire t = make_tensor("", FLOAT, two, 1);
  wire_bytes(&t, 4, "\0\0\x80\x3f\0\0\0\x40", 8);
  wire_message(&a, 5, &t);
  wire_message(&all, 5, &a);
  a = make_attribute("g", 5);
  wire sub = {0};
  wire_text(&sub, 2, "subgraph");
  wire_message(&a, 6, &sub);
  wire_message(&all, 5, &a);
  return all;
}

static wire rich_model(void) {
  static const float weights[] = {1, 2, 3};
  static const int64_t three[] = {3};
  wire g = {0}, attributes = make_attributes(), constant = {0}, value = make_attribute("value_ints", 7);
  add_node(&g, "Mix", "late", "sum,w,,c", "y,", &attributes); /* stands before the maker of its input */
  add_node(&g, "Add", "", "x,w", "sum", NULL);
  wire_int(&value, 8, 7);
  wire_message(&constant, 5, &value);
  add_node(&g, "Constant", "", NULL, "c", &constant);
  wire_text(&g, 2, "net");
  add_raw_initializer(&g, "w", FLOAT, three, 1, weights, sizeof weights);
  wire_text(&g, 10, "a description");
  add_port(&g, INPUT, "x", FLOAT, batch, 2);
  add_port(&g, INPUT, "w", FLOAT, three, 1);
  add_port(&g, OUTPUT, "y", FLOAT, batch, 2);
  add_port(&g, VALUE_INFO, "sum", FLOAT, batch, 2);
  return make_model(7, 13, &g);
}

static void test_graph(void) {
  wire w = rich_model();
  espq_graph *g = must_read(&w);
  if (!g) return;
  CHECK(notes.count == 0 && espq_graph_verify(g, &err) == ESPQ_OK);
  CHECK(strcmp(g->name, "net") == 0 && strcmp(g->doc, "a description") == 0 && g->opset == 13 && g->ir_version == 7);
  CHECK(g->ninputs == 1 && g->noutputs == 1 && g->live_nodes == 2);
  const espq_value *x = &g->values[g->inputs[0]], *sum = &g->values[espq_graph_find_value(g, "sum")];
  CHECK(strcmp(x->name, "x") == 0 && x->shape.rank == 2 && x->shape.dim[0] == -1 && x->shape.dim[1] == 3);
  CHECK(x->symbol[0] && strcmp(x->symbol[0], "N") == 0 && !x->symbol[1] && x->dtype == ESPQ_F32);
  CHECK(sum->dtype == ESPQ_F32 && sum->shape.rank == 2);
  const espq_node *add = &g->nodes[g->first], *mix = &g->nodes[g->last];
  CHECK(strcmp(add->op_type, "Add") == 0 && strcmp(mix->op_type, "Mix") == 0); /* sorted */
  CHECK(mix->nin == 4 && mix->in[2] == ESPQ_NONE && mix->nout == 2 && mix->out[1] == ESPQ_NONE);
  const espq_value *weight = &g->values[add->in[1]], *c = &g->values[mix->in[3]];
  CHECK(weight->constant && weight->constant->dtype == ESPQ_F32 && ((float *)weight->constant->data)[2] == 3);
  CHECK(c->constant && c->constant->dtype == ESPQ_I64 && c->constant->rank == 1 && *(int64_t *)c->constant->data == 7);
  espq_graph_free(g);
}

static void test_attributes(void) {
  wire w = rich_model();
  espq_graph *g = must_read(&w);
  if (!g) return;
  const espq_node *n = &g->nodes[g->last];
  CHECK(espq_node_int(n, "i", 0) == -5 && espq_node_float(n, "f", 0) == 0.5f);
  CHECK(is_attribute(n, "s", ESPQ_ATTR_STRING) && espq_node_attr(n, "s")->s.size == 3);
  CHECK(memcmp(espq_node_attr(n, "s")->s.text, "a\0b", 4) == 0);
  CHECK(strcmp(espq_node_string(n, "empty", "?"), "") == 0);
  CHECK(is_attribute(n, "ints", ESPQ_ATTR_INTS) && espq_node_attr(n, "ints")->ints[1] == -2);
  CHECK(is_attribute(n, "packed", ESPQ_ATTR_INTS) && espq_node_attr(n, "packed")->ints[1] == 4);
  CHECK(is_attribute(n, "floats", ESPQ_ATTR_FLOATS) && espq_node_attr(n, "floats")->n == 1);
  CHECK(is_attribute(n, "strings", ESPQ_ATTR_STRINGS) && espq_node_attr(n, "strings")->n == 2);
  CHECK(strcmp(espq_node_attr(n, "strings")->strings[0].text, "p") == 0);
  CHECK(is_attribute(n, "t", ESPQ_ATTR_TENSOR) && ((float *)espq_node_attr(n, "t")->tensor->data)[1] == 2);
  CHECK(is_attribute(n, "g", ESPQ_ATTR_OPAQUE));
  espq_graph_free(g);
}

/* --- the way back --- */

/* Writes g, reads that, and compares text and second writing. */
static void check_round_trip(const espq_graph *g) {
  unsigned char *once = NULL, *twice = NULL;
  size_t n = 0, m = 0;
  if (!CHECK(espq_onnx_encode(g, &once, &n, &err) == ESPQ_OK)) return;
  espq_graph *back = decode(once, n);
  if (!CHECK(back != NULL)) fprintf(stderr, "  %s\n", err.text);
  if (back && CHECK(espq_onnx_encode(back, &twice, &m, &err) == ESPQ_OK)) {
    char *before = espq_graph_print(g), *after = espq_graph_print(back);
    CHECK(n == m && memcmp(once, twice, n) == 0);
    CHECK(before && after && strcmp(before, after) == 0);
    espq_free(before);
    espq_free(after);
  }
  espq_free(once);
  espq_free(twice);
  espq_graph_free(back);
}

static void test_round_trip(void) {
  wire w = rich_model();
  espq_graph *g = must_read(&w);
  if (!g) return;
  check_round_trip(g);
  g->name = "";
  g->producer = "";
  g->ir_version = 3; /* initializers that are no inputs need 4 */
  unsigned char *bytes;
  size_t size;
  CHECK(espq_onnx_encode(g, &bytes, &size, &err) == ESPQ_OK);
  espq_graph *back = decode(bytes, size);
  CHECK(back && back->ir_version == 4 && strcmp(back->name, "main_graph") == 0 &&
        strcmp(back->producer, "espquant") == 0);
  espq_free(bytes);
  espq_graph_free(back);
  espq_graph_free(g);
}

/* A graph of our own operators: their domain must get into opset_import. */
static void test_own_domain(void) {
  espq_graph *g;
  espq_id x, y, node;
  CHECK(espq_graph_new(&g, &err) == ESPQ_OK && espq_graph_add_value(g, "x", &x, &err) == ESPQ_OK);
  CHECK(espq_graph_add_value(g, "y", &y, &err) == ESPQ_OK && espq_graph_add_input(g, x, &err) == ESPQ_OK);
  g->values[x].dtype = ESPQ_I8;
  CHECK(espq_graph_add_node(g, ESPQ_NONE, "espquant", "Requantize", "", 1, &x, 1, &y, &node, &err) == ESPQ_OK);
  CHECK(espq_graph_add_output(g, y, &err) == ESPQ_OK);
  unsigned char *bytes;
  size_t size;
  CHECK(espq_onnx_encode(g, &bytes, &size, &err) == ESPQ_OK);
  espq_graph *back = decode(bytes, size);
  CHECK(back && back->nopsets == 1 && strcmp(back->opsets[0].domain, "espquant") == 0);
  CHECK(back && back->values[back->inputs[0]].shape.rank == -1 && back->values[back->inputs[0]].dtype == ESPQ_I8);
  espq_free(bytes);
  espq_graph_free(back);
  espq_graph_free(g);
}

/* --- damage --- */

static void test_truncation(void) {
  wire whole = rich_model();
  int read = 0, silent = 0;
  for (size_t n = 0; n < whole.size; n++) {
    unsigned char *cut = malloc(n ? n : 1); /* an exact copy, for the sanitizer */
    memcpy(cut, whole.bytes, n);
    espq_graph *g = decode(cut, n);
    read += g != NULL;
    silent += !g && !err.text[0];
    espq_graph_free(g);
    free(cut);
  }
  CHECK(read == 0 && silent == 0);
  wire_free(&whole);
}

static void test_mutation(void) {
  static const unsigned char flips[] = {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff, 0x7f};
  wire whole = rich_model();
  int refused = 0, bad = 0;
  for (size_t i = 0; i < whole.size; i++)
    for (size_t k = 0; k < sizeof flips; k++) {
      whole.bytes[i] ^= flips[k];
      espq_graph *g = decode(whole.bytes, whole.size);
      whole.bytes[i] ^= flips[k];
      refused += g == NULL;
      bad += g ? espq_graph_verify(g, NULL) != ESPQ_OK : !err.text[0] || err.status == ESPQ_EBUG;
      if (g) check_round_trip(g);
      espq_graph_free(g);
    }
  CHECK(bad == 0);
  CHECK(refused > (int)whole.size);
  wire_free(&whole);
}

/* --- what is refused --- */

static void test_not_a_model(void) {
  wire w = {0};
  expect(&w, ESPQ_EFORMAT, "it is empty");
  wire_raw(&w, "\x08", 1);
  expect(&w, ESPQ_EFORMAT, "byte 1: ModelProto.ir_version: a varint is cut off");
  wire_raw(&w, "\x89PNG\r\n\x1a\n", 8);
  expect(&w, ESPQ_EFORMAT, "not a valid ONNX model: byte");
  wire_int(&w, 1, 8);
  expect(&w, ESPQ_EFORMAT, "it holds no graph");
}

static void test_versions(void) {
  static const struct {
    int ir, opset, status, notes;
    const char *text;
  } cases[] = {
      {0, 13, ESPQ_EFORMAT, 0, "IR version is 0"},
      {-1, 13, ESPQ_EFORMAT, 0, "IR version is -1"},
      {2, 13, ESPQ_EUNSUPPORTED, 0, "expected 3 to 13"},
      {3, 7, ESPQ_OK, 0, ""},
      {13, 27, ESPQ_OK, 0, ""},
      {14, 28, ESPQ_OK, 2, ""},
      {8, 1, ESPQ_OK, 0, ""}, /* what its operators meant then, their rows know */
      {8, 0, ESPQ_EFORMAT, 0, "opset version is 0"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    wire g = {0}, ignored;
    ignored = relu_model(&g);
    wire_free(&ignored);
    add_port(&g, INPUT, "x", FLOAT, two, 1);
    add_port(&g, OUTPUT, "x", FLOAT, two, 1);
    wire m = make_model(cases[i].ir, cases[i].opset, &g);
    espq_graph *graph = decode(m.bytes, m.size);
    CHECK(err.status == (espq_status)cases[i].status && strstr(err.text, cases[i].text));
    CHECK(notes.count == cases[i].notes);
    espq_graph_free(graph);
    wire_free(&m);
  }
}

static void test_opset_import(void) {
  wire g = {0}, m = relu_model(&g), o = {0};
  wire_int(&o, 2, 13);
  wire_text(&o, 1, "ai.onnx"); /* another name of "" */
  wire_message(&m, 8, &o);
  expect(&m, ESPQ_EFORMAT, "the default domain twice");
  wire_text(&g, 2, "net");
  wire_int(&m, 1, 8);
  wire_message(&m, 7, &g);
  expect(&m, ESPQ_EFORMAT, "does not list the default domain");
  wire domain = {0};
  wire_text(&domain, 7, "com.example");
  add_node(&g, "Foo", "n", "x", "z", &domain);
  m = relu_model(&g);
  expect(&m, ESPQ_EFORMAT, "Foo 'n': domain 'com.example' is not in opset_import");
}

static void test_unsupported_parts(void) {
  wire g = {0}, m = relu_model(&g);
  wire_bytes(&m, 20, "", 0);
  expect(&m, ESPQ_EUNSUPPORTED, "training_info");
  wire_bytes(&g, 15, "", 0);
  m = relu_model(&g);
  expect(&m, ESPQ_EFORMAT, "sparse initializer 0 has no name");
  wire info = {0}, type = {0};
  wire_text(&info, 1, "seq");
  wire_bytes(&type, 4, "", 0);
  wire_message(&info, 2, &type);
  wire_message(&g, INPUT, &info);
  m = relu_model(&g);
  expect(&m, ESPQ_EUNSUPPORTED, "graph input 'seq' is a sequence");
  add_port(&g, INPUT, "text", 8, two, 1);
  m = relu_model(&g);
  expect(&m, ESPQ_EUNSUPPORTED, "graph input 'text' has elements of type string (8)");
}

/* Graphs that contradict themselves: nodes as "op name inputs outputs". */
static void test_structure(void) {
  static const struct {
    const char *node[4][4];
    espq_status status;
    const char *text;
  } cases[] = {
      {{{"Add", "a", "x,nowhere", "u"}, {"Add", "b", "lost,gone", "v"}},
       ESPQ_EFORMAT,
       "Add 'a': input 1 'nowhere' is made by nobody; Add 'b': input 0 'lost' is made by nobody; Add 'b': input 1"},
      {{{"Relu", "a", "u", "u"}}, ESPQ_EFORMAT, "cycle"},
      {{{"Relu", "a", "v", "u"}, {"Relu", "b", "u", "v"}}, ESPQ_EFORMAT, "Relu 'b'"},
      {{{"Relu", "a", "x", "u"}, {"Relu", "b", "x", "u"}},
       ESPQ_EFORMAT,
       "tensor 'u' is defined twice: by Relu 'a' and by Relu 'b'"},
      {{{"Split", "a", "x", "u,u"}}, ESPQ_EFORMAT, "'u' is defined twice"},
      {{{"Relu", "a", "x", "x"}}, ESPQ_EFORMAT, "tensor 'x' is defined twice: by the graph's inputs and by Relu 'a'"},
      {{{"Relu", "a", "x", "y"}}, ESPQ_EFORMAT, "'y' is defined twice"},
      {{{"", "nameless", "x", "u"}}, ESPQ_EFORMAT, "has no op_type"},
      {{{"Constant", "k", NULL, "u"}}, ESPQ_EFORMAT, "Constant 'k': expected one attribute, got 0"},
      {{{"Constant", "k", "x", "u"}}, ESPQ_EFORMAT, "Constant 'k': expected no input"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    wire g = {0};
    for (int k = 0; k < 4 && cases[i].node[k][0]; k++)
      add_node(&g, cases[i].node[k][0], cases[i].node[k][1], cases[i].node[k][2], cases[i].node[k][3], NULL);
    wire m = relu_model(&g);
    expect(&m, cases[i].status, cases[i].text);
  }
}

static void test_ports(void) {
  static const int64_t nine[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
  wire g = {0}, m;
  add_port(&g, OUTPUT, "z", FLOAT, two, 1);
  m = relu_model(&g);
  expect(&m, ESPQ_EFORMAT, "graph output 'z' is made by no node");
  add_port(&g, OUTPUT, "y", FLOAT, two, 1);
  m = relu_model(&g);
  expect(&m, ESPQ_EFORMAT, "graph output 'y' is listed twice");
  add_port(&g, INPUT, "x", FLOAT, two, 1);
  m = relu_model(&g);
  expect(&m, ESPQ_EFORMAT, "'x' is defined twice: by the graph's inputs");
  add_port(&g, INPUT, "big", FLOAT, nine, 9);
  m = relu_model(&g);
  expect(&m, ESPQ_ELIMIT, "dim[8]: 9 of them or more, the limit is 8 (--limit-rank)");
  wire_text(&g, 2, "empty");
  m = make_model(8, 13, &g);
  expect(&m, ESPQ_EFORMAT, "has no outputs");
  static const int64_t odd[] = {0, -7, 4};
  add_port(&g, INPUT, "odd", FLOAT, odd, 3);
  m = relu_model(&g);
  espq_graph *graph = must_read(&m);
  const espq_shape *s = graph ? &graph->values[espq_graph_find_value(graph, "odd")].shape : NULL;
  CHECK(s && s->rank == 3 && s->dim[0] == -1 && s->dim[1] == -1 && s->dim[2] == 4);
  espq_graph_free(graph);
}

static void test_bad_attributes(void) {
  static const struct {
    const char *name;
    int type;
    const char *text;
  } cases[] = {
      {"a", 0, "Relu 'n': attribute 'a': type is 0"}, {"a", 99, "type is 99"},
      {"a", 4, "is a tensor, but has none"},          {"", 2, "has no name"},
      {"same", 2, "attribute 'same': appears twice"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    wire g = {0}, all = {0}, a = make_attribute(cases[i].name, cases[i].type), b = make_attribute("same", 2);
    wire_message(&all, 5, &b);
    wire_message(&all, 5, &a);
    add_node(&g, "Relu", "n", "x", "u", &all);
    wire m = relu_model(&g);
    expect(&m, ESPQ_EFORMAT, cases[i].text);
  }
}

static void test_constant_nodes(void) {
  static const struct {
    const char *name;
    int type, field;
    espq_dtype dtype;
    int rank;
  } cases[] = {
      {"value_int", 2, 3, ESPQ_I64, 0},           {"value_float", 1, 2, ESPQ_F32, 0},
      {"value_ints", 7, 8, ESPQ_I64, 1},          {"value_floats", 6, 7, ESPQ_F32, 1},
      {"value_string", 3, 4, ESPQ_DTYPE_NONE, 0}, {"value_strings", 8, 9, ESPQ_DTYPE_NONE, 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    wire g = {0}, all = {0}, a = make_attribute(cases[i].name, cases[i].type);
    if (cases[i].dtype == ESPQ_F32) wire_float(&a, (uint64_t)cases[i].field, 2);
    else if (cases[i].dtype == ESPQ_I64) wire_int(&a, (uint64_t)cases[i].field, 2);
    else wire_text(&a, (uint64_t)cases[i].field, "2");
    wire_message(&all, 5, &a);
    add_node(&g, "Constant", "k", NULL, "c", &all);
    wire m = relu_model(&g);
    if (cases[i].dtype == ESPQ_DTYPE_NONE) {
      expect(&m, ESPQ_EUNSUPPORTED, cases[i].name);
      continue;
    }
    espq_graph *graph = must_read(&m);
    espq_id c = graph ? espq_graph_find_value(graph, "c") : ESPQ_NONE;
    const espq_tensor *t = c == ESPQ_NONE ? NULL : graph->values[c].constant;
    CHECK(t && t->dtype == cases[i].dtype && t->rank == cases[i].rank && t->count == 1 && graph->live_nodes == 1);
    CHECK(t && (t->dtype == ESPQ_F32 ? *(float *)t->data == 2 : *(int64_t *)t->data == 2));
    espq_graph_free(graph);
  }
}

/* --- files --- */

static int count_entries(const char *folder) {
  int n = -2;
  DIR *d = opendir(folder);
  while (d && readdir(d)) n++;
  if (d) closedir(d);
  return n;
}

static void test_files(void) {
  char folder[] = "/tmp/espq-onnx-XXXXXX", path[256];
  if (!CHECK(mkdtemp(folder) != NULL)) return;
  snprintf(path, sizeof path, "%s/m.onnx", folder);
  wire w = rich_model();
  espq_graph *g = must_read(&w), *back = NULL;
  CHECK(espq_onnx_read(path, NULL, &back, NULL, &err) == ESPQ_EIO && strstr(err.text, path));
  CHECK(espq_onnx_read(folder, NULL, &back, NULL, &err) == ESPQ_EIO && strstr(err.text, "is a directory"));
  CHECK(espq_onnx_write(g, path, &err) == ESPQ_OK && count_entries(folder) == 1);
  CHECK(espq_onnx_read(path, NULL, &back, NULL, &err) == ESPQ_OK);
  espq_graph_free(back);
  espq_onnx_limits limits = espq_onnx_usual_limits;
  limits.bytes = 10;
  CHECK(espq_onnx_read(path, &limits, &back, NULL, &err) == ESPQ_ELIMIT);
  CHECK(strstr(err.text, path) && strstr(err.text, "the limit is 10"));
  CHECK(espq_onnx_write(g, "/nowhere/m.onnx", &err) == ESPQ_EIO && strstr(err.text, "/nowhere/m.onnx"));
  CHECK(espq_onnx_write(g, folder, &err) == ESPQ_EIO);
  FILE *f = fopen(path, "wb");
  CHECK(f && fwrite("\x08\x08\x3a", 1, 3, f) == 3 && fclose(f) == 0);
  CHECK(espq_onnx_read(path, NULL, &back, NULL, &err) == ESPQ_EFORMAT);
  CHECK(strncmp(err.text, path, strlen(path)) == 0 && strstr(err.text, "byte 3: ModelProto.graph"));
  espq_graph_free(g);
  CHECK(unlink(path) == 0 && rmdir(folder) == 0);
}

int main(void) {
  test_graph();
  test_attributes();
  test_round_trip();
  test_own_domain();
  test_truncation();
  test_mutation();
  test_not_a_model();
  test_versions();
  test_opset_import();
  test_unsupported_parts();
  test_structure();
  test_ports();
  test_bad_attributes();
  test_constant_nodes();
  test_files();
  return check_report();
}
