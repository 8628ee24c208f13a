-- wrk script: sends the prepared requests in turn and prints one line of figures as JSON.
-- Arguments after "--": the file of requests, the first index, the first sequence number.
local MARK = "8888888888"
local prepared, at, sequence = {}, 0, 0

local function read_requests(path)
  for line in io.lines(path) do
    local method, target, headers, body = line:match("^(%S+)\t(%S+)\t([^\t]*)\t(.*)$")
    local fields = {}
    for name, value in headers:gmatch("([^:|]+): ([^|]+)") do
      fields[name] = value
    end
    local text = wrk.format(method, target, fields, body ~= "" and body or nil)
    local from, to = text:find(MARK, 1, true)
    if from then
      prepared[#prepared + 1] = { text:sub(1, from - 1), text:sub(to + 1) }
    else
      prepared[#prepared + 1] = text
    end
  end
end

function init(arguments)
  read_requests(arguments[1])
  at, sequence = tonumber(arguments[2]) % #prepared, tonumber(arguments[3])
end

function request()
  at = at % #prepared + 1
  local next = prepared[at]
  if type(next) == "string" then
    return next
  end
  sequence = sequence + 1
  return next[1] .. string.format("%d", sequence) .. next[2]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"seconds":%.6f,"bytes":%d,"failures":%d,"p50":%.3f,"p95":%.3f,"p99":%.3f}\n',
    summary.requests, summary.duration / 1e6, summary.bytes,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(95) / 1000, latency:percentile(99) / 1000))
end
