-- Stores values read without a lease: KEYS the cache keys, ARGV the prefix of marks of change, then
-- value and seconds per key. A key that changed moments ago is refused.
-- Returns per key: 1 stored, 0 refused.
local stored = {}
for index, key in ipairs(KEYS) do
  if redis.call('EXISTS', ARGV[1] .. key) == 0 then
    redis.call('SET', key, ARGV[2 * index], 'EX', ARGV[1 + 2 * index])
    stored[index] = 1
  else
    stored[index] = 0
  end
end
return stored
