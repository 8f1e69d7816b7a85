//! What a signature must cover and say, and when it is accepted.

use http::Request;
use tower_warden::{ConfigErrorKind, signature::SignaturePolicy};

use crate::{
    signed::{ORIGIN, Stack, assert_refused, covered, input, pair, parameters, seconds, signature, signed},
    support::START,
};

#[tokio::test]
async fn signed_request_is_admitted_as_the_holder_of_the_key() {
    let stack = Stack::new();
    stack.send(stack.get()).await.assert_subject("agent:");
}

#[tokio::test]
async fn request_without_a_signature_is_asked_for_one() {
    let stack = Stack::with(|policy| policy.tag("billing").unwrap());
    let answer = stack.send(Request::get("/")).await;
    answer.assert_reason(401, "credential_missing");
    assert_eq!(answer.header("www-authenticate"), Some("Signature realm=\"api\""));
    let accepted = r#"sig1=("@method" "@target-uri" "content-digest" "content-type");created;tag="billing""#;
    assert_eq!(answer.header("accept-signature"), Some(accepted));
}

#[tokio::test]
async fn authority_with_path_and_query_is_the_whole_target() {
    let stack = Stack::new();
    let all = [pair("@method", "GET"), pair("@authority", "api.test"), pair("@path", "/a"), pair("@query", "?b=c")];
    let request = |components: &[(String, String)]| {
        signed(Request::get("/a?b=c"), &stack.key, components, &parameters(START.as_secs(), "k1"))
    };
    stack.send(request(&all)).await.assert_subject("agent:");
    for missing in 0..all.len() {
        let mut less = all.to_vec();
        less.remove(missing);
        assert_refused(&stack.send(request(&less)).await, "signature_not_covered");
    }
}

// (212)
#[tokio::test]
async fn signature_that_covers_nothing_is_refused() {
    let stack = Stack::new();
    let request = signed(Request::get("/"), &stack.key, &[], &parameters(START.as_secs(), "k1"));
    assert_refused(&stack.send(request).await, "signature_not_covered");
}

// (213)
#[tokio::test]
async fn stale_signature_is_refused() {
    let stack = Stack::new();
    let request = || stack.get();
    stack.clock.advance(seconds(300));
    stack.send(request()).await.assert_subject("agent:");
    stack.clock.advance(seconds(1));
    assert_refused(&stack.send(request()).await, "signature_too_old");
}

// (214)
#[tokio::test]
async fn signature_of_the_future_is_refused() {
    let stack = Stack::new();
    let request = |created| signed(Request::get("/"), &stack.key, &covered("GET", "/"), &parameters(created, "k1"));
    assert_refused(&stack.send(request(START.as_secs() + 61)).await, "signature_in_future");
    stack.send(request(START.as_secs() + 60)).await.assert_subject("agent:");
}

// (215)
#[tokio::test]
async fn expired_signature_is_refused() {
    let stack = Stack::new();
    let now = START.as_secs();
    let request = |expires: u64| {
        let parameters = format!(";created={now};expires={expires};keyid=\"k1\"");
        signed(Request::get("/"), &stack.key, &covered("GET", "/"), &parameters)
    };
    stack.clock.advance(seconds(10));
    assert_refused(&stack.send(request(now + 9)).await, "signature_expired");
    stack.send(request(now + 10)).await.assert_subject("agent:");
    assert_refused(&stack.send(request(now - 1)).await, "signature_parameter");
}

#[tokio::test]
async fn signature_without_created_is_refused() {
    let request = |stack: &Stack| signed(Request::get("/"), &stack.key, &covered("GET", "/"), ";keyid=\"k1\"");
    let stack = Stack::new();
    assert_refused(&stack.send(request(&stack)).await, "signature_created_missing");
    let lax = Stack::with(SignaturePolicy::danger_accept_without_created);
    lax.send(request(&lax)).await.assert_subject("agent:");
}

#[tokio::test]
async fn created_that_is_no_integer_is_refused() {
    let stack = Stack::new();
    for created in ["1800000000.0", "-1", "\"1800000000\"", "@1800000000"] {
        let parameters = format!(";created={created};keyid=\"k1\"");
        let request = signed(Request::get("/"), &stack.key, &covered("GET", "/"), &parameters);
        assert_refused(&stack.send(request).await, "signature_parameter");
    }
}

