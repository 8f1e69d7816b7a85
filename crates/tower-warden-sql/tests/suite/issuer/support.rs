//! Nodes: issuers with stores of their own on one database.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Request, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use sqlx::{Connection as _, Executor as _};
use tower::ServiceExt;
use tower_warden::{
    Environment, ManualClock, UnixTime, api_key::KeyDigest, jwt::Algorithm, revocation::MemoryRevocationList,
};
use tower_warden_issuer::{
    Client, ClientAuthentication, ClientSecrets, ClientStore, GrantType, IssuerService, RefreshStore,
    RefreshTokenRequest, RefreshTokens, SigningKeys, TokenIssuer, TokenIssuerBuilder,
};
use tower_warden_sql::SqlIssuerStore;

pub(super) const ISSUER: &str = "https://auth.example.com";
pub(super) const ORDERS: &str = "https://orders.example.com";
pub(super) const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

/// What the nodes of a test have in common.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) clock: ManualClock,
    pub(super) grace: Duration,
    pub(super) keys: SigningKeys,
    pub(super) list: MemoryRevocationList,
}

impl Shared {
    pub(super) fn new() -> Self {
        let clock = ManualClock::at(NOW);
        let list = MemoryRevocationList::default().environment(&Environment::default().with_clock(clock.clone()));
        let keys = SigningKeys::generate(Algorithm::ES256).unwrap();
        Self { clock, grace: Duration::from_secs(10), keys, list }
    }

    pub(super) fn issuer(&self, clients: impl ClientStore, refresh: impl RefreshStore) -> TokenIssuer {
        self.issuer_with(clients, refresh, |builder| builder)
    }

    pub(super) fn issuer_with(
        &self,
        clients: impl ClientStore,
        refresh: impl RefreshStore,
        configure: impl FnOnce(TokenIssuerBuilder) -> TokenIssuerBuilder,
    ) -> TokenIssuer {
        let refresh = RefreshTokens::new(refresh, self.list.clone()).grace(self.grace).unwrap();
        let refresh = refresh.idle_lifetime(Duration::from_secs(3600)).unwrap();
        let environment = Environment::default().with_clock(self.clock.clone());
        let builder = TokenIssuer::builder(ISSUER, clients, self.keys.clone()).unwrap();
        configure(builder.environment(&environment).refresh_tokens(refresh)).build().unwrap()
    }

    /// A node with a pool of its own.
    pub(super) async fn node(&self, url: &str) -> Node {
        self.node_of(SqlIssuerStore::connect(url).await.unwrap())
    }

    pub(super) fn node_of(&self, store: SqlIssuerStore) -> Node {
        let issuer = self.issuer(store.clients(), store.refresh_tokens());
        Node { issuer, store }
    }
}

#[derive(Clone)]
pub(super) struct Node {
    pub(super) issuer: TokenIssuer,
    pub(super) store: SqlIssuerStore,
}

impl Node {
    /// The first refresh token of `alice` for the client `agent`.
    pub(super) async fn first(&self) -> String {
        first(&self.issuer).await
    }

    pub(super) async fn refresh(&self, token: &str) -> Reply {
        refresh(&self.issuer, token).await
    }
}

pub(super) async fn first(issuer: &TokenIssuer) -> String {
    issuer.issue_refresh_token(&RefreshTokenRequest::new("agent", "alice")).await.unwrap().expose().to_owned()
}

/// Two nodes, and the client `agent` with the secret `s3cret`.
pub(super) async fn two_nodes(url: &str, shared: &Shared) -> [Node; 2] {
    let nodes = [shared.node(url).await, shared.node(url).await];
    nodes[0].store.clients().insert(&client("agent")).await.unwrap();
    nodes
}

pub(super) fn client(id: &str) -> Client {
    let secrets = ClientSecrets::new(KeyDigest::sha256("s3cret"));
    let client = Client::new(id, ORDERS).unwrap().authentication(ClientAuthentication::SecretPost(secrets));
    client.grants([GrantType::ClientCredentials, GrantType::RefreshToken]).scopes("orders:read").unwrap()
}

/// Sends a form to the token endpoint.
pub(super) async fn send(issuer: &TokenIssuer, form: &str) -> Reply {
    let service: IssuerService<Full<Bytes>> = issuer.service();
    let request = Request::post("/oauth/token").header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    let request = request.body(Full::<Bytes>::from(form.to_owned())).unwrap();
    let (head, body) = service.oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Reply { status: head.status.as_u16(), body: serde_json::from_slice(&body).unwrap() }
}

pub(super) async fn credentials(issuer: &TokenIssuer, secret: &str) -> Reply {
    send(issuer, &format!("grant_type=client_credentials&client_id=agent&client_secret={secret}")).await
}

pub(super) async fn refresh(issuer: &TokenIssuer, token: &str) -> Reply {
    let form = format!("grant_type=refresh_token&client_id=agent&client_secret=s3cret&refresh_token={token}");
    send(issuer, &form).await
}

#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Value,
}

impl Reply {
    /// The refresh token of a response that has an access token.
    #[track_caller]
    pub(super) fn successor(&self) -> String {
        self.assert_issued();
        self.body["refresh_token"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub(super) fn assert_issued(&self) {
        assert!(self.status == 200 && self.body["access_token"].is_string(), "{self:?}");
    }

    #[track_caller]
    pub(super) fn assert_error(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.body["error"].as_str()), (status, Some(code)), "{self:?}");
        assert!(self.body.get("access_token").is_none() && self.body.get("refresh_token").is_none());
    }
}

/// The claims of a token, which is not verified.
pub(super) fn claims(token: &str) -> Value {
    segment(token, 1)
}

/// The header of a token.
pub(super) fn header_of(token: &str) -> Value {
    segment(token, 0)
}

fn segment(token: &str, index: usize) -> Value {
    let text = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}

/// Executes a statement by hand.
pub(super) async fn execute(url: &str, statement: &str) {
    #[cfg(feature = "postgres")]
    if url.starts_with("postgres") {
        let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
        connection.execute(statement).await.unwrap();
        return;
    }
    #[cfg(feature = "sqlite")]
    if url.starts_with("sqlite") {
        let mut connection = sqlx::SqliteConnection::connect(url).await.unwrap();
        connection.execute(statement).await.unwrap();
        return;
    }
    panic!("{url}");
}
