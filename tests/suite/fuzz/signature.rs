//! Signed requests: whatever the two header fields hold, only what the key has signed is admitted.

use http::Request;
use tower_warden::{
    ManualClock, UnixTime,
    jwt::Algorithm,
    signature::{SignaturePolicy, Signatures},
    testing::SigningKey,
};

use super::{block_on, builder, check_uniform, fill, send, split_line, with_fields};
use crate::{
    signed::{self, App, ORIGIN, covered, pair},
    support::START,
};

struct Bench {
    app: App,
    input: String,
    signature: String,
}

impl Bench {
    fn new() -> Self {
        let key = SigningKey::generate(Algorithm::EdDSA);
        let policy = SignaturePolicy::new(ORIGIN).unwrap().danger_accept_replays();
        let app = signed::app(Signatures::new(policy, signed::agents(&key)), &ManualClock::at(START));
        let mut components = covered("GET", "/orders?a=b");
        components.push(pair("x-role", "reader"));
        let parameters = signed::parameters(UnixTime::as_secs(START), "k1");
        let input = signed::input(&components, &parameters);
        Self { app, input, signature: signed::signature(&key, &components, &parameters) }
    }
}

thread_local! {
    static BENCH: Bench = Bench::new();
}

/// `Signature-Input`, `Signature`, and the lines of other header fields. `{input}` and `{signature}` are those of a request
/// with `x-role: reader`.
pub fn run(input: &[u8]) -> bool {
    let text = String::from_utf8_lossy(input);
    let (inputs, rest) = split_line(&text);
    let (signatures, rest) = split_line(rest);
    BENCH.with(|bench| {
        let names = [("{input}", &*bench.input), ("{signature}", &*bench.signature)];
        let fields = format!("signature-input: {inputs}\nsignature: {signatures}\n{rest}");
        let request = Request::get("/orders?a=b").body(()).unwrap();
        let request = with_fields(request, &fill(&fields, &names));
        let headers = request.headers().clone();
        let answer = block_on(send(&bench.app, builder(request)));
        check_uniform("signature", &answer);
        let is_admitted = answer.status == 200;
        if is_admitted {
            let values =
                |name: &str| headers.get_all(name).iter().map(|line| line.to_str().unwrap().trim()).collect::<Vec<_>>();
            assert_eq!(values("x-role"), ["reader"]);
            assert!(values("signature").iter().any(|line| line.contains(&bench.signature)));
        }
        is_admitted
    })
}
