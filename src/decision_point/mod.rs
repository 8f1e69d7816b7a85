//! Policies that another server decides: AuthZEN and OPA.
//!
//! A [`DecisionPoint`] is a [`Policy`](crate::Policy). It sends what it declares about a request to a server, over the
//! [`HttpClient`](crate::fetch::HttpClient) of this crate or a custom [`Fetch`](crate::fetch::Fetch), and admits the
//! request only if the server decides so:
//!
//! | protocol | request | admits | refuses with 403 |
//! |---|---|---|---|
//! | [AuthZEN 1.0](https://openid.net/specs/authorization-api-1_0.html) | `POST /access/v1/evaluation` | `{"decision": true}` | `{"decision": false}`, without `decision` |
//! | [REST API of OPA](https://www.openpolicyagent.org/docs/rest-api) | `POST /v1/data/{rule}` | `{"result": true}`, `{"result": {"allow": true}}` | `false`, without `result` |
//!
//! A decision of another type than a boolean refuses with 403 too. Any other status than 200, a response that is not a
//! JSON object of at most 64 KiB, and no response within the [time-out](DecisionPointBuilder::timeout) are an outage: 503,
//! logged once when it begins, and never cached.
//!
//! # Cache
//!
//! By default, the server is queried for each request, also for concurrent ones that are equal. With
//! [`cache`](DecisionPointBuilder::cache), decisions are reused for requests of one issuer and tenant about which the same is
//! sent. Send what the decision depends on, and nothing that differs in each request.
//!
//! # Examples
//!
//! ```
//! use std::convert::Infallible;
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_warden::{
//!     Eventual, Unavailable,
//!     api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey},
//!     decision_point::{AccessRequest, DecisionPoint},
//!     fetch::Fetch,
//!     layer::{AuthLayer, AuthorizeLayer},
//! };
//!
//! /// Stands in for a server that lets each owner read.
//! struct Owners;
//!
//! impl Fetch for Owners {
//!     fn fetch(&self, request: Request<Bytes>, _: usize) -> Eventual<Result<Response<Bytes>, Unavailable>> {
//!         assert_eq!(request.uri(), "https://pdp.example.com/access/v1/evaluation");
//!         let asked: serde_json::Value = serde_json::from_slice(request.body()).expect("JSON");
//!         let decision = asked["subject"]["id"] == "alice" && asked["resource"]["id"] == "/notes/7";
//!         Eventual::Now(Ok(Response::new(serde_json::json!({ "decision": decision }).to_string().into())))
//!     }
//! }
//!
//! let policy = DecisionPoint::authzen("https://pdp.example.com", |caller, head| {
//!     AccessRequest::new(caller, head.method.as_str(), "note", head.uri.path())
//! });
//! let policy = policy.fetch(Owners).build()?;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?);
//! let (_, key) = keys.mint(NewKey::new("alice")).await?;
//! let service = ServiceBuilder::new()
//!     .layer(AuthLayer::new(keys))
//!     .layer(AuthorizeLayer::new(policy))
//!     .service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
//! let call = |path: &str| {
//!     let request = Request::get(path).header("x-api-key", key.expose());
//!     service.clone().oneshot(request.body(()).expect("a request"))
//! };
//!
//! assert_eq!(call("/notes/7").await?.status(), 200);
//! assert_eq!(call("/notes/8").await?.status(), 403);
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub use self::{
    builder::DecisionPointBuilder,
    input::{AccessRequest, OpaInput},
    policy::DecisionPoint,
};

mod builder;
mod input;
mod policy;
mod reason;
mod response;
