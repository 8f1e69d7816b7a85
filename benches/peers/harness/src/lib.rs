//! What the programs that measure other crates share: the lines that they print, and how they measure.
//!
//! Each program of the folders `tokens`, `keys` and `limits` builds one peer as its documentation shows it, around the handler
//! of [`handler`], sends it requests in the process, and prints [`Line`]s in JSON to its standard output. With the argument
//! `verdicts` it prints what the peer decides and does, with `times` what it costs, without an argument both. The package
//! `report` makes the tables of these lines.
//!
//! | JSON | is |
//! |---|---|
//! | `{"table":"tokens","peer":"a","version":"1.0.0","notes":"ring"}` | a note on the peer, [`Entry::About`] |
//! | `{"table":"tokens",…,"case":"no aud","want":"4xx","got":401}` | the status of a response, [`Entry::Verdict`] |
//! | `{"table":"tokens",…,"case":"no aud","error":"panic: …"}` | no response, [`Entry::Error`] |
//! | `{"table":"key sets",…,"case":"…","value":1.6,"unit":"ms","at_least":false}` | a number, [`Entry::Figure`] |
//! | `{"table":"time",…,"path":"RS256, first use","ns":30000.0,"floor":"…","floor_ns":27000.0}` | [`Entry::Time`] |

pub use self::{
    line::{Entry, Line, Lines, Want, pinned},
    measure::{BATCH, ROUNDS, Side, medians, prepared, requests, side},
    service::{Stage, handler, send},
};

#[cfg(feature = "keys")]
pub mod keys;
#[cfg(feature = "limits")]
pub mod limits;
mod line;
mod measure;
mod service;
#[cfg(feature = "tokens")]
pub mod tokens;
