-- Returns the text of an id, nil without one, and notes the use.
-- KEYS: the texts, their uses. ARGV: id, now in ms.
local text = redis.call('HGET', KEYS[1], ARGV[1])
if text then
  redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
end
return text
