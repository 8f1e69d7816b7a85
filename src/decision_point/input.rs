//! The contents of queries.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::caller::Principal;

/// An evaluation request of AuthZEN: whether a subject may perform an action on a resource.
///
/// The subject is the caller: its type is `identity`, its `id` the [subject](Principal::subject), and its properties are
/// `issuer`, `client_id`, `tenant`, `method`, `scopes`, `roles`, and `user` for the subject that the caller acts for.
/// Properties that the caller does not have are absent.
///
/// If the caller [acts for](Principal::acting_for) a subject, the property `acting_for` is an object like it, with `type`,
/// `id` and `properties` of that subject. The scopes are those of each credential and its roles, and
/// [`Principal::holds`] considers both credentials: so must the policy of the server, or it grants the caller what the user
/// may not do.
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
    has_mistake: bool,
}

impl AccessRequest {
    /// Asks whether this caller may perform the action with this name on the resource with this type and id.
    pub fn new(caller: &Principal, action: &str, resource_type: &str, resource_id: &str) -> Self {
        let mut properties = properties(caller);
        if let Some(subject) = caller.acting_for() {
            let own = self::properties(subject);
            let subject = json!({ "type": IDENTITY, "id": subject.subject(), "properties": own });
            properties.insert("acting_for".to_owned(), subject);
        }
        Self {
            subject: (IDENTITY.into(), caller.subject().into(), properties),
            action: (action.into(), Map::new()),
            resource: (resource_type.into(), resource_id.into(), Map::new()),
            context: Map::new(),
            has_mistake: false,
        }
    }

    /// Replaces the type and the id of the subject.
    pub fn subject(mut self, subject_type: &str, id: &str) -> Self {
        (self.subject.0, self.subject.1) = (subject_type.into(), id.into());
        self
    }

    /// Adds a property of the subject.
    pub fn subject_property(mut self, name: &str, value: impl Serialize) -> Self {
        insert(&mut self.subject.2, &mut self.has_mistake, name, value);
        self
    }

    /// Adds a property of the action.
    pub fn action_property(mut self, name: &str, value: impl Serialize) -> Self {
        insert(&mut self.action.1, &mut self.has_mistake, name, value);
        self
    }

    /// Adds a property of the resource.
    pub fn resource_property(mut self, name: &str, value: impl Serialize) -> Self {
        insert(&mut self.resource.2, &mut self.has_mistake, name, value);
        self
    }

    /// Adds a member of the context.
    pub fn context(mut self, name: &str, value: impl Serialize) -> Self {
        insert(&mut self.context, &mut self.has_mistake, name, value);
        self
    }

    /// The body of the request; `None` if a value could not be serialized.
    pub(super) fn into_json(self) -> Option<String> {
        let Self { subject, action, resource, context, has_mistake } = self;
        let body = json!({
            "subject": { "type": subject.0, "id": subject.1, "properties": subject.2 },
            "action": { "name": action.0, "properties": action.1 },
            "resource": { "type": resource.0, "id": resource.1, "properties": resource.2 },
            "context": context,
        });
        (!has_mistake).then(|| body.to_string())
    }
}

/// The type of subjects.
const IDENTITY: &str = "identity";

/// The properties of one credential.
fn properties(principal: &Principal) -> Map<String, Value> {
    let mut properties = Map::new();
    let optional =
        [("client_id", principal.client_id()), ("issuer", principal.issuer()), ("tenant", principal.tenant())];
    for (name, value) in optional {
        properties.extend(value.map(|value| (name.to_owned(), value.into())));
    }
    properties.insert("method".to_owned(), principal.method().as_str().into());
    properties.insert("roles".to_owned(), principal.roles().collect());
    properties.insert("scopes".to_owned(), principal.scopes().iter().map(|scope| scope.as_str()).collect());
    properties
}

/// The `input` of a query to OPA.
///
/// It has what is inserted. [`Principal::scopes`] are those of the caller only: for a caller that may
/// [act for](Principal::acting_for) a subject, insert those of the subject as well.
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
        insert(&mut self.members, &mut self.has_mistake, name, value);
        self
    }

    pub(super) fn into_json(self) -> Option<String> {
        (!self.has_mistake).then(|| json!({ "input": self.members }).to_string())
    }
}

fn insert(members: &mut Map<String, Value>, has_mistake: &mut bool, name: &str, value: impl Serialize) {
    match serde_json::to_value(value) {
        Ok(value) => drop(members.insert(name.to_owned(), value)),
        Err(_) => *has_mistake = true,
    }
}
