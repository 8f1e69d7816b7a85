use std::{fmt, sync::Arc};

use tower_layer::{Layer, Stack};

use super::{
    guard::{Guard, Messages},
    head_check::McpHeadCheck,
    refusal::JsonRpcBody,
    response::McpResponses,
};
use crate::{
    auth::AuthLayer,
    body::{BodyCheckLayer, BodyGate},
    gate::Gate,
    refusal::{Problem, Responder},
    stream::StreamGuardLayer,
};

/// Admits what a [declaration](super::McpServer) allows to an MCP server. See the [module docs](super).
///
/// Made by [`McpServer::guard`](super::McpServer::guard). Place it inside of [`AuthLayer`]: directly around the server.
#[derive(Clone)]
pub struct McpGuardLayer {
    head: Arc<McpHeadCheck>,
    messages: BodyCheckLayer<JsonRpcBody>,
}

/// The layers that [`McpServer::protect`](super::McpServer::protect) combines.
pub type McpLayer<R = Problem> = Stack<McpGuardLayer, Stack<StreamGuardLayer, AuthLayer<R>>>;

/// The service of [`McpGuardLayer`].
pub type McpGate<S> = Gate<BodyGate<McpResponses<S>, JsonRpcBody>, McpHeadCheck, JsonRpcBody>;

impl McpGuardLayer {
    pub(super) fn new(guard: Guard) -> Self {
        let guard = Arc::new(guard);
        let messages = BodyCheckLayer::new(Messages(Arc::clone(&guard))).respond_with(JsonRpcBody);
        Self { head: Arc::new(McpHeadCheck(guard)), messages }
    }
}

impl<S> Layer<S> for McpGuardLayer {
    type Service = McpGate<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let inner = McpResponses::new(inner, Arc::clone(&self.head.0));
        Gate::new(self.messages.layer(inner), Arc::clone(&self.head), Responder::set(JsonRpcBody))
    }
}

impl fmt::Debug for McpGuardLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("McpGuardLayer").finish_non_exhaustive()
    }
}
