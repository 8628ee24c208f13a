-- Put before the scripts that change progress (services/redis/scripts.py). A state is an array, packed as
-- services/playback/state.py has it: the names of its places, NEW_STATE and PERMANENT_HOLD_MS are written
-- from there. What an older version packed is shorter.

local function unpacked(packed)
  local state = cmsgpack.unpack(packed)
  for place = #state + 1, #NEW_STATE do state[place] = NEW_STATE[place] end
  return state
end

-- Reached its end: `percent` of it, if it is long enough to have credits.
local function is_completed(position, duration, percent, least_seconds)
  if duration <= 0 then return false end
  if duration < least_seconds then percent = math.max(percent, 99) end
  return position * 100 >= duration * percent
end

-- Farther than a catalogue's runtime is off (services/playback/conflict_rule.py).
local function is_beyond(position, duration)
  return duration > 0 and position > duration + math.max(60, duration * 0.05)
end

-- Whether a session has the position: nobody took it since its last report.
local function holds(state, session)
  local until_ms = state[HELD_UNTIL_MS]
  return state[SESSION_ID] == session and until_ms > 0 and until_ms < PERMANENT_HOLD_MS
end

-- Stores a changed state without end, queues it for MongoDB and tells of it.
local function store(stream, unflushed, channel, key, user, playable, version, durable_ms, packed, at,
    viewing)
  redis.call('XADD', stream, '*', 'user', user, 'playable', playable, 'version', version,
    'state', packed, 'viewing', viewing)
  redis.call('HSET', key, 'version', version, 'durable_ms', durable_ms, 'state', packed)
  redis.call('PERSIST', key) -- what MongoDB does not have must not expire or be evicted
  redis.call('ZADD', unflushed, at, playable)
  redis.call('PUBLISH', channel, user .. ' ' .. playable)
end
