use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::required_claim::parsed;
use crate::{
    Eventual,
    authorize::Policy,
    caller::Principal,
    error::{ConfigError, ConfigErrorKind},
    json::{Json, Object},
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    request::Head,
};

/// A policy that requires an authorization of a type in the `authorization_details` of the caller's token
/// ([RFC 9396](https://www.rfc-editor.org/rfc/rfc9396)), also of an introspected one.
///
/// One entry of the list must have the type and everything else that is required: its `actions` contain all required
/// ones, and so on. Other members of the entry are ignored, so require what limits the authorization, such as an
/// account or an amount. If the caller [acts for](Principal::acting_for) a subject, the credential of the subject has
/// the authorization.
///
/// A refusal is 403 `insufficient_authorization`. Its challenge has the parameter `authorization_remediation`: the
/// authorization that the client requests from the authorization server, as base64url of a JSON object with the member
/// `authorization_details`. Combine it after scopes and [`StepUp`](crate::StepUp), so that a client obtains the scope
/// first.
///
/// # Examples
///
/// An authorization that depends on the request: a closure is a policy.
///
/// ```
/// use std::convert::Infallible;
/// use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::{ServiceBuilder, ServiceExt};
/// use tower_warden::{
///     jwt::{Issuer, Jwt, RequiredAuthorization},
///     layer::{AuthLayer, AuthorizeLayer},
///     testing::TestIssuer,
/// };
///
/// let issuer = TestIssuer::new("https://auth.example.com");
/// let jwt = Jwt::new(Issuer::new(issuer.name(), "https://api.example.com")?, issuer.clone());
/// let service = ServiceBuilder::new()
///     .layer(AuthLayer::new(jwt))
///     .layer(AuthorizeLayer::when(|caller, head| {
///         let account = head.uri.path().strip_prefix("/accounts/").unwrap_or_default();
///         RequiredAuthorization::new("account_information").action("read").identifier(account).check(caller)
///     }))
///     .service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
/// let details = serde_json::json!([{ "type": "account_information", "actions": ["read"], "identifier": "12" }]);
/// let token = issuer.token("alice").audience("https://api.example.com").claim("authorization_details", details);
/// let token = token.sign();
/// let call = |path: &str| {
///     let request = Request::get(path).header("authorization", format!("Bearer {token}"));
///     service.clone().oneshot(request.body(()).expect("a request"))
/// };
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// assert_eq!(call("/accounts/12").await?.status(), 200);
/// let refused = call("/accounts/13").await?;
/// assert_eq!(refused.status(), 403);
/// let challenge = refused.headers()["www-authenticate"].to_str()?;
/// assert!(challenge.contains(r#"error="insufficient_authorization""#));
/// let remediation = challenge.split("authorization_remediation=\"").nth(1).expect("the parameter");
/// let remediation = remediation.trim_end_matches('"');
/// let remediation: serde_json::Value = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(remediation)?)?;
/// assert_eq!(remediation["authorization_details"][0]["identifier"], "13");
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct RequiredAuthorization {
    actions: Vec<Box<str>>,
    datatypes: Vec<Box<str>>,
    identifier: Option<Box<str>>,
    kind: Box<str>,
    locations: Vec<Box<str>>,
    members: Vec<(Box<str>, Value)>,
    privileges: Vec<Box<str>>,
    reference: Option<Box<str>>,
}

impl RequiredAuthorization {
    /// An authorization with this `type`.
    pub fn new(kind: impl Into<Box<str>>) -> Self {
        Self {
            actions: Vec::new(),
            datatypes: Vec::new(),
            identifier: None,
            kind: kind.into(),
            locations: Vec::new(),
            members: Vec::new(),
            privileges: Vec::new(),
            reference: None,
        }
    }

    /// Requires an action: one of `actions`.
    pub fn action(mut self, action: impl Into<Box<str>>) -> Self {
        self.actions.push(action.into());
        self
    }

    /// Requires a kind of data: one of `datatypes`.
    pub fn datatype(mut self, datatype: impl Into<Box<str>>) -> Self {
        self.datatypes.push(datatype.into());
        self
    }

    /// Requires the resource: `identifier`.
    pub fn identifier(mut self, identifier: impl Into<Box<str>>) -> Self {
        self.identifier = Some(identifier.into());
        self
    }

    /// Requires the location of the resource: one of `locations`, compared byte for byte.
    pub fn location(mut self, location: impl Into<Box<str>>) -> Self {
        self.locations.push(location.into());
        self
    }

