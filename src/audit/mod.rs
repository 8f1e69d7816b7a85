//! One event for each request: who did what for whom, with which credential, and why it was allowed.
//!
//! [`AuditLayer`] is the outermost layer. Its [`Event`] of a request has the caller, the decision with its
//! reason, the status, and what handlers have added with [`AuditNote`]; events of keys, issuers and stores are in the same
//! stream. An [`AuditLog`] passes events to sinks:
//!
//! | sink | contents |
//! |---|---|
//! | [`JsonLines`] | lines, from a thread of its own: [`FlatJson`], [`Ocsf`] or [`AgentJson`] |
//! | [`Spool`] | a writer for `JsonLines` that delivers lines to a collector, and keeps them until then |
//! | `MetricsSink` | metrics of the crate `metrics`, with the feature of that name |
//! | [`TracingSink`] | events of the crate `tracing` |
//! | [`AuditChannel`] | the events themselves, for a task of the application |
//! | [`Detector`] | an [`Alert`] where events look like abuse, and all events for another sink |
//! | [`Sampled`] | a part of the events of admitted requests |
//!
//! # What is recorded
//!
//! 1. **One event for each request**, also if the client leaves, the handler panics, or a layer refuses.
//! 2. **No secret**: no token, no key, no query string, and no value of a header field except the ids of the request and of
//!    its trace. Formats write no claims except those that name the caller and its scopes; custom sinks receive the
//!    [`Principal`](crate::Principal), which has all claims.
//! 3. **No request waits** for a sink, unless the layer is [blocking](crate::layer::AuditLayer::blocking). Events for which there is
//!    no room are lost, and their number is in the next line, or in a log line if the format has none for it.
//!
//! # Examples
//!
//! ```
//! use std::io;
//! use axum::{Router, body::Body, http::Request, routing::post};
//! use tower::ServiceExt;
//! use tower_warden::{
//!     Environment,
//!     api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey},
//!     audit::{AuditLog, AuditNote, JsonLines},
//!     layer::{AuditLayer, AuthLayer},
//! };
//!
//! async fn transfer(note: AuditNote) -> &'static str {
//!     note.object("account-7");
//!     "done"
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! # let file = tempfile::NamedTempFile::new()?;
//! # let path = file.path().to_owned();
//! let lines = JsonLines::builder(file).start()?;
//! let log = AuditLog::new(lines.clone());
//! let environment = Environment::default().with_observer(log.clone());
//! let keys = ApiKeys::builder(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?).environment(&environment).build();
//! let (_, key) = keys.mint(NewKey::new("alice").tenant("acme")).await?;
//! let app = Router::new()
//!     .route("/transfers", post(transfer))
//!     .layer(AuthLayer::new(keys).environment(&environment))
//!     .layer(AuditLayer::new(log));
//!
//! let request = Request::post("/transfers").header("x-api-key", key.expose()).body(Body::empty())?;
//! let response = app.oneshot(request).await?;
//! drop(response);
//! lines.flush().await?;
//! # let text = std::fs::read_to_string(path)?;
//! # let line = text.lines().last().expect("a line");
//! // {"v":1,"time":"…","type":"request","request_id":"…","method":"POST","path":"/transfers","auth_method":"api_key",
//! //  "subject":"alice",…,"decision":"admitted","status":200,…,"fields":{"object":"account-7"}}
//! # assert!(line.contains(r#""subject":"alice""#) && line.contains(r#""fields":{"object":"account-7"}"#), "{line}");
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "metrics")]
pub use self::metrics::MetricsSink;
#[cfg(feature = "tracing")]
pub use self::tracing::TracingSink;
pub use self::{
    body::AuditBody,
    channel::{AuditChannel, EventReceiver},
    detect::{AbuseGuard, Alert, AlertState, Detection, Detector, DetectorBuilder},
    event::{Decision, End, Event, EventKind, RequestEvent},
    format::{AgentJson, EventFormat, FlatJson, Ocsf},
    future::AuditFuture,
    layer::{Audit, AuditLayer},
    lines::{JsonLines, JsonLinesBuilder},
    log::AuditLog,
    note::AuditNote,
    sample::Sampled,
    sink::{AuditSink, Place},
    spool::Spool,
};
pub use crate::{
    notice::{ChangeOutcome, KeyAction, Notice, Observer},
    trail::{AuditedCertificate, AuditedLimit, AuditedPolicy, Counted, EventId, Observation, RequestId, TraceContext},
};

mod body;
mod channel;
mod detect;
mod event;
mod format;
mod future;
mod guard;
mod layer;
mod lines;
mod log;
#[cfg(feature = "metrics")]
mod metrics;
mod note;
mod queue;
mod reason;
mod request_id;
mod sample;
mod settings;
mod sink;
mod span;
mod spool;
mod spool_owner;
#[cfg(feature = "tracing")]
mod tracing;
