use std::time::Duration;

use crate::{
    caller::Principal,
    error::{ConfigError, ConfigErrorKind},
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    scope,
};

/// The tolerance for an issuer's clock that is ahead of this one.
const CLOCK_SKEW: Duration = Duration::from_secs(300);

/// A required strength or age of the user's authentication at the issuer
/// ([RFC 9470](https://www.rfc-editor.org/rfc/rfc9470)).
///
/// A token that does not meet it is refused with 401 `insufficient_user_authentication`; the challenge names what the client
/// should request from the issuer. A token without `acr` or `auth_time` does not meet it, and neither does any API key.
///
/// [`AuthorizeLayer::step_up`](crate::layer::AuthorizeLayer::step_up) applies it to routes. A handler that requires it only in
/// some cases calls [`check`](Self::check).
///
/// # Examples
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
/// /// Accepts any token as one of Alice, who has just given a second factor.
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
    /// Separated by spaces; empty if any is accepted.
    acr_values: Box<str>,
    max_age: Option<Duration>,
}

impl StepUp {
    /// Requires one of these authentication context classes, the preferred one first.
    ///
    /// # Errors
    ///
    /// If the list is empty, or if a value is empty or has a character that is not allowed in a challenge
    /// ([RFC 6750 §3](https://www.rfc-editor.org/rfc/rfc6750#section-3)).
    pub fn acr_values<'a>(values: impl IntoIterator<Item = &'a str>) -> Result<Self, ConfigError> {
        let values: Vec<_> = values.into_iter().collect();
        let message = "acr values are one or more texts of visible ASCII without '\"' and '\\'";
        let refused = || ConfigError::new(ConfigErrorKind::Challenge, message);
        if let Some(value) = values.iter().find(|value| !scope::is_token(value)) {
            return Err(refused().value(value));
        }
        if values.is_empty() {
            return Err(refused());
        }
        Ok(Self { acr_values: values.join(" ").into(), max_age: None })
    }

    /// Requires an authentication that is at most this old, in whole seconds, of any context class.
    #[must_use]
    pub fn recent(max_age: Duration) -> Self {
        Self { acr_values: Box::default(), max_age: Some(max_age) }
    }

    /// Adds a maximum age of the authentication, in whole seconds.
    ///
    /// A time up to five minutes in the future is accepted as recent; a time further in the future is refused.
    #[must_use]
    pub const fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Checks the authentication of a caller.
    ///
    /// # Errors
    ///
    /// The refusal, if the authentication does not meet the requirement.
    pub fn check(&self, caller: &Principal) -> Result<(), Rejection> {
        match self.unmet(caller) {
            None => Ok(()),
            Some(reason) => {
                let refused = Rejection::new(RejectionKind::StepUp, reason).of_caller(caller);
                Err(self.parameters().fold(refused, |refused, (name, value)| refused.challenge_parameter(name, value)))
            }
        }
    }

    /// The reason why the user does not meet the requirement: the subject that the caller acts for, if there is one.
    fn unmet(&self, caller: &Principal) -> Option<Reason> {
        let caller = caller.acting_for().unwrap_or(caller);
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
            Some(at) if at > now + CLOCK_SKEW => Some(Reason::AUTH_TIME_IN_FUTURE),
            // RFC 9470 §3: `max_age` is the allowed elapsed time.
            Some(at) if at + max_age < now => Some(Reason::AUTH_TIME_TOO_OLD),
            Some(_) => None,
        }
    }

    /// The parameters of the challenge, RFC 9470 §3. Their values need no escaping in a quoted string.
    fn parameters(&self) -> impl Iterator<Item = (&'static str, String)> {
        let acr_values = Some(&self.acr_values).filter(|values| !values.is_empty());
        let acr_values = acr_values.map(|values| ("acr_values", values.to_string()));
        let max_age = self.max_age.map(|age| ("max_age", age.as_secs().to_string()));
        acr_values.into_iter().chain(max_age)
    }
}
