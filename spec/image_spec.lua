--- Pictures: what PNG and JPEG files decode to, how they are resized, and files that mean harm.
---
--- The sums are those of what Pillow 13.0 makes of the same files with convert("RGB"), convert("RGB").convert("L") and
--- resize(..., Image.BILINEAR). Compared with it once: the pixels of 54 random files are all equal; of 100 random
--- resizes 77 are equal and 23 differ, by 1 at most, because Pillow then takes columns first; asked for rows first, in
--- two calls, it gives ours in all 100. 16-bit files were compared with round(v * 255 / 65535), since Pillow does not
--- read them in colour.

local core = require "espquant.core"
local mutate = require "spec.support.mutate"
local process = require "spec.support.process"
local refusal = require "spec.support.refusal"
local support = require "spec.support.codec"

local function fixture(name) return support.fixture("images/" .. name) end
local function sum(t) return core.sha256(t:tobytes()):sub(1, 16) end

-- name, height, width, channels, sums of RGB and gray
local DECODED = {
  { "rgb.png", 13, 17, 3, "64af00b4b4ecefbb", "339ec12a96b6d296" },
  { "interlaced.png", 13, 17, 3, "64af00b4b4ecefbb", "339ec12a96b6d296" },
  { "alpha.png", 13, 17, 3, "64af00b4b4ecefbb", "339ec12a96b6d296" },
  { "rgb16.png", 13, 17, 3, "83e037ebb769a921", "3614d0d8c35920c3" },
  { "palette.png", 13, 17, 3, "6c74dcd187d9c5cb", "52290bb8c8f9b191" },
  { "palette2bit.png", 13, 17, 3, "306ae9d0d78a6519", "cb9b969bdd612b15" },
  { "gray.png", 13, 17, 1, "b33f4a4d99c4a834", "339ec12a96b6d296" },
  { "bilevel.png", 13, 17, 1, "200ef59e18ccca2e", "050f6388cb269394" },
  { "iccp_bomb.png", 13, 17, 3, "64af00b4b4ecefbb", "339ec12a96b6d296" },
  { "baseline.jpg", 24, 40, 3, "a0692e3ebf84178e", "a7c64611b4f7e3b3" },
  { "progressive.jpg", 24, 40, 3, "a0692e3ebf84178e", "a7c64611b4f7e3b3" },
  { "gray.jpg", 24, 40, 1, "8000ad4abac57553", "daccd03b790fc4fb" },
}

describe("a picture", function()
  for _, case in ipairs(DECODED) do
    it("is decoded: " .. case[1], function()
      local name, height, width, channels, rgb, gray = table.unpack(case)
      local bytes = fixture(name)
      local own = assert(core.image_decode(bytes))
      assert.same({ "uint8", { height, width, channels } }, { own.dtype, own.shape })
      assert.equal(rgb, sum(assert(core.image_decode(bytes, 3))))
      assert.equal(gray, sum(assert(core.image_decode(bytes, 1))))
      assert.equal(channels == 3 and rgb or gray, sum(own))
    end)
  end

  it("is resized by one rule, or its centre is cut out", function()
    local image = assert(core.image_decode(fixture "baseline.jpg"))
    for _, case in ipairs {
      { 12, 20, nil, "69c6d9ec7a8dd065" },
      { 5, 7, nil, "e9ae345959baaefa" },
      { 24, 40, nil, "a0692e3ebf84178e" },
      { 60, 90, nil, "4f714064383d61eb" },
      { 1, 1, nil, "037d6f32dfd13e43" },
      { 100, 9, nil, "76ead9ddcb74c807" },
      { 16, 16, 16, "007771a83424ab11" },
      { 10, 10, 16, "2a0e826f1982ad62" },
      { 7, 12, 13, "052306adc8340dab" },
      { 30, 50, 32, "12e546a21667b8c2" },
    } do
      local t = assert(core.image_resize(image, case[1], case[2], case[3]))
      assert.same({ case[1], case[2], 3 }, t.shape)
      assert.equal(case[4], sum(t), table.concat(t.shape, "x"))
    end
    local gray = assert(core.image_decode(fixture "gray.jpg"))
    assert.same({ 7, 9, 1 }, core.image_resize(gray, 7, 9).shape)
    assert.is_true((core.image_resize(gray, 24, 40):equal(gray)))
    refusal.check("format", { "scaled to 16x26", "no 16x27" }, core.image_resize, image, 16, 27, 16)
  end)

  it("is refused by a caller's mistake", function()
    assert.has_error(function() core.image_decode("", 2) end)
    assert.has_error(function() core.image_resize(core.tensor { 2, 2, 3 }, 1, 1) end)
    assert.has_error(function() core.image_resize(core.tensor({ 2, 2, 4 }, "uint8"), 1, 1) end)
    assert.has_error(function() core.image_resize(core.tensor({ 2, 0, 3 }, "uint8"), 1, 1) end)
    assert.has_error(function() core.image_resize(core.tensor({ 2, 2, 3 }, "uint8"), 0, 1) end)
    assert.has_error(function() core.image_resize(core.tensor({ 2, 2, 3 }, "uint8"), 1, 65501) end)
  end)
end)

