#!lua flags=allow-oom
-- Points from a handed-out refresh token to its session. ARGV: the sealed target, its life in ms. Its record is there
-- before it: a full server refuses that, and what there is of a session must go on working.
local time = redis.call('TIME')
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {'pointed', time[1] * 1000 + math.floor(time[2] / 1000)}
