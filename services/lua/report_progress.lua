-- One progress report: compare, write, queue, answer; all or nothing.
-- KEYS: session, the user's sorted set of unflushed titles, the user's stream shard. The progress hash
--   is named by the session; all four carry the same {p<shard>} tag, so they live on one server.
-- ARGV[1], packed as one because redis-py pays per argument: user, sequence, position, duration (0:
--   unknown), state, quality, now in ms, session seconds, shard bound, base version.
--   nil: the next sequence, no new position, quality kept, no base. ARGV[2]: the base's packed state.
-- Answers 0: no such session of this user; 1: give a base; 2: the shard is full;
--   else {applied, playable, version, durable version, packed state}.
local report = cmsgpack.unpack(ARGV[1])
local user, sequence, position, duration, state, quality, now = unpack(report, 1, 7)

local session = redis.call('HMGET', KEYS[1], 'user', 'playable', 'progress', 'device', 'sequence',
  'duration', 'state', 'counted')
if session[1] ~= user then return 0 end
local playable, key = session[2], session[3]

local stored = redis.call('HMGET', key, 'version', 'durable', 'state')
local version, durable, packed = tonumber(stored[1] or report[10]), stored[2], stored[3]
if not version then return 1 end
durable = tonumber(durable or version)
packed = packed or ARGV[2]

local last = tonumber(session[5])
if session[7] == 'STOPPED' or (sequence and sequence <= last) then
  return {0, playable, version, durable, packed}
end

local heartbeat = {'sequence', sequence or last + 1, 'state', state, 'seen_at', now}
local function note(field, value)
  heartbeat[#heartbeat + 1] = field
  heartbeat[#heartbeat + 1] = value
end
if quality then note('quality', quality) end
if position then
  if redis.call('XLEN', KEYS[3]) >= report[9] then return 2 end
  local was = cmsgpack.unpack(packed) -- position, duration, completed, watch count, furthest, at, device
  if duration <= 0 then duration = tonumber(session[6]) end
  if duration > 0 and position > duration then position = duration end
  local completed, watch_count = 0, was[4]
  if duration > 0 and position * 10 >= duration * 9 then completed = 1 end
  if completed == 1 and was[3] == 0 and not session[8] then
    watch_count = watch_count + 1 -- at most once a session: seeking around the end counts nothing
    note('counted', 1)
  end
  note('position', position)
  note('duration', duration)
  version = version + 1
  local at = math.max(now, was[6])
  packed = cmsgpack.pack({position, duration, completed, watch_count, math.max(position, was[5]), at,
    session[4]})
  redis.call('XADD', KEYS[3], '*', 'user', user, 'playable', playable, 'version', version,
    'state', packed)
  redis.call('HSET', key, 'version', version, 'durable', durable, 'state', packed)
  redis.call('PERSIST', key) -- what MongoDB does not have must not expire or be evicted
  redis.call('ZADD', KEYS[2], at, playable)
end
redis.call('HSET', KEYS[1], unpack(heartbeat))
redis.call('EXPIRE', KEYS[1], report[8])
return {1, playable, version, durable, packed}
