//! Clients as records.

use serde_json::{Value, json};
use tower_warden::{
    Digest, UnixTime,
    api_key::KeyDigest,
    certificate::CertificateName,
    jwt::{Algorithm, StaticKeys, VerifyingKey},
};
use tower_warden_issuer::{
    Client, ClientAuthentication, ClientKeys, ClientRecord, ClientSecrets, GrantType, SigningKey, TokenBinding,
};

use crate::support::{BILLING, CLIENT_CREDENTIALS, NOW, Setup, client};

fn jwk_set() -> String {
    format!(r#"{{"keys":[{}]}}"#, SigningKey::generate(Algorithm::ES256).unwrap().public_jwk())
}

fn full() -> Client {
    let secrets = ClientSecrets::new(KeyDigest::sha256("old")).rotated(KeyDigest::sha256("new"), NOW);
    client("full")
        .authentication(ClientAuthentication::SecretBasic(secrets.clone()))
        .authentication(ClientAuthentication::SecretPost(secrets))
        .authentication(ClientAuthentication::PrivateKeyJwt(ClientKeys::from_jwk_set(&jwk_set()).unwrap()))
        .authentication(ClientAuthentication::SelfSignedTls(vec![Digest::of(b"certificate")]))
        .authentication(ClientAuthentication::Tls(CertificateName::dns("Agent-7.example.com")))
        .authentication(ClientAuthentication::AgentSecret(ClientSecrets::new(KeyDigest::sha256("agent"))))
        .redirect_uri("https://app.example.com/callback")
        .unwrap()
        .public()
        .require_binding(TokenBinding::Key)
        .grants([GrantType::ClientCredentials, GrantType::RefreshToken])
        .serve(BILLING)
        .unwrap()
}

fn record(client: &Client) -> Value {
    serde_json::to_value(ClientRecord::try_from(client).unwrap()).unwrap()
}

fn read(record: &Value) -> Option<Client> {
    Client::try_from(serde_json::from_value::<ClientRecord>(record.clone()).ok()?).ok()
}

#[test]
fn a_client_is_the_same_after_it_was_written_and_read() {
    let written = record(&full());
    let read = read(&written).unwrap();
    assert_eq!(record(&read), written);
    assert_eq!(format!("{read:?}"), format!("{:?}", full()));
    // A member for each field of `Client`, and none of them empty.
    let members = written.as_object().unwrap();
    assert_eq!(members.len(), 9);
    assert_eq!(written["authentication"][4]["name"], json!({ "dns": "agent-7.example.com" }));
    assert!(members.values().all(|value| *value != json!([]) && *value != json!(null)), "{written}");
}

#[test]
fn a_record_with_anything_unknown_is_refused() {
    let valid = record(&full());
    let changes: [(&str, Value); 16] = [
        ("/authentication/0/method", json!("tls_of_the_future")),
        ("/authentication/0/restriction", json!("office hours")),
        ("/authentication/0/secrets/restriction", json!(1)),
        ("/authentication/0/secrets/current", json!("s3cret")),
        ("/authentication/0/secrets/replaced/0/restriction", json!(1)),
        ("/authentication/2/keys/0/kty", json!("oct")),
        ("/authentication/2/keys", json!([])),
        ("/authentication/3/thumbprints/0", json!("AAAA")),
        ("/authentication/4/name", json!({ "ip": "10.0.0.1" })),
        ("/authentication/4/name", json!({ "dns": "a", "email": "b" })),
        ("/redirect_uris/0", json!("http://app.example.com/callback")),
        ("/binding", json!("retina")),
        ("/grants/0", json!("implicit")),
        ("/resources", json!([])),
        ("/scopes/0", json!("evil\"scope")),
        ("/restriction", json!(true)),
    ];
    for (pointer, value) in changes {
        let mut changed = valid.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        match changed.pointer_mut(parent).unwrap() {
            Value::Object(members) => drop(members.insert(name.to_owned(), value)),
            Value::Array(items) => items[name.parse::<usize>().unwrap()] = value,
            _ => panic!("{pointer}"),
        }
        assert!(read(&changed).is_none(), "{pointer}");
    }
    for member in ["id", "authentication", "grants", "resources", "scopes"] {
        let mut changed = valid.clone();
        changed.as_object_mut().unwrap().remove(member);
        assert!(read(&changed).is_none(), "{member}");
    }
}

#[test]
fn a_record_with_two_names_of_certificates_is_refused() {
    let mut record = record(&full());
    let another = json!({ "method": "tls_client_auth", "name": { "dns": "another.example.com" } });
    record["authentication"].as_array_mut().unwrap().push(another);
    assert!(read(&record).is_none());
}

#[test]
fn a_served_resource_that_is_no_resource_is_refused() {
    let mut record = record(&full());
    for served in ["", "orders", "https://orders.example.com/#part"] {
        record["served"] = json!([served]);
        assert!(read(&record).is_none(), "{served:?}");
        assert!(client("a").serve(served).is_err(), "{served:?}");
    }
}

#[test]
fn keys_of_a_client_are_public() {
    let symmetric = r#"{"keys":[{"kty":"oct","alg":"HS256","k":"YSBzZWNyZXQgb2YgdGhpcnR5LXR3byBieXRlcyAuLi4"}]}"#;
    let private = jwk_set().replace(r#""kty""#, r#""d":"AAAA","kty""#);
    for refused in [symmetric, &private, "", "[]", "{}", r#"{"keys":[{}]}"#] {
        assert!(ClientKeys::from_jwk_set(refused).is_err(), "{refused}");
    }
}

#[test]
fn keys_that_cannot_be_used_are_left_out_of_the_keys_of_a_client() {
    let set = jwk_set();
    let good: Value = serde_json::from_str::<Value>(&set).unwrap()["keys"][0].clone();
    let mut encryption = good.clone();
    encryption["use"] = json!("enc");
    let other = json!({ "kty": "RSA", "alg": "RSA-OAEP", "n": "AQAB", "e": "AQAB" });
    let unknown = json!({ "kty": "future" });
    let keys = ClientKeys::from_jwk_set(&json!({ "keys": [encryption, other, good, unknown] }).to_string()).unwrap();
    let mut written = record(&client("signer").authentication(ClientAuthentication::PrivateKeyJwt(keys)));
    assert_eq!(written["authentication"][0]["keys"], json!([good]));
    // A record that someone else wrote keeps them.
    written["authentication"][0]["keys"] = json!([encryption, good]);
    assert_eq!(record(&read(&written).unwrap()), written);
    for none in [json!([encryption]), json!([unknown, other])] {
        assert!(ClientKeys::from_jwk_set(&json!({ "keys": none }).to_string()).is_err(), "{none}");
    }
}

#[test]
fn a_secret_key_beside_a_good_one_is_refused() {
    let good: Value = serde_json::from_str::<Value>(&jwk_set()).unwrap()["keys"][0].clone();
    let mut private = good.clone();
    private["d"] = json!("AAAA");
    let unusable = json!({ "kty": "future", "priv": "AAAA" });
    let symmetric = json!({ "kty": "oct", "alg": "HS256", "k": "YSBzZWNyZXQgb2YgdGhpcnR5LXR3byBieXRlcyAuLi4" });
    for secret in [private, unusable, symmetric, json!({ "kty": "oct", "alg": "A128KW", "k": "AAAA" })] {
        assert!(ClientKeys::from_jwk_set(&json!({ "keys": [good, secret] }).to_string()).is_err(), "{secret}");
    }
}

#[test]
fn a_client_with_keys_of_a_custom_source_has_no_record() {
    let jwk = SigningKey::generate(Algorithm::ES256).unwrap().public_jwk();
    let keys = StaticKeys::new([VerifyingKey::from_jwk(&jwk).unwrap()]).unwrap();
    let client = client("signer").authentication(ClientAuthentication::private_key_jwt(keys));
    assert!(ClientRecord::try_from(&client).is_err());
}

#[test]
fn debug_of_a_record_has_no_digest() {
    assert_eq!(format!("{:?}", ClientRecord::try_from(&full()).unwrap()), r#"ClientRecord { id: "full", .. }"#);
}

#[tokio::test]
async fn secrets_of_a_record_are_accepted_as_before() {
    let setup = Setup::new();
    let rotated = ClientSecrets::new(KeyDigest::sha256("old")).rotated(KeyDigest::sha256("new"), NOW + SECOND);
    let written = record(&client("post").authentication(ClientAuthentication::SecretPost(rotated)));
    setup.clients.insert(read(&written).unwrap());
    let request = async |secret: &str| {
        let form = format!("client_id=post&client_secret={secret}&{CLIENT_CREDENTIALS}");
        setup.send(crate::support::form_request(&form)).await.status
    };
    assert_eq!((request("new").await, request("old").await), (200.try_into().unwrap(), 200.try_into().unwrap()));
    setup.clock.set(UnixTime::from_secs(NOW.as_secs() + 1));
    assert_eq!((request("new").await, request("old").await), (200.try_into().unwrap(), 401.try_into().unwrap()));
}

const SECOND: std::time::Duration = std::time::Duration::from_secs(1);
