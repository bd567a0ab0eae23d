--- Tensors as Lua sees them: making, indexing, shapes, types, arithmetic in float32, and what misuse gets.

local core = require "espquant.core"

-- The nearest float32.
local function f32(x) return (string.unpack("<f", string.pack("<f", x))) end

local function ramp(shape, dtype)
  local count, list = 1, {}
  for _, n in ipairs(shape) do count = count * n end
  for i = 1, count do list[i] = i - 1 end
  return core.tensor_from(list, dtype or "float32", shape)
end

describe("a tensor", function()
  it("is made of zeros, numbers or nested lists", function()
    assert.same({ { 0, 0, 0 }, { 0, 0, 0 } }, core.tensor({ 2, 3 }, "int8"):totable())
    assert.same({ 2, 1, 2 }, core.tensor_from({ { { 1, 2 } }, { { 3, 4 } } }).shape)
    assert.same({ { 1, 2 }, { 3, 4 } }, core.tensor_from({ 1, 2, 3, 4 }, "int64", { 2, 2 }):totable())
    assert.same({ 1, 0, 1 }, core.tensor_from({ true, false, 1 }, "bool"):totable())
    assert.equal(7, core.tensor_from(7):item())
    assert.equal(0, core.tensor_from(7).rank)
    assert.same({ 0 }, core.tensor_from({}).shape)
    assert.same({ 2, 0 }, core.tensor_from({ {}, {} }).shape)
  end)

  it("tells its facts", function()
    local t = core.tensor({ 2, 3, 4 }, "int16")
    assert.same({ { 2, 3, 4 }, "int16", 3, 24, 2 }, { t.shape, t.dtype, t.rank, t.count, #t })
    local shape = t.shape
    shape[1] = 99
    assert.same({ 2, 3, 4 }, t.shape)
  end)

  it("gives rows as views, elements as numbers, and ends for ipairs", function()
    local t = ramp { 2, 3 }
    assert.equal(5, t[2][3])
    t[1][2] = 42
    assert.same({ { 0, 42, 2 }, { 3, 4, 5 } }, t:totable())
    assert.is_nil(t[3])
    assert.is_nil(t[0])
    local rows = 0
    for _, row in ipairs(t) do rows = rows + #row end
    assert.equal(6, rows)
    assert.equal("integer", math.type(core.tensor({ 2 }, "uint8")[1]))
    assert.equal("float", math.type(core.tensor({ 2 }, "float16")[1]))
  end)

  it("outlives the tensor that it looks at", function()
    local t = ramp { 4, 2 }
    local rows = t:slice(2, 3)
    t:close()
    collectgarbage()
    assert.same({ { 2, 3 }, { 4, 5 } }, rows:totable())
  end)

  it("slices and picks rows", function()
    local t = ramp { 4, 2 }
    assert.same({ { 6, 7 } }, t:slice(4):totable())
    assert.same({ 0, 2 }, t:slice(3, 2).shape)
    assert.same({ { 6, 7 }, { 0, 1 }, { 6, 7 } }, t:take_rows({ 4, 1, 4 }):totable())
    assert.same({ 0, 2 }, t:take_rows({}).shape)
    for _, range in ipairs { { 0, 1 }, { 2, 5 }, { 4, 2 }, { math.mininteger, 0 }, { 1, math.mininteger } } do
      assert.error_matches(function() t:slice(range[1], range[2]) end, "rows .- of a tensor of 4 rows")
    end
    assert.error_matches(function() t:take_rows { 5 } end, "row 5 of a tensor of 4 rows")
  end)

  it("is reshaped as a view, transposed and joined as a copy", function()
    local t = ramp { 2, 6 }
    assert.same({ 3, 4 }, t:reshape({ 3, -1 }).shape)
    t:reshape({ 12 })[1] = 9
    assert.equal(9, t[1][1])
    local u = ramp({ 2, 3, 4 }, "int16")
    assert.same({ 4, 2, 3 }, u:transpose({ 2, 0, 1 }).shape)
    assert.equal(u[2][3][4], u:transpose({ 2, 0, 1 })[4][2][3])
    assert.same({ 4, 3, 2 }, u:transpose().shape)
    assert.same({ { 1, 2, 5 }, { 3, 4, 6 } }, core.concat({ core.tensor_from { { 1, 2 }, { 3, 4 } },
      core.tensor_from { { 5 }, { 6 } } }, 1):totable())
    assert.same({ 1, 2, 3 }, core.concat({ core.tensor_from { 1 }, core.tensor_from { 2, 3 } }):totable())
  end)

  it("compares by value, and says where it differs", function()
    local t, u = core.tensor_from { 0, 1, 2, 0 / 0 }, core.tensor_from { -0.0, 1, 2, 0 / 0 }
    assert.is_true(t:equal(u))
    u[2], u[3] = 5, 6
    assert.same({ false, 2, 2 }, { t:equal(u) })
    assert.same({ false }, { t:equal(u:astype "float64") })
    assert.same({ false }, { t:equal(u:reshape { 2, 2 }) })
  end)
end)

describe("bytes of a tensor", function()
  it("go in and out", function()
    local data = string.pack("<fff", 1, -2.5, 1e30)
    local t = core.tensor_frombytes { dtype = "float32", shape = { 3 }, data = data }
    assert.equal(data, t:tobytes())
    assert.equal(-2.5, t[2])
  end)

  it("may be big-endian or in Fortran order", function()
    local t = core.tensor_frombytes { dtype = "int16", shape = { 2, 3 }, byteorder = ">", fortran = true,
      data = string.pack(">i2i2i2i2i2i2", 1, 2, 3, 4, 5, 6) }
    assert.same({ { 1, 3, 5 }, { 2, 4, 6 } }, t:totable())
  end)

  it("of the wrong number are refused", function()
    for _, fortran in ipairs { false, true } do
      local bytes = { dtype = "int16", shape = { 2, 3 }, data = "abc", fortran = fortran }
      local t, message, code = core.tensor_frombytes(bytes)
      assert.is_nil(t)
      assert.equal("format", code)
      assert.matches("2x3 needs 12 bytes, got 3", message)
    end
  end)
end)

describe("conversion of types", function()
  it("truncates and saturates floats, wraps integers", function()
    local t = core.tensor_from { 2.7, -2.7, 300, -1e9, 0 / 0 }
    assert.same({ 2, -2, 127, -128, 0 }, t:astype("int8"):totable())
    assert.same({ 2, 0, 255, 0, 0 }, t:astype("uint8"):totable())
    assert.same({ 44, -1 }, core.tensor_from({ 300, 255 }, "int32"):astype("int8"):totable())
  end)

  it("rounds to float16 once, ties to even", function()
    local numbers = { 1 + 2 ^ -11, 1 + 3 * 2 ^ -11, 1 + 2 ^ -11 + 2 ^ -40, 65520, 1e-8, 2 ^ -24 }
    local t = core.tensor_from(numbers, "float64")
    assert.same({ 1, 1 + 2 ^ -9, 1 + 2 ^ -10, math.huge, 0, 2 ^ -24 }, t:astype("float16"):totable())
  end)

  it("keeps 64-bit integers", function()
    local big = math.maxinteger
    assert.equal(big, core.tensor_from({ big }, "int64"):astype("uint64")[1])
    assert.equal(big, core.tensor_from({ 1, big, 5 }, "int64"):max())
  end)
end)

describe("arithmetic", function()
  it("is float32 at every step", function()
    local t = core.tensor_from { 16777216, 0.1, 1e38 }
    assert.same({ 16777216, f32(f32(0.1) + 1), f32(1e38) }, (t + 1):totable())
    assert.same({ f32(16777216 / 3), f32(f32(0.1) / 3), f32(f32(1e38) / 3) }, (t / 3):totable())
    assert.same({ f32(16777216 * f32(0.1)), f32(f32(0.1) * f32(0.1)), f32(f32(1e38) * f32(0.1)) }, (t * 0.1):totable())
    assert.equal(math.huge, (t * t)[3])
    assert.same({ f32(math.sqrt(2)), f32(math.sqrt(f32(0.3))) }, core.tensor_from({ 2, 0.3 }):sqrt():totable())
  end)

  it("takes numbers on either side", function()
    local t = core.tensor_from { 1, 2, 4 }
    assert.same({ 2, 3, 5 }, (1 + t):totable())
    assert.same({ 0, -1, -3 }, (1 - t):totable())
    assert.same({ 1, 0.5, 0.25 }, (1 / t):totable())
    assert.same({ -1, -2, -4 }, (-t):totable())
    assert.same({ 2, 2, 4 }, t:maximum(2):totable())
    assert.same({ 1, 2, 2 }, t:minimum(core.tensor_from { 2 }):totable())
    assert.same({ 3, 4 }, core.tensor_from({ -3, 4 }):abs():totable())
  end)

  it("broadcasts as numpy does", function()
    local t, column, row = ramp { 2, 3 }, core.tensor_from { { 10 }, { 20 } }, core.tensor_from { 1, 2, 3 }
    assert.same({ { 10, 11, 12 }, { 23, 24, 25 } }, (t + column):totable())
    assert.same({ { 1, 3, 5 }, { 4, 6, 8 } }, (t + row):totable())
    assert.same({ { 11, 12, 13 }, { 21, 22, 23 } }, (column + row):totable())
    assert.same({ 2, 4, 3 }, (core.tensor { 4, 1 } + core.tensor { 2, 1, 3 }).shape)
    assert.same({ 0, 3 }, (core.tensor { 0, 3 } + row).shape)
    local scale = core.tensor_from({ 1, 10, 100 }, "float32", { 3, 1, 1 })
    assert.equal(100 * 17, (ramp { 3, 2, 3 } * scale)[3][2][3])
  end)

  it("matches a loop over random shapes", function()
    local seed = 1
    local function random(n)
      seed = (seed * 1103515245 + 12345) % 2147483648
      return seed // 65536 % n
    end
    local function index_of(t, shape, index)
      local offset = 1
      for axis = 1, t.rank do
        local i = index[#shape - t.rank + axis]
        offset = (offset - 1) * t.shape[axis] + (t.shape[axis] == 1 and 1 or i)
      end
      return offset
    end
    for _ = 1, 40 do
      local a, b = {}, {}
      for axis = 1, 1 + random(4) do
        local n, kind = 1 + random(4), random(4)
        a[axis], b[axis] = kind == 0 and 1 or n, kind == 1 and 1 or n
      end
      if random(3) == 0 then table.remove(a, 1) end
      local x, y = ramp(a) + 0.3, ramp(b) / 7
      local z = x - y
      local flat_x, flat_y, flat_z = x:reshape { -1 }, y:reshape { -1 }, z:reshape { -1 }
      for i = 1, z.count do
        local index, rest = {}, i - 1
        for axis = z.rank, 1, -1 do
          index[axis] = rest % z.shape[axis] + 1
          rest = rest // z.shape[axis]
        end
        assert.equal(f32(flat_x[index_of(x, z.shape, index)] - flat_y[index_of(y, z.shape, index)]), flat_z[i])
      end
    end
  end)

  it("lets NaN through", function()
    local nan = core.tensor_from { 0 / 0, 1 }
    local one = core.tensor_from { 1, 1 }
    for _, t in ipairs { nan:maximum(one), one:maximum(nan), nan:minimum(one), one:minimum(nan) } do
      assert.is_true(t[1] ~= t[1] and t[2] == 1)
    end
    assert.is_true(nan:max() ~= nan:max() and nan:min() ~= nan:min())
  end)

  it("raises for other types and for shapes that do not fit", function()
    assert.error_matches(function() return core.tensor({ 2 }, "int8") + 1 end, "needs float32, got int8")
    assert.error_matches(function() return core.tensor { 2 } + core.tensor { 3 } end, "shapes 2 and 3 do not broadcast")
    assert.error_matches(function() return core.tensor { 2 } * "x" end, "tensor expected, got string")
    assert.error_matches(function() return core.tensor { 2 } * nil end, "tensor expected, got nil")
  end)
end)

describe("reductions", function()
  it("sum in double, in order", function()
    local t = core.tensor_from { 1e8, 1, -1e8, 1e-3 }
    assert.equal(1e8 + 1 - 1e8 + f32(1e-3), t:sum())
    assert.equal((1e8 + 1 - 1e8 + f32(1e-3)) / 4, t:mean())
    assert.equal(6, core.tensor_from({ 1, 2, 3 }, "int8"):sum())
    assert.equal("integer", math.type(core.tensor_from({ 1, 2, 3 }, "int8"):sum()))
  end)

  it("find extremes of every type", function()
    for _, dtype in ipairs { "float32", "float64", "float16", "int8", "int16", "int32", "int64" } do
      local t = core.tensor_from({ 3, -7, 5, 5 }, dtype)
      assert.same({ -7, 5, 7, 2 }, { t:min(), t:max(), t:maxabs(), t:argmax():item() })
    end
    assert.equal(-1, core.tensor_from({ -1 }, "int64"):astype("uint64"):max()) -- the bits of 2^64 - 1
    local value, message, code = core.tensor({ 0, 3 }):max()
    assert.same({ value, code }, { nil, "format" })
    assert.matches("without elements", message)
  end)

  it("work along an axis", function()
    local t = core.tensor_from { { { 1, -9 }, { 2, 3 } }, { { -4, 5 }, { 6, 0 } } }
    assert.same({ 9, 6 }, t:maxabs(0):totable())
    assert.same({ 9, 6 }, t:maxabs(1):totable())
    assert.same({ 6, 9 }, t:maxabs(2):totable())
    assert.same({ { 0, 1 }, { 1, 0 } }, t:argmax():totable())
    assert.same({ { 0, 1 }, { 1, 0 } }, t:argmax(0):totable())
    assert.same({ { 1, 1 }, { 1, 0 } }, t:argmax(-2):totable())
    assert.error_matches(function() t:argmax(3) end, "axis 3 of a tensor of rank 3")
    assert.error_matches(function() t:maxabs(-4) end, "axis %-4 of a tensor of rank 3")
  end)

  it("see what is not finite", function()
    assert.is_true(core.tensor_from({ 1, 2 }):isfinite())
    assert.is_false(core.tensor_from({ 1, math.huge }):isfinite())
    assert.is_false(core.tensor_from({ 0 / 0 }, "float16"):isfinite())
    assert.is_true(core.tensor({ 2 }, "int8"):isfinite())
  end)
end)

describe("the text of a tensor", function()
  it("is short, aligned, and says type and shape", function()
    assert.equal("float32 3 [1, 2.5, nan]", tostring(core.tensor_from { 1, 2.5, 0 / 0 }))
    assert.equal("int8 2x2\n[[  1,   2],\n [-30,  40]]", tostring(core.tensor_from({ { 1, 2 }, { -30, 40 } }, "int8")))
    assert.equal("float32 scalar 3", tostring(core.tensor_from(3)))
    assert.equal("float32 0x3 []", tostring(core.tensor { 0, 3 }))
    assert.equal("float32 1000 [0, 1, 2, ..., 997, 998, 999]", tostring(ramp { 1000 }))
    assert.is_true(#tostring(core.tensor { 3, 3, 3, 3, 3, 3, 3, 3 }) < 20000)
    assert.is_true(#tostring(core.tensor { 64, 3, 60, 60 }:reshape { 64, -1 }) < 1000)
  end)
end)

describe("misuse of a tensor", function()
  it("raises", function()
    local t = ramp { 2, 3 }
    local cyclic = {}
    cyclic[1] = cyclic
    local cases = {
      ["at most|nested more than 8 deep"] = function() core.tensor_from(cyclic) end,
      ["%[2%]: 1 entries, expected 2"] = function() core.tensor_from { { 1, 2 }, { 3 } } end,
      ["%[1%]%[2%]: number expected, got nil"] = function() core.tensor_from { setmetatable({ 1, nil, 3 }, nil) } end,
      ["%[2%]: list expected, got number"] = function() core.tensor_from { { 1 }, 2 } end,
      ["%[1%]: number expected, got string"] = function() core.tensor_from { "1" } end,
      ["300 does not fit int8"] = function() core.tensor_from({ 300 }, "int8") end,
      ["1.5 does not fit int32"] = function() core.tensor_from({ 1.5 }, "int32") end,
      ["invalid option 'float31'"] = function() core.tensor({ 1 }, "float31") end,
      ["integer expected, got x"] = function() core.tensor { "x" } end,
      ["table expected, got nil"] = function() core.tensor() end,
      ["unknown option 'dtpye'"] = function() core.tensor_frombytes { dtpye = "int8" } end,
      ["no field 'shpe'"] = function() return t.shpe end,
      ["field 'shape' cannot be set"] = function() t.shape = { 6 } end,
      ["elements of a tensor of rank 1"] = function() t[1] = 3 end,
      ["index 4 is outside 1..3"] = function() t[1][4] = 3 end,
      ["index 0 is outside"] = function() t[1][0] = 3 end,
      ["number expected, got string"] = function() t[1][1] = "3" end,
      ["a scalar has no length"] = function() return #core.tensor_from(1) end,
      ["item of a tensor of 6 elements"] = function() t:item() end,
      ["an axis is named twice"] = function() t:transpose { 0, 0 } end,
      ["a list of 2 axes expected"] = function() t:transpose { 0 } end,
      ["an axis is outside"] = function() t:transpose { 0, 5 } end,
      ["an empty list"] = function() core.concat {} end,
      ["entry 2: tensor expected, got number"] = function() core.concat { t, 1 } end,
      ["tensor expected, got table"] = function() t.reshape({}, { 6 }) end,
    }
    for pattern, call in pairs(cases) do
      local ok, message = pcall(call)
      assert.is_false(ok, pattern)
      local found = false
      for alternative in pattern:gmatch "[^|]+" do found = found or message:match(alternative) ~= nil end
      assert.is_true(found, pattern .. "  <>  " .. message)
    end
  end)

  it("raises for a closed tensor, whatever is asked", function()
    local t <close> = ramp { 2, 3 }
    t:close()
    t:close()
    assert.equal("tensor (closed)", tostring(t))
    for name, method in pairs(getmetatable(t).__methods) do
      if name ~= "close" then assert.is_false(pcall(method, t, t, t), name) end
    end
    for _, name in ipairs { "shape", "dtype", "rank", "count" } do
      assert.error_matches(function() return t[name] end, "the tensor is closed")
    end
    assert.error_matches(function() return t[1] end, "the tensor is closed")
    assert.error_matches(function() return t + 1 end, "the tensor is closed")
    assert.error_matches(function() return #t end, "the tensor is closed")
  end)
end)

describe("what does not fit", function()
  it("is nil, a message and a code", function()
    local t = ramp { 2, 3 }
    local huge = { 1 << 40, 1 << 40 }
    local cases = {
      { "limit", core.tensor(huge) },
      { "limit", core.tensor { 1 << 33, 1 << 33 } },
      { "limit", core.tensor { 1, 1, 1, 1, 1, 1, 1, 1, 1 } },
      { "format", core.tensor { 2, -1 } },
      { "format", core.tensor { math.mininteger } },
      { "limit", core.tensor_frombytes { shape = huge, data = "" } },
      { "format", core.tensor_from({ 1, 2, 3 }, "float32", { 2, 2 }) },
      { "format", t:reshape { 4, -1 } },
      { "format", t:reshape { -1, -1 } },
      { "format", t:reshape { -2, 3 } },
      { "format", t:reshape { 0, -1 } },
      { "format", t:reshape { 1 << 62, 1 << 62, 6 } },
      { "limit", t:reshape { 1, 1, 1, 1, 1, 1, 1, 2, 3 } },
      { "format", core.concat { t, core.tensor { 2, 4 } } },
      { "format", core.concat { t, core.tensor({ 2, 3 }, "int8") } },
    }
    for i, case in ipairs(cases) do
      assert.is_nil(case[2], "case " .. i)
      assert.equal("string", type(case[3]), "case " .. i)
      assert.equal(case[1], case[4], "case " .. i .. ": " .. case[3])
    end
  end)
end)

describe("memory", function()
  it("is given back while a loop makes tensors", function()
    local live = setmetatable({}, { __mode = "v" })
    local most = 0
    collectgarbage()
    for i = 1, 300 do
      live[i] = core.tensor { 262144 }
      if i % 50 == 0 then
        local n = 0
        for _ in pairs(live) do n = n + 1 end
        most = math.max(most, n)
      end
    end
    assert.is_true(most < 60, most .. " tensors of 1 MB were alive at once")
  end)

  it("is left alone while the collector is stopped", function()
    collectgarbage()
    collectgarbage "stop"
    local closed = false
    do
      local _ = setmetatable({}, { __gc = function() closed = true end })
    end
    for _ = 1, 20 do core.tensor { 262144 } end
    local before = closed
    collectgarbage "restart"
    collectgarbage()
    assert.same({ false, true }, { before, closed })
  end)
end)
