//! The decisions in responses.

use bytes::Bytes;
use http::{Response, StatusCode};

use crate::{
    cache::{Failure, Outcome, Tagged},
    json::{Json, Object},
    reason::Reason,
};

/// A protocol of decision points.
#[derive(Clone, Copy, Debug)]
pub(super) enum Protocol {
    AuthZen,
    Opa,
}

/// A decision; `None` admits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verdict(pub(super) Option<Reason>);

impl Tagged for Verdict {
    fn tag(&self) -> &'static str {
        ""
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// The maximum length of a response, in bytes.
pub(super) const MAX_RESPONSE_BYTES: usize = 64 * 1024;

impl Protocol {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::AuthZen => "authzen",
            Self::Opa => "opa",
        }
    }

    pub(super) fn read(self, response: &Response<Bytes>) -> Outcome<Verdict> {
        let status = response.status();
        if status != StatusCode::OK {
            let is_own_mistake = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
            let failure = Failure::new(Reason::DECISION_POINT_STATUS, format_args!("status {status}"));
            return Outcome::Down(Failure { is_own_mistake, ..failure });
        }
        let body = response.body();
        // A custom `Fetch` may ignore the limit.
        let body = Some(body).filter(|body| body.len() <= MAX_RESPONSE_BYTES);
        let Some(members) = body.and_then(|body| Object::parse(body).ok()) else {
            let cause = "the response is not a JSON object, or is too long";
            return Outcome::Down(Failure::new(Reason::DECISION_POINT_SYNTAX, cause));
        };
        let decision = match self {
            Self::AuthZen => members.get("decision"),
            Self::Opa => match members.get("result") {
                Some(Json::Object(result)) => result.get("allow"),
                result => result,
            },
        };
        Outcome::Found(Verdict(match decision {
            Some(Json::Bool(true)) => None,
            Some(Json::Bool(false)) => Some(Reason::DECISION_DENIED),
            None => Some(Reason::POLICY_UNDEFINED),
            Some(_) => Some(Reason::POLICY_FAILED),
        }))
    }
}
