//! Requests that were changed on the way, and malformed header fields.

use http::{Request, request::Builder};

use crate::{
    signed::{Stack, assert_refused, covered, input, pair, parameters, signature, signed},
    support::START,
};

fn with(stack: &Stack, request: Builder, components: &[(String, String)]) -> Builder {
    signed(request, &stack.key, components, &parameters(START.as_secs(), "k1"))
}

#[tokio::test]
async fn flipped_component_is_refused() {
    let stack = Stack::new();
    let components = || {
        let mut components = covered("GET", "/a?b=c");
        components.extend([
            pair("@path", "/a"),
            pair("@query", "?b=c"),
            pair("date", "today"),
            pair("@scheme", "https"),
        ]);
        components
    };
    let request = |method: &str, target: &str, date: &str| {
        let request = Request::builder().method(method).uri(target).header("date", date);
        with(&stack, request, &components())
    };
    for (method, target, date) in [
        ("HEAD", "/a?b=c", "today"),
        ("GET", "/b?b=c", "today"),
        ("GET", "/a?b=d", "today"),
        ("GET", "/a?b=c", "Today"),
    ] {
        assert_refused(&stack.send(request(method, target, date)).await, "signature_wrong");
    }
    stack.send(request("GET", "/a?b=c", "today")).await.assert_subject("agent:");
}

// (219)
#[tokio::test]
async fn reordered_list_of_components_is_refused() {
    let stack = Stack::new();
    let (mut components, parameters) = (covered("GET", "/"), parameters(START.as_secs(), "k1"));
    let signature = signature(&stack.key, &components, &parameters);
    components.reverse();
    let request = Request::get("/")
        .header("signature-input", format!("sig1={}", input(&components, &parameters)))
        .header("signature", format!("sig1={signature}"));
    assert_refused(&stack.send(request).await, "signature_wrong");
}

// (219)
#[tokio::test]
async fn reordered_parameters_are_refused() {
    let stack = Stack::new();
    let components = covered("GET", "/");
    let signature = signature(&stack.key, &components, &parameters(START.as_secs(), "k1"));
    let request = Request::get("/")
        .header("signature-input", format!("sig1={}", input(&components, &format!(";keyid=\"k1\";created={START}"))))
        .header("signature", format!("sig1={signature}"));
    assert_refused(&stack.send(request).await, "signature_wrong");
}

// (220)
#[tokio::test]
async fn duplicate_field_lines_are_all_covered() {
    let stack = Stack::new();
    let mut components = covered("GET", "/");
    components.push(pair("x-role", "reader"));
    let request = |lines: &[&str]| {
        let request = lines.iter().fold(Request::get("/"), |request, line| request.header("x-role", *line));
        with(&stack, request, &components)
    };
    assert_refused(&stack.send(request(&["reader", "admin"])).await, "signature_wrong");
    assert_refused(&stack.send(request(&["admin", "reader"])).await, "signature_wrong");
    assert_refused(&stack.send(request(&["reader", ""])).await, "signature_wrong");
    stack.send(request(&["reader"])).await.assert_subject("agent:");
}

#[tokio::test]
async fn one_line_with_a_comma_is_two_lines_unless_bytes_are_covered() {
    let stack = Stack::new();
    let base = covered("GET", "/");
    let combined = [&base[..], &[pair("x-list", "a, b")]].concat();
    let bytes = [&base[..], &[("\"x-list\";bs".to_owned(), ":YQ==:, :Yg==:".to_owned())]].concat();
    let one = || Request::get("/").header("x-list", "a, b");
    let two = || Request::get("/").header("x-list", "a").header("x-list", "b");
    assert_refused(&stack.send(with(&stack, one(), &bytes)).await, "signature_wrong");
    stack.send(with(&stack, two(), &bytes)).await.assert_subject("agent:");
    stack.send(with(&stack, one(), &combined)).await.assert_subject("agent:");
}

// (221)
#[tokio::test]
async fn folded_whitespace_is_not_removed_inside_of_a_value() {
    let stack = Stack::new();
    let components = [&covered("GET", "/")[..], &[pair("x-text", "a b")]].concat();
    let request = |text: &str| with(&stack, Request::get("/").header("x-text", text), &components);
    assert_refused(&stack.send(request("a  b")).await, "signature_wrong");
    assert_refused(&stack.send(request("a\tb")).await, "signature_wrong");
    stack.send(request(" \ta b \t")).await.assert_subject("agent:");
}

// (222)
#[tokio::test]
async fn absent_component_is_refused() {
    let stack = Stack::new();
    for (name, value) in [
        ("\"x-absent\"", ""),
        ("\"x-absent\";bs", ""),
        ("\"@query-param\";name=\"b\"", ""),
        ("\"priority\";key=\"i\"", ""),
        ("\"x-unknown\";sf", "a"),
        ("\"priority\";sf", "("),
        ("\"x-latin\"", "ä"),
    ] {
        let components = [&covered("GET", "/")[..], &[(name.to_owned(), value.to_owned())]].concat();
        let latin = http::HeaderValue::from_bytes(b"\xe4").unwrap();
        let request =
            Request::get("/").header("x-unknown", "a").header("priority", "(").header("x-latin", latin.clone());
        assert_refused(&stack.send(with(&stack, request, &components)).await, "signature_component_absent");
    }
}

