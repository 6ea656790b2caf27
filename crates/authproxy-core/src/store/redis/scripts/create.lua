#!lua
-- A new record, used now. ARGV: the record, its life in ms. Repeated with the same bytes it is answered the same.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local before, after = string.sub(ARGV[1], 1, 116), string.sub(ARGV[1], 125)
if redis.call('SET', KEYS[1], before .. struct.pack('>I8', now) .. after, 'NX', 'PX', ARGV[2]) then
  return {'created', now}
end
local kept = redis.call('GET', KEYS[1])
if string.sub(kept, 1, 116) == before and string.sub(kept, 125) == after then return {'created', now} end
return {'exists', now}
