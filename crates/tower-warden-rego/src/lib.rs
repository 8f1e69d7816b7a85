//! Policies in [Rego](https://www.openpolicyagent.org/docs/policy-language) for [`tower-warden`](tower_warden),
//! evaluated in the process by [regorus](https://docs.rs/regorus).
//!
//! [`RegoPolicy`] is a [`Policy`](tower_warden::Policy): it is applied by an
//! [`AuthorizeLayer`](tower_warden::layer::AuthorizeLayer), and combined with other policies.
//!
//! # Quick start
//!
//! ```
//! use std::convert::Infallible;
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_warden::{
//!     api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey},
//!     layer::{AuthLayer, AuthorizeLayer},
//! };
//! use tower_warden_rego::{RegoPolicy, Tool};
//!
//! let policy = RegoPolicy::builder("data.gateway.allow")
//!     .deny("data.gateway.deny")
//!     .source("gateway.rego", r#"
//!         package gateway
//!
//!         default allow := false
//!
//!         allow if {
//!             "mcp:invoke" in input.agent.scopes
//!             input.tool.namespace == input.agent.tenant
//!         }
//!
//!         deny if {
//!             input.tool.name == "delete-user"
//!             not input.request.cert_verified
//!         }
//!     "#)
//!     .build()?;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?);
//! let (_, key) = keys.mint(NewKey::new("agent-7").tenant("acme").scopes("mcp:invoke")).await?;
//! let service = ServiceBuilder::new()
//!     .layer(AuthLayer::new(keys))
//!     .layer(AuthorizeLayer::new(policy))
//!     .service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
//! let call = |tool: Tool| {
//!     let request = Request::post("/mcp").header("x-api-key", key.expose()).extension(tool);
//!     service.clone().oneshot(request.body(()).expect("a request"))
//! };
//!
//! assert_eq!(call(Tool::new("list-users").namespace("acme")).await?.status(), 200);
//! assert_eq!(call(Tool::new("list-users").namespace("umbrella")).await?.status(), 403);
//! assert_eq!(call(Tool::new("delete-user").namespace("acme")).await?.status(), 403, "no client certificate");
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Input
//!
//! What a request or a caller does not have is absent, and so undefined in a policy. Credentials are never in the
//! input.
//!
//! | member | contents |
//! |---|---|
//! | `input.agent` | the caller |
//! | `input.principal` | the same object |
//! | `….subject`, `….issuer`, `….client_id`, `….tenant`, `….tier` | who the caller is: see [`Principal`](tower_warden::Principal) |
//! | `….method` | how it authenticated: `api_key`, `jwt`, `introspection`, `client_certificate`, or that of a custom authenticator |
//! | `….scopes`, `….roles` | lists of this credential and its roles; scopes that others imply are not in it |
//! | `….actors` | a list of objects with `subject` and `issuer`: who acts for the subject (RFC 8693), the outermost first |
//! | `….acting_for` | the subject whose credential the request has as well, an object like this one: see below |
//! | `….claims` | the claims of the token |
//! | `….metadata` | an object: the values that were attached to an API key |
//! | `….bound_by` | a list of what the credential is bound by: `x5t#S256`, `jkt` |
//! | `….acr`, `….audience`, `….key_id`, `….session_id`, `….token_id` | texts |
//! | `….auth_time`, `….expires_at` | seconds since 1970 |
//! | `input.request.method`, `.path`, `.segments` | the method, and the path of [`Head::original_uri`](tower_warden::Head::original_uri) and its segments, byte for byte: not decoded, not normalised, without the query |
//! | `input.request.route` | the template of the route, such as `/users/{id}` (feature `axum`) |
//! | `input.request.headers` | an object of lists: the values of the header fields of [`header`](RegoPolicyBuilder::header) |
//! | `input.request.client_address` | the address of the client |
//! | `input.request.time` | the time of the request in seconds since 1970, by the clock of the layer |
//! | `input.request.cert_verified` | whether the request has a client certificate of a trusted authority (feature `certificate`) |
//! | `input.request.certificate` | `subject`, `spiffe_id` and `thumbprint` of the client certificate, verified or not |
//! | `input.tool` | `name` and `namespace` of the tool that is called: see below |
//! | others | what closures of [`input`](RegoPolicyBuilder::input) add |
//!
//! A caller that [acts for](tower_warden::Principal::acting_for) a subject has the rights of both credentials only where a
//! policy requires them of both: [`Principal::holds`](tower_warden::Principal::holds) does, and `input.agent.scopes` are those
//! of the caller alone. Check `input.agent.acting_for.scopes` as well, or insert what `holds` returns with
//! [`input`](RegoPolicyBuilder::input).
//!
//! `input.tool` is the [`Tool`] in the extensions of the request. Without one, it has the name of the tool that an MCP message
//! calls (feature `mcp`), where the messages are known: for policies in the declaration of an `McpServer`, with `require` or
//! `tool`, and for those of layers inside of its guard. **A policy outside of the guard sees no tool**, so do not place it there.
//! A batch is decided for each of its tools, and once without a tool if it has other messages; all must be admitted. A closure of
//! [`input`](RegoPolicyBuilder::input) adds the namespace with [`set_tool`](RegoInput::set_tool).
//!
//! A path may have segments such as `..`, which servers behind this one may normalise: deny those that you do not expect.
//! Claims that are not a JSON object, and header fields that are not visible ASCII, refuse the request.
//!
//! # Result
//!
//! The rule is a boolean; or an object with the boolean `allow`, and the texts `rule`, which the audit event of the
//! request shows, and `reason`, which is logged. The second rule, [`deny`](RegoPolicyBuilder::deny), takes precedence.
//! Everything else refuses the request with 403:
//!
//! | result | [reason](tower_warden::Reason) |
//! |---|---|
//! | `false`, or denied | `policy` |
//! | undefined | `policy_undefined` |
//! | an error or a panic, a result of another type, a time or an input beyond its limit | `policy_failed` |
//!
//! The first failure of a version of the policy is logged as a warning, with its position in the policy. The message of the
//! error is in the log line of each refusal.
//!
//! # Reloading
//!
//! [`RegoPolicy::reload`] compiles files that have changed, and [`RegoPolicy::watch`] does so at an interval. If a file
//! is not valid, the current policy stays in use. A request is decided by one version as a whole. Replace files by
//! renaming: the half of a file that is being written may be a valid policy. Files that belong together are read one
//! after the other.
//!
//! # Data
//!
//! Data documents have nothing at the paths of the packages of the policies, or [`build`](RegoPolicyBuilder::build) and the
//! reload fail: with the package `gateway`, a member `gateway` could replace the rule that decides.
//!
//! # Limits
//!
//! The input is at most 64 KiB and each rule is evaluated for at most 50 milliseconds by default. The time is checked
//! between the steps of an evaluation, not within one call of a built-in function, and memory is bounded by the input,
//! the data and the time only: policies are trusted like code. `http.send`, `opa.runtime` and `uuid.rfc4122` do not
//! exist. A call of a function that does not exist, and an error of a built-in function, refuse the request when they
//! are evaluated, and do not make a rule undefined as in OPA by default.
//!
//! An evaluation runs on the thread of the request, and delays the other requests of that thread. The example above takes
//! about 50 microseconds, the input and both rules included, as the ignored test `duration_of_an_evaluation` prints for a
//! release build. Policies that search large data documents should index them by object keys.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub use self::{
    builder::RegoPolicyBuilder,
    error::{RegoError, RegoErrorKind},
    input::RegoInput,
    policy::{RegoPolicy, ReloadStatus},
    sources::RegoVersion,
    tool::Tool,
};

mod builder;
mod error;
mod failure;
mod input;
mod outcome;
mod policy;
mod sources;
mod tool;
mod watch;

/// Compiles the README's code.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
