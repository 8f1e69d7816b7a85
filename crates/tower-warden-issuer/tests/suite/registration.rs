//! Dynamic registration of clients, which is for development.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use serde_json::{Value, json};
use tower_warden::api_key::Pepper;
use tower_warden_issuer::{AutoConsent, ClientProfile};

use crate::{
    code_support::{CALLBACK, CodeFlow, LOCAL, peer, redemption},
    support::{BILLING, NOW, ORDERS, Reply, basic_request, claims},
};

fn flow() -> CodeFlow {
    let profile = ClientProfile::new(ORDERS).unwrap().resource(BILLING).unwrap();
    let consent = AutoConsent::new("alice").unwrap().registration(profile.scopes("orders:read tools:call").unwrap());
    CodeFlow::with(consent, |builder| builder)
}

fn request(body: &str) -> Request<Full<Bytes>> {
    let request = Request::post("/oauth/register").header(header::HOST, "localhost:3001").extension(peer("127.0.0.1"));
    let request = request.header(header::CONTENT_TYPE, "application/json");
    request.body(Bytes::copy_from_slice(body.as_bytes()).into()).unwrap()
}

fn metadata() -> Value {
    json!({
        "client_name": "an MCP client",
        "grant_types": ["authorization_code", "refresh_token"],
        "redirect_uris": [CALLBACK],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    })
}

async fn register(flow: &CodeFlow, change: impl FnOnce(&mut Value)) -> Reply {
    let mut metadata = metadata();
    change(&mut metadata);
    flow.send(request(&metadata.to_string())).await
}

/// The id of a client that has registered.
#[track_caller]
fn id(reply: &Reply) -> &str {
    assert_eq!(reply.status, 201, "{}", reply.body);
    reply.body["client_id"].as_str().unwrap()
}

#[tokio::test]
async fn a_public_client_registers_and_obtains_tokens() {
    let flow = flow();
    let reply = register(&flow, |_| {}).await;
    let id = id(&reply).to_owned();
    let mut expected = metadata();
    expected["client_id"] = id.clone().into();
    expected["client_id_issued_at"] = NOW.as_secs().into();
    expected["scope"] = "orders:read tools:call".into();
    assert_eq!(reply.body, expected);
    assert_eq!(
        (&reply.headers["cache-control"], &reply.headers["content-type"]),
        (&"no-store".parse().unwrap(), &"application/json".parse().unwrap())
    );

    let client = ("client_id", Some(&*id));
    let code = flow.code(&[client, ("scope", Some("tools:call admin")), ("resource", Some(BILLING))]).await;
    let reply = flow.redeem(&code, &[client]).await;
    let claims = claims(reply.token());
    assert_eq!(
        (&claims["aud"], &claims["scope"], &claims["sub"]),
        (&BILLING.into(), &"tools:call".into(), &"alice".into())
    );
    let form = format!(
        "grant_type=refresh_token&client_id={id}&refresh_token={}",
        reply.body["refresh_token"].as_str().unwrap()
    );
    flow.post("/oauth/token", &form).await.token();
}

#[tokio::test]
async fn a_client_with_a_secret_gets_it_once_and_has_to_use_it_by_its_method() {
    for (method, is_basic) in [(None, true), (Some("client_secret_basic"), true), (Some("client_secret_post"), false)] {
        let flow = flow();
        let reply = register(&flow, |metadata| metadata["token_endpoint_auth_method"] = method.into()).await;
        let id = id(&reply).to_owned();
        assert_eq!(reply.body["token_endpoint_auth_method"], method.unwrap_or("client_secret_basic"));
        assert_eq!(reply.body["client_secret_expires_at"], 0);
        let secret = reply.body["client_secret"].as_str().unwrap();
        let code = flow.code(&[("client_id", Some(&id))]).await;
        let client = ("client_id", Some(&*id));
        flow.redeem(&code, &[client]).await.assert_error(401, "invalid_client");
        let basic =
            flow.send_form(basic_request(&format!("{id}:{secret}"), &redemption(&code, &[("client_id", None)]))).await;
        if is_basic {
            basic.token();
        } else {
            basic.assert_error(401, "invalid_client");
            flow.redeem(&code, &[client, ("client_secret", Some(secret))]).await.token();
        }
    }
}

