--- What help(x) says about the functions of the C module, whose sources are not there at run time: the signature,
--- then a text. Keys: "name" of the module, "class:method", "class.field". spec/doc_spec.lua wants all of them.

local texts = {}

local function class(name, subject, members)
  for key, text in pairs(members) do
    local is_method = text:sub(1, 1) == "("
    texts[name .. (is_method and ":" or ".") .. key] = is_method and subject .. ":" .. key .. text or text
  end
end

local function module(members)
  for key, text in pairs(members) do texts[key] = "core." .. key .. text end
end

module {
  -- tensors
  tensor = '(shape[, dtype = "float32"])\nA new tensor of zeros.',
  tensor_from = "(number | list | nested lists[, dtype[, shape]])\nA tensor of these numbers.",
  tensor_frombytes = '({dtype =, shape =, data =, byteorder = "<" | ">", fortran =})\nA tensor of raw bytes.',
  concat = "(list[, axis = 0])\nJoins tensors along an axis.",
  -- graphs
  graph = "({name =, opset =, ir_version =})\nA new, empty graph.",
  op = '(op_type[, domain = ""])\nThe row of an operator as a table; nil for an unknown one.',
  ops = "()\nThe rows of all operators, a list of tables.",
  onnx_read_tensor = "(path)\nThe tensor of a file that holds one TensorProto.",
  onnx_splice = "(graph, node, attr, {values})\nPuts that attribute's subgraph before the node; its outputs' values.",
  onnx_limits = "()\nHow large a model may be: a list of {name =, usual =, what =}, for {limits = {nodes = 1000}}.",
  onnx_read = "(path[, {limits = {...}}])\nThe graph of an ONNX file, and a list of notes about it.",
  onnx_decode = "(bytes[, dir[, {limits = {...}}]])\nThe graph of a model in memory; dir: where external data may lie.",
  onnx_write = "(graph, path)\nWrites an ONNX file, whole or not at all.",
  onnx_encode = "(graph)\nThe bytes of the ONNX model.",
  -- running
  evaluate = "(graph, inputs[, {names}])\nComputes node by node, where shapes depend on data: outputs, their names.",
  fold_constants = "(graph[, max_bytes = 1 MiB[, max_total = 4 * max_bytes]])\nNodes of constants alone become "
    .. "constants; returns how many.",
  executor = "(graph[, {threads =, micro_batch =, outputs = {names}, isa =}])\nA plan of the graph, ready to run.",
  isa = '()\nThe instruction set of the float kernels: "sse41", "avx2" or "avx512". Asking settles it.',
  set_isa = '("sse41" | "avx2" | "avx512")\nFloat kernels use exactly this one; before anything ran.',
  observe_range = "(graph, names)\nAn observation that accumulates minima and maxima of these tensors.",
  observe_histogram = '(ranges[, runtime = "v1"[, count]])\nAn observation that accumulates histograms over the ranges '
    .. 'observed before, of the first count tensors; "v3": of magnitudes.',
  merge_states = "(list)\nThe states of observations of the same tensors (o:state(), strings) as one, in any order.",
  observe_percentile = "(graph, names)\nAn observation of ranges without the outermost ten-thousandth, image by image.",
  entropy_threshold = "(tensor)\nWhere a float32 tensor is cut so that the KL divergence is smallest.",
  percentile = "(tensor[, part = 0.9999])\nA float32 tensor's range without its smallest and largest elements: lo, hi.",
  histogram_exponent = '(tensor, "kl" | "mse", bits)\nThe exponent of a float32 tensor for ESP-DL v3 by that observer.',
  -- exponents: the scale is 2^exponent
  v3_exponent_of_absmax = "(absmax, bits)\nThe exponent of a range for ESP-DL v3: it holds absmax.",
  exponent_of_absmax = "(absmax, bits)\nThe exponent for activations and per-tensor weights up to absmax.",
  exponent_of_channel = "(absmax, bits)\nThe exponent for one channel of a weight.",
  exponent_of_alpha = "(alpha, bits)\nThe exponent for a LeakyRelu's or PRelu's slope.",
  exponent_of_threshold = "(threshold)\nThe exponent for a threshold that the entropy method found.",
  exponent_of_bias = "(input_exponent, weight_exponent)\nThe exponent of a per-channel bias.",
  exponent_of_scale = "(scale)\nThe exponent of a scale; nil if it is no power of two.",
  -- export
  targets = "()\nWhat files can be written for: runtime, chip, group, order, rounding, per_channel, bias_bits_8 ...",
  pack_filter = '(t, {axes = "oihw", target =, runtime = "v1", grouped =, tail =})'
    .. "\nThe elements of an integer filter in the order in which the chip reads them, as a tensor of rank 1.",
  format_elements = "(t)\nThe elements of an int8 or int16 tensor as rows of C text.",
  -- pictures
  image_decode = "(bytes[, channels])\nA PNG or JPEG as a uint8 tensor height x width x channels: 1 gray, 3 RGB.",
  image_resize = "(t, height, width[, shorter])\nSuch a tensor stretched; or, scaled by its shorter side, its centre.",
  image_load = "(paths, {height =, width =, channels =, shorter =, bgr =, planar =, table =, threads =})"
    .. "\nPictures as float32 numbers: value v of channel c becomes table[c][v]. shorter = -1: none is resized.",
  -- files and the process
  read_file = "(path[, limit])\nThe bytes of a file of at most limit bytes.",
  check_folder = "(path)\nTrue if files can be made in this folder; else nil, message, code.",
  read_part = "(path, offset, size)\nAt most size bytes of a file from offset (0-based) on, and the size of the file.",
  write_file = "(path, bytes)\nWrites a file: the whole, or nothing changes.",
  write_files = "(paths, texts)\nWrites files that belong together, each texts[i] to paths[i]: all, or nothing changes.",
  has_failed = "(file)\nWhether something written to this open file of `io` was lost, as on a full disk.",
  inflate = "(bytes[, limit[, raw]])\nUnpacks zlib, gzip or (raw) deflate data into at most limit bytes.",
  crc32 = "(bytes)\nThe CRC-32 of zip and gzip, an integer.",
  aes128_ctr = "(bytes, key, counter)\nThe bytes encrypted, or decrypted, with AES-128 in counter mode.",
  make_folder = "(path)\nMakes a folder, unless it is there.",
  sha256 = "(bytes)\nThe SHA-256 in hexadecimal digits.",
  isatty = "(fd)\nWhether 0 (stdin), 1 (stdout) or 2 (stderr) is a terminal.",
  clock = "()\nSeconds since some moment, for differences; never goes back.",
  peak_rss = "()\nThe most bytes of memory that the process ever held.",
}

