local npz = require "espquant.codec.npz_writer"
local zip = require "espquant.codec.zip"

local function array(name, data) return { name = name, dtype = "uint8", shape = { #data }, data = data } end

describe("npz_writer.encode", function()
  it("writes what the reader reads back, in order", function()
    local bytes = assert(npz.encode { array("b", "12"), array("a/ü", "") })
    local arrays = assert(zip.decode_npz(bytes))
    assert.same({ { "b", "12", { 2 } }, { "a/ü", "", { 0 } } },
      { { arrays[1].name, arrays[1].data, arrays[1].shape }, { arrays[2].name, arrays[2].data, arrays[2].shape } })
    assert.same({}, (zip.decode_npz(assert(npz.encode {}))))
  end)

  it("gives the same bytes for the same arrays", function()
    assert.equal(npz.encode { array("x", "abc") }, (npz.encode { array("x", "abc") }))
  end)

  it("refuses one name twice and a name that is too long", function()
    local bytes, message, code = npz.encode { array("x", "1"), array("x", "2") }
    assert.same({ nil, "npz: two arrays are named 'x'", "format" }, { bytes, message, code })
    bytes, message, code = npz.encode { array(("n"):rep(65536), "1") }
    assert.same({ nil, "limit" }, { bytes, code })
    assert.matches("4 GB", message)
  end)

  it("refuses names that lead out of the folder where the file is unpacked", function()
    for _, name in ipairs { "../x", "a/../../x", "/../x" } do
      local bytes, message, code = npz.encode { array(name, "1") }
      assert.same({ nil, "format" }, { bytes, code })
      assert.matches("would leave the folder", message)
    end
    assert(npz.encode { array("/conv/out", "1"), array("..x/y..", "2") })
  end)

  it("is read by unzip where there is one", function()
    if not os.execute "command -v unzip >/dev/null" then return pending "no unzip here" end
    local path = os.tmpname()
    local file <close> = assert(io.open(path, "wb"))
    file:write((npz.encode { array("x", ("0123456789"):rep(1000)), array("y", "") }))
    file:flush()
    assert.is_true(os.execute("unzip -tq " .. path .. " >/dev/null"))
    os.remove(path)
  end)
end)
