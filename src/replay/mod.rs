//! Replay protection for proofs that may be used once
//! ([RFC 9449 §11.1](https://www.rfc-editor.org/rfc/rfc9449#section-11.1)).
//!
//! A [`ReplayGuard`] records each proof for as long as the proof is valid, and reports a proof that it has recorded before.
//! [`MemoryReplayGuard`] does so for one process; several nodes need a guard that they share.

pub use self::{
    guard::{ReplayGuard, ReplayVerdict, UsedProof},
    memory::MemoryReplayGuard,
};

#[cfg(any(feature = "dpop", feature = "signature"))]
pub(crate) use self::recorder::{Recorder, ReplayReasons};

mod guard;
mod memory;
#[cfg(any(feature = "dpop", feature = "signature"))]
mod recorder;
