//! From a request to a caller: what presents itself, what it proves, and who vouches for it.

use std::{net::IpAddr, sync::Arc};

use http::{HeaderMap, HeaderValue, Request, header};

use super::{
    authenticator::{Authenticator, Presented},
    evidence::{self, Evidence, Scheme},
};
use crate::{
    Eventual,
    caller::{Anonymous, Identity, Principal, Terms},
    caller::{Binding, KeyProof, KeyProver},
    error::Unavailable,
    gate::{Check, Pass, sealed::Sealed},
    log::{self, Chain},
    refusal::{DPOP_NONCE, Rejection, RejectionKind},
    request::Head,
    request::TrustedProxies,
    revocation::RevocationList,
    scheme::Credential,
    striped::Striped,
    time::{Clock, UnixTime},
};

/// The check of [`AuthLayer`](super::AuthLayer).
#[derive(Clone, Debug)]
pub struct Authentication {
    pub(super) authenticator: Arc<dyn Authenticator>,
    pub(super) binding: Option<Binding>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) presence: Presence,
    pub(super) prover: Option<Arc<dyn KeyProver>>,
    pub(super) proxies: TrustedProxies,
    pub(super) revocations: Option<Arc<dyn RevocationList>>,
    /// The same for each thread.
    pub(super) terms: Striped<Arc<Terms>>,
}

/// Whether there must be a credential.
#[derive(Clone, Copy, Debug)]
pub(super) enum Presence {
    Optional,
    Required,
}

impl Sealed for Authentication {}

impl Check for Authentication {
    type Pass = Admitted;

    fn check(self: &Arc<Self>, head: &Head<'_>) -> Eventual<Result<Admitted, Rejection>> {
        let credential = match Credential::find(head, self.terms.mine().api_key_header.as_ref()) {
            Ok(Some(Credential::Dpop(_))) if self.prover.is_none() => {
                return self.refuse(Rejection::new(RejectionKind::Missing, "unsupported_scheme"));
            }
            Ok(Some(credential)) if self.authenticator.accepts(&credential) => credential,
            Ok(Some(credential)) => {
                let rejection = Rejection::new(RejectionKind::Invalid, "credential_not_accepted");
                return Eventual::Now(Err(self.challenged(rejection, Scheme::of(&credential))));
            }
            Ok(None) if self.takes_certificate(head) => Credential::Certificate,
            Ok(None) => return self.absent(head),
            Err(rejection) => return self.refuse(rejection),
        };
        let now = self.clock.now();
        let evidence = Evidence::of(head, &credential, self.prover.as_deref());
        match self.authenticator.authenticate(&Presented::new(credential, *head, now)) {
            Eventual::Now(verdict) => self.settle(verdict, now, &evidence, || self.proxies.client(head)),
            Eventual::Later(verdict) => {
                let (this, client) = (Arc::clone(self), self.proxies.client(head));
                // What the authenticator asks.
                Eventual::later(async move { this.settle(verdict.await, now, &evidence, || client).wait().await })
            }
        }
    }
}

impl Authentication {
    fn absent(&self, head: &Head<'_>) -> Eventual<Result<Admitted, Rejection>> {
        match self.presence {
            Presence::Optional => Eventual::Now(Ok(Admitted::anonymous(self.terms.mine()))),
            Presence::Required if Credential::is_in_query(head) => {
                self.refuse(Rejection::new(RejectionKind::Missing, "credential_in_query"))
            }
            Presence::Required => self.refuse(Rejection::new(RejectionKind::Missing, "credential_missing")),
        }
    }

    /// Whether the connection's certificate is what a request without a credential presents.
    fn takes_certificate(&self, head: &Head<'_>) -> bool {
        evidence::thumbprint(head.extensions).is_some() && self.authenticator.accepts(&Credential::Certificate)
    }

    fn refuse(&self, rejection: Rejection) -> Eventual<Result<Admitted, Rejection>> {
        Eventual::Now(Err(self.challenged(rejection, Scheme::Other)))
    }

    fn challenged(&self, rejection: Rejection, scheme: Scheme) -> Rejection {
        let terms = self.terms.mine();
        rejection.challenge(match scheme {
            Scheme::Dpop => &terms.dpop_challenge,
            Scheme::Other => &terms.challenge,
        })
    }

    fn settle(
        self: &Arc<Self>,
        verdict: Result<Arc<Identity>, Rejection>,
        now: UnixTime,
        evidence: &Evidence,
        client: impl FnOnce() -> Option<IpAddr>,
    ) -> Eventual<Result<Admitted, Rejection>> {
        let scheme = evidence.scheme();
        let examined = verdict.and_then(|identity| {
            let proof = self.examine(&identity, now, evidence, client)?;
            Ok((identity, proof))
        });
        let (identity, proof) = match examined {
            Ok(examined) => examined,
            Err(rejection) => return Eventual::Now(Err(self.challenged(rejection, scheme))),
        };
        let revoked = self.revocations.as_ref().map(|list| list.is_revoked(&identity));
        match revoked.unwrap_or(Eventual::Now(Ok(false))) {
            Eventual::Now(revoked) => self.conclude(identity, now, proof, revoked),
            Eventual::Later(revoked) => {
                let this = Arc::clone(self);
                // The list.
                Eventual::later(async move { this.conclude(identity, now, proof, revoked.await).wait().await })
            }
        }
    }

