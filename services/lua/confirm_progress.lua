-- MongoDB has these versions: what did not change since may now expire.
-- KEYS: per title its progress hash and its user's sorted set of unflushed titles, all of one shard.
-- ARGV: flushed seconds, then per title its version and its id. Answers how many were unchanged.
local unchanged = 0
for i = 1, #KEYS, 2 do
  local version, playable = ARGV[i + 1], ARGV[i + 2]
  local stored = redis.call('HGET', KEYS[i], 'version')
  if stored == version then
    redis.call('HSET', KEYS[i], 'durable', version)
    redis.call('EXPIRE', KEYS[i], ARGV[1])
    unchanged = unchanged + 1
  end
  if not stored or stored == version then
    redis.call('ZREM', KEYS[i + 1], playable)
  end
end
return unchanged