-- --- loading many -----------------------------------------------------------------------------------------------

local function lookup(channels, f)
  local list = {}
  for c = 1, channels do
    for v = 0, 255 do list[#list + 1] = f(c, v) end
  end
  return core.tensor_from(list, "float32", { channels, 256 })
end

describe("pictures as numbers", function()
  local files = {}
  for i, name in ipairs { "rgb.png", "interlaced.png", "palette.png", "gray.png" } do
    files[i] = "spec/fixtures/images/" .. name
  end
  local function form(more)
    local f = { height = 13, width = 17, channels = 3, table = lookup(3, function(c, v) return v + 1000 * c end) }
    for key, value in pairs(more or {}) do f[key] = value end
    return f
  end

  it("stand in the asked layout and order of channels", function()
    local nhwc = assert(core.image_load(files, form()))
    assert.same({ 4, 13, 17, 3 }, nhwc.shape)
    local image = assert(core.image_decode(fixture "palette.png")):astype "float32"
    local expected = image + core.tensor_from { 1000, 2000, 3000 }
    assert.is_true((nhwc[3]:equal(expected)))
    local planar = assert(core.image_load(files, form { planar = true }))
    assert.is_true((planar:equal(nhwc:transpose { 0, 3, 1, 2 })))
    local bgr = assert(core.image_load(files, form { planar = true, bgr = true }))
    local plain = planar[3]:take_rows { 3, 2, 1 } - core.tensor_from { 3000, 2000, 1000 }:reshape { 3, 1, 1 }
    assert.is_true((bgr[3]:equal(plain + core.tensor_from { 1000, 2000, 3000 }:reshape { 3, 1, 1 })))
  end)

  it("are the same for any number of threads", function()
    local one = assert(core.image_load(files, form { height = 6, width = 5, threads = 1 }))
    for _, threads in ipairs { 2, 3, 8 } do
      local many = assert(core.image_load(files, form { height = 6, width = 5, threads = threads }))
      assert.is_true((one:equal(many)))
    end
  end)

  it("are refused with all problems, each with its path", function()
    local bad = { files[1], "nowhere.png", "spec/fixtures/images", "README.md", "spec/fixtures/images/cmyk.jpg" }
    local t, message, code, problems = core.image_load(bad, form())
    assert.is_nil(t)
    assert.same({ "io", 4 }, { code, #problems })
    assert.equal(message, problems[1])
    for i, part in ipairs { "nowhere.png: cannot open", "images: is a directory", "README.md: neither PNG nor JPEG",
      "cmyk.jpg: JPEG: CMYK" } do
      assert.matches(part, problems[i], 1, true)
    end
    refusal.check("format", { "rgb.png: an image of 13x17", "12x17 expected" }, core.image_load, files,
      form { height = 12, shorter = -1 })
  end)
end)

-- --- hostile files --------------------------------------------------------------------------------------------------

local function chunk(kind, data)
  return (">I4"):pack(#data) .. kind .. data .. (">I4"):pack(core.crc32(kind .. data))
end

local SIGNATURE = "\x89PNG\r\n\x1a\n"
local function ihdr(width, height, depth, colour, interlace)
  return chunk("IHDR", (">I4I4BBBBB"):pack(width, height, depth or 8, colour or 2, 0, 0, interlace or 0))
end

-- The chunks of a PNG file: positions of their first byte, and of the byte behind.
local function chunks(bytes)
  local list, at = {}, 9
  while at < #bytes do
    local size, kind = (">I4c4"):unpack(bytes, at)
    list[#list + 1], at = { at = at, stop = at + size + 12, kind = kind }, at + size + 12
  end
  return list
end

local function decode(bytes) return core.image_decode(bytes) end

describe("a hostile PNG", function()
  local png = fixture "rgb.png"
  local first = chunks(png)[1]

  it("that is too large is refused before memory is asked for", function()
    local before = core.peak_rss()
    for _, size in ipairs { { 65535, 65535 }, { 0x7fffffff, 0x7fffffff }, { 1, 65501 }, { 8193, 8192 } } do
      refusal.check("limit", { "the limit is 67108864 pixels" }, decode,
        SIGNATURE .. ihdr(size[1], size[2]) .. png:sub(first.stop))
    end
    for _, interlace in ipairs { 0, 1 } do
      refusal.check("format", { "8192 x 8192", "the file is too short" }, decode,
        SIGNATURE .. ihdr(8192, 8192, 16, 6, interlace) .. png:sub(first.stop))
    end
    assert.is_true(core.peak_rss() - before < 32 << 20)
  end)

  it("with an impossible header is refused", function()
    for _, header in ipairs { ihdr(0, 5), ihdr(5, 0), ihdr(5, 5, 3), ihdr(5, 5, 16, 3), ihdr(5, 5, 8, 5),
      ihdr(5, 5, 8, 2, 2), ihdr(0x80000000, 1), chunk("IHDR", ""), chunk("IEND", ""), chunk("IDAT", "abc") } do
      assert.equal("format", select(2, refusal.of(decode, SIGNATURE .. header .. png:sub(first.stop))))
    end
  end)

  it("with a wrong checksum in any chunk is refused, with a lying length too", function()
    local text = png:sub(1, first.stop - 1) .. chunk("tEXt", "a\0b") .. png:sub(first.stop)
    for _, c in ipairs(chunks(text)) do
      local wrong = text:sub(1, c.stop - 2) .. string.char(text:byte(c.stop - 1) ~ 1) .. text:sub(c.stop)
      refusal.check("format", { "PNG: " }, decode, wrong)
      for _, size in ipairs { 0x7fffffff, 0xffffffff, 0x100000 } do
        refusal.check("format", { "PNG: " }, decode, text:sub(1, c.at - 1) .. (">I4"):pack(size) .. text:sub(c.at + 4))
      end
    end
  end)

  it("with frames, texts and unknown chunks is its first picture", function()
    local expected = sum(assert(decode(png)))
    local frames = chunk("acTL", (">I4I4"):pack(0x7fffffff, 0)) .. chunk("fcTL", ("\0"):rep(26))
      .. chunk("zTXt", "a\0\0not deflate") .. chunk("iCCP", "x\0\0not deflate") .. chunk("prVt", ("x"):rep(3000))
    assert.equal(expected, sum(assert(decode(png:sub(1, first.stop - 1) .. frames .. png:sub(first.stop)))))
    assert.equal(expected, sum(assert(decode(png .. "more"))))
    refusal.check("format", { "PNG: CRIT" }, decode,
      png:sub(1, first.stop - 1) .. chunk("CRIT", "") .. png:sub(first.stop))
  end)

  it("with less data than pixels, or none, is refused", function()
    refusal.check("format", { "PNG: " }, decode, SIGNATURE .. ihdr(17, 14) .. png:sub(first.stop))
    refusal.check("format", { "PNG: " }, decode, SIGNATURE .. ihdr(17, 13) .. chunk("IEND", ""))
    refusal.check("format", { "PNG: " }, decode,
      SIGNATURE .. ihdr(17, 13) .. chunk("IDAT", "abcdefgh") .. chunk("IEND", ""))
    refusal.check("format", { "PNG: " }, decode, SIGNATURE .. ihdr(17, 13, 8, 3) .. png:sub(first.stop)) -- no palette
  end)
end)

-- gray.jpg as three components that come in scans of their own, `scans` in all.
local function scans_of(scans)
  local jpeg = fixture "gray.jpg"
  local sof, sos = jpeg:find("\xff\xc0", 1, true), jpeg:find("\xff\xda", 1, true)
  local parts = { jpeg:sub(1, sof - 1), (">I2I2"):pack(0xffc0, 17), jpeg:sub(sof + 4, sof + 8),
    "\3\1\x11\0\2\x11\0\3\x11\0", jpeg:sub(sof + 13, sos - 1) }
  for i = 0, scans - 1 do
    parts[#parts + 1] = jpeg:sub(sos, sos + 4) .. string.char(i % 3 + 1) .. jpeg:sub(sos + 6, -3)
  end
  return table.concat(parts) .. "\xff\xd9"
end

describe("a hostile JPEG", function()
  it("of too many scans is refused", function()
    assert.same({ 24, 40, 3 }, assert(decode(scans_of(3))).shape)
    assert.is_truthy(decode(scans_of(99)))
    refusal.check("limit", { "JPEG: more than 100 scans" }, decode, scans_of(101))
    refusal.check("limit", { "JPEG: more than 100 scans" }, decode, scans_of(2000))
    refusal.check("format", { "JPEG: no data for component 3 of 3" }, decode, scans_of(2))
  end)

  it("in colours that nobody can guess is refused", function()
    refusal.check("unsupported", { "JPEG: CMYK with 4 components; save it as RGB or gray" }, decode, fixture "cmyk.jpg")
  end)

  it("that is too large for its bytes is refused before memory is asked for", function()
    local before = core.peak_rss()
    for _, name in ipairs { "baseline.jpg", "progressive.jpg" } do
      local jpeg = fixture(name)
      local sof = jpeg:find("\xff[\xc0\xc2]\0\x11\8")
      local function sized(height, width)
        return jpeg:sub(1, sof + 4) .. (">I2I2"):pack(height, width) .. jpeg:sub(sof + 9)
      end
      refusal.check("format", { "8192 x 8192", "the file is too short" }, decode, sized(8192, 8192))
      refusal.check("limit", { "the limit is" }, decode, sized(65500, 65500))
      refusal.check("format", { "JPEG: " }, decode, sized(65535, 65535))
      refusal.check("format", { "JPEG: " }, decode, sized(0, 10))
      refusal.check("format", { "JPEG: " }, decode, sized(96, 40))
    end
    assert.is_true(core.peak_rss() - before < 32 << 20)
  end)
end)

-- Some bytes of a chunk; of a short one, which edits could empty, a single one.
local function damage(rng, data)
  if #data > 24 then return (mutate.bytes(rng, data)) end
  local at = rng(#data)
  return data:sub(1, at - 1) .. string.char(rng(256) - 1) .. data:sub(at + 1)
end

describe("a damaged picture", function()
  it("that ends at any byte is refused", function()
    local cuts = 0
    for _, case in ipairs(DECODED) do
      local bytes = fixture(case[1])
      for n = 0, case[1] == "iccp_bomb.png" and 200 or #bytes - 1 do
        local t, message, code = decode(bytes:sub(1, n))
        assert.is_nil(t, case[1] .. " cut to " .. n)
        assert.equal("format", code, message)
        cuts = cuts + 1
      end
    end
    assert.is_true(cuts > 3000)
  end)

  it("is decoded or refused, whatever was changed", function()
    local codes = { format = true, limit = true, unsupported = true }
    local decoded, refused = 0, 0
    for i, name in ipairs { "rgb.png", "interlaced.png", "palette2bit.png", "baseline.jpg", "progressive.jpg" } do
      local bytes, rng = fixture(name), mutate.rng(i)
      for _ = 1, 300 do
        local changed, what = mutate.bytes(rng, bytes)
        local t, message, code = decode(changed)
        if t then decoded = decoded + 1 else refused = refused + 1 end
        assert.is_true(t ~= nil or codes[code], ("%s: %s: %s"):format(name, what, message))
      end
    end
    assert.is_true(decoded > 20 and refused > 1000, decoded .. ", " .. refused)
  end)

  it("behind the checksums of a PNG too", function()
    local rng, refused = mutate.rng(9), 0
    for _, name in ipairs { "rgb.png", "interlaced.png", "palette2bit.png", "rgb16.png" } do
      local bytes = fixture(name)
      for _ = 1, 150 do
        local parts = { SIGNATURE }
        local list = chunks(bytes)
        local victim = rng(#list - 1) -- not IEND, which is empty
        for i, c in ipairs(list) do
          local data = bytes:sub(c.at + 8, c.stop - 5)
          parts[#parts + 1] = chunk(c.kind, i == victim and damage(rng, data) or data)
        end
        if not decode(table.concat(parts)) then refused = refused + 1 end
      end
    end
    assert.is_true(refused > 200, tostring(refused))
  end)

  it("in a file that is none is named", function()
    local folder = process.folder()
    process.write_file(folder .. "/text.png", "hello")
    local form = { height = 1, width = 1, channels = 1, table = core.tensor { 256 } }
    local path = folder .. "/text.png"
    refusal.check("format", { path .. ": neither PNG nor JPEG" }, core.image_load, { path }, form)
    process.remove(folder)
  end)
end)
