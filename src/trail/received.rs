use std::{net::IpAddr, time::Instant};

use http::Method;

use super::{
    id::{EventId, RequestId},
    path::Path,
    trace::TraceContext,
};
use crate::time::Timestamp;

/// The facts about a request at its arrival, which do not change.
#[derive(Debug)]
pub(crate) struct Received {
    /// The id of the event.
    pub(crate) id: EventId,
    pub(crate) method: Method,
    pub(crate) path: Path,
    pub(crate) peer: Option<IpAddr>,
    pub(crate) request_id: RequestId,
    /// The time of the arrival, for durations.
    pub(crate) started: Instant,
    pub(crate) time: Timestamp,
    pub(crate) trace: Option<TraceContext>,
}
