--- Options of a Calibrator in a file, as JSON:
---
---     {"bits": "int8", "format": "espquant-config", "layers": {"conv1": "int16"}, "observer": "mse", "runtime": "v3",
--- ...}

local json = require "espquant.json"

local M = {}

local FORMAT, VERSION = "espquant-config", 1
local OPTIONS = { "bits", "runtime", "target", "observer", "weight_observer", "layers" }

--- The document of a table of options.
function M.document(options)
  local doc = { format = FORMAT, version = VERSION }
  for _, name in ipairs(OPTIONS) do doc[name] = options[name] end
  doc.layers = options.layers and json.object(options.layers)
  return doc
end

--- The text; the same options give the same bytes.
function M.encode(options)
  return json.encode(M.document(options), { indent = 1 }) .. "\n"
end

--- The options of a text, values unchecked; or nil, message, code.
function M.decode(bytes)
  local doc, message, code = json.decode(bytes)
  if not doc then return nil, message, code end
  if type(doc) ~= "table" or doc.format ~= FORMAT then
    return nil, ('no configuration: expected "format": "%s"'):format(FORMAT), "format"
  end
  if doc.version ~= VERSION then return nil, "a configuration of another version", "unsupported" end
  local options = {}
  for _, name in ipairs(OPTIONS) do options[name] = doc[name] end
  return options
end

return M
