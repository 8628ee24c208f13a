-- Stores what was read under a lease: KEYS the cache keys, ARGV token, lease prefix, then value and
-- seconds per key. A key whose lease is gone was forgotten meanwhile: its value may be old.
local stored = 0
for index, key in ipairs(KEYS) do
  local lease = ARGV[2] .. key
  if redis.call('GET', lease) == ARGV[1] then
    redis.call('SET', key, ARGV[1 + 2 * index], 'EX', ARGV[2 + 2 * index])
    redis.call('DEL', lease)
    stored = stored + 1
  end
end
return stored
