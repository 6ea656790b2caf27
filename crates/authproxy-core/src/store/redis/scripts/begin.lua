-- The permission to present the refresh token. ARGV: version seen, attempt, lease in ms, 1 to be granted in doubt.
local seen, attempt, lease, grant_in_doubt = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1'
if redis.call('EXISTS', key) == 0 then return {'missing', now} end
local r = read()
if not r then return {'unreadable', now} end
if r.dead == REMOVED then return {'missing', now} end
if r.dead ~= LIVE then return {'dead', now, r.dead} end
if r.version > seen then return {'newer', now, whole()} end
if r.refresh_version == 0 then return {'missing', now} end
-- An abort has overtaken this request: whoever sent it presents nothing.
if attempt == r.aborted or attempt == r.aborted_before then return {'busy', now, 0} end

local first
if r.attempt == attempt then
  first = r.first
elseif r.attempt ~= NOBODY and now < r.lease then
  return {'busy', now, r.lease - now}
else
  if r.attempt ~= NOBODY then
    -- A lease that ran out: whether the token was presented is unknown.
    r.doubt, r.attempt = r.first, NOBODY
    write(r)
  end
  if r.doubt ~= 0 and not grant_in_doubt then return {'doubt', now, r.doubt} end
  first = r.doubt ~= 0 and r.doubt or now
end
r.attempt, r.lease, r.first = attempt, now + lease, first
write(r)
return {'granted', now, first, r.version, r.refresh_version, refresh_token(r)}
