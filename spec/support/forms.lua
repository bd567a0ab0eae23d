--- The forms of operators that models come in: which work on the chip and which are refused, and with what words.
---
--- A group: inputs and constants that its nodes may read; `works`, a list of nodes; `refused`, a list of { nodes, what
--- the refusal says }. Nodes are written as in spec/support/net.lua, ";" between them, "9: " before those of an older
--- opset; the model's output is y. `late`: refused only when data are known.
local core = require "espquant.core"

local function flag(x) return core.tensor_from({ x }, "float32"):astype "bool":reshape {} end
local function scalar(x) return core.tensor_from({ x }, "float32"):reshape {} end

local M = {
  { "input x N,2,6,5; const w 4,2,3,3; const b 4; const c 3; const d 1,4; const g 4,2,3; const v 4,1,3,3",
    works = {
      "Conv x w -> y", "Conv x w b -> y", "9: Conv x w b -> y", "Conv x w b -> y dilations=2,2",
      "Conv x w b -> y pads=1,0,2,1",
      "Conv x w b -> y auto_pad=VALID", "Conv x w b -> y auto_pad=VALID pads=1,1,1,1", "Conv x v b -> y group=2",
      "Conv x w b -> y auto_pad=SAME_UPPER strides=2,2", "Conv x w b -> y auto_pad=SAME_LOWER strides=2,2",
      "Conv x w b -> y auto_pad=SAME_UPPER dilations=2,1", "Conv x w b -> y auto_pad=NOTSET kernel_shape=3,3 group=1",
    },
    refused = {
      { "Conv x w b -> y auto_pad=SAME", "auto_pad is 'SAME', expected NOTSET, SAME_UPPER" },
      { "Conv x w b -> y padding=1,1", "unknown attribute 'padding'" },
      { "Conv x w b -> y strides=2", "attribute 'strides' is an integer, expected a list" },
      { "Conv x w b -> y strides=2,", "attribute 'strides' has 1 numbers, expected 2" },
      { "Conv x w b -> y strides=0,1", "holds 0, expected 1 to" },
      { "Conv x w b -> y pads=-1,0,0,0", "attribute 'pads' holds -1" },
      { "Conv x w b -> y kernel_shape=5,5", "kernel_shape says 5 along axis 0, but the weight has 3" },
      { "Conv x w b -> y dilations=4,4", "a window of 9 pixels does not fit into 6" },
      { "Conv x w b -> y group=2", "2 input channels per group, expected 1" },
      { "Conv x w b -> y group=0", "group is 0" },
      { "Conv x g -> y", "expected rank 4 like the input" },
      { "Conv x w c -> y", "bias 'c' has shape 3, expected 4" },
      { "Conv x w d -> y", "bias 'd' has shape 1x4, expected 4" },
      { "Conv x -> y", "1 inputs, expected 2 to 3" },
      { "Conv x - -> y", "input 1 is missing" },
      { "Conv x w b b -> y", "4 inputs, expected 2 to 3" },
      { "Relu b -> r; Conv x w r -> y", "its bias 'r' is computed at run time" },
      { "Identity w -> r; Conv x r -> y", "its weight 'r' is computed at run time" },
      { "Conv w w -> r; Add r x -> y", "nothing but constants ('w')" },
    } },
  { "input x N,4,6,5; const w 6,2,3,3; const v 4,1,3,3",
    works = { "Conv x w -> y group=2", "Conv x v -> y group=4" }, refused = {} },
  { "input x N,2,9; const w 4,2,3; const b 4",
    works = {
      "Conv x w b -> y", "Conv x w b -> y dilations=2, pads=1,0 strides=2,",
      "Conv x w -> y auto_pad=SAME_LOWER strides=2,",
      "MaxPool x -> y kernel_shape=3, strides=2, ceil_mode=1",
      "AveragePool x -> y kernel_shape=3, strides=2, ceil_mode=1",
      "GlobalMaxPool x -> y", "GlobalAveragePool x -> y",
    },
    refused = { { "Conv x w -> y strides=1,1", "has 2 numbers, expected 1" } } },
  { "input x N,2,4,4,4; const w 4,2,3,3,3",
    works = { "Relu x -> y" },
    refused = {
      { "Conv x w -> y", "convolutions over three or more axes cannot be quantized" },
      { "MaxPool x -> y kernel_shape=2,2,2", "three or more axes" },
      { "AveragePool x -> y kernel_shape=2,2,2", "three or more axes" },
      { "GlobalMaxPool x -> y", "three or more axes" },
      { "GlobalAveragePool x -> y", "three or more axes" },
    } },
  { "input x N,2,H,W; const w 4,2,3,3",
    works = {},
    refused = { { "Conv x w -> y", "dimension 2 ('H') of the model's input 'x' is not fixed" } } },
  { "input x", works = {}, refused = { { "Relu x -> y", "the shape of the model's input 'x' is not known" } } },
  { "input x N,2,6,5",
    works = {
      "MaxPool x -> y kernel_shape=2,2", "MaxPool x -> y kernel_shape=3,3 pads=1,1,1,1 strides=2,2",
      "MaxPool x -> y kernel_shape=3,2 strides=2,2 ceil_mode=1 pads=1,1,1,1",
      "MaxPool x -> y kernel_shape=2,2 storage_order=1",
      "MaxPool x -> y kernel_shape=3,3 strides=2,2 auto_pad=SAME_UPPER",
      "19: MaxPool x -> y kernel_shape=2,2 dilations=2,2",
      "MaxPool x -> y kernel_shape=3,3 strides=2,2 auto_pad=SAME_LOWER",
      "MaxPool x -> y kernel_shape=3,3 auto_pad=VALID",
      "AveragePool x -> y kernel_shape=2,2", "AveragePool x -> y kernel_shape=3,3 pads=1,1,1,1 strides=2,2",
      "AveragePool x -> y kernel_shape=3,2 strides=2,2 ceil_mode=1",
      "19: AveragePool x -> y kernel_shape=2,2 dilations=2,2",
      "AveragePool x -> y kernel_shape=3,2 strides=2,2 ceil_mode=1 pads=1,0,1,1 count_include_pad=1",
      "AveragePool x -> y kernel_shape=3,3 pads=1,1,1,1 count_include_pad=1",
      "AveragePool x -> y kernel_shape=3,3 strides=2,2 auto_pad=SAME_LOWER",
      "AveragePool x -> y kernel_shape=3,3 strides=2,2 auto_pad=SAME_UPPER count_include_pad=1",
      "GlobalMaxPool x -> y", "GlobalAveragePool x -> y",
    },
    refused = {
      { "MaxPool x -> y", "attribute 'kernel_shape' is missing" },
      { "MaxPool x -> y kernel_shape=3,", "has 1 numbers, expected 2" },
      { "MaxPool x -> y kernel_shape=3,3 pads=3,3,3,3", "not smaller than the window" },
      { "MaxPool x -> y kernel_shape=7,7", "a window of 7 pixels does not fit" },
      { "MaxPool x -> y i kernel_shape=2,2", "its second output, Indices, has no integer form" },
      { "MaxPool x -> y kernel_shape=2,2 storage_order=2", "storage_order is 2" },
      { "AveragePool x -> y kernel_shape=2,2 auto_pad=WHAT", "auto_pad is 'WHAT'" },
      { "LpPool x -> y kernel_shape=2,2", "does not know this operator" },
    } },
  { "input x N,6; const v 6,4; const w 4,6; const s; const o 1; const b 4; const bb 1,4; const m 3,4; const n 3,1; "
    .. "const e 3,4; const k 1,6; const u 6",
    works = {
      "Gemm x v -> y", "Gemm x w b -> y transB=1", "Gemm x v b -> y beta=0.0", "Gemm x v s -> y", "Gemm x v o -> y",
      "Gemm x v bb -> y", "7: Gemm x v b -> y", "MatMul x v -> y",
    },
    refused = {
      { "Gemm x e -> y transA=1", "its transA is not 0" }, { "Gemm x v -> y alpha=0.5", "its alpha is 0.5" },
      { "Gemm x v b -> y beta=0.5", "its beta is 0.5" }, { "Gemm x v m -> y", "differs from row to row" },
      { "Gemm x v n -> y", "differs from row to row" }, { "Gemm x v u -> y", "expected one that broadcasts to" },
      { "Gemm x w -> y", "cannot be multiplied" },
      { "7: Gemm x v b -> y broadcast=1", "unknown attribute 'broadcast'" },
      { "Relu v -> a; Gemm x a -> y", "its weight 'a' is computed at run time" },
      { "Gemm k v -> a; Gemm x v -> c; Add a c -> y", "nothing but constants ('k')" },
      { "MatMul x u -> y", "has rank 1, only one matrix can be quantized" },
    } },
  { "input x N,2,6; const v 6,4; const w 1,6,4; const u 5,2; input z N,6,3",
    works = { "MatMul x v -> y" },
    refused = {
      { "Gemm x v -> y", "cannot be multiplied" },
      { "MatMul x w -> y", "has rank 3, only one matrix can be quantized" },
      { "MatMul u x -> y", "its weight 'x' is computed" }, { "MatMul x z -> y", "its weight 'z' is computed" },
    } },
  { "input x N,3,4,5; const s; const a 1; const c 3,1,1; const d 1,3,1,1; const e 5; const f 3,4,5; const h 4,1; "
    .. "const i 2,1,1; const j 3,3,4,5; const k 1,1,3,4,5",
    works = {
      "LeakyRelu x -> y", "LeakyRelu x -> y alpha=0.0", "LeakyRelu x -> y alpha=1.5", "PRelu x s -> y",
      "PRelu x a -> y",
      "PRelu x c -> y", "PRelu x d -> y", "PRelu x e -> y", "PRelu x f -> y", "PRelu x h -> y",
    },
    refused = {
      { "LeakyRelu x -> y alpha=-0.5", "its alpha is -0.5" }, { "LeakyRelu x -> y alpha=1", "expected a float" },
      { "PRelu x i -> y", "does not broadcast to" }, { "PRelu x j -> y", "differs from image to image" },
      { "PRelu x k -> y", "does not broadcast to" }, { "PRelu x x -> y", "is computed at run time" },
      { "LeakyRelu c -> l; Add x l -> y", "nothing but constants ('c')" },
    } },
  { "input x N,2,3,4; ints r 0,-1; ints t -1,24; ints f 1,24; ints p 0,4,6; ints q -1,4; ints z 3,24; ints d -1,-1; "
    .. "ints n 0,5; const k 1,2,3,4; const l 1,2,2,4; ints i 1",
    works = {
      "Concat x x -> y axis=1", "Concat x x -> y axis=-1", "Concat x x -> y axis=0", "Concat x k -> y axis=1",
      "Concat x -> y axis=2",
      "Reshape x r -> y", "Reshape x t -> y", "Reshape x f -> y", "Reshape x p -> y", "Reshape x q -> y",
      "Flatten x -> y", "Flatten x -> y axis=0", "Flatten x -> y axis=2", "Flatten x -> y axis=-1",
      "Flatten x -> y axis=4",
      "Transpose x -> y", "Transpose x -> y perm=0,2,3,1", "Transpose x -> y perm=1,0,2,3",
      "Identity x -> y", "7: Dropout x -> y ratio=0.3", "12: Dropout x -> y mask",
    },
    refused = {
      { "Concat x x -> y", "attribute 'axis' is missing" },
      { "Concat x l -> y axis=1", "expected ?x2x3x4 but for axis 1" },
      { "Concat x x -> y axis=4", "axis 4 is outside" }, { "Concat x i -> y axis=1", "has type int64" },
      { "Reshape x d -> y", "two entries of -1" }, { "Reshape x n -> y", "does not fit into shape ?x5" },
      { "Reshape x z -> y", "convert_model_batch_to_dynamic", late = true },
      { "Shape x -> s; Reshape x s -> y", "Shape_s' (Nx2x3x4 -> 4): shapes are no data on the chip" },
      { "Shape x -> s; Reshape x s -> y", "Reshape_y' (Nx2x3x4, 4 -> ?): its input 1 's' is computed at run time" },
      { "7: Reshape x -> y shape=0,-1", "1 inputs, expected 2 to 2" },
      { "Flatten x -> y axis=5", "axis 5 is outside" }, { "Transpose x -> y perm=0,1,1,3", "perm is no order" },
      { "12: Dropout x -> a m; Identity m -> o; Identity a -> y", "the mask 'm', has no integer form" },
    } },
  { "input x N,2,3,4; const r; const on; const off", given = { on = flag(1), off = flag(0) },
    works = { "12: Dropout x r -> y", "12: Dropout x r off -> y" },
    refused = { { "12: Dropout x r on -> y", "it is in training mode" } } },
  { "input x N,1,3,1; ints a 1; ints b 1,-1; ints c 2; ints d 9; ints e 1,1; ints f 1,2,3,4; ints g 4; ints h 2,2",
    works = {
      "11: Squeeze x -> y axes=1,", "11: Squeeze x -> y axes=-1,1", "Squeeze x a -> y", "Squeeze x b -> y",
      "Squeeze x -> y",
      "11: Unsqueeze x -> y axes=1,", "Unsqueeze x a -> y", "Unsqueeze x b -> y", "Expand x f -> y", "Expand x g -> y",
    },
    refused = {
      { "Squeeze x c -> y", "axis 2 has 3 entries, expected 1" }, { "Squeeze x d -> y", "axis 9 is outside" },
      { "Unsqueeze x -> y", "its axes are missing, expected as input 1" },
      { "11: Unsqueeze x -> y", "the attribute 'axes'" },
      { "Unsqueeze x e -> y", "axis 1 is named twice" }, { "Expand x h -> y", "do not broadcast" },
      { "Shape x -> s; Squeeze x s -> y", "its input 1 's' is computed" },
      { "Shape x -> s; Expand x s -> y", "is computed" },
    } },
  { "input x N,2,3,4; const v; const big; ints p 0,0,1,1,0,0,1,2; ints n 0,0,-1,0,0,0,0,-2; ints b 1,0,0,0,0,0,0,0; "
    .. "ints s 1,0; ints e 2,9; ints a 1,3; ints t 1,2; ints z 1,0; ints i 1",
    given = { v = scalar(0.5), big = scalar(8) },
    works = {
      "10: Pad x -> y pads=0,0,1,1,0,0,1,2 value=0.5", "Pad x p -> y", "Pad x p v -> y", "Pad x p big -> y",
      "Pad x p -> y mode=edge",
      "Pad x p -> y mode=reflect", "Pad x n -> y", "Pad x b -> y", "9: Slice x -> y starts=1,0 ends=2,9 axes=1,3",
      "Slice x s e a -> y", "Slice x s e a t -> y", "Slice x s e -> y",
    },
    refused = {
      { "Pad x p -> y mode=what", "mode is 'what'" },
      { "Pad x a -> y", "pads has 2 numbers, expected 8" },
      { "Pad x -> y pads=0,0,1,1,0,0,1,2", "are inputs since opset 11" },
      { "Shape x -> c; Pad x c -> y", "its input 1 'c' is computed" },
      { "Pad x p i -> y", "its value 'i' has type int64" },
      { "Slice x s e a z -> y", "step 1 is 0" }, { "Slice x -> y starts=1,0 ends=2,9", "are inputs since opset 10" },
      { "Shape x -> c; Slice x s c -> y", "is computed" },
    } },
  { "input x N,2,3,4; const a 2; const b 2; const c 2; const d 2; const k 4; const zero", given = { zero = scalar(0) },
    works = {},
    refused = {
      { "Softmax x -> y axis=1", "Softmax has no integer form" }, { "Softmax x -> y axis=9", "axis 9 is outside" },
      { "Sigmoid x -> y", "has no integer form" }, { "Tanh x -> y", "has no integer form" },
      { "Div x k -> y", "multiply by the reciprocal" },
      { "Div k x -> y", "Div has no integer form" }, { "10: Clip x -> y min=0.0 max=6.0", "train the model with Relu" },
      { "Clip x zero -> y", "train the model with Relu" }, { "Clip x -> y min=0.0 max=6.0", "inputs since opset 11" },
      { "10: Clip x zero -> y", "expected 1 before opset 11" }, { "Shape x -> y", "shapes are no data" },
      { "BatchNormalization x a b c d -> y", "run the optimizer" },
      { "ConvTranspose x k -> y", "does not fit input 'x'" },
    } },
  { "input x N,2 uint8", works = {}, refused = { { "Flatten x -> y", "type uint8; export the model with" } } },
  { "input x N,2 int8", works = {}, refused = { { "Relu x -> y", "has type int8, expected float32" } } },
  { "input x 1,2,3,4; const k 2,1,1", works = { "Relu x -> y", "Add x k -> y" }, refused = {} },
}

