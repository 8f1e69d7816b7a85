//! An issuer, and a stack that accepts its tokens.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, service_fn, util::BoxCloneSyncService};
use tower_warden::{
    Authenticator, Environment, ManualClock, Principal,
    jwt::{Algorithm, Issuer, Jwt, StaticKeys, VerifyingKey},
    layer::AuthLayer,
    testing::{SigningKey, TestIssuer, TokenBuilder},
};

use crate::support::{self, Answer, App, START};

pub const AUDIENCE: &str = "https://api.test";

/// An issuer without a socket, and a stack that accepts its tokens and answers with the subject.
#[derive(Clone)]
pub struct Stack {
    pub clock: ManualClock,
    pub issuer: TestIssuer,
    pub app: App,
}

impl Stack {
    pub fn new() -> Self {
        Self::with(|issuer| issuer)
    }

    pub fn with(set_up: impl FnOnce(Issuer) -> Issuer) -> Self {
        Self::of(|issuer| Jwt::new(set_up(rules(issuer)), issuer.clone()))
    }

    /// A stack with an authenticator of the test's own.
    pub fn of<A: Authenticator>(authenticator: impl FnOnce(&TestIssuer) -> A) -> Self {
        let clock = ManualClock::at(START);
        let issuer =
            TestIssuer::new("https://issuer.test").environment(&Environment::default().with_clock(clock.clone()));
        let app =
            app(&AuthLayer::new(authenticator(&issuer)).environment(&Environment::default().with_clock(clock.clone())));
        Self { clock, issuer, app }
    }

    /// A token that is accepted.
    pub fn token(&self) -> TokenBuilder {
        self.issuer.token("alice").audience(AUDIENCE).client_id("app-1").scope("billing:read")
    }

    pub async fn send(&self, token: &str) -> Answer {
        support::send(self.app.clone(), support::bearer(token)).await
    }

    pub async fn sign(&self, token: &TokenBuilder) -> Answer {
        self.send(&token.sign()).await
    }

    /// Signs a payload as it stands.
    pub async fn payload(&self, payload: &str) -> Answer {
        let key = self.issuer.key();
        let header = format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"{}"}}"#, key.id());
        self.send(&TokenBuilder::sign_text(&header, payload, &key)).await
    }

    /// Signs a header as it stands, before a good payload; `KID` is the name of the key.
    pub async fn header(&self, header: &str) -> Answer {
        let key = self.issuer.key();
        let header = header.replace("KID", key.id());
        self.send(&TokenBuilder::sign_text(&header, &Self::good_payload(), &key)).await
    }

    pub fn good_payload() -> String {
        let now = START.as_secs();
        format!(
            r#"{{"iss":"https://issuer.test","sub":"alice","aud":"{AUDIENCE}","exp":{},"iat":{now},"jti":"1"}}"#,
            now + 300
        )
    }
}

/// What is demanded of an issuer's tokens.
pub fn rules(issuer: &TestIssuer) -> Issuer {
    Issuer::new(issuer.name(), AUDIENCE).unwrap()
}

/// Keys that stay.
pub fn keys(keys: &[&SigningKey]) -> StaticKeys {
    StaticKeys::new(keys.iter().map(|key| VerifyingKey::from_jwk(&key.jwk().to_string()).unwrap())).unwrap()
}

/// A stack that verifies with these keys, by these algorithms.
pub fn verifying(signing: &[&SigningKey], algorithms: &[Algorithm]) -> Stack {
    Stack::of(|issuer| Jwt::new(rules(issuer).algorithms(algorithms.iter().copied()).unwrap(), keys(signing)))
}

pub fn app<R>(layer: &AuthLayer<R>) -> App
where
    R: tower_warden::refusal::Respond<Full<Bytes>> + Clone + Send + Sync + 'static,
{
    BoxCloneSyncService::new(layer.layer(service_fn(support::answer)))
}

/// The principal that a token makes.
pub async fn principal(
    set_up: impl FnOnce(Issuer) -> Issuer,
    token: impl FnOnce(TokenBuilder) -> TokenBuilder,
) -> Principal {
    let stack = Stack::new();
    let jwt = Jwt::new(set_up(rules(&stack.issuer)), stack.issuer.clone());
    let seen = Arc::new(std::sync::Mutex::new(None));
    let kept = Arc::clone(&seen);
    let layer = AuthLayer::new(jwt).environment(&Environment::default().with_clock(stack.clock.clone()));
    let app: App = BoxCloneSyncService::new(layer.layer(service_fn(move |request: Request<Full<Bytes>>| {
        *kept.lock().unwrap() = request.extensions().get::<Principal>().cloned();
        std::future::ready(Ok(Response::new(Full::default())))
    })));
    let answer = support::send(app, support::bearer(&token(stack.token()).sign())).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let principal = seen.lock().unwrap().take();
    principal.unwrap()
}

pub const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
