//! Signed requests that carry another credential: that of the subject, or one in `Authorization`.

use http::{Request, request::Builder};
use tower_warden::{
    Environment, ManualClock,
    auth::CredentialSource,
    jwt::{Algorithm, Jwt},
    layer::AuthLayer,
    scheme::{Bearer, Location},
    signature::{SignaturePolicy, SignatureProof, Signatures},
    testing::{SigningKey, TestIssuer},
};

use crate::{
    signed::{
        App, Labelled, ORIGIN, Stack, agents, assert_refused, covered, pair, parameters, send, signed, signed_by_all,
        wrapped,
    },
    support::{Answer, START},
    tokens::{AUDIENCE, rules},
};

/// An agent that signs, for users with tokens in a field.
struct Acting {
    app: App,
    field: &'static str,
    key: SigningKey,
    tokens: [String; 2],
}

impl Acting {
    fn new(field: &'static str, policy: impl FnOnce(SignaturePolicy) -> SignaturePolicy) -> Self {
        let environment = Environment::default().with_clock(ManualClock::at(START));
        let issuer = TestIssuer::new("https://issuer.test").environment(&environment);
        let key = SigningKey::generate(Algorithm::EdDSA);
        let signatures = Signatures::new(policy(SignaturePolicy::new(ORIGIN).unwrap()), agents(&key));
        let users = CredentialSource::new(Jwt::new(rules(&issuer), issuer.clone()));
        let users = match field {
            "authorization" => users,
            _ => users.scheme(Bearer::from(Location::header(field))),
        };
        let layer = AuthLayer::new(signatures).environment(&environment).acting_for(users).unwrap();
        let tokens = ["alice", "bob"].map(|user| issuer.token(user).audience(AUDIENCE).sign());
        let tokens = tokens.map(|token| if field == "authorization" { format!("Bearer {token}") } else { token });
        Self { app: wrapped(layer), field, key, tokens }
    }

    /// A request with one token, and the signature of one with another token, or none.
    fn request(&self, sent: &str, signed_as: Option<&str>) -> Builder {
        let field = signed_as.map(|value| pair(self.field, value));
        let components: Vec<_> = covered("GET", "/").into_iter().chain(field).collect();
        let request = Request::get("/").header(self.field, sent);
        signed(request, &self.key, &components, &parameters(START.as_secs(), "k1"))
    }

    async fn send(&self, sent: &str, signed_as: Option<&str>) -> Answer {
        send(&self.app, self.request(sent, signed_as), "").await
    }
}

// (231)
#[tokio::test]
async fn signed_request_for_one_subject_is_refused_for_another_one() {
    for field in ["authorization", "x-user-token"] {
        let acting = Acting::new(field, |policy| policy);
        let [alice, bob] = &acting.tokens;
        assert_refused(&acting.send(bob, Some(alice)).await, "signature_wrong");
        acting.send(alice, Some(alice)).await.assert_subject("agent:");
    }
}

