//! Revocations of many nodes.

pub use self::list::RedisRevocationList;

mod list;
mod replica;
mod subscriber;
