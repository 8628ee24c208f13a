-- What MongoDB may not have yet of one user, newest first.
-- KEYS: the user's sorted set of unflushed titles. ARGV: text before and after a title in a progress
-- key (same slot as KEYS[1]), how many at most. Answers {playable, version, durable stamp, state} each.
local found = {}
for _, playable in ipairs(redis.call('ZREVRANGE', KEYS[1], 0, tonumber(ARGV[3]) - 1)) do
  local stored = redis.call('HMGET', ARGV[1] .. playable .. ARGV[2], 'version', 'durable_ms', 'state')
  if stored[1] then
    found[#found + 1] = {playable, stored[1], stored[2], stored[3]}
  end
end
return found
