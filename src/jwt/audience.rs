//! Verifiers of the same issuers for several audiences.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::{authenticator::Jwt, builder::check_rule_sets, issuer::TrustedIssuer, select::Issuers, verify::Inner};
use crate::{
    cache::CredentialCache,
    error::{ConfigError, ConfigErrorKind},
    url,
    warnings::Warnings,
};

impl Jwt {
    /// Returns a verifier of the same issuers and keys for another audience, such as that of a group of routes. It has caches
    /// of its own; key sets are fetched once for both, and [`forget_issuer`](Self::forget_issuer) applies to both.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden::{jwt::{Issuer, Jwt}, layer::AuthLayer, testing::TestIssuer};
    ///
    /// let issuer = TestIssuer::new("https://auth.example.com");
    /// let billing = Jwt::new(Issuer::new(issuer.name(), "https://api.example.com/billing")?, issuer);
    /// let reports = AuthLayer::new(billing.for_audience("https://api.example.com/reports")?);
    /// let billing = AuthLayer::new(billing);
    /// # Ok::<(), tower_warden::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the audience is empty, or an issuer has several rule sets with different audiences, such as one for access
    /// tokens and one for ID tokens: the audience would become that of all of them. A [template](super::Issuer::template)
    /// is a rule set of each issuer whose name has its form.
    pub fn for_audience(&self, audience: &str) -> Result<Self, ConfigError> {
        if audience.is_empty() {
            return Err(ConfigError::new(ConfigErrorKind::Audience, "an audience is a text that is not empty"));
        }
        let current = &self.0.issuers.trusted;
        for (index, trusted) in current.iter().enumerate() {
            let mut earlier = current[..index].iter().map(|earlier| &earlier.issuer);
            let issuer = &trusted.issuer;
            if earlier.any(|other| other.name.overlaps(&issuer.name) && !other.has_audiences_of(issuer)) {
                let message = "an issuer has rule sets with different audiences, all of which would get this one, \
                               perhaps one by its name and one by a template; build a verifier with the rule sets that \
                               are for it";
                let error = ConfigError::new(ConfigErrorKind::Audience, message);
                return Err(error.value(url::redacted(trusted.issuer.name())));
            }
        }
        let for_audience = |trusted: &Arc<TrustedIssuer>| {
            let mut trusted = TrustedIssuer::clone(trusted);
            trusted.issuer.audiences = Some(vec![audience.into()]);
            trusted
        };
        let trusted: Vec<_> = current.iter().map(for_audience).collect();
        check_rule_sets(&trusted)?;
        let verifiers = Arc::clone(&self.0.verifiers);
        Ok(Self(verifiers.add(Inner {
            cache: self.0.cache.as_ref().map(|_| CredentialCache::new("tokens", self.0.limits)),
            issuers: Issuers { trusted: trusted.into_iter().map(Arc::new).collect(), warnings: Warnings::default() },
            limits: self.0.limits,
            max_token_bytes: self.0.max_token_bytes,
            resolver: self.0.resolver.as_ref().map(|resolver| resolver.for_audience(audience)),
            verifiers: Arc::clone(&verifiers),
        })))
    }

    /// Forgets the cached tokens of an issuer, and what its [resolver](super::JwtBuilder::resolver) returned for it: the next
    /// token is verified by the resolver's present rules. The same applies to the verifiers for other audiences.
    ///
    /// Of a [template](super::Issuer::template), the name of one issuer forgets the tokens of that issuer, and the template
    /// itself those of all.
    ///
    /// Keys that were fetched are kept by their [source](super::KeySource), and no credential is revoked: a token that the
    /// present rules accept is verified again, and responses that are being sent go on.
    pub fn forget_issuer(&self, name: &str) {
        for verifier in self.0.verifiers.all() {
            // First, so that a token which is verified meanwhile by the old rules is not cached.
            if let Some(resolver) = &verifier.resolver {
                resolver.forget(name);
            }
            let Some(cache) = &verifier.cache else { continue };
            let is_template =
                |trusted: &Arc<TrustedIssuer>| trusted.issuer.is_template() && trusted.issuer.name() == name;
            if verifier.issuers.trusted.iter().any(is_template) {
                // Its tokens are tagged with the names of its issuers, which are not listed.
                cache.invalidate_all();
            } else {
                cache.invalidate(name);
            }
        }
    }
}

/// The verifiers that are in use, of one configuration and for several audiences.
#[derive(Default)]
pub(super) struct Verifiers(Mutex<Vec<Weak<Inner>>>);

impl Verifiers {
    pub(super) fn add(&self, verifier: Inner) -> Arc<Inner> {
        let verifier = Arc::new(verifier);
        let mut verifiers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        verifiers.retain(|other| other.strong_count() > 0);
        verifiers.push(Arc::downgrade(&verifier));
        drop(verifiers);
        verifier
    }

    fn all(&self) -> Vec<Arc<Inner>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect()
    }
}
