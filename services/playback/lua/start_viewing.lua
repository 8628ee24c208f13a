-- Opens a session once, if the user may have one more stream, and makes sure that its title's
-- progress hash is there to be compared with.
-- KEYS: session, progress, the user's sorted set of sessions by when they were last heard of.
-- ARGV: session id, session seconds, flushed seconds, now in ms, how long a silent session counts in
--   ms, streams at most, base version ('': not known), base state, then the session's fields and values.
-- Answers the session as it is now stored; nothing if too many streams play.
if redis.call('EXISTS', KEYS[1]) == 0 then
  local now, counts = tonumber(ARGV[4]), tonumber(ARGV[5])
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', '(' .. string.format('%.0f', now - counts))
  if redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[6]) then return {} end
  redis.call('HSET', KEYS[1], 'counts_ms', ARGV[5], 'most', ARGV[6], unpack(ARGV, 9))
  redis.call('EXPIRE', KEYS[1], ARGV[2])
  redis.call('ZADD', KEYS[3], ARGV[4], ARGV[1])
  redis.call('EXPIRE', KEYS[3], ARGV[2])
end
if ARGV[7] ~= '' and redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('HSET', KEYS[2], 'version', ARGV[7], 'state', ARGV[8])
  redis.call('EXPIRE', KEYS[2], ARGV[3])
end
return redis.call('HGETALL', KEYS[1])
