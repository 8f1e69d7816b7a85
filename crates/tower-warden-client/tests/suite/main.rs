//! The client: tokens, their cache, and the layer, with servers within the process.
#![allow(clippy::unwrap_used)]

mod cached;
mod dpop;
mod faults;
mod grants;
mod layer;
mod origins;
mod refresh;
mod secrecy;
mod step_up;
mod stores;
mod support;
