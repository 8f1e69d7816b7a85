//! Signed requests.

use std::num::NonZeroUsize;

use aws_lc_rs::signature::{ED25519, ParsedPublicKey};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::Request;
use tower::Layer;
use tower_warden::{
    AuthMethod, Clock, Identity, SystemClock,
    jwt::Algorithm,
    layer::AuthLayer,
    replay::MemoryReplayGuard,
    signature::{MessageSigner, SignatureKeyMap, SignaturePolicy, Signatures},
    testing::SigningKey,
};

use crate::{
    fixture::{bare, call},
    measure::{BATCH, Budget, Effort, medians, prepared, row, table},
};

const ORIGIN: &str = "https://api.example.com";

/// A request without content, each with a signature of its own. The content is the matter of another layer.
pub(crate) fn requests(effort: Effort) {
    let key = SigningKey::named(Algorithm::EdDSA, "agent-7");
    let most = NonZeroUsize::new(10_000_000).unwrap();
    let policy = SignaturePolicy::new(ORIGIN).unwrap().danger_accept_unsigned_content();
    let policy = policy.replay_guard(MemoryReplayGuard::new(most, most));
    let agent = Identity::new("agent", AuthMethod::Signature);
    let keys = SignatureKeyMap::default().with("agent-7", key.verifying_key(), agent);
    let mut service = AuthLayer::new(Signatures::new(policy, keys)).layer(bare());
    let signer = MessageSigner::new(key.clone());
    let signed = || {
        let (mut parts, ()) = Request::get(format!("{ORIGIN}/orders?item=7")).body(()).unwrap().into_parts();
        signer.sign_request(&mut parts, b"", SystemClock::default().now()).unwrap();
        Request::from_parts(parts, ())
    };
    let public = BASE64_URL_SAFE_NO_PAD.decode(key.jwk()["x"].as_str().unwrap()).unwrap();
    let public = ParsedPublicKey::new(&ED25519, public).unwrap();
    // As long as the signature base.
    let messages: Vec<_> = (0..BATCH).map(|index| format!("{index:0>220}")).collect();
    let messages: Vec<_> = messages.into_iter().map(|text| (key.sign(text.as_bytes()), text)).collect();
    let mut next = messages.iter().cycle();
    let [raw, verified] = medians(
        effort.rounds.div_ceil(10),
        [
            prepared(
                move || next.next().unwrap(),
                |(signature, text)| assert!(public.verify_sig(text.as_bytes(), signature).is_ok()),
            ),
            prepared(signed, |request| assert_eq!(call(&mut service, request).status(), 200)),
        ],
    );
    table("A signed request, Ed25519");
    let floor = "the signature alone, key parsed";
    row("AuthLayer, signature verified and remembered", verified, floor, raw, Budget::AtMost(1.15));
}
