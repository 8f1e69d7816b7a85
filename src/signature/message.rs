//! Messages, and the values of their components, RFC 9421 §2.

use std::{borrow::Cow, str};

use http::{HeaderMap, HeaderName, Method, StatusCode, Uri};

use super::{base::OriginPart, component::Kind};

/// A message whose components are covered.
#[derive(Clone, Copy)]
pub(super) enum Message<'a> {
    Request(RequestHead<'a>),
    Response { headers: &'a HeaderMap, request: Option<RequestHead<'a>>, status: StatusCode },
}

/// A request as its signer sees it.
#[derive(Clone, Copy)]
pub(super) struct RequestHead<'a> {
    pub(super) headers: &'a HeaderMap,
    pub(super) method: &'a Method,
    /// The prefix of paths that a proxy has removed; empty, or beginning with a slash.
    pub(super) prefix: &'a str,
    pub(super) uri: &'a Uri,
}

impl<'a> Message<'a> {
    /// The fields of the message, or of its request.
    pub(super) fn headers(&self, of_request: bool) -> Option<&'a HeaderMap> {
        match *self {
            Self::Response { headers, .. } if !of_request => Some(headers),
            Self::Request(_) | Self::Response { .. } => Some(self.request(of_request)?.headers),
        }
    }

    /// The request that has the derived components.
    pub(super) fn request(&self, of_request: bool) -> Option<RequestHead<'a>> {
        match *self {
            // RFC 9421 §2.4: `req` is for responses.
            Self::Request(request) => (!of_request).then_some(request),
            Self::Response { request, .. } => request.filter(|_| of_request),
        }
    }

    pub(super) const fn status(&self) -> Option<StatusCode> {
        match *self {
            Self::Request(_) => None,
            Self::Response { status, .. } => Some(status),
        }
    }
}

impl<'a> RequestHead<'a> {
    /// The value of a derived component: a part of the origin, and what follows.
    pub(super) fn derived(self, kind: &Kind) -> Option<(Option<OriginPart>, Cow<'a, str>)> {
        let value = match kind {
            Kind::Authority => return Some((Some(OriginPart::Authority), "".into())),
            Kind::Scheme => return Some((Some(OriginPart::Scheme), "".into())),
            Kind::TargetUri => return Some((Some(OriginPart::Whole), self.path_and_query()?)),
            Kind::Field(..) | Kind::QueryParam(_) | Kind::Status => return None,
            Kind::Method => self.method.as_str().into(),
            Kind::Path => self.path()?,
            Kind::Query => format!("?{}", self.uri.query().unwrap_or_default()).into(),
            Kind::RequestTarget => self.request_target()?,
        };
        Some((None, value))
    }

    fn path(self) -> Option<Cow<'a, str>> {
        // RFC 9421 §2.2.6: an empty path is a slash. The target of `OPTIONS *` and of `CONNECT` has no path.
        let path = match self.uri.path() {
            "" if self.method != Method::CONNECT => "/",
            path => path,
        };
        path.starts_with('/').then(|| match self.prefix {
            "" => path.into(),
            prefix => format!("{prefix}{path}").into(),
        })
    }

    fn path_and_query(self) -> Option<Cow<'a, str>> {
        let path = self.path()?;
        if let (Cow::Borrowed(path), Some(target)) = (&path, self.uri.path_and_query()) {
            // Unless the path is empty, it is as the client has sent it.
            if target.as_str().starts_with(path) {
                return Some(target.as_str().into());
            }
        }
        Some(match self.uri.query() {
            None => path,
            Some(query) => format!("{path}?{query}").into(),
        })
    }

    /// RFC 9421 §2.2.5. A server cannot distinguish an absolute form from the pseudo-header fields of HTTP/2, for which the
    /// component is not defined.
    fn request_target(self) -> Option<Cow<'a, str>> {
        if self.method == Method::CONNECT {
            return self.uri.authority().map(|authority| authority.as_str().into());
        }
        match (self.uri.scheme(), self.uri.path()) {
            (Some(_), _) => Some(self.uri.to_string().into()),
            (None, "*") => Some("*".into()),
            (None, _) => self.path_and_query(),
        }
    }
}

/// The lines of a field, without white space around each, joined by commas; `None` if there is none, or if one is not text.
pub(super) fn combined<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Cow<'a, str>> {
    let mut lines = headers.get_all(name).iter().map(|line| str::from_utf8(trimmed(line.as_bytes())).ok());
    let first = lines.next()??;
    let mut joined = Cow::Borrowed(first);
    for line in lines {
        joined.to_mut().extend([", ", line?]);
    }
    Some(joined)
}

/// Without white space at both ends (RFC 9110 §5.5).
pub(super) fn trimmed(mut line: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = line {
        line = rest;
    }
    line
}
