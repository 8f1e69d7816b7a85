//! The manual: documentation of topics that concern several modules. It contains no items, only documentation.
//!
//! | chapter | contents |
//! |---|---|
//! | [`guarantees`] | the guarantees of every configuration, and where each is enforced |
//! | [`refusals`] | statuses, error codes, challenges, and the table of all reasons |
//! | [`caching_and_revocation`] | lifetimes and bounds of caches, and the time until a revocation takes effect |
//! | [`deployment`] | one node, many nodes, proxies, TLS, readiness, shutdown |
//! | [`issuers`] | settings for Keycloak, Auth0, Entra ID, Okta and Cognito |
//! | [`providers`] | settings for Cloudflare Access, Google IAP, AWS ALB, GitHub, GitLab, Kubernetes, Firebase, Supabase, Entra ID and others |
//! | [`mcp`] | protecting an MCP server, from the first tool to step-up |
//! | [`observing`] | audit events, alerts of abuse, and the table of all metrics |
//! | [`signed_requests`] | the choice of a scheme for signed requests, policies, keys, proxies, a checklist |
//! | [`webhooks`] | settings for senders of webhooks, retries, rotation of secrets, a checklist |
//! | [`recipes`] | error bodies with CORS, access logs, ID tokens, an audience for each route, gRPC |
//! | [`extending`] | custom schemes, proofs, authenticators, stores, lists, policies and responses |
//! | [`migrating`] | replacing hand-written middleware step by step |

pub mod caching_and_revocation;
pub mod deployment;
pub mod extending;
pub mod guarantees;
pub mod issuers;
#[cfg(all(feature = "api-key", feature = "audit", feature = "axum", feature = "mcp"))]
pub mod mcp;
pub mod migrating;
#[cfg(feature = "audit")]
pub mod observing;
pub mod providers;
pub mod recipes;
pub mod refusals;
#[cfg(feature = "signature")]
pub mod signed_requests;
#[cfg(feature = "signature")]
pub mod webhooks;
