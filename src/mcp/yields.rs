//! The layers and documents that a declaration yields.

use std::collections::HashSet;

use tower_layer::Stack;

use super::{
    event::Events,
    guard::Guard,
    layer::{McpGuardLayer, McpLayer},
    operation::McpOperation,
    owner::Handles,
    rules::Prepared,
    server::McpServer,
};
use crate::{
    auth::{AuthLayer, Authenticator},
    authorize::{AllOf, Policy},
    caller::Principal,
    error::{ConfigError, ConfigErrorKind},
    log,
    metadata::ProtectedResourceMetadata,
    scope::Scopes,
};

impl McpServer {
    /// Creates the rules for tokens of an issuer, whose audience is the URL of this server.
    ///
    /// # Errors
    ///
    /// Those of [`Issuer::new`](crate::jwt::Issuer::new).
    #[cfg(feature = "jwt")]
    pub fn issuer(&self, name: &str) -> Result<crate::jwt::Issuer, ConfigError> {
        crate::jwt::Issuer::new(name, self.metadata.resource())
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
    /// The time of a proof may be up to 300 seconds in the past or in the future, as in the DPoP profile of MCP.
    /// [`Dpop::window`](crate::dpop::Dpop::window) changes it.
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
        Ok(Dpop::for_resource(self.metadata())?.path_rewrite(PathRewrite::Unchanged)?.with_five_minutes())
    }

    /// Creates the guard. All clones of a guard know the same sessions, tasks and events; another guard knows none of them.
    #[must_use]
    pub fn guard(&self) -> McpGuardLayer {
        let handles = || Handles::new(self.environment.clock(), self.idle_lifetime, self.per_caller);
        McpGuardLayer::new(Guard {
            events: Events::new(),
            filters_lists: self.filters_lists,
            limits: self.limits,
            origins: self.origins.clone(),
            prepared: Prepared::new(&self.rules),
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
        if auth.accepts_tokens() && !self.metadata.has_authorization_server() {
            log::warning!(
                resource = %self.metadata.resource(),
                "clients cannot find out who issues tokens for an MCP server: see `McpServer::authorization_server`"
            );
        }
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
        self.rules.permit(caller, &mut http::Request::new(()), operation)
    }
}
