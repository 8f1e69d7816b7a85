//! Rate limits of many nodes.

pub use self::{
    limiter::RedisRateLimiter,
    outage::{DecisionCounts, OnOutage},
};

mod lease;
mod limiter;
mod outage;
mod script;
