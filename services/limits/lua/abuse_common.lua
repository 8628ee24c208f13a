-- Scoring of prefixes: the same rules as services/limits/abuse_rules.py.
-- A status is "level score at until", times in ms.
local function decay(score, ms, half_life_ms)
  return score * 0.5 ^ (math.max(0, ms) / half_life_ms)
end

-- The level `before` ends only well below its threshold; a block (3) ends by time instead.
local function choose_level(score, before, thresholds)
  local reached = 0
  for level = 1, 3 do
    local threshold = thresholds[level]
    if level <= before and before < 3 then threshold = 0.8 * threshold end
    if score >= threshold then reached = level end
  end
  return reached
end

local function parse_status(text)
  if not text then return 0, 0, 0, 0 end
  local level, score, at, until_ms = string.match(text, '^(%d) (%S+) (%S+) (%S+)$')
  return tonumber(level), tonumber(score), tonumber(at), tonumber(until_ms)
end

local function format_status(level, score, at, until_ms)
  return string.format('%d %.3f %.0f %.0f', level, score, at, until_ms)
end