// (222)
#[tokio::test]
async fn component_that_is_listed_twice_is_refused() {
    let stack = Stack::new();
    for name in ["\"@method\"", "\"date\"", "\"date\";bs"] {
        let twice = [(name.to_owned(), "GET".to_owned()), (name.to_owned(), "GET".to_owned())];
        let components = [&covered("GET", "/")[1..], &twice].concat();
        let request = with(&stack, Request::get("/").header("date", "GET"), &components);
        assert_refused(&stack.send(request).await, "signature_component");
    }
}

// (229)
#[tokio::test]
async fn query_parameter_that_occurs_twice_is_refused() {
    let stack = Stack::new();
    let parameter = ("\"@query-param\";name=\"a\"".to_owned(), "1".to_owned());
    let components = |target: &str| [&covered("GET", target)[..], std::slice::from_ref(&parameter)].concat();
    let request = |target: &str| with(&stack, Request::get(target), &components(target));
    for target in ["/?a=1&a=1", "/?a=1&%61=2", "/?a=%ff", "/?b=1"] {
        assert_refused(&stack.send(request(target)).await, "signature_component_absent");
    }
    stack.send(request("/?a=1&b=2")).await.assert_subject("agent:");
}

#[tokio::test]
async fn query_parameter_is_encoded_as_forms_are() {
    let stack = Stack::new();
    for (sent, covered_value) in [
        ("a%2fb", "a%2Fb"),
        ("%41+b", "A%20b"),
        ("!'()~*-._", "%21%27%28%29%7E*-._"),
        ("%c3%a4&c", "%C3%A4"),
        ("100%", "100%25"),
    ] {
        let target = format!("/?a={sent}");
        let parameter = ("\"@query-param\";name=\"a\"".to_owned(), covered_value.to_owned());
        let components = [&covered("GET", &target)[..], &[parameter]].concat();
        stack.send(with(&stack, Request::get(&target), &components)).await.assert_subject("agent:");
    }
}

// (226)
#[tokio::test]
async fn labels_that_differ_are_malformed() {
    let stack = Stack::new();
    let input = input(&covered("GET", "/"), &parameters(START.as_secs(), "k1"));
    let good = signature(&stack.key, &covered("GET", "/"), &parameters(START.as_secs(), "k1"));
    for (inputs, signatures) in [
        (Some(format!("a={input}")), Some(format!("b={good}"))),
        (Some(format!("a={input}, b={input}")), Some(format!("a={good}"))),
        (Some(format!("a={input}")), Some(format!("a={good}, b={good}"))),
        (Some(format!("a={input}")), None),
        (None, Some(format!("a={good}"))),
        (Some(String::new()), Some(String::new())),
    ] {
        let fields = [("signature-input", inputs), ("signature", signatures)];
        let fields = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let request = fields.fold(Request::get("/"), |request, (name, value)| request.header(name, value));
        stack.send(request).await.assert_reason(400, "signature_labels");
    }
}

// (226)
#[tokio::test]
async fn malformed_fields_are_refused_and_never_absent() {
    let stack = Stack::new();
    let input = input(&covered("GET", "/"), &parameters(START.as_secs(), "k1"));
    let good = signature(&stack.key, &covered("GET", "/"), &parameters(START.as_secs(), "k1"));
    let (inputs, signatures) = (format!("a={input}"), format!("a={good}"));
    for (inputs, signatures) in [
        ("a=(", &*signatures),
        ("a=1", &signatures),
        ("A=()", &signatures),
        ("ä", &signatures),
        (&inputs, "a=\"c2ln\""),
        (&inputs, "a=(:AAAA:)"),
        (&inputs, "a=:*:"),
        (&inputs, "a"),
        (&format!("{inputs}, a=()"), &signatures),
        (&inputs, &format!("{signatures}, {signatures}")),
    ] {
        let request = Request::get("/").header("signature-input", inputs).header("signature", signatures);
        stack.send(request).await.assert_reason(400, "signature_syntax");
    }
}

// (227)
#[tokio::test]
async fn number_of_signatures_and_components_is_bounded() {
    let stack = Stack::new();
    let nine = |value: &str| (0..9).map(|n| format!("s{n}={value}")).collect::<Vec<_>>().join(", ");
    let input = input(&covered("GET", "/"), &parameters(START.as_secs(), "k1"));
    let request = Request::get("/").header("signature-input", nine(&input)).header("signature", nine(":AAAA:"));
    stack.send(request).await.assert_reason(400, "signature_syntax");

    let long = Request::get("/").header("signature-input", format!("a=({})", "\"x\" ".repeat(5_000)));
    stack.send(long.header("signature", "a=:AAAA:")).await.assert_reason(400, "signature_too_long");

    let many: Vec<_> = (0..33).map(|n| pair(&format!("x-{n}"), "")).collect();
    let request = with(&stack, Request::get("/"), &[&covered("GET", "/")[..], &many].concat());
    stack.send(request).await.assert_reason(400, "signature_too_long");
}