#[tokio::test]
async fn each_client_gets_another_id_and_secret() {
    let flow = flow();
    let (mut ids, mut secrets) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..50 {
        let reply =
            register(&flow, |metadata| metadata["token_endpoint_auth_method"] = "client_secret_post".into()).await;
        assert!(ids.insert(id(&reply).to_owned()));
        assert!(secrets.insert(reply.body["client_secret"].as_str().unwrap().to_owned()));
    }
    assert!(ids.iter().all(|id| !id.starts_with("http")));
}

// (264)
#[tokio::test]
async fn grants_that_are_not_for_such_clients_are_left_out() {
    let flow = flow();
    let others = json!(["authorization_code", "client_credentials", "urn:ietf:params:oauth:grant-type:device_code"]);
    let reply = register(&flow, |metadata| {
        metadata["grant_types"] = others;
        metadata["response_types"] = json!(["code", "id_token"]);
        metadata["token_endpoint_auth_method"] = "client_secret_post".into();
    });
    let reply = reply.await;
    let id = id(&reply).to_owned();
    assert_eq!(
        (&reply.body["grant_types"], &reply.body["response_types"]),
        (&json!(["authorization_code"]), &json!(["code"]))
    );
    let secret = reply.body["client_secret"].as_str().unwrap();
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    flow.post("/oauth/token", &form).await.assert_error(400, "unauthorized_client");
    let code = flow.code(&[("client_id", Some(&id))]).await;
    let tokens = flow.redeem(&code, &[("client_id", Some(&id)), ("client_secret", Some(secret))]).await;
    tokens.token();
    assert!(tokens.body.get("refresh_token").is_none(), "the grant was not registered");
}

// (264)
#[tokio::test]
async fn redirect_uris_that_reveal_a_code_are_refused() {
    let flow = flow();
    let many = vec![CALLBACK; 17];
    for uris in [
        Value::Null,
        json!([]),
        json!(many),
        json!(["http://app.example.com/callback"]),
        json!(["https://app.example.com/callback#part"]),
        json!(["https://user:secret@app.example.com/callback"]),
        json!([CALLBACK, "javascript:alert(1)"]),
        json!(["com.example.app:/callback"]),
        json!([""]),
    ] {
        let reply = register(&flow, |metadata| metadata["redirect_uris"] = uris.clone()).await;
        reply.assert_error(400, "invalid_redirect_uri");
        assert!(!reply.body.to_string().contains("secret"), "{uris}");
    }
}

#[tokio::test]
async fn metadata_of_other_types_or_values_are_refused() {
    let flow = flow();
    for (member, value) in [
        ("redirect_uris", json!(CALLBACK)),
        ("redirect_uris", json!([1])),
        ("grant_types", json!("authorization_code")),
        ("grant_types", json!(["client_credentials"])),
        ("grant_types", json!([])),
        ("response_types", json!(["token"])),
        ("response_types", json!([])),
        ("client_name", json!(1)),
        ("client_name", json!("a".repeat(257))),
        ("token_endpoint_auth_method", json!("private_key_jwt")),
        ("token_endpoint_auth_method", json!("tls_client_auth")),
        ("token_endpoint_auth_method", json!("")),
        ("token_endpoint_auth_method", json!(["none"])),
    ] {
        let reply = register(&flow, |metadata| metadata[member] = value.clone()).await;
        reply.assert_error(400, "invalid_client_metadata");
    }
}

