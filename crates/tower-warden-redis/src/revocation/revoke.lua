-- Takes a revocation on, or widens the one that is there, and tells who listens.
--
-- KEYS: the revocations by name, and when each may be forgotten, in one slot.
-- ARGV: the name, until when it names what was issued, when that has ended, how long it stands after that, the channel.
-- Times are in seconds.
local now = redis.call('TIME')[1]
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', '(' .. now, 'LIMIT', 0, 100)) do
    redis.call('HDEL', KEYS[1], name)
    redis.call('ZREM', KEYS[2], name)
end
local issued, ends = ARGV[2], ARGV[3]
local known = redis.call('HGET', KEYS[1], ARGV[1])
if known then
    local known_issued, known_ends = string.match(known, '^(%d+) (%d+)$')
    if tonumber(known_issued) > tonumber(issued) then issued = known_issued end
    if tonumber(known_ends) > tonumber(ends) then ends = known_ends end
end
redis.call('HSET', KEYS[1], ARGV[1], issued .. ' ' .. ends)
redis.call('ZADD', KEYS[2], string.format('%.0f', tonumber(ends) + tonumber(ARGV[4])), ARGV[1])
redis.call('PUBLISH', ARGV[5], issued .. ' ' .. ends .. ' ' .. ARGV[1])
return 1
