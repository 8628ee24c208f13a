-- One step of one circuit breaker: adds a process's counts, changes the state, grants a permit.
-- KEYS: the breaker, the stream of changes. ARGV[1], packed: see services/breaker/shared_state.py.
-- Returns its status as JSON; the same text goes into the stream when the state changed.
local step = cmsgpack.unpack(ARGV[1])
local rules, now = step.rules, step.now
local stored = redis.call('GET', KEYS[1])
local b = stored and cmsgpack.unpack(stored)
  or {state = 'CLOSED', opened = 0, retry = 0, rest = 0, successes = 0, window = {}, permits = {}}
local changed, touched, granted = false, false, false

local function become(state)
  b.state, b.permits, b.successes = state, {}, 0
  if state == 'OPEN' then b.opened, b.retry = now, now + rules.open_ms end
  if state == 'CLOSED' then b.opened, b.retry, b.window = 0, 0, {} end
  changed, touched = true, true
end

-- What was seen: {bucket, calls, failures, slow calls}; a bucket is a part of the window.
for _, seen in ipairs(step.counts) do
  local was = b.window[seen[1]] or {0, 0, 0}
  b.window[seen[1]] = {was[1] + seen[2], was[2] + seen[3], was[3] + seen[4]}
  touched = true
end
local oldest = math.floor(now / rules.bucket_ms) - rules.buckets
local calls, failures, slow = 0, 0, 0
for bucket, seen in pairs(b.window) do
  if bucket <= oldest then
    b.window[bucket] = nil
  else
    calls, failures, slow = calls + seen[1], failures + seen[2], slow + seen[3]
  end
end
if step.backoff_until_ms > b.rest then b.rest, touched = step.backoff_until_ms, true end

-- Probes that ended: {permit, outcome}. A permit of an earlier half-open period is ignored.
local has_failed = false
for _, ended in ipairs(step.ended) do
  if b.permits[ended[1]] then
    b.permits[ended[1]] = nil
    if ended[2] == 'OK' then b.successes = b.successes + 1 end
    if ended[2] == 'FAILED' then has_failed = true end
    touched = true
  end
end

if step.force then -- a person decides; what the calls say does not count until this is lifted
  if step.force.state ~= '' then
    become(step.force.state)
    b.forced, b.reason, b.by, b.retry = true, step.force.reason, step.force.by, 0
  elseif b.forced then
    become('CLOSED')
    b.forced, b.reason, b.by = nil, nil, nil
  end
elseif b.forced then
  granted = b.state == 'CLOSED'
elseif b.state == 'HALF_OPEN' then
  if has_failed then become('OPEN') elseif b.successes >= rules.successes then become('CLOSED') end
elseif b.state == 'CLOSED' and calls >= rules.minimum
  and (failures * 100 >= rules.failure_percent * calls or slow * 100 >= rules.slow_percent * calls)
then
  become('OPEN')
end

if step.ask and not b.forced then
  granted = b.state == 'CLOSED'
  if b.state == 'OPEN' and now >= b.retry then become('HALF_OPEN') end
  if b.state == 'HALF_OPEN' then
    local out = 0 -- a dead prober's permit is free again when it expires
    for permit, expires in pairs(b.permits) do
      if expires <= now then b.permits[permit] = nil else out = out + 1 end
    end
    granted = out < rules.probes and out + b.successes < rules.successes
    if granted then b.permits[step.ask], touched = now + rules.permit_ms, true end
  end
end

if next(b.window) == nil then calls, failures, slow = 0, 0, 0 end
if touched then
  redis.call('SET', KEYS[1], cmsgpack.pack(b))
  if not b.forced then redis.call('PEXPIRE', KEYS[1], rules.keep_ms) end
end
local answer = cjson.encode({
  name = step.name, state = b.state, calls = calls, failures = failures, slow_calls = slow,
  opened_ms = b.opened, retry_ms = b.retry, rest_ms = b.rest, forced = b.forced or false,
  reason = b.reason, by = b.by, granted = granted, changed = changed,
})
if changed then
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', step.entries, '*', 'body', answer)
end
return answer
