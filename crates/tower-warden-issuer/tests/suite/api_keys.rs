//! API keys as the secrets of their owners.

use std::{sync::Arc, time::Duration};

use tower_warden::{
    Eventual, Unavailable, UnixTime,
    api_key::{
        ApiKeys, KeyDigest, KeyError, KeyErrorKind, KeyFormat, KeyId, KeyPage, KeyQuery, KeyRecord, KeySecret,
        KeyStore, KeyUse, MemoryKeyStore, NewKey,
    },
    revocation::{MemoryRevocationList, Revocation},
};
use tower_warden_issuer::{ClaimsError, ClaimsRequest, ExtraClaims, KeyOwners, TokenExchange, TokenIssuerBuilder};

use crate::{
    binding::{key as proof_key, proof},
    support::{BILLING, CLIENT_CREDENTIALS, NOW, ORDERS, Reply, Setup, basic_request, claims, client, form_request},
    token_exchange::{client as exchanging, form as exchange_form},
};

struct Owners {
    keys: ApiKeys,
    setup: Setup,
}

impl Owners {
    fn new() -> Self {
        Self::with(MemoryKeyStore::default(), |builder| builder)
    }

    fn with(store: impl KeyStore, configure: impl FnOnce(TokenIssuerBuilder) -> TokenIssuerBuilder) -> Self {
        let clock = tower_warden::ManualClock::at(NOW);
        let environment = tower_warden::Environment::default().with_clock(clock.clone());
        let keys = ApiKeys::builder(store, KeyFormat::new("sk_agent").unwrap()).environment(&environment).build();
        let owners = KeyOwners::new(keys.clone(), ORDERS).unwrap().resource(BILLING).unwrap();
        let signing = tower_warden_issuer::SigningKeys::generate(tower_warden::jwt::Algorithm::ES256).unwrap();
        let setup = Setup::with_clock(clock, signing, |builder| configure(builder.api_keys(owners)));
        Self { keys, setup }
    }

    async fn mint(&self, key: NewKey) -> (KeyRecord, KeySecret) {
        self.keys.mint(key.scopes("orders:read orders:write")).await.unwrap()
    }

    async fn send(&self, secret: &str, more: &str) -> Reply {
        self.setup.send(form_request(&form("agent-7", secret, more))).await
    }
}

fn form(owner: &str, secret: &str, more: &str) -> String {
    format!("{CLIENT_CREDENTIALS}&client_id={owner}&client_secret={secret}&{more}")
}

#[tokio::test]
async fn the_owner_of_a_key_gets_a_token() {
    let owners = Owners::new();
    let (_, key) = owners.mint(NewKey::new("agent-7").tenant("acme").tier("gold")).await;
    let reply = owners.send(key.expose(), "").await;
    let claims = claims(reply.token());
    assert_eq!((&claims["sub"], &claims["client_id"]), (&"agent-7".into(), &"agent-7".into()));
    assert_eq!((&claims["aud"], &claims["scope"]), (&ORDERS.into(), &"orders:read orders:write".into()));
    assert_eq!((&claims["tenant"], &claims["tier"]), (&"acme".into(), &"gold".into()));
    assert_eq!(claims["exp"], NOW.as_secs() + 900);
    assert!(owners.setup.verify(reply.token(), ORDERS).await.is_ok());

    let pair = format!("agent-7:{}", key.expose());
    let reply = owners.setup.send(basic_request(&pair, &format!("{CLIENT_CREDENTIALS}&resource={BILLING}"))).await;
    assert!(owners.setup.verify(reply.token(), BILLING).await.is_ok());
}

#[tokio::test]
async fn scopes_never_exceed_those_of_the_key() {
    let owners = Owners::new();
    let (_, key) = owners.keys.mint(NewKey::new("agent-7").scopes("orders:read")).await.unwrap();
    let reply = owners.send(key.expose(), "scope=orders:read+orders:write").await;
    assert_eq!(claims(reply.token())["scope"], "orders:read");
    owners.send(key.expose(), "scope=orders:write").await.assert_error(400, "invalid_scope");
}

#[tokio::test]
async fn another_resource_than_the_configured_ones_is_refused() {
    let owners = Owners::new();
    let (_, key) = owners.mint(NewKey::new("agent-7")).await;
    owners.send(key.expose(), "resource=https://other.example.com").await.assert_error(400, "invalid_target");
}

#[tokio::test]
async fn the_token_expires_with_the_key() {
    let owners = Owners::new();
    let (_, key) = owners.mint(NewKey::new("agent-7").expires_in(Duration::from_secs(100))).await;
    owners.setup.advance(40);
    let reply = owners.send(key.expose(), "").await;
    assert_eq!((&claims(reply.token())["exp"], &reply.body["expires_in"]), (&(NOW.as_secs() + 100).into(), &60.into()));
}

