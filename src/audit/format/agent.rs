use serde::Serialize;

use super::{EventFormat, rfc3339, write_json};
use crate::{
    audit::event::{Event, EventKind, RequestEvent},
    caller::{Actor, Principal},
};

/// Short JSON for gateways of AI agents, one object per request:
///
/// | member | value |
/// |---|---|
/// | `timestamp` | the time of the request, RFC 3339 |
/// | `agent_id` | the outermost actor; without one, the OAuth client, the id of the API key or the subject |
/// | `auth_method` | the [method](crate::AuthMethod::as_str) |
/// | `cert_subject` | the subject of the client certificate |
/// | `user_id` | the subject of the token, or the one that the caller acts for; absent if that is the agent itself |
/// | `tenant` | the tenant |
/// | `tool` | the field `tool` of an [`AuditNote`](crate::audit::AuditNote), or the method and the route |
/// | `tools` | all fields `tool`, if there are several: a batch |
/// | `input` | the field `input_sha256`: the digest of the input, in place of the input |
/// | `inputs` | all fields `input_sha256`, if there are several |
/// | `result` | the status, or how the request ended without a response |
/// | `policy_decision` | `allow`, `deny:` and the reason, or `undecided` if no layer has decided |
///
/// Members that are not known are absent. Other events than requests are not written; the number of lost ones is a log line.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct AgentJson;

impl EventFormat for AgentJson {
    fn write(&self, event: &Event, line: &mut Vec<u8>) {
        if let EventKind::Request(request) = &event.kind {
            write_json(&AgentLine::of(event, request), line);
        }
    }
}

#[derive(Serialize)]
struct AgentLine<'a> {
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_method: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cert_subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    tool: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    inputs: Vec<&'a str>,
    result: String,
    policy_decision: String,
}

impl<'a> AgentLine<'a> {
    fn of(event: &Event, request: &'a RequestEvent) -> Self {
        let principal = request.principal.as_ref();
        let agent = principal.map(agent_of);
        let user = principal.map(|principal| principal.acting_for().unwrap_or(principal).subject());
        Self {
            timestamp: rfc3339(event.time),
            agent_id: agent,
            auth_method: principal.map(|principal| principal.method().as_str()),
            cert_subject: request.certificate.as_ref().and_then(|certificate| certificate.subject.as_deref()),
            user_id: user.filter(|user| agent != Some(user)),
            tenant: principal.and_then(Principal::tenant),
            tool: request.operation(),
            tools: several(request, "tool"),
            input: request.field("input_sha256"),
            inputs: several(request, "input_sha256"),
            result: request
                .status
                .map_or_else(|| request.end.as_str().to_owned(), |status| status.as_u16().to_string()),
            policy_decision: match request.decision.reason() {
                None if request.is_admitted() => "allow".to_owned(),
                None => "undecided".to_owned(),
                Some(reason) => format!("deny:{reason}"),
            },
        }
    }
}

/// The values of a field, if there are several.
fn several<'a>(request: &'a RequestEvent, name: &'a str) -> Vec<&'a str> {
    let values: Vec<_> = request.values(name).collect();
    if values.len() > 1 { values } else { Vec::new() }
}

/// The agent that makes a request.
pub(super) fn agent_of(principal: &Principal) -> &str {
    let actor = principal.actor().map(|actor: &Actor| &*actor.subject);
    actor.or_else(|| principal.client_id()).or_else(|| principal.key_id()).unwrap_or_else(|| principal.subject())
}
