//! JWT access tokens, verified anew and remembered.

use std::{hint::black_box, sync::Arc, time::Duration};

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::Request;
use jsonwebtoken::{DecodingKey, Validation, jwk::Jwk};
use moka::sync::Cache;
use serde_json::{Value, json};
use tower_warden::{
    Authenticator, Clock, Credential, Eventual, Head, Identity, Presented, SystemClock,
    jwt::{Algorithm, Issuer, Jwt, StaticKeys},
    layer::AuthLayer,
    testing::{SigningKey, TestIssuer},
};

use crate::{
    fixture::{Floor, cycle},
    measure::{Budget, Effort, medians, row, side, table},
    paths::requests,
};

const AUDIENCE: &str = "https://api.example.com";

/// So many tokens are used in turn, when each is to be remembered.
const TOKENS: usize = 64;

/// An issuer with one key, and tokens as long as the common ones.
struct Fixture {
    issuer: TestIssuer,
    key: SigningKey,
}

impl Fixture {
    fn new(algorithm: Algorithm) -> Self {
        let (issuer, key) = (TestIssuer::new("https://auth.example.com"), SigningKey::generate(algorithm));
        issuer.publish(key.clone());
        Self { issuer, key }
    }

    fn tokens(&self, count: usize) -> Vec<String> {
        let token = |index| {
            let token = self.issuer.token(&format!("auth0|5f7c8ec7c33c6c004bbafe8{index:05}")).audience(AUDIENCE);
            let token = token.scope("openid profile billing:read billing:write").client_id("my_client_application_1");
            let token = token.claim("org", "acme").claim("sid", "2f8c1c0e-7a3f-4a8e-9f43-0d5f2d1a1b7c");
            token.expires_in(Duration::from_secs(7200)).sign()
        };
        (0..count).map(token).collect()
    }

    fn jwt(&self) -> Jwt {
        self.builder().build().unwrap()
    }

    /// Remembers nothing.
    fn forgetful(&self) -> Jwt {
        self.builder().positive_ttl(Duration::ZERO).build().unwrap()
    }

    fn builder(&self) -> tower_warden::jwt::JwtBuilder {
        let keys = StaticKeys::from_jwk_set(&json!({ "keys": [self.key.jwk()] }).to_string()).unwrap();
        let issuer = Issuer::new(self.issuer.name(), AUDIENCE).unwrap();
        Jwt::builder(issuer.algorithms([self.key.algorithm()]).unwrap(), keys)
    }

    /// The signature alone, with a key that was parsed before.
    fn raw(&self) -> impl Fn(&str) -> bool + use<> {
        let jwk = self.key.jwk();
        let bytes = |name: &str| BASE64_URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
        let key = match self.key.algorithm() {
            Algorithm::ES256 => {
                ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, [vec![4], bytes("x"), bytes("y")].concat()).unwrap()
            }
            Algorithm::EdDSA => ParsedPublicKey::new(&ED25519, bytes("x")).unwrap(),
            _ => {
                let key = RsaPublicKeyComponents { n: bytes("n"), e: bytes("e") };
                key.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256).unwrap()
            }
        };
        move |token| {
            let (signed, signature) = token.rsplit_once('.').unwrap();
            let mut bytes = [0; 512];
            let length = BASE64_URL_SAFE_NO_PAD.decode_slice(signature, &mut bytes).unwrap();
            key.verify_sig(signed.as_bytes(), &bytes[..length]).is_ok()
        }
    }

    /// The peer, with its key made before and told what we check.
    fn decode(&self) -> impl Fn(&str) -> Value + use<> {
        let jwk: Jwk = serde_json::from_value(self.key.jwk()).unwrap();
        let (key, algorithm) = (DecodingKey::from_jwk(&jwk).unwrap(), self.key.algorithm().as_str().parse().unwrap());
        let mut validation = Validation::new(algorithm);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[self.issuer.name()]);
        move |token| jsonwebtoken::decode::<Value>(token, &key, &validation).unwrap().claims
    }
}

fn verify(jwt: &Jwt, request: &Request<()>, token: &str) -> Arc<Identity> {
    let now = SystemClock::default().now();
    match jwt.authenticate(&Presented::new(Credential::access_token(token), Head::from(request), now)) {
        Eventual::Now(verdict) => verdict.unwrap(),
        Eventual::Later(_) => panic!("its key is at hand"),
    }
}

/// Tokens that were verified before.
pub(crate) fn cached(effort: Effort) {
    let fixture = Fixture::new(Algorithm::RS256);
    let (tokens, jwt, head) = (fixture.tokens(TOKENS), fixture.jwt(), Request::new(()));
    for token in &tokens {
        verify(&jwt, &head, token);
    }
    let floor: Cache<[u8; 32], Arc<str>> = Cache::new(10_000);
    for token in &tokens {
        floor.insert(Floor::digest(token), "agent".into());
    }
    let (mut digested, mut hit, mut verified) = (cycle(&tokens), cycle(&tokens), cycle(&tokens));
    let [digest, hit, verified, bare, layered] = medians(
        effort.rounds,
        [
            side(|| Floor::digest(digested())),
            side(|| floor.get(&Floor::digest(hit())).unwrap()),
            side(|| verify(&jwt, &head, verified())),
            requests(&tokens, tower::layer::util::Identity::new()),
            requests(&tokens, AuthLayer::new(jwt.clone())),
        ],
    );

    table(&format!("A JWT of {} bytes that is cached", tokens[0].len()));
    let floor = "SHA-256 of the token + moka hit";
    row("SHA-256 of the token", digest, floor, hit, Budget::Open);
    row("Jwt::authenticate, clock read", verified, floor, hit, Budget::AtMost(1.6));
    row("AuthLayer, above the bare service", layered - bare, floor, hit, Budget::AtMost(0.7));
}

/// Tokens that are seen for the first time.
pub(crate) fn verified(effort: Effort) {
    // Another backend may be switched on in the same build; the peer needs to be told which one is meant.
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    table("A JWT that is not cached");
    for (algorithm, budget) in [(Algorithm::RS256, 1.1), (Algorithm::ES256, 1.05), (Algorithm::EdDSA, 1.05)] {
        let fixture = Fixture::new(algorithm);
        let tokens = fixture.tokens(if cfg!(debug_assertions) { 16 } else { 4096 });
        // More tokens than either cache holds, so that each is new when it comes.
        let small = fixture.builder().positive_capacity(64).build().unwrap();
        let (jwt, raw, decode, head) = (fixture.forgetful(), fixture.raw(), fixture.decode(), Request::new(()));
        let [mut first, mut second, mut third, mut fourth] = [(); 4].map(|()| cycle(&tokens));
        let [raw, verified, kept, decoded] = medians(
            effort.rounds.div_ceil(10),
            [
                side(|| assert!(raw(first()))),
                side(|| verify(&jwt, &head, second())),
                side(|| verify(&small, &head, third())),
                side(|| black_box(decode(fourth()))),
            ],
        );
        let floor = format!("{algorithm}, the signature alone, key parsed");
        row(&format!("{algorithm}, Jwt::authenticate"), verified, &floor, raw, Budget::AtMost(budget));
        row(&format!("{algorithm}, and remembered, another forgotten"), kept, &floor, raw, Budget::Open);
        row(&format!("{algorithm}, jsonwebtoken::decode"), decoded, &floor, raw, Budget::Open);
    }
}
