-- Opens a session once and makes sure that its title's progress hash is there to be compared with.
-- KEYS: session, progress. ARGV: session seconds, flushed seconds, base version, base state, then the
-- session's fields and values. Answers the session as it is now stored.
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], unpack(ARGV, 5))
  redis.call('EXPIRE', KEYS[1], ARGV[1])
end
if redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('HSET', KEYS[2], 'version', ARGV[3], 'durable', ARGV[3], 'state', ARGV[4])
  redis.call('EXPIRE', KEYS[2], ARGV[2])
end
return redis.call('HGETALL', KEYS[1])
