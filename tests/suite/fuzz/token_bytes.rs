//! Changes of the bytes of valid tokens.

use std::sync::LazyLock;

use serde_json::json;
use tower_warden::{
    Environment, ManualClock,
    jwt::{Issuer, Jwt, StaticKeys},
    layer::AuthLayer,
};

use super::{block_on, check_uniform, send};
use crate::{
    signing::SigningKey,
    support::{App, START, app, bearer},
};

/// A layer for each algorithm, with a token.
static BENCH: LazyLock<Vec<(App, String)>> =
    LazyLock::new(|| ["ES256", "EdDSA", "HS256"].map(|name| bench(&SigningKey::generate(name))).into());

fn bench(key: &SigningKey) -> (App, String) {
    let issuer = Issuer::new("https://issuer.test", "https://api.test").unwrap().algorithms([key.algorithm()]).unwrap();
    let jwt = Jwt::new(issuer, StaticKeys::new([key.verifying_key()]).unwrap());
    let app = app(&AuthLayer::new(jwt).environment(&Environment::default().with_clock(ManualClock::at(START))));
    let now = START.as_secs();
    let claims = json!({
        "iss": "https://issuer.test", "aud": "https://api.test", "sub": "alice", "iat": now, "exp": now + 600
    });
    (app, key.token(&claims))
}

/// The index of an algorithm, and changes of four bytes each: what is done, where (two bytes), and a character.
pub fn run(input: &[u8]) -> bool {
    let Some((index, changes)) = input.split_first() else { return false };
    let (app, token) = &BENCH[usize::from(*index) % BENCH.len()];
    let mut changed = token.clone().into_bytes();
    for change in changes.chunks_exact(4).take(16) {
        let at = usize::from(u16::from_be_bytes([change[1], change[2]])) % (changed.len() + 1);
        // A visible character: others are no part of a token in a header field.
        let character = 0x21 + change[3] % 0x5e;
        match change[0] % 5 {
            0 => changed.insert(at, character),
            1 => changed.truncate(at),
            2 => drop(changed.drain(..at)),
            3 if at < changed.len() => drop(changed.remove(at)),
            _ if at < changed.len() => changed[at] = character,
            _ => {}
        }
    }
    let changed = String::from_utf8(changed).unwrap();
    let answer = block_on(send(app, bearer(&changed)));
    check_uniform("token_bytes", &answer);
    if changed == *token {
        answer.assert_subject("alice");
    } else {
        assert_ne!(answer.status, 200, "{token} was changed to {changed}");
    }
    changed == *token
}
