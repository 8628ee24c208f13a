-- MongoDB has these states: what did not change since may now expire.
-- KEYS: per title its progress hash and its user's sorted set of unflushed titles, all of one shard.
-- ARGV: flushed seconds, the shard's channel, then per title its stamp, its id and its user. Answers how
-- many were unchanged.
local unchanged = 0
for i = 1, #KEYS, 2 do
  local at = 3 + (i - 1) / 2 * 3
  local stamp, playable, user = tonumber(ARGV[at]), ARGV[at + 1], ARGV[at + 2]
  local packed = redis.call('HGET', KEYS[i], 'state')
  local is_same = packed and unpacked(packed)[STAMP_MS] == stamp
  if is_same then
    redis.call('EXPIRE', KEYS[i], ARGV[1]) -- first: a full Redis lets a script go on that has begun
    redis.call('HSET', KEYS[i], 'durable_ms', stamp)
    redis.call('PUBLISH', ARGV[2], user .. ' ' .. playable)
    unchanged = unchanged + 1
  end
  if not packed or is_same then
    redis.call('ZREM', KEYS[i + 1], playable)
  end
end
return unchanged
