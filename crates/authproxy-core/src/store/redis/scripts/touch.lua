-- The record, and how long ago it was last used: this is a use, unless it comes too late. ARGV: after how much time in
-- ms a use is written down, and after how much a session counts as left.
if redis.call('EXISTS', key) == 0 then return {'missing', now} end
local r = read()
if not r then return {'unreadable', now} end
local unused = math.max(0, now - r.used)
local record = whole()
if unused >= tonumber(ARGV[1]) and unused < tonumber(ARGV[2]) then
  r.used = now
  write(r)
end
return {'used', now, unused, record}
