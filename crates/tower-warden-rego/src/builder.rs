use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use http::HeaderName;
use tower_warden::{Head, Principal};

use crate::{
    error::{RegoError, RegoErrorKind},
    input::RegoInput,
    policy::RegoPolicy,
    sources::{RegoVersion, Source, Sources},
    watch,
};

/// Configures a [`RegoPolicy`].
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use tower_warden::layer::AuthorizeLayer;
/// use tower_warden_rego::RegoPolicy;
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let policy = RegoPolicy::builder("data.gateway.allow")
///     .file("/etc/gateway/policy.rego")
///     .data_file("/etc/gateway/tenants.json")
///     .header(http::HeaderName::from_static("x-approval-id"))
///     .input(|input, _, _| input.insert("region", "eu"))
///     .build()?
///     .watch(Duration::from_secs(10));
/// let layer = AuthorizeLayer::new(policy);
/// # Ok(()) }
/// ```
#[must_use]
pub struct RegoPolicyBuilder(Settings);

type Addition = Arc<dyn Fn(&mut RegoInput, &Principal, &Head<'_>) + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) additions: Vec<Addition>,
    pub(crate) allow: Arc<str>,
    pub(crate) deny: Option<Arc<str>>,
    pub(crate) headers: Vec<HeaderName>,
    pub(crate) max_input_bytes: usize,
    pub(crate) sources: Sources,
    pub(crate) time_limit: Duration,
}

impl Settings {
    pub(crate) fn rules(&self) -> impl Iterator<Item = &str> {
        self.deny.iter().map(|rule| &**rule).chain([&*self.allow])
    }
}

impl RegoPolicyBuilder {
    pub(crate) fn new(rule: &str) -> Self {
        Self(Settings {
            additions: Vec::new(),
            allow: rule.into(),
            deny: None,
            headers: Vec::new(),
            max_input_bytes: 64 * 1024,
            sources: Sources::default(),
            time_limit: Duration::from_millis(50),
        })
    }

    /// Adds a data document: the text of a JSON object, which policies read as `data`. It has nothing at the paths of their
    /// packages: data would replace the rules there.
    pub fn data(mut self, json: &str) -> Self {
        self.0.sources.data.push(Source::Text { name: "data".into(), text: json.into() });
        self
    }

    /// Adds a file with a data document.
    pub fn data_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.0.sources.data.push(Source::File(path.into()));
        self
    }

    /// Sets a rule that refuses requests, whatever the other rule allows: if it is `true`, or a set, array or object
    /// that is not empty. If it is undefined, it refuses nothing.
    pub fn deny(mut self, rule: &str) -> Self {
        self.0.deny = Some(rule.into());
        self
    }

    /// Adds a file with a policy.
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.0.sources.policies.push(Source::File(path.into()));
        self
    }

    /// Adds a header field to the input, as a list of its values. Fields that are not added are not in it.
    ///
    /// Values that a layer has marked as sensitive are left out, and fields that carry credentials are refused by
    /// [`build`](Self::build). A request with another value that is not visible ASCII is refused.
    pub fn header(mut self, name: HeaderName) -> Self {
        self.0.headers.push(name);
        self
    }

    /// Adds members to the input of each evaluation. The closure must not block. Never to be used for credentials.
    pub fn input(mut self, add: impl Fn(&mut RegoInput, &Principal, &Head<'_>) + Send + Sync + 'static) -> Self {
        self.0.additions.push(Arc::new(add));
        self
    }

    /// Sets the maximum length of the input, as JSON: 64 KiB by default. Requests with a longer one are refused.
    pub const fn max_input_bytes(mut self, bytes: usize) -> Self {
        self.0.max_input_bytes = bytes;
        self
    }

    /// Adds a policy. Errors name it by this name.
    pub fn source(mut self, name: &str, rego: &str) -> Self {
        self.0.sources.policies.push(Source::Text { name: name.into(), text: rego.into() });
        self
    }

    /// Sets the maximum time of an evaluation of each of the rules: 50 milliseconds by default. It is measured by the
    /// wall clock, so a machine that is overloaded needs a longer one.
    pub const fn time_limit(mut self, limit: Duration) -> Self {
        self.0.time_limit = limit;
        self
    }

    /// Sets the version of Rego in which the policies are written: 1 by default.
    pub const fn version(mut self, version: RegoVersion) -> Self {
        self.0.sources.version = version;
        self
    }

    /// Reads and compiles the policies. It blocks the thread while it reads files.
    ///
    /// # Errors
    ///
    /// [`Unreadable`](RegoErrorKind::Unreadable) if a file cannot be read, [`Invalid`](RegoErrorKind::Invalid) if a
    /// policy or a data document is not valid, if a data document has values within a package of the policies, or if the input
    /// would have a header field that carries credentials, [`RuleMissing`](RegoErrorKind::RuleMissing) if the policies do not
    /// define a rule.
    pub fn build(self) -> Result<RegoPolicy, RegoError> {
        if let Some(name) = self.0.headers.iter().find(|name| CREDENTIALS.contains(&name.as_str())) {
            let message = format!("{name}: expected header fields that carry no credentials");
            return Err(RegoError::new(RegoErrorKind::Invalid, message));
        }
        RegoPolicy::load(self.0)
    }
}

impl fmt::Debug for RegoPolicyBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegoPolicyBuilder")
            .field("allow", &self.0.allow)
            .field("deny", &self.0.deny)
            .field("sources", &self.0.sources)
            .finish_non_exhaustive()
    }
}

impl RegoPolicy {
    /// Starts a task that reloads the files when they change. They are checked at this interval.
    ///
    /// If a changed file is not valid, the current policy stays in use, and an error is logged once. The task stops
    /// when all clones of the policy are dropped.
    ///
    /// # Panics
    ///
    /// If it is called outside of a tokio runtime.
    #[must_use]
    pub fn watch(self, interval: Duration) -> Self {
        tokio::spawn(watch::reload_periodically(Arc::downgrade(self.inner()), interval));
        self
    }
}

/// Fields that carry credentials under the schemes of tower-warden and of HTTP, and certificates that a proxy forwards.
const CREDENTIALS: &[&str] = &[
    "authorization",
    "client-cert",
    "client-cert-chain",
    "cookie",
    "dpop",
    "proxy-authorization",
    "sec-websocket-protocol",
    "ssl-client-cert",
    "x-amzn-oidc-accesstoken",
    "x-amzn-oidc-data",
    "x-api-key",
    "x-forwarded-client-cert",
];
