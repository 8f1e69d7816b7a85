//! The input of an evaluation.

use http::{Extensions, HeaderName};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tower_warden::{Head, Principal};

use crate::tool::Tool;

/// The document that a policy reads as `input`.
///
/// The [crate docs](crate#input) list its members. A closure of
/// [`RegoPolicyBuilder::input`](crate::RegoPolicyBuilder::input) adds members of the application.
#[derive(Debug)]
pub struct RegoInput {
    members: Map<String, Value>,
    mistake: Option<&'static str>,
}

impl RegoInput {
    /// The document about a request, or what is wrong with the request.
    pub(crate) fn new(
        principal: &Principal,
        head: &Head<'_>,
        headers: &[HeaderName],
        tool: Option<&Tool>,
    ) -> Result<Self, &'static str> {
        let mut members = Map::new();
        let caller = Value::Object(caller(principal)?);
        members.insert("agent".to_owned(), caller.clone());
        members.insert("principal".to_owned(), caller);
        members.insert("request".to_owned(), Value::Object(request(principal, head, headers)?));
        let mut this = Self { members, mistake: None };
        if let Some(tool) = tool {
            this.set_tool(tool);
        }
        Ok(this)
    }

    /// Adds a member. The value can be anything that serializes as JSON.
    ///
    /// A name that the crate uses itself (`agent`, `principal`, `request`, `tool`), and a value that cannot be
    /// serialized, refuse the request with [`Reason::POLICY_FAILED`](tower_warden::Reason::POLICY_FAILED).
    pub fn insert(&mut self, name: &str, value: impl Serialize) {
        if RESERVED.contains(&name) {
            self.mistake = Some("the name of an added member of the input is one that the crate uses itself");
            return;
        }
        match serde_json::to_value(value) {
            Ok(value) => {
                self.members.insert(name.to_owned(), value);
            }
            Err(_) => self.mistake = Some("the value of an added member of the input cannot be serialized"),
        }
    }

    /// The name of the tool that the policy decides about: of an MCP batch, one after the other.
    #[must_use]
    pub fn tool_name(&self) -> Option<&str> {
        self.members.get("tool")?.get("name")?.as_str()
    }

    /// Sets the tool that the request calls, where no layer has inserted it into the extensions, or with a namespace.
    pub fn set_tool(&mut self, tool: &Tool) {
        let mut members = Map::new();
        members.insert("name".to_owned(), (*tool.name).into());
        optional(&mut members, "namespace", tool.namespace.as_deref());
        self.members.insert("tool".to_owned(), members.into());
    }

    /// The document as JSON, or what is wrong with it.
    pub(crate) fn into_json(self, max_bytes: usize) -> Result<String, &'static str> {
        if let Some(mistake) = self.mistake {
            return Err(mistake);
        }
        let json = Value::Object(self.members).to_string();
        if json.len() > max_bytes { Err("the input is larger than its limit") } else { Ok(json) }
    }
}

const RESERVED: &[&str] = &["agent", "principal", "request", "tool"];

/// The caller. What it does not have is absent, and so undefined in a policy.
fn caller(principal: &Principal) -> Result<Map<String, Value>, &'static str> {
    let mut members = own(principal)?;
    if let Some(subject) = principal.acting_for() {
        members.insert("acting_for".to_owned(), own(subject)?.into());
    }
    optional(&mut members, "tenant", principal.tenant());
    Ok(members)
}

