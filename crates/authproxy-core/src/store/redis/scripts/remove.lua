-- Removes a session for good. ARGV: how long a tombstone stays in ms, publishing command, channel, name, 1 to leave a
-- tombstone also where nothing is: a failover may have lost the session, and its node is about to write it again.
if redis.call('EXISTS', key) == 0 then
  if ARGV[5] == '1' then
    local none = {dead = REMOVED, version = 0, doubt = 0, attempt = NOBODY, lease = 0, first = 0, committed = NOBODY,
      committed_before = NOBODY, aborted = NOBODY, aborted_before = NOBODY, used = 0, refresh_version = 0,
      session_length = 0, refresh_length = 0}
    redis.call('SET', key, packed(none), 'PX', ARGV[1])
  end
  return {'missing', now}
end
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