// (231)
#[tokio::test]
async fn signature_that_does_not_cover_the_credential_of_the_subject_is_refused_and_it_is_named() {
    for field in ["authorization", "x-user-token"] {
        let components =
            |policy: SignaturePolicy| policy.components(["@method", "@target-uri"]).expect("they are enough");
        for acting in [Acting::new(field, |policy| policy), Acting::new(field, components)] {
            let answer = acting.send(&acting.tokens[1], None).await;
            assert_refused(&answer, "signature_not_covered");
            let accepted =
                format!(r#"sig1=("@method" "@target-uri" "{field}" "content-digest" "content-type");created"#);
            assert_eq!(answer.header("accept-signature"), Some(&*accepted));
        }
    }
}

// (231)
#[tokio::test]
async fn credential_of_the_subject_need_not_be_covered_only_by_a_danger() {
    for field in ["authorization", "x-user-token"] {
        let acting = Acting::new(field, |policy| policy.danger_components(["@method", "@target-uri"]).unwrap());
        acting.send(&acting.tokens[0], None).await.assert_subject("agent:");
    }
}

// (231)
#[tokio::test]
async fn signature_of_the_subject_covers_the_credential_of_the_caller() {
    let environment = Environment::default().with_clock(ManualClock::at(START));
    let issuer = TestIssuer::new("https://issuer.test").environment(&environment);
    let key = SigningKey::generate(Algorithm::EdDSA);
    let signatures = Signatures::new(SignaturePolicy::new(ORIGIN).unwrap(), agents(&key));
    let layer = AuthLayer::new(Jwt::new(rules(&issuer), issuer.clone()));
    let layer = layer.scheme(Bearer::from(Location::header("x-agent-token"))).environment(&environment);
    let app = wrapped(layer.acting_for(CredentialSource::new(signatures)).unwrap());
    let token = issuer.token("service").audience(AUDIENCE).sign();
    let request = |field: Option<(String, String)>| {
        let components: Vec<_> = covered("GET", "/").into_iter().chain(field).collect();
        let request = Request::get("/").header("x-agent-token", &token);
        signed(request, &key, &components, &parameters(START.as_secs(), "k1"))
    };
    send(&app, request(None), "").await.assert_reason(401, "signature_not_covered");
    send(&app, request(Some(pair("x-agent-token", &token))), "").await.assert_subject("service:");
}

// (231)
#[tokio::test]
async fn authorization_that_is_not_covered_is_refused_also_where_no_layer_reads_it() {
    let stack = Stack::new();
    let request = stack.get().header("authorization", "Basic YTpi");
    assert_refused(&stack.send(request).await, "signature_not_covered");
    // It is used up by nothing but a request that is admitted.
    stack.send(stack.get()).await.assert_subject("agent:");
}

// (216, 231)
#[tokio::test]
async fn request_is_not_accepted_again_without_authorization_by_a_signature_that_does_not_cover_it() {
    let stack = Stack::new();
    let now = START.as_secs();
    let whole = [&covered("GET", "/")[..], &[pair("authorization", "Basic YTpi")]].concat();
    let (less, parameters) = (covered("GET", "/"), parameters(now, "k1"));
    let both = [Labelled("a", &stack.key, &less, &parameters), Labelled("b", &stack.key, &whole, &parameters)];
    let request = signed_by_all(Request::get("/").header("authorization", "Basic YTpi"), &both);
    stack.send(request).await.assert_subject("agent:");
    assert_refused(&stack.send(stack.get()).await, "signature_replay");
}

/// A key that signs requests with two tokens that are bound to it.
struct OneKey {
    environment: Environment,
    issuer: TestIssuer,
    key: SigningKey,
    agent: String,
    user: String,
}

impl OneKey {
    fn new() -> Self {
        let environment = Environment::default().with_clock(ManualClock::at(START));
        let issuer = TestIssuer::new("https://issuer.test").environment(&environment);
        let key = SigningKey::named(Algorithm::EdDSA, "k1");
        let token = |name| issuer.token(name).audience(AUDIENCE).confirmation(&key.confirmation()).sign();
        let (agent, user) = (token("agent"), token("alice"));
        Self { environment, issuer, key, agent, user }
    }

    fn jwt(&self) -> Jwt {
        Jwt::new(rules(&self.issuer), self.issuer.clone())
    }

    fn proof(&self, policy: &SignaturePolicy) -> SignatureProof {
        SignatureProof::new(policy.clone(), [self.key.verifying_key()]).unwrap()
    }

    /// Sends one signed request with these fields twice.
    async fn send_twice(&self, layer: AuthLayer, subject: CredentialSource, fields: &[(&str, &str)]) -> [Answer; 2] {
        let app = wrapped(layer.environment(&self.environment).acting_for(subject).unwrap());
        let request = || {
            let request = fields.iter().fold(Request::get("/"), |request, (name, value)| request.header(*name, *value));
            let fields = fields.iter().map(|(name, value)| pair(name, value));
            let components: Vec<_> = covered("GET", "/").into_iter().chain(fields).collect();
            signed(request, &self.key, &components, &parameters(START.as_secs(), "k1"))
        };
        [send(&app, request(), "").await, send(&app, request(), "").await]
    }
}

fn header_token(field: &'static str) -> Bearer {
    Bearer::from(Location::header(field))
}

// (216)
#[tokio::test]
async fn one_signature_is_the_credential_of_the_caller_and_the_proof_of_the_subject_once() {
    let policy = SignaturePolicy::new(ORIGIN).unwrap();
    let replayable = policy.clone().danger_accept_replays();
    for (of_caller, of_subject) in [(&policy, &policy), (&policy, &replayable), (&replayable, &policy)] {
        let one = OneKey::new();
        let layer = AuthLayer::new(Signatures::new(of_caller.clone(), agents(&one.key)));
        let users = CredentialSource::new(one.jwt()).scheme(header_token("x-user-token")).proof(one.proof(of_subject));
        let [first, second] = one.send_twice(layer, users, &[("x-user-token", &one.user)]).await;
        first.assert_subject("agent:");
        second.assert_reason(401, "signature_replay");
    }
}

// (216)
#[tokio::test]
async fn one_signature_proves_both_credentials_once() {
    let policy = SignaturePolicy::new(ORIGIN).unwrap();
    let replayable = policy.clone().danger_accept_replays();
    for (of_caller, of_subject) in [(&policy, &policy), (&policy, &replayable), (&replayable, &policy)] {
        let one = OneKey::new();
        let layer = AuthLayer::new(one.jwt()).scheme(header_token("x-agent-token"));
        let layer = layer.proof(one.proof(of_caller));
        let users = CredentialSource::new(one.jwt()).scheme(header_token("x-user-token")).proof(one.proof(of_subject));
        let fields = [("x-agent-token", &*one.agent), ("x-user-token", &*one.user)];
        let [first, second] = one.send_twice(layer, users, &fields).await;
        first.assert_subject("agent:");
        second.assert_reason(401, "signature_replay");
    }
}

// (216)
#[tokio::test]
async fn one_signature_is_the_proof_of_the_caller_and_the_credential_of_the_subject_once() {
    let policy = SignaturePolicy::new(ORIGIN).unwrap();
    let replayable = policy.clone().danger_accept_replays();
    for (of_caller, of_subject) in [(&policy, &policy), (&policy, &replayable), (&replayable, &policy)] {
        let one = OneKey::new();
        let layer = AuthLayer::new(one.jwt()).scheme(header_token("x-agent-token")).proof(one.proof(of_caller));
        let users = CredentialSource::new(Signatures::new(of_subject.clone(), agents(&one.key)));
        let [first, second] = one.send_twice(layer, users, &[("x-agent-token", &one.agent)]).await;
        first.assert_subject("agent:");
        second.assert_reason(401, "signature_replay");
    }
}

// (216)
#[tokio::test]
async fn each_signature_of_a_request_is_used_once_although_a_proof_of_the_caller_is_not_recorded() {
    let policy = SignaturePolicy::new(ORIGIN).unwrap();
    let one = OneKey::new();
    let layer = AuthLayer::new(one.jwt()).scheme(header_token("x-agent-token"));
    let layer = layer.proof(one.proof(&policy.clone().danger_accept_replays()));
    let users = CredentialSource::new(one.jwt()).scheme(header_token("x-user-token")).proof(one.proof(&policy));
    let app = wrapped(layer.environment(&one.environment).acting_for(users).unwrap());
    let fields = [("x-agent-token", &*one.agent), ("x-user-token", &*one.user)];
    let request = || fields.iter().fold(Request::get("/"), |request, (name, value)| request.header(*name, *value));
    let components: Vec<_> =
        covered("GET", "/").into_iter().chain(fields.iter().map(|(name, value)| pair(name, value))).collect();
    let [first, second] = [START.as_secs(), START.as_secs() - 1].map(|created| parameters(created, "k1"));
    let both = signed_by_all(
        request(),
        &[Labelled("one", &one.key, &components, &first), Labelled("two", &one.key, &components, &second)],
    );
    send(&app, both, "").await.assert_subject("agent:");
    // The second one alone.
    send(&app, signed(request(), &one.key, &components, &second), "").await.assert_reason(401, "signature_replay");
}

// (216)
#[tokio::test]
async fn a_signature_is_recorded_for_each_credential_with_a_guard_of_its_own() {
    let one = OneKey::new();
    let policy = || SignaturePolicy::new(ORIGIN).unwrap();
    let of_subject = policy();
    let users = || CredentialSource::new(one.jwt()).scheme(header_token("x-user-token")).proof(one.proof(&of_subject));
    let fields = [("x-user-token", &*one.user), ("x-agent-token", &*one.agent)];
    let layer = AuthLayer::new(Signatures::new(policy(), agents(&one.key)));
    let [first, second] = one.send_twice(layer, users(), &fields).await;
    first.assert_subject("agent:");
    second.assert_reason(401, "signature_replay");
    // Nor does it prove the token of the subject again beside another credential of a caller.
    let layer = AuthLayer::new(one.jwt()).scheme(header_token("x-agent-token")).proof(one.proof(&policy()));
    for again in one.send_twice(layer, users(), &fields).await {
        again.assert_reason(401, "signature_replay");
    }
}
