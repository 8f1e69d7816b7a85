//! The syntax of messages: what serde_json reads in one way only is read, and nothing else.

use proptest::{prelude::*, sample::select};

use super::*;

/// The error of JSON-RPC for a body that is not JSON, or that parsers read differently.
const PARSE_ERROR: i64 = -32_700;

/// A value where it is built, where it is built unless it is an object or array, and where it is only checked.
fn bodies(value: &str) -> [String; 3] {
    ["ref", "other", "arguments"].map(|name| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo","{name}":{value}}}}}"#)
    })
}

/// Returns whether a body is read as JSON.
async fn is_read(server: &Server, token: &str, body: &str) -> bool {
    let answer = server.send(post(token, LEGACY).body(Full::from(body.to_owned())).unwrap()).await;
    answer.rejection.is_none() || answer.json()["error"]["code"] != PARSE_ERROR
}

#[tokio::test]
async fn values_that_are_not_json_are_refused_wherever_they_are() {
    let server = Server::new();
    let token = server.token("alice", "mcp:tools");
    let long = "1".repeat(400);
    for value in [
        "",
        " ",
        "01",
        "-01",
        "00",
        "-",
        "+1",
        "1.",
        ".5",
        "-.5",
        "1.e5",
        "1e",
        "1e+",
        "1e5.5",
        "0x10",
        "1_0",
        "1e999",
        "-1e999",
        &long,
        "NaN",
        "Infinity",
        "tru",
        "True",
        "truee",
        "nul",
        "nullx",
        "'a'",
        "\"a",
        "\"a\nb\"",
        "\"\t\"",
        "\"\u{1f}\"",
        "\"\0\"",
        r#""\x41""#,
        r#""\u12g4""#,
        r#""\u12""#,
        r#""\U0061""#,
        r#""\ud800""#,
        r#""\ude00""#,
        r#""\ud800\u0061""#,
        r#""\ud800\ud800""#,
        r#""\ud800a""#,
        r#""\""#,
        "[",
        "[1",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1}",
        "{",
        "{]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "{a:1}",
        "{1:1}",
        "{\"a\" 1}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":1,,\"b\":2}",
        "{null:1}",
        "/**/1",
        "1//",
        "\u{feff}1",
        "\u{a0}1",
        "\u{b}1",
        "1,2",
        "[1]]",
        "{\"a\":1}}",
        "\"a\"\"b\"",
        r#"{"a":1,"\u0061":2}"#,
        r#"{"":1,"":2}"#,
        r#"[{"b":[{"a":1,"a":1}]}]"#,
        r#"{"$serde_json::private::":1}"#,
    ] {
        for body in bodies(value) {
            assert!(!is_read(&server, &token, &body).await, "{body}");
        }
    }
    assert_eq!(server.reached.count(), 0);
    for value in [
        "0",
        "-0",
        "-0.0",
        "0e999",
        "1E5",
        "1e+5",
        "1e-999",
        "123456789012345678901234567890",
        "0.1",
        "true",
        "null",
        "\"\"",
        "\"é\u{7f}\u{2028}\"",
        r#""\"\\\/\b\f\n\r\t\u0000\u00e9\uD83D\uDE00\uffff""#,
        "[]",
        "[ ]",
        "{ }",
        " [ 1 , { \"a\" : \"b\" } ] ",
        "\r\n\t1",
        r#"{"a":{"a":{"a":1}},"b":{"a":1}}"#,
        r#"["a","a"]"#,
        r#"{"a":"$serde_json::private::Number"}"#,
    ] {
        for body in bodies(value) {
            assert!(is_read(&server, &token, &body).await, "{body}");
        }
    }
}

#[tokio::test]
async fn a_duplicate_among_many_names_is_refused() {
    let server = Server::new();
    let token = server.token("alice", "mcp:tools");
    let object = |names: &[usize]| {
        let members: Vec<_> = names.iter().map(|name| format!("\"name {name}\":{{\"name 1\":0}}")).collect();
        format!("{{{}}}", members.join(","))
    };
    let many: Vec<_> = (0..100).collect();
    for duplicate in [0, 15, 16, 17, 99] {
        let names: Vec<_> = many.iter().copied().chain([duplicate]).collect();
        for body in bodies(&object(&names)) {
            assert!(!is_read(&server, &token, &body).await, "{duplicate}");
        }
    }
    for body in bodies(&object(&many)) {
        assert!(is_read(&server, &token, &body).await);
    }
}

