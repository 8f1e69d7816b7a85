use std::{convert::identity, fmt, iter, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Uri, header};

use super::{
    builder::DecisionPointBuilder,
    input::{AccessRequest, OpaInput},
    response::{MAX_RESPONSE_BYTES, Protocol, Verdict},
};
use crate::{
    Eventual,
    authorize::{DecisionNote, Policy},
    cache::{CachedLookup, Failure, Outcome},
    caller::Principal,
    digest::Digest,
    fetch::Fetch,
    log::Causes,
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    request::Head,
    time::{Arrival, Clock},
};

/// A policy that another server decides. See the [module docs](super).
///
/// Clones share the cache.
#[derive(Clone)]
pub struct DecisionPoint(pub(super) Arc<Inner>);

/// Makes the body of the query about a request; `None` if something in it cannot be serialized.
pub(super) type Describe = Arc<dyn Fn(&Principal, &Head<'_>) -> Option<String> + Send + Sync>;

pub(super) struct Inner {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) describe: Describe,
    pub(super) endpoint: Arc<Endpoint>,
    /// Decisions are reused.
    pub(super) is_cached: bool,
    pub(super) lookup: Arc<CachedLookup<Verdict>>,
    /// The rule of OPA; empty for AuthZEN.
    pub(super) rule: Box<str>,
}

pub(super) struct Endpoint {
    pub(super) authorization: Option<HeaderValue>,
    pub(super) fetch: Arc<dyn Fetch>,
    pub(super) protocol: Protocol,
    pub(super) uri: Uri,
}

impl DecisionPoint {
    /// Queries a server that implements AuthZEN 1.0 at this base URL. The closure states what is sent about a request.
    pub fn authzen(
        url: &str,
        request: impl Fn(&Principal, &Head<'_>) -> AccessRequest + Send + Sync + 'static,
    ) -> DecisionPointBuilder {
        let describe = move |caller: &Principal, head: &Head<'_>| request(caller, head).into_json();
        DecisionPointBuilder::new(Protocol::AuthZen, url, "", Arc::new(describe))
    }

    /// Queries a rule of OPA, such as `gateway/allow`, by its REST API at this base URL. The closure states what is
    /// sent about a request.
    pub fn opa(
        url: &str,
        rule: &str,
        input: impl Fn(&Principal, &Head<'_>) -> OpaInput + Send + Sync + 'static,
    ) -> DecisionPointBuilder {
        let describe = move |caller: &Principal, head: &Head<'_>| input(caller, head).into_json();
        DecisionPointBuilder::new(Protocol::Opa, url, rule, Arc::new(describe))
    }

    /// Invalidates all cached decisions, such as when the policy of the server has changed.
    ///
    /// Requests that arrive later are decided by queries that begin later. One that has arrived before may still be decided by
    /// a query that began between its arrival and this call.
    pub fn invalidate_all(&self) {
        self.0.lookup.cache().invalidate_all();
    }
}

impl Endpoint {
    async fn query(&self, body: Bytes) -> Outcome<Verdict> {
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, const { HeaderValue::from_static("application/json") });
        headers.insert(header::CONTENT_TYPE, const { HeaderValue::from_static("application/json") });
        if let Some(authorization) = &self.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        match self.fetch.fetch(request, MAX_RESPONSE_BYTES).wait().await {
            Ok(response) => self.protocol.read(&response),
            Err(error) => Outcome::Down(Failure::new(Reason::DECISION_POINT_UNAVAILABLE, Causes(&error))),
        }
    }
}

impl Inner {
    fn verdict(&self, principal: &Principal, body: Bytes) -> Eventual<Result<Verdict, Rejection>> {
        let endpoint = Arc::clone(&self.endpoint);
        let look_up = move |body: Bytes| {
            let endpoint = Arc::clone(&endpoint);
            async move { endpoint.query(body).await }
        };
        if !self.is_cached {
            // Not even a query in flight is shared: its decision may be from before a change of the policy.
            return self.lookup.query(look_up(body), identity);
        }
        let (key, arrival) = (key(principal, &body), Arrival::read(&*self.clock));
        match self.lookup.cache().get(&key, arrival) {
            Some(Ok(verdict)) => Eventual::Now(Ok(verdict)),
            Some(Err(_)) | None => self.lookup.load(key, arrival, move || look_up(body.clone()), identity),
        }
    }

    fn record(&self, note: &DecisionNote) {
        note.record(self.endpoint.protocol.name(), (!self.rule.is_empty()).then(|| self.rule.to_string().into()));
    }
}

impl Policy for DecisionPoint {
    fn decide(&self, principal: &Principal, head: &Head<'_>) -> Eventual<Result<(), Rejection>> {
        let note = DecisionNote::of(head);
        let Some(body) = (self.0.describe)(principal, head) else {
            self.0.record(&note);
            let refused = Rejection::new(RejectionKind::Forbidden, Reason::POLICY_FAILED);
            return Eventual::Now(Err(refused.with_explanation("what is sent cannot be serialized as JSON")));
        };
        let (this, verdict) = (Arc::clone(&self.0), self.0.verdict(principal, body.into()));
        verdict.map(move |verdict| {
            this.record(&note);
            verdict.and_then(settle)
        })
    }
}

impl fmt::Debug for DecisionPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecisionPoint")
            .field("protocol", &self.0.endpoint.protocol)
            .field("host", &self.0.endpoint.uri.host())
            .field("lookup", &self.0.lookup)
            .finish_non_exhaustive()
    }
}

/// The key of an entry: what is sent, and the issuers and tenants of the caller and of the subject that it acts for, so that
/// these share no entry whatever is sent. Each part has its length in front of it.
fn key(principal: &Principal, body: &[u8]) -> Digest {
    let mut bytes = Vec::with_capacity(128 + body.len());
    for caller in iter::once(principal).chain(principal.acting_for()) {
        for part in [caller.issuer(), caller.tenant()] {
            bytes.extend(part.map_or(u64::MAX, |part| part.len() as u64).to_be_bytes());
            bytes.extend(part.unwrap_or_default().as_bytes());
        }
    }
    bytes.extend(body);
    Digest::of(&bytes)
}

fn settle(verdict: Verdict) -> Result<(), Rejection> {
    match verdict.0 {
        None => Ok(()),
        Some(reason) => Err(Rejection::new(RejectionKind::Forbidden, reason)),
    }
}