#[tokio::test]
async fn signature_without_a_key_id_is_refused() {
    let stack = Stack::new();
    let request = signed(Request::get("/"), &stack.key, &covered("GET", "/"), &format!(";created={START}"));
    assert_refused(&stack.send(request).await, "signature_key_missing");
}

#[tokio::test]
async fn signature_needs_the_tag_of_the_application() {
    let request = |stack: &Stack, tag: &str| {
        let parameters = format!("{}{tag}", parameters(START.as_secs(), "k1"));
        signed(Request::get("/"), &stack.key, &covered("GET", "/"), &parameters)
    };
    let tagged = Stack::with(|policy| policy.tag("billing").unwrap());
    tagged.send(request(&tagged, ";tag=\"billing\"")).await.assert_subject("agent:");
    assert_refused(&tagged.send(request(&tagged, ";tag=\"other\"")).await, "signature_tag");
    assert_refused(&tagged.send(request(&tagged, "")).await, "signature_tag");
    let untagged = Stack::new();
    assert_refused(&untagged.send(request(&untagged, ";tag=\"billing\"")).await, "signature_tag");
}

#[tokio::test]
async fn required_nonce_is_required() {
    let stack = Stack::with(SignaturePolicy::require_nonce);
    assert_refused(&stack.send(stack.get()).await, "signature_nonce_missing");
    let parameters = format!("{};nonce=\"n-1\"", parameters(START.as_secs(), "k1"));
    stack.send(signed(Request::get("/"), &stack.key, &covered("GET", "/"), &parameters)).await.assert_subject("agent:");
}

#[tokio::test]
async fn required_field_is_covered_in_any_form_of_the_whole_field() {
    let policy = |policy: SignaturePolicy| policy.components(["@method", "@authority", "authorization"]).unwrap();
    let stack = Stack::with(policy);
    let base = [pair("@method", "GET"), pair("@authority", "api.test")];
    let request = |last: Option<(&str, &str)>| {
        let last = last.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let components: Vec<_> = base.iter().cloned().chain(last).collect();
        let request = Request::get("/").header("authorization", "token");
        signed(request, &stack.key, &components, &parameters(START.as_secs(), "k1"))
    };
    assert_refused(&stack.send(request(None)).await, "signature_not_covered");
    stack.send(request(Some(("\"authorization\"", "token")))).await.assert_subject("agent:");
    stack.send(request(Some(("\"authorization\";bs", ":dG9rZW4=:")))).await.assert_subject("agent:");
}

// (225)
#[tokio::test]
async fn two_signatures_are_judged_by_the_policy_and_not_by_their_order() {
    let stack = Stack::with(|policy| policy.tag("billing").unwrap());
    let (good, tag) = (covered("GET", "/"), format!("{};tag=\"billing\"", parameters(START.as_secs(), "k1")));
    let other = ([pair("@path", "/")], parameters(1, "proxy"));
    for (first, second) in [("a", "b"), ("b", "a")] {
        stack.clock.advance(seconds(1));
        let tag = format!("{tag};nonce=\"{first}\"");
        let request = Request::get("/")
            .header(
                "signature-input",
                format!("{first}={}, {second}={}", input(&good, &tag), input(&other.0, &other.1)),
            )
            .header("signature", format!("{second}=:AAAA:, {first}={}", signature(&stack.key, &good, &tag)));
        stack.send(request).await.assert_subject("agent:");
    }
}

// (225)
#[tokio::test]
async fn wrong_signature_before_a_good_one_makes_no_difference() {
    let stack = Stack::new();
    let (good, good_parameters) = (covered("GET", "/"), parameters(START.as_secs(), "k1"));
    let request = |wrong: &str| {
        Request::get("/")
            .header("signature-input", format!("a={}", input(&good, &parameters(START.as_secs(), wrong))))
            .header("signature-input", format!("b={}", input(&good, &good_parameters)))
            .header("signature", "a=:AAAA:")
            .header("signature", format!("b={}", signature(&stack.key, &good, &good_parameters)))
    };
    stack.send(request("k1")).await.assert_subject("agent:");
    stack.clock.advance(seconds(1));
    assert_refused(&stack.send(request("unknown")).await, "signature_replay");
}

