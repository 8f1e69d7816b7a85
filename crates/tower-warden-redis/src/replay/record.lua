-- Records a proof of one key, unless it was recorded before or the key has no room.
--
-- KEYS[1]: a sorted set of the proofs of the key, by their last second.
-- ARGV: the proof; its last second; the second before which proofs are removed; the capacity; the lifetime of the set.
--
-- The member '' has the second before which proofs were removed: after a clock was set back, a removed proof would seem
-- new. Its score is the smallest, so it is the first member.
--
-- Returns -1 if the proof is new, -2 if it was recorded before, and otherwise the last second of the proof that is removed
-- next.

local removed_before = tonumber(ARGV[3])
local before = redis.call('ZSCORE', KEYS[1], '')
if before and tonumber(before) > removed_before then
  removed_before = tonumber(before)
end
if tonumber(ARGV[2]) < removed_before or redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  return -2
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%d', removed_before))
redis.call('ZADD', KEYS[1], removed_before, '')
if redis.call('ZCARD', KEYS[1]) > tonumber(ARGV[4]) then
  return tonumber(redis.call('ZRANGE', KEYS[1], 1, 1, 'WITHSCORES')[2])
end
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
if redis.call('TTL', KEYS[1]) < tonumber(ARGV[5]) then
  redis.call('EXPIRE', KEYS[1], ARGV[5])
end
return -1
