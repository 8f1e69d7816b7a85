//! The metadata and the key set.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};
use tower_warden::jwt::{Algorithm, StaticKeys};
use tower_warden_issuer::{MemoryClientStore, SigningKeys, TokenIssuer};

use crate::{
    code_support::{CodeFlow, LOCAL},
    support::{CLIENT_CREDENTIALS, ISSUER, Reply, Setup, header_of},
};

const METHODS: [&str; 3] = ["client_secret_basic", "client_secret_post", "private_key_jwt"];
const ALGORITHMS: [&str; 5] = ["ES256", "EdDSA", "Ed25519", "PS256", "RS256"];

async fn send(setup: &Setup, method: Method, path: &str) -> Reply {
    setup.send(Request::builder().method(method).uri(path).body(Full::<Bytes>::default()).unwrap()).await
}

#[tokio::test]
async fn the_metadata_states_what_is_implemented() {
    let reply = send(&Setup::new(), Method::GET, "/.well-known/oauth-authorization-server").await;
    let expected = json!({
        "issuer": ISSUER,
        "authorization_endpoint": format!("{ISSUER}/oauth/authorize"),
        "token_endpoint": format!("{ISSUER}/oauth/token"),
        "jwks_uri": format!("{ISSUER}/oauth/jwks"),
        "introspection_endpoint": format!("{ISSUER}/oauth/introspect"),
        "introspection_endpoint_auth_methods_supported": METHODS,
        "introspection_endpoint_auth_signing_alg_values_supported": ALGORITHMS,
        "dpop_signing_alg_values_supported": ["ES256", "ES384", "EdDSA", "Ed25519", "PS256", "RS256"],
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": METHODS,
        "token_endpoint_auth_signing_alg_values_supported": ALGORITHMS,
    });
    assert_eq!(reply.body, expected);
    assert_eq!(reply.headers["content-type"], "application/json");
    assert_eq!(reply.headers["access-control-allow-origin"], "*");
}

/// The SDKs of MCP do not accept metadata without an authorization endpoint, also for client credentials.
#[tokio::test]
async fn the_authorization_endpoint_refuses_everything_and_redirects_nowhere() {
    let setup = Setup::new();
    let path = "/oauth/authorize?response_type=code&client_id=basic&redirect_uri=https://client.example.com/&state=a";
    let reply = send(&setup, Method::GET, path).await;
    assert_eq!((reply.status.as_u16(), reply.headers.get("location")), (400, None));
    assert_eq!(reply.headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(reply.headers["cache-control"], "no-store");
    assert_eq!(send(&setup, Method::HEAD, path).await.headers, reply.headers);
    assert_eq!(send(&setup, Method::POST, path).await.status, 405);
}

#[tokio::test]
async fn the_metadata_of_an_issuer_with_a_path_is_before_the_path() {
    let keys = SigningKeys::generate(Algorithm::ES256).unwrap();
    let mut setup = Setup::new();
    let name = "https://example.com/auth";
    setup.issuer = TokenIssuer::builder(name, MemoryClientStore::default(), keys).unwrap().build().unwrap();
    let reply = send(&setup, Method::GET, "/.well-known/oauth-authorization-server/auth").await;
    assert_eq!((&reply.body["issuer"], &reply.body["jwks_uri"]), (&name.into(), &format!("{name}/oauth/jwks").into()));
    assert_eq!(send(&setup, Method::GET, "/auth/oauth/jwks").await.status, 200);
    for path in ["/oauth/jwks", "/.well-known/oauth-authorization-server", "/auth", "/authoauth/jwks"] {
        assert_eq!(send(&setup, Method::GET, path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn the_key_set_has_public_keys_only_and_that_of_the_token() {
    for algorithm in [Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256] {
        let setup = Setup::with_keys(SigningKeys::generate(algorithm).unwrap(), |builder| builder);
        let reply = send(&setup, Method::GET, "/oauth/jwks").await;
        assert!(StaticKeys::from_jwk_set(&reply.body.to_string()).is_ok());
        let keys = reply.body["keys"].as_array().unwrap();
        let token = setup.post(CLIENT_CREDENTIALS).await;
        assert_eq!(keys.iter().map(|key| &key["kid"]).collect::<Vec<_>>(), [&header_of(token.token())["kid"]]);
        let private = ["d", "p", "q", "dp", "dq", "qi", "k"];
        assert!(private.iter().all(|member| keys[0].get(member).is_none()));
        assert_eq!(reply.headers["cache-control"], "max-age=300");
    }
}

#[tokio::test]
async fn head_has_the_fields_of_get_and_no_body() {
    let setup = Setup::new();
    let (get, head) = (send(&setup, Method::GET, "/oauth/jwks").await, send(&setup, Method::HEAD, "/oauth/jwks").await);
    assert_eq!((head.headers, head.body), (get.headers, Value::Null));
}

#[tokio::test]
async fn other_methods_are_refused() {
    let setup = Setup::new();
    let reply = send(&setup, Method::POST, "/oauth/jwks").await;
    assert_eq!((reply.status.as_u16(), &reply.headers["allow"]), (405, &"GET, HEAD".parse().unwrap()));
    for method in [Method::GET, Method::HEAD, Method::PUT, Method::OPTIONS] {
        let reply = send(&setup, method, "/oauth/token").await;
        assert_eq!((reply.status.as_u16(), &reply.headers["allow"]), (405, &"POST".parse().unwrap()));
    }
}

#[test]
fn identifiers_that_clients_would_refuse_are_refused() {
    for name in [
        "",
        "auth",
        "http://auth.example.com",
        "https://auth.example.com/",
        "https://auth.example.com?a=b",
        "https://auth.example.com#a",
        "https://user:secret@auth.example.com",
    ] {
        let keys = SigningKeys::generate(Algorithm::ES256).unwrap();
        let error = TokenIssuer::builder(name, MemoryClientStore::default(), keys).unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn the_metadata_with_auto_consent_states_the_code_grant() {
    let flow = CodeFlow::new();
    let request = Request::get("/.well-known/oauth-authorization-server").body(Full::<Bytes>::default()).unwrap();
    let metadata = flow.send(request).await.body;
    for (member, value) in [
        ("authorization_endpoint", json!(format!("{LOCAL}/oauth/authorize"))),
        ("authorization_response_iss_parameter_supported", json!(true)),
        ("code_challenge_methods_supported", json!(["S256"])),
        ("grant_types_supported", json!(["authorization_code", "client_credentials", "refresh_token"])),
        ("response_modes_supported", json!(["query"])),
        ("response_types_supported", json!(["code"])),
    ] {
        assert_eq!(metadata[member], value, "{member}");
    }
    for member in ["token_endpoint_auth_methods_supported", "revocation_endpoint_auth_methods_supported"] {
        assert!(metadata[member].as_array().unwrap().contains(&"none".into()), "{member}");
    }
    assert_eq!(metadata["introspection_endpoint_auth_methods_supported"], json!(METHODS));
    for member in ["registration_endpoint", "client_id_metadata_document_supported", "scopes_supported"] {
        assert!(metadata.get(member).is_none(), "{member}");
    }
}
