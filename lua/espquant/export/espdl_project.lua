--- An ESP-IDF project around an .espdl file: it loads the model, runs the test inside, and prints the class of the
--- test's input.
---
---     local ok, message, code, problems = project.write(model, table, {
---       path = "folder", name = "digits", target = "esp32s3", storage = "rodata", test_input = tensor })
---
--- writes CMakeLists.txt, main/CMakeLists.txt, main/idf_component.yml, main/main.cpp, main/<name>.espdl; with storage =
--- "partition" also partitions.csv and sdkconfig.defaults, and the model lies in a partition of its own, which can be
--- flashed without the program.

local core = require "espquant.core"
local espdl = require "espquant.export.espdl"
local output = require "espquant.export.output"

local M = {}

local PROJECT = [[
cmake_minimum_required(VERSION 3.16)
include($ENV{IDF_PATH}/tools/cmake/project.cmake)
project(@NAME@)
]]

local COMPONENT = [[
# Where ESP-DL is, as the component manager or a folder of components brings it.
idf_build_get_property(components __COMPONENT_TARGETS)
if("___idf_espressif__esp-dl" IN_LIST components)
  idf_component_get_property(espdl_dir espressif__esp-dl COMPONENT_DIR)
else()
  idf_component_get_property(espdl_dir esp-dl COMPONENT_DIR)
endif()
include(${espdl_dir}/fbs_loader/cmake/utilities.cmake)

idf_component_register(SRCS main.cpp)
]]

local STORE = {
  rodata = "target_add_aligned_binary_data(${COMPONENT_LIB} @NAME@.espdl BINARY)\n",
  partition = 'esptool_py_flash_to_partition(flash "model" "${CMAKE_CURRENT_SOURCE_DIR}/@NAME@.espdl")\n',
}

local LOAD = {
  rodata = {
    'extern const uint8_t model_data[] asm("_binary_@SYMBOL@_espdl_start");\n\n',
    "reinterpret_cast<const char *>(model_data), fbs::MODEL_LOCATION_IN_FLASH_RODATA",
  },
  partition = { "", '"model", fbs::MODEL_LOCATION_IN_FLASH_PARTITION' },
}

local MANIFEST = [[
dependencies:
  espressif/esp-dl: ">=@VERSION@"
]]

local PARTITIONS = [[
# Name, Type, SubType, Offset, Size
nvs, data, nvs, , 0x6000
phy_init, data, phy, , 0x1000
factory, app, factory, , 0x300000
model, data, spiffs, , 0x@SIZE@
]]

local DEFAULTS = [[
CONFIG_PARTITION_TABLE_CUSTOM=y
CONFIG_PARTITION_TABLE_CUSTOM_FILENAME="partitions.csv"
]]

local MAIN = [[
// @NAME@: loads the model, runs the test inside, prints the largest output of the test's input.
#include <cstdio>

#include "dl_model_base.hpp"

@DECLARE@// Index of the largest number; tensors of ESP-DL hold int8, int16 or float.
template <typename T>
static int largest(const T *data, int size) {
  int best = 0;
  for (int i = 1; i < size; i++)
    if (data[i] > data[best]) best = i;
  return best;
}

static int top_class(dl::TensorBase *output) {
  int size = output->get_size();
  switch (output->get_dtype()) {
    case dl::DATA_TYPE_INT8: return largest(static_cast<const int8_t *>(output->data), size);
    case dl::DATA_TYPE_INT16: return largest(static_cast<const int16_t *>(output->data), size);
    default: return largest(static_cast<const float *>(output->data), size);
  }
}

extern "C" void app_main(void) {
  dl::Model *model = new dl::Model(@ARGUMENTS@);
  if (model->test() != ESP_OK) {
    printf("the test in @NAME@.espdl failed\n");
    return;
  }
  model->profile();
  for (auto &output : model->get_outputs())
    printf("%s: class %d\n", output.first.c_str(), top_class(output.second));
  printf("the test in @NAME@.espdl passed\n");
  delete model;
}
]]

local function fill(text, values)
  return (text:gsub("@(%u+)@", values))
end

-- A size for the partition: what the file needs, with some room, in whole sectors of 64 KiB.
local function partition_size(bytes) return ("%x"):format((bytes * 5 // 4 + 0xffff) // 0x10000 * 0x10000) end

local function files_of(o, bytes)
  local values = { NAME = o.name, SYMBOL = o.name:gsub("[^%w]", "_"), VERSION = "3.1.0", SIZE = partition_size(#bytes) }
  values.DECLARE = fill(LOAD[o.storage][1], values)
  values.ARGUMENTS = LOAD[o.storage][2]
  local paths = { "CMakeLists.txt", "main/CMakeLists.txt", "main/idf_component.yml", "main/main.cpp",
    "main/" .. o.name .. ".espdl" }
  local texts = { fill(PROJECT, values), fill(COMPONENT .. STORE[o.storage], values), fill(MANIFEST, values),
    fill(MAIN, values), bytes }
  if o.storage == "partition" then
    table.move({ "partitions.csv", "sdkconfig.defaults" }, 1, 2, #paths + 1, paths)
    table.move({ fill(PARTITIONS, values), DEFAULTS }, 1, 2, #texts + 1, texts)
  end
  for i, path in ipairs(paths) do paths[i] = o.path .. "/" .. path end
  return paths, texts
end

--- Options: path (a folder with a folder `main`), name, storage ("rodata" or "partition"), and those of export/espdl: a
--- test_input is needed. True, or nil, message, code, problems.
function M.write(model, t, o)
  local ok, message, code = output.check_name(o.name)
  if not ok then return nil, message, code end
  if not o.name:match "^[%w_%-]+$" then
    return nil, ("'%s' is no name of a project: letters, digits, _ and - expected"):format(o.name), "format"
  end
  local bytes, problems
  bytes, message, code, problems = espdl.encode(model, t, o)
  if not bytes then return nil, message, code, problems end
  ok, message, code = core.make_folder(o.path .. "/main")
  if not ok then return nil, message, code end
  return output.write(files_of(o, bytes))
end

return M
