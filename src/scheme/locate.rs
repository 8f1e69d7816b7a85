//! The one place that finds a request's credential.

use std::{fmt, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{MAX_CREDENTIAL_BYTES, Scheme, all_bytes, credential::Credential, location::Location};
use crate::{reason::Reason, request::Head};

/// The longest name of a scheme in `Authorization`, with the spaces after it, in bytes.
const MAX_SCHEME_LENGTH: usize = 256;

/// The schemes of a layer, and where their credentials are located.
#[derive(Clone, Debug)]
pub(crate) struct Schemes {
    schemes: Vec<Arc<dyn Scheme>>,
    sites: Vec<Site>,
    /// True if a scheme is located in `Authorization`.
    has_authorization: bool,
    /// The longest credential that is read, in bytes.
    max_length: usize,
    /// Fields that prove another credential, if a request has one.
    proof_fields: Vec<HeaderName>,
}

#[derive(Clone, Debug)]
struct Site {
    scheme: usize,
    location: Location,
    /// Fields besides that of the location that inner layers must not print.
    sensitive: Vec<HeaderName>,
}

/// A credential, and where it was located.
pub(crate) struct Located<'a> {
    pub(crate) credential: Credential<'a>,
    pub(crate) place: Place,
}

/// The place of a credential: its scheme, and the location among those of the scheme.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) scheme: usize,
    site: usize,
}

/// The reason for which a request has no usable credential.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LocateError {
    /// 400.
    Malformed(Reason),
    /// 401: a field that carries no credential of a configured scheme.
    Missing(Reason),
}

