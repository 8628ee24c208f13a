-- One progress report: compare, write, queue, answer; all or nothing. The rule is told in
-- services/playback/conflict_rule.py, its twin.
-- KEYS: session, the user's sorted set of unflushed titles, the user's stream shard. The progress hash
--   and the user's set of playing sessions are named by the session; all carry the same {p<shard>} tag,
--   so they live on one server.
-- ARGV[1], packed as one because redis-py pays per argument: user, session, sequence, position,
--   duration (0: unknown), state, quality, seeked, now in ms; base version; session seconds, shard
--   bound, channel, completed percent and least seconds, short session and hold in ms.
--   nil: the next sequence, no new position, quality kept, no base. ARGV[2]: the base's packed state.
-- Answers 0: no such session of this user; 1: give a base; 2: the shard is full; 3: far beyond the end;
--   below 0: as many streams as that play, and this session is not among them any more;
--   else {applied (2: the stored state counts on), playable, version, durable stamp, packed state}.
local report = cmsgpack.unpack(ARGV[1])
local user, id, sequence, position, duration, state, quality, seeked, now = unpack(report, 1, 9)
local session_seconds, shard_bound, channel, percent, least_seconds, short_ms, hold_ms =
  unpack(report, 11, 17)

local session, fields = {}, redis.call('HGETALL', KEYS[1])
for place = 1, #fields, 2 do session[fields[place]] = fields[place + 1] end
if session.user ~= user then return 0 end
local playable, key, device = session.playable, session.progress, session.device

local stored = redis.call('HMGET', key, 'version', 'durable_ms', 'state', 'history')
local history = read_history()
local row = load_title(stored, history, report[10], ARGV[2] and unpacked(ARGV[2]))
if not row then return 1 end
row.packed = row.packed or cmsgpack.pack(row.state)
if row.is_compared then store_compared(KEYS[2], key, playable, row, history) end
local version, was, durable_ms, packed = row.version, row.state, row.durable_ms, row.packed

-- A key may start a session again once the first is forgotten: what that one left is another's.
local is_latest = was[SESSION_ID] == id and was[CLAIMED_MS] >= tonumber(session.started_at)
local last, is_holder = tonumber(session.sequence), is_latest and holds(was, id)
if is_latest then last = math.max(last, was[SEQUENCE]) end
if session.state == 'STOPPED' or (sequence and sequence <= last) then
  return {0, playable, version, durable_ms, packed}
end
sequence = sequence or last + 1
if position and duration <= 0 and is_beyond(position, tonumber(session.duration)) then return 3 end

local is_stop, playing = state == 'STOPPED', session.playing
if playing and not is_stop and now - tonumber(session.seen_at) > tonumber(session.counts_ms) then
  -- Silent for so long, it was counted no more: it comes back where there is room (start_viewing.lua).
  redis.call('ZREMRANGEBYSCORE', playing, '-inf', string.format('(%.0f', now - tonumber(session.counts_ms)))
  local most = tonumber(session.most)
  if redis.call('ZCARD', playing) >= most then return -most end
end

local started, was_at = tonumber(session.started_at), tonumber(session.position)
local claimed = tonumber(session.claimed or session.started_at)
if is_holder then claimed = math.max(claimed, was[CLAIMED_MS]) end
local has_sought = claimed > started
local seen = math.max(now, tonumber(session.seen_at) + 1)
local heartbeat = {'sequence', sequence, 'state', state, 'seen_at', seen}
local function note(field, value)
  heartbeat[#heartbeat + 1] = field
  heartbeat[#heartbeat + 1] = value
end
if quality then note('quality', quality) end
local watched, finished = tonumber(session.watched or 0), session.finished == '1'
local function viewing()
  return cmsgpack.pack({id, started, watched, is_stop and seen or 0, finished and 1 or 0, device, seen})
end
local applied = 1
if seeked then
  claimed = math.max(now, claimed + 1, was[CLAIMED_MS] + 1)
  note('claimed', claimed)
end
if (position or (is_stop and version > 0)) and redis.call('XLEN', KEYS[3]) >= shard_bound then
  return 2
end

if position then
  local was_duration = tonumber(session.duration)
  if duration <= 0 then duration = was_duration end
  if duration > 0 and position > duration then position = duration end
  if not seeked then
    local possible = (now - tonumber(session.seen_at)) / 1000 * 2 + 5
    local most = math.max(watched, (now - started) / 1000 * 2) -- of all reports together
    watched = math.min(watched + math.max(0, math.min(position - was_at, possible)), most)
    note('watched', watched)
  end
  local finishes = is_completed(position, duration, percent, least_seconds)
  note('position', position)
  if duration ~= was_duration then note('duration', duration) end
  if finishes and not finished then
    finished = true
    note('finished', 1)
  end

  local is_kept = not seeked and not is_holder and (
    (was[HELD_UNTIL_MS] > now and claimed <= was[CLAIMED_MS])
    or (position < was[POSITION_SECONDS] and not has_sought and (session.is_blind == '1' or now - started < short_ms))
    or (last >= 0 and position == was_at)) -- it stands still
  if is_kept then
    applied = 2
  else
    local counted = session.counted == '1' or (is_latest and was[SESSION_COUNTED] == 1)
    local watch_count = was[WATCH_COUNT]
    if finishes and was[COMPLETED] == 0 and not counted then
      watch_count, counted = watch_count + 1, true -- at most once a session
      note('counted', 1)
    end
    version = version + 1
    if position ~= was[POSITION_SECONDS] then was[DISMISSED_AT_MS] = 0 end
    was[POSITION_SECONDS], was[KNOWN_DURATION_SECONDS] = position, duration
    was[COMPLETED], was[WATCH_COUNT] = finishes and 1 or 0, watch_count
    was[FURTHEST_SECONDS], was[AT_MS] = math.max(position, was[FURTHEST_SECONDS]), math.max(now, was[AT_MS])
    was[STAMP_MS], was[DEVICE_JSON] = math.max(now, was[STAMP_MS] + 1), device
    was[SESSION_ID], was[SEQUENCE], was[SESSION_COUNTED] = id, sequence, counted and 1 or 0
    was[CLAIMED_MS], was[HELD_UNTIL_MS] = claimed, is_stop and 0 or now + hold_ms
    packed = cmsgpack.pack(was)
    store(KEYS[3], KEYS[2], channel, key, user, playable, version, durable_ms, packed, was[AT_MS],
      viewing(), history)
  end
elseif is_stop and is_holder then
  was[HELD_UNTIL_MS] = 0 -- whoever else plays may go on at once
  packed = cmsgpack.pack(was)
  redis.call('HSET', key, 'version', version, 'durable_ms', durable_ms, 'state', packed, 'history', history)
  if not stored[3] then redis.call('EXPIRE', key, session_seconds) end -- MongoDB has the rest
end
if version > 0 and (applied == 2 or (is_stop and not position)) then
  -- Nothing new of the progress, which MongoDB will refuse, but of the session, for the history.
  redis.call('XADD', KEYS[3], '*', 'user', user, 'playable', playable, 'version', version,
    'state', packed, 'viewing', viewing())
end
redis.call('HSET', KEYS[1], unpack(heartbeat))
redis.call('EXPIRE', KEYS[1], session_seconds)
if playing and is_stop then
  redis.call('ZREM', playing, id)
elseif playing then
  redis.call('ZADD', playing, seen, id)
  redis.call('EXPIRE', playing, session_seconds)
end
return {applied, playable, version, durable_ms, packed}
