use std::{collections::HashSet, fmt, num::NonZeroUsize, time::Duration};

use super::{head_check::origin_of, rules::Rules};
use crate::{
    authorize::Policy,
    body::BodyLimits,
    environment::Environment,
    error::{ConfigError, ConfigErrorKind},
    metadata::ProtectedResourceMetadata,
    url,
};

/// The size of bodies that may be allowed.
const BODY_BYTES: std::ops::RangeInclusive<usize> = 4 << 10..=64 << 20;

/// The sessions, and the tasks, of one caller that are known.
const PER_CALLER: NonZeroUsize = NonZeroUsize::new(1_000).expect("a thousand");

/// The declaration of an MCP server: its URL, who issues tokens for it, and what each tool, prompt and resource requires.
///
/// Everything that is not declared is refused. A name that is declared twice requires both policies. See the
/// [module docs](super).
#[derive(Clone)]
#[must_use]
pub struct McpServer {
    pub(super) environment: Environment,
    pub(super) filters_lists: bool,
    pub(super) idle_lifetime: Duration,
    pub(super) limits: BodyLimits,
    pub(super) metadata: ProtectedResourceMetadata,
    pub(super) origins: Option<HashSet<Box<str>>>,
    pub(super) per_caller: NonZeroUsize,
    pub(super) rules: Rules,
}

impl McpServer {
    /// Declares the server at this URL, which is its resource identifier and the audience of its tokens.
    ///
    /// # Errors
    ///
    /// Those of [`ProtectedResourceMetadata::new`]; and if the scheme or the host has upper-case letters, or the port is the
    /// default one: clients request tokens for the URL without them, and audiences are compared byte for byte.
    pub fn new(resource: &str) -> Result<Self, ConfigError> {
        let metadata = ProtectedResourceMetadata::new(resource)?;
        let is_usual = |origin: Box<str>| resource.strip_prefix(&*origin).is_some_and(|rest| !rest.starts_with(':'));
        if !origin_of(resource).is_some_and(is_usual) {
            let message = "the URL of an MCP server has its scheme and host in lower case, and no default port";
            return Err(ConfigError::new(ConfigErrorKind::Mcp, message).value(url::redacted(resource)));
        }
        Ok(Self::with_metadata(metadata))
    }

    /// Declares the server with this metadata, such as that of [`Jwt::protected_resource`](crate::jwt::Jwt::protected_resource).
    /// Its scopes are replaced by those of the declaration.
    pub fn with_metadata(metadata: ProtectedResourceMetadata) -> Self {
        let origins = origin_of(metadata.resource()).into_iter().collect();
        Self {
            environment: Environment::default(),
            filters_lists: false,
            idle_lifetime: Duration::from_secs(24 * 3_600),
            limits: BodyLimits::default(),
            metadata,
            origins: Some(origins),
            per_caller: PER_CALLER,
            rules: Rules::default(),
        }
    }

    /// Adds an authorization server that issues tokens. MCP clients need at least one: without one, a layer that accepts JWTs logs
    /// a warning.
    ///
    /// # Errors
    ///
    /// Those of [`ProtectedResourceMetadata::authorization_server`].
    pub fn authorization_server(mut self, issuer: &str) -> Result<Self, ConfigError> {
        self.metadata = self.metadata.authorization_server(issuer)?;
        Ok(self)
    }

    /// Sets the clock by which sessions and tasks expire.
    pub fn environment(mut self, environment: &Environment) -> Self {
        self.environment = environment.clone();
        self
    }

    /// Requires a policy of each request, such as a basic scope.
    ///
    /// The challenge of a request without a token names its scopes.
    pub fn require(mut self, policy: impl Policy) -> Self {
        self.rules.require(policy);
        self
    }

    /// Declares a tool, and what it requires besides [what each request does](Self::require).
    pub fn tool(mut self, name: &str, policy: impl Policy) -> Self {
        self.rules.allow_tool(name, policy);
        self
    }

    /// Declares a prompt.
    pub fn prompt(mut self, name: &str, policy: impl Policy) -> Self {
        self.rules.allow_prompt(name, policy);
        self
    }

