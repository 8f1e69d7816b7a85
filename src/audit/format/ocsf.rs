use http::Method;
use serde_json::{Map, Value, json};

use super::{EventFormat, agent::agent_of, ocsf_finding::finding, ocsf_unmapped::unmapped, write_json};
use crate::{
    audit::event::{Event, EventKind, RequestEvent},
    caller::{Identity, Principal},
    notice::{KeyAction, Notice},
    refusal::{Rejection, RejectionKind},
};

/// Events of the [Open Cybersecurity Schema Framework](https://schema.ocsf.io/), version 1.8, which security data lakes read.
///
/// | event | class |
/// |---|---|
/// | a request whose credential is refused or missing | Authentication, 3002 |
/// | any other request | API Activity, 6003 |
/// | a change of an API key, or a revocation | Entity Management, 3004 |
/// | an alert | Detection Finding, 2004 |
/// | a dependency that is down, keys of an issuer, lost events | Application Error, 6008, or Base Event, 0 |
///
/// `ai_agent` is present where a caller acts for somebody else: the outermost actor, or else the caller. If each has a credential,
/// user, `credential_uid` and `idp` are those of the subject, and `unmapped` has `agent_credential_uid` and `agent_issuer`. What
/// has no attribute of its own is in `unmapped`, mostly under the names of [`FlatJson`](super::FlatJson); a field of an
/// [`AuditNote`](crate::audit::AuditNote) is there as `field_` and its name. Of a field with several values, such as the tools
/// of a batch, this is the first one, and all are in `repeated_fields`.
#[derive(Clone, Debug)]
pub struct Ocsf {
    service: Box<str>,
}

const VERSION: &str = "1.8.0";

/// `severity_id`.
pub(super) const INFORMATIONAL: u8 = 1;
const LOW: u8 = 2;
pub(super) const MEDIUM: u8 = 3;
const HIGH: u8 = 4;

/// The class of an event, and the activity within it.
pub(super) struct Class {
    category: u32,
    class: u32,
    activity: u32,
}

impl Class {
    pub(super) const fn of_category(category: u32, class: u32, activity: u32) -> Self {
        Self { category, class: category * 1_000 + class, activity }
    }
}

impl Ocsf {
    /// Writes the events of the service with this name.
    #[must_use]
    pub fn new(service: impl Into<Box<str>>) -> Self {
        Self { service: service.into() }
    }

    fn request(&self, event: &Event, request: &RequestEvent) -> Map<String, Value> {
        let is_authentication = request.is_authentication_failure();
        let class = if is_authentication {
            Class::of_category(3, 2, 1)
        } else {
            Class::of_category(6, 3, activity(&request.method))
        };
        let mut ocsf = base(event, &class, severity(request));
        describe(&mut ocsf, request);
        let mut set = |name: &str, value: Value| ocsf.insert(name.to_owned(), value);
        let service = json!({ "name": self.service });
        if is_authentication {
            set("service", service);
            set("user", request.refused_identity().map_or_else(|| user(request.principal.as_ref()), refused_user));
        } else {
            let request_uid = json!({ "uid": request.request_id.to_string() });
            set("api", json!({ "operation": request.operation(), "request": request_uid, "service": service }));
        }
        ocsf
    }

    fn notice(event: &Event, notice: &Notice) -> Map<String, Value> {
        let message = notice.as_str();
        let (class, severity, more) = match notice {
            Notice::Key { action, id, outcome, owner, tenant } => {
                let activity = match action {
                    KeyAction::Imported | KeyAction::Minted => 1,
                    KeyAction::Rotated | KeyAction::Updated => 3,
                    KeyAction::Purged => 4,
                    KeyAction::Revoked => 11,
                };
                let entity = json!({ "name": "api_key", "type": "API key", "uid": id });
                let (action, outcome) = (action.as_str(), outcome.as_str());
                let unmapped = json!({ "action": action, "outcome": outcome, "owner": owner, "tenant": tenant });
                (Class::of_category(3, 4, activity), INFORMATIONAL, json!({ "entity": entity, "unmapped": unmapped }))
            }
            Notice::Revoked { kind, outcome, issuer, name } => {
                let entity = json!({ "name": name, "type": kind });
                let unmapped = json!({ "issuer": issuer, "outcome": outcome.as_str() });
                let more = json!({ "entity": entity, "unmapped": unmapped });
                (Class::of_category(3, 4, 11), INFORMATIONAL, more)
            }
            Notice::DependencyDown { dependency, issuer, cause } => {
                let unmapped = json!({ "dependency": &**dependency, "issuer": issuer.as_deref(), "cause": &**cause });
                (Class::of_category(6, 8, 1), HIGH, json!({ "unmapped": unmapped }))
            }
            Notice::DependencyUp { dependency, issuer } => {
                let unmapped = json!({ "dependency": &**dependency, "issuer": issuer.as_deref() });
                (Class::of_category(0, 0, 99), INFORMATIONAL, json!({ "unmapped": unmapped }))
            }
            Notice::IssuerKeysChanged { issuer, added, removed } => {
                let unmapped = json!({ "issuer": &**issuer, "keys_added": added, "keys_removed": removed });
                (Class::of_category(0, 0, 99), INFORMATIONAL, json!({ "unmapped": unmapped }))
            }
        };
        let mut ocsf = base(event, &class, severity);
        ocsf.insert("message".into(), json!(message));
        if let Value::Object(more) = more {
            ocsf.extend(more);
        }
        ocsf
    }
}

