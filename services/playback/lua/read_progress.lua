-- Progress of titles of one user, as it is stored.
-- KEYS: their progress hashes. Answers per title {version, durable stamp, state, whether it counts alone:
-- else MongoDB may have a later one}; version nil: nothing is stored.
local history = read_history()
local answers = {}
for place, key in ipairs(KEYS) do
  local stored = redis.call('HMGET', key, 'version', 'durable_ms', 'state', 'history')
  stored[4] = (stored[4] or '') == history and 1 or 0
  answers[place] = stored
end
return answers
