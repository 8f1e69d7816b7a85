//! How strongly and how recently a user must have authenticated: RFC 9470.

use std::time::Duration;

use crate::{
    caller::Principal,
    error::{ConfigError, ConfigErrorKind},
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    scope,
};

/// So far the issuer's clock may be ahead of ours, in seconds: what lies further in the future is no time at all.
const SKEW: Duration = Duration::from_secs(300);

/// How strongly, or how recently, the user must have authenticated to the issuer: RFC 9470.
///
/// A token that falls short is answered with 401 `insufficient_user_authentication`, and the challenge tells the client
/// what to ask the issuer for. One that does not tell `acr` or `auth_time` falls short, and so does every API key.
///
/// As a policy, for whole routes, it is [`AuthorizeLayer::step_up`](crate::layer::AuthorizeLayer::step_up); a handler that
/// needs it only sometimes calls [`check`](Self::check).
///
/// ```
/// use std::{convert::Infallible, sync::Arc, time::Duration};
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::{ServiceBuilder, ServiceExt};
/// use tower_warden::{
///     AuthMethod, Authenticator, Environment, Eventual, Identity, ManualClock, Presented, Rejection, StepUp, UnixTime,
///     layer::{AuthLayer, AuthorizeLayer},
///     scheme::{Bearer, Credential, Scheme},
/// };
///
/// /// A token of alice's, who has just given a second factor.
/// struct Alice;
///
/// impl Authenticator for Alice {
///     fn schemes(&self) -> Vec<Arc<dyn Scheme>> {
///         vec![Arc::new(Bearer::default())]
///     }
///
///     fn accepts(&self, _: &Credential<'_>) -> bool {
///         true
///     }
///
///     fn authenticate(&self, presented: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>> {
///         let mut alice = Identity::new("alice", AuthMethod::Jwt);
///         alice.acr = Some("urn:example:mfa".into());
///         alice.auth_time = Some(UnixTime::from_secs(1_800_000_000));
///         Eventual::Now(Ok(Arc::new(alice)))
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let clock = ManualClock::at(UnixTime::from_secs(1_800_000_000));
/// let service = ServiceBuilder::new()
///     .layer(AuthLayer::new(Alice).environment(&Environment::default().with_clock(clock.clone())))
///     .layer(AuthorizeLayer::step_up(StepUp::acr_values(["urn:example:mfa"])?.max_age(Duration::from_secs(300))))
///     .service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
/// let call = || Request::builder().header("authorization", "Bearer token").body(());
///
/// assert_eq!(service.clone().oneshot(call()?).await?.status(), 200);
///
/// clock.advance(Duration::from_secs(301));
/// let refused = service.oneshot(call()?).await?;
/// assert_eq!(refused.status(), 401);
/// let challenge = refused.headers()["www-authenticate"].to_str()?;
/// assert!(challenge.contains(r#"error="insufficient_user_authentication""#));
/// assert!(challenge.ends_with(r#"acr_values="urn:example:mfa", max_age="300""#));
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct StepUp {
    /// Separated by spaces; none if any will do.
    acr_values: Box<str>,
    max_age: Option<Duration>,
}

impl StepUp {
    /// The authentication must have been of one of these context classes, the preferred one first.
    ///
    /// # Errors
    ///
    /// If there is none, or if one is empty or has a character that a scope may not have: what RFC 6750 §3 lets a
    /// challenge hold.
    pub fn acr_values<'a>(values: impl IntoIterator<Item = &'a str>) -> Result<Self, ConfigError> {
        let values: Vec<_> = values.into_iter().collect();
        if values.is_empty() || !values.iter().all(|value| scope::is_token(value)) {
            let message = "acr values are visible ASCII without '\"' and '\\', at least one";
            return Err(ConfigError::new(ConfigErrorKind::Challenge, message));
        }
        Ok(Self { acr_values: values.join(" ").into(), max_age: None })
    }

    /// The authentication must not be older, in whole seconds, whatever its context class.
    #[must_use]
    pub fn recent(max_age: Duration) -> Self {
        Self { acr_values: Box::default(), max_age: Some(max_age) }
    }

    /// The authentication must not be older, in whole seconds.
    ///
    /// One that is ahead of our clock, by five minutes at most, is as recent as can be.
    #[must_use]
    pub const fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Holds a caller to it.
    ///
    /// # Errors
    ///
    /// If the authentication falls short: the rejection to answer with.
    pub fn check(&self, caller: &Principal) -> Result<(), Rejection> {
        match self.shortcoming(caller) {
            None => Ok(()),
            Some(reason) => {
                let refused = Rejection::new(RejectionKind::StepUp, reason).of_caller(caller);
                Err(self.parameters().fold(refused, |refused, (name, value)| refused.challenge_parameter(name, value)))
            }
        }
    }

    fn shortcoming(&self, caller: &Principal) -> Option<Reason> {
        if !self.acr_values.is_empty() {
            match caller.acr() {
                None => return Some(Reason::ACR_MISSING),
                Some(acr) if !self.acr_values.split(' ').any(|value| value == acr) => {
                    return Some(Reason::ACR_INSUFFICIENT);
                }
                Some(_) => {}
            }
        }
        let max_age = self.max_age?;
        let now = caller.admitted_at();
        match caller.auth_time() {
            None => Some(Reason::AUTH_TIME_MISSING),
            Some(at) if at > now + SKEW => Some(Reason::AUTH_TIME_IN_FUTURE),
            // RFC 9470 §3: `max_age` is the elapsed time that is allowed.
            Some(at) if at + max_age < now => Some(Reason::AUTH_TIME_TOO_OLD),
            Some(_) => None,
        }
    }

    /// The parameters of the challenge, RFC 9470 §3; all of them may stand in a quoted string.
    fn parameters(&self) -> impl Iterator<Item = (&'static str, String)> {
        let acr_values = Some(&self.acr_values).filter(|values| !values.is_empty());
        let acr_values = acr_values.map(|values| ("acr_values", values.to_string()));
        let max_age = self.max_age.map(|age| ("max_age", age.as_secs().to_string()));
        acr_values.into_iter().chain(max_age)
    }
}
