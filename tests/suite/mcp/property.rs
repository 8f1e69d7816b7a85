//! The server never receives a call that the declaration refuses, judged by another reader of the same bytes.

use proptest::prelude::*;

use super::*;
use crate::fuzz::mcp::forbidden_calls;

/// A part of a body: members in any order, some of them twice or with odd names.
fn members() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "jsonrpc",
        "id",
        "method",
        "params",
        "name",
        "uri",
        "result",
        "Method",
        "m\\u0065thod",
        "arguments",
        "_meta",
        "$serde_json::private::RawValue",
        "$serde_json::private::Number",
    ]);
    let text = prop::sample::select(vec![
        "\"2.0\"",
        "1",
        "\"tools/call\"",
        "\"ping\"",
        "\"resources/read\"",
        "\"echo\"",
        "\"reset\"",
        "\"other\"",
        "null",
        "\"file:///public/a\"",
        "\"file:///public/../secret\"",
        "\"file:///secret\"",
        "{\"name\":\"reset\"}",
        "{\"name\":\"echo\"}",
        "\"{\\\"method\\\":\\\"tools/call\\\"}\"",
        "[]",
    ]);
    let value = text.prop_map(str::to_owned).prop_recursive(2, 8, 4, |inner| {
        let key = prop::sample::select(vec!["name", "uri", "taskId", "method", "Name", "ref", "type"]);
        prop::collection::vec((key, inner), 0..3)
            .prop_map(|members| object(members.into_iter().map(|(name, value)| (name.to_owned(), value))))
    });
    prop::collection::vec((name, value), 0..4).prop_flat_map(|odd| {
        let method = prop::sample::select(vec!["tools/call", "ping", "resources/read", "prompts/get", "tools/list"]);
        let params = prop::sample::select(vec![
            r#"{"name":"echo"}"#,
            r#"{"name":"reset"}"#,
            r#"{"uri":"file:///public/a"}"#,
            r#"{"uri":"file:///secret"}"#,
            r#"{"name":"greet"}"#,
            "{}",
        ]);
        (method, params).prop_map(move |(method, params)| {
            let usual = [("jsonrpc", "\"2.0\""), ("id", "1")].map(|(name, value)| (name.to_owned(), value.to_owned()));
            let call = [("method".to_owned(), format!("\"{method}\"")), ("params".to_owned(), params.to_owned())];
            let odd = odd.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
            object(usual.into_iter().chain(call).chain(odd))
        })
    })
}

fn object(members: impl IntoIterator<Item = (String, String)>) -> String {
    let members: Vec<_> = members.into_iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}

fn body() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => members(),
        2 => prop::collection::vec(members(), 0..3).prop_map(|messages| format!("[{}]", messages.join(","))),
        1 => any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_server_never_receives_a_call_that_is_refused(body in body(), version in prop::sample::select(vec![BATCHES, LEGACY])) {
        thread_local! {
            static SERVER: (Server, String, tokio::runtime::Runtime) = {
                let server = Server::new();
                let token = server.token("alice", "mcp:tools");
                (server, token, tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap())
            };
        }
        SERVER.with(|(server, token, runtime)| {
            let before = server.reached.count();
            let request = post(token, version).body(Full::from(body.clone())).unwrap();
            let answer = runtime.block_on(server.send(request));
            let received = server.reached.bodies().split_off(before);
            prop_assert_eq!(received.len() == 1, answer.rejection.is_none());
            for received in received {
                prop_assert_eq!(&received[..], body.as_bytes());
                prop_assert_eq!(forbidden_calls(&received, "file:///public/a"), Vec::<String>::new());
            }
            Ok(())
        })?;
    }
}
