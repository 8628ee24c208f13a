-- MongoDB has these states: what did not change since may now expire.
-- KEYS: per title its progress hash and its user's sorted set of unflushed titles, all of one shard.
-- ARGV: flushed seconds, then per title its stamp and its id. Answers how many were unchanged.
local unchanged = 0
for i = 1, #KEYS, 2 do
  local stamp, playable = tonumber(ARGV[i + 1]), ARGV[i + 2]
  local packed = redis.call('HGET', KEYS[i], 'state')
  local is_same = packed and unpacked(packed)[STAMP_MS] == stamp
  if is_same then
    redis.call('EXPIRE', KEYS[i], ARGV[1]) -- first: a full Redis lets a script go on that has begun
    redis.call('HSET', KEYS[i], 'durable_ms', stamp)
    unchanged = unchanged + 1
  end
  if not packed or is_same then
    redis.call('ZREM', KEYS[i + 1], playable)
  end
end
return unchanged
