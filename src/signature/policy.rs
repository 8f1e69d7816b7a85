use std::{fmt, sync::Arc, time::Duration};

use http::HeaderName;
use sfv::StringRef;

use super::{
    algorithm::SignatureAlgorithm,
    component::{Component, Kind},
    field_type::{FieldType, FieldTypes},
    origin::Origin,
    replay::Replay,
    requirement::{AgentRule, ContentRule, Presence, Required},
    window,
};
use crate::{
    error::{ConfigError, ConfigErrorKind},
    replay::ReplayGuard,
};

/// The longest time for which a signature is accepted.
const MAX_AGE: Duration = Duration::from_secs(24 * 3600);

/// The largest difference of clocks.
const MAX_SKEW: Duration = Duration::from_secs(300);

/// The largest number of origins: one signature base is made for each.
const MAX_ORIGINS: usize = 4;

/// The requirements for signatures of requests
/// ([RFC 9421 §3.2.1](https://www.rfc-editor.org/rfc/rfc9421#section-3.2.1)).
///
/// By default, a signature covers `@method`, the whole target (`@target-uri`, or `@authority` with `@path` and `@query`),
/// and, if there is content, `content-digest`, and `content-type` and `content-encoding` if the request has them; further
/// `authorization` if the request has it, and the fields of a subject's credential if its maker
/// [acts for](crate::layer::AuthLayer::acting_for) a subject. It has `created`, at most 300 seconds ago and at most 60 seconds in the future, a `keyid`, and no `tag`, and it is accepted once.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_warden::signature::SignaturePolicy;
///
/// let policy = SignaturePolicy::new("https://api.example.com")?
///     .components(["@method", "@target-uri", "authorization"])?
///     .max_age(Duration::from_secs(60))?
///     .tag("billing")?;
///
/// assert!(SignaturePolicy::new("http://api.example.com").is_err(), "not https");
/// let policy = SignaturePolicy::new("https://api.example.com")?;
/// assert!(policy.components(["@path", "date"]).is_err(), "it could be replayed with another method, to another host");
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct SignaturePolicy {
    pub(super) agent: AgentRule,
    pub(super) algorithms: Vec<SignatureAlgorithm>,
    pub(super) content: ContentRule,
    pub(super) created: Presence,
    pub(super) expires: Presence,
    pub(super) max_age: Duration,
    pub(super) nonce: Presence,
    pub(super) origins: Vec<Origin>,
    pub(super) replay: Option<Replay>,
    pub(super) required: Required,
    pub(super) skew: Duration,
    pub(super) tag: Option<Box<str>>,
    pub(super) types: Arc<FieldTypes>,
}

impl SignaturePolicy {
    /// Signatures of requests to this origin, such as `https://api.example.com`, as clients address it. The values of
    /// `@authority`, `@scheme` and `@target-uri` are made of it, never of `Host` or `X-Forwarded-…`.
    ///
    /// # Errors
    ///
    /// If it is not an `https` URL, or has a path, a query, a fragment or a user name; `http` is accepted for a loopback
    /// host.
    pub fn new(origin: &str) -> Result<Self, ConfigError> {
        Ok(Self::of(Origin::parse(origin)?))
    }

    /// Signatures of requests to an origin that may be one of plain `http`, such as one in a private network. Anyone on the way
    /// can read requests, and send one in the place of its client.
    ///
    /// # Errors
    ///
    /// See [`new`](Self::new); `http` is accepted for any host.
    pub fn danger_plain_http(origin: &str) -> Result<Self, ConfigError> {
        Ok(Self::of(Origin::parse_http(origin)?))
    }

    /// The policy of Web Bot Auth
    /// ([draft](https://datatracker.ietf.org/doc/draft-ietf-webbotauth-httpsig-protocol/)), for keys of
    /// [`SignatureAgents`](super::SignatureAgents): a signature has the tag `web-bot-auth`, `created` and `expires`, and
    /// covers `@authority` or `@target-uri`, and the member of `Signature-Agent` with the URL of its directory. The earlier
    /// form of that field, a string, is accepted as well. HMAC is not. As any other signature, it is accepted once, up to 300
    /// seconds after `created`, even if `expires` is later.
    ///
    /// It identifies an agent. It does not protect the method and the path of a request, nor the type of its content and
    /// `authorization`, unless [`components`](Self::components) sets what it covers. The credential of a subject that the agent
    /// acts for is covered in any case.
    ///
    /// # Errors
    ///
    /// See [`new`](Self::new).
    pub fn web_bot_auth(origin: &str) -> Result<Self, ConfigError> {
        let mut this = Self::new(origin)?.tag("web-bot-auth")?;
        (this.agent, this.expires, this.required) = (AgentRule::Covered, Presence::Required, Required::Authority);
        this.algorithms(SignatureAlgorithm::ALL)
    }