#[tokio::test]
async fn a_refused_key_gets_the_response_to_an_unknown_client() {
    let list = MemoryRevocationList::default();
    let owners = Owners::with(MemoryKeyStore::default(), |builder| builder.revocations(list.clone()));
    let unknown = owners.setup.send(form_request(&form("nobody", "guess", ""))).await;
    unknown.assert_error(401, "invalid_client");

    let other = Owners::new();
    let (revoked, listed, expired) = (
        owners.mint(NewKey::new("agent-7")).await,
        owners.mint(NewKey::new("agent-7")).await,
        owners.mint(NewKey::new("agent-7").expires_in(Duration::from_secs(10))).await,
    );
    // The last one is cached when it expires.
    owners.send(expired.1.expose(), "").await.token();
    owners.send(revoked.1.expose(), "").await.token();
    owners.keys.revoke(&revoked.0.id).await.unwrap();
    list.revoke(Revocation::key(listed.0.id.as_str()), None).unwrap();
    owners.setup.advance(10);
    let limited = owners.mint(NewKey::new("agent-7").networks(["10.0.0.0/8".parse().unwrap()])).await;
    let of_another = owners.mint(NewKey::new("agent-8")).await;
    let not_an_id = owners.mint(NewKey::new("ägent")).await;
    let valid = owners.mint(NewKey::new("agent-7")).await;
    let mistyped = format!("{}x", valid.1.expose());
    for (owner, key) in [
        ("agent-7", other.mint(NewKey::new("agent-7")).await.1.expose()),
        ("agent-7", &mistyped),
        ("agent-7", "sk_agent_"),
        ("agent-7", revoked.1.expose()),
        ("agent-7", listed.1.expose()),
        ("agent-7", expired.1.expose()),
        ("agent-7", limited.1.expose()),
        ("agent-7", of_another.1.expose()),
        ("%C3%A4gent", not_an_id.1.expose()),
        ("nobody", valid.1.expose()),
    ] {
        let reply = owners.setup.send(form_request(&form(owner, key, ""))).await;
        assert_eq!(
            (reply.status, reply.body, reply.headers),
            (unknown.status, unknown.body.clone(), unknown.headers.clone())
        );
    }
    owners.send(valid.1.expose(), "").await.token();
}

#[tokio::test]
async fn a_bound_key_needs_its_proof_and_yields_a_bound_token() {
    let (owners, holder, other) = (Owners::new(), proof_key(), proof_key());
    let (_, key) = owners.mint(NewKey::new("agent-7").confirmation(holder.confirmation())).await;
    owners.send(key.expose(), "").await.assert_error(401, "invalid_client");
    let send = |proof: String| {
        let mut request = form_request(&form("agent-7", key.expose(), ""));
        request.headers_mut().insert("dpop", proof.parse().unwrap());
        owners.setup.send(request)
    };
    send(proof(&other, "1", |_| {})).await.assert_error(401, "invalid_client");
    let reply = send(proof(&holder, "2", |_| {})).await;
    let thumbprint = holder.confirmation().key_thumbprint().unwrap().to_base64url();
    assert_eq!(claims(reply.token())["cnf"]["jkt"], thumbprint);
}

#[tokio::test]
async fn an_owner_with_the_id_of_a_registered_client_is_refused() {
    let owners = Owners::new();
    let (_, key) = owners.mint(NewKey::new("post")).await;
    let reply = owners.setup.send(form_request(&form("post", key.expose(), ""))).await;
    reply.assert_error(401, "invalid_client");
    owners.setup.clients.insert(client("agent-7"));
    let (_, key) = owners.mint(NewKey::new("agent-7")).await;
    owners.send(key.expose(), "").await.assert_error(401, "invalid_client");
}

#[tokio::test]
async fn a_key_is_for_client_credentials_only() {
    let owners = Owners::new();
    let (_, key) = owners.mint(NewKey::new("agent-7")).await;
    let form = format!("client_id=agent-7&client_secret={}&token=a", key.expose());
    let reply = owners.setup.send(form_request(&format!("{form}&grant_type=password"))).await;
    reply.assert_error(400, "unsupported_grant_type");
    let mut request = form_request(&form);
    *request.uri_mut() = "/oauth/introspect".parse().unwrap();
    owners.setup.send(request).await.assert_error(401, "invalid_client");
}

#[tokio::test]
async fn keys_are_accepted_only_with_the_setting() {
    let (owners, without) = (Owners::new(), Setup::new());
    let (_, key) = owners.mint(NewKey::new("agent-7")).await;
    without.send(form_request(&form("agent-7", key.expose(), ""))).await.assert_error(401, "invalid_client");
}

#[tokio::test]
async fn registered_clients_authenticate_as_before() {
    Owners::new().setup.post(CLIENT_CREDENTIALS).await.token();
}

