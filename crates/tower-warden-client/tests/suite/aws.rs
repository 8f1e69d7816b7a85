//! Secrets in AWS Secrets Manager: through a stand-in, and through the server of moto, which is a package of Python.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

use aws_sdk_secretsmanager::{
    Client, Config,
    config::{Credentials, Region},
};
use bytes::Bytes;
use http::{HeaderName, Request, Response};
use serde_json::Value;
use tower::{Layer, ServiceExt};
use tower_warden::{
    Environment, Eventual, Unavailable,
    fetch::{Fetch, HttpClient},
};
use tower_warden_client::{
    TokenLayer,
    grant::StaticKey,
    secret::{AwsHttpClient, AwsSecrets, Polling, SecretErrorKind, SecretSource},
};

use crate::{
    server::{Log, NOW, environment, seconds},
    support::{Received, get, response},
};

/// Secrets Manager with these responses by label, which records the requests.
#[derive(Clone, Default)]
struct StandIn(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    is_down: bool,
    received: Vec<Request<Bytes>>,
    responses: HashMap<&'static str, (u16, String)>,
}

impl StandIn {
    /// A version whose text is this, created this many seconds before the time of the tests.
    fn put(&self, label: &'static str, text: &str, age: u64) {
        let body = serde_json::json!({ "SecretString": text, "CreatedDate": NOW.as_secs() - age, "VersionId": "v" });
        self.respond(label, 200, &body.to_string());
    }

    fn respond(&self, label: &'static str, status: u16, body: &str) {
        self.0.lock().unwrap().responses.insert(label, (status, body.to_owned()));
    }

    fn go_down(&self) {
        self.0.lock().unwrap().is_down = true;
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().received.len()
    }

    fn secrets(&self) -> AwsSecrets {
        let (environment, _) = environment();
        AwsSecrets::new(client(self.clone(), None)).polling(Polling::default().environment(&environment))
    }
}