    pub(super) fn of(origin: Origin) -> Self {
        Self {
            agent: AgentRule::Ignored,
            algorithms: SignatureAlgorithm::ALL.to_vec(),
            content: ContentRule::Signed,
            created: Presence::Required,
            expires: Presence::Optional,
            max_age: window::PAST,
            nonce: Presence::Optional,
            origins: vec![origin],
            replay: Some(Replay::default()),
            required: Required::MethodAndTarget,
            skew: window::FUTURE,
            tag: None,
            types: Arc::default(),
        }
    }

    /// Accepts signatures of requests to this origin as well, at which the same API is available: up to four in all.
    ///
    /// # Errors
    ///
    /// See [`new`](Self::new).
    pub fn origin(mut self, origin: &str) -> Result<Self, ConfigError> {
        let prefix = self.origins.first().map(|origin| origin.removed_prefix().to_owned()).unwrap_or_default();
        let origin = Origin::parse(origin)?;
        if self.origins.len() == MAX_ORIGINS {
            return Err(refused("signatures are accepted for up to four origins").value(origin.as_str()));
        }
        self.origins.push(if prefix.is_empty() { origin } else { origin.with_removed_prefix(&prefix)? });
        Ok(self)
    }

    /// Sets the prefix of all paths that a proxy removes, such as `/api`: clients sign the path that they call. A prefix that
    /// axum's `nest` removes is restored without it.
    ///
    /// # Errors
    ///
    /// If it does not begin with a slash, or ends with one.
    pub fn removed_prefix(mut self, prefix: &str) -> Result<Self, ConfigError> {
        self.origins =
            self.origins.into_iter().map(|origin| origin.with_removed_prefix(prefix)).collect::<Result<_, _>>()?;
        Ok(self)
    }

