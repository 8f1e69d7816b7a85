//! One source of credentials, and the checks that need nothing but the request and the identity.

use std::{
    fmt, iter,
    net::IpAddr,
    sync::{Arc, Once},
};

use super::{
    authenticator::{Authenticator, Presented},
    few::Few,
    proof::{PresentedProof, ProofOfPossession, VerifiedProof},
};
use crate::{
    Eventual,
    caller::{
        Confirmation, ConfirmationMethod, DelegatedScopes, Identity, NetworkAllowed, NotExpired, Possessed, Possession,
        SenderConstraint, Terms,
    },
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    request::{Head, UnknownClient},
    scheme::{self, Challenge, Challenges, LocateError, Located, Place, Scheme, Schemes},
    scope::ScopeHierarchy,
    striped::Striped,
    time::{Arrival, UnixTime},
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
    authenticator: Arc<dyn Authenticator>,
    /// All of them apply.
    constraints: Vec<SenderConstraint>,
    proofs: Vec<Arc<dyn ProofOfPossession>>,
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
        let provable: Vec<_> = provers.map(|proof| proof.method()).collect();
        let is_provable = !provable.is_empty() && methods.iter().all(|method| provable.contains(method));
        is_provable && proofs.iter().all(|proof| has_method(proof) || !proof.is_required_under(scheme))
    }
}

type Proofs = [Arc<dyn ProofOfPossession>];

/// A credential whose verification was begun, with what the request presents as proof.
pub(super) struct Attempt {
    pub(super) now: UnixTime,
    pub(super) place: Place,
    /// The proofs, by the place of their verifiers.
    presented: Few<(usize, PresentedProof)>,
}

/// The proof values of the checks that need no I/O.
pub(super) struct Examined {
    pub(super) not_expired: NotExpired,
    pub(super) possessed: Possessed,
    pub(super) network_allowed: NetworkAllowed,
    /// The proofs, by the place of their verifiers.
    pub(super) proofs: Vec<(usize, VerifiedProof)>,
}

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

    /// Warns if no credential can be bound as required.
    pub(super) fn warn_of_constraints(&self) {
        let terms = self.terms();
        if self.constraints().next().is_some() && !terms.challenges.is_satisfiable() {
            terms.warn_of_unsatisfiable();
        }
    }

    fn constraints(&self) -> impl Iterator<Item = SenderConstraint> {
        self.constraints.iter().copied().chain(self.scheme_constraint)
    }
}

impl CredentialSource {
    /// Returns whether this source and another one located their credentials at the same place of a request.
    pub(super) fn is_located_with(&self, own: &Located<'_>, other: &Self, others: &Located<'_>) -> bool {
        self.schemes().location(own.place).overlaps(other.schemes().location(others.place))
    }

    /// The one credential of a request, or none.
    pub(super) fn locate<'a>(&'a self, head: &Head<'a>) -> Result<Option<Located<'a>>, Rejection> {
        self.settings.schemes.locate(head).map_err(|error| match error {
            LocateError::Malformed(reason) => Rejection::new(RejectionKind::Malformed, reason),
            LocateError::Missing(reason) => Rejection::new(RejectionKind::Missing, reason),
        })
    }

    /// Refuses a request without a credential.
    pub(super) fn missing(head: &Head<'_>) -> Rejection {
        let in_query = scheme::is_in_query(head);
        let reason = if in_query { Reason::CREDENTIAL_IN_QUERY } else { Reason::CREDENTIAL_MISSING };
        Rejection::new(RejectionKind::Missing, reason)
    }

    /// Begins to verify a credential. Everything that needs the head is read here.
    pub(super) fn begin(
        &self,
        located: &Located<'_>,
        head: &Head<'_>,
        arrival: Arrival,
    ) -> (Attempt, Eventual<Result<Arc<Identity>, Rejection>>) {
        let mut attempt = Attempt { now: arrival.now, place: located.place, presented: Few::None };
        if !self.authenticator.accepts(&located.credential) {
            let refused = Rejection::new(RejectionKind::Invalid, Reason::CREDENTIAL_NOT_ACCEPTED);
            return (attempt, Eventual::Now(Err(refused)));
        }
        for (place, proof) in self.proofs.iter().enumerate() {
            match proof.read(head, &located.credential) {
                PresentedProof::Absent => {}
                presented => attempt.presented.push((place, presented)),
            }
        }
        (attempt, self.authenticator.authenticate(&Presented::arrived(located.credential, *head, arrival)))
    }

    /// Expiry, possession, then networks.
    pub(super) fn examine(
        &self,
        attempt: &Attempt,
        identity: &Identity,
        client: impl FnOnce() -> Result<IpAddr, UnknownClient>,
    ) -> Result<Examined, Rejection> {
        let invalid = |reason| Rejection::new(RejectionKind::Invalid, reason);
        let not_expired = NotExpired::check(identity, attempt.now).map_err(invalid)?;
        let (proved, proofs) = self.verify(attempt, identity.confirmation.as_ref())?;
        let possessed = Possessed::check(identity, proved.as_slice(), self.constraints()).map_err(invalid)?;
        let network_allowed = NetworkAllowed::check(identity, client)?;
        Ok(Examined { not_expired, possessed, network_allowed, proofs })
    }

    /// Verifies the proofs of the methods that the credential is bound by.
    fn verify(
        &self,
        attempt: &Attempt,
        confirmation: Option<&Confirmation>,
    ) -> Result<(Few<Possession>, Vec<(usize, VerifiedProof)>), Rejection> {
        let is_bound = |proof: &dyn ProofOfPossession| {
            confirmation.is_some_and(|confirmation| confirmation.thumbprint(&proof.method()).is_some())
        };
        let scheme = self.settings.schemes.name(attempt.place);
        // RFC 9449 §7.1: a credential that is not bound to a key has no place under the scheme.
        if self.proofs.iter().any(|proof| proof.is_required_under(scheme) && !is_bound(proof)) {
            return Err(Rejection::new(RejectionKind::Invalid, Reason::KEY_NOT_BOUND));
        }
        let (mut proved, mut proofs) = (Few::None, Vec::new());
        for (place, presented) in attempt.presented.as_slice() {
            let proof = &self.proofs[*place];
            let thumbprint = match presented {
                PresentedProof::Unverified(unverified) if is_bound(proof) => {
                    let verified = unverified.verify(attempt.now)?;
                    let thumbprint = verified.thumbprint;
                    proofs.push((*place, verified));
                    thumbprint
                }
                PresentedProof::Absent | PresentedProof::Unverified(_) => continue,
                PresentedProof::Verified(thumbprint) => *thumbprint,
            };
            proved.push(Possession { method: proof.method(), thumbprint });
        }
        Ok((proved, proofs))
    }

    /// Marks the proofs of a request as used, one after the other.
    pub(super) fn mark_used(
        &self,
        proofs: &[(usize, VerifiedProof)],
        now: UnixTime,
    ) -> Eventual<Result<(), Rejection>> {
        let Some(((place, first), rest)) = proofs.split_first() else { return Eventual::Now(Ok(())) };
        let marked = self.proofs[*place].mark_used(first, now);
        if rest.is_empty() {
            return marked;
        }
        let rest: Vec<_> =
            rest.iter().map(|(place, proof)| (Arc::clone(&self.proofs[*place]), proof.clone())).collect();
        // What records used proofs.
        Eventual::later(async move {
            marked.wait().await?;
            for (verifier, proof) in rest {
                verifier.mark_used(&proof, now).wait().await?;
            }
            Ok(())
        })
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
