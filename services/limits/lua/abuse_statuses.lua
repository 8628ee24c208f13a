-- All standings, those that time has changed brought up to date.
-- KEYS: the standings. ARGV: now in ms; half-life in ms; the scores of levels 1 to 3.
-- Answers {prefixes and standings in turn, prefixes, levels before and levels now of what changed}.
local now, half_life = tonumber(ARGV[1]), tonumber(ARGV[2])
local least = {tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])}
local all = redis.call('HGETALL', KEYS[1])
local current, changed = {}, {}
for index = 1, #all, 2 do
  local prefix, told = all[index], all[index + 1]
  local before, score, at, until_ms = read_standing(told)
  local level = 3
  if until_ms <= now then
    level = level_of(decay(score, now - at, half_life), before < 3 and before or 0, least)
    level = math.min(level, 2)
  end
  if level ~= before then
    changed[#changed + 1] = prefix
    changed[#changed + 1] = before
    changed[#changed + 1] = level
    told = standing(level, score, at, 0)
    if level == 0 then redis.call('HDEL', KEYS[1], prefix)
    else redis.call('HSET', KEYS[1], prefix, told) end
  end
  if level > 0 then
    current[#current + 1] = prefix
    current[#current + 1] = told
  end
end
return {current, changed}
