-- Put before the scripts that change progress (services/redis/scripts.py). A state is an array, packed as
-- services/playback/state.py has it: the names of its places, NEW_STATE, PERMANENT_HOLD_MS and
-- FLUSHED_SECONDS are written from there. What an older version packed is shorter.

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

-- Of one session's reports the later in its count; else the later in time (models/playback/documents.py).
local function is_later(one, other)
  local session = one[SESSION_ID]
  if session == other[SESSION_ID] and one[CLAIMED_MS] == other[CLAIMED_MS]
    and one[SEQUENCE] ~= other[SEQUENCE] and holds(one, session) and holds(other, session) then
    return one[SEQUENCE] > other[SEQUENCE]
  end
  return one[STAMP_MS] > other[STAMP_MS]
end

-- The later of two states, with what only grows of both.
local function merge(mine, theirs)
  local newer, older = mine, theirs
  if is_later(theirs, mine) then newer, older = theirs, mine end
  local furthest, watch_count = newer[FURTHEST_SECONDS], math.max(newer[WATCH_COUNT], older[WATCH_COUNT])
  if older[STAMP_MS] > newer[RESET_AT_MS] then furthest = math.max(furthest, older[FURTHEST_SECONDS]) end
  return newer, furthest, watch_count
end

-- The name of this server's history: another one after each restart and each take-over by a replica. It
-- may then be older than what MongoDB has, so a title's hash counts alone only if it was written or
-- compared with MongoDB in this history. Empty where the server does not tell it: then all count.
local function read_history()
  local reply = redis.pcall('INFO', 'replication')
  return type(reply) == 'string' and string.match(reply, 'master_replid:(%x%x%x%x%x%x%x%x%x%x%x%x)') or ''
end

-- A title's progress: {version, state, durable stamp, whether the base was needed}; nil: it is needed.
-- `stored`: the hash's version, durable_ms, state and history; `base`: MongoDB's state, nil: not given.
local function load_title(stored, history, base_version, base)
  local version, state = tonumber(stored[1]), stored[3] and unpacked(stored[3])
  local durable_ms = state and tonumber(stored[2] or state[STAMP_MS])
  if version and (stored[4] or '') == history then
    return {version = version, state = state, durable_ms = durable_ms, packed = stored[3]}
  end
  if not base then return nil end
  if not version then
    return {version = base_version, state = base, durable_ms = base[STAMP_MS], is_base = true}
  end
  local newer, furthest, watch_count = merge(state, base)
  if newer == base then durable_ms = base[STAMP_MS] end
  newer[FURTHEST_SECONDS], newer[WATCH_COUNT] = furthest, watch_count
  return {version = math.max(version, base_version), state = newer, durable_ms = durable_ms,
    is_base = newer == base, is_compared = true}
end

-- Stores what was compared with MongoDB; where that had the later state, it may expire.
local function store_compared(unflushed, key, playable, row, history)
  redis.call('HSET', key, 'version', row.version, 'durable_ms', row.durable_ms, 'state', row.packed,
    'history', history)
  if row.is_base then
    redis.call('EXPIRE', key, FLUSHED_SECONDS)
    redis.call('ZREM', unflushed, playable)
  end
end

-- Stores a changed state without end, queues it for MongoDB and tells of it.
local function store(stream, unflushed, channel, key, user, playable, version, durable_ms, packed, at,
    viewing, history)
  redis.call('XADD', stream, '*', 'user', user, 'playable', playable, 'version', version,
    'state', packed, 'viewing', viewing)
  redis.call('HSET', key, 'version', version, 'durable_ms', durable_ms, 'state', packed, 'history', history)
  redis.call('PERSIST', key) -- what MongoDB does not have must not expire or be evicted
  redis.call('ZADD', unflushed, at, playable)
  redis.call('PUBLISH', channel, user .. ' ' .. playable)
end