/// A text that may be a credential.
#[derive(Clone, Copy)]
enum Candidate<'a> {
    Authorization(&'a HeaderValue),
    /// Fields that are one credential together.
    Fields(usize),
    Site(usize, &'a [u8]),
}

impl Schemes {
    pub(crate) fn new(schemes: impl IntoIterator<Item = Arc<dyn Scheme>>) -> Self {
        let mut this = Self {
            schemes: Vec::new(),
            sites: Vec::new(),
            has_authorization: false,
            max_length: MAX_CREDENTIAL_BYTES,
            proof_fields: Vec::new(),
        };
        schemes.into_iter().for_each(|scheme| this.set(&scheme));
        this
    }

    /// Sets the length of the longest credential that is read.
    pub(crate) const fn with_max_length(mut self, bytes: usize) -> Self {
        self.max_length = bytes;
        self
    }

    /// Takes a credential in exactly these fields as the proof of another one, if a request has one.
    #[cfg(feature = "signature")]
    pub(crate) fn set_proof_fields(&mut self, fields: &[HeaderName]) {
        self.proof_fields = fields.to_vec();
    }

    /// Replaces the scheme of the same name, or adds one.
    pub(crate) fn set(&mut self, scheme: &Arc<dyn Scheme>) {
        let place = self.schemes.iter().position(|known| known.name().eq_ignore_ascii_case(scheme.name()));
        match place {
            Some(place) => self.schemes[place] = Arc::clone(scheme),
            None => self.schemes.push(Arc::clone(scheme)),
        }
        let own = place.unwrap_or(self.schemes.len() - 1);
        let mut locations: Vec<Location> = Vec::new();
        for location in scheme.locations() {
            if !locations.iter().any(|known| known.is_same(&location)) {
                locations.push(location);
            }
        }
        // A location belongs to one scheme: counted twice, every request with it would have two credentials.
        self.sites
            .retain(|site| site.scheme != own && !locations.iter().any(|location| location.is_same(&site.location)));
        let site = |location| Site { scheme: own, location, sensitive: scheme.sensitive_fields() };
        self.sites.extend(locations.into_iter().map(site));
        self.has_authorization = self.sites.iter().any(|site| matches!(site.location, Location::Authorization(_)));
    }

    /// Removes the scheme with this name, with its locations.
    pub(crate) fn remove(&mut self, name: &str) {
        let Some(place) = self.schemes.iter().position(|known| known.name().eq_ignore_ascii_case(name)) else { return };
        self.schemes.remove(place);
        self.sites.retain(|site| site.scheme != place);
        self.sites.iter_mut().filter(|site| site.scheme > place).for_each(|site| site.scheme -= 1);
        self.has_authorization = self.sites.iter().any(|site| matches!(site.location, Location::Authorization(_)));
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<dyn Scheme>> {
        self.schemes.iter()
    }

    /// The name of the scheme that located a credential.
    pub(crate) fn name(&self, place: Place) -> &str {
        self.schemes[place.scheme].name()
    }

    /// The location at which a credential was located.
    pub(crate) fn location(&self, place: Place) -> &Location {
        &self.sites[place.site].location
    }

    /// A location of this one that overlaps with one of the other: a request could not say which of the two credentials it
    /// carries there.
    pub(crate) fn shared_location<'a>(&'a self, other: &'a Self) -> Option<&'a Location> {
        let is_shared = |site: &&Site| other.sites.iter().any(|known| known.location.overlaps(&site.location));
        self.sites.iter().find(is_shared).map(|site| &site.location)
    }

    /// Two locations of which both count one credential, so that a request with it is refused.
    pub(crate) fn overlap(&self) -> Option<(&Location, &Location)> {
        let is_counted_twice = |one: &Location, other: &Location| match (one, other) {
            (Location::Authorization(_), Location::Authorization(_))
            | (Location::Extension(_), Location::Extension(_)) => false,
            _ => one.overlaps(other),
        };
        let counted = || (0..self.sites.len()).filter(|site| !self.is_proof(*site));
        let locations = || counted().map(|site| &self.sites[site].location);
        let pairs = locations().enumerate();
        let mut pairs = pairs.flat_map(|(place, one)| locations().take(place).map(move |other| (other, one)));
        pairs.find(|(one, other)| is_counted_twice(one, other))
    }

    /// The one credential of a request, or none.
    pub(crate) fn locate<'a>(&'a self, head: &Head<'a>) -> Result<Option<Located<'a>>, LocateError> {
        let (mut found, mut proof, mut count) = (None, None, 0_u32);
        self.for_each_candidate(head, &mut |candidate| match candidate {
            Candidate::Fields(site) if self.is_proof(site) => proof = Some(candidate),
            candidate => {
                found = Some(candidate);
                count += 1;
            }
        });
        // Counted before one is read, so that their order makes no difference.
        if count > 1 {
            return Err(LocateError::Malformed(Reason::SEVERAL_CREDENTIALS));
        }
        let (site, text) = match found.or(proof) {
            None => return Ok(self.implicit(head)),
            Some(Candidate::Authorization(value)) => self.authorization(value)?,
            Some(Candidate::Fields(site)) => return Ok(Some(self.located(site, ""))),
            Some(Candidate::Site(site, value)) => (site, text(value, self.max_length)?),
        };
        self.read(site, text).map(Some)
    }

    /// Marks the fields that carried a credential, so that inner layers do not print them, and `Authorization`, which may
    /// carry one that is not for this layer.
    pub(crate) fn conceal(&self, place: Place, headers: &mut HeaderMap) {
        let Site { location, sensitive, .. } = &self.sites[place.site];
        match (location, location.fields()) {
            // The only line of the field: each line is a credential, and there was one.
            (Location::Authorization(_) | Location::Header(_), [name]) => {
                headers.get_mut(name).into_iter().for_each(|value| value.set_sensitive(true));
            }
            (_, names) => names.iter().for_each(|name| conceal(headers, name)),
        }
        if !matches!(location, Location::Authorization(_)) {
            conceal(headers, &header::AUTHORIZATION);
        }
        sensitive.iter().for_each(|name| conceal(headers, name));
    }

    /// The fields that may carry credentials, or what inner layers must not print besides.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &HeaderName> {
        self.sites.iter().flat_map(|site| site.location.fields().iter().chain(&site.sensitive))
    }

    /// The fields that carry credentials, except for those that prove others.
    #[cfg(feature = "signature")]
    pub(crate) fn credential_fields(&self) -> impl Iterator<Item = &HeaderName> {
        let sites = (0..self.sites.len()).filter(|site| !self.is_proof(*site));
        sites.flat_map(|site| self.sites[site].location.fields())
    }

    fn is_proof(&self, site: usize) -> bool {
        matches!(&self.sites[site].location, Location::Fields(names) if **names == *self.proof_fields)
    }

    fn for_each_candidate<'a>(&self, head: &Head<'a>, found: &mut impl FnMut(Candidate<'a>)) {
        if self.has_authorization {
            head.headers.get_all(header::AUTHORIZATION).iter().for_each(|value| found(Candidate::Authorization(value)));
        }
        for (index, site) in self.sites.iter().enumerate() {
            let mut add = |value: &'a [u8]| found(Candidate::Site(index, value));
            match &site.location {
                Location::Authorization(_) | Location::Extension(_) => {}
                Location::Cookie(name) => cookies(head.headers, name).for_each(add),
                Location::Fields(names) => {
                    if names.iter().any(|name| head.headers.contains_key(name)) {
                        found(Candidate::Fields(index));
                    }
                }
                Location::Header(name) => {
                    head.headers.get_all(name).iter().for_each(|value| add(value.as_bytes()));
                }
                Location::WebSocketProtocol(prefix) => protocols(head.headers, prefix).for_each(add),
            }
        }
    }

    /// A credential that the server itself put into the request's extensions.
    fn implicit<'a>(&'a self, head: &Head<'a>) -> Option<Located<'a>> {
        let is_present =
            |site: &Site| matches!(site.location, Location::Extension(is_present) if is_present(head.extensions));
        let site = self.sites.iter().position(is_present)?;
        Some(self.located(site, ""))
    }

    fn authorization<'a>(&self, value: &'a HeaderValue) -> Result<(usize, &'a str), LocateError> {
        let text = text(value.as_bytes(), self.max_length.saturating_add(MAX_SCHEME_LENGTH))?;
        let (name, credential) = first_word(text);
        let site = |name: &str| {
            let is_named = |site: &Site| matches!(&site.location, Location::Authorization(known) if known.eq_ignore_ascii_case(name));
            self.sites.iter().position(is_named)
        };
        if let Some(site) = site(name) {
            // RFC 6750 §2.1 and RFC 9110 §11.4: one or more spaces after the scheme.
            let credential = credential.trim_ascii_start();
            return match credential.len() > self.max_length {
                true => Err(LocateError::Malformed(Reason::CREDENTIAL_TOO_LONG)),
                false => Ok((site, credential)),
            };
        }
        if text.split(',').skip(1).any(|part| site(first_word(part.trim_ascii_start()).0).is_some()) {
            return Err(LocateError::Malformed(Reason::CREDENTIAL_LIST));
        }
        Err(LocateError::Missing(Reason::UNSUPPORTED_SCHEME))
    }

    fn read<'a>(&'a self, site: usize, text: &'a str) -> Result<Located<'a>, LocateError> {
        let Site { scheme, location, .. } = &self.sites[site];
        if text.is_empty() {
            return Err(LocateError::Missing(Reason::CREDENTIAL_EMPTY));
        }
        if self.schemes[*scheme].is_well_formed(text, location) {
            return Ok(self.located(site, text));
        }
        let is_list = text.contains(',');
        Err(LocateError::Malformed(if is_list { Reason::CREDENTIAL_LIST } else { Reason::CREDENTIAL_SYNTAX }))
    }

    fn located<'a>(&'a self, site: usize, text: &'a str) -> Located<'a> {
        let Site { scheme, location, .. } = &self.sites[site];
        let place = Place { scheme: *scheme, site };
        let scheme = &self.schemes[place.scheme];
        let credential = Credential::new(scheme.kind(), scheme.name(), text).carried_by(location.fields());
        Located { credential, place }
    }
}

