#!lua
-- A new record. ARGV: the record, its life in ms. Repeated with the same bytes it is answered the same.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return {'created', now} end
if redis.call('GET', KEYS[1]) == ARGV[1] then return {'created', now} end
return {'exists', now}