#[tokio::test]
async fn a_duplicate_that_is_written_with_escapes_is_refused() {
    let server = Server::new();
    let token = server.token("alice", "mcp:tools");
    let object = |names: usize, last: &str| {
        let members: String = (0..names).map(|name| format!("\"name {name}\":0,")).collect();
        format!("{{{members}\"{last}\":[{{\"a\":1,\"b\":2}},{{\"a\":1}}]}}")
    };
    for names in [1, 2, 3, 15, 16, 17, 100] {
        let last = names - 1;
        for (last, is_distinct) in [
            (format!("name {names}"), true),
            (format!("n\\u0061me {names}"), true),
            (format!("name {last}"), false),
            (format!("n\\u0061me {last}"), false),
            (format!("name\\u0020{last}"), false),
        ] {
            for body in bodies(&object(names, &last)) {
                assert_eq!(is_read(&server, &token, &body).await, is_distinct, "{body}");
            }
        }
    }
}

/// What the guard builds of a body takes many times the room of the body, and what it checks takes none.
#[tokio::test]
async fn a_body_of_which_too_much_would_be_built_is_refused() {
    let server = Server::new();
    let token = server.token("alice", "mcp:tools");
    let numbers = vec!["0"; 100_000].join(",");
    for (value, is_built) in [
        (format!("[{numbers}]"), true),
        (format!(r#"[[{numbers}]]"#), false),
        (format!(r#"{{"a":[{numbers}]}}"#), false),
    ] {
        let [built, other, arguments] = bodies(&value);
        assert_eq!(is_read(&server, &token, &built).await, !is_built);
        assert!(is_read(&server, &token, &other).await && is_read(&server, &token, &arguments).await);
    }
    let members = |count: usize| (0..count).map(|name| format!("\"{name}\":0")).collect::<Vec<_>>().join(",");
    for (count, is_admitted) in [(4_000, true), (5_000, false)] {
        let [built, other, arguments] = bodies(&format!("{{{}}}", members(count)));
        assert_eq!(is_read(&server, &token, &built).await, is_admitted);
        assert!(is_read(&server, &token, &other).await && is_read(&server, &token, &arguments).await);
    }
    let ids = vec!["\"t\""; 5_000].join(",");
    let listen = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{{"notifications":{{"taskIds":[{ids}]}}}}}}"#
    );
    assert!(!is_read(&server, &token, &listen).await);
}

/// The end of a string is searched in words and in blocks of them.
#[tokio::test]
async fn the_first_byte_that_ends_a_string_is_found_at_any_place() {
    let server = Server::new();
    let token = server.token("alice", "mcp:tools");
    for length in [1, 7, 8, 9, 15, 16, 31, 32, 33, 39, 40, 41, 63, 64, 65, 72, 73, 96, 97, 105] {
        for place in 0..length {
            let text = |byte: &str| {
                // `!` and `#` are beside the quote, `\u{7f}` and `]` are similar to what ends a string too.
                let plain = "!#]\u{7f} ".chars().cycle().take(length - 1).collect::<String>();
                format!("\"{}{byte}{}\"", &plain[..place], &plain[place..])
            };
            for (byte, is_valid) in [
                ("a", true),
                ("\u{e9}", true),
                ("\u{1f600}", true),
                ("\\\"", true),
                ("\\\\", true),
                ("\\u0000", true),
                ("\\q", false),
                ("\0", false),
                ("\n", false),
                ("\u{1f}", false),
                ("\"", false),
            ] {
                let body = &bodies(&text(byte))[2];
                assert_eq!(is_read(&server, &token, body).await, is_valid, "{body:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_name_with_escapes_is_that_of_the_declared_tool() {
    let tool = "na\u{ef}ve \u{1f600}/\"x\"\n";
    let server = Server::with(|server| server.tool(tool, ()), |_| ok(&json!({})));
    let token = server.token("alice", "mcp:tools");
    for name in [
        "\"na\u{ef}ve \u{1f600}/\\\"x\\\"\\n\"",
        r#""na\u00efve \ud83d\ude00\/\"x\"\n""#,
        r#""\u006e\u0061\u00EF\u0076\u0065\u0020\uD83D\uDE00\u002f\u0022\u0078\u0022\u000A""#,
    ] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"m\u0065thod":"tools\/call","params":{{"name":{name}}}}}"#);
        server.send(post(&token, LEGACY).body(Full::from(body)).unwrap()).await.assert_admitted();
        assert_eq!(server.reached.last().tools().collect::<Vec<_>>(), [tool]);
    }
}

/// Values that are often not JSON.
fn value() -> impl Strategy<Value = String> {
    let plain = select(vec![
        "0",
        "-0",
        "01",
        "1.",
        "-",
        "1.5e+3",
        "1e400",
        "0e999",
        "12345678901234567890123",
        "true",
        "false",
        "null",
        "nul",
        "\"\"",
        "\"a\"",
        "\"é\"",
        r#""\u0061""#,
        r#""\ud83d\ude00""#,
        r#""\ud800""#,
        r#""\ude00\ud800""#,
        r#""\n\\\"""#,
        r#""\q""#,
        "\"\n\"",
        "\"",
        "\"0123456\"",
        "\"01234567\"",
        "\"a text that is longer than a block of words, and ends \u{e9} \\u00e9 after it\"",
        "[]",
        "{}",
    ]);
    let space = || select(vec!["", "", "", "", " ", "\n", "\t\r ", "\u{b}"]);
    plain.prop_map(str::to_owned).prop_recursive(4, 24, 4, move |inner| {
        let item = (space(), inner, space()).prop_map(|(before, value, after)| format!("{before}{value}{after}"));
        let name = select(vec!["\"a\"", "\"b\"", "\"c\"", r#""\u0061""#, "\"é\"", "\"\"", "\"a longer name\""]);
        let member = (space(), name, space(), item.clone())
            .prop_map(|(before, name, after, value)| format!("{before}{name}{after}:{value}"));
        prop_oneof![
            prop::collection::vec(item, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    })
}

/// The same with a character in it replaced, removed or added.
fn mutated() -> impl Strategy<Value = String> {
    let other =
        select(vec!["", "\"", "\\", "{", "}", "[", "]", ",", ":", "0", "-", ".", "e", "u", " ", "\u{1}", "\u{e9}"]);
    (value(), any::<prop::sample::Index>(), other, 0..3_usize).prop_map(|(value, place, other, kind)| {
        let mut characters: Vec<String> = value.chars().map(String::from).collect();
        let place = place.index(characters.len());
        match kind {
            0 => characters[place] = other.to_owned(),
            1 => characters[place].push_str(other),
            _ => {}
        }
        characters.concat()
    })
}

/// Returns whether serde_json reads a body in one way: it is JSON, and has as many members as colons between tokens.
fn is_unambiguous(body: &str) -> bool {
    fn size(value: &Value) -> (usize, usize) {
        let inner: Vec<_> = match value {
            Value::Array(items) => items.iter().map(size).collect(),
            Value::Object(members) => members.values().map(size).collect(),
            _ => return (0, 0),
        };
        let own = value.as_object().map_or(0, serde_json::Map::len);
        let depth = inner.iter().map(|(_, depth)| *depth).max().unwrap_or_default();
        (own + inner.iter().map(|(members, _)| members).sum::<usize>(), depth + 1)
    }
    let Ok(value) = serde_json::from_str(body) else { return false };
    let (mut colons, mut is_text, mut is_escaped) = (0, false, false);
    for character in body.chars() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => is_text = !is_text,
            ':' if !is_text => colons += 1,
            _ => {}
        }
    }
    let (members, depth) = size(&value);
    members == colons && depth <= 32
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn a_message_is_read_if_serde_json_reads_it_in_one_way(value in mutated()) {
        thread_local! {
            static SERVER: (Server, String, tokio::runtime::Runtime) = {
                let server = Server::new();
                let token = server.token("alice", "mcp:tools");
                (server, token, tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap())
            };
        }
        SERVER.with(|(server, token, runtime)| {
            for body in bodies(&value) {
                let is_read = runtime.block_on(is_read(server, token, &body));
                prop_assert_eq!(is_read, is_unambiguous(&body), "{}", body);
            }
            Ok(())
        })?;
    }
}
