-- Adds the signals that one process recorded of a prefix to its score.
-- KEYS: the prefix, its documents, all statuses. ARGV: the prefix; now in ms; requests; points;
-- half-life in ms; free requests a second, and their burst; free documents;
-- the time documents count, in ms; documents stored at most; points of a request and of a document
-- beyond the free ones; the scores of levels 1 to 3; the first and the longest block in ms;
-- statuses stored at most; hashes of documents.
-- Returns {level before, the status}.
local now, half_life = tonumber(ARGV[2]), tonumber(ARGV[5])
local free_rate, burst, free_documents = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local thresholds = {tonumber(ARGV[13]), tonumber(ARGV[14]), tonumber(ARGV[15])}
local fields = redis.call('HMGET', KEYS[1], 'score', 'at', 'free', 'strikes', 'until',
  'documents_until')
local score, at = tonumber(fields[1] or 0), tonumber(fields[2] or 0)
local strikes, until_ms = tonumber(fields[4] or 0), tonumber(fields[5] or 0)
local recorded = redis.call('HGET', KEYS[3], ARGV[1])
local before = parse_status(recorded)
now = math.max(now, at)
if until_ms > now then return {before, format_status(3, score, at, until_ms)} end

local ms = at > 0 and now - at or 0
score = decay(score, ms, half_life)
local level_before = choose_level(score, before < 3 and before or 0, thresholds)
score = score + tonumber(ARGV[4])

local free = math.min(burst, tonumber(fields[3] or burst) + ms / 1000 * free_rate)
local remaining = free - tonumber(ARGV[3])
if remaining < 0 then score = score - remaining * tonumber(ARGV[11]) end

local documents_until = tonumber(fields[6] or 0)
if now >= documents_until then
  redis.call('DEL', KEYS[2])
  documents_until = now + tonumber(ARGV[9])
end
if #ARGV > 18 then
  local stored = redis.call('SCARD', KEYS[2])
  for index = 19, #ARGV do
    local is_new
    if stored < tonumber(ARGV[10]) then
      is_new = redis.call('SADD', KEYS[2], ARGV[index]) == 1
      if is_new and stored == 0 then redis.call('PEXPIRE', KEYS[2], ARGV[9]) end
      if is_new then stored = stored + 1 end
    else
      is_new = redis.call('SISMEMBER', KEYS[2], ARGV[index]) == 0
    end
    if is_new and stored > free_documents then score = score + tonumber(ARGV[12]) end
  end
end

local level = choose_level(score, level_before, thresholds)
local keep_ms = 12 * half_life
until_ms = 0
if level == 3 then
  strikes = strikes + 1
  local length = tonumber(ARGV[16]) * 2 ^ math.min(strikes - 1, 30)
  until_ms = now + math.min(length, tonumber(ARGV[17]))
  score = math.min(score, thresholds[1])
end
if strikes > 0 then keep_ms = math.max(keep_ms, until_ms - now + tonumber(ARGV[17])) end
redis.call('HSET', KEYS[1], 'score', string.format('%.3f', score), 'at', string.format('%.0f', now),
  'free', string.format('%.3f', math.max(0, remaining)), 'strikes', strikes,
  'until', string.format('%.0f', until_ms),
  'documents_until', string.format('%.0f', documents_until))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', keep_ms))

local status = format_status(level, score, now, until_ms)
if level == 0 then
  if recorded then redis.call('HDEL', KEYS[3], ARGV[1]) end
elseif recorded or redis.call('HLEN', KEYS[3]) < tonumber(ARGV[18]) then
  redis.call('HSET', KEYS[3], ARGV[1], status)
else
  before = level  -- not stored, so it would be reported as a change again and again
end
return {before, status}
