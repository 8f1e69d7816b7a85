//! Directories that agents publish.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};
use tower_warden::{
    ConfigErrorKind, ManualClock, Unavailable,
    jwt::Algorithm,
    signature::{AgentDirectory, MessageKey, SignatureAlgorithm},
    testing::SigningKey,
};

use crate::support::START;

#[test]
fn published_directory_is_signed_with_its_keys() {
    let key = SigningKey::named_by_thumbprint(Algorithm::EdDSA);
    let directory = AgentDirectory::new("https://agent.test").unwrap().clock(ManualClock::at(START));
    let directory = directory.key(&key.jwk().to_string(), key.clone()).unwrap();
    let response = directory.response().unwrap();
    let body: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(body, json!({ "keys": [key.jwk()] }));
    let field = |name: &str| response.headers()[name].to_str().unwrap().strip_prefix("sig0=").unwrap().to_owned();
    let input = field("signature-input");
    assert!(input.starts_with("(\"@authority\";req \"content-digest\");created=1800000000;expires=1800000300;"));
    assert!(input.ends_with(";tag=\"http-message-signatures-directory\""));
    let digest = response.headers()["content-digest"].to_str().unwrap();
    let base = format!("\"@authority\";req: agent.test\n\"content-digest\": {digest}\n\"@signature-params\": {input}");
    let public = BASE64_URL_SAFE_NO_PAD.decode(key.jwk()["x"].as_str().unwrap()).unwrap();
    let signature = BASE64_STANDARD.decode(field("signature").trim_matches(':')).unwrap();
    UnparsedPublicKey::new(&ED25519, public).verify(base.as_bytes(), &signature).unwrap();
    assert!(AgentDirectory::new("http://agent.test").is_err());
}

#[test]
fn directory_with_a_key_whose_id_is_not_its_thumbprint_is_a_configuration_error() {
    let key = SigningKey::named(Algorithm::EdDSA, "agent-7");
    let directory = AgentDirectory::new("https://agent.test").unwrap();
    assert_eq!(directory.key(&key.jwk().to_string(), key).unwrap_err().kind(), ConfigErrorKind::Signature);
}

#[test]
fn ninth_key_of_a_directory_is_a_configuration_error() {
    let directory = AgentDirectory::new("https://agent.test").unwrap();
    let key = |directory: AgentDirectory| {
        let key = SigningKey::named_by_thumbprint(Algorithm::EdDSA);
        directory.key(&key.jwk().to_string(), key)
    };
    let directory = (0..8).try_fold(directory, |directory, _| key(directory)).unwrap();
    let response = directory.response().unwrap();
    assert_eq!(response.headers().get_all("signature").iter().count(), 8);
    assert_eq!(key(directory).unwrap_err().kind(), ConfigErrorKind::Signature);
}

#[test]
fn rsa_key_of_a_directory_is_for_the_algorithm_by_which_verifiers_read_it() {
    for (algorithm, is_accepted) in [(Algorithm::PS512, true), (Algorithm::RS256, false)] {
        let key = SigningKey::named_by_thumbprint(algorithm);
        let mut jwk = key.jwk();
        assert!(AgentDirectory::new("https://agent.test").unwrap().key(&jwk.to_string(), key.clone()).is_ok());
        jwk.as_object_mut().unwrap().remove("alg");
        let unnamed = AgentDirectory::new("https://agent.test").unwrap().key(&jwk.to_string(), key);
        assert_eq!(unnamed.is_ok(), is_accepted, "{algorithm}");
    }
}

/// Signs with one key under the id of another one.
#[derive(Debug)]
struct Misnamed(SigningKey, String);

impl MessageKey for Misnamed {
    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::Ed25519
    }

    fn key_id(&self) -> &str {
        &self.1
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unavailable> {
        Ok(self.0.sign(message))
    }
}

#[test]
fn directory_with_a_key_and_what_signs_with_another_one_is_a_configuration_error() {
    let [published, other] = [0, 1].map(|_| SigningKey::named_by_thumbprint(Algorithm::EdDSA));
    let misnamed = Misnamed(other, published.id().to_owned());
    let directory = AgentDirectory::new("https://agent.test").unwrap();
    let error = directory.key(&published.jwk().to_string(), misnamed).unwrap_err();
    assert_eq!(error.kind(), ConfigErrorKind::Signature);
}
