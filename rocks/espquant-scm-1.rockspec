rockspec_format = "3.0"
package = "espquant"
version = "scm-1"

source = {
  url = "git+https://localhost/espquant.git", -- not published: `luarocks make` in a checkout does not read it
}

description = {
  summary = "Takes float ONNX networks to Espressif chips",
  detailed = [[
Quantizes float ONNX networks to int8 and int16 with power-of-two scales, simulates the integer kernels of
Espressif's chips bit by bit, and exports coefficients for them.
]],
  license = "MIT",
  labels = { "onnx", "quantization", "esp32", "neural-network" },
}

supported_platforms = { "linux" }

dependencies = {
  "lua >= 5.4, < 5.5",
  "argparse >= 0.7",
  "lua-cjson >= 2.1",
  "luafilesystem >= 1.8",
}

external_dependencies = {
  DNNL = { header = "dnnl.h" },
  PROTOBUF_C = { header = "protobuf-c/protobuf-c.h" },
  ZLIB = { header = "zlib.h" },
  PNG = { header = "png.h" },
  JPEG = { header = "jpeglib.h" },
  NETTLE = { header = "nettle/aes.h" },
}

build = {
  type = "cmake",
  variables = {
    CMAKE_BUILD_TYPE = "Release",
    ESPQ_TESTS = "OFF",
    ESPQ_WERROR = "OFF",
    LUA_INCDIR = "$(LUA_INCDIR)",
    ESPQ_BINDIR = "$(BINDIR)",
    ESPQ_LUADIR = "$(LUADIR)",
    ESPQ_LIBDIR = "$(LIBDIR)",
  },
}
