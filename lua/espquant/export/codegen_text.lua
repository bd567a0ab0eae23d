--- The C++ of a plan: the model class, the data of its test, the program that runs it, and CMakeLists.txt.
---
--- Names that stand in the text are identifiers (cpp_names.lua) or go through `quoted`; nothing else of the model's
--- texts gets in, not even into comments.

local core = require "espquant.core"

local M = {}

--- A C string of any bytes.
function M.quoted(text)
  return '"' .. text:gsub('[^%w _./:,;()+*=<>%%-]', function(c) return ("\\%03o"):format(c:byte()) end) .. '"'
end

local function vector(list)
  return "{" .. table.concat(list, ", ") .. "}"
end

local function array(kind, name, elements)
  local head = ("static const __attribute__((aligned(16))) %s %s[] = {\n"):format(kind, name)
  return head .. core.format_elements(elements) .. "};\n\n"
end

-- --- the model ------------------------------------------------------------------------------------------------------

-- The C++ expression of a tensor.
local function object(ref)
  if ref.is_input then return "input" end
  return ref.constant and "this->" .. ref.constant.name or ("this->%s.get_output()"):format(ref.layer.member)
end

local function operands(layer)
  local list = {}
  for i, ref in ipairs(layer.inputs) do list[i] = (layer.joins and "&" or "") .. object(ref) end
  local text = table.concat(list, ", ")
  return layer.joins and "{" .. text .. "}" or text
end

local function class_of(plan, layer)
  return "dl::layer::" .. (layer.template or ("%s<%s>"):format(layer.class, plan.type))
end

