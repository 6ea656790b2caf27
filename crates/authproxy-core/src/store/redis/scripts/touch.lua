-- A use of the session. ARGV: how many ms ago it was.
if redis.call('EXISTS', key) == 0 then return {'missing', now} end
local r = read()
if not r then return {'unreadable', now} end
if r.dead == REMOVED then return {'missing', now} end
r.used = math.max(r.used, now - tonumber(ARGV[1]))
write(r)
return {'noted', now}
