//! Signed requests, RFC 9421 and RFC 9530: each bad one by name.

mod agents;
mod components;
mod content;
mod directories;
mod keys;
mod limits;
mod mutations;
mod oracle;
mod policy;
mod proofs;
mod replays;
mod responses;
mod revocations;
mod streamed;
mod streamed_frames;
mod subjects;
mod vectors;
