//! HTTP Message Signatures ([RFC 9421](https://www.rfc-editor.org/rfc/rfc9421)): requests that prove who sent them, and that
//! nothing changed them on the way.
//!
//! A client signs the components of each request that matter, such as the method, the target and the digest of the content,
//! with its own key. [`Signatures`] verifies that as the credential of an [`AuthLayer`](crate::layer::AuthLayer), by a
//! [`SignaturePolicy`] and the keys of a [`SignatureKeys`] source.
//!
//! Signatures of a timestamp and a body have modules of their own: [`webhook`] for receivers, [`bound`] for API keys that need
//! one, and [`payload`] for the schemes and for senders.
//!
//! # Examples
//!
//! ```
//! use axum::{Router, body::Body, extract::Request, routing::post};
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_warden::{
//!     AuthMethod, Identity, Principal, UnixTime,
//!     jwt::Algorithm,
//!     layer::{AuthLayer, BodyCheckLayer},
//!     signature::{ContentDigestCheck, DigestAlgorithm, SignatureKeyMap, SignaturePolicy, Signatures},
//!     testing::SigningKey,
//! };
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let key = SigningKey::generate(Algorithm::EdDSA);
//! let agent = Identity::new("agent-7", AuthMethod::Signature);
//! let keys = SignatureKeyMap::default().with("agent-7-2026", key.verifying_key(), agent);
//! let signatures = Signatures::new(SignaturePolicy::new("https://api.example.com")?, keys);
//!
//! let layers = ServiceBuilder::new()
//!     .layer(BodyCheckLayer::new(ContentDigestCheck::default()))
//!     .layer(AuthLayer::new(signatures));
//! let app = Router::new()
//!     .route("/orders", post(async |caller: Principal| caller.subject().to_owned()))
//!     .layer(layers);
//!
//! // What a client does; the layers of this crate make the same.
//! let digest = DigestAlgorithm::Sha256.content_digest(b"{}");
//! let input = format!(
//!     r#"("@method" "@target-uri" "content-digest");created={};keyid="agent-7-2026""#,
//!     UnixTime::now(),
//! );
//! let base = format!(
//!     "\"@method\": POST\n\"@target-uri\": https://api.example.com/orders\n\"content-digest\": {}\n\
//!      \"@signature-params\": {input}",
//!     digest.to_str()?,
//! );
//! let signature = sfv_bytes(&key.sign(base.as_bytes()));
//! let request = |body: &'static str| {
//!     Request::post("/orders")
//!         .header("content-digest", &digest)
//!         .header("signature-input", format!("sig1={input}"))
//!         .header("signature", format!("sig1={signature}"))
//!         .body(Body::from(body))
//! };
//!
//! assert_eq!(app.clone().oneshot(request("[]")?).await?.status(), 401, "another body");
//! assert_eq!(app.clone().oneshot(request("{}")?).await?.status(), 200);
//! assert_eq!(app.clone().oneshot(request("{}")?).await?.status(), 401, "a replay");
//!
//! let unsigned = app.oneshot(Request::post("/orders").body(Body::from("{}"))?).await?;
//! assert_eq!(unsigned.status(), 401);
//! assert_eq!(
//!     unsigned.headers()["accept-signature"],
//!     r#"sig1=("@method" "@target-uri" "content-digest" "content-type");created"#
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # use base64::Engine as _;
//! # fn sfv_bytes(bytes: &[u8]) -> String {
//! #     format!(":{}:", base64::prelude::BASE64_STANDARD.encode(bytes))
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is verified
//!
//! 1. `Signature-Input` and `Signature` are dictionaries with the same labels, each at most 16 KiB long, with up to 8
//!    signatures of up to 32 components. Anything else is refused with 400.
//! 2. A signature is selected by its `tag`; labels have no meaning. Of several signatures, one that meets the policy must be
//!    valid, and the caller is the holder of the first valid one. Others make no difference, except for one of the future, one
//!    by a key that is not valid yet, one by an unknown key where the policy requires the directory of an agent, or one whose
//!    key source does not respond: they could be sent again alone, so the request is refused.
//! 3. It has `created` and a `keyid`, its time is within the window, and it covers the required components.
//! 4. It covers `authorization`, if the request has it: see [below](#signatures-next-to-tokens). If it covers
//!    `content-digest`, the content is the one that was digested; if there is content, it must cover it, and `content-type`
//!    and `content-encoding` if the request has them. Trailer fields are refused. The content is read completely
//!    before the signature is verified, and before the handler runs, unless
//!    [`danger_stream_content`](ContentDigestCheck::danger_stream_content) is used.
//! 5. Each covered component is in the request, exactly once in the list, and understood. The origin is the configured one,
//!    never that of `Host`. Up to three signatures meet the policy, or would without the content or the credential, and their
//!    components have at most 128 KiB in all, of which structured fields that are parsed (`sf`, `key`) count four times; more
//!    is refused with 400.
//! 6. The key is known, in its time if its directory states one, its algorithm is allowed, and `alg` does not name another one.
//! 7. The signature is the one of the key over these components.
//! 8. After all other checks of the layer, each valid signature is recorded by a
//!    [`ReplayGuard`](crate::replay::ReplayGuard): by its nonce, or by key, `created` and signature. A request is accepted once,
//!    whichever of its signatures it is sent with again. That includes one that does not meet the policy because it does not
//!    cover the content, or next to a token its field: without these, it would. It does not include one by a key that a
//!    [`SignatureKeys`] source does not have yet, unless the policy is that of agents, where it is refused: add a key before
//!    its holder signs with it. Signatures that never arrive together are those of two requests: a client that signs a
//!    request twice accepts that a relay splits it.
//!
//! A refusal has status 401, and `Accept-Signature` names what is required. If the key source does not respond, it is 503.
//!
//! # Signatures next to tokens
//!
//! A token or an API key that is bound to a key (`jkt` in `cnf`) can be proved by a signature of the request instead of DPoP:
//! [`AuthLayer::signature_proof`](crate::layer::AuthLayer::signature_proof). An agent that signs, and acts for a user with a
//! token of its own, is [`AuthLayer::acting_for`](crate::layer::AuthLayer::acting_for).
//!
//! A signature covers the fields that carry the other credential, and `authorization`, so that nobody sends the request with
//! another token. If it does not, `Accept-Signature` of the refusal names those that the request has.
//! [`danger_components`](SignaturePolicy::danger_components) does not require it, for example where a proxy adds
//! `Authorization` to signed requests. A policy for agents requires the fields of the other credential only.
//!
//! # Agents
//!
//! [Web Bot Auth](https://datatracker.ietf.org/doc/draft-ietf-webbotauth-httpsig-protocol/) identifies agents by the directory in
//! which they publish their keys: [`SignaturePolicy::web_bot_auth`] with `SignatureAgents` (feature `jwks`). An agent
//! publishes its own by an [`AgentDirectory`].
//!
//! # Signing
//!
//! [`MessageSigner`] signs requests and responses with a [`MessageKey`], [`SignResponseLayer`] all responses of a server, and
//! `SignLayer` of the crate `tower-warden-client` all requests of a client. [`ResponseVerifier`] verifies responses.
//!
//! # Deployment caveat
//!
//! The content of signed requests is read before their signature can be verified. Put a limit by client address outside of
//! the [`BodyCheckLayer`](crate::layer::BodyCheckLayer), and choose its [limits](crate::body::BodyLimits) as small as the API
//! allows. A layer that decompresses requests belongs inside: the digest is that of the bytes that were sent.
//!
//! If a proxy changes the path, declare it by [`SignaturePolicy::removed_prefix`]; the value of a covered field must reach the
//! server unchanged. `@request-target` is not for HTTP/2, where the server sees another form than the client signs. Trailer
//! fields (`tr`) are not supported, and a signed request with any is refused.
//!
//! Give clones of one [`SignaturePolicy`] to layers on different routes, so that a signature used on one route is refused on
//! the others. Several nodes need a shared guard.

#[cfg(feature = "jwks")]
pub use self::agents::{SignatureAgents, SignatureAgentsBuilder};
use self::refusal::refused;
pub use self::{
    algorithm::SignatureAlgorithm,
    authenticator::Signatures,
    component::Component,
    content_check::ContentDigestCheck,
    content_digest::DigestAlgorithm,
    directory::AgentDirectory,
    field_type::FieldType,
    key::{HmacKey, MessageKey},
    keys::{KnownKey, SignatureKeyMap, SignatureKeyRequest, SignatureKeys},
    policy::SignaturePolicy,
    proof::SignatureProof,
    proof_keys::{ProofKeyMap, ProofKeys},
    response_layer::{SignResponse, SignResponseFuture, SignResponseLayer},
    response_verifier::ResponseVerifier,
    signer::MessageSigner,
    signing_error::SigningError,
    streamed_body::{StreamedBody, UnverifiedContent},
    streamed_layer::{StreamedContent, StreamedContentFuture, StreamedContentLayer},
};

mod agent_url;
#[cfg(feature = "jwks")]
mod agents;
mod algorithm;
mod authenticator;
mod base;
pub mod bound;
mod candidate;
mod canonical;
mod component;
mod content_check;
mod content_digest;
mod directory;
mod field_type;
mod input;
mod key;
mod keys;
mod message;
mod origin;
mod outages;
pub mod payload;
mod policy;
mod proof;
mod proof_keys;
mod query;
mod reason;
mod refusal;
mod replay;
mod requirement;
mod response_layer;
mod response_verifier;
mod scheme;
mod signer;
mod signing_error;
mod streamed_body;
mod streamed_layer;
pub mod webhook;
mod window;
