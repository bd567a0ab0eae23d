--- Compiles and runs a generated program on the host, against the stub of ESP-DL v1 in spec/codegen/stub.
---
---     local r = program.run(folder, "esp32s3")      -- r.equal, r.layers; r.output
local process = require "spec.support.process"

local M = {}

local TARGETS = { esp32s3 = "CONFIG_IDF_TARGET_ESP32S3", esp32 = "CONFIG_IDF_TARGET_ESP32" }

--- Fails with the compiler's messages; a program that crashes has no counts.
function M.run(folder, target)
  local compiled = process.run({
    "sh", "-c", "g++ -std=c++17 -Wall -Wextra -Werror -D" .. TARGETS[target] .. " -I'" .. process.root
      .. "/spec/codegen/stub' -I. *.cpp -o program",
  }, { cwd = folder })
  assert(compiled.status == 0, compiled.stderr:sub(1, 2000))
  local ran = process.run({ folder .. "/program" })
  local output = ran.stdout .. ran.stderr
  local equal, layers = output:match "(%d+) of (%d+) layers equal"
  return { equal = tonumber(equal), layers = tonumber(layers), output = output, status = ran.status }
end

return M
