-- Stores what was read on the way, without a lease: KEYS the cache keys, ARGV the prefix of marks of
-- change, then value and seconds per key. A key changed moments ago is left alone.
for index, key in ipairs(KEYS) do
  if redis.call('EXISTS', ARGV[1] .. key) == 0 then
    redis.call('SET', key, ARGV[2 * index], 'EX', ARGV[1 + 2 * index])
  end
end
return redis.status_reply('OK')
