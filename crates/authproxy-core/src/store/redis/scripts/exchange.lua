-- Takes a handed-out refresh token and hands out the current one. ARGV: the presented one's fingerprint, the current
-- one's, the version that the current one was sealed for.
local presented, current, refresh_version = ARGV[1], ARGV[2], tonumber(ARGV[3])
local ENTRY, MOST = 17, 64
if redis.call('EXISTS', key) == 0 then return {'missing', now} end
local r = read()
if not r then return {'unreadable', now} end
if r.dead ~= LIVE or r.refresh_version == 0 then return {'missing', now} end
if r.refresh_version ~= refresh_version then return {'moved', now} end

local entries = handed_out(r)
local at
for from = 1, #entries, ENTRY do
  if string.sub(entries, from, from + 15) == presented then at = from end
end
-- One that is no longer remembered was exchanged, or is so old that it counts as such.
if not at or string.byte(entries, at + 16) ~= 0 then return {'already', now} end
entries = string.sub(entries, 1, at + 15) .. '\1' .. string.sub(entries, at + ENTRY)
if current == presented then
  entries = string.sub(entries, 1, at - 1) .. string.sub(entries, at + ENTRY)
end
entries = entries .. current .. '\0'
if #entries > ENTRY * MOST then entries = string.sub(entries, ENTRY + 1) end
redis.call('SET', key, string.sub(whole(), 1, HEADER + r.session_length + r.refresh_length) .. entries, 'KEEPTTL')
return {'exchanged', now, r.version}