    /// Requires a member that the type defines, with this value in JSON. The members of an object have no order; arrays
    /// are compared item by item.
    ///
    /// # Errors
    ///
    /// If the value is not JSON, or the name is one of RFC 9396 §2.
    pub fn member(mut self, name: impl Into<Box<str>>, json: &str) -> Result<Self, ConfigError> {
        let name = name.into();
        let refused = |message| ConfigError::new(ConfigErrorKind::Policy, message);
        if ["type", "actions", "datatypes", "identifier", "locations", "privileges"].contains(&&*name) {
            return Err(refused("a member of every authorization is required by its own method").value(name));
        }
        let value = Json::parse(json.as_bytes()).ok().and_then(|_| serde_json::from_str(json).ok());
        let value = value.ok_or_else(|| refused("the value of a member is JSON").value(json))?;
        self.members.push((name, value));
        Ok(self)
    }

    /// Requires a privilege: one of `privileges`.
    pub fn privilege(mut self, privilege: impl Into<Box<str>>) -> Self {
        self.privileges.push(privilege.into());
        self
    }

    /// Sets the `authorization_reference` of the remediation, by which the application recognizes the request that the
    /// client sends with the new authorization.
    pub fn reference(mut self, reference: impl Into<Box<str>>) -> Self {
        self.reference = Some(reference.into());
        self
    }

    /// Checks the authorizations of a caller.
    ///
    /// # Errors
    ///
    /// The refusal, if none is the required one; [`POLICY_FAILED`](Reason::POLICY_FAILED) if the claims are not a JSON object.
    pub fn check(&self, caller: &Principal) -> Result<(), Rejection> {
        let holder = caller.acting_for().unwrap_or(caller);
        let members = parsed(holder)?;
        let details = members.get("authorization_details").and_then(Json::as_array).unwrap_or_default();
        if details.iter().filter_map(Json::as_object).any(|detail| self.is_met_by(detail)) {
            return Ok(());
        }
        let refused = Rejection::new(RejectionKind::Forbidden, Reason::AUTHORIZATION_INSUFFICIENT);
        let refused = refused
            .with_code("insufficient_authorization", "The credential lacks an authorization that the operation needs.");
        Err(refused.challenge_parameter("authorization_remediation", self.remediation()).of_caller(caller))
    }

    fn is_met_by(&self, detail: &Object<'_>) -> bool {
        let text = |name| detail.get(name).and_then(Json::as_str);
        let contains_all = |name, needed: &[Box<str>]| {
            let held = detail.get(name).and_then(Json::as_array).unwrap_or_default();
            needed.iter().all(|needed| held.iter().any(|held| held.as_str() == Some(needed)))
        };
        text("type") == Some(&self.kind)
            && self.identifier.as_deref().is_none_or(|needed| text("identifier") == Some(needed))
            && self.lists().into_iter().all(|(name, needed)| contains_all(name, needed))
            && self.members.iter().all(|(name, needed)| detail.get(name).is_some_and(|held| is_equal(held, needed)))
    }

    /// The lists of RFC 9396 §2.2.
    fn lists(&self) -> [(&'static str, &[Box<str>]); 4] {
        [
            ("actions", &self.actions),
            ("datatypes", &self.datatypes),
            ("locations", &self.locations),
            ("privileges", &self.privileges),
        ]
    }

    /// The authorization that helps, as base64url of JSON.
    fn remediation(&self) -> String {
        let mut detail = Map::new();
        detail.insert("type".to_owned(), (*self.kind).into());
        for (name, needed) in self.lists().into_iter().filter(|(_, needed)| !needed.is_empty()) {
            detail.insert(name.to_owned(), needed.iter().map(|text| Value::from(&**text)).collect());
        }
        if let Some(identifier) = &self.identifier {
            detail.insert("identifier".to_owned(), (**identifier).into());
        }
        detail.extend(self.members.iter().map(|(name, value)| (name.to_string(), value.clone())));
        let mut remediation = Map::new();
        remediation.insert("authorization_details".to_owned(), Value::Array(vec![detail.into()]));
        if let Some(reference) = &self.reference {
            remediation.insert("authorization_reference".to_owned(), (**reference).into());
        }
        BASE64_URL_SAFE_NO_PAD.encode(Value::from(remediation).to_string())
    }
}

impl Policy for RequiredAuthorization {
    fn decide(&self, principal: &Principal, _: &Head<'_>) -> Eventual<Result<(), Rejection>> {
        Eventual::Now(self.check(principal))
    }
}

/// Compares a value of a token with a configured one.
fn is_equal(held: &Json<'_>, needed: &Value) -> bool {
    match (held, needed) {
        (Json::Array(held), Value::Array(needed)) => {
            held.len() == needed.len() && held.iter().zip(needed).all(|(held, needed)| is_equal(held, needed))
        }
        (Json::Bool(held), Value::Bool(needed)) => held == needed,
        (Json::Null, Value::Null) => true,
        (Json::Number(held), Value::Number(needed)) => held == needed,
        (Json::Object(held), Value::Object(needed)) => {
            held.iter().count() == needed.len()
                && needed.iter().all(|(name, needed)| held.get(name).is_some_and(|held| is_equal(held, needed)))
        }
        (Json::String(held), Value::String(needed)) => *held == **needed,
        _ => false,
    }
}
