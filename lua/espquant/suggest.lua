--- Names that somebody may have meant.
---
---     suggest("calibrat", { "calibrate", "run" })     -- { "calibrate" }

-- How many letters must be changed, added or left out to turn one word into the other.
local function distance(a, b)
  local row = {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      diagonal, row[j] = row[j], math.min(row[j] + 1, row[j - 1] + 1, diagonal + cost)
    end
  end
  return row[#b]
end

--- The candidates near a misspelt word: equal beginnings, or at most a third of the letters wrong.
return function(word, candidates)
  local near, typed = {}, word:lower()
  for _, candidate in ipairs(candidates) do
    local name = candidate:lower()
    if distance(typed, name) <= math.max(1, #name // 3) or name:sub(1, #typed) == typed then
      near[#near + 1] = candidate
    end
  end
  return near
end
