-- Leases for keys that are missing: KEYS the cache keys, ARGV token, lease milliseconds, and the
-- prefixes of leases and of marks of change. Returns per key: 0 leased by another, 1 acquired,
-- 2 acquired and changed moments ago (read it from the primary), 3 acquired and there by now.
local answers = {}
for index, key in ipairs(KEYS) do
  if redis.call('SET', ARGV[3] .. key, ARGV[1], 'NX', 'PX', ARGV[2]) then
    if redis.call('EXISTS', ARGV[4] .. key) == 1 then
      answers[index] = 2
    else
      answers[index] = redis.call('EXISTS', key) == 1 and 3 or 1
    end
  else
    answers[index] = 0
  end
end
return answers
