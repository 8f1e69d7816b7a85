//! Abuse detection: a sink that watches events, and adds alerts to them.

pub use self::{
    alert::{Alert, AlertState, Detection},
    builder::DetectorBuilder,
    detector::Detector,
    guard::AbuseGuard,
};

mod active;
mod address;
mod alert;
mod baseline;
mod builder;
mod counted_request;
mod detector;
mod distinct;
mod guard;
mod settings;
mod slots;
mod table;
mod times;
mod used_names;
mod watch;
mod window;
