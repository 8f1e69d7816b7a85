//! Times, and clocks that tell them.

#[cfg(any(feature = "api-key", feature = "jwt"))]
pub(crate) use self::clock::Arrival;
pub use self::{
    clock::{Clock, Moment},
    manual::ManualClock,
    system::SystemClock,
    unix::{Timestamp, UnixTime},
};

mod clock;
mod manual;
mod system;
mod unix;