/// The properties of one credential.
fn own(principal: &Principal) -> Result<Map<String, Value>, &'static str> {
    let mut members = Map::new();
    members.insert("subject".to_owned(), principal.subject().into());
    members.insert("method".to_owned(), principal.method().as_str().into());
    members.insert("scopes".to_owned(), principal.scopes().iter().map(|scope| scope.as_str()).collect());
    members.insert("roles".to_owned(), principal.roles().collect());
    let actors = principal.actors().iter().map(|actor| match &actor.issuer {
        Some(issuer) => json!({ "subject": actor.subject, "issuer": issuer }),
        None => json!({ "subject": actor.subject }),
    });
    members.insert("actors".to_owned(), actors.collect());
    let methods = principal.confirmation().into_iter().flat_map(|confirmation| confirmation.iter());
    members.insert("bound_by".to_owned(), methods.map(|possession| possession.method.as_str()).collect());
    let metadata = principal.metadata().map(|(name, value)| (name.to_owned(), Value::from(value)));
    members.insert("metadata".to_owned(), Value::Object(metadata.collect()));
    for (name, value) in [
        ("acr", principal.acr()),
        ("audience", principal.audience()),
        ("client_id", principal.client_id()),
        ("issuer", principal.issuer()),
        ("key_id", principal.key_id()),
        ("session_id", principal.session_id()),
        ("tenant", principal.tenant()),
        ("tier", principal.tier()),
        ("token_id", principal.token_id()),
    ] {
        optional(&mut members, name, value);
    }
    optional(&mut members, "auth_time", principal.auth_time().map(|time| time.as_secs()));
    optional(&mut members, "expires_at", principal.expires_at().map(|time| time.as_secs()));
    let claims = principal.claims().map(serde_json::from_str::<Map<String, Value>>).transpose();
    optional(&mut members, "claims", claims.map_err(|_| "the claims of the caller are not a JSON object")?);
    Ok(members)
}

fn request(principal: &Principal, head: &Head<'_>, names: &[HeaderName]) -> Result<Map<String, Value>, &'static str> {
    let path = head.original_uri().path();
    let mut members = Map::new();
    members.insert("method".to_owned(), head.method.as_str().into());
    members.insert("path".to_owned(), path.into());
    members.insert("segments".to_owned(), path.split('/').skip(1).collect());
    members.insert("time".to_owned(), principal.admitted_at().as_secs().into());
    optional(&mut members, "client_address", head.client_address().map(|address| address.to_string()));
    optional(&mut members, "route", route(head.extensions));
    let mut headers = Map::new();
    for name in names {
        // What the layers have marked is a credential.
        let values = head.headers.get_all(name).iter().filter(|value| !value.is_sensitive());
        // A value that is left out could be the one that a policy denies.
        let values = values.map(|value| value.to_str()).collect::<Result<Vec<_>, _>>();
        let values = values.map_err(|_| "a header field of the input is not visible ASCII")?;
        optional(&mut headers, name.as_str(), Some(values).filter(|values| !values.is_empty()));
    }
    members.insert("headers".to_owned(), headers.into());
    certificate(head.extensions, &mut members);
    Ok(members)
}

#[cfg(feature = "axum")]
fn route(extensions: &Extensions) -> Option<&str> {
    extensions.get::<axum::extract::MatchedPath>().map(axum::extract::MatchedPath::as_str)
}

#[cfg(not(feature = "axum"))]
const fn route(_: &Extensions) -> Option<&str> {
    None
}

#[cfg(feature = "certificate")]
fn certificate(extensions: &Extensions, request: &mut Map<String, Value>) {
    use tower_warden::certificate::{ChainStatus, PeerCertificate};

    let certificate = PeerCertificate::of(extensions);
    let is_verified = certificate.is_some_and(|certificate| certificate.chain() == ChainStatus::Verified);
    request.insert("cert_verified".to_owned(), is_verified.into());
    if let Some(certificate) = certificate {
        let mut members = Map::new();
        members.insert("thumbprint".to_owned(), certificate.thumbprint().to_base64url().into());
        optional(&mut members, "subject", certificate.subject());
        optional(&mut members, "spiffe_id", certificate.spiffe_id());
        request.insert("certificate".to_owned(), members.into());
    }
}

#[cfg(not(feature = "certificate"))]
fn certificate(_: &Extensions, request: &mut Map<String, Value>) {
    request.insert("cert_verified".to_owned(), false.into());
}

fn optional(members: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        members.insert(name.to_owned(), value.into());
    }
}
