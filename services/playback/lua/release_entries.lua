-- Takes entries out of a stream, for good or to its dead letters. A script, because a full Redis
-- refuses transactions, and lets a script that began by deleting go on.
-- KEYS: stream, dead letters. ARGV: group, dead letters kept at most (0: keep no copies), the field that
-- keeps an entry's id there, then the ids.
local ids = {unpack(ARGV, 4)}
local copies = {}
if tonumber(ARGV[2]) > 0 then
  for _, id in ipairs(ids) do
    local entry = redis.call('XRANGE', KEYS[1], id, id)[1]
    if entry then
      local fields = entry[2]
      fields[#fields + 1] = ARGV[3]
      fields[#fields + 1] = id
      copies[#copies + 1] = fields
    end
  end
end
redis.call('XACK', KEYS[1], ARGV[1], unpack(ids))
redis.call('XDEL', KEYS[1], unpack(ids))
for _, fields in ipairs(copies) do
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], '*', unpack(fields))
end
return #ids
