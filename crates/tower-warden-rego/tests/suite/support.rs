//! A service whose requests a policy decides.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, request::Builder};
use http_body_util::Full;
use tower::{ServiceBuilder, ServiceExt};
use tower_warden::{
    Environment, ManualClock, Policy, Rejection, UnixTime,
    api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey},
    audit::{AuditChannel, AuditLog, AuditedPolicy, EventKind},
    layer::{AuditLayer, AuthLayer, AuthorizeLayer},
};
use tower_warden_rego::{RegoPolicy, RegoPolicyBuilder, RegoVersion};

pub const START: UnixTime = UnixTime::from_secs(1_800_000_000);

pub const GATEWAY: &str = include_str!("../policies/gateway.rego");
pub const GATEWAY_V0: &str = include_str!("../policies/gateway_v0.rego");

/// The outcome of a request.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub reason: Option<&'static str>,
    pub explanation: Option<String>,
    pub policy: Option<AuditedPolicy>,
}

impl Answer {
    #[track_caller]
    pub fn assert_admitted(&self) {
        assert_eq!((self.status, self.reason), (200, None), "{self:?}");
    }

    #[track_caller]
    pub fn assert_refused(&self, reason: &str) {
        assert_eq!((self.status, self.reason), (403, Some(reason)), "{self:?}");
    }

    #[track_caller]
    pub fn assert_explained(&self, text: &str) {
        assert!(self.explanation.as_deref().unwrap_or_default().contains(text), "{self:?}");
    }
}

/// A caller with an API key, who sends requests to services with different policies.
#[derive(Clone)]
pub struct Caller {
    keys: ApiKeys,
    secret: String,
}

impl Caller {
    pub async fn new(key: NewKey) -> Self {
        let environment = Environment::default().with_clock(ManualClock::at(START));
        let format = KeyFormat::new("sk_agent").unwrap();
        let keys = ApiKeys::builder(MemoryKeyStore::default(), format).environment(&environment).build();
        let (_, secret) = keys.mint(key).await.unwrap();
        Self { keys, secret: secret.expose().to_owned() }
    }

    /// An agent of the tenant `acme` that may invoke tools.
    pub async fn agent() -> Self {
        Self::new(NewKey::new("agent-7").tenant("acme").scopes("mcp:invoke")).await
    }

    pub async fn ask(&self, policy: impl Policy) -> Answer {
        self.send(policy, Request::get("/")).await
    }

    pub async fn send(&self, policy: impl Policy, request: Builder) -> Answer {
        let environment = Environment::default().with_clock(ManualClock::at(START));
        let (sink, mut events) = AuditChannel::new(1);
        let service = ServiceBuilder::new()
            .layer(AuditLayer::new(AuditLog::new(sink)))
            .layer(AuthLayer::new(self.keys.clone()).environment(&environment))
            .layer(AuthorizeLayer::new(policy))
            .service_fn(async |_: Request<Full<Bytes>>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
        let request = request.header("x-api-key", &self.secret).body(Full::default()).unwrap();
        let response = service.oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        drop(body);
        let rejection = parts.extensions.get::<Rejection>();
        let EventKind::Request(event) = events.try_recv().expect("an event").kind else { panic!("a request") };
        Answer {
            status: parts.status.as_u16(),
            reason: rejection.map(|rejection| rejection.reason().as_str()),
            explanation: rejection.and_then(Rejection::explanation).map(str::to_owned),
            policy: event.policy,
        }
    }
}

/// A policy whose rule `data.test.allow` has this definition.
pub fn allow(definition: &str) -> RegoPolicyBuilder {
    RegoPolicy::builder("data.test.allow").source("test.rego", &format!("package test\n\n{definition}\n"))
}

pub fn gateway() -> RegoPolicyBuilder {
    RegoPolicy::builder("data.mcp.gateway.allow").deny("data.mcp.gateway.deny")
}

/// The policy of a gateway, in both versions of Rego.
pub fn gateways() -> [RegoPolicy; 2] {
    [
        gateway().source("gateway.rego", GATEWAY).build().unwrap(),
        gateway().source("gateway.rego", GATEWAY_V0).version(RegoVersion::V0).build().unwrap(),
    ]
}