    /// What is told by the identity and the request alone: expiry, binding, then networks.
    fn examine(
        &self,
        identity: &Identity,
        now: UnixTime,
        evidence: &Evidence,
        client: impl FnOnce() -> Option<IpAddr>,
    ) -> Result<Option<KeyProof>, Rejection> {
        if identity.expires_at.is_some_and(|end| end + identity.skew <= now) {
            return Err(Rejection::new(RejectionKind::Invalid, "expired"));
        }
        let proof = evidence.confirm(identity.confirmation.as_ref(), now)?;
        if let Some(binding) = self.binding {
            let unbound = |reason| Rejection::new(RejectionKind::Invalid, reason);
            binding.check(identity.confirmation.as_ref()).map_err(unbound)?;
        }
        if !identity.networks.is_empty() {
            let client = client().ok_or_else(|| Rejection::new(RejectionKind::Invalid, "peer_unknown"))?;
            if !identity.networks.iter().any(|network| network.contains(client)) {
                return Err(Rejection::new(RejectionKind::Invalid, "network_forbidden"));
            }
        }
        Ok(proof)
    }

    /// The last questions: whether it was revoked, and whether its proof was seen before.
    fn conclude(
        self: &Arc<Self>,
        identity: Arc<Identity>,
        now: UnixTime,
        proof: Option<KeyProof>,
        revoked: Result<bool, Unavailable>,
    ) -> Eventual<Result<Admitted, Rejection>> {
        let scheme = if proof.is_some() { Scheme::Dpop } else { Scheme::Other };
        let refused = |kind, reason| Eventual::Now(Err(self.challenged(Rejection::new(kind, reason), scheme)));
        match revoked {
            Ok(false) => {}
            Ok(true) => return refused(RejectionKind::Invalid, "revoked"),
            Err(error) => {
                log::warning!(error = %Chain(&error), "the revocation list did not answer; the request is answered with 503");
                return refused(RejectionKind::Unavailable, "revocations_unavailable");
            }
        }
        match (proof, self.prover.as_deref()) {
            (None, _) => Eventual::Now(Ok(self.vouch(identity, now))),
            (Some(_), None) => refused(RejectionKind::Internal, "key_prover_missing"),
            (Some(proof), Some(prover)) => {
                let this = Arc::clone(self);
                prover.spend(&proof, now).map(move |spent| match spent {
                    Ok(()) => Ok(this.vouch(identity, now).nonce(proof.nonce)),
                    Err(rejection) => Err(this.challenged(rejection, scheme)),
                })
            }
        }
    }

    /// The one way from [`Identity`] to [`Principal`], after everything else was found good.
    fn vouch(&self, identity: Arc<Identity>, now: UnixTime) -> Admitted {
        if let Some(witness) = &identity.on_admission {
            witness.admitted(now);
        }
        Admitted::principal(Principal::vouched(identity, Arc::clone(self.terms.mine()), now))
    }
}

/// What [`AuthLayer`](super::AuthLayer) leaves on a request.
#[derive(Debug)]
pub struct Admitted {
    caller: Option<Caller>,
    nonce: Option<HeaderValue>,
}

#[derive(Debug)]
enum Caller {
    Anonymous(Anonymous),
    Known(Principal),
}

impl Admitted {
    fn anonymous(terms: &Terms) -> Self {
        Self { caller: Some(Caller::Anonymous(Anonymous::new(&terms.challenge))), nonce: None }
    }

    const fn principal(principal: Principal) -> Self {
        Self { caller: Some(Caller::Known(principal)), nonce: None }
    }

    /// What the client is told to put into its next proof.
    fn nonce(mut self, nonce: Option<HeaderValue>) -> Self {
        self.nonce = nonce;
        self
    }
}

impl Sealed for Admitted {}

impl Pass for Admitted {
    fn admit<B>(&mut self, request: &mut Request<B>) {
        match self.caller.take() {
            None => {}
            Some(Caller::Anonymous(anonymous)) => {
                // An outer layer's principal is not this layer's.
                request.extensions_mut().remove::<Principal>();
                request.extensions_mut().insert(anonymous);
            }
            Some(Caller::Known(principal)) => {
                principal.conceal(request.headers_mut());
                request.extensions_mut().insert(principal);
            }
        }
    }

    fn decorate(&mut self, headers: &mut HeaderMap) {
        if let Some(nonce) = self.nonce.take() {
            headers.insert(DPOP_NONCE, nonce);
            // RFC 9449 §8.2: a cache would hand out a nonce that is too old.
            headers.insert(header::CACHE_CONTROL, const { HeaderValue::from_static("no-store") });
        }
    }
}
