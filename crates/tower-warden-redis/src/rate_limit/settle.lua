-- Corrects the cost of a request that was admitted, in all of its quotas.
--
-- KEYS: one for each quota, as in take.lua. ARGV: the cost that was taken, the final cost; then for each quota the emission
-- interval in microseconds, and the burst. A charge may exceed what is available: the value is then the theoretical arrival
-- time (TAT) and, after a colon, the part of it that exceeds the burst tolerance.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local taken, final = tonumber(ARGV[1]), tonumber(ARGV[2])
for i, key in ipairs(KEYS) do
    local interval, burst = tonumber(ARGV[2 * i + 1]), tonumber(ARGV[2 * i + 2])
    local stored, debt = string.match(redis.call('GET', key) or '', '^(%d+):?(%d*)$')
    local latest = now + interval * burst
    local tat = math.min(math.max(tonumber(stored) or 0, now), latest + (tonumber(debt) or 0))
    -- Ten years at most, and no more than a number can hold exactly.
    tat = math.min(tat + interval * (final - math.min(taken, burst)), now + 316224000000000)
    if tat <= now then
        redis.call('DEL', key)
    else
        local value = string.format('%.0f', tat)
        if tat > latest then
            value = value .. ':' .. string.format('%.0f', tat - latest)
        end
        redis.call('SET', key, value, 'PX', string.format('%.0f', math.ceil((tat - now) / 1000)))
    end
end
return 1
