-- Returns the stored revocations of the names in ARGV, from the server that accepts writes: a replica refuses the write,
-- which has no effect because no name is empty.
redis.call('HDEL', KEYS[1], '')
return redis.call('HMGET', KEYS[1], unpack(ARGV))
