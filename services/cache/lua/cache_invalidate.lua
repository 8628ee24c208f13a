-- Drops entries: KEYS the cache keys, ARGV the prefixes of leases and of marks, milliseconds a mark
-- lasts. Ending the leases prevents storing values that are being read now. Returns how many existed.
local dropped = 0
for _, key in ipairs(KEYS) do
  redis.call('SET', ARGV[2] .. key, '1', 'PX', ARGV[3])
  redis.call('DEL', ARGV[1] .. key)
  dropped = dropped + redis.call('UNLINK', key)
end
return dropped