impl Fetch for StandIn {
    fn fetch(&self, request: Request<Bytes>, _: usize) -> Eventual<Result<Response<Bytes>, Unavailable>> {
        let mut state = self.0.lock().unwrap();
        let body: Value = serde_json::from_slice(request.body()).unwrap();
        state.received.push(request);
        if state.is_down {
            return Eventual::Now(Err(Unavailable::new("the stand-in")));
        }
        let missing = (400, r#"{"__type":"ResourceNotFoundException","Message":"none"}"#.to_owned());
        let (status, body) = state.responses.get(body["VersionStage"].as_str().unwrap()).unwrap_or(&missing);
        Eventual::Now(Ok(Response::builder().status(*status).body(body.clone().into()).unwrap()))
    }
}

fn client(fetch: impl Fetch, endpoint: Option<&str>) -> Client {
    let credentials = Credentials::new("AKIAIOSFODNN7EXAMPLE", "s3cret", None, None, "test");
    let mut config = Config::builder().region(Region::new("eu-central-1")).credentials_provider(credentials);
    config.set_endpoint_url(endpoint.map(str::to_owned));
    Client::from_conf(config.http_client(AwsHttpClient::new(fetch)).build())
}

#[tokio::test]
async fn a_member_or_the_whole_text_of_a_secret_is_read_with_a_signed_request() {
    let aws = StandIn::default();
    aws.put("AWSCURRENT", r#"{"api_key":"sk_live","port":5432}"#, 0);
    let secrets = aws.secrets();
    let secret = secrets.get("prod/billing#api_key").wait().await.unwrap();
    assert_eq!((secret.current().expose(), secret.version()), ("sk_live", NOW.as_secs()));
    let whole = secrets.get("prod/billing").wait().await.unwrap();
    assert_eq!(whole.current().expose(), r#"{"api_key":"sk_live","port":5432}"#);

    let request = aws.0.lock().unwrap().received[0].clone();
    assert_eq!(request.uri(), "https://secretsmanager.eu-central-1.amazonaws.com/");
    assert_eq!(request.headers()["x-amz-target"], "secretsmanager.GetSecretValue");
    assert!(request.headers()["authorization"].to_str().unwrap().starts_with("AWS4-HMAC-SHA256 "));
    assert!(!format!("{secrets:?}").contains("s3cret"));
}

#[tokio::test]
async fn the_version_before_is_valid_for_the_overlap_after_the_current_one_was_created() {
    let aws = StandIn::default();
    aws.put("AWSCURRENT", "second", 100);
    aws.put("AWSPREVIOUS", "first", 10_000);
    let secret = aws.secrets().get("key").wait().await.unwrap();
    assert_eq!((secret.current().expose(), secret.version()), ("second", NOW.as_secs() - 100));
    assert_eq!(secret.previous_until(), Some(NOW + seconds(200)));
    assert_eq!(secret.previous(NOW).unwrap().expose(), "first");

    aws.put("AWSCURRENT", "second", 300);
    assert!(aws.secrets().get("key").wait().await.unwrap().previous_until().is_none());
}

#[tokio::test]
async fn the_version_of_a_rotation_that_is_not_finished_is_pending() {
    let aws = StandIn::default();
    aws.put("AWSCURRENT", "first", 100);
    let pending = aws.secrets().pending();
    assert_eq!(pending.get("key").wait().await.unwrap_err().kind(), SecretErrorKind::Missing);
    aws.put("AWSPENDING", "second", 1);
    assert_eq!(pending.get("key").wait().await.unwrap().current().expose(), "second");
    assert_eq!(aws.secrets().get("key").wait().await.unwrap().current().expose(), "first");
}

#[tokio::test]
async fn an_outage_leaves_the_last_value_in_use() {
    let (log, _guard) = Log::listen();
    let (environment, clock) = environment();
    let aws = StandIn::default();
    aws.put("AWSCURRENT", "sk_live", 0);
    let secrets = aws.secrets().polling(Polling::default().environment(&environment));
    assert!(secrets.get("key").wait().await.is_ok());
    // The SDK repeats failures of a connection after random waits, which end at once.
    tokio::time::pause();
    aws.go_down();
    for _ in 0..2 {
        clock.advance(seconds(10));
        assert_eq!(secrets.get("key").wait().await.unwrap().current().expose(), "sk_live");
    }
    assert_eq!(log.count("its last value remains in use"), 1);
    assert!(!log.text().contains("sk_live"));
    let error = secrets.get("other").wait().await.unwrap_err();
    assert_eq!((error.kind(), error.name()), (SecretErrorKind::Unavailable, "other"));
}

#[tokio::test]
async fn what_is_not_a_secret_is_an_error_that_names_it() {
    let aws = StandIn::default();
    tokio::time::pause();
    for (status, body, kind) in [
        (400, r#"{"__type":"ResourceNotFoundException"}"#, SecretErrorKind::Missing),
        (400, r#"{"__type":"InvalidRequestException"}"#, SecretErrorKind::Missing),
        (400, r#"{"__type":"InvalidParameterException"}"#, SecretErrorKind::Name),
        (400, r#"{"__type":"AccessDeniedException"}"#, SecretErrorKind::Unavailable),
        (400, r#"{"__type":"DecryptionFailure"}"#, SecretErrorKind::Unavailable),
        (500, r#"{"__type":"InternalServiceError"}"#, SecretErrorKind::Unavailable),
        (200, "<html>sk_live</html>", SecretErrorKind::Unavailable),
        (200, r#"{"SecretBinary":"c2tfbGl2ZQ=="}"#, SecretErrorKind::Format),
        (200, r#"{"SecretString":"sk_live"}"#, SecretErrorKind::Format),
        (200, r#"{"SecretString":"{\"api_key\":1,\"other\":\"sk_live\"}"}"#, SecretErrorKind::Format),
        (200, r#"{"SecretString":"{\"other\":\"sk_live\"}"}"#, SecretErrorKind::Missing),
        (200, r#"{"SecretString":"{\"api_key\":\"\"}"}"#, SecretErrorKind::Missing),
    ] {
        aws.respond("AWSCURRENT", status, body);
        let error = aws.secrets().get("prod/billing#api_key").wait().await.unwrap_err();
        assert_eq!((error.kind(), error.name()), (kind, "prod/billing#api_key"), "{body}");
        assert!(!format!("{error} {error:?}").contains("sk_live"), "{error:?}");
    }
}

#[tokio::test]
async fn a_name_that_no_secret_has_is_refused_without_a_request() {
    let aws = StandIn::default();
    for name in ["", "#api_key", "billing#", "a b"] {
        assert_eq!(aws.secrets().get(name).wait().await.unwrap_err().kind(), SecretErrorKind::Name, "{name}");
    }
    assert_eq!(aws.count(), 0);
}

/// The server of moto, which ends with the test.
struct Moto {
    process: Child,
    url: String,
}

impl Moto {
    fn start() -> Self {
        let mut command = Command::new("python3");
        if let Some(folder) = std::env::var_os("TOWER_WARDEN_MOTO") {
            command.env("PYTHONPATH", folder);
        }
        let mut process = command
            .args(["-c", r#"from moto.server import main; main(["-H", "127.0.0.1", "-p", "0"])"#])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let url = lines
            .find_map(|line| line.unwrap().split_once("Running on ").map(|(_, url)| url.trim().to_owned()))
            .expect("moto writes its URL");
        // It writes a line for each request.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, url }
    }

    fn client(&self) -> Client {
        client(HttpClient::new().unwrap(), Some(&self.url))
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The keys that an API accepts.
type Accepted = Arc<Mutex<Vec<String>>>;

/// Sends 100 requests at the same time, and returns how often the API responded with another status than 200.
async fn load(key: &StaticKey, accepted: &Accepted, environment: &Environment) -> usize {
    let accepted = Arc::clone(accepted);
    let api = Received::default().api(move |request| {
        let key = request.headers().get("x-api-key").and_then(|key| key.to_str().ok()).unwrap_or_default();
        let is_accepted = accepted.lock().unwrap().iter().any(|accepted| accepted == key);
        if is_accepted { response(200, "") } else { response(401, "") }
    });
    let client = TokenLayer::new(key.clone(), "https://api.example").unwrap().environment(environment).layer(api);
    let calls = (0..100).map(|_| tokio::spawn(client.clone().oneshot(get("https://api.example/"))));
    let calls: Vec<_> = calls.collect();
    let mut failed = 0;
    for call in calls {
        failed += usize::from(call.await.unwrap().unwrap().status() != 200);
    }
    failed
}

#[tokio::test]
#[ignore = "needs moto_server (PyPI moto); ./scripts/test installs and runs it"]
async fn a_rotation_under_load_fails_no_request() {
    let moto = Moto::start();
    let aws = moto.client();
    let value = |number: usize| format!(r#"{{"api_key":"sk_live_{number}"}}"#);
    let key_of = |number: usize| format!("sk_live_{number}");
    aws.create_secret().name("prod/billing").secret_string(value(0)).send().await.unwrap();
    let clock = tower_warden::ManualClock::at(tower_warden::UnixTime::now());
    let environment = Environment::default().with_clock(clock.clone());
    let secrets = AwsSecrets::new(moto.client()).polling(Polling::default().environment(&environment));
    let field = HeaderName::from_static("x-api-key");
    let key = StaticKey::header_from(field, secrets.clone(), "prod/billing#api_key");
    let accepted: Accepted = Arc::new(Mutex::new(vec![key_of(0)]));
    assert_eq!(load(&key, &accepted, &environment).await, 0);
    for number in 1..=5 {
        aws.put_secret_value().secret_id("prod/billing").secret_string(value(number)).send().await.unwrap();
        // The source knows the new key, and the API does not yet.
        clock.advance(seconds(10));
        assert_eq!(load(&key, &accepted, &environment).await, 0, "rotation {number}");
        accepted.lock().unwrap().push(key_of(number));
        assert_eq!(load(&key, &accepted, &environment).await, 0, "rotation {number}");
        // The API drops the old key.
        accepted.lock().unwrap().retain(|accepted| *accepted == key_of(number));
        assert_eq!(load(&key, &accepted, &environment).await, 0, "rotation {number}");
        let current = secrets.get("prod/billing#api_key").wait().await.unwrap();
        assert_eq!(current.current().expose(), key_of(number));
    }
    // Another process, which starts now, knows the key before.
    let started = AwsSecrets::new(moto.client()).polling(Polling::default().overlap(seconds(3600)));
    let first = started.get("prod/billing#api_key").wait().await.unwrap();
    assert_eq!(first.current().expose(), key_of(5));
    assert_eq!(first.previous(tower_warden::UnixTime::now()).unwrap().expose(), key_of(4));

    let error = started.get("prod/reports").wait().await.unwrap_err();
    assert_eq!((error.kind(), error.name()), (SecretErrorKind::Missing, "prod/reports"));
}
