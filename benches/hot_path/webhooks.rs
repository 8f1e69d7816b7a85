//! Signatures of webhooks, beside the HMAC of the same bytes.

use std::num::NonZeroU32;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, Method, Request, Uri};
use sha2::Sha256;
use tower_warden::{
    Environment, Eventual, Head, ManualClock, Timestamp, UnixTime,
    replay::MemoryReplayGuard,
    signature::{
        payload::{Payload, PayloadKey, PayloadScheme, PayloadSigner},
        webhook::WebhookVerifier,
    },
};

use crate::measure::{Budget, Effort, medians, prepared, row, side, table};

const NOW: u64 = 1_800_000_000;
const SECRET: &[u8] = b"a secret of sixteen bytes or more";

/// The verifier without and with a replay guard, beside HMAC whose key was prepared.
pub(crate) fn verified(effort: Effort) {
    table("Webhooks: the fields, the signature, and the record of what was received");
    for kibibytes in [1, 4, 64] {
        let body = Bytes::from(vec![b'x'; kibibytes << 10]);
        let uri = Uri::from_static("/hooks");
        let signer = PayloadSigner::new(PayloadScheme::timestamped(), key()).unwrap();
        let at = |time: u64| {
            let payload = Payload::new(&Method::POST, &uri, &body, Timestamp::from_millis(time * 1_000));
            request(signer.sign(&payload).unwrap())
        };
        let verifier = WebhookVerifier::new(PayloadScheme::timestamped(), [key()])
            .unwrap()
            .environment(&Environment::default().with_clock(ManualClock::at(UnixTime::from_secs(NOW))));
        let alone = verifier.clone().danger_without_replay_protection();
        let rate = NonZeroU32::new(1_000_000).unwrap();
        let guarded = verifier.replay_guard(MemoryReplayGuard::for_rates(rate, rate));
        // Each request is another one: a standard webhook with an id of its own costs the same.
        let mut number = 0;
        let mut new = || {
            number += 1;
            let mut body = body.to_vec();
            body[..8].copy_from_slice(&u64::to_le_bytes(number));
            let payload = Payload::new(&Method::POST, &uri, &body, Timestamp::from_millis(NOW * 1_000));
            (request(signer.sign(&payload).unwrap()), Bytes::from(body))
        };
        let (valid, state) = (at(NOW), Hmac::<Sha256>::new_from_slice(SECRET).unwrap());
        let covered = [format!("{NOW}.").as_bytes(), &body].concat();
        let rounds = effort.rounds / kibibytes.min(10) + 1;
        let [alone, guarded, raw] = medians(
            rounds,
            [
                side(|| verify(&alone, &valid, &body)),
                prepared(&mut new, |(request, body)| verify(&guarded, &request, &body)),
                side(|| state.clone().chain_update(&covered).finalize().into_bytes()),
            ],
        );
        let floor = format!("HMAC-SHA-256 of {kibibytes} KiB, key prepared");
        row(&format!("WebhookVerifier, {kibibytes} KiB"), alone, &floor, raw, Budget::AtMost(1.3));
        row("the same, and a replay guard in memory", guarded, &floor, raw, Budget::Open);
    }
}

fn key() -> PayloadKey {
    PayloadKey::secret(SECRET).unwrap()
}

fn request(fields: HeaderMap) -> Request<()> {
    let mut request = Request::post("/hooks").body(()).unwrap();
    *request.headers_mut() = fields;
    request
}

fn verify(verifier: &WebhookVerifier, request: &Request<()>, body: &Bytes) {
    let Eventual::Now(verdict) = verifier.verify(&Head::from(request), body) else { panic!("nothing has I/O") };
    verdict.unwrap();
}
