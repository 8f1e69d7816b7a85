//! The checks before the body is read.

use std::{fmt, sync::Arc};

use http::{Method, Request, StatusCode};

use super::{
    guard::Guard,
    header::{Field, Fields, SESSION_ID},
    owner::Owner,
    refusal,
    request::McpRequest,
    upgrade,
    version::McpVersion,
};
use crate::{
    Eventual,
    authorize::Policy,
    caller::{self, Principal},
    gate::{Check, Pass, ResponseHead, sealed::Sealed},
    reason::Reason,
    refusal::Rejection,
    request::Head,
};

/// The check of [`McpGuardLayer`](crate::layer::McpGuardLayer) that is made before the body is read: origin, HTTP method,
/// type of the body, session, and the event after which a stream is resumed.
#[derive(Clone, Debug)]
pub struct McpHeadCheck(pub(super) Arc<Guard>);

impl Sealed for McpHeadCheck {}

impl Check for McpHeadCheck {
    type Pass = McpPass;

    fn check(self: &Arc<Self>, head: &Head<'_>) -> Eventual<Result<McpPass, Rejection>> {
        let principal = match caller::of(head.extensions) {
            Ok(principal) => principal,
            Err(rejection) => return Eventual::Now(Err(rejection)),
        };
        let pass = match self.checked(principal, head) {
            Ok(pass) => pass,
            Err(rejection) => return Eventual::Now(Err(rejection.of_caller(principal))),
        };
        // The policies of a message name all scopes of its operation, so they are evaluated together once it is read.
        if head.method == Method::POST {
            return Eventual::Now(Ok(pass));
        }
        let principal = principal.clone();
        let verdict = self.0.prepared.base().decide(&principal, head);
        verdict.map(move |verdict| verdict.map(|()| pass).map_err(|refused| refused.of_caller(&principal)))
    }
}

impl McpHeadCheck {
    fn checked(&self, principal: &Principal, head: &Head<'_>) -> Result<McpPass, Rejection> {
        let fields = Fields::of(head.headers);
        self.0.check_origin(&fields)?;
        // The version of a message is judged with its body, so that the refusal has the id of the message.
        if head.method == Method::POST {
            check_content(&fields)?;
        } else {
            let has_sessions = !McpVersion::of(fields.version)?.is_stateless();
            if !has_sessions || !matches!(*head.method, Method::DELETE | Method::GET) {
                let allowed = if has_sessions { "DELETE, GET, POST" } else { "POST" };
                return Err(refusal::method_not_allowed(allowed, head.method));
            }
        }
        // What is sent after it would not be judged.
        if !upgrade::is_ignored(fields.upgrade) {
            return Err(refusal::invalid_message());
        }
        let unknown = |reason| refusal::forbidden(reason).hidden();
        let requested = fields.session_id.text().map_err(|_| unknown(Reason::MCP_SESSION_FORBIDDEN))?;
        if requested.is_some_and(|id| !self.0.sessions.are_of(Owner::of(principal), id)) {
            return Err(unknown(Reason::MCP_SESSION_FORBIDDEN));
        }
        if !self.may_resume(principal, fields.last_event_id) {
            return Err(unknown(Reason::MCP_EVENT_FORBIDDEN));
        }
        let requested = requested.map(|id| RequestedSession { id: id.into(), ends: head.method == Method::DELETE });
        Ok(McpPass { caller: principal.clone(), guard: Arc::clone(&self.0), requested })
    }

    /// Returns whether the event after which a stream is resumed was sent to the caller.
    fn may_resume(&self, principal: &Principal, last_event_id: Field<'_>) -> bool {
        match last_event_id {
            Field::Absent => true,
            Field::Once(id) => self.0.events.are_of(Owner::of(principal), id.as_bytes().trim_ascii()),
            Field::Repeated => false,
        }
    }
}

/// Notes the session that a response opens, and forgets the one that it ends.
pub struct McpPass {
    caller: Principal,
    guard: Arc<Guard>,
    requested: Option<RequestedSession>,
}

struct RequestedSession {
    ends: bool,
    id: Box<str>,
}

/// Shows no ids.
impl fmt::Debug for McpPass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("McpPass").finish_non_exhaustive()
    }
}

impl Sealed for McpPass {}

impl Pass for McpPass {
    fn admit<B>(&mut self, request: &mut Request<B>) {
        #[cfg(feature = "audit")]
        crate::trail::note_admitted(request.extensions(), None);
        if request.method() == Method::POST {
            request.extensions_mut().insert(McpRequest::unread());
        }
    }

    fn review(&mut self, response: &ResponseHead<'_>) -> Eventual<Result<(), Rejection>> {
        let opened = response.headers.get(SESSION_ID).and_then(|id| id.to_str().ok()).map(str::trim_ascii);
        if !response.status.is_success() {
            return Eventual::Now(Ok(()));
        }
        match (&self.requested, opened) {
            (Some(requested), _) if requested.ends => {
                self.guard.sessions.remove(Owner::of(&self.caller), &requested.id)
            }
            (Some(requested), Some(opened)) if *requested.id == *opened => {}
            (_, Some(opened)) => self.guard.sessions.add(Owner::of(&self.caller), opened),
            (_, None) => {}
        }
        Eventual::Now(Ok(()))
    }
}

/// The body is JSON as it is sent: a server that reads another character set, or decodes the body, would read other messages
/// than those that are judged.
fn check_content(fields: &Fields<'_>) -> Result<(), Rejection> {
    let refused = || {
        let rejection = refusal::invalid_message().with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        rejection.with_explanation("the body must be application/json in UTF-8, without a content coding")
    };
    let content = fields.content_type.text().map_err(|_| refused())?.unwrap_or_default();
    let mut parts = content.split(';').map(str::trim_ascii);
    let is_json = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    let is_utf8 = parts.filter(|parameter| !parameter.is_empty()).all(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = value.trim_matches('"');
        name.eq_ignore_ascii_case("charset") && ["utf-8", "utf8"].iter().any(|utf8| value.eq_ignore_ascii_case(utf8))
    });
    let coding = fields.content_encoding.text().map_err(|_| refused())?;
    let is_plain = coding.is_none_or(|coding| coding.eq_ignore_ascii_case("identity"));
    if is_json && is_utf8 && is_plain { Ok(()) } else { Err(refused()) }
}

/// The `Origin` of a URL in lower case, without the default port; `None` for other texts.
pub(super) fn origin_of(url: &str) -> Option<Box<str>> {
    let url = url.to_ascii_lowercase();
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next()?;
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    let host = host.strip_suffix(default_port).unwrap_or(host);
    let is_origin = !scheme.is_empty() && !host.is_empty();
    is_origin.then(|| format!("{scheme}://{host}").into())
}

impl Guard {
    /// A web page of another origin does not reach the server, even if its user has a token.
    fn check_origin(&self, fields: &Fields<'_>) -> Result<(), Rejection> {
        let forbidden = || refusal::forbidden(Reason::MCP_ORIGIN_FORBIDDEN);
        let Some(allowed) = &self.origins else { return Ok(()) };
        let origin = fields.origin.text().map_err(|_| forbidden())?;
        let is_allowed = origin.is_none_or(|origin| origin_of(origin).is_some_and(|origin| allowed.contains(&origin)));
        if is_allowed { Ok(()) } else { Err(forbidden()) }
    }
}
