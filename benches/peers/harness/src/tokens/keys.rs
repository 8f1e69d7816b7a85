use std::sync::Arc;

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    hmac,
    rand::SystemRandom,
    rsa::{self, KeySize, PublicKeyComponents},
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
        ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    },
};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

/// The keys of the issuer, one for each algorithm, and one that it does not have.
#[derive(Clone)]
pub struct Keys {
    pub rs256: Key,
    pub es256: Key,
    pub eddsa: Key,
    /// An RSA key with the `kid` of `rs256`, which is not in the key set.
    pub forger: Key,
}

impl Keys {
    pub fn generate() -> Self {
        Self {
            rs256: Key::rsa("rsa1"),
            es256: Key::ecdsa("ec1"),
            eddsa: Key::new("EdDSA", "ed1", Pair::Ed25519(Ed25519KeyPair::generate().expect(GENERATED))),
            forger: Key::rsa("rsa1"),
        }
    }

    /// The JWKs of the set.
    pub fn jwks(&self) -> Vec<Value> {
        [&self.rs256, &self.es256, &self.eddsa].map(Key::jwk).to_vec()
    }
}

/// A key pair that signs tokens.
#[derive(Clone)]
pub struct Key {
    algorithm: &'static str,
    id: String,
    pair: Arc<Pair>,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(rsa::KeyPair),
}

impl Key {
    /// Generates a P-256 key for ES256.
    pub fn ecdsa(id: &str) -> Self {
        Self::new("ES256", id, Pair::Ecdsa(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect(GENERATED)))
    }

    /// Generates an RSA key of 2048 bits for RS256.
    pub fn rsa(id: &str) -> Self {
        Self::new("RS256", id, Pair::Rsa(rsa::KeyPair::generate(KeySize::Rsa2048).expect(GENERATED)))
    }

    fn new(algorithm: &'static str, id: &str, pair: Pair) -> Self {
        Self { algorithm, id: id.to_owned(), pair: Arc::new(pair) }
    }

    pub fn algorithm(&self) -> &'static str {
        self.algorithm
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// The public key.
    pub fn jwk(&self) -> Value {
        let text = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match &*self.pair {
            Pair::Ecdsa(pair) => {
                let point = pair.public_key().as_ref();
                json!({ "kty": "EC", "crv": "P-256", "x": text(&point[1..33]), "y": text(&point[33..]) })
            }
            Pair::Ed25519(pair) => json!({ "kty": "OKP", "crv": "Ed25519", "x": text(pair.public_key().as_ref()) }),
            Pair::Rsa(pair) => {
                let PublicKeyComponents { n, e } = PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({ "kty": "RSA", "n": text(&n), "e": text(&e) })
            }
        };
        jwk["alg"] = self.algorithm.into();
        jwk["kid"] = (*self.id).into();
        jwk["use"] = "sig".into();
        jwk
    }

    /// Signs in the format of JWS, as `alg` requires: `HS256` uses the public key in PEM as its secret, and `none` is empty.
    ///
    /// # Panics
    ///
    /// If the key is not one for the algorithm.
    pub fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match (algorithm, &*self.pair) {
            ("ES256", Pair::Ecdsa(pair)) => pair.sign(&random, message).expect(SIGNED).as_ref().to_vec(),
            ("EdDSA", Pair::Ed25519(pair)) => pair.sign(message).as_ref().to_vec(),
            ("RS256" | "PS256", Pair::Rsa(pair)) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let padding: &dyn aws_lc_rs::signature::RsaEncoding =
                    if algorithm == "PS256" { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                pair.sign(padding, &random, message, &mut signature).expect(SIGNED);
                signature
            }
            ("HS256", Pair::Rsa(pair)) => {
                let secret = hmac::Key::new(hmac::HMAC_SHA256, pem(pair).as_bytes());
                hmac::sign(&secret, message).as_ref().to_vec()
            }
            ("none", _) => Vec::new(),
            _ => panic!("{} is no key for {algorithm}", self.id),
        }
    }

    /// The verification of a token's signature alone, with a key that was parsed before.
    pub(super) fn verifier(&self) -> impl Fn(&str) -> bool + use<> {
        let key = match &*self.pair {
            Pair::Ecdsa(pair) => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref()),
            Pair::Ed25519(pair) => ParsedPublicKey::new(&ED25519, pair.public_key().as_ref()),
            Pair::Rsa(pair) => ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref()),
        };
        let key = key.expect("the library reads its own keys");
        move |token| {
            let (signed, signature) = token.rsplit_once('.').expect("a token has segments");
            let mut bytes = [0; 512];
            let length = BASE64_URL_SAFE_NO_PAD.decode_slice(signature, &mut bytes).expect("a token is in base64url");
            key.verify_sig(signed.as_bytes(), &bytes[..length]).is_ok()
        }
    }
}

fn pem(pair: &rsa::KeyPair) -> String {
    let der: PublicKeyX509Der<'_> = pair.public_key().as_der().expect(GENERATED);
    let text = BASE64_STANDARD.encode(der.as_ref());
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
}

const GENERATED: &str = "the library generates keys for its algorithms";
const SIGNED: &str = "the library signs with its own keys";