// (264)
#[tokio::test]
async fn a_body_that_is_not_one_json_object_is_refused() {
    let flow = flow();
    let (valid, nested) = (metadata().to_string(), "[".repeat(10_000));
    let twice = valid.replacen('{', r#"{"token_endpoint_auth_method":"client_secret_basic","#, 1);
    for body in ["", "null", "[]", "{", "\"a\"", &nested, &twice, &format!("{valid}{valid}"), &format!("{valid}x")] {
        flow.send(request(body)).await.assert_error(400, "invalid_client_metadata");
    }
    let long = valid.replacen('{', &format!(r#"{{"padding":"{}","#, "a".repeat(16 * 1024)), 1);
    flow.send(request(&long)).await.assert_error(400, "invalid_request");
}

// (264)
#[tokio::test]
async fn other_content_types_are_refused() {
    let flow = flow();
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/json2", ""] {
        let mut request = request(&metadata().to_string());
        request.headers_mut().insert(header::CONTENT_TYPE, kind.parse().unwrap());
        flow.send(request).await.assert_error(400, "invalid_client_metadata");
    }
    let mut absent = request(&metadata().to_string());
    absent.headers_mut().remove(header::CONTENT_TYPE);
    flow.send(absent).await.assert_error(400, "invalid_client_metadata");
    let mut charset = request(&metadata().to_string());
    charset.headers_mut().insert(header::CONTENT_TYPE, "Application/JSON; charset=utf-8".parse().unwrap());
    id(&flow.send(charset).await);
}

#[tokio::test]
async fn a_registration_from_another_machine_or_to_another_host_name_is_refused() {
    let flow = flow();
    let mut remote = request(&metadata().to_string());
    remote.extensions_mut().insert(peer("192.168.0.7"));
    flow.send(remote).await.assert_error(403, "access_denied");
    let mut rebound = request(&metadata().to_string());
    rebound.headers_mut().insert(header::HOST, "rebound.example.com:3001".parse().unwrap());
    flow.send(rebound).await.assert_error(403, "access_denied");
}

// (264)
#[tokio::test]
async fn the_number_of_clients_is_bounded_and_those_that_exist_are_kept() {
    let flow = flow();
    let first = register(&flow, |_| {}).await;
    for _ in 1..1000 {
        id(&register(&flow, |_| {}).await);
    }
    register(&flow, |_| {}).await.assert_error(503, "temporarily_unavailable");
    flow.code(&[("client_id", Some(id(&first)))]).await;
}

#[tokio::test]
async fn without_the_option_there_is_no_endpoint() {
    assert_eq!(CodeFlow::new().send(request(&metadata().to_string())).await.status, 404);
}

#[tokio::test]
async fn the_metadata_of_the_issuer_states_the_endpoint_and_other_methods_are_refused() {
    let flow = flow();
    let mut read = request("");
    *read.method_mut() = http::Method::GET;
    let reply = flow.send(read).await;
    assert_eq!((reply.status.as_u16(), &reply.headers["allow"]), (405, &"POST".parse().unwrap()));
    let metadata: Value = serde_json::from_str(&flow.issuer.metadata()).unwrap();
    assert_eq!(metadata["registration_endpoint"], format!("{LOCAL}/oauth/register"));
    assert!(metadata.get("client_id_metadata_document_supported").is_none());
}

#[tokio::test]
async fn a_secret_is_stored_with_the_pepper_of_the_issuer() {
    let pepper = Pepper::new("2026", b"thirty-two bytes that are a secret").unwrap();
    let profile = ClientProfile::new(ORDERS).unwrap().scopes("orders:read").unwrap();
    let consent = AutoConsent::new("alice").unwrap().registration(profile);
    let flow = CodeFlow::with(consent, |builder| builder.pepper(pepper));
    let reply = register(&flow, |metadata| metadata["token_endpoint_auth_method"] = Value::Null).await;
    let (id, secret) = (id(&reply).to_owned(), reply.body["client_secret"].as_str().unwrap());
    let code = flow.code(&[("client_id", Some(&id))]).await;
    let form = redemption(&code, &[("client_id", None)]);
    flow.send_form(basic_request(&format!("{id}:{secret}"), &form)).await.token();
    assert!(!format!("{:?}", flow.issuer).contains(secret));
}
