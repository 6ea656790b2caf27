#!lua
-- A new record, used now. ARGV: the record, its life in ms; where it is written again, also how many ms ago its refresh
-- token may have been presented first. Repeated with the same bytes it is answered the same.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local before, after = string.sub(ARGV[1], 1, 116), string.sub(ARGV[1], 125)
if ARGV[3] then before = string.sub(before, 1, 12) .. struct.pack('>I8', now - ARGV[3]) .. string.sub(before, 21) end
if redis.call('SET', KEYS[1], before .. struct.pack('>I8', now) .. after, 'NX', 'PX', ARGV[2]) then
  return {'created', now}
end
local kept = redis.call('GET', KEYS[1])
if string.sub(kept, 1, 116) == before and string.sub(kept, 125) == after then return {'created', now} end
return {'exists', now}
