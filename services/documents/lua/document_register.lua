-- Stores a text under its id and drops those used least lately beyond a number of bytes.
-- KEYS: the texts (a hash), their uses (a sorted set). ARGV: id, text, now in ms, most bytes, seconds
-- until all expire if nothing is registered. The field `:bytes` has the bytes of ids and texts.
local texts, uses = KEYS[1], KEYS[2]
local bytes = tonumber(redis.call('HGET', texts, ':bytes') or '0')
if redis.call('HSET', texts, ARGV[1], ARGV[2]) == 1 then
  bytes = bytes + #ARGV[1] + #ARGV[2]
end
redis.call('ZADD', uses, ARGV[3], ARGV[1])
while bytes > tonumber(ARGV[4]) do
  local oldest = redis.call('ZPOPMIN', uses)[1]
  if not oldest then -- the uses were evicted: nothing tells which text is old
    redis.call('DEL', texts)
    return 0
  end
  local size = redis.call('HSTRLEN', texts, oldest)
  if redis.call('HDEL', texts, oldest) == 1 then
    bytes = bytes - #oldest - size
  end
end
redis.call('HSET', texts, ':bytes', bytes)
redis.call('EXPIRE', texts, ARGV[5])
redis.call('EXPIRE', uses, ARGV[5])
return bytes
