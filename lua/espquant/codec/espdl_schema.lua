--- The FlatBuffers schema of an .espdl file, as data: what codec/flatbuffer reads and writes, and what proto/espdl.fbs
--- says in flatc's language (scripts/espdl_fbs writes that file; a spec compares).
--
-- A table is the list of its fields, in the order of their ids: {name, type}. Types: a scalar ("int64"), "string", the
-- name of a table, struct or enum, a list {type}, or {union = ...}, whose tag is the field before it.

local M = { root = "Model", namespace = "espdl" }

--- Scalars: string.pack's code and the size in bytes.
M.scalars = {
  uint8 = { "I1", 1 }, int8 = { "i1", 1 }, int32 = { "i4", 4 }, int64 = { "i8", 8 }, uint64 = { "i8", 8 },
  float = { "f", 4 }, double = { "d", 8 },
}

--- Enums: the scalar they are stored as, and the names of 0, 1, 2 ...
M.enums = {
  Version = { "int32", "_START_VERSION", "IR_VERSION_2023_12_22" },
  AttributeType = { "int32", "UNDEFINED", "FLOAT", "INT", "STRING", "TENSOR", "GRAPH", "FLOATS", "INTS", "STRINGS",
    "TENSORS", "GRAPHS", "TYPE_FBS", "TYPE_FBSS" },
  TensorDataType = { "int32", "UNDEFINED", "FLOAT", "UINT8", "INT8", "UINT16", "INT16", "INT32", "INT64", "STRING",
    "BOOL", "FLOAT16", "DOUBLE", "UINT32", "UINT64" },
  DataLocation = { "int32", "DEFAULT", "EXTERNAL" },
  DimensionValueType = { "int8", "UNKNOWN", "VALUE", "PARAM" },
}

--- Structs of one field each, stored in place: scalar, field, number of elements, alignment.
M.structs = {
  AttributeF = { "float", "f", 1, 4 },
  AttributeI = { "int64", "i", 1, 8 },
  AlignedBytes = { "uint8", "bytes", 16, 16 },
}

--- The members of the union, by tag.
M.unions = {
  TypeInfoValue = { "TensorTypeAndShape", "SequenceType", "MapType", "OptionalType" },
}

M.union_names = {
  TensorTypeAndShape = "tensor_type", SequenceType = "sequence_type", MapType = "map_type",
  OptionalType = "optional_type",
}

M.tables = {
  Model = { { "ir_version", "int32" }, { "opset_import", { "OperatorSetId" } }, { "producer_name", "string" },
    { "producer_version", "string" }, { "domain", "string" }, { "model_version", "int64" }, { "doc_string", "string" },
    { "graph", "Graph" }, { "metadata_props", { "StringStringEntry" } }, { "functions", { "Function" } } },
  Graph = { { "node", { "Node" } }, { "name", "string" }, { "initializer", { "Tensor" } }, { "doc_string", "string" },
    { "input", { "ValueInfo" } }, { "output", { "ValueInfo" } }, { "value_info", { "ValueInfo" } },
    { "quantization_annotation", { "TensorAnnotation" } }, { "test_inputs_value", { "Tensor" } },
    { "test_outputs_value", { "Tensor" } } },
  Node = { { "input", { "string" } }, { "output", { "string" } }, { "name", "string" }, { "op_type", "string" },
    { "domain", "string" }, { "attribute", { "Attribute" } }, { "doc_string", "string" } },
  Attribute = { { "name", "string" }, { "ref_attr_name", "string" }, { "doc_string", "string" },
    { "attr_type", "AttributeType" }, { "f", "AttributeF" }, { "i", "AttributeI" }, { "s", { "uint8" } },
    { "t", "Tensor" }, { "g", "Graph" }, { "tp", "TypeInfo" }, { "floats", { "float" } }, { "ints", { "int64" } },
    { "strings", { "string" } }, { "tensors", { "Tensor" } }, { "graphs", { "Graph" } },
    { "type_protos", { "TypeInfo" } } },
  Tensor = { { "dims", { "int64" } }, { "data_type", "TensorDataType" }, { "float_data", { "float" } },
    { "int32_data", { "int32" } }, { "string_data", { "string" } }, { "int64_data", { "int64" } }, { "name", "string" },
    { "doc_string", "string" }, { "raw_data", { "AlignedBytes" } }, { "external_data", { "StringStringEntry" } },
    { "data_location", "DataLocation" }, { "double_data", { "double" } }, { "uint64_data", { "uint64" } },
    { "exponents", { "int64" } } },
  ValueInfo = { { "name", "string" }, { "value_info_type", "TypeInfo" }, { "doc_string", "string" },
    { "exponents", { "int64" } } },
  TypeInfo = { { "value_type", "uint8" }, { "value", { union = "TypeInfoValue" } }, { "denotation", "string" } },
  TensorTypeAndShape = { { "elem_type", "TensorDataType" }, { "shape", "TensorShape" } },
  TensorShape = { { "dim", { "Dimension" } } },
  Dimension = { { "value", "DimensionValue" }, { "denotation", "string" } },
  DimensionValue = { { "dim_type", "DimensionValueType" }, { "dim_value", "int64" }, { "dim_param", "string" } },
  SequenceType = { { "elem_type", "TypeInfo" } },
  MapType = { { "key_type", "TensorDataType" }, { "value_type", "TypeInfo" } },
  OptionalType = { { "elem_type", "TypeInfo" } },
  StringStringEntry = { { "key", "string" }, { "value", "string" } },
  OperatorSetId = { { "domain", "string" }, { "version", "int64" } },
  TensorAnnotation = { { "tensor_name", "string" }, { "quant_parameter_tensor_names", { "StringStringEntry" } } },
  Function = { { "name", "string" }, { "input", { "string" } }, { "output", { "string" } },
    { "attribute", { "string" } }, { "attribute_proto", { "Attribute" } }, { "node", { "Node" } },
    { "doc_string", "string" }, { "opset_import", { "OperatorSetId" } }, { "domain", "string" } },
}

return M
