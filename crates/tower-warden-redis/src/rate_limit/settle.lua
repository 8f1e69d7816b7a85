-- Corrects the cost of a request that was admitted, in all of its quotas.
--
-- KEYS: one for each quota, as in take.lua. ARGV: for each quota the units to take and those to return, one of them zero; then
-- for each quota the emission interval, the burst and the time until the window ends, as there. A charge may exceed what is
-- available: the value is then the theoretical arrival time (TAT) and, after a colon, the part of it that exceeds the burst
-- tolerance.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
for i, key in ipairs(KEYS) do
    local difference = tonumber(ARGV[2 * i - 1]) - tonumber(ARGV[2 * i])
    local quota = 2 * #KEYS + 3 * i
    local interval, burst, left = tonumber(ARGV[quota - 2]), tonumber(ARGV[quota - 1]), tonumber(ARGV[quota])
    local stored, debt = string.match(redis.call('GET', key) or '', '^(%d+):?(%d*)$')
    local start = interval == 0 and 0 or now
    local unit = math.max(interval, 1)
    local latest = start + unit * burst
    local tat = math.min(math.max(tonumber(stored) or 0, start), latest + (tonumber(debt) or 0))
    -- Ten years at most, and no more than a number can hold exactly.
    tat = math.min(tat + unit * difference, start + 316224000000000)
    if tat <= start then
        redis.call('DEL', key)
    else
        local value = string.format('%.0f', tat)
        if tat > latest then
            value = value .. ':' .. string.format('%.0f', tat - latest)
        end
        local lifetime = interval == 0 and left or math.ceil((tat - now) / 1000)
        redis.call('SET', key, value, 'PX', string.format('%.0f', lifetime))
    end
end
return 1
