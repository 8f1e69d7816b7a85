-- Stores a revocation, or extends the stored one, and publishes the result.
--
-- KEYS: the revocations by name, and the times after which they are deleted, both in one slot.
-- ARGV: the last covered second of issue, the expiry of the covered credentials, the seconds for which the revocation is
-- stored after that, the channel, then all names of the revocation. Times are in seconds.
local now = redis.call('TIME')[1]
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', '(' .. now, 'LIMIT', 0, 100)) do
    redis.call('HDEL', KEYS[1], name)
    redis.call('ZREM', KEYS[2], name)
end
for i = 5, #ARGV do
    local issued_until, expires_at = ARGV[1], ARGV[2]
    local stored = redis.call('HGET', KEYS[1], ARGV[i])
    if stored then
        local stored_issued_until, stored_expires_at = string.match(stored, '^(%d+) (%d+)$')
        if stored_issued_until and tonumber(stored_issued_until) > tonumber(issued_until) then
            issued_until = stored_issued_until
        end
        if stored_expires_at and tonumber(stored_expires_at) > tonumber(expires_at) then
            expires_at = stored_expires_at
        end
    end
    redis.call('HSET', KEYS[1], ARGV[i], issued_until .. ' ' .. expires_at)
    redis.call('ZADD', KEYS[2], string.format('%.0f', tonumber(expires_at) + tonumber(ARGV[3])), ARGV[i])
    redis.call('PUBLISH', ARGV[4], issued_until .. ' ' .. expires_at .. ' ' .. ARGV[i])
end
return 1
