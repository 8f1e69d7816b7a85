//! One source of credentials.

use std::{
    fmt, iter,
    sync::{Arc, Once},
};

#[cfg(feature = "signature")]
use http::HeaderName;

use super::{authenticator::Authenticator, proof::ProofOfPossession};
use crate::{
    caller::{ConfirmationMethod, DelegatedScopes, SenderConstraint, Terms},
    log,
    scheme::{Challenge, Challenges, CredentialKind, Scheme, Schemes},
    scope::ScopeHierarchy,
    striped::Striped,
};

/// A source of credentials: an authenticator, the schemes under which it takes them, and the proofs that go with them.
///
/// [`AuthLayer`](crate::layer::AuthLayer) has one, and a second one if its callers
/// [act for](crate::layer::AuthLayer::acting_for) a subject with a credential of its own.
///
/// # Examples
///
/// A user's token in a header field:
///
/// ```
/// use tower_warden::{
///     auth::CredentialSource,
///     jwt::{Issuer, Jwt},
///     scheme::{Bearer, Location},
///     testing::TestIssuer,
/// };
///
/// let issuer = TestIssuer::new("https://auth.example.com");
/// let jwt = Jwt::new(Issuer::new(issuer.name(), "https://api.example.com")?, issuer);
/// let user = CredentialSource::new(jwt).scheme(Bearer::from(Location::header("x-user-token")));
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct CredentialSource {
    pub(super) authenticator: Arc<dyn Authenticator>,
    /// All of them apply.
    constraints: Vec<SenderConstraint>,
    pub(super) proofs: Vec<Arc<dyn ProofOfPossession>>,
    /// The constraint that comes with a scheme, and is replaced with it.
    scheme_constraint: Option<SenderConstraint>,
    settings: Settings,
    /// Made of the settings; the same for each thread.
    terms: Striped<Arc<Terms>>,
}

#[derive(Clone)]
struct Settings {
    challenge: Challenge,
    delegated_scopes: DelegatedScopes,
    hierarchy: ScopeHierarchy,
    schemes: Schemes,
}

impl Settings {
    fn terms(&self, proofs: &Proofs, constraints: &[SenderConstraint]) -> Striped<Arc<Terms>> {
        let challenges = |is_offered: &dyn Fn(&str) -> bool| {
            Arc::new(Challenges::new(self.challenge.clone(), &self.schemes, is_offered))
        };
        let own: Vec<_> = constraints.iter().copied().filter_map(SenderConstraint::method).collect();
        let is_offered = |scheme: &str| constraints.is_empty() || self.is_bound_under(scheme, &own, proofs);
        let methods = iter::once(None).chain(proofs.iter().map(|proof| Some(proof.method())));
        let constrained = methods.map(|method| {
            let all: Vec<_> = own.iter().chain(&method).cloned().collect();
            let lines = challenges(&|scheme| self.is_bound_under(scheme, &all, proofs));
            (method, lines)
        });
        let terms = Terms {
            constrained: constrained.collect(),
            challenges: challenges(&is_offered),
            delegated_scopes: self.delegated_scopes,
            hierarchy: self.hierarchy.clone(),
            schemes: Arc::new(self.schemes.clone()),
            warning: Arc::new(Once::new()),
        };
        Striped::new(|| Arc::new(terms.clone()))
    }

    /// Returns whether a credential under this scheme can be proved to be bound by all of these methods, or by any if there are
    /// none, and needs no proof of another one.
    fn is_bound_under(&self, scheme: &str, methods: &[ConfirmationMethod], proofs: &Proofs) -> bool {
        let has_method = |proof: &Arc<dyn ProofOfPossession>| methods.is_empty() || methods.contains(&proof.method());
        // A proof that is required under one scheme is read under no other.
        let is_of_another =
            |proof: &Arc<dyn ProofOfPossession>| self.schemes.iter().any(|other| proof.is_required_under(other.name()));
        let provers = proofs.iter().filter(|proof| proof.is_required_under(scheme) || !is_of_another(proof));
        let mut known = self.schemes.iter().filter(|known| known.name() == scheme);
        // A signature of the request needs no further proof: `SenderConstraint::check`.
        let is_proof = known.any(|known| known.kind() == CredentialKind::SIGNATURE);
        let own = is_proof.then_some(ConfirmationMethod::KEY);
        let provable: Vec<_> = provers.map(|proof| proof.method()).chain(own).collect();
        let is_provable = !provable.is_empty() && methods.iter().all(|method| provable.contains(method));
        is_provable && proofs.iter().all(|proof| has_method(proof) || !proof.is_required_under(scheme))
    }
}

type Proofs = [Arc<dyn ProofOfPossession>];

impl CredentialSource {
    /// Credentials that this authenticator verifies, under the schemes that it declares.
    pub fn new(authenticator: impl Authenticator) -> Self {
        let settings = Settings {
            challenge: Challenge::default(),
            delegated_scopes: DelegatedScopes::default(),
            hierarchy: ScopeHierarchy::default(),
            schemes: Schemes::new(authenticator.schemes()).with_max_length(authenticator.max_credential_bytes()),
        };
        let proofs = authenticator.proofs();
        let terms = settings.terms(&proofs, &[]);
        Self {
            authenticator: Arc::new(authenticator),
            constraints: Vec::new(),
            proofs,
            scheme_constraint: None,
            settings,
            terms,
        }
    }

