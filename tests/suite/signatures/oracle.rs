//! Messages of another implementation, and messages for it: see `interop/signatures`.

use std::{env, fs, path::PathBuf};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response};
use http_body_util::Full;
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_warden::{
    AuthMethod, Clock, Environment, Identity, ManualClock, SystemClock, UnixTime,
    jwt::{Algorithm, VerifyingKey},
    layer::AuthLayer,
    signature::{
        FieldType, MessageSigner, SignatureAgents, SignatureAlgorithm, SignatureKeyMap, SignaturePolicy, Signatures,
    },
    testing::SigningKey,
};

use super::agents::Web;
use crate::{
    signed::{ORIGIN, seconds, wrapped},
    support::Answer,
};

fn folder() -> PathBuf {
    env::var_os("SIGNATURES").expect("the folder of the messages").into()
}

fn rows(name: &str) -> Vec<Value> {
    serde_json::from_str(&fs::read_to_string(folder().join(name)).unwrap()).unwrap()
}

/// A message as a server receives it.
fn request(row: &Value, body: &str) -> Request<Full<Bytes>> {
    let uri: http::Uri = row["url"].as_str().unwrap().parse().unwrap();
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let mut request = Request::builder().method(row["method"].as_str().unwrap()).uri(target);
    for (name, value) in row["headers"].as_object().unwrap() {
        for value in value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice) {
            request = request.header(name, value.as_str().unwrap().trim());
        }
    }
    request.body(Full::from(body.to_owned())).unwrap()
}

/// The tests may run later.
fn environment(row: &Value) -> Environment {
    Environment::default().with_clock(ManualClock::at(UnixTime::from_secs(row["created"].as_u64().unwrap())))
}

async fn admits(signatures: Signatures, row: &Value) {
    let app = wrapped(AuthLayer::new(signatures).environment(&environment(row)));
    let body = row["body"].as_str().unwrap();
    let changed = Answer::read(app.clone().oneshot(request(row, &format!("{body} "))).await.unwrap()).await;
    assert_eq!(changed.status, 401, "{row}");
    Answer::read(app.oneshot(request(row, body)).await.unwrap()).await.assert_subject(&format!("agent:{body}"));
}

#[tokio::test]
#[ignore = "needs messages of Python and Node; ./scripts/test and interop/signatures/run run it"]
async fn messages_of_other_implementations_are_admitted() {
    let mut count = 0;
    for row in rows("python.json").iter().chain(&rows("node.json")) {
        let key = VerifyingKey::from_jwk(&row["jwk"].to_string()).unwrap();
        let policy = SignaturePolicy::new(ORIGIN).unwrap();
        let policy = policy.structured_field(HeaderName::from_static("example-dict"), FieldType::Dictionary);
        let agent = Identity::new("agent", AuthMethod::Signature);
        admits(Signatures::new(policy, SignatureKeyMap::default().with("k1", key, agent)), row).await;
        count += 1;
    }
    assert_eq!(count, 18 + 12);
}

#[tokio::test]
#[ignore = "needs messages of Python and Node; ./scripts/test and interop/signatures/run run it"]
async fn agents_of_other_implementations_are_identified() {
    for row in rows("python_agents.json").iter().chain(&rows("node_agents.json")) {
        let (web, directory) = (Web::default(), row["directory"].as_str().unwrap());
        web.set(directory, 200, json!({ "keys": [row["jwk"]] }).to_string());
        let agents = SignatureAgents::builder().agent(directory, Identity::new("agent", AuthMethod::Signature));
        let agents = agents.environment(&environment(row)).fetch(web).build().unwrap();
        admits(Signatures::new(SignaturePolicy::web_bot_auth(ORIGIN).unwrap(), agents), row).await;
    }
}

#[test]
#[ignore = "writes messages for Python and Node; ./scripts/test and interop/signatures/run run it"]
fn messages_for_other_implementations_are_signed() {
    let now = SystemClock::default().now();
    let headers = |headers: &HeaderMap| {
        let fields = headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().into()));
        Value::Object(fields.collect())
    };
    let mut rows = Vec::new();
    for algorithm in
        [Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA, Algorithm::HS256, Algorithm::PS512, Algorithm::RS256]
    {
        let key = SigningKey::named(algorithm, "k1");
        let name = SignatureAlgorithm::of(algorithm).unwrap().as_str();
        let all = [
            "@method",
            "@authority",
            "@scheme",
            "@path",
            "@query",
            "@request-target",
            "\"@query-param\";name=\"name\"",
            "\"priority\";sf",
            "\"priority\";key=\"u\"",
            "\"x-text\";bs",
            "authorization",
        ];
        let (simple, full) = (MessageSigner::new(key.clone()), MessageSigner::new(key.clone()));
        let full = full.components(all).unwrap().tag("t").unwrap().expires_after(seconds(86_400));
        for (signer, url, body) in
            [(&simple, "https://api.test/", "{}"), (&full, "https://API.test:443/a?b=c&name=%28d~+e", "")]
        {
            let request = Request::post(url).header("priority", "u=1,  i").header("x-text", "a  b");
            let (mut parts, ()) = request.header("authorization", "Bearer t").body(()).unwrap().into_parts();
            signer.sign_request(&mut parts, body.as_bytes(), now).unwrap();
            let fields = headers(&parts.headers);
            let mut row = json!({ "algorithm": name, "jwk": key.jwk(), "method": "POST", "url": url });
            (row["headers"], row["body"]) = (fields, body.into());
            rows.push(row);
        }
        let (request, ()) = Request::get("https://api.test/balance").body(()).unwrap().into_parts();
        let (mut response, body) = Response::new("12 EUR").into_parts();
        simple.sign_response(&mut response, body.as_bytes(), &request, now).unwrap();
        rows.push(json!({
            "algorithm": name, "jwk": key.jwk(), "method": "GET", "url": "https://api.test/balance", "headers": {},
            "status": 200, "response": headers(&response.headers), "body": body,
        }));
    }
    fs::write(folder().join("rust.json"), Value::Array(rows).to_string()).unwrap();
}