#[tokio::test]
async fn signatures_that_are_all_wrong_are_refused() {
    let stack = Stack::new();
    let input = input(&covered("GET", "/"), &parameters(START.as_secs(), "k1"));
    let request = Request::get("/")
        .header("signature-input", format!("a={input}, b={input}"))
        .header("signature", "a=:AA==:, b=::");
    assert_refused(&stack.send(request).await, "signature_wrong");
}

// (228)
#[tokio::test]
async fn host_of_the_request_makes_no_difference() {
    let stack = Stack::new();
    let request = stack.get().header("host", "attacker.test").header("x-forwarded-host", "attacker.test");
    stack.send(request).await.assert_subject("agent:");
    let components = [pair("@method", "GET"), pair("@target-uri", "https://attacker.test/")];
    let request = signed(
        Request::get("/").header("host", "attacker.test"),
        &stack.key,
        &components,
        &parameters(START.as_secs(), "k1"),
    );
    assert_refused(&stack.send(request).await, "signature_wrong");
}

#[tokio::test]
async fn each_declared_origin_is_accepted_and_no_other() {
    let stack = Stack::with(|policy| policy.origin("https://eu.api.test").unwrap());
    for (origin, is_accepted) in [(ORIGIN, true), ("https://eu.api.test", true), ("https://us.api.test", false)] {
        let components = [pair("@method", "GET"), pair("@target-uri", &format!("{origin}/"))];
        let request = signed(Request::get("/"), &stack.key, &components, &parameters(START.as_secs(), "k1"));
        let answer = stack.send(request).await;
        assert_eq!(answer.status == 200, is_accepted, "{origin}: {answer:?}");
    }
}

#[tokio::test]
async fn prefix_that_a_proxy_removes_is_a_part_of_the_path() {
    let stack = Stack::with(|policy| policy.removed_prefix("/api").unwrap());
    let request =
        |path: &str| signed(Request::get("/a"), &stack.key, &covered("GET", path), &parameters(START.as_secs(), "k1"));
    stack.send(request("/api/a")).await.assert_subject("agent:");
    assert_refused(&stack.send(request("/a")).await, "signature_wrong");
}

#[test]
fn weak_policies_are_configuration_errors() {
    let policy = || SignaturePolicy::new(ORIGIN).unwrap();
    let results = [
        policy().components([]),
        policy().components(["@method"]),
        policy().components(["@authority", "@path"]),
        policy().components(["@method", "@path"]),
        policy().components(["@method", "@authority", "@status"]),
        policy().components(["@method", "@authority", "\"date\";req"]),
        policy().components(["@method", "@authority", "Date"]),
        policy().components(["@method", "@authority", "@method"]),
        policy().tag("ä"),
        policy().danger_components(["@signature-params"]),
        policy().max_age(seconds(86_401)),
        policy().skew(seconds(301)),
        policy().algorithms([]),
        policy().removed_prefix("api"),
        policy().origin("https://eu.test/path"),
        SignaturePolicy::new("http://api.test"),
        SignaturePolicy::new("https://user@api.test"),
        SignaturePolicy::new("api.test"),
    ];
    for result in results {
        assert_eq!(result.unwrap_err().kind(), ConfigErrorKind::Signature);
    }
    assert!(policy().components(["@method", "@target-uri"]).is_ok());
    assert!(policy().danger_components(["@path"]).is_ok());
}

#[tokio::test]
async fn origin_of_plain_http_is_accepted_only_by_a_danger() {
    let origin = "http://api.svc";
    assert_eq!(SignaturePolicy::new(origin).unwrap_err().kind(), ConfigErrorKind::Signature);
    assert!(SignaturePolicy::danger_plain_http("http://api.svc/path").is_err());
    let stack = Stack::with(|_| SignaturePolicy::danger_plain_http(origin).unwrap());
    let components = [pair("@method", "GET"), pair("@target-uri", "http://api.svc/")];
    let request = signed(Request::get("/"), &stack.key, &components, &parameters(START.as_secs(), "k1"));
    stack.send(request).await.assert_subject("agent:");
}