    /// Adds a proof of possession.
    pub fn proof(mut self, proof: impl ProofOfPossession) -> Self {
        self.proofs.push(Arc::new(proof));
        self.with_new_terms()
    }

    /// Removes the proofs that a scheme requires: another verifier replaces theirs.
    #[cfg(feature = "dpop")]
    pub(crate) fn without_proofs_of(mut self, scheme: &str) -> Self {
        self.proofs.retain(|proof| !proof.is_required_under(scheme));
        self.with_new_terms()
    }

    /// Replaces the scheme of the same name, or adds one.
    pub fn scheme(self, scheme: impl Scheme) -> Self {
        self.with(|settings| settings.schemes.set(&(Arc::new(scheme) as _)))
    }

    /// Takes a credential in these fields as the proof of another one, if a request has one.
    #[cfg(feature = "signature")]
    pub(crate) fn proof_in(self, fields: &[HeaderName]) -> Self {
        self.with(|settings| settings.schemes.set_proof_fields(fields))
    }

    /// The header fields that carry credentials, each once.
    #[cfg(feature = "signature")]
    pub(crate) fn credential_fields(&self) -> Vec<HeaderName> {
        let mut fields: Vec<HeaderName> = Vec::new();
        for field in self.settings.schemes.credential_fields() {
            if !fields.contains(field) {
                fields.push(field.clone());
            }
        }
        fields
    }

    /// Removes the scheme with this name: see [`AuthLayer::without_scheme`](crate::layer::AuthLayer::without_scheme).
    pub fn without_scheme(self, name: &str) -> Self {
        self.with(|settings| settings.schemes.remove(name))
    }

    /// Refuses credentials that are not bound to their sender. Refusals offer only schemes whose credentials can be bound so.
    ///
    /// Of several calls, all apply: a credential is then bound in each of these ways.
    pub fn sender_constrained(mut self, constraint: SenderConstraint) -> Self {
        self.constraints.push(constraint);
        self.with_new_terms()
    }

    /// Sets the constraint that comes with a scheme, in addition to those that were declared.
    #[cfg(feature = "dpop")]
    pub(crate) fn constrained_by_scheme(mut self, constraint: Option<SenderConstraint>) -> Self {
        self.scheme_constraint = constraint;
        self.with_new_terms()
    }

    pub(super) fn challenge(self, challenge: Challenge) -> Self {
        self.with(|settings| settings.challenge = challenge)
    }

    pub(super) fn delegated_scopes(self, scopes: DelegatedScopes) -> Self {
        self.with(|settings| settings.delegated_scopes = scopes)
    }

    /// Applies the settings of a layer that are not those of one source.
    pub(super) fn with_settings_of(mut self, caller: &Self) -> Self {
        self.constraints.extend(&caller.constraints);
        let Settings { challenge, hierarchy, .. } = caller.settings.clone();
        self.with(|settings| (settings.challenge, settings.hierarchy) = (challenge, hierarchy))
    }

    pub(super) fn scope_hierarchy(self, hierarchy: ScopeHierarchy) -> Self {
        self.with(|settings| settings.hierarchy = hierarchy)
    }

    pub(super) const fn schemes(&self) -> &Schemes {
        &self.settings.schemes
    }

    pub(super) fn terms(&self) -> &Arc<Terms> {
        self.terms.mine()
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self.with_new_terms()
    }

    fn with_new_terms(mut self) -> Self {
        self.terms = self.settings.terms(&self.proofs, &self.constraints().collect::<Vec<_>>());
        self
    }

    /// Reports outages of what the authenticator and the proofs depend on to the observer.
    #[cfg(feature = "audit")]
    pub(super) fn observed_by(&self, observer: &Arc<dyn crate::notice::Observer>) {
        self.authenticator.observed_by(observer);
        self.proofs.iter().for_each(|proof| proof.observed_by(observer));
    }

    /// Warns if no credential can be bound as required, or one is always refused as two.
    pub(super) fn warn_of_settings(&self) {
        if let Some((one, other)) = self.settings.schemes.overlap() {
            let locations = format!("{one:?}, {other:?}");
            log::warning!(locations = %locations, "one credential may be at both of these locations and is refused as two then");
        }
        let terms = self.terms();
        if self.constraints().next().is_some() && !terms.challenges.is_satisfiable() {
            terms.warn_of_unsatisfiable();
        }
    }

    pub(super) fn constraints(&self) -> impl Iterator<Item = SenderConstraint> {
        self.constraints.iter().copied().chain(self.scheme_constraint)
    }
}

impl fmt::Debug for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialSource")
            .field("constraints", &self.constraints().collect::<Vec<_>>())
            .field("proofs", &self.proofs)
            .field("schemes", &self.settings.schemes)
            .finish_non_exhaustive()
    }
}
