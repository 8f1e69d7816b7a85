use serde_json::{Value, json};

use super::{
    flat::{actor_issuers, micros, refused_credential},
    repeated_fields,
};
use crate::{audit::event::RequestEvent, scope::Scope};

/// The values that have no attribute in the schema.
pub(super) fn unmapped(request: &RequestEvent) -> Value {
    let mut unmapped = json!({ "end": request.end.as_str() });
    let mut set = |name: &str, value: Value| unmapped[name] = value;
    if let Some(reason) = request.end_reason {
        set("end_reason", json!(reason.as_str()));
    }
    if let Some(route) = request.route() {
        set("route", json!(route));
    }
    // `src_endpoint` is the client.
    if let Some(peer) = request.peer.filter(|_| request.peer != request.client_address) {
        set("peer", json!(peer));
    }
    if let Some(latency) = request.latency {
        set("latency_us", json!(micros(latency)));
    }
    if let Some(identity) = request.refused_identity() {
        set("refused_credential", json!(refused_credential(identity)));
    }
    if let Some(principal) = &request.principal {
        if principal.acting_for().is_some() {
            if let Some(credential) = principal.key_id().or_else(|| principal.token_id()) {
                set("agent_credential_uid", json!(credential));
            }
            if let Some(issuer) = principal.issuer() {
                set("agent_issuer", json!(issuer));
            }
        }
        set("auth_method", json!(principal.method().as_str()));
        set("scopes", json!(principal.scopes().iter().map(Scope::as_str).collect::<Vec<_>>()));
        let actors: Vec<_> = principal.actors().iter().map(|actor| &*actor.subject).collect();
        if !actors.is_empty() {
            set("actors", json!(actors));
        }
        let issuers = actor_issuers(principal);
        if !issuers.is_empty() {
            set("actor_issuers", json!(issuers));
        }
    }
    if let Some(required) = request.scopes_required() {
        set("scopes_required", json!(required.iter().map(Scope::as_str).collect::<Vec<_>>()));
    }
    if let Some(certificate) = &request.certificate {
        set("certificate_subject", json!(certificate.subject.as_deref()));
        set("certificate_thumbprint", json!(certificate.thumbprint.to_base64url()));
    }
    if let Some(limit) = &request.limit {
        let (name, reset) = (&*limit.limit, limit.reset.as_secs());
        let counted = limit.counted.as_str();
        set("limit", json!({ "name": name, "remaining": limit.remaining, "reset_s": reset, "counted": counted }));
    }
    if let Some(refusal) = request.decision.refusal() {
        if let Some(cause) = refusal.cause() {
            set("cause", json!(cause.reason().as_str()));
        }
        if !refusal.violated().is_empty() {
            set("quotas_exceeded", json!(refusal.violated()));
        }
    }
    if !request.observations.is_empty() {
        set("observations", json!(request.observations.iter().map(|it| it.as_str()).collect::<Vec<_>>()));
    }
    // The first value of each name; all of several are below.
    for (name, value) in request.fields.iter().rev() {
        set(&format!("field_{name}"), json!(value));
    }
    let repeated = repeated_fields(request);
    if !repeated.is_empty() {
        set("repeated_fields", json!(repeated));
    }
    unmapped
}
