//! An issuer with a client for each method of authentication, and a clock that is set by hand.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tower::ServiceExt;
use tower_warden::{
    Authenticator, Credential, Environment, Head, Identity, ManualClock, Presented, Rejection, UnixTime,
    api_key::KeyDigest,
    jwt::{Algorithm, Issuer, Jwt, StaticKeys, VerifyingKey},
    testing,
};
use tower_warden_issuer::{
    Client, ClientAuthentication, ClientSecrets, IssuerService, MemoryClientStore, SigningKeys, TokenIssuer,
    TokenIssuerBuilder,
};

pub(crate) const ISSUER: &str = "https://auth.example.com";
pub(crate) const ORDERS: &str = "https://orders.example.com";
pub(crate) const BILLING: &str = "https://billing.example.com";
pub(crate) const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";
pub(crate) const CLIENT_CREDENTIALS: &str = "grant_type=client_credentials";

/// The issuer, and what a test changes.
pub(crate) struct Setup {
    pub(crate) clients: MemoryClientStore,
    pub(crate) clock: ManualClock,
    pub(crate) issuer: TokenIssuer,
    /// The key of the client `signer`.
    pub(crate) key: testing::SigningKey,
}

impl Setup {
    pub(crate) fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub(crate) fn with(configure: impl FnOnce(TokenIssuerBuilder) -> TokenIssuerBuilder) -> Self {
        Self::with_keys(SigningKeys::generate(Algorithm::ES256).unwrap(), configure)
    }

    pub(crate) fn with_keys(
        keys: SigningKeys,
        configure: impl FnOnce(TokenIssuerBuilder) -> TokenIssuerBuilder,
    ) -> Self {
        Self::with_clock(ManualClock::at(NOW), keys, configure)
    }

    pub(crate) fn with_clock(
        clock: ManualClock,
        keys: SigningKeys,
        configure: impl FnOnce(TokenIssuerBuilder) -> TokenIssuerBuilder,
    ) -> Self {
        let clients = MemoryClientStore::default();
        let key = testing::SigningKey::generate(Algorithm::ES256);
        let secrets = || ClientSecrets::new(KeyDigest::sha256("s3cret"));
        let verifying = VerifyingKey::from_jwk(&key.jwk().to_string()).unwrap();
        let signer = ClientAuthentication::private_key_jwt(StaticKeys::new([verifying]).unwrap());
        for (id, method) in [
            ("basic", ClientAuthentication::SecretBasic(secrets())),
            ("post", ClientAuthentication::SecretPost(secrets())),
            ("signer", signer),
        ] {
            clients.insert(client(id).authentication(method));
        }
        let environment = Environment::default().with_clock(clock.clone());
        let builder = TokenIssuer::builder(ISSUER, clients.clone(), keys).unwrap().environment(&environment);
        Self { clients, clock, issuer: configure(builder).build().unwrap(), key }
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Reply {
        send(&self.issuer, request).await
    }

    /// Sends a form of the client `post`.
    pub(crate) async fn post(&self, form: &str) -> Reply {
        self.send(form_request(&format!("client_id=post&client_secret=s3cret&{form}"))).await
    }

    pub(crate) async fn basic(&self, pair: &str, form: &str) -> Reply {
        self.send(basic_request(pair, form)).await
    }

    /// Verifies a token as the API of this audience does.
    pub(crate) async fn verify(&self, token: &str, audience: &str) -> Result<Arc<Identity>, Rejection> {
        let jwt = Jwt::new(Issuer::new(ISSUER, audience).unwrap().strict(), self.issuer.keys());
        let request = Request::new(());
        let now = tower_warden::Clock::now(&self.clock);
        let presented = Presented::new(Credential::access_token(token), Head::from(&request), now);
        jwt.authenticate(&presented).wait().await
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

pub(crate) async fn send(issuer: &TokenIssuer, request: Request<Full<Bytes>>) -> Reply {
    let service: IssuerService<Full<Bytes>> = issuer.service();
    Reply::of(service.oneshot(request).await.unwrap()).await
}

/// A client of two resources without a method of authentication.
pub(crate) fn client(id: &str) -> Client {
    let client = Client::new(id, ORDERS).unwrap().resource(BILLING).unwrap();
    client.scopes("orders:read orders:write").unwrap()
}

pub(crate) fn form_request(form: &str) -> Request<Full<Bytes>> {
    let request = Request::post("/oauth/token").header(header::CONTENT_TYPE, FORM);
    request.body(Bytes::copy_from_slice(form.as_bytes()).into()).unwrap()
}

pub(crate) fn basic_request(pair: &str, form: &str) -> Request<Full<Bytes>> {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let mut request = form_request(form);
    let value = format!("Basic {}", BASE64_STANDARD.encode(pair));
    request.headers_mut().insert(header::AUTHORIZATION, value.parse().unwrap());
    request
}

/// A response, and its JSON.
pub(crate) struct Reply {
    pub(crate) body: Value,
    pub(crate) headers: HeaderMap,
    pub(crate) status: StatusCode,
}

impl Reply {
    async fn of(response: Response<Full<Bytes>>) -> Self {
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Self { body, headers: head.headers, status: head.status }
    }

    pub(crate) fn token(&self) -> &str {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body["access_token"].as_str().unwrap()
    }

    /// Asserts an error of RFC 6749 §5.2, and that no cache stores it.
    #[track_caller]
    pub(crate) fn assert_error(&self, status: u16, code: &str) {
        assert_eq!((self.status.as_u16(), self.body["error"].as_str()), (status, Some(code)), "{}", self.body);
        assert_eq!(self.headers["cache-control"], "no-store");
        assert_eq!(self.headers["content-type"], "application/json");
        assert_eq!(self.headers.contains_key("www-authenticate"), status == 401);
        assert!(self.body.get("access_token").is_none());
    }
}

/// The claims of a token, which are not verified.
pub(crate) fn claims(token: &str) -> Value {
    segment(token, 1)
}

/// The header of a token.
pub(crate) fn header_of(token: &str) -> Value {
    segment(token, 0)
}

fn segment(token: &str, index: usize) -> Value {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    let text = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}
