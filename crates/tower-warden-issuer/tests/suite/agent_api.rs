//! The JSON form of the endpoints, for agents.

use std::num::NonZeroUsize;

use bytes::Bytes;
use http::{Request, Response, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use tower::ServiceExt;
use tower_warden::{
    Environment, Eventual, ManualClock, Unavailable,
    api_key::{ApiKeys, KeyDigest, KeyFormat, MemoryKeyStore, NewKey},
    fetch::Fetch,
    jwt::Algorithm,
    revocation::{MemoryRevocationList, RevocationList},
};
use tower_warden_client::{Refresh, TokenErrorKind, TokenRequest, TokenSource, grant::JsonLogin};
use tower_warden_issuer::{
    ClientAuthentication, ClientSecrets, GrantType, IssuerService, KeyOwners, MemoryRefreshStore, RefreshTokenRequest,
    RefreshTokens, SigningKeys, TokenIssuerBuilder,
};

use crate::{
    binding::{key, proof},
    support::{
        BILLING, CLIENT_CREDENTIALS, ISSUER, NOW, ORDERS, Reply, Setup, basic_request, claims, client, form_request,
    },
};

const LOGIN: &str = r#"{"agent_id":"agent-7","agent_secret":"s3cret"}"#;

struct Agents {
    list: MemoryRevocationList,
    setup: Setup,
}

impl Agents {
    fn new() -> Self {
        Self::with(TokenIssuerBuilder::agent_api)
    }

    fn with(configure: impl FnOnce(TokenIssuerBuilder) -> TokenIssuerBuilder) -> Self {
        Self::with_store(MemoryRefreshStore::default(), configure)
    }

    fn with_store(store: MemoryRefreshStore, configure: impl FnOnce(TokenIssuerBuilder) -> TokenIssuerBuilder) -> Self {
        let clock = ManualClock::at(NOW);
        let list = MemoryRevocationList::default().environment(&Environment::default().with_clock(clock.clone()));
        let refresh = RefreshTokens::new(store, list.clone());
        let keys = SigningKeys::generate(Algorithm::ES256).unwrap();
        let setup = Setup::with_clock(clock, keys, |builder| configure(builder.refresh_tokens(refresh)));
        let method = ClientAuthentication::AgentSecret(ClientSecrets::new(KeyDigest::sha256("s3cret")));
        let grants = [GrantType::ClientCredentials, GrantType::RefreshToken];
        setup.clients.insert(client("agent-7").authentication(method).grants(grants));
        Self { list, setup }
    }

    async fn log_in(&self, body: &str) -> Reply {
        self.setup.send(request("/auth/token", body)).await
    }

    async fn refresh(&self, token: &str) -> Reply {
        self.setup.send(request("/auth/refresh", &format!(r#"{{"refresh_token":"{token}"}}"#))).await
    }
}

fn request(path: &str, body: &str) -> Request<Full<Bytes>> {
    let request = Request::post(path).header(CONTENT_TYPE, "application/json");
    request.body(Bytes::copy_from_slice(body.as_bytes()).into()).unwrap()
}

fn refresh_token(reply: &Reply) -> &str {
    reply.token();
    reply.body["refresh_token"].as_str().unwrap()
}

#[tokio::test]
async fn an_agent_logs_in_and_refreshes() {
    let agents = Agents::new();
    let login = agents.log_in(LOGIN).await;
    let first = claims(login.token());
    assert_eq!(
        (&first["sub"], &first["client_id"], &first["aud"]),
        (&"agent-7".into(), &"agent-7".into(), &ORDERS.into())
    );
    assert_eq!((&login.body["token_type"], &login.body["expires_in"]), (&"Bearer".into(), &900.into()));
    assert_eq!(login.headers["cache-control"], "no-store");
    let next = agents.refresh(refresh_token(&login)).await;
    let second = claims(next.token());
    assert_eq!((&second["sub"], &second["scope"], &second["sid"]), (&first["sub"], &first["scope"], &first["sid"]));
    assert_ne!(refresh_token(&next), refresh_token(&login));
}

#[tokio::test]
async fn the_login_may_name_scopes_and_a_resource() {
    let agents = Agents::new();
    let body =
        |scope: &str, resource: &str| LOGIN.replace('}', &format!(r#","scope":"{scope}","resource":"{resource}"}}"#));
    let login = agents.log_in(&body("orders:read", BILLING)).await;
    for reply in [&login, &agents.refresh(refresh_token(&login)).await] {
        let claims = claims(reply.token());
        assert_eq!((&claims["scope"], &claims["aud"]), (&"orders:read".into(), &BILLING.into()));
    }
    agents.log_in(&body("billing:write", BILLING)).await.assert_error(400, "invalid_scope");
    agents.log_in(&body("orders:read", "https://other.example.com")).await.assert_error(400, "invalid_target");
}

#[tokio::test]
async fn a_wrong_secret_and_an_unknown_agent_get_the_same_response() {
    let agents = Agents::new();
    let wrong = agents.log_in(&LOGIN.replace("s3cret", "guess")).await;
    wrong.assert_error(401, "invalid_client");
    assert_eq!(wrong.headers["www-authenticate"], r#"AgentSecret realm="agents""#);
    let unknown = agents.log_in(&LOGIN.replace("agent-7", "agent-8")).await;
    assert_eq!((wrong.status, wrong.body, wrong.headers), (unknown.status, unknown.body, unknown.headers));
}

#[tokio::test]
async fn the_secret_of_an_agent_and_those_of_other_methods_are_not_interchangeable() {
    let agents = Agents::new();
    agents.log_in(&LOGIN.replace("agent-7", "post")).await.assert_error(401, "invalid_client");
    let reply = agents.setup.send(basic_request("agent-7:s3cret", CLIENT_CREDENTIALS)).await;
    reply.assert_error(401, "invalid_client");
}

#[tokio::test]
async fn a_body_that_is_not_exactly_as_expected_is_refused() {
    let agents = Agents::new();
    for body in [
        "",
        "null",
        "{}",
        r#"["agent-7","s3cret"]"#,
        r#"{"agent_id":"agent-7"}"#,
        r#"{"agent_secret":"s3cret"}"#,
        r#"{"agent_id":"agent-7","agent_secret":"guess","agent_secret":"s3cret"}"#,
        r#"{"agent_id":"agent-7","agent_id":"agent-7","agent_secret":"s3cret"}"#,
        r#"{"agent_id":"agent-7","agent_secret":"s3cret","tenant":"acme"}"#,
        r#"{"agent_id":"agent-7","agent_secret":["s3cret"]}"#,
        r#"{"agent_id":7,"agent_secret":"s3cret"}"#,
        r#"{"agent_id":"agent-7","agent_secret":"s3cret","scope":null}"#,
        r#"{"agent_id":"agent-7","agent_secret":"s3cret"}{}"#,
        r#"{"agent_id":"agent-7","agent_secret":"s3cret""#,
        "agent_id=agent-7&agent_secret=s3cret",
    ] {
        agents.log_in(body).await.assert_error(400, "invalid_request");
    }
    let login = agents.log_in(LOGIN).await;
    let token = refresh_token(&login);
    for body in [
        format!(r#"["{token}"]"#),
        format!(r#"{{"refresh_token":"{token}","refresh_token":"{token}"}}"#),
        format!(r#"{{"refresh_token":"{token}","agent_id":"agent-7"}}"#),
        r#"{"refresh_token":null}"#.into(),
    ] {
        agents.setup.send(request("/auth/refresh", &body)).await.assert_error(400, "invalid_request");
    }
    agents.refresh(token).await.token();
}

#[tokio::test]
async fn other_types_a_query_and_long_bodies_are_refused() {
    let agents = Agents::new();
    for kind in ["application/x-www-form-urlencoded", "text/json", "application/json; charset=latin1", ""] {
        let mut request = request("/auth/token", LOGIN);
        request.headers_mut().insert(CONTENT_TYPE, kind.parse().unwrap());
        agents.setup.send(request).await.assert_error(400, "invalid_request");
    }
    agents.setup.send(request("/auth/token?a=b", LOGIN)).await.assert_error(400, "invalid_request");
    let long = LOGIN.replace("s3cret", &"a".repeat(1024 * 1024));
    agents.log_in(&long).await.assert_error(400, "invalid_request");
    let mut with_charset = request("/auth/token", LOGIN);
    with_charset.headers_mut().insert(CONTENT_TYPE, "application/json; charset=utf-8".parse().unwrap());
    agents.setup.send(with_charset).await.token();
}

#[tokio::test]
async fn a_used_refresh_token_revokes_the_tokens_of_the_login() {
    let agents = Agents::new();
    let login = agents.log_in(LOGIN).await;
    agents.refresh(refresh_token(&login)).await.token();
    agents.setup.advance(60);
    agents.refresh(refresh_token(&login)).await.assert_error(400, "invalid_grant");
    let identity = agents.setup.verify(login.token(), ORDERS).await.unwrap();
    assert!(agents.list.is_revoked(&identity).wait().await.unwrap());
}

#[tokio::test]
async fn refresh_tokens_of_other_clients_are_refused() {
    let agents = Agents::new();
    let post = (*agents.setup.clients.remove("post").unwrap()).clone();
    agents.setup.clients.insert(post.grants([GrantType::RefreshToken]));
    let token = agents.setup.issuer.issue_refresh_token(&RefreshTokenRequest::new("post", "alice")).await.unwrap();
    agents.refresh(token.expose()).await.assert_error(400, "invalid_grant");
    // It was not used.
    agents.setup.post(&format!("grant_type=refresh_token&refresh_token={}", token.expose())).await.token();
    agents.refresh("rt_guess").await.assert_error(400, "invalid_grant");
}

#[tokio::test]
async fn a_refresh_token_about_a_user_needs_the_authentication_of_the_client() {
    let agents = Agents::new();
    let agent = (*agents.setup.clients.remove("agent-7").unwrap()).clone();
    let post = ClientAuthentication::SecretPost(ClientSecrets::new(KeyDigest::sha256("posted")));
    agents.setup.clients.insert(agent.authentication(post));
    let token = agents.setup.issuer.issue_refresh_token(&RefreshTokenRequest::new("agent-7", "alice")).await.unwrap();
    agents.refresh(token.expose()).await.assert_error(400, "invalid_grant");
    // It is neither used nor revoked.
    let form =
        format!("client_id=agent-7&client_secret=posted&grant_type=refresh_token&refresh_token={}", token.expose());
    agents.setup.send(form_request(&form)).await.token();
}

#[tokio::test]
async fn a_login_with_a_proof_yields_bound_tokens() {
    let (agents, key, other) = (Agents::new(), key(), key());
    let send = |path: &'static str, body: &str, key: &tower_warden::testing::SigningKey, id: &str| {
        let mut request = request(path, body);
        let proof = proof(key, id, |claims| claims["htu"] = format!("{ISSUER}{path}").into());
        request.headers_mut().insert("dpop", proof.parse().unwrap());
        agents.setup.send(request)
    };
    let login = send("/auth/token", LOGIN, &key, "1").await;
    assert_eq!(login.body["token_type"], "DPoP");
    let body = format!(r#"{{"refresh_token":"{}"}}"#, refresh_token(&login));
    agents.setup.send(request("/auth/refresh", &body)).await.assert_error(400, "invalid_grant");
    send("/auth/refresh", &body, &other, "2").await.assert_error(400, "invalid_grant");
    assert_eq!(send("/auth/refresh", &body, &key, "3").await.body["token_type"], "DPoP");
}

#[tokio::test]
async fn an_agent_without_the_grants_gets_no_refresh_token_or_no_token() {
    let agents = Agents::new();
    let agent = (*agents.setup.clients.remove("agent-7").unwrap()).clone();
    agents.setup.clients.insert(agent.clone().grants([GrantType::ClientCredentials]));
    let login = agents.log_in(LOGIN).await;
    assert!(claims(login.token()).get("sid").is_none() && login.body.get("refresh_token").is_none());
    agents.setup.clients.insert(agent.grants([GrantType::RefreshToken]));
    agents.log_in(LOGIN).await.assert_error(400, "unauthorized_client");
}

/// (284)
#[tokio::test]
async fn an_agent_logs_in_without_a_refresh_token_while_there_is_no_room_for_one() {
    let agents = Agents::with_store(MemoryRefreshStore::new(NonZeroUsize::MIN), TokenIssuerBuilder::agent_api);
    let first = agents.log_in(LOGIN).await;
    assert!(agents.log_in(LOGIN).await.body.get("refresh_token").is_none());
    let second = agents.log_in(LOGIN).await;
    agents.setup.verify(second.token(), ORDERS).await.unwrap();
    agents.refresh(refresh_token(&first)).await.token();
}

#[tokio::test]
async fn the_owner_of_an_api_key_logs_in_with_it() {
    let environment = Environment::default().with_clock(ManualClock::at(NOW));
    let format = KeyFormat::new("sk_agent").unwrap();
    let keys = ApiKeys::builder(MemoryKeyStore::default(), format).environment(&environment).build();
    let owners = KeyOwners::new(keys.clone(), ORDERS).unwrap();
    let agents = Agents::with(|builder| builder.agent_api().api_keys(owners));
    let (record, key) = keys.mint(NewKey::new("owner").scopes("orders:read")).await.unwrap();
    let body = format!(r#"{{"agent_id":"owner","agent_secret":"{}"}}"#, key.expose());
    let reply = agents.log_in(&body).await;
    assert_eq!(claims(reply.token())["scope"], "orders:read");
    assert!(reply.body.get("refresh_token").is_none());
    keys.revoke(&record.id).await.unwrap();
    agents.log_in(&body).await.assert_error(401, "invalid_client");
}

#[tokio::test]
async fn the_endpoints_are_off_by_default() {
    let without = Agents::with(|builder| builder);
    assert_eq!(without.log_in(LOGIN).await.status, 404);
    assert_eq!(without.refresh("rt_guess").await.status, 404);
    // Without refresh tokens, there is one.
    let without = Setup::with(TokenIssuerBuilder::agent_api);
    assert_eq!(without.send(request("/auth/refresh", "{}")).await.status, 404);
    let get = Request::get("/auth/token").body(Full::default()).unwrap();
    let reply = without.send(get).await;
    assert_eq!((reply.status.as_u16(), &reply.headers["allow"]), (405, &"POST".parse().unwrap()));
}

/// The issuer, as the client fetches from it.
struct Api(IssuerService<Full<Bytes>>);

impl Fetch for Api {
    fn fetch(&self, request: Request<Bytes>, _: usize) -> Eventual<Result<Response<Bytes>, Unavailable>> {
        let service = self.0.clone();
        Eventual::later(async move {
            let Ok(response) = service.oneshot(request.map(Full::new)).await;
            let (head, body) = response.into_parts();
            let body = body.collect().await.map_err(|_| Unavailable::new("the issuer"))?;
            Ok(Response::from_parts(head, body.to_bytes()))
        })
    }
}

#[tokio::test]
async fn the_json_login_of_the_client_crate_logs_in_and_refreshes() {
    let agents = Agents::new();
    let login = |secret: &str| {
        let login = JsonLogin::new(&format!("{ISSUER}/auth/token"), Api(agents.setup.issuer.service())).unwrap();
        let login = login.field("agent_id", "agent-7").secret("agent_secret", secret);
        login.refresh_at(&format!("{ISSUER}/auth/refresh"), "refresh_token").unwrap()
    };
    let request = TokenRequest::new(NOW);
    let token = login("s3cret").token(&request).wait().await.unwrap();
    assert!(agents.setup.verify(token.expose(), ORDERS).await.is_ok());
    let refresh = token.refresh_token().unwrap();
    let next = login("s3cret").refresh(refresh, &request).wait().await.unwrap();
    assert!(next.refresh_token().is_some() && next.expose() != token.expose());
    agents.setup.advance(60);
    let error = login("s3cret").refresh(refresh, &request).wait().await.unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::InvalidGrant);
    let error = login("guess").token(&request).wait().await.unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::InvalidClient);
}