class("tensor", "t", {
  count = "how many elements",
  dtype = 'the type of an element: "float32", "int8" ...',
  rank = "how many dimensions",
  shape = "the list of dimensions",
  abs = "()\nThe absolute values, a new tensor.",
  argmax = "([axis = -1])\nThe 0-based indexes of the largest elements along the axis.",
  astype = "(dtype)\nA new tensor of this type.",
  close = "()\nGives the memory back now; later uses raise.",
  copy = "()\nA new tensor of the same elements.",
  dequantize = "(exponents[, axis])\nThe elements times 2^exponent, as float32.",
  equal = "(u)\nTrue; or false and, for equal types and shapes, the first index that differs and how many do.",
  identical = "(u)\nWhether type, shape and bytes are the same.",
  fill = "(x)\nSets all elements; returns t.",
  isfinite = "()\nWhether no element is NaN or infinite.",
  item = "()\nThe element of a tensor that has only one.",
  max = "()\nThe largest element.",
  maxabs = "([axis])\nThe largest absolute value; with an axis, a tensor of one for each of its indexes.",
  maximum = "(u)\nThe larger of each pair of elements; u is a tensor or a number.",
  mean = "()\nThe mean of all elements.",
  min = "()\nThe smallest element.",
  minimum = "(u)\nThe smaller of each pair of elements; u is a tensor or a number.",
  quantize = '(exponents, bits[, axis[, rounding = "half-even"]])\nclip(round(t / 2^exponent)) as int8, int16, int32 '
    .. '(20, 32 bits) or int64 (40, 64); "half-up" as well.',
  reshape = "(shape)\nA view of another shape; one dimension may be -1.",
  slice = "(first[, last])\nA view of the rows first..last, 1-based, both included.",
  sqrt = "()\nThe square roots, a new tensor.",
  sum = "()\nThe sum of all elements.",
  take_rows = "(list)\nA new tensor of these rows, 1-based, in this order.",
  tobytes = "()\nThe raw bytes, little-endian, in C order.",
  totable = "()\nNested lists of numbers; a number for a scalar.",
  transpose = "([perm])\nA new tensor with its axes in the order of perm (0-based), or reversed.",
})

