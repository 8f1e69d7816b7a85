//! Webhooks: no request is accepted unless its sender signed this body, id and timestamp.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri};
use tower_warden::{
    Environment, Eventual, Head, ManualClock, Timestamp,
    signature::{
        payload::{Payload, PayloadKey, PayloadScheme, PayloadSigner},
        webhook::WebhookVerifier,
    },
};

use super::{fill, with_fields};
use crate::support::START;

/// The body that valid signatures in seeds are made for.
const BODY: &str = r#"{"test": 1}"#;

/// The lines of header fields, an empty line, and the body.
pub fn run(input: &[u8]) -> bool {
    let text = String::from_utf8_lossy(input);
    let (fields, body) = text.split_once("\n\n").unwrap_or((&text, ""));
    let standard = PayloadKey::standard_webhooks("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let plain = PayloadKey::secret(b"a secret of sixteen bytes or more").unwrap();
    let mut is_accepted = false;
    for (scheme, key, field) in [
        (PayloadScheme::standard_webhooks(), standard, "webhook-signature"),
        (PayloadScheme::stripe(), plain.clone(), "stripe-signature"),
        (PayloadScheme::slack(), plain.clone(), "x-slack-signature"),
        (PayloadScheme::timestamped(), plain, "x-signature"),
    ] {
        let signer = PayloadSigner::new(scheme.clone(), key.clone()).unwrap();
        let valid = sign(&signer, "msg_1", START.as_secs(), BODY);
        let valid = valid[field].to_str().unwrap();
        let time = START.as_secs().to_string();
        let fields = fill(fields, &[("{signature}", valid), ("{SIGNATURE}", &valid.to_uppercase()), ("{time}", &time)]);
        let request = with_fields(Request::post("/").body(()).unwrap(), &fields);
        if accepts(&scheme, key, &request, body) {
            is_accepted = true;
            assert_signed(&signer, field, request.headers(), body);
        }
    }
    is_accepted
}

fn accepts(scheme: &PayloadScheme, key: PayloadKey, request: &Request<()>, body: &str) -> bool {
    let verifier = WebhookVerifier::new(scheme.clone(), [key])
        .unwrap()
        .environment(&Environment::default().with_clock(ManualClock::at(START)))
        .danger_without_replay_protection();
    let Eventual::Now(verdict) = verifier.verify(&Head::from(request), &Bytes::copy_from_slice(body.as_bytes())) else {
        panic!("nothing has I/O")
    };
    match verdict {
        Ok(delivery) => {
            assert_eq!(delivery.body(), body);
            true
        }
        Err(rejection) => {
            assert_eq!((rejection.status().as_u16(), rejection.code()), (401, "invalid_signature"));
            false
        }
    }
}

/// What the sender makes of the same values is in the field, which occurs once.
fn assert_signed(signer: &PayloadSigner, field: &str, headers: &HeaderMap, body: &str) {
    let one = |name: &str| {
        let mut lines = headers.get_all(name).iter();
        let line = lines.next().map(|line| line.to_str().unwrap());
        assert!(lines.next().is_none(), "{name} occurs twice");
        line
    };
    let list = one(field).expect("the signature's field");
    let in_list = || list.split(',').find_map(|item| item.strip_prefix("t="));
    let times = ["webhook-timestamp", "x-slack-request-timestamp", "x-timestamp"];
    let time = match field {
        "stripe-signature" => in_list(),
        "webhook-signature" => one(times[0]),
        "x-slack-signature" => one(times[1]),
        _ => one(times[2]),
    };
    let time: u64 = time.expect("a timestamp").parse().unwrap();
    assert!((START.as_secs() - 300..=START.as_secs() + 60).contains(&time), "{time}");
    let made = sign(signer, one("webhook-id").unwrap_or("msg_1"), time, body);
    let made = made[field].to_str().unwrap();
    let signature = made.rsplit([',', '=']).find(|part| !part.is_empty()).unwrap();
    assert!(list.to_lowercase().contains(&signature.to_lowercase()), "{list} {made}");
}

fn sign(signer: &PayloadSigner, id: &str, time: u64, body: &str) -> HeaderMap {
    let (uri, time) = (Uri::from_static("/"), Timestamp::from_millis(time * 1_000));
    let payload = Payload::new(&Method::POST, &uri, body.as_bytes(), time);
    signer.sign(&payload.id(if signer.requires_id() { id } else { "msg_1" })).unwrap()
}