local function includes(plan)
  local seen, list = {}, {}
  for _, layer in ipairs(plan.layers) do
    if not seen[layer.header] then
      seen[layer.header], list[#list + 1] = true, ('#include "dl_layer_%s.hpp"\n'):format(layer.header)
    end
  end
  table.sort(list)
  return table.concat(list)
end

-- Layer -> the tensors that nobody reads after it.
local function last_reads(plan)
  local last, frees = {}, {}
  for _, layer in ipairs(plan.layers) do
    frees[layer] = {}
    for _, ref in ipairs(layer.inputs) do last[ref] = layer end
  end
  for _, layer in ipairs(plan.layers) do
    for _, ref in ipairs(layer.inputs) do
      if last[ref] == layer and not (ref.constant or ref.is_output) then
        last[ref] = nil
        table.insert(frees[layer], ref)
      end
    end
  end
  return frees
end

local function build_lines(plan)
  local lines = {}
  for i, layer in ipairs(plan.layers) do
    lines[i] = ("        this->%s.build(%s);\n"):format(layer.member, operands(layer))
  end
  return table.concat(lines)
end

local function call_lines(plan)
  local lines, frees = {}, last_reads(plan)
  for _, layer in ipairs(plan.layers) do
    lines[#lines + 1] = ("        this->%s.call(%s);\n"):format(layer.member, operands(layer))
    if layer.test then
      local text = "        if (this->observer) this->observer(%d, %s);\n"
      lines[#lines + 1] = text:format(layer.test, object(layer.ref))
    end
    for _, ref in ipairs(frees[layer]) do
      lines[#lines + 1] = ("        %s.free_element();\n"):format(object(ref))
    end
  end
  return table.concat(lines)
end

local function members(plan)
  local lines = {}
  for _, constant in ipairs(plan.constants) do
    lines[#lines + 1] = ("    dl::Tensor<%s> %s;\n"):format(plan.type, constant.name)
  end
  for _, layer in ipairs(plan.layers) do
    lines[#lines + 1] = ("    %s %s;\n"):format(class_of(plan, layer), layer.member)
  end
  return table.concat(lines)
end

local function initializers(plan, c)
  local lines = {}
  for i, layer in ipairs(plan.layers) do
    local arguments = layer.arguments(c)
    lines[i] = ("        %s(%s%s)"):format(layer.member, arguments and arguments .. ", " or "", M.quoted(layer.label))
  end
  return table.concat(lines, ",\n")
end

local function constant_lines(plan)
  local lines = {}
  local text = "        this->%s.set_element((%s *)%s_element).set_exponent(%d).set_shape(%s);\n"
  for i, c in ipairs(plan.constants) do
    lines[i] = text:format(c.name, plan.type, c.name, c.exponent, vector(c.ref.shape))
  end
  return table.concat(lines)
end

local function output_methods(plan)
  local lines = {}
  for i, state in ipairs(plan.outputs) do
    lines[i] = ([[

    // Shape %s: axes %s of the ONNX output. The caller may free its element.
    dl::Tensor<%s> &output_%d() { return %s; }
]]):format(vector(state.ref.shape), vector(state.order), plan.type, i - 1, object(state.ref))
  end
  return table.concat(lines)
end

local function constant_arrays(plan)
  local list = {}
  for i, constant in ipairs(plan.constants) do
    list[i] = array(plan.type, constant.name .. "_element", constant.elements)
  end
  return table.concat(list)
end

local MODEL = [[
#pragma once

#include <stddef.h>
#include <stdint.h>
#include "dl_layer_model.hpp"
${includes}#include "${coefficients}.hpp"

${arrays}// Input: shape ${shape}, exponent ${exponent}; axes ${order} of the ONNX input without its batch.
class ${class} : public dl::layer::Model<${type}>
{
private:
${members}
public:
    // Called after each layer that computes a tensor of the ONNX model, if set: its number and its output.
    void (*observer)(int layer, dl::Tensor<${type}> &output);

    ${class}() :
${initializers},
        observer(NULL)
    {
${constants}    }

    void build(dl::Tensor<${type}> &input)
    {
${build}    }

    void call(dl::Tensor<${type}> &input)
    {
${call}    }
${outputs}};
]]

local function fill(template, values)
  return (template:gsub("%${(%a+)}", values))
end

--- <name>_model.hpp. `c`: coefficients (file and namespace), class, getter(node, part).
function M.model(plan, c)
  return fill(MODEL, {
    includes = includes(plan), coefficients = c.coefficients, arrays = constant_arrays(plan), class = c.class,
    type = plan.type, shape = vector(plan.input.ref.shape), exponent = plan.input_exponent,
    order = vector(plan.input.order), members = members(plan), initializers = initializers(plan, c),
    constants = constant_lines(plan), build = build_lines(plan), call = call_lines(plan),
    outputs = output_methods(plan),
  })
end

-- --- the test -------------------------------------------------------------------------------------------------------

local TEST = [[
#pragma once

#include <stddef.h>
#include <stdint.h>

// One image and what every layer of the simulation makes of it, in the order of the runtime's memory.
namespace ${namespace}
{
struct expected_layer
{
    const char *name;
    int size;
    uint32_t checksum;       // FNV-1a, 32 bits, of the elements' bytes, low byte first
    const ${type} *elements;   // NULL for large layers
};

${image}${arrays}static const expected_layer layers[] = {
${rows}};
} // namespace ${namespace}
]]

--- <name>_test.hpp. `tests`: list of {label, elements (tensor), checksum, embedded}.
function M.test(plan, c, image, tests)
  local arrays, rows = {}, {}
  for i, test in ipairs(tests) do
    local name = ("layer_%d"):format(i - 1)
    if test.embedded then arrays[#arrays + 1] = array(plan.type, name, test.elements) end
    rows[i] = ("    {%s, %d, 0x%08xu, %s},\n"):format(M.quoted(test.label), test.elements.count, test.checksum,
      test.embedded and name or "NULL")
  end
  return fill(TEST, {
    namespace = c.test, type = plan.type, image = array(plan.type, "image", image), arrays = table.concat(arrays),
    rows = table.concat(rows),
  })
end

local MAIN = [[
// Runs ${class} on one image and compares every layer with the integers of the simulation.
#include <stdio.h>
#include "${class}.hpp"
#include "${test}.hpp"

static int compared = 0, wrong = 0;

static uint32_t checksum(const ${type} *element, int size)
{
    uint32_t hash = 2166136261u;
    for (int i = 0; i < size; i++)
    {
        for (unsigned byte = 0; byte < sizeof(${type}); byte++)
        {
            hash = (hash ^ (((uint32_t)element[i] >> (8 * byte)) & 255u)) * 16777619u;
        }
    }
    return hash;
}

// The first element that differs; -1: none.
static int first_difference(const ${type} *got, const ${type} *expected, int size)
{
    for (int i = 0; i < size; i++)
    {
        if (got[i] != expected[i]) return i;
    }
    return -1;
}

static void compare(int layer, dl::Tensor<${type}> &output)
{
    const ${test}::expected_layer &expected = ${test}::layers[layer];
    compared++;
    if (output.get_size() == expected.size && checksum(output.element, expected.size) == expected.checksum)
    {
        printf("equal      %3d %s: %d elements\n", layer, expected.name, expected.size);
        return;
    }
    wrong++;
    printf("DIFFERENT  %3d %s: %d elements, expected %d\n", layer, expected.name, output.get_size(), expected.size);
    if (expected.elements == NULL || output.get_size() != expected.size) return;
    int at = first_difference(output.element, expected.elements, expected.size);
    if (at < 0) return;
    printf("           [%d] is %d, expected %d\n", at, (int)output.element[at], (int)expected.elements[at]);
}

static int run(void)
{
    static ${class} model;
    dl::Tensor<${type}> input;
    input.set_element((${type} *)${test}::image).set_exponent(${exponent}).set_shape(${shape});
    model.observer = compare;
    model.forward(input);
    printf("%d of %d layers equal\n", compared - wrong, compared);
    return wrong > 0;
}

#ifdef ESP_PLATFORM
extern "C" void app_main(void) { run(); }
#else
int main(void) { return run(); }
#endif
]]

--- app_main.cpp.
function M.main(plan, c)
  return fill(MAIN, {
    class = c.class, test = c.test, type = plan.type, exponent = plan.input_exponent,
    shape = vector(plan.input.ref.shape),
  })
end

--- CMakeLists.txt: the component of an ESP-IDF project that has ESP-DL v1 as component esp-dl.
function M.cmake(c)
  return ([[
# A component of an ESP-IDF project, for example its "main"; ESP-DL v1 is the component "esp-dl".
idf_component_register(SRCS "app_main.cpp" "%s.cpp"
                       INCLUDE_DIRS "."
                       REQUIRES esp-dl)
]]):format(c.coefficients)
end

return M
