-- Returns unused requests and points to the bucket they were counted in; no count goes below 0.
-- KEYS: the window. ARGV: its length in ms; now in ms, 0 for Redis's own clock; the bucket, -1 for
-- the newest that has any; requests; points.
local window, index = tonumber(ARGV[1]), tonumber(ARGV[3])
local w = read_window(KEYS[1], window, tonumber(ARGV[2]))
if index < 0 then
  index = w.requests > 0 and w.index or w.index - 1
end
if index == w.index then
  w.requests = math.max(0, w.requests - ARGV[4])
  w.points = math.max(0, w.points - ARGV[5])
elseif index == w.index - 1 then
  w.requests_before = math.max(0, w.requests_before - ARGV[4])
  w.points_before = math.max(0, w.points_before - ARGV[5])
else
  return 0
end
write_window(KEYS[1], window, w)
return 1
