//! The contents of queries.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::caller::Principal;

/// An evaluation request of AuthZEN: whether a subject may perform an action on a resource.
///
/// The subject is the caller: of the type `identity`, with its name as `id`, and its issuer, client, tenant, method,
/// scopes and roles as properties. Of what is not known, there is no property.
///
/// # Examples
///
/// ```
/// use tower_warden::decision_point::{AccessRequest, DecisionPoint};
///
/// let policy = DecisionPoint::authzen("https://pdp.example.com", |caller, head| {
///     AccessRequest::new(caller, head.method.as_str(), "document", head.uri.path())
///         .resource_property("region", "eu")
///         .context("acr", caller.acr())
/// });
/// ```
#[derive(Debug)]
#[must_use]
pub struct AccessRequest {
    subject: (Value, Value, Map<String, Value>),
    action: (Value, Map<String, Value>),
    resource: (Value, Value, Map<String, Value>),
    context: Map<String, Value>,
    is_valid: bool,
}

impl AccessRequest {
    /// Asks whether this caller may perform the action with this name on the resource with this type and id.
    pub fn new(caller: &Principal, action: &str, resource_type: &str, resource_id: &str) -> Self {
        let mut properties = Map::new();
        let optional = [
            ("client_id", caller.client_id()),
            ("issuer", caller.issuer()),
            ("tenant", caller.tenant()),
            ("user", caller.acting_for().map(Principal::subject)),
        ];
        for (name, value) in optional {
            properties.extend(value.map(|value| (name.to_owned(), value.into())));
        }
        properties.insert("method".to_owned(), caller.method().as_str().into());
        properties.insert("roles".to_owned(), caller.roles().collect());
        properties.insert("scopes".to_owned(), caller.scopes().iter().map(|scope| scope.as_str()).collect());
        Self {
            subject: ("identity".into(), caller.subject().into(), properties),
            action: (action.into(), Map::new()),
            resource: (resource_type.into(), resource_id.into(), Map::new()),
            context: Map::new(),
            is_valid: true,
        }
    }

    /// Replaces the type and the id of the subject.
    pub fn subject(mut self, subject_type: &str, id: &str) -> Self {
        (self.subject.0, self.subject.1) = (subject_type.into(), id.into());
        self
    }

    /// Adds a property of the subject.
    pub fn subject_property(mut self, name: &str, value: impl Serialize) -> Self {
        insert(&mut self.subject.2, &mut self.is_valid, name, value);
        self
    }

    /// Adds a property of the action.
    pub fn action_property(mut self, name: &str, value: impl Serialize) -> Self {
        insert(&mut self.action.1, &mut self.is_valid, name, value);
        self
    }

    /// Adds a property of the resource.
    pub fn resource_property(mut self, name: &str, value: impl Serialize) -> Self {
        insert(&mut self.resource.2, &mut self.is_valid, name, value);
        self
    }

    /// Adds a member of the context.
    pub fn context(mut self, name: &str, value: impl Serialize) -> Self {
        insert(&mut self.context, &mut self.is_valid, name, value);
        self
    }

    /// The body of the request; `None` if a value could not be serialized.
    pub(super) fn into_json(self) -> Option<String> {
        let Self { subject, action, resource, context, is_valid } = self;
        let body = json!({
            "subject": { "type": subject.0, "id": subject.1, "properties": subject.2 },
            "action": { "name": action.0, "properties": action.1 },
            "resource": { "type": resource.0, "id": resource.1, "properties": resource.2 },
            "context": context,
        });
        is_valid.then(|| body.to_string())
    }
}

/// The `input` of a query to OPA.
///
/// # Examples
///
/// ```
/// use tower_warden::decision_point::{DecisionPoint, OpaInput};
///
/// let policy = DecisionPoint::opa("http://127.0.0.1:8181", "gateway/allow", |caller, head| {
///     OpaInput::default()
///         .insert("subject", caller.subject())
///         .insert("scopes", caller.scopes().iter().map(|scope| scope.as_str()).collect::<Vec<_>>())
///         .insert("method", head.method.as_str())
///         .insert("path", head.uri.path().split('/').skip(1).collect::<Vec<_>>())
/// });
/// ```
#[derive(Debug, Default)]
#[must_use]
pub struct OpaInput {
    members: Map<String, Value>,
    has_mistake: bool,
}

impl OpaInput {
    /// Adds a member: anything that serializes as JSON. A value that does not refuses the request.
    pub fn insert(mut self, name: &str, value: impl Serialize) -> Self {
        let mut is_valid = true;
        insert(&mut self.members, &mut is_valid, name, value);
        self.has_mistake |= !is_valid;
        self
    }

    pub(super) fn into_json(self) -> Option<String> {
        (!self.has_mistake).then(|| json!({ "input": self.members }).to_string())
    }
}

fn insert(members: &mut Map<String, Value>, is_valid: &mut bool, name: &str, value: impl Serialize) {
    match serde_json::to_value(value) {
        Ok(value) => drop(members.insert(name.to_owned(), value)),
        Err(_) => *is_valid = false,
    }
}