class("graph", "g", {
  accumulator = 'what holds their sums: "exact", or "lanes": those of the ESP32-S3, which saturate',
  arithmetic = "whose rounding and accumulators the integer kernels follow",
  inputs = "the list of input values",
  outputs = "the list of output values",
  metadata = "what the file notes about the model: a table key -> value",
  ir_version = "the version of the ONNX file format",
  name = "the graph's name",
  opset = "the version of ONNX's own operators",
  producer = "the program that wrote the model",
  producer_version = "its version",
  add_constant = "(name | nil, tensor)\nA new constant value.",
  add_input = "(name[, dtype[, shape]])\nA new input value.",
  add_node = '({op_type =, inputs = {value | false}, outputs = {"name" | value | false} | n, attrs = {}, name =, '
    .. "domain =, before = node})\nA new node: the last one, or the one before `before`.",
  add_output = "(value[, index])\nOne more output, or another one at this place.",
  check = "()\nWhether every node is as its operator's row demands: arity, attributes, types.",
  clone = "()\nA copy that shares the tensors.",
  close = "()\nGives the memory back now; later uses raise.",
  infer_shapes = "()\nFills in types and shapes of all values.",
  node = "(name)\nThe first node of that name, or nil.",
  node_list = "()\nA list of all nodes in order.",
  nodes = "()\nAn iterator over all nodes in order; the loop may remove the node it stands on.",
  opsets = "()\nA table: operator domain to version.",
  prune = "()\nRemoves what no output needs; returns how many nodes went.",
  remove_input = "(value)\nTakes an input off the list; the value stays.",
  remove_node = "(node)\nRemoves a node whose outputs nobody reads.",
  remove_value = "(value)\nRemoves a value that nobody makes, reads or returns; false when it is in use.",
  set_metadata = "(key, value)\nNotes a text about the model, which stays in its file.",
  replace = "(old, with)\nLets everybody who reads a value, or a node's first output, read another one.",
  sort = "()\nPuts the nodes into topological order.",
  value = "(name)\nThe value of that name, or nil.",
  values = "()\nA list of all values.",
  verify = "()\nWhether the graph's structure is sound: ids, uses, order, names.",
})

class("node", "n", {
  alive = "whether the node is still in its graph",
  column = 'how it is computed: "f32" or "q"',
  domain = 'the operator\'s domain, "" for ONNX\'s own',
  inputs = "the list of input values, false for those left out",
  name = "the node's name",
  op_type = "the operator's name",
  outputs = "the list of output values, false for those left out",
  attr = "(name[, default])\nAn attribute; without a default, the operator's.",
  attrs = "()\nA table of the attributes that are set.",
  fault = "()\nWhat is wrong with the node by itself (arity, attributes, opset, shapes) and a code; nil: nothing.",
  has_attr = "(name)\nWhether the attribute is set.",
  input = "(i)\nInput value i, or nil.",
  label = "()\nThe node's name for messages, also when it has none.",
  move_before = "(node | nil)\nMoves it; nil: to the end.",
  next = "()\nThe node after it, or nil.",
  output = "(i)\nOutput value i, or nil.",
  prev = "()\nThe node before it, or nil.",
  remove = "()\nRemoves the node from its graph.",
  saturating = "()\nOf how many output channels the sums can leave the ESP32-S3's lanes, and how many there are; nil: "
    .. "no sums of integers.",
  set_attr = "(name, value | nil[, kind])\nSets an attribute; nil removes it.",
  set_input = "(i, value | false)\nSets one input; those between it and the last are left out.",
  why_not = "()\nWhy the node cannot be quantized; nil: it can.",
  set_inputs = "({value | false, ...})\nSets all inputs.",
})

class("value", "v", {
  alive = "whether the value is still in its graph",
  constant = "its tensor, if it is a constant",
  dtype = "the type of an element",
  is_input = "whether it is an input of the graph",
  is_output = "whether it is an output of the graph",
  name = "the value's name",
  producer = "the node whose output it is, or nil",
  quant = "{bits =, exponents = {}}, or nil for a float tensor",
  shape = "a list of integers, names, or false for what is unknown; nil when the rank is",
  slot = "v.producer:output(v.slot) is v",
  rename = "(name)\nGives it another name, everywhere.",
  set_constant = "(tensor | nil)\nMakes it a constant of this tensor, or none.",
  set_dtype = "(dtype | nil)\nSets the type of a value that is no constant.",
  set_quant = "(bits, exponent | {exponents})\nMakes it a quantized tensor; set_quant(nil): float again.",
  set_shape = "(shape | nil)\nSets the shape of a value that is no constant.",
  use_count = "()\nHow often nodes and the graph's outputs read it.",
  users = "()\nThe nodes that read it, each once, in order.",
})

class("executor", "exec", {
  stale = "whether the graph was edited after the executor was made",
  batch = "{pure =, own =, reason =}: whether any number of images may be run at once, and if not, why",
  close = "()\nGives the memory back now; later uses raise.",
  run = "(images[, observation[, want_outputs = true]])\nRuns the graph: list of outputs, list of their names.",
})

class("observation", "o", {
  close = "()\nGives the memory back now; later uses raise.",
  counts = "(i, bins)\nWhere the histogram of tensor i begins and ends, and its counts in so many equal bins; or nil.",
  range = "(i)\nMinimum, maximum, whether there was a NaN, and the count of tensor i.",
  state = "()\nAll that was seen, as bytes: the same on every machine and for every number of threads.",
  add_state = "(bytes)\nAdds what another observation of the same tensors has seen; true, or nil, message, code.",
  exponents = '("kl" | "mse", bits[, threads])\nThe exponents of all tensors for ESP-DL v3; of its histograms only.',
  thresholds = "([threads])\n"
    .. "The thresholds of all tensors, searched in parallel; false where threshold(i) says why not.",
  threshold = "(i)\nThe threshold of smallest KL divergence for tensor i; of histograms only.",
})

return texts
