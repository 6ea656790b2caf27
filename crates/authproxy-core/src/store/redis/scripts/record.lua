#!lua flags=allow-oom
-- What all scripts on an existing record share: the header's layout (record.rs has the same), and time.
-- allow-oom: none of them makes a record that was not there, and what a refresh brought must find its place.
local HEADER = 140
local LAYOUT = '>c2BBI8I8c16I8I8c16c16c16c16I8I8I4I4'
local LONGEST = 1048576
local NOBODY = string.rep('\0', 16)
local LIVE, REMOVED = 0, 255

local key = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- The header as a table; nil for what is no record of ours.
local function read()
  local length = redis.pcall('STRLEN', key)
  if type(length) == 'table' then return nil end -- not a string at all
  if length < HEADER or length > LONGEST then return nil end
  local header = redis.call('GETRANGE', key, 0, HEADER - 1)
  if string.sub(header, 1, 3) ~= 'ap\1' then return nil end
  local r, _ = {}, nil
  _, _, r.dead, r.version, r.doubt, r.attempt, r.lease, r.first, r.committed, r.committed_before,
    r.aborted, r.aborted_before, r.used, r.refresh_version, r.session_length, r.refresh_length = struct.unpack(LAYOUT, header)
  if HEADER + r.session_length + r.refresh_length > length then return nil end
  return r
end

local function packed(r)
  return struct.pack(LAYOUT, 'ap', 1, r.dead, r.version, r.doubt, r.attempt, r.lease, r.first, r.committed,
    r.committed_before, r.aborted, r.aborted_before, r.used, r.refresh_version, r.session_length, r.refresh_length)
end

local function write(r)
  redis.call('SETRANGE', key, 0, packed(r))
end

local function whole()
  return redis.call('GET', key)
end

local function refresh_token(r)
  local from = HEADER + r.session_length
  return redis.call('GETRANGE', key, from, from + r.refresh_length - 1)
end

local function handed_out(r)
  return redis.call('GETRANGE', key, HEADER + r.session_length + r.refresh_length, -1)
end

-- Below this are all versions.
local OVER = string.rep('\255', 8)

-- Tells every node that what is older than a version is outdated. A user that may not publish has slower nodes, not failing ones.
local function publish(command, channel, name, version)
  redis.pcall(command, channel, name .. version)
end
