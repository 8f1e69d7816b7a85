use std::{collections::HashSet, fmt, num::NonZeroUsize, time::Duration};

use tower_layer::Stack;

use super::{
    guard::Guard,
    head_check::origin_of,
    layer::{McpGuardLayer, McpLayer},
    operation::McpOperation,
    owner::Handles,
    rules::Rules,
    template::UriTemplate,
};
use crate::{
    auth::{AuthLayer, Authenticator},
    authorize::{AllOf, Policy},
    body::BodyLimits,
    caller::Principal,
    environment::Environment,
    error::{ConfigError, ConfigErrorKind},
    metadata::ProtectedResourceMetadata,
    request::Head,
    scope::Scopes,
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
    environment: Environment,
    filters_lists: bool,
    idle_lifetime: Duration,
    limits: BodyLimits,
    metadata: ProtectedResourceMetadata,
    origins: Option<HashSet<Box<str>>>,
    per_caller: NonZeroUsize,
    rules: Rules,
}

impl McpServer {
    /// Declares the server at this URL, which is its resource identifier and the audience of its tokens.
    ///
    /// # Errors
    ///
    /// Those of [`ProtectedResourceMetadata::new`].
    pub fn new(resource: &str) -> Result<Self, ConfigError> {
        Ok(Self::with_metadata(ProtectedResourceMetadata::new(resource)?))
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

    /// Creates the rules for tokens of an issuer, whose audience is the URL of this server.
    ///
    /// # Errors
    ///
    /// Those of [`Issuer::new`](crate::jwt::Issuer::new).
    #[cfg(feature = "jwt")]
    pub fn issuer(&self, name: &str) -> Result<crate::jwt::Issuer, ConfigError> {
        crate::jwt::Issuer::new(name, self.metadata.resource())
    }

    /// Adds an authorization server that issues tokens. MCP clients need at least one.
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
    /// of all. One that servers may read as another, because it has dot segments for example, matches none.
    ///
    /// # Errors
    ///
    /// If a template has expressions of another kind.
    pub fn resource(mut self, uri_or_template: &str, policy: impl Policy) -> Result<Self, ConfigError> {
        let refused = || {
            let message = "a resource is a URI, or a template with expressions of the forms {name} and {+name} only";
            ConfigError::new(ConfigErrorKind::Mcp, message).value(uri_or_template)
        };
        let template = UriTemplate::parse(uri_or_template).ok_or_else(refused)?;
        self.rules.allow_resource(template, policy);
        Ok(self)
    }

    /// Declares a method, such as one of an extension of the protocol, or adds a requirement to one that is open or is decided
    /// by the object that it names.
    ///
    /// Methods that need no declaration: `initialize`, `logging/setLevel`, `ping`, `prompts/list`, `resources/list`,
    /// `resources/templates/list`, `server/discover`, `subscriptions/listen` (each resource that it names is one that is
    /// used), `tools/list`, and notifications. Operations on a task are those of the caller that created it. `tasks/list`
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
    /// It applies to responses that are JSON, which become private to the caller. For servers that respond with events, which
    /// is the default of rmcp, list by [`permits`](Self::permits) in the server.
    pub const fn filter_lists(mut self) -> Self {
        self.filters_lists = true;
        self
    }

    /// Compares the declaration with the tools of the server: for the start of the program, so that a tool without a
    /// declaration is found before a client calls it.
    ///
    /// # Errors
    ///
    /// If a tool of the server is not declared, or a declared one does not exist: the error quotes its name.
    pub fn check_tools<T: AsRef<str>>(&self, tools: impl IntoIterator<Item = T>) -> Result<(), ConfigError> {
        let mut declared: HashSet<&str> = self.rules.tools().collect();
        let error = |message, name: &str| ConfigError::new(ConfigErrorKind::Mcp, message).value(name);
        for tool in tools {
            if !declared.remove(tool.as_ref()) && !self.rules.tools().any(|name| name == tool.as_ref()) {
                return Err(error("a tool of the server is not declared: add `McpServer::tool`", tool.as_ref()));
            }
        }
        match declared.into_iter().min() {
            Some(missing) => Err(error("a tool is declared that the server does not have", missing)),
            None => Ok(()),
        }
    }

    /// The metadata of the server: all scopes that it requires, and challenges that name those of each request.
    #[must_use]
    pub fn metadata(&self) -> ProtectedResourceMetadata {
        // A refresh token is a matter between client and authorization server.
        let named = |policy: AllOf| -> Scopes {
            policy.scopes().iter().filter(|scope| scope.as_str() != "offline_access").cloned().collect()
        };
        let base = named(AllOf::new(self.rules.base().iter().cloned()));
        let metadata = self.metadata.clone().scopes(named(self.rules.all()));
        metadata.expect("offline_access is not among the scopes").challenge_scopes(base)
    }

    /// Creates the layer that authenticates callers, with the challenges of this server.
    #[must_use]
    pub fn auth_layer(&self, authenticator: impl Authenticator) -> AuthLayer {
        AuthLayer::new(authenticator).environment(&self.environment).challenge(self.metadata().challenge())
    }

    /// Creates the verifier of DPoP proofs for the URL of this server: for [`AuthLayer::dpop`].
    ///
    /// Behind a proxy that changes the path of requests, declare that with
    /// [`Dpop::path_rewrite`](crate::dpop::Dpop::path_rewrite).
    ///
    /// # Errors
    ///
    /// Those of [`Dpop::for_resource`](crate::dpop::Dpop::for_resource).
    #[cfg(feature = "dpop")]
    pub fn dpop(&self) -> Result<crate::dpop::Dpop, ConfigError> {
        use crate::dpop::{Dpop, PathRewrite};
        Dpop::for_resource(self.metadata())?.path_rewrite(PathRewrite::Unchanged)
    }

    /// Creates the guard. All clones of a guard know the same sessions and tasks; another guard knows none of them.
    #[must_use]
    pub fn guard(&self) -> McpGuardLayer {
        let handles = || Handles::new(self.environment.clock(), self.idle_lifetime, self.per_caller);
        McpGuardLayer::new(Guard {
            filters_lists: self.filters_lists,
            limits: self.limits,
            origins: self.origins.clone(),
            rules: self.rules.clone(),
            sessions: handles(),
            tasks: handles(),
        })
    }

    /// Creates the layers of a server: authentication by the [`auth_layer`](Self::auth_layer), the end of streams whose
    /// credential expires or is revoked, and the [`guard`](Self::guard).
    #[must_use]
    pub fn protect(&self, authenticator: impl Authenticator) -> McpLayer {
        self.protect_with(self.auth_layer(authenticator))
    }

    /// Creates the same layers with an [`auth_layer`](Self::auth_layer) that has more settings, such as DPoP or a list of
    /// revocations.
    #[must_use]
    pub fn protect_with<R>(&self, auth: AuthLayer<R>) -> McpLayer<R> {
        let streams = auth.stream_guard();
        Stack::new(self.guard(), Stack::new(streams, auth))
    }

    /// Returns whether a caller whose request was admitted may also use a tool, a prompt or a resource, or call a method: for
    /// servers that list only what the caller may use.
    ///
    /// Policies decide without a request here. If one needs header fields, or another server that does not answer at once, the
    /// result is `false`; what a request may do is decided again when it arrives. Of a task, it is `false`.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden::{Principal, mcp::{McpOperation, McpServer}};
    ///
    /// fn visible(server: &McpServer, caller: &Principal, tools: &[&'static str]) -> Vec<&'static str> {
    ///     tools.iter().copied().filter(|name| server.permits(caller, McpOperation::Tool(name))).collect()
    /// }
    /// ```
    #[must_use]
    pub fn permits(&self, caller: &Principal, operation: McpOperation<'_>) -> bool {
        self.rules.permit(caller, &Head::from(&http::Request::new(())), operation)
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
