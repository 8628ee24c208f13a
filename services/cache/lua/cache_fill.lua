-- Stores values read under a lease: KEYS the cache keys, ARGV token, lease prefix, then value and
-- seconds per key. A key without its lease was invalidated meanwhile: its value may be old.
-- Returns per key: 1 stored, 0 refused.
local stored = {}
for index, key in ipairs(KEYS) do
  local lease = ARGV[2] .. key
  if redis.call('GET', lease) == ARGV[1] then
    redis.call('SET', key, ARGV[1 + 2 * index], 'EX', ARGV[2 + 2 * index])
    redis.call('DEL', lease)
    stored[index] = 1
  else
    stored[index] = 0
  end
end
return stored
