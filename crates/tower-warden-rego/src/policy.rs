use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use regorus::{Engine, Value};
use tower_warden::{
    Digest, Eventual, Head, Policy, Principal, Reason, Rejection, RejectionKind, authorize::DecisionNote,
};

use crate::{
    builder::{RegoPolicyBuilder, Settings},
    error::RegoError,
    failure::Failure,
    input::RegoInput,
    outcome::{Denial, Outcome},
    tool::Tool,
};

/// A policy in Rego, which is evaluated in the process.
///
/// It admits a request if the queried rule is `true`, and refuses it otherwise. Clones share the policy and its
/// reloads. See the [crate docs](crate) for an example, for the input of policies, and for their limits.
#[derive(Clone)]
pub struct RegoPolicy(Arc<Inner>);

pub(crate) struct Inner {
    current: RwLock<Arc<Version>>,
    /// Held from the reading of the files until the version is stored, so that no version replaces a later one.
    reloading: Mutex<()>,
    settings: Settings,
}

/// A version of the policies and the data.
struct Version {
    /// Prepared for evaluation; each evaluation has a clone, which shares the policies and the data.
    engine: Engine,
    fingerprint: Vec<Digest>,
    /// Set when the first failure was logged.
    is_failing: AtomicBool,
}

/// The result of checking the files for changes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the files have changed or they have not")]
pub enum ReloadStatus {
    /// The files have changed, and new requests are decided by them.
    Changed,
    /// The files have not changed.
    Unchanged,
}

impl RegoPolicy {
    /// Returns a builder for a policy that queries this rule, such as `data.gateway.allow`.
    pub fn builder(rule: &str) -> RegoPolicyBuilder {
        RegoPolicyBuilder::new(rule)
    }

    pub(crate) fn load(settings: Settings) -> Result<Self, RegoError> {
        let current = RwLock::new(Arc::new(Version::load(&settings)?));
        Ok(Self(Arc::new(Inner { current, reloading: Mutex::new(()), settings })))
    }

    pub(crate) const fn inner(&self) -> &Arc<Inner> {
        &self.0
    }

    /// Checks the files for changes now, and compiles them if there are any. It reads files and blocks the thread
    /// meanwhile, also while another reload is in progress.
    ///
    /// # Errors
    ///
    /// As [`RegoPolicyBuilder::build`]; the current policy stays in use then.
    pub fn reload(&self) -> Result<ReloadStatus, RegoError> {
        self.0.reload()
    }
}

impl Version {
    fn load(settings: &Settings) -> Result<Self, RegoError> {
        let documents = settings.sources.read()?;
        let fingerprint = documents.fingerprint();
        let engine = documents.compile(settings.rules(), settings.time_limit)?;
        Ok(Self { engine, fingerprint, is_failing: AtomicBool::new(false) })
    }

    /// Evaluates the rules for an input: a verdict, and the rule that decided.
    fn decide(&self, settings: &Settings, input: &str) -> Result<Decision, Failure> {
        let mut engine = self.engine.clone();
        engine.set_input(Value::from_json_str(input).map_err(|error| Failure::of_evaluation(&error, None))?);
        let mut evaluate = |rule: &str| {
            // Some built-in functions panic for some arguments. The engine is dropped then.
            let evaluated = catch_unwind(AssertUnwindSafe(|| engine.eval_rule(rule.to_owned())));
            let evaluated = evaluated.map_err(|_| Failure::from(format!("the evaluation of {rule} panicked")))?;
            evaluated.map_err(|error| Failure::of_evaluation(&error, error.downcast_ref()))
        };
        if let Some(deny) = &settings.deny {
            match Denial::of(&evaluate(deny)?) {
                Denial::Denied => return Ok(Decision::refused(Reason::POLICY, Arc::clone(deny))),
                Denial::NotDenied => {}
                Denial::Unexpected => return Err(format!("{deny} is neither a boolean nor a collection").into()),
            }
        }
        match Outcome::of(&evaluate(&settings.allow)?) {
            Outcome::Decided { is_allowed, rule, explanation } => Ok(Decision {
                refused: (!is_allowed).then_some(Reason::POLICY),
                query: Arc::clone(&settings.allow),
                rule,
                explanation,
            }),
            Outcome::Undefined => Ok(Decision::refused(Reason::POLICY_UNDEFINED, Arc::clone(&settings.allow))),
            Outcome::Unexpected => {
                Err(format!("{} is neither a boolean nor an object with the boolean `allow`", settings.allow).into())
            }
        }
    }
}

