-- A sliding window of two counters: of this bucket of time, and of the one before, weighted by its
-- share that is still inside the window. Requests and cost points are counted side by side.
-- Stored as "index requests requests_before points points_before".
local function read_window(key, window, now)
  if now == 0 then
    local time = redis.call('TIME')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
  end
  local w = {index = math.floor(now / window), left = window - now % window,
    requests = 0, requests_before = 0, points = 0, points_before = 0}
  local stored = redis.call('GET', key)
  if not stored then return w end
  local index, a, b, c, d = string.match(stored, '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
  index = tonumber(index)
  if index == w.index + 1 then  -- the clock went back over the edge
    w.index, w.left = index, window
  end
  if index == w.index then
    w.requests, w.requests_before = tonumber(a), tonumber(b)
    w.points, w.points_before = tonumber(c), tonumber(d)
  elseif index == w.index - 1 then
    w.requests_before, w.points_before = tonumber(a), tonumber(c)
  end
  return w
end

local function write_window(key, window, w)
  redis.call('SET', key, string.format('%d %d %d %d %d', w.index, w.requests, w.requests_before,
    w.points, w.points_before), 'PX', window + w.left)
end
