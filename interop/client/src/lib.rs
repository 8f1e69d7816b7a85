//! Parts of the programs that `interop/client/run` starts.

pub use self::{
    code_flow::{CodeFlow, Registration},
    http::{BoxError, fetched, fetched_json, get, json_request},
};

mod code_flow;
mod http;
