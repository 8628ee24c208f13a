-- Puts a dead letter back at the end of its shard's stream, as it was.
-- KEYS: the shard's dead letters, its stream. ARGV: the letter's id, the field that only it has.
-- Answers whether it was there.
local found = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
if not found then return 0 end
local fields = {}
for i = 1, #found[2], 2 do
  if found[2][i] ~= ARGV[2] then
    fields[#fields + 1] = found[2][i]
    fields[#fields + 1] = found[2][i + 1]
  end
end
redis.call('XADD', KEYS[2], '*', unpack(fields))
redis.call('XDEL', KEYS[1], ARGV[1])
return 1
