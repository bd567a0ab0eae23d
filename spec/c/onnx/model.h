/* model.h - small ONNX models for tests, from the wire upwards. Parts are put into a graph, the graph into a model:
 *
 *   wire g = {0};
 *   add_port(&g, INPUT, "x", 1, (int64_t[]){2}, 1);
 *   add_node(&g, "Relu", "", "x", "y", NULL);
 *   add_port(&g, OUTPUT, "y", 1, (int64_t[]){2}, 1);
 *   wire m = make_model(8, 13, &g);      -- empties g
 */
#ifndef ESPQ_SPEC_MODEL_H
#define ESPQ_SPEC_MODEL_H

#include <stdio.h>

#include "wire.h"

enum { INPUT = 11, OUTPUT = 12, VALUE_INFO = 13 };                       /* fields of GraphProto */
enum { FLOAT = 1, UINT8 = 2, INT8 = 3, INT32 = 6, INT64 = 7, BOOL = 9 }; /* TensorProto.DataType */

/* Tensor type; a dimension of -1 is written as the symbol "N". */
static inline wire make_type(int elem_type, const int64_t *dim, int rank) {
  wire shape = {0}, tensor = {0}, type = {0};
  for (int i = 0; i < rank; i++) {
    wire d = {0};
    if (dim[i] == -1) wire_text(&d, 2, "N");
    else wire_int(&d, 1, dim[i]);
    wire_message(&shape, 1, &d);
  }
  wire_int(&tensor, 1, elem_type);
  wire_message(&tensor, 2, &shape);
  wire_message(&type, 1, &tensor);
  return type;
}

static inline void add_port(wire *graph, int field, const char *name, int elem_type, const int64_t *dim, int rank) {
  wire info = {0}, type = make_type(elem_type, dim, rank);
  wire_text(&info, 1, name);
  wire_message(&info, 2, &type);
  wire_message(graph, (uint64_t)field, &info);
}

/* "a,b,,c" as the repeated strings of a field; NULL: none. */
static inline void add_names(wire *w, uint64_t field, const char *names) {
  while (names) {
    const char *comma = strchr(names, ',');
    wire_bytes(w, field, names, comma ? (size_t)(comma - names) : strlen(names));
    names = comma ? comma + 1 : NULL;
  }
}

/* attributes: encoded fields of NodeProto, emptied; NULL: none. */
static inline void add_node(wire *graph, const char *op, const char *name, const char *in, const char *out,
                            wire *attributes) {
  wire node = {0};
  add_names(&node, 1, in);
  add_names(&node, 2, out);
  wire_text(&node, 3, name);
  wire_text(&node, 4, op);
  if (attributes) {
    wire_raw(&node, attributes->bytes, attributes->size);
    wire_free(attributes);
  }
  wire_message(graph, 1, &node);
}

/* Head of a TensorProto: the caller adds the data. */
static inline wire make_tensor(const char *name, int type, const int64_t *dim, int rank) {
  wire t = {0};
  for (int i = 0; i < rank; i++) wire_int(&t, 1, dim[i]);
  wire_int(&t, 2, type);
  wire_text(&t, 8, name);
  return t;
}

static inline void add_raw_initializer(wire *graph, const char *name, int type, const int64_t *dim, int rank,
                                       const void *bytes, size_t size) {
  wire t = make_tensor(name, type, dim, rank);
  wire_bytes(&t, 9, bytes, size);
  wire_message(graph, 5, &t);
}

/* An attribute's head (name and type), to be completed and added with wire_message(&attributes, 5, ...). */
static inline wire make_attribute(const char *name, int type) {
  wire a = {0};
  wire_text(&a, 1, name);
  wire_int(&a, 20, type);
  return a;
}

static inline wire make_model(int64_t ir, int64_t opset, wire *graph) {
  wire m = {0}, o = {0};
  wire_int(&m, 1, ir);
  wire_int(&o, 2, opset);
  wire_message(&m, 8, &o);
  wire_message(&m, 7, graph);
  return m;
}

#endif
