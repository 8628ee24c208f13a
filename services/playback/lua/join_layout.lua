-- Says that a process lays progress out in so many shards, unless others lay it out otherwise.
-- KEYS: hash of when each number of shards was last said. ARGV: ours, for how many ms a word counts.
-- Answers {} where ours is the only one; else {shards, whether it still counts} of each other.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local said = redis.call('HGETALL', KEYS[1])
local others = {}
for i = 1, #said, 2 do
  if said[i] ~= ARGV[1] then
    others[#others + 1] = {said[i], now - tonumber(said[i + 1]) <= tonumber(ARGV[2]) and 1 or 0}
  end
end
local is_ours = redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1
if #others == 0 or is_ours then
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now))
end
return others
