use std::sync::Arc;

use http::{Extensions, HeaderMap};

use super::{
    admission::Admission,
    confirmation::SenderConstraint,
    identity::Identity,
    terms::{ChallengeTerms, DelegatedScopes, Terms},
};
use crate::{
    refusal::Rejection,
    scheme::{Place, Presented},
    scope::{Requirement, Scope, Scopes},
    time::UnixTime,
};

/// An authenticated caller.
///
/// Only [`AuthLayer`](crate::layer::AuthLayer) can make one, after every check has passed:
///
/// ```compile_fail,E0624
/// # use std::sync::Arc;
/// # use tower_warden::{AuthMethod, Identity, Principal};
/// let forged = Principal::admit(Arc::new(Identity::new("root", AuthMethod::ApiKey)));
/// ```
#[derive(Clone, Debug)]
pub struct Principal {
    acting_for: Option<Arc<Self>>,
    admitted_at: UnixTime,
    /// The number of the configuration of the layer that admitted it.
    #[cfg_attr(not(feature = "stream"), expect(dead_code, reason = "only long responses are checked again"))]
    configuration: u64,
    /// The scopes of the credential and those that layers have added, if they have added some.
    granted: Option<Arc<Scopes>>,
    identity: Arc<Identity>,
    place: Place,
    /// The scopes that layers have required of this request so far.
    required: Option<Arc<Scopes>>,
    terms: Arc<Terms>,
}

impl Principal {
    /// The only way from an [`Identity`] to a principal.
    #[expect(clippy::needless_pass_by_value, reason = "it is consumed: one admission makes one principal")]
    pub(crate) fn admit(
        identity: Arc<Identity>,
        admission: Admission,
        place: Place,
        terms: Arc<Terms>,
        now: UnixTime,
        configuration: u64,
    ) -> Self {
        // Taken apart, so that a check that is added later is required here.
        let Admission { not_expired: _, possessed: _, network_allowed: _, not_revoked: _, proofs_used_once: _ } =
            admission;
        Self {
            acting_for: None,
            admitted_at: now,
            configuration,
            granted: None,
            identity,
            place,
            required: None,
            terms,
        }
    }

    /// Adds the subject that the caller acts for, admitted by the same layer.
    #[must_use]
    pub(crate) fn for_subject(mut self, subject: Self) -> Self {
        self.acting_for = Some(Arc::new(subject));
        self
    }

    /// Adds scopes that the caller has by its roles to those of its credential.
    pub(crate) fn grant(&mut self, scopes: &Scopes) {
        if !self.scopes().contains_all(scopes) {
            self.granted = Some(Arc::new(self.scopes().iter().chain(scopes.iter()).cloned().collect()));
        }
    }

    /// Adds scopes to those of the subject that the caller acts for.
    pub(crate) fn grant_subject(&mut self, scopes: &Scopes) {
        if let Some(subject) = &mut self.acting_for {
            Arc::make_mut(subject).grant(scopes);
        }
    }

    /// Notes scopes that a layer has required, and returns those that layers have required so far.
    pub(crate) fn require(&mut self, scopes: Arc<Scopes>) -> &Arc<Scopes> {
        let required = Scopes::joined(self.required.take(), scopes);
        self.required.insert(required)
    }

    /// The caller of a request, from its extensions: where there are no extractors, such as in the tools of an MCP server.
    ///
    /// # Errors
    ///
    /// 401 if an optional `AuthLayer` has admitted the request without a credential, and 500 if no `AuthLayer` has admitted it.
    ///
    /// # Examples
    ///
    /// ```
    /// use http::request::Parts;
    /// use tower_warden::{Principal, Rejection};
    ///
    /// fn greeting(parts: &Parts) -> Result<String, Rejection> {
    ///     let caller = Principal::of(&parts.extensions)?;
    ///     Ok(format!("hello {}", caller.subject()))
    /// }
    /// # let (parts, ()) = http::Request::new(()).into_parts();
    /// assert_eq!(greeting(&parts).unwrap_err().status(), 500);
    /// ```
    pub fn of(extensions: &Extensions) -> Result<&Self, Rejection> {
        super::of(extensions)
    }

    /// The identity that was admitted.
    pub(crate) const fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// The number of the configuration of the layer that admitted it.
    #[cfg(feature = "stream")]
    pub(crate) const fn configuration(&self) -> u64 {
        self.configuration
    }