/// Adds the attributes that both classes of requests have.
fn describe(ocsf: &mut Map<String, Value>, request: &RequestEvent) {
    let agent = request.principal.as_ref().filter(|principal| is_agent(principal)).map(agent_of);
    if let Some(Value::Object(metadata)) = ocsf.get_mut("metadata") {
        if let Some(trace) = request.trace {
            metadata.insert("correlation_uid".into(), json!(trace.trace_id().to_string()));
        }
        let refused = || request.refused_identity().and_then(|identity| identity.tenant.as_deref());
        if let Some(tenant) = request.principal.as_ref().and_then(Principal::tenant).or_else(refused) {
            metadata.insert("tenant_uid".into(), json!(tenant));
        }
        if agent.is_some() {
            metadata.insert("profiles".into(), json!(["ai_operation"]));
        }
    }
    let mut set = |name: &str, value: Value| ocsf.insert(name.to_owned(), value);
    let is_success = request.is_admitted() && request.status.is_some_and(|status| !status.is_server_error());
    set("status_id", json!(if is_success { 1 } else { 2 }));
    set("duration", json!(u64::try_from(request.duration.as_millis()).unwrap_or(u64::MAX)));
    if let Some(rejection) = request.decision.refusal() {
        set("status_code", json!(rejection.code()));
        set("status_detail", json!(rejection.reason().as_str()));
    }
    let (uid, url) = (request.request_id.to_string(), json!({ "path": request.path() }));
    set("http_request", json!({ "http_method": request.method.as_str(), "uid": uid, "url": url }));
    if let Some(status) = request.status {
        set("http_response", json!({ "code": status.as_u16() }));
    }
    set("src_endpoint", endpoint(request));
    set("actor", actor(request));
    if let Some(agent) = agent {
        set("ai_agent", json!({ "type_id": 0, "uid": agent }));
    }
    set("unmapped", unmapped(request));
}

impl EventFormat for Ocsf {
    fn write(&self, event: &Event, line: &mut Vec<u8>) {
        let ocsf = match &event.kind {
            EventKind::Alert(alert) => finding(event, alert),
            EventKind::Lost(count) => {
                let mut ocsf = base(event, &Class::of_category(6, 8, 1), MEDIUM);
                ocsf.insert("message".into(), json!("audit events were lost"));
                ocsf.insert("count".into(), json!(count));
                ocsf
            }
            EventKind::Notice(notice) => Self::notice(event, notice),
            EventKind::Request(request) => self.request(event, request),
        };
        write_json(&ocsf, line);
    }
}

/// The attributes that each event has.
pub(super) fn base(event: &Event, class: &Class, severity: u8) -> Map<String, Value> {
    let base = json!({
        "activity_id": class.activity,
        "category_uid": class.category,
        "class_uid": class.class,
        "metadata": {
            "log_name": "audit",
            "uid": event.id.to_string(),
            "product": { "name": "tower-warden", "version": env!("CARGO_PKG_VERSION"), "vendor_name": "tower-warden" },
            "version": VERSION,
        },
        "severity_id": severity,
        "time": event.time.as_millis(),
        "type_uid": class.class * 100 + class.activity,
    });
    match base {
        Value::Object(base) => base,
        _ => Map::new(),
    }
}

/// `activity_id` of API Activity: create, read, update, delete, other.
fn activity(method: &Method) -> u32 {
    match *method {
        Method::POST => 1,
        Method::GET | Method::HEAD | Method::OPTIONS => 2,
        Method::PUT | Method::PATCH => 3,
        Method::DELETE => 4,
        _ => 99,
    }
}

fn severity(request: &RequestEvent) -> u8 {
    match request.decision.refusal().map(Rejection::kind) {
        None if request.is_ordinary() => INFORMATIONAL,
        None => MEDIUM,
        Some(RejectionKind::Internal | RejectionKind::Unavailable) => HIGH,
        Some(_) => LOW,
    }
}

/// Returns whether a caller acts for somebody else.
fn is_agent(principal: &Principal) -> bool {
    principal.actor().is_some() || principal.acting_for().is_some()
}

fn endpoint(request: &RequestEvent) -> Value {
    match request.client_address.or(request.peer) {
        Some(address) => json!({ "ip": address }),
        None => json!({ "name": "unknown" }),
    }
}

fn user(principal: Option<&Principal>) -> Value {
    let Some(principal) = principal else { return json!({ "name": "unknown", "type_id": 0 }) };
    let subject = principal.acting_for().unwrap_or(principal);
    let mut user = json!({ "type_id": 0, "uid": subject.subject() });
    if let Some(credential) = subject.key_id().or_else(|| subject.token_id()) {
        user["credential_uid"] = json!(credential);
    }
    user
}

/// The owner of a refused credential.
fn refused_user(identity: &Identity) -> Value {
    let mut user = json!({ "type_id": 0, "uid": &*identity.subject });
    if let Some(credential) = identity.key_id.as_ref().or(identity.token_id.as_ref()) {
        user["credential_uid"] = json!(credential);
    }
    user
}

fn actor(request: &RequestEvent) -> Value {
    let mut actor = json!({ "user": user(request.principal.as_ref()) });
    if let Some(client) = request.principal.as_ref().and_then(Principal::client_id) {
        actor["app_uid"] = json!(client);
    }
    // That of the user: the issuer of an agent's credential is unmapped.
    let user = request.principal.as_ref().map(|principal| &**principal.acting_for().unwrap_or(principal).identity());
    let user = user.or_else(|| request.refused_identity());
    if let Some(issuer) = user.and_then(|user| user.issuer.as_deref()) {
        actor["idp"] = json!({ "name": issuer });
    }
    let decision = json!({ "decision": request.decision.as_str() });
    let mut authorization = decision;
    if let Some(policy) = &request.policy {
        authorization["policy"] = json!({ "name": policy.name, "uid": policy.rule.as_deref().unwrap_or(&policy.name) });
    }
    actor["authorizations"] = json!([authorization]);
    actor
}
