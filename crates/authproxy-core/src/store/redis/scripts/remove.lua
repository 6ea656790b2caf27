-- Removes a session for good. ARGV: how long a tombstone stays in ms, publishing command, channel, name.
if redis.call('EXISTS', key) == 0 then return {'missing', now} end
local r = read()
if not r then
  redis.call('DEL', key)
  return {'unreadable', now}
end
if r.dead == REMOVED then return {'missing', now} end
local record = whole()
r.dead, r.doubt, r.attempt, r.lease, r.first, r.refresh_version = REMOVED, 0, NOBODY, 0, 0, 0
r.session_length, r.refresh_length = 0, 0
redis.call('SET', key, packed(r), 'PX', ARGV[1])
publish(ARGV[2], ARGV[3], ARGV[4], OVER)
return {'removed', now, record}
