-- Takes units from all quotas of a key, or from none.
--
-- KEYS: a key for each quota, all in one slot. What is kept there is when the debt is paid, in microseconds.
-- ARGV: how many units are needed, how many are wanted; then of each quota the microseconds of a unit and the burst.
-- Returns how many were taken, zero if there are fewer than are needed; then of each quota the debt in microseconds.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local needed, spare = tonumber(ARGV[1]), tonumber(ARGV[2])
local paid, refused = {}, false
for i, key in ipairs(KEYS) do
    local interval, burst = tonumber(ARGV[2 * i + 1]), tonumber(ARGV[2 * i + 2])
    local latest = now + interval * burst
    -- No debt is longer than the burst: a clock that was set back locks nobody out for longer.
    paid[i] = math.min(math.max(tonumber(redis.call('GET', key)) or 0, now), latest)
    local free = math.floor((latest - paid[i]) / interval)
    refused = refused or free < math.min(needed, burst)
    spare = math.min(spare, free)
end
local taken = refused and 0 or math.max(needed, spare)
local reply = { taken }
for i, key in ipairs(KEYS) do
    if taken > 0 then
        local interval, burst = tonumber(ARGV[2 * i + 1]), tonumber(ARGV[2 * i + 2])
        paid[i] = paid[i] + interval * math.min(taken, burst)
        local lifetime = math.ceil((paid[i] - now) / 1000)
        redis.call('SET', key, string.format('%.0f', paid[i]), 'PX', string.format('%.0f', lifetime))
    end
    reply[i + 1] = paid[i] - now
end
return reply