#[tokio::test]
async fn the_application_has_the_last_word_about_the_tenant() {
    let owners = Owners::with(MemoryKeyStore::default(), |builder| {
        builder.claims(|request: &ClaimsRequest<'_>| {
            let key = request.presented.ok_or(ClaimsError::Refused)?;
            assert_eq!((key.tenant.as_deref(), key.key_id.is_some()), (Some("acme"), true));
            ExtraClaims::default().with("tenant", "acme-eu").map_err(|_| ClaimsError::Refused)
        })
    });
    let (_, key) = owners.mint(NewKey::new("agent-7").tenant("acme")).await;
    assert_eq!(claims(owners.send(key.expose(), "").await.token())["tenant"], "acme-eu");
}

#[tokio::test]
async fn the_use_of_the_key_is_recorded() {
    let owners = Owners::new();
    let (record, key) = owners.mint(NewKey::new("agent-7")).await;
    owners.setup.advance(5);
    owners.send(key.expose(), "").await.token();
    owners.keys.flush().await.unwrap();
    let stored = owners.keys.get(&record.id).await.unwrap().unwrap();
    assert_eq!(stored.last_used_at, Some(NOW + Duration::from_secs(5)));
}

/// A store that does not respond.
struct Down;

impl KeyStore for Down {
    fn find(&self, _: &KeyDigest) -> Eventual<Result<Option<Arc<KeyRecord>>, Unavailable>> {
        Eventual::Now(Err(Unavailable::new("the key store")))
    }

    fn get(&self, _: &KeyId) -> Eventual<Result<Option<Arc<KeyRecord>>, Unavailable>> {
        Eventual::Now(Err(Unavailable::new("the key store")))
    }

    fn insert(&self, _: KeyRecord) -> Eventual<Result<(), KeyError>> {
        Eventual::Now(Err(KeyError::new(KeyErrorKind::Unavailable)))
    }

    fn revoke(&self, _: &KeyId, _: UnixTime) -> Eventual<Result<(), KeyError>> {
        Eventual::Now(Err(KeyError::new(KeyErrorKind::Unavailable)))
    }

    fn rotate(&self, _: &KeyId, _: KeyRecord, _: UnixTime) -> Eventual<Result<(), KeyError>> {
        Eventual::Now(Err(KeyError::new(KeyErrorKind::Unavailable)))
    }

    fn list(&self, _: &KeyQuery) -> Eventual<Result<KeyPage, Unavailable>> {
        Eventual::Now(Err(Unavailable::new("the key store")))
    }

    fn touch(&self, _: &[KeyUse]) -> Eventual<Result<(), Unavailable>> {
        Eventual::Now(Err(Unavailable::new("the key store")))
    }
}

#[tokio::test]
async fn nothing_is_issued_while_the_key_store_is_down() {
    let owners = Owners::with(Down, |builder| builder);
    let (_, key) = Owners::new().mint(NewKey::new("agent-7")).await;
    let reply = owners.send(key.expose(), "").await;
    reply.assert_error(503, "temporarily_unavailable");
    assert!(reply.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn an_outage_of_the_key_store_does_not_show_which_ids_are_registered() {
    let owners = Owners::with(Down, |builder| builder);
    let (_, key) = Owners::new().mint(NewKey::new("agent-7")).await;
    let [registered, unknown] = ["post", "nobody"].map(|id| form_request(&form(id, key.expose(), "")));
    let (registered, unknown) = (owners.setup.send(registered).await, owners.setup.send(unknown).await);
    registered.assert_error(503, "temporarily_unavailable");
    assert_eq!((registered.body, registered.headers), (unknown.body, unknown.headers));
    // Its own secret does not have the form of a key.
    owners.setup.post(CLIENT_CREDENTIALS).await.token();
}

#[tokio::test]
async fn exchanged_tokens_of_owners_with_one_name_keep_their_tenants() {
    let owners = Owners::with(MemoryKeyStore::default(), |builder| builder.token_exchange(TokenExchange::default()));
    owners.setup.clients.insert(exchanging("orders", BILLING).scopes("orders:read").unwrap().serve(ORDERS).unwrap());
    for tenant in ["acme", "evil"] {
        let (_, key) = owners.mint(NewKey::new("bot").tenant(tenant).tier("gold")).await;
        let token = owners.setup.send(form_request(&form("bot", key.expose(), ""))).await;
        let exchange = exchange_form(token.token(), "client_id=orders&client_secret=s3cret");
        let reply = owners.setup.send(form_request(&exchange)).await;
        let claims = claims(reply.token());
        assert_eq!((&claims["sub"], &claims["act"]["sub"]), (&"bot".into(), &"orders".into()));
        assert_eq!((&claims["tenant"], &claims["tier"]), (&tenant.into(), &"gold".into()));
    }
}
