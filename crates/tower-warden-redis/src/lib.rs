//! Rate limits, revocations, replay guards and key changes of `tower-warden`, shared by many nodes on Redis or Valkey.

pub use self::connection::RedisConnection;

mod connection;