impl fmt::Display for LocateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Malformed(reason) | Self::Missing(reason)) = self;
        reason.fmt(f)
    }
}

/// The values of a cookie, RFC 6265 §4.2.1.
fn cookies<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a [u8]> {
    let pairs = headers.get_all(header::COOKIE).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(move |pair| {
        // RFC 6265 §5.2 ignores spaces around the name and the value.
        let separator = pair.iter().position(|byte| *byte == b'=')?;
        let (known, value) = (pair[..separator].trim_ascii(), pair[separator + 1..].trim_ascii());
        (known == name.as_bytes()).then_some(value)
    })
}

/// The text after the prefix in entries of `Sec-WebSocket-Protocol`, RFC 6455 §11.3.4.
fn protocols<'a>(headers: &'a HeaderMap, prefix: &str) -> impl Iterator<Item = &'a [u8]> {
    let lines = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let entries = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    entries.filter_map(move |entry| entry.trim_ascii().strip_prefix(prefix.as_bytes()))
}

/// The text before the first space, and the rest after it.
fn first_word(text: &str) -> (&str, &str) {
    match text.bytes().position(|byte| byte == b' ') {
        Some(space) => (&text[..space], &text[space + 1..]),
        None => (text, ""),
    }
}

/// Visible ASCII and space.
fn text(value: &[u8], max_length: usize) -> Result<&str, LocateError> {
    if value.len() > max_length {
        return Err(LocateError::Malformed(Reason::CREDENTIAL_TOO_LONG));
    }
    let is_visible = all_bytes(value, |byte| byte.wrapping_sub(b' ') < 0x5F);
    let text = if is_visible { std::str::from_utf8(value).ok() } else { None };
    text.ok_or(LocateError::Malformed(Reason::CREDENTIAL_CHARACTERS))
}

/// Not by an entry of the map, which may make room for a new one.
fn conceal(headers: &mut HeaderMap, name: &HeaderName) {
    if headers.get_all(name).iter().nth(1).is_some() {
        headers.iter_mut().filter(|(known, _)| *known == name).for_each(|(_, value)| value.set_sensitive(true));
    } else if let Some(value) = headers.get_mut(name) {
        value.set_sensitive(true);
    }
}

/// Returns whether the query of a request seems to carry a credential, which is ignored (RFC 6750 §2.3, OAuth 2.1 §5.1).
pub(crate) fn is_in_query(head: &Head<'_>) -> bool {
    const NAMES: [&str; 4] = ["access_token", "api_key", "apikey", "x-api-key"];
    let Some(query) = head.uri.query() else { return false };
    let mut names = query.split('&').filter_map(|pair| pair.split('=').next());
    names.any(|name| NAMES.iter().any(|known| name.eq_ignore_ascii_case(known)))
}
