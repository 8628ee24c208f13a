-- Ends leases that are still the token's: KEYS the cache keys, ARGV token and lease prefix.
for _, key in ipairs(KEYS) do
  if redis.call('GET', ARGV[2] .. key) == ARGV[1] then
    redis.call('DEL', ARGV[2] .. key)
  end
end
return redis.status_reply('OK')
