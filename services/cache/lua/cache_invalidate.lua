-- KEYS the cache keys, ARGV the prefixes of leases and of marks, milliseconds a mark lasts. Ending
-- the leases keeps out what is being read now. Answers how many were there.
local there = 0
for _, key in ipairs(KEYS) do
  redis.call('SET', ARGV[2] .. key, '1', 'PX', ARGV[3])
  redis.call('DEL', ARGV[1] .. key)
  there = there + redis.call('UNLINK', key)
end
return there
