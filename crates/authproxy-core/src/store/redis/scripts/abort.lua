-- Gives a lease back. ARGV: base, attempt, what is known ('untouched', 'doubt' or a reason of death as a number),
-- publishing command, channel, name.
local base, attempt, known = tonumber(ARGV[1]), ARGV[2], ARGV[3]
if redis.call('EXISTS', key) == 0 then return {'fenced', now} end
local r = read()
if not r then return {'unreadable', now} end
if r.dead == REMOVED then return {'fenced', now} end
if r.version > base then return {'newer', now, whole()} end

local held = r.attempt == attempt
-- Remembered, so that a begin of the same attempt that arrives after this is granted nothing.
if attempt ~= r.aborted then
  r.aborted, r.aborted_before = attempt, r.aborted
end
if held then
  r.attempt = NOBODY
  if known == 'doubt' then
    r.doubt = r.first
  elseif known ~= 'untouched' then
    r.dead = tonumber(known)
  end
end
write(r)
if not held then return {'fenced', now} end
if r.dead ~= LIVE then publish(ARGV[4], ARGV[5], ARGV[6], OVER) end
return {'done', now, r.doubt}
