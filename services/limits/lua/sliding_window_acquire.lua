-- Counts requests and cost points, both or neither.
-- KEYS: the window. ARGV: its length in ms; now in ms, 0 for Redis's own clock; the limit of
-- requests, how many, how many to prefetch; the same three of points. The prefetch is counted only
-- if it leaves half of both limits free.
-- Returns {refused by (0 nothing, 1 requests, 2 points), bucket, remaining requests and points, ms
-- until nothing counts any more, ms until a refused call fits, whether the prefetch was counted}.
local window = tonumber(ARGV[1])
local limit, amount, prefetch = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local most, points, prefetch_points = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local w = read_window(KEYS[1], window, tonumber(ARGV[2]))

local function free(limit, count, before)
  return limit - count - math.floor(before * w.left / window)
end

-- Time until `amount` fits, without further requests.
local function wait(limit, amount, count, before)
  local room = limit - amount + 1
  if room <= 0 then return 2 * window end
  local left
  if room > count then
    left = (room - count) * window / before
    return math.max(1, math.floor(w.left - left) + 1)
  end
  left = room * window / count
  return w.left + math.max(1, math.floor(window - left) + 1)
end

local function full_again()
  if w.requests > 0 or w.points > 0 then return w.left + window end
  if w.requests_before > 0 or w.points_before > 0 then return w.left end
  return 0
end

local requests_free = free(limit, w.requests, w.requests_before)
local points_free = free(most, w.points, w.points_before)
local refused, retry, prefetched = 0, 0, 0
if amount > requests_free then
  refused, retry = 1, wait(limit, amount, w.requests, w.requests_before)
elseif points > points_free then
  refused, retry = 2, wait(most, points, w.points, w.points_before)
else
  if prefetch > 0 and 2 * (requests_free - amount - prefetch) >= limit
    and 2 * (points_free - points - prefetch_points) >= most then
    amount, points, prefetched = amount + prefetch, points + prefetch_points, 1
  end
  if amount > 0 or points > 0 then
    w.requests, w.points = w.requests + amount, w.points + points
    requests_free, points_free = requests_free - amount, points_free - points
    write_window(KEYS[1], window, w)
  end
end
return {refused, w.index, math.max(0, requests_free), math.max(0, points_free), full_again(), retry,
  prefetched}
