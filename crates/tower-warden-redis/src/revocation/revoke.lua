-- Stores a revocation, or extends the stored one, and publishes the result.
--
-- KEYS: the revocations by name, and the times after which they are deleted, both in one slot.
-- ARGV: the name, the last covered second of issue, the expiry of the covered credentials, the seconds for which the
-- revocation is stored after that, the channel. Times are in seconds.
local now = redis.call('TIME')[1]
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', '(' .. now, 'LIMIT', 0, 100)) do
    redis.call('HDEL', KEYS[1], name)
    redis.call('ZREM', KEYS[2], name)
end
local issued_until, expires_at = ARGV[2], ARGV[3]
local stored = redis.call('HGET', KEYS[1], ARGV[1])
if stored then
    local stored_issued_until, stored_expires_at = string.match(stored, '^(%d+) (%d+)$')
    if tonumber(stored_issued_until) > tonumber(issued_until) then issued_until = stored_issued_until end
    if tonumber(stored_expires_at) > tonumber(expires_at) then expires_at = stored_expires_at end
end
redis.call('HSET', KEYS[1], ARGV[1], issued_until .. ' ' .. expires_at)
redis.call('ZADD', KEYS[2], string.format('%.0f', tonumber(expires_at) + tonumber(ARGV[4])), ARGV[1])
redis.call('PUBLISH', ARGV[5], issued_until .. ' ' .. expires_at .. ' ' .. ARGV[1])
return 1
