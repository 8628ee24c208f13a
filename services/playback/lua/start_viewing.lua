-- Opens a session once, if the user may have one more stream, and makes sure that its title's
-- progress hash is there to be compared with. A session that begins while nobody knows that progress is
-- marked as blind: conflict_rule.py tells what follows.
-- KEYS: session, progress, the user's sorted sets of sessions by when they were last heard of, and of
--   unflushed titles.
-- ARGV: session id, title, session seconds, now in ms, how long a silent session counts in ms, streams
--   at most, base version ('': not known), base state, then the session's fields and values.
-- Answers the session as it is now stored; nothing if too many streams play.
local history = read_history()
local stored = redis.call('HMGET', KEYS[2], 'version', 'durable_ms', 'state', 'history')
local row = load_title(stored, history, tonumber(ARGV[7]), ARGV[7] ~= '' and unpacked(ARGV[8]) or nil)
if redis.call('EXISTS', KEYS[1]) == 0 then
  local now, counts = tonumber(ARGV[4]), tonumber(ARGV[5])
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', '(' .. string.format('%.0f', now - counts))
  if redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[6]) then return {} end
  redis.call('HSET', KEYS[1], 'counts_ms', ARGV[5], 'most', ARGV[6], 'is_blind', row and 0 or 1,
    unpack(ARGV, 9))
  redis.call('EXPIRE', KEYS[1], ARGV[3])
  redis.call('ZADD', KEYS[3], ARGV[4], ARGV[1])
  redis.call('EXPIRE', KEYS[3], ARGV[3])
end
if row and not row.packed then
  row.packed = cmsgpack.pack(row.state)
  store_compared(KEYS[4], KEYS[2], ARGV[2], row, history)
end
return redis.call('HGETALL', KEYS[1])
