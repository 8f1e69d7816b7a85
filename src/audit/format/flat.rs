use std::{collections::BTreeMap, net::IpAddr};

use serde::{Serialize, Serializer};

use super::{EventFormat, flat_alert::AlertLine, flat_notice::NoticeLine, repeated_fields, rfc3339, write_json};
use crate::{
    audit::event::{Event, EventKind, RequestEvent},
    caller::{Identity, Principal},
    reason::Reason,
    refusal::Rejection,
    scope::Scopes,
};

/// Flat JSON: one object per event, whose members are those of [its schema](Self::SCHEMA).
///
/// Members that are not known are absent. A new member does not change the version `v`; a change of one does. Of a field with
/// several values, such as the tools of a batch, `fields` has the first one, and `repeated_fields` has all.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct FlatJson;

impl FlatJson {
    /// The JSON Schema of the lines.
    pub const SCHEMA: &str = include_str!("flat.schema.json");

    /// The version of the lines: the member `v`.
    pub const VERSION: u32 = 1;
}

impl EventFormat for FlatJson {
    fn write(&self, event: &Event, line: &mut Vec<u8>) {
        let (v, id, time) = (Self::VERSION, event.id.to_string(), rfc3339(event.time));
        match &event.kind {
            EventKind::Alert(alert) => {
                write_json(&Line { v, id, time, kind: "alert", content: AlertLine::of(alert) }, line);
            }
            EventKind::Lost(count) => {
                write_json(&Line { v, id, time, kind: "lost", content: Lost { count: *count } }, line)
            }
            EventKind::Notice(notice) => {
                write_json(&Line { v, id, time, kind: "notice", content: NoticeLine::of(notice) }, line)
            }
            EventKind::Request(request) => {
                write_json(&Line { v, id, time, kind: "request", content: request_line(request) }, line);
            }
        }
    }
}

#[derive(Serialize)]
struct Line<C> {
    v: u32,
    id: String,
    time: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(flatten)]
    content: C,
}

#[derive(Serialize)]
struct Lost {
    count: u64,
}

#[derive(Serialize)]
struct RequestLine<'a> {
    request_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    method: &'a str,
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_address: Option<IpAddr>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    caller: Option<Caller<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused_credential: Option<RefusedCredential<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_thumbprint: Option<String>,
    decision: &'static str,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    refusal: Option<Refusal<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes_required: Option<ScopeList<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<LimitLine<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    observations: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    end: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_us: Option<u64>,
    duration_us: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    fields: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    repeated_fields: BTreeMap<&'a str, Vec<&'a str>>,
}

#[derive(Serialize)]
struct Caller<'a> {
    auth_method: &'static str,
    subject: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    actors: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    actor_issuers: Vec<Option<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acting_for: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acting_for_issuer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acting_for_key_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acting_for_token_id: Option<&'a str>,
    scopes: ScopeList<'a>,
}

/// The owner of a refused credential.
#[derive(Serialize)]
pub(super) struct RefusedCredential<'a> {
    auth_method: &'static str,
    subject: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
}

#[derive(Serialize)]
struct Refusal<'a> {
    code: &'static str,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    quotas_exceeded: &'a [Box<str>],
}

#[derive(Serialize)]
struct LimitLine<'a> {
    name: &'a str,
    remaining: u32,
    reset_s: u64,
    counted: &'static str,
}

/// The scopes as a list.
struct ScopeList<'a>(&'a Scopes);

impl Serialize for ScopeList<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(crate::scope::Scope::as_str))
    }
}

pub(super) fn micros(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn request_line(event: &RequestEvent) -> RequestLine<'_> {
    let rejection = event.decision.refusal();
    let (certificate, policy) = (event.certificate.as_ref(), event.policy.as_ref());
    RequestLine {
        request_id: event.request_id.to_string(),
        trace_id: event.trace.map(|trace| trace.trace_id().to_string()),
        method: event.method.as_str(),
        path: event.path(),
        route: event.route(),
        peer: event.peer,
        client_address: event.client_address,
        caller: event.principal.as_ref().map(caller),
        refused_credential: event.refused_identity().map(refused_credential),
        certificate_subject: certificate.and_then(|certificate| certificate.subject.as_deref()),
        certificate_thumbprint: certificate.map(|certificate| certificate.thumbprint.to_base64url()),
        decision: event.decision.as_str(),
        refusal: rejection.map(refusal),
        scopes_required: event.scopes_required().map(ScopeList),
        policy: policy.map(|policy| &*policy.name),
        rule: policy.and_then(|policy| policy.rule.as_deref()),
        limit: event.limit.as_ref().map(|limit| LimitLine {
            name: &limit.limit,
            remaining: limit.remaining,
            reset_s: limit.reset.as_secs(),
            counted: limit.counted.as_str(),
        }),
        observations: event.observations.iter().map(|observation| observation.as_str()).collect(),
        status: event.status.map(|status| status.as_u16()),
        end: event.end.as_str(),
        end_reason: event.end_reason.map(Reason::as_str),
        latency_us: event.latency.map(micros),
        duration_us: micros(event.duration),
        // The first value of each name; all of several are below.
        fields: event.fields.iter().rev().map(|(name, value)| (&**name, &**value)).collect(),
        repeated_fields: repeated_fields(event),
    }
}

fn caller(principal: &Principal) -> Caller<'_> {
    let subject = principal.acting_for();
    Caller {
        auth_method: principal.method().as_str(),
        subject: principal.subject(),
        issuer: principal.issuer(),
        client_id: principal.client_id(),
        key_id: principal.key_id(),
        token_id: principal.token_id(),
        tenant: principal.tenant(),
        actors: principal.actors().iter().map(|actor| &*actor.subject).collect(),
        actor_issuers: actor_issuers(principal),
        acting_for: subject.map(Principal::subject),
        acting_for_issuer: subject.and_then(Principal::issuer),
        acting_for_key_id: subject.and_then(Principal::key_id),
        acting_for_token_id: subject.and_then(Principal::token_id),
        scopes: ScopeList(principal.scopes()),
    }
}

/// The issuers of the names of actors, in the order of the actors; none if all names are of the issuer of the token.
pub(super) fn actor_issuers(principal: &Principal) -> Vec<Option<&str>> {
    let issuers: Vec<_> = principal.actors().iter().map(|actor| actor.issuer.as_deref()).collect();
    if issuers.iter().any(Option::is_some) { issuers } else { Vec::new() }
}

pub(super) fn refused_credential(identity: &Identity) -> RefusedCredential<'_> {
    RefusedCredential {
        auth_method: identity.method.as_str(),
        subject: &identity.subject,
        issuer: identity.issuer.as_deref(),
        key_id: identity.key_id.as_deref(),
        token_id: identity.token_id.as_deref(),
        tenant: identity.tenant.as_deref(),
    }
}

fn refusal(rejection: &Rejection) -> Refusal<'_> {
    Refusal {
        code: rejection.code(),
        reason: rejection.reason().as_str(),
        cause: rejection.cause().map(|cause| cause.reason().as_str()),
        quotas_exceeded: rejection.violated(),
    }
}
