-- A user's sessions that were heard of lately, last heard of first.
-- KEYS: the user's sorted set of sessions. ARGV: text before and after a session's id in its key (same
-- slot as KEYS[1]), the earliest time that counts in ms, how many at most. Answers {id, fields} each.
local found = {}
for _, id in ipairs(redis.call('ZREVRANGEBYSCORE', KEYS[1], '+inf', ARGV[3], 'LIMIT', 0, ARGV[4])) do
  local fields = redis.call('HGETALL', ARGV[1] .. id .. ARGV[2])
  if #fields > 0 then
    found[#found + 1] = {id, fields}
  end
end
return found