struct Decision {
    refused: Option<Reason>,
    query: Arc<str>,
    rule: Option<String>,
    explanation: Option<String>,
}

impl Decision {
    const fn refused(reason: Reason, query: Arc<str>) -> Self {
        Self { refused: Some(reason), query, rule: None, explanation: None }
    }
}

impl Inner {
    fn current(&self) -> Arc<Version> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the policy if the files differ from those that it was compiled from.
    ///
    /// The files are read and compiled without the lock of the current version, so that requests never wait for them.
    /// Requests that have begun are decided by the previous version as a whole.
    pub(crate) fn reload(&self) -> Result<ReloadStatus, RegoError> {
        let _reloading = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let documents = self.settings.sources.read()?;
        let fingerprint = documents.fingerprint();
        if self.current().fingerprint == fingerprint {
            return Ok(ReloadStatus::Unchanged);
        }
        let engine = documents.compile(self.settings.rules(), self.settings.time_limit)?;
        let version = Arc::new(Version { engine, fingerprint, is_failing: AtomicBool::new(false) });
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = version;
        Ok(ReloadStatus::Changed)
    }

    fn input(&self, principal: &Principal, head: &Head<'_>, tool: Option<&Tool>) -> Result<String, &'static str> {
        let mut input = RegoInput::new(principal, head, &self.settings.headers, tool)?;
        for add in &self.settings.additions {
            add(&mut input, principal, head);
        }
        input.into_json(self.settings.max_input_bytes)
    }
}

impl Policy for RegoPolicy {
    fn decide(&self, principal: &Principal, head: &Head<'_>) -> Eventual<Result<(), Rejection>> {
        let (current, note) = (self.0.current(), DecisionNote::of(head));
        let decide = |tool: Option<Tool>| {
            let input = self.0.input(principal, head, tool.as_ref()).map_err(Failure::from);
            let decision = input.and_then(|input| current.decide(&self.0.settings, &input));
            self.0.settle(&current, decision, &note)
        };
        Eventual::Now(Tool::all_of(head.extensions).into_iter().try_for_each(decide))
    }
}

impl Inner {
    /// The verdict of a decision, which is noted.
    fn settle(
        &self,
        version: &Version,
        decision: Result<Decision, Failure>,
        note: &DecisionNote,
    ) -> Result<(), Rejection> {
        let decision = match decision {
            Ok(decision) => decision,
            Err(failure) => {
                note.record(self.settings.allow.to_string(), None);
                if !version.is_failing.swap(true, Relaxed) {
                    tracing::warn!(
                        rule = %self.settings.allow,
                        error = %failure.summary(),
                        "a policy cannot be evaluated; requests are refused, and further failures of this version are not \
                         logged"
                    );
                }
                let refused = Rejection::new(RejectionKind::Forbidden, Reason::POLICY_FAILED);
                return Err(refused.with_explanation(failure));
            }
        };
        note.record(decision.query.to_string(), decision.rule.map(Into::into));
        match decision.refused {
            None => Ok(()),
            Some(reason) => {
                let refused = Rejection::new(RejectionKind::Forbidden, reason);
                Err(match decision.explanation {
                    Some(explanation) => refused.with_explanation(explanation),
                    None => refused,
                })
            }
        }
    }
}

impl fmt::Debug for RegoPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegoPolicy")
            .field("allow", &self.0.settings.allow)
            .field("deny", &self.0.settings.deny)
            .finish_non_exhaustive()
    }
}
