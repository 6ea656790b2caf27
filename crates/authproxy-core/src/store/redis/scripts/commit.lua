-- The next version. ARGV: base, attempt, life in ms, sealed session, sealed refresh token, publishing command, channel,
-- name; where it is written again, also how many ms ago its refresh token may have been presented first.
local base, attempt, life = tonumber(ARGV[1]), ARGV[2], ARGV[3]
if redis.call('EXISTS', key) == 0 then return {'gone', now} end
local r = read()
if not r then return {'unreadable', now} end
if r.dead == REMOVED then return {'gone', now} end
if attempt == r.committed or attempt == r.committed_before then return {'stored', now, handed_out(r)} end
if r.version > base then return {'superseded', now, whole()} end

-- A version below base: a failover has lost commits. What was won with a later token puts that right.
local session, refresh, handed = ARGV[4], ARGV[5], handed_out(r)
local next, doubt = base + 1, ARGV[9] and now - ARGV[9] or 0
r.dead, r.version, r.refresh_version, r.doubt, r.attempt, r.lease, r.first = LIVE, next, next, doubt, NOBODY, 0, 0
r.committed, r.committed_before = attempt, r.committed
r.session_length, r.refresh_length = #session, #refresh
redis.call('SET', key, packed(r) .. session .. refresh .. handed, 'PX', life)
publish(ARGV[6], ARGV[7], ARGV[8], struct.pack('>I8', next))
return {'stored', now, handed}
