use serde_json::{Value, json};

use super::repeated_fields;
use crate::{audit::event::RequestEvent, refusal::Rejection, scope::Scope, trail::Counted};

/// The values that have no attribute in the schema.
pub(super) fn unmapped(request: &RequestEvent) -> Value {
    let mut unmapped = json!({ "end": request.end.as_str() });
    let mut set = |name: &str, value: Value| unmapped[name] = value;
    if let Some(reason) = request.end_reason {
        set("end_reason", json!(reason.as_str()));
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
    }
    if let Some(required) = request.scopes_required() {
        set("scopes_required", json!(required.iter().map(Scope::as_str).collect::<Vec<_>>()));
    }
    if let Some(certificate) = &request.certificate {
        set("certificate_subject", json!(certificate.subject.as_deref()));
        set("certificate_thumbprint", json!(certificate.thumbprint.to_base64url()));
    }
    if let Some(limit) = &request.limit {
        set(
            "limit",
            json!({ "name": &*limit.limit, "remaining": limit.remaining, "is_counted": limit.counted != Counted::NotCounted }),
        );
    }
    if let Some(cause) = request.decision.refusal().and_then(Rejection::cause) {
        set("cause", json!(cause.reason().as_str()));
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