    /// Sets the components that a signature must cover, instead of the method and the whole target. The fields that it covers by
    /// default if a request has them are still required.
    ///
    /// # Errors
    ///
    /// If one is not a component of a request, or is there twice, or if they lack `@method`, or `@authority` and `@target-uri`
    /// ([RFC 9421 §7.2.1](https://www.rfc-editor.org/rfc/rfc9421#section-7.2.1)).
    pub fn components<'a>(self, components: impl IntoIterator<Item = &'a str>) -> Result<Self, ConfigError> {
        let required = Component::parse_of_request(components)?;
        let has = |kind: &Kind| required.iter().any(|component| component.is(kind));
        if has(&Kind::Method) && (has(&Kind::Authority) || has(&Kind::TargetUri)) {
            Ok(Self { required: Required::These(required), ..self })
        } else {
            Err(refused("a signature covers `@method`, and `@authority` or `@target-uri`"))
        }
    }

    /// Sets the components that a signature must cover, whatever they are, and requires no others but `content-digest`. A
    /// signature that covers less than method and authority is valid for other requests too, and one that does not cover
    /// `authorization`, or the credential of the subject that its maker acts for, with another credential.
    ///
    /// # Errors
    ///
    /// If one is not a component of a request, or is there twice.
    pub fn danger_components<'a>(self, components: impl IntoIterator<Item = &'a str>) -> Result<Self, ConfigError> {
        Ok(Self { required: Required::Only(Component::parse_of_request(components)?), ..self })
    }

    /// Sets the application's tag: a signature needs this `tag`. By default, it needs none, and those with a tag are made for
    /// something else ([RFC 9421 §7.2.7](https://www.rfc-editor.org/rfc/rfc9421#section-7.2.7)).
    ///
    /// # Errors
    ///
    /// If it has a character that is not visible ASCII or a space.
    pub fn tag(mut self, tag: impl Into<Box<str>>) -> Result<Self, ConfigError> {
        let tag = tag.into();
        StringRef::from_str(&tag).map_err(|_| refused("a tag is visible ASCII").value(&tag))?;
        self.tag = Some(tag);
        Ok(self)
    }

    /// Sets for how long a signature is accepted after `created`, in whole seconds: 300 by default. `expires` can only
    /// shorten it. Used signatures are recorded for as long: with 24 hours, the default guard has room for 4 requests a second,
    /// and one in 4 seconds of each key: see [`replay_guard`](Self::replay_guard).
    ///
    /// # Errors
    ///
    /// If it is more than 24 hours.
    pub fn max_age(mut self, age: Duration) -> Result<Self, ConfigError> {
        if age > MAX_AGE {
            return Err(refused("signatures are accepted for up to 24 hours").value(format_args!("{age:?}")));
        }
        self.max_age = age;
        Ok(self)
    }

    /// Sets by how much the clocks of signers may differ, in whole seconds: 60 by default. `created` may be as far in the future,
    /// and the times of a key in the directory of an agent (`nbf`, `exp`) as far away.
    ///
    /// # Errors
    ///
    /// If it is more than 300 seconds.
    pub fn skew(mut self, skew: Duration) -> Result<Self, ConfigError> {
        if skew > MAX_SKEW {
            return Err(refused("a skew is up to 300 seconds").value(format_args!("{skew:?}")));
        }
        self.skew = skew;
        Ok(self)
    }

    /// Sets the allowed algorithms of keys: all by default. HMAC is none of them for [agents](Self::web_bot_auth).
    ///
    /// # Errors
    ///
    /// If the list is empty.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = SignatureAlgorithm>) -> Result<Self, ConfigError> {
        let is_of_agents = self.agent == AgentRule::Covered;
        let is_usable = |known: &SignatureAlgorithm| !is_of_agents || *known != SignatureAlgorithm::HmacSha256;
        self.algorithms = algorithms.into_iter().filter(is_usable).collect();
        if self.algorithms.is_empty() { Err(refused("signatures have one or more algorithms")) } else { Ok(self) }
    }

    /// Requires a `nonce`. By default it is optional, and without one, two equal requests in one second may have one
    /// signature, of which the second is refused as a replay.
    pub fn require_nonce(mut self) -> Self {
        self.nonce = Presence::Required;
        self
    }

    /// Sets the guard that records used signatures: a [`MemoryReplayGuard`](crate::replay::MemoryReplayGuard) of its own by
    /// default, for up to 400 000 signatures, and 20 000 of each key, in about 80 MB. By the default
    /// [`max_age`](Self::max_age), that is 1 100 requests a second, and 55 of each key. Several nodes need a shared one; it may be
    /// that of DPoP.
    pub fn replay_guard(mut self, guard: impl ReplayGuard) -> Self {
        self.replay = Some(Replay::new(guard));
        self
    }

    /// Declares the type of a structured field, so that signatures may cover it with `sf`. Those of fields that are
    /// registered by HTTP are known.
    pub fn structured_field(mut self, name: HeaderName, field_type: FieldType) -> Self {
        Arc::make_mut(&mut self.types).declare(name, field_type);
        self
    }

    /// Accepts signatures as often as they are sent, for as long as they are valid.
    pub fn danger_accept_replays(mut self) -> Self {
        self.replay = None;
        self
    }

    /// Accepts content that the signature does not cover. A `content-digest` that it covers is still compared, so the
    /// [`ContentDigestCheck`](super::ContentDigestCheck) is needed for such requests.
    pub fn danger_accept_unsigned_content(mut self) -> Self {
        self.content = ContentRule::Unsigned;
        self
    }

    /// Accepts signatures without `created`. Of these, one with `expires` is accepted from [`max_age`](Self::max_age) and
    /// [`skew`](Self::skew) before that time on. One without it is valid forever, and is recorded as used only for as long as one
    /// with `created` would be.
    pub fn danger_accept_without_created(mut self) -> Self {
        self.created = Presence::Optional;
        self
    }

    /// The longest time for which a signature is accepted.
    pub(super) fn longest_validity(&self) -> Duration {
        self.max_age + self.skew
    }
}

pub(super) fn refused(message: &'static str) -> ConfigError {
    ConfigError::new(ConfigErrorKind::Signature, message)
}

impl fmt::Debug for SignaturePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignaturePolicy")
            .field("algorithms", &self.algorithms)
            .field("content", &self.content)
            .field("created", &self.created)
            .field("max_age", &self.max_age)
            .field("nonce", &self.nonce)
            .field("origins", &self.origins)
            .field("required", &self.required)
            .field("skew", &self.skew)
            .field("tag", &self.tag)
            .finish_non_exhaustive()
    }
}