    /// Declares a resource by its URI, or several by a template ([RFC 6570](https://www.rfc-editor.org/rfc/rfc6570)):
    /// `{name}` stands for a part of one path segment, and `{+name}` for any number of segments.
    ///
    /// The declaration of a URI takes precedence over templates. A URI that matches several templates requires the policies
    /// of all. One that servers may read as another, because it has dot segments for example, matches none. One that is
    /// spelled in another way (percent-encoding, case of the scheme and host, default port) also requires what the declared one
    /// does. Paths differ by their case: where files do not, declare no wide template beside a URI that requires more.
    ///
    /// # Errors
    ///
    /// If a template has expressions of another kind.
    pub fn resource(mut self, uri_or_template: &str, policy: impl Policy) -> Result<Self, ConfigError> {
        let refused = || {
            let message = "a resource is a URI, or a template with expressions of the forms {name} and {+name} only";
            ConfigError::new(ConfigErrorKind::Mcp, message).value(uri_or_template)
        };
        self.rules.allow_resource(uri_or_template, policy).ok_or_else(refused)?;
        Ok(self)
    }

    /// Declares a method, such as one of an extension of the protocol, or adds a requirement to one that is open or is decided
    /// by the object that it names.
    ///
    /// Methods that need no declaration: `initialize`, `logging/setLevel`, `ping`, `prompts/list`, `resources/list`,
    /// `resources/templates/list`, `server/discover`, `subscriptions/listen` (since version 2026-07-28; each resource that it
    /// names is one that is used), `tools/list`, and notifications. Operations on a task are those of the caller that created it. `tasks/list`
    /// is not among them: servers list the tasks of all callers.
    pub fn method(mut self, name: &str, policy: impl Policy) -> Self {
        self.rules.allow_method(name, policy);
        self
    }

    /// Allows requests from web pages of this origin, such as `https://app.example.com` or `vscode-webview://…`, besides that of
    /// the server's URL.
    ///
    /// # Errors
    ///
    /// If it is not a scheme and a host.
    pub fn allow_origin(mut self, origin: &str) -> Result<Self, ConfigError> {
        let is_plain = origin.split_once("://").is_some_and(|(_, host)| !host.contains(['/', '?', '#', '@', ' ']));
        let message = "an origin is a scheme and a host, such as https://app.example.com";
        let refused = || ConfigError::new(ConfigErrorKind::Mcp, message).value(origin);
        let parsed = origin_of(origin).filter(|_| is_plain).ok_or_else(refused)?;
        if let Some(origins) = &mut self.origins {
            origins.insert(parsed);
        }
        Ok(self)
    }

    /// Allows requests from web pages of every origin.
    ///
    /// A page that the user of a client visits can then use the server with the name of another host (DNS rebinding).
    pub fn danger_any_origin(mut self) -> Self {
        self.origins = None;
        self
    }

    /// Sets the size of bodies, and the time within which they must arrive: 1 MiB and 10 seconds by default.
    ///
    /// While a body is judged, a list of the member names of an object takes up to six times the size of that object besides.
    ///
    /// # Errors
    ///
    /// If the size is not 4 KiB up to 64 MiB.
    pub fn body_limits(mut self, limits: BodyLimits) -> Result<Self, ConfigError> {
        if !BODY_BYTES.contains(&limits.max_bytes()) {
            let message = "the body of an MCP request is limited to 4 KiB up to 64 MiB";
            return Err(ConfigError::new(ConfigErrorKind::Mcp, message).value(limits.max_bytes()));
        }
        self.limits = limits;
        Ok(self)
    }

    /// Sets the time after which a session or task that is not used is forgotten: 24 hours by default.
    ///
    /// # Errors
    ///
    /// If it is less than one minute.
    pub fn idle_lifetime(mut self, lifetime: Duration) -> Result<Self, ConfigError> {
        if lifetime < Duration::from_secs(60) {
            let message = "sessions and tasks that are not used are kept for at least one minute";
            return Err(ConfigError::new(ConfigErrorKind::Mcp, message).value(format_args!("{lifetime:?}")));
        }
        self.idle_lifetime = lifetime;
        Ok(self)
    }

    /// Sets how many sessions, and how many tasks, of one caller are known: 1000 by default. Of more, those that were not used
    /// for the longest time are forgotten.
    pub const fn max_per_caller(mut self, number: NonZeroUsize) -> Self {
        self.per_caller = number;
        self
    }

    /// Removes from the lists of tools, prompts and resources what the caller may not use.
    ///
    /// It applies to responses that are JSON, which become private to the caller. A response with something else in the place of a
    /// list is not sent. For servers that respond with events, which
    /// is the default of rmcp, list by [`permits`](Self::permits) in the server.
    pub const fn filter_lists(mut self) -> Self {
        self.filters_lists = true;
        self
    }
}

impl fmt::Debug for McpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("McpServer")
            .field("metadata", &self.metadata)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}
