-- Changes of one user's progress that no running session makes; all or nothing, each title queued once.
-- KEYS: the user's sorted sets of unflushed titles and of offline events seen, the user's stream shard,
--   then one progress hash per title; all with the same {p<shard>} tag.
-- ARGV[1], packed: user, now in ms, shard bound, channel, completed percent and least seconds, how many
--   events are remembered and for how many ms; titles: {id, base version (-1: not given), base's state
--   as an array} each; changes: {kind, title's place, ...} each, in the order they are applied:
--   'event', id, position, duration (0: unknown), at, device   |   'watched', at, duration
--   'unwatched'   |   'dismissed', at   |   'adopted', version, state as an array
--   and viewings for the history: {its values, places of their events among the changes}.
-- Answers {2}: the shard is full; {1, titles}: give MongoDB's states; else {0, per change 0 (seen before),
--   1 (applied) or 2 (what is stored counts on), per title {version, durable stamp, packed state}}.
local user, now, shard_bound, channel, percent, least_seconds, remembered, remembered_ms, titles, changes,
  viewings = unpack(cmsgpack.unpack(ARGV[1]), 1, 11)
local unflushed, seen, stream = KEYS[1], KEYS[2], KEYS[3]

local rows, needed, history = {}, {}, read_history()
for place, title in ipairs(titles) do
  local stored = redis.call('HMGET', KEYS[3 + place], 'version', 'durable_ms', 'state', 'history')
  rows[place] = load_title(stored, history, title[2], title[3])
  if not rows[place] then needed[#needed + 1] = title[1] end
end
if #needed > 0 then return {1, needed} end

local apply = {}

function apply.event(row, event)
  local state, position, duration, at = row.state, event[4], event[5], math.min(event[6], now)
  if at <= state[RESET_AT_MS] then return false end
  if duration <= 0 then duration = state[KNOWN_DURATION_SECONDS] end
  if duration > 0 and position > duration then position = duration end
  local finishes = is_completed(position, duration, percent, least_seconds)
  -- What happened before the stored state counts, but does not say how the title stands now. It is of a
  -- viewing that counted already if no place short of the end is known between the two.
  local is_late, is_changed = at <= state[AT_MS], false
  local is_again = is_late and state[FINISHED_AT_MS] > 0 and (row.unfinished_ms or 0) <= state[FINISHED_AT_MS]
  if finishes then
    if state[COMPLETED] == 0 and not is_again then
      state[WATCH_COUNT], is_changed = state[WATCH_COUNT] + 1, true
    end
    if at > state[FINISHED_AT_MS] then state[FINISHED_AT_MS] = at end
  elseif is_late then
    row.unfinished_ms = at
  end
  if position > state[FURTHEST_SECONDS] then
    state[FURTHEST_SECONDS], is_changed = position, true
  end
  if not is_late then
    state[POSITION_SECONDS], state[KNOWN_DURATION_SECONDS] = position, duration
    state[AT_MS], state[DEVICE_JSON] = at, event[7]
    state[COMPLETED], state[HELD_UNTIL_MS], is_changed = finishes and 1 or 0, 0, true
    if at > state[DISMISSED_AT_MS] then state[DISMISSED_AT_MS] = 0 end
  end
  return is_changed
end

-- The viewer's own word: sessions begun before it do not take it back.
local function mark(state)
  state[CLAIMED_MS] = math.max(now, state[CLAIMED_MS] + 1)
end

function apply.watched(row, change)
  local state, duration = row.state, change[4]
  if duration <= 0 then duration = state[KNOWN_DURATION_SECONDS] end
  local position = duration > 0 and duration or state[POSITION_SECONDS]
  if state[COMPLETED] == 1 and state[POSITION_SECONDS] == position then return false end
  state[WATCH_COUNT] = state[WATCH_COUNT] + 1 - state[COMPLETED]
  state[COMPLETED] = 1
  mark(state)
  state[POSITION_SECONDS], state[KNOWN_DURATION_SECONDS] = position, duration
  state[HELD_UNTIL_MS] = PERMANENT_HOLD_MS
  state[FURTHEST_SECONDS] = math.max(state[FURTHEST_SECONDS], position)
  state[AT_MS] = math.max(state[AT_MS], math.min(change[3], now))
  state[FINISHED_AT_MS] = math.max(state[FINISHED_AT_MS], math.min(change[3], now))
  return true
end

function apply.unwatched(row)
  local state = row.state
  local is_unwatched = state[COMPLETED] == 0 and state[POSITION_SECONDS] == 0 and state[FURTHEST_SECONDS] == 0
  if row.version == 0 or is_unwatched then
    return false
  end
  mark(state)
  state[POSITION_SECONDS], state[COMPLETED], state[FURTHEST_SECONDS], state[HELD_UNTIL_MS] = 0, 0, 0, 0
  state[DISMISSED_AT_MS], state[RESET_AT_MS] = 0, now
  return true
end

function apply.dismissed(row, change)
  local state = row.state
  if state[DISMISSED_AT_MS] > 0 then return false end
  state[DISMISSED_AT_MS] = change[3]
  if state[AT_MS] == 0 then state[AT_MS] = change[3] end
  return true
end

-- What was written past Redis meanwhile: the newer of the two, and what only grows of both.
function apply.adopted(row, change)
  local mine, theirs = row.state, change[4]
  local newer, furthest, watch_count = merge(mine, theirs)
  local is_told = mine[STAMP_MS] > theirs[STAMP_MS]
    or (mine[STAMP_MS] == theirs[STAMP_MS] and mine[SEQUENCE] == theirs[SEQUENCE])
  if newer == mine and is_told and furthest == mine[FURTHEST_SECONDS]
    and watch_count == mine[WATCH_COUNT] then
    return false
  end
  newer[FURTHEST_SECONDS], newer[WATCH_COUNT] = furthest, watch_count
  newer[STAMP_MS] = math.max(mine[STAMP_MS], theirs[STAMP_MS])
  row.state, row.version = newer, math.max(row.version, change[3])
  return true
end

local outcomes, new_events = {}, {}
for i, change in ipairs(changes) do
  local row = rows[change[2]]
  local is_known = false
  if change[1] == 'event' then
    is_known = new_events[change[3]] or redis.call('ZSCORE', seen, change[3])
    new_events[change[3]] = true
  end
  if is_known then
    outcomes[i] = 0
  elseif apply[change[1]](row, change) then
    -- What is adopted was made before now: a report under way to MongoDB must stay the newer one.
    local made = change[1] == 'adopted' and 0 or now
    row.version, row.state[STAMP_MS] = row.version + 1, math.max(made, row.state[STAMP_MS] + 1)
    row.is_changed, outcomes[i] = true, 1
  else
    outcomes[i] = 2
  end
end

-- Whether a viewing has something new: of an event that is known it was written before.
local function is_new(viewing)
  for _, place in ipairs(viewing[2]) do
    if outcomes[place] > 0 then return true end
  end
  return false
end

local by_title = {}
for _, viewing in ipairs(viewings) do
  if is_new(viewing) then
    local title = changes[viewing[2][1]][2]
    by_title[title] = by_title[title] or {}
    table.insert(by_title[title], cmsgpack.pack(viewing[1]))
  end
end
if redis.call('XLEN', stream) >= shard_bound then
  if next(by_title) then return {2} end
  for _, row in ipairs(rows) do
    if row.is_changed then return {2} end
  end
end

local answers = {}
for place, row in ipairs(rows) do
  row.packed = cmsgpack.pack(row.state)
  local own = by_title[place] or {}
  if row.is_changed then
    store(stream, unflushed, channel, KEYS[3 + place], user, titles[place][1], row.version,
      row.durable_ms, row.packed, row.state[AT_MS], table.remove(own) or '', history)
  elseif row.is_compared then
    store_compared(unflushed, KEYS[3 + place], titles[place][1], row, history)
  end
  for _, viewing in ipairs(row.version > 0 and own or {}) do
    -- Nothing new of the progress, which MongoDB will refuse.
    redis.call('XADD', stream, '*', 'user', user, 'playable', titles[place][1], 'version', row.version,
      'state', row.packed, 'viewing', viewing)
  end
  answers[place] = {row.version, row.durable_ms, row.packed}
end
for id in pairs(new_events) do
  redis.call('ZADD', seen, 'NX', now, id)
end
if next(new_events) then
  redis.call('ZREMRANGEBYSCORE', seen, '-inf', now - remembered_ms)
  redis.call('ZREMRANGEBYRANK', seen, 0, -remembered - 1)
  redis.call('PEXPIRE', seen, remembered_ms)
end
return {0, outcomes, answers}
