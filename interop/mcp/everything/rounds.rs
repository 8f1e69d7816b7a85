//! Tools that ask the client for something: by results of type `input_required` (2026-07-28), and by requests of the server
//! (2025-11-25).

use rmcp::{
    ErrorData,
    model::{ClientCapabilities, InputResponses},
};
use serde_json::{Value, json};

use super::content::text;

/// A round of a tool of 2026-07-28: what it asks for, or its result.
pub(crate) fn round(
    name: &str,
    responses: &InputResponses,
    state: Option<&str>,
    capabilities: &ClientCapabilities,
) -> Result<Option<Value>, ErrorData> {
    let response = |key: &str| responses.get(key).filter(|value| value.is_object());
    let result = match name {
        "test_input_required_result_capabilities" => {
            let mut requests = json!({});
            if capabilities.elicitation.is_some() && response("user_name").is_none() {
                requests["user_name"] = elicitation("What is your name?", "name", "string");
            }
            if capabilities.sampling.is_some() && response("capital_question").is_none() {
                requests["capital_question"] = sampling("What is the capital of France?", 100);
            }
            if requests == json!({}) { done("complete") } else { ask(&requests, None) }
        }
        "test_input_required_result_elicitation" | "test_streaming_elicitation" => {
            match response("user_name").and_then(|given| given["content"]["name"].as_str()) {
                Some(name) => done(&format!("Hello, {name}!")),
                None => ask(&json!({ "user_name": elicitation("What is your name?", "name", "string") }), None),
            }
        }
        "test_input_required_result_list_roots" => match response("client_roots") {
            Some(roots) => done(&format!("The roots are {}", roots["roots"])),
            None => ask(&json!({ "client_roots": { "method": "roots/list", "params": {} } }), None),
        },
        "test_input_required_result_multi_round" => match (state, response("step1"), response("step2")) {
            (Some("round-2"), _, Some(step)) => done(&format!("The color is {}", step["content"]["color"])),
            (Some("round-1"), Some(_), _) => {
                let request = elicitation("Step 2: What is your favorite color?", "color", "string");
                ask(&json!({ "step2": request }), Some("round-2"))
            }
            _ => ask(&json!({ "step1": elicitation("Step 1: What is your name?", "name", "string") }), Some("round-1")),
        },
        "test_input_required_result_multiple_inputs" => {
            if ["user_name", "greeting", "client_roots"].into_iter().all(|key| response(key).is_some()) {
                done("all inputs have arrived")
            } else {
                let requests = json!({
                    "user_name": elicitation("What is your name?", "name", "string"),
                    "greeting": sampling("Generate a greeting", 50),
                    "client_roots": { "method": "roots/list", "params": {} },
                });
                ask(&requests, Some("inputs"))
            }
        }
        "test_input_required_result_prompt" => match response("user_context") {
            Some(given) => {
                let content = text(&format!("The context is {}", given["content"]["context"]));
                json!({ "messages": [{ "role": "user", "content": content }] })
            }
            None => {
                let request = elicitation("What context should the prompt use?", "context", "string");
                ask(&json!({ "user_context": request }), None)
            }
        },
        "test_input_required_result_request_state" | "test_input_required_result_tampered_state" => {
            // Stands for a state that is signed.
            match state {
                Some("opaque") if response("confirm").is_some() => done("state-ok"),
                Some("opaque") | None => {
                    ask(&json!({ "confirm": elicitation("Please confirm", "ok", "boolean") }), Some("opaque"))
                }
                Some(_) => return Err(ErrorData::invalid_params("the state is not one of this server", None)),
            }
        }
        "test_input_required_result_sampling" => match response("capital_question") {
            Some(given) => done(given["content"]["text"].as_str().unwrap_or_default()),
            None => ask(&json!({ "capital_question": sampling("What is the capital of France?", 100) }), None),
        },
        _ => return Ok(None),
    };
    Ok(Some(result))
}

pub(crate) fn ask(requests: &Value, state: Option<&str>) -> Value {
    let mut result = json!({ "resultType": "input_required", "inputRequests": requests });
    if let Some(state) = state {
        result["requestState"] = state.into();
    }
    result
}

pub(crate) fn done(message: &str) -> Value {
    json!({ "content": [text(message)], "isError": false })
}

pub(crate) fn elicitation(message: &str, property: &str, kind: &str) -> Value {
    let schema = json!({ "type": "object", "properties": { property: { "type": kind } }, "required": [property] });
    json!({ "method": "elicitation/create", "params": { "mode": "form", "message": message, "requestedSchema": schema } })
}

fn sampling(prompt: &str, tokens: u32) -> Value {
    let message = json!({ "role": "user", "content": text(prompt) });
    json!({ "method": "sampling/createMessage", "params": { "messages": [message], "maxTokens": tokens } })
}

/// The request that a tool of 2025-11-25 sends to the client.
pub(crate) fn server_request(name: &str, arguments: &Value) -> Option<Value> {
    let string = |description: &str| json!({ "type": "string", "description": description });
    let (message, properties, required) = match name {
        "test_elicitation" => {
            let properties = json!({ "username": string("User's response"), "email": string("User's email address") });
            (arguments["message"].as_str().unwrap_or_default(), properties, json!(["username", "email"]))
        }
        "test_elicitation_sep1034_defaults" => {
            let properties = json!({
                "name": { "type": "string", "default": "John Doe" },
                "age": { "type": "integer", "default": 30 },
                "score": { "type": "number", "default": 95.5 },
                "status": { "type": "string", "enum": ["active", "inactive", "pending"], "default": "active" },
                "verified": { "type": "boolean", "default": true },
            });
            ("Please complete the form", properties, json!([]))
        }
        "test_elicitation_sep1330_enums" => {
            let titled = |what: &str| {
                let option = |number: usize, name: &str| json!({ "const": format!("value{number}"), "title": format!("{name} {what}") });
                json!([option(1, "First"), option(2, "Second"), option(3, "Third")])
            };
            let options = json!(["option1", "option2", "option3"]);
            let properties = json!({
                "untitledSingle": { "type": "string", "enum": options },
                "titledSingle": { "type": "string", "oneOf": titled("Option") },
                "legacyEnum": {
                    "type": "string", "enum": ["opt1", "opt2", "opt3"],
                    "enumNames": ["Option One", "Option Two", "Option Three"],
                },
                "untitledMulti": { "type": "array", "items": { "type": "string", "enum": options } },
                "titledMulti": { "type": "array", "items": { "anyOf": titled("Choice") } },
            });
            ("Please choose", properties, json!([]))
        }
        "test_sampling" => return Some(sampling(arguments["prompt"].as_str().unwrap_or_default(), 100)),
        _ => return None,
    };
    let schema = json!({ "type": "object", "properties": properties, "required": required });
    Some(json!({ "method": "elicitation/create", "params": { "message": message, "requestedSchema": schema } }))
}

/// The result of a tool of 2025-11-25 after the response of the client.
pub(crate) fn after_response(name: &str, response: &Value) -> Value {
    match name {
        "test_sampling" => {
            let content = response["content"]["text"].as_str().unwrap_or_default();
            done(&format!("LLM response: {content}"))
        }
        "test_elicitation" => {
            done(&format!("User response: action={}, content={}", response["action"], response["content"]))
        }
        _ => done(&format!("Elicitation completed: action={}, content={}", response["action"], response["content"])),
    }
}
