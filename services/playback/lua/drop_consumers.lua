-- Forgets consumers that hold nothing: dropping one with pending entries would lose them.
-- KEYS: stream. ARGV: group, name (empty: any), idle for at least this many ms. Answers how many.
local dropped = 0
local consumers = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])
if consumers.err then return 0 end -- no such stream or group yet
for _, info in ipairs(consumers) do
  local consumer = {}
  for i = 1, #info, 2 do consumer[info[i]] = info[i + 1] end
  local meant = ARGV[2] == '' or consumer.name == ARGV[2]
  if meant and consumer.pending == 0 and consumer.idle >= tonumber(ARGV[3]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer.name)
    dropped = dropped + 1
  end
end
return dropped
