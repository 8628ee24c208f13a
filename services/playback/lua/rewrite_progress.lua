-- Queues a title's state for MongoDB once more, which may have been restored from a backup.
-- KEYS: its progress hash, its user's sorted set of unflushed titles, its shard's stream. ARGV: user,
-- playable, how many entries the stream may have. Answers 1 queued, 0 nothing known, -1 the stream is full.
local version, packed = unpack(redis.call('HMGET', KEYS[1], 'version', 'state'))
if not packed or tonumber(version) == 0 then return 0 end
if redis.call('XLEN', KEYS[3]) >= tonumber(ARGV[3]) then return -1 end
redis.call('XADD', KEYS[3], '*', 'user', ARGV[1], 'playable', ARGV[2], 'version', version, 'state', packed)
redis.call('HSET', KEYS[1], 'durable_ms', 0)
redis.call('PERSIST', KEYS[1]) -- what MongoDB may not have must not expire or be evicted
redis.call('ZADD', KEYS[2], unpacked(packed)[AT_MS], ARGV[2])
return 1
