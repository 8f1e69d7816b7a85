//! No secret in `Debug`.

use tower_warden::{api_key::KeyDigest, jwt::Algorithm};
use tower_warden_issuer::{ClientAuthentication, ClientSecrets, ExtraClaims, SigningKey};

use crate::support::{Setup, client};

#[test]
fn debug_shows_no_secret() {
    let setup = Setup::new();
    let digest = KeyDigest::sha256("s3cret");
    let hex = digest.to_string().replace("sha256:", "");
    let secrets = ClientSecrets::new(digest);
    let client = client("a").authentication(ClientAuthentication::SecretPost(secrets.clone()));
    let service: tower_warden_issuer::IssuerService<bytes::Bytes> = setup.issuer.service();
    let claims = ExtraClaims::default().with("email", "alice@example.com").unwrap();
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let texts = [
        format!("{client:?}"),
        format!("{secrets:?}"),
        format!("{:?}", setup.clients),
        format!("{:?}", setup.issuer),
        format!("{service:?}"),
        format!("{claims:?}"),
        format!("{key:?}"),
    ];
    for text in &texts {
        assert!(!text.contains("s3cret") && !text.contains(&hex) && !text.contains("alice"), "{text}");
    }
    assert_eq!(texts[5], r#"{"email"}"#);
    assert!(texts[6].starts_with("SigningKey { algorithm: ES256, kid: "), "{}", texts[6]);
}