-- Add, Sub, Mul, Max and Min alike: what broadcasts, from which side, and what does not.
for _, op in ipairs { "Add", "Sub", "Mul", "Max", "Min" } do
  local works = { op .. " c x -> y", op .. " x z -> y", op .. " z x -> y", op .. " x x -> y" }
  for k in ("sacdefhjm"):gmatch "." do works[#works + 1] = ("%s x %s -> y"):format(op, k) end
  M[#M + 1] = { "input x N,3,4,5; input z N,3,1,1; const s; const a 1; const c 3,1,1; const d 1,3,1,1; const e 5; "
    .. "const f 3,4,5; const h 4,1; const j 3,3,4,5; const m 2,1,1,1,1; const n 2; ints i 2",
    works = works,
    refused = {
      { op .. " x n -> y", "do not broadcast" }, { op .. " x i -> y", "are float32 and int64, expected one type" },
      { "7: " .. op .. " x c -> y axis=1 broadcast=1", "unknown attribute 'axis', unknown attribute 'broadcast'" },
    } }
end
M[#M + 1] = { "input x N,6; input z N,6; const k 6; const s",
  works = { "Max x -> y", "Max x k s -> y", "Min x k z -> y", "7: Max x k -> y", "Sub x z -> y" },
  refused = { { "Add x z k -> y", "3 inputs, expected 2 to 2" } } }

return M
