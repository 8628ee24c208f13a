-- Lists all statuses and updates those that decay has changed.
-- KEYS: the statuses. ARGV: now in ms; half-life in ms; the scores of levels 1 to 3.
-- Returns {alternating prefixes and statuses, then prefix, level before and level now per change}.
local now, half_life = tonumber(ARGV[1]), tonumber(ARGV[2])
local thresholds = {tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])}
local all = redis.call('HGETALL', KEYS[1])
local current, changed = {}, {}
for index = 1, #all, 2 do
  local prefix, status = all[index], all[index + 1]
  local before, score, at, until_ms = parse_status(status)
  local level = 3
  if until_ms <= now then
    level = choose_level(decay(score, now - at, half_life), before < 3 and before or 0, thresholds)
    level = math.min(level, 2)
  end
  if level ~= before then
    changed[#changed + 1] = prefix
    changed[#changed + 1] = before
    changed[#changed + 1] = level
    status = format_status(level, score, at, 0)
    if level == 0 then redis.call('HDEL', KEYS[1], prefix)
    else redis.call('HSET', KEYS[1], prefix, status) end
  end
  if level > 0 then
    current[#current + 1] = prefix
    current[#current + 1] = status
  end
end
return {current, changed}
