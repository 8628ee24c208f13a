-- How suspicion is rated: the same rules as services/limits/abuse_rules.py.
-- A standing is "level score at until", times in ms.
local function decay(score, ms, half_life_ms)
  return score * 0.5 ^ (math.max(0, ms) / half_life_ms)
end

-- `before` is left only well below what led to it; a block (3) ends by time, not by score.
local function level_of(score, before, least)
  local found = 0
  for level = 1, 3 do
    local wanted = least[level]
    if level <= before and before < 3 then wanted = 0.8 * wanted end
    if score >= wanted then found = level end
  end
  return found
end

local function read_standing(text)
  if not text then return 0, 0, 0, 0 end
  local level, score, at, until_ms = string.match(text, '^(%d) (%S+) (%S+) (%S+)$')
  return tonumber(level), tonumber(score), tonumber(at), tonumber(until_ms)
end

local function standing(level, score, at, until_ms)
  return string.format('%d %.3f %.0f %.0f', level, score, at, until_ms)
end
