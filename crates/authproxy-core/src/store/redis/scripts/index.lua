#!lua
-- A session in its user's index, until it ends; never for a shorter time than before. ARGV: member, life in ms. Ends are
-- in whole minutes: by the millisecond they would tell which record a member is of.
local MINUTE = 60000
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ends = math.ceil((now + ARGV[2]) / MINUTE) * MINUTE
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], 'GT', ends, ARGV[1])
if redis.call('PTTL', KEYS[1]) < ends - now then redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', ends)) end
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -10001)
return {'indexed', now}
