//! The `WWW-Authenticate` field of a layer, and the one place that writes it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, LazyLock},
};

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{
    Bearer, Scheme,
    challenge::{Challenge, ChallengeError, ChallengePosition, ChallengeRequest},
    locate::Schemes,
};
use crate::{log, scope::Scopes};

/// Under which scheme the refused credential came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Presented {
    /// It is unknown which one was meant: each challenge reports the error.
    Any,
    /// The scheme at this place; if it has no challenge, the first challenge reports the error.
    Scheme(usize),
}

/// The challenges of a layer, rendered once where they depend on nothing of a request.
#[derive(Debug)]
pub(crate) struct Challenges {
    challenge: Challenge,
    schemes: Vec<Arc<dyn Scheme>>,
    /// Places of schemes that have a challenge, in the order in which these are written.
    order: Vec<usize>,
    /// Fields that the offered schemes add to the challenges.
    fields: Box<[(HeaderName, HeaderValue)]>,
    malformed: Box<[HeaderValue]>,
    missing: Box<[HeaderValue]>,
    /// The lines, by the place of their schemes.
    invalid: Box<[Box<[HeaderValue]>]>,
    is_satisfiable: bool,
}

impl Challenges {
    /// The challenges of those of the schemes that `is_offered` accepts by their names.
    ///
    /// If it accepts none, no credential can be valid, which is a mistake in the configuration. A 401 has a challenge all the
    /// same: then all schemes are offered.
    pub(crate) fn new(challenge: Challenge, schemes: &Schemes, is_offered: impl Fn(&str) -> bool) -> Self {
        let mut schemes: Vec<_> = schemes.iter().map(Arc::clone).collect();
        let count = schemes.len();
        let mut this = Self {
            challenge,
            schemes: Vec::new(),
            order: Vec::new(),
            fields: Box::default(),
            malformed: Box::default(),
            missing: Box::default(),
            invalid: Box::default(),
            is_satisfiable: schemes.iter().any(|scheme| is_offered(scheme.name())),
        };
        let request = this.request(None, None, ChallengePosition::First);
        this.order = (0..count).filter(|place| schemes[*place].challenge(&request).is_some()).collect();
        if this.order.iter().any(|place| is_offered(schemes[*place].name())) {
            this.order.retain(|place| is_offered(schemes[*place].name()));
        }
        let offered = |scheme: &&Arc<dyn Scheme>| is_offered(scheme.name()) || !this.is_satisfiable;
        let fields = schemes.iter().filter(offered).flat_map(|scheme| scheme.challenge_fields()).collect();
        if this.order.is_empty() {
            // RFC 9110 §15.5.2: a 401 has a challenge.
            schemes.push(Arc::new(Bearer::default()));
            this.order = vec![count];
        }
        this.order.sort_by_key(|place| schemes[*place].challenge_order());
        this.schemes = schemes;
        let scope = this.challenge.scope.as_ref();
        let malformed = this.render(None, Some(ChallengeError::INVALID_REQUEST), Presented::Any);
        let missing = this.render(scope, None, Presented::Any);
        let invalid = (0..count)
            .map(|place| this.render(scope, Some(ChallengeError::INVALID_TOKEN), Presented::Scheme(place)))
            .collect();
        Self { fields, malformed, missing, invalid, ..this }
    }

    /// Those of a refusal that no layer made.
    pub(crate) fn fallback() -> &'static Self {
        static FALLBACK: LazyLock<Challenges> = LazyLock::new(|| {
            Challenges::new(Challenge::default(), &Schemes::new([Arc::new(Bearer::default()) as _]), |_| true)
        });
        &FALLBACK
    }

    /// Writes the challenges, each as a field line of its own, in the place of those that are present.
    ///
    /// `scope` is used where the challenges were not rendered before. Of the further fields, those that the refusal states
    /// itself are `own`.
    pub(crate) fn write(
        &self,
        error: Option<ChallengeError<'_>>,
        scope: Option<&Scopes>,
        presented: Presented,
        own: &[(HeaderName, HeaderValue)],
        headers: &mut HeaderMap,
    ) {
        let rendered;
        let lines = match (error, presented) {
            (None, _) => &self.missing,
            (Some(error), _) if error.is(&ChallengeError::INVALID_REQUEST) => &self.malformed,
            (Some(error), Presented::Scheme(place))
                if error.is(&ChallengeError::INVALID_TOKEN) && place < self.invalid.len() =>
            {
                &self.invalid[place]
            }
            (Some(error), presented) => {
                // Custom schemes run here, outside of any check: a panic costs the error, and not the response.
                match catch_unwind(AssertUnwindSafe(|| self.render(scope, Some(error), presented))) {
                    Ok(lines) => {
                        rendered = lines;
                        &rendered
                    }
                    Err(_) => {
                        log::error!("the challenge of a scheme panicked; the response has no error code");
                        &self.missing
                    }
                }
            }
        };
        headers.remove(header::WWW_AUTHENTICATE);
        for line in lines {
            headers.append(header::WWW_AUTHENTICATE, line.clone());
        }
        let fields = || self.fields.iter().filter(|(name, _)| !own.iter().any(|(stated, _)| stated == name));
        fields().for_each(|(name, _)| drop(headers.remove(name)));
        for (name, value) in fields() {
            headers.append(name, value.clone());
        }
    }

    /// Returns whether one of the schemes was accepted, with or without a challenge.
    pub(crate) const fn is_satisfiable(&self) -> bool {
        self.is_satisfiable
    }

    /// The scopes that a client should request first.
    pub(crate) const fn scope(&self) -> Option<&Scopes> {
        self.challenge.scope.as_ref()
    }

    fn render(
        &self,
        scope: Option<&Scopes>,
        error: Option<ChallengeError<'_>>,
        presented: Presented,
    ) -> Box<[HeaderValue]> {
        let reporting = match presented {
            Presented::Scheme(place) if !self.order.contains(&place) => self.order.first().copied(),
            Presented::Scheme(place) => Some(place),
            Presented::Any => None,
        };
        let lines = self.order.iter().enumerate().filter_map(|(index, place)| {
            let position = if index == 0 { ChallengePosition::First } else { ChallengePosition::Later };
            let error = error.filter(|_| reporting.is_none_or(|reporting| reporting == *place));
            self.schemes[*place].challenge(&self.request(scope, error, position))?.value()
        });
        lines.collect()
    }

    fn request<'a>(
        &'a self,
        scope: Option<&'a Scopes>,
        error: Option<ChallengeError<'a>>,
        position: ChallengePosition,
    ) -> ChallengeRequest<'a> {
        let Challenge { realm, resource_metadata, .. } = &self.challenge;
        ChallengeRequest { error, position, realm, resource_metadata: resource_metadata.as_deref(), scope }
    }
}
