-- Takes units from all quotas of a key, or from none, by the generic cell rate algorithm (GCRA).
--
-- KEYS: one for each quota, all in the same slot. The value is the theoretical arrival time (TAT) in microseconds; after a
-- charge that exceeded what was available, see settle.lua, also a colon and the part that exceeds the burst tolerance.
-- The value of a quota in windows is the number of units used; each window has a key.
-- ARGV: the units needed, the units wanted; then for each quota the emission interval in microseconds, zero for a quota in
-- windows; the burst; and the milliseconds until the window ends.
-- Returns the units taken, zero if fewer than needed are available; then for each quota the microseconds until its TAT, or the
-- units used.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local needed, available = tonumber(ARGV[1]), tonumber(ARGV[2])
local tats, starts, refused = {}, {}, false
for i, key in ipairs(KEYS) do
    local interval, burst = tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1])
    -- In a window, the clock stands still, and a unit is one tick.
    starts[i] = interval == 0 and 0 or now
    interval = math.max(interval, 1)
    local latest = starts[i] + interval * burst
    -- At most the burst tolerance in the future: a server clock that was set back locks no caller out for longer.
    local stored, debt = string.match(redis.call('GET', key) or '', '^(%d+):?(%d*)$')
    tats[i] = math.min(math.max(tonumber(stored) or 0, starts[i]), latest + (tonumber(debt) or 0))
    local free = math.max(math.floor((latest - tats[i]) / interval), 0)
    refused = refused or free < math.min(needed, burst)
    available = math.min(available, free)
end
local taken = refused and 0 or math.max(needed, available)
local reply = { taken }
for i, key in ipairs(KEYS) do
    if taken > 0 then
        local interval, burst = tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1])
        tats[i] = tats[i] + math.max(interval, 1) * math.min(taken, burst)
        -- The key expires at the TAT or the end of the window, when the whole burst is available again.
        local lifetime = interval == 0 and tonumber(ARGV[3 * i + 2]) or math.ceil((tats[i] - now) / 1000)
        redis.call('SET', key, string.format('%.0f', tats[i]), 'PX', string.format('%.0f', lifetime))
    end
    reply[i + 1] = tats[i] - starts[i]
end
return reply
