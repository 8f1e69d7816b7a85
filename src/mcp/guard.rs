//! The shared state of a guard, and the check of bodies.

use std::{borrow::Cow, collections::HashSet, sync::Arc};

use http::{Extensions, Method};

use super::{
    event::Events,
    header::Fields,
    message::{self, Call},
    operation::McpOperation,
    owner::{Handles, Owner},
    refusal,
    request::McpRequest,
    rules::{NOTIFICATIONS, Prepared, Rules},
    version::McpVersion,
};
use crate::{
    Eventual,
    authorize::{AllOf, Policy},
    body::{BodyCheck, BodyLimits, BufferedRequest},
    caller::{self, Principal},
    refusal::Rejection,
    request::Head,
    scope::Scopes,
};

#[derive(Debug)]
pub(super) struct Guard {
    pub(super) events: Events,
    pub(super) filters_lists: bool,
    pub(super) limits: BodyLimits,
    /// The origins of web pages that may send requests; `None` for all.
    pub(super) origins: Option<HashSet<Box<str>>>,
    pub(super) prepared: Prepared,
    pub(super) rules: Rules,
    pub(super) sessions: Handles,
    pub(super) tasks: Handles,
}

/// Judges the messages of a body.
pub(super) struct Messages(pub(super) Arc<Guard>);

impl BodyCheck for Messages {
    fn limits(&self, _: &Head<'_>) -> Option<BodyLimits> {
        Some(self.0.limits)
    }

    fn check(&self, request: &BufferedRequest<'_>) -> Eventual<Result<Extensions, Rejection>> {
        if request.head.method != Method::POST {
            // Messages are in a POST only, but a server might not look.
            if !request.body.is_empty() {
                return Eventual::Now(Err(refusal::invalid_message()));
            }
            return Eventual::Now(Ok(Extensions::new()));
        }
        let json = match message::parse(request.body) {
            Ok(json) => json,
            Err(rejection) => return Eventual::Now(Err(rejection)),
        };
        let answering = |rejection| refusal::answering(rejection, message::id_of(&json));
        match self.0.judge(&json, &request.head) {
            Ok(Eventual::Now(verdict)) => Eventual::Now(verdict.map_err(answering)),
            Ok(Eventual::Later(verdict)) => {
                let id = message::id_of(&json);
                // The dependencies of the policies.
                Eventual::later(async move { verdict.await.map_err(|rejection| refusal::answering(rejection, id)) })
            }
            Err(rejection) => Eventual::Now(Err(answering(rejection))),
        }
    }
}

type Verdict = Result<Extensions, Rejection>;

impl Guard {
    /// Judges a body as a whole: a batch with one message that is refused is refused.
    fn judge(&self, json: &crate::json::Json<'_>, head: &Head<'_>) -> Result<Eventual<Verdict>, Rejection> {
        let fields = Fields::of(head.headers);
        let version = McpVersion::of(fields.version)?;
        let stated = fields.stated()?;
        let calls = message::calls(json, version)?;
        let calls = calls.as_slice();
        for call in calls {
            call.compare(&stated, version)?;
        }
        let principal = caller::of(head.extensions)?;
        note(head, calls);
        let policies = self.policies(calls, principal, version)?;
        McpRequest::set(head.extensions, calls, version);
        let admitted = Admitted { required: policies.required().cloned() };
        Ok(match policies.decide(principal, head) {
            Eventual::Now(verdict) => {
                Eventual::Now(verdict.map(|()| admitted.into_extensions(principal, head.extensions)))
            }
            Eventual::Later(verdict) => {
                let (principal, extensions) = (principal.clone(), head.extensions.clone());
                // The dependencies of the policies.
                Eventual::later(
                    async move { verdict.await.map(|()| admitted.into_extensions(&principal, &extensions)) },
                )
            }
        })
    }

    /// The policies of all operations.
    fn policies(
        &self,
        calls: &[Call<'_>],
        caller: &Principal,
        version: McpVersion,
    ) -> Result<Cow<'_, AllOf>, Rejection> {
        if let [call] = calls
            && let [operation] = *call.operations()
            && is_served(call, version)
            && let Some(policies) = self.prepared.find(call.method, operation)
        {
            return Ok(Cow::Borrowed(policies));
        }
        let mut policies: Vec<&Arc<dyn Policy>> = self.rules.base().iter().collect();
        let mut known: HashSet<_> = policies.iter().map(|policy| Arc::as_ptr(policy).addr()).collect();
        for call in calls {
            if !is_served(call, version) {
                return Err(refusal::undeclared(McpOperation::Method(call.method), version));
            }
            for operation in call.operations() {
                let declared = self.rules.find(call.method, *operation);
                let declared = declared.ok_or_else(|| refusal::undeclared(*operation, version))?;
                // Each policy decides once, however often a request needs it.
                policies.extend(declared.into_iter().filter(|policy| known.insert(Arc::as_ptr(policy).addr())));
                if let McpOperation::Task(id) = operation
                    && !self.tasks.are_of(Owner::of(caller), id)
                {
                    return Err(refusal::unknown_task(call, version));
                }
            }
        }
        Ok(Cow::Owned(AllOf::new(policies.into_iter().cloned())))
    }
}

/// Returns whether a version has the method, and it is no notification that is used as a request.
fn is_served(call: &Call<'_>, version: McpVersion) -> bool {
    version.has(call.method) && !(call.has_id && call.method.starts_with(NOTIFICATIONS))
}

/// Values for the extensions of an admitted request.
struct Admitted {
    required: Option<Arc<Scopes>>,
}

impl Admitted {
    fn into_extensions(self, principal: &Principal, outer: &Extensions) -> Extensions {
        let mut extensions = Extensions::new();
        let required = self.required.map(|required| {
            // Refusals further inside name them as well.
            let mut principal = principal.clone();
            let required = Arc::clone(principal.require(required));
            extensions.insert(principal);
            required
        });
        #[cfg(feature = "audit")]
        crate::trail::note_admitted(outer, required);
        #[cfg(not(feature = "audit"))]
        let _ = (outer, required);
        extensions
    }
}

/// The number of objects of one message that its audit event names; of more, it has the number.
#[cfg(feature = "audit")]
const MAX_NOTED: usize = 10;

/// Notes the messages for the audit event: never the arguments themselves.
#[cfg(feature = "audit")]
fn note(head: &Head<'_>, calls: &[Call<'_>]) {
    use crate::{audit::AuditNote, trail::Trail};
    if head.extensions.get::<Trail>().is_none() {
        return;
    }
    let note = AuditNote::of(head.extensions);
    for call in calls {
        note.field("mcp_method", call.method);
        // The event has room for the messages of a batch, each of which names one object at most, and not for all objects of a
        // subscription.
        if call.operations().len() > MAX_NOTED {
            note.field("mcp_objects", call.operations().len());
        }
        for operation in call.operations().iter().take(MAX_NOTED) {
            match operation {
                McpOperation::Method(_) => {}
                McpOperation::Tool(name) => {
                    note.tool(name);
                }
                McpOperation::Prompt(_) | McpOperation::Resource(_) | McpOperation::Task(_) => {
                    note.object(operation.shown_name());
                }
            }
        }
        if let Some(arguments) = call.arguments {
            note.input(arguments.as_bytes());
        }
    }
}

#[cfg(not(feature = "audit"))]
const fn note(_: &Head<'_>, _: &[Call<'_>]) {}