    /// The scopes that layers have required of this request so far.
    pub(crate) fn required(&self) -> Option<&Scopes> {
        self.required.as_deref()
    }

    /// Reports the admission to who observes the credentials' use.
    pub(crate) fn report_admission(&self) {
        for principal in std::iter::once(self).chain(self.acting_for()) {
            if let Some(observer) = &principal.identity.on_admission {
                observer.admitted(self.admitted_at);
            }
        }
    }

    /// The challenges of refusals of this caller's requests.
    pub(crate) fn challenge(&self) -> ChallengeTerms {
        let presented = Presented::Scheme(self.place.scheme);
        ChallengeTerms { challenges: Arc::clone(&self.terms.challenges), presented }
    }

    /// The challenges of refusals that require a credential that is bound in this way.
    pub(crate) fn challenge_of(&self, constraint: SenderConstraint) -> ChallengeTerms {
        ChallengeTerms { challenges: Arc::clone(self.terms.challenges_of(constraint)), ..self.challenge() }
    }

    /// Marks the credentials in the header fields, so that inner layers do not print them.
    pub(crate) fn conceal(&self, headers: &mut HeaderMap) {
        self.terms.schemes.conceal(self.place, headers);
        if let Some(subject) = &self.acting_for {
            subject.conceal(headers);
        }
    }

    /// The subject that the caller acts for, if the layer requires
    /// [two credentials](crate::layer::AuthLayer::acting_for): this principal is the agent, that one the user.
    #[must_use]
    pub fn acting_for(&self) -> Option<&Self> {
        self.acting_for.as_deref()
    }

    /// The subject: a user, a service, an agent.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.identity.subject
    }

    /// The tenant of the subject. A caller without a tenant has that of the subject that it [acts for](Self::acting_for).
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.member_of_tenant().own_tenant()
    }

    /// The principal whose credential names the tenant: the caller, or the subject that it acts for if only that has one.
    pub(crate) fn member_of_tenant(&self) -> &Self {
        match self.acting_for() {
            Some(subject) if self.own_tenant().is_none() && subject.own_tenant().is_some() => subject,
            _ => self,
        }
    }

    /// The tenant that the caller's own credential names.
    pub(crate) fn own_tenant(&self) -> Option<&str> {
        self.identity.tenant.as_deref()
    }

    /// The scopes of the caller's own credential, and those that a [`RoleLayer`](crate::layer::RoleLayer) has added. Decide by [`holds`](Self::holds), which includes the scopes that they imply,
    /// and considers the subject that the caller [acts for](Self::acting_for).
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        self.granted.as_deref().unwrap_or(&self.identity.scopes)
    }

    /// Returns whether the caller has the scope, or one that implies it.
    ///
    /// A caller that [acts for](Self::acting_for) a subject holds a scope if both do, unless the layer
    /// [says otherwise](crate::layer::AuthLayer::delegated_scopes).
    #[must_use]
    pub fn holds(&self, scope: &Scope) -> bool {
        self.holds_of(scope, Self::scopes)
    }

    /// Returns whether the caller holds the scope by the credentials alone, without scopes that layers have added.
    #[cfg(all(feature = "api-key", feature = "axum"))]
    pub(crate) fn holds_by_credential(&self, scope: &Scope) -> bool {
        self.holds_of(scope, |principal| &principal.identity.scopes)
    }

    fn holds_of(&self, scope: &Scope, scopes: fn(&Self) -> &Scopes) -> bool {
        let own = |principal: &Self| principal.terms.hierarchy.grants(scopes(principal), scope);
        match (&self.acting_for, self.terms.delegated_scopes) {
            (None, _) | (Some(_), DelegatedScopes::Caller) => own(self),
            (Some(subject), DelegatedScopes::Both) => own(self) && own(subject),
            (Some(subject), DelegatedScopes::Subject) => own(subject),
        }
    }

    /// Returns whether the caller's scopes meet the requirement.
    #[must_use]
    pub fn meets<R: Requirement>(&self) -> bool {
        R::is_met(&|scope| self.holds(scope))
    }

    /// The time at which this request was admitted, by the layer's clock.
    #[must_use]
    pub const fn admitted_at(&self) -> UnixTime {
        self.admitted_at
    }
}
