-- Stores values read without a lease: KEYS the cache keys, ARGV the prefix of marks of change, 1 if
-- other processes are to drop theirs, then value and seconds per key. A key that changed moments ago
-- is refused. A mark that is set and deleted at once is told to all, and marks nothing.
-- Returns per key: 1 stored, 0 refused.
local stored = {}
for index, key in ipairs(KEYS) do
  local mark = ARGV[1] .. key
  if redis.call('EXISTS', mark) == 0 then
    if ARGV[2] == '1' then
      redis.call('SET', mark, '1', 'PX', 1000)
      redis.call('DEL', mark)
    end
    redis.call('SET', key, ARGV[1 + 2 * index], 'EX', ARGV[2 + 2 * index])
    stored[index] = 1
  else
    stored[index] = 0
  end
end
return stored
