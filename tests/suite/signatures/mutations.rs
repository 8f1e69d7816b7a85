//! A signed request that was changed by one bit in any covered part is refused.

use std::sync::OnceLock;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use proptest::{prelude::*, sample::Index};
use tokio_test::block_on;
use tower::ServiceExt;
use tower_warden::{
    jwt::Algorithm,
    signature::{DigestAlgorithm, SignaturePolicy},
    testing::SigningKey,
};

use crate::{
    signed::{Stack, covered, input, pair, parameters, signature},
    support::{Answer, START, cases},
};

const TARGET: &str = "/orders?item=7&count=2";
const BODY: &str = "{\"amount\": 12}";

/// The parts of a request that its signature covers.
#[derive(Clone)]
struct Parts([Vec<u8>; 7]);

const METHOD: usize = 0;
const URI: usize = 1;
const DATE: usize = 2;
const DIGEST: usize = 3;
const INPUT: usize = 4;
const SIGNATURE: usize = 5;
const CONTENT: usize = 6;

struct Bench {
    stack: Stack,
    parts: Parts,
}

impl Bench {
    fn new(algorithm: Algorithm) -> Self {
        // Each change is judged by itself.
        let stack = Stack::of(SigningKey::generate(algorithm), SignaturePolicy::danger_accept_replays);
        let digest = DigestAlgorithm::Sha256.content_digest(BODY.as_bytes());
        let mut components = covered("PUT", TARGET);
        components.extend([pair("date", "Thu, 26 Nov 2026"), pair("content-digest", digest.to_str().unwrap())]);
        let parameters = parameters(START.as_secs(), "k1");
        let parts = [
            b"PUT".to_vec(),
            TARGET.into(),
            b"Thu, 26 Nov 2026".to_vec(),
            digest.as_bytes().to_vec(),
            format!("sig1={}", input(&components, &parameters)).into(),
            format!("sig1={}", signature(&stack.key, &components, &parameters)).into(),
            BODY.into(),
        ];
        Self { stack, parts: Parts(parts) }
    }

    fn all() -> &'static [Self] {
        static ALL: OnceLock<Vec<Bench>> = OnceLock::new();
        ALL.get_or_init(|| [Algorithm::EdDSA, Algorithm::ES256, Algorithm::HS256].map(Self::new).into())
    }

    /// `None` if the parts are no request that a server would receive.
    fn send(&self, Parts(parts): &Parts) -> Option<Answer> {
        let mut request = Request::new(Full::<Bytes>::from(parts[CONTENT].clone()));
        *request.method_mut() = Method::from_bytes(&parts[METHOD]).ok()?;
        *request.uri_mut() = Uri::try_from(&*parts[URI]).ok()?;
        for (name, part) in
            [("date", DATE), ("content-digest", DIGEST), ("signature-input", INPUT), ("signature", SIGNATURE)]
        {
            request.headers_mut().insert(name, HeaderValue::from_bytes(&parts[part]).ok()?);
        }
        Some(block_on(async { Answer::read(self.stack.app.clone().oneshot(request).await.unwrap()).await }))
    }
}

#[test]
fn unchanged_request_is_admitted() {
    for bench in Bench::all() {
        bench.send(&bench.parts).unwrap().assert_subject(&format!("agent:{BODY}"));
    }
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn single_bit_change_of_a_covered_part_is_refused(
        bench in any::<Index>(), part in any::<Index>(), byte in any::<Index>(), bit in 0_u8..8,
    ) {
        let bench = &Bench::all()[bench.index(Bench::all().len())];
        let mut parts = bench.parts.clone();
        let part = &mut parts.0[part.index(7)];
        let byte = byte.index(part.len());
        part[byte] ^= 1 << bit;
        if let Some(answer) = bench.send(&parts) {
            // The base64 of the last bytes may have bits that nothing encodes, and a label means nothing.
            let is_same = is_equivalent(&bench.parts, &parts);
            prop_assert_eq!(answer.status == 200, is_same, "{:?}", answer);
        }
    }
}

/// Returns whether two requests have the same signature in another spelling.
fn is_equivalent(Parts(one): &Parts, Parts(other): &Parts) -> bool {
    let same = |part: usize| one[part] == other[part];
    let values = |text: &[u8]| {
        let text = String::from_utf8(text.to_vec()).ok()?;
        let members: sfv::Dictionary = sfv::Parser::new(&text).parse().ok()?;
        (members.len() == 1).then(|| members.into_iter().next().map(|(_, value)| value)).flatten()
    };
    let is_same_value = |part: usize| values(&one[part]).is_some() && values(&one[part]) == values(&other[part]);
    let is_same_label = {
        let label = |text: &[u8]| text.iter().position(|byte| *byte == b'=').map(|end| text[..end].to_vec());
        label(&other[INPUT]) == label(&other[SIGNATURE])
    };
    [METHOD, URI, DATE, DIGEST, CONTENT].into_iter().all(same)
        && is_same_label
        && is_same_value(INPUT)
        && is_same_value(SIGNATURE)
}
