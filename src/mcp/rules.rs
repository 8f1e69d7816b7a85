//! The policies of a declaration.

use std::{collections::HashMap, fmt, sync::Arc};

use http::Request;

use super::{operation::McpOperation, request::McpRequest, resource::Resources, version::McpVersion};
use crate::{
    Eventual,
    authorize::{AllOf, Policy},
    caller::Principal,
    request::Head,
};

/// Methods that need no declaration. They concern no single object, or establish a connection.
pub(super) const OPEN: [&str; 9] = [
    "initialize",
    "logging/setLevel",
    "ping",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "server/discover",
    "subscriptions/listen",
    "tools/list",
];

/// The beginning of the names of notifications, which need no declaration either.
pub(super) const NOTIFICATIONS: &str = "notifications/";

type Policies = Vec<Arc<dyn Policy>>;

/// The policies of everything that may be used.
#[derive(Clone, Default)]
pub(super) struct Rules {
    /// The policies of each request.
    base: Policies,
    methods: HashMap<Box<str>, Policies>,
    prompts: HashMap<Box<str>, Policies>,
    resources: Resources,
    tools: HashMap<Box<str>, Policies>,
}

impl Rules {
    pub(super) fn require(&mut self, policy: impl Policy) {
        self.base.push(Arc::new(policy));
    }

    pub(super) fn allow_method(&mut self, name: &str, policy: impl Policy) {
        self.methods.entry(name.into()).or_default().push(Arc::new(policy));
    }

    pub(super) fn allow_prompt(&mut self, name: &str, policy: impl Policy) {
        self.prompts.entry(name.into()).or_default().push(Arc::new(policy));
    }

    /// Adds a policy of a URI or template; `None` if it is neither.
    pub(super) fn allow_resource(&mut self, uri_or_template: &str, policy: impl Policy) -> Option<()> {
        self.resources.allow(uri_or_template, policy)
    }

    pub(super) fn allow_tool(&mut self, name: &str, policy: impl Policy) {
        self.tools.entry(name.into()).or_default().push(Arc::new(policy));
    }

    pub(super) fn tools(&self) -> impl Iterator<Item = &str> {
        self.tools.keys().map(|name| &**name)
    }

    /// The policies of each request.
    pub(super) fn base(&self) -> &[Arc<dyn Policy>] {
        &self.base
    }

    /// All policies.
    pub(super) fn all(&self) -> AllOf {
        let named = [&self.methods, &self.prompts, &self.tools].into_iter().flat_map(HashMap::values);
        AllOf::new(self.base.iter().chain(named.flatten()).chain(self.resources.policies()).cloned())
    }

    /// The policies of an operation by a method, besides those of each request; `None` if it is not declared.
    pub(super) fn find(&self, method: &str, operation: McpOperation<'_>) -> Option<Vec<&Arc<dyn Policy>>> {
        let of_method = self.methods.get(method);
        let of_object = match operation {
            McpOperation::Method(name) => {
                let is_open = OPEN.contains(&name) || name.starts_with(NOTIFICATIONS);
                (is_open || of_method.is_some()).then(Vec::new)?
            }
            McpOperation::Prompt(name) => self.prompts.get(name)?.iter().collect(),
            McpOperation::Resource(uri) => self.resources.find(uri)?.collect(),
            // Its owner may use it.
            McpOperation::Task(_) => Vec::new(),
            McpOperation::Tool(name) => self.tools.get(name)?.iter().collect(),
        };
        Some(of_method.into_iter().flatten().chain(of_object).collect())
    }

    /// Returns whether a caller that may make requests may also perform an operation, as far as it is decided at once.
    ///
    /// The messages of the request are replaced by that operation.
    pub(super) fn permit(&self, caller: &Principal, request: &mut Request<()>, operation: McpOperation<'_>) -> bool {
        let method = match operation {
            McpOperation::Method(name) => name,
            McpOperation::Prompt(_) => "prompts/get",
            McpOperation::Resource(_) => "resources/read",
            McpOperation::Task(_) => return false,
            McpOperation::Tool(_) => "tools/call",
        };
        let Some(declared) = self.find(method, operation) else { return false };
        let version = McpRequest::of(request.extensions()).map_or(McpVersion::V2025_03_26, McpRequest::version);
        request.extensions_mut().insert(McpRequest::for_operation(method, operation, version));
        let head = Head::from(&*request);
        declared.into_iter().all(|policy| matches!(policy.decide(caller, &head), Eventual::Now(Ok(()))))
    }
}

/// The policies of the operations that most requests consist of, each combined with those of every request.
pub(super) struct Prepared {
    base: AllOf,
    methods: HashMap<Box<str>, AllOf>,
    prompts: HashMap<Box<str>, AllOf>,
    tools: HashMap<Box<str>, AllOf>,
}

impl Prepared {
    pub(super) fn new(rules: &Rules) -> Self {
        let all = |method: &str, operation: McpOperation<'_>| {
            let declared = rules.find(method, operation).into_iter().flatten();
            AllOf::new(rules.base.iter().chain(declared).cloned())
        };
        let methods = OPEN.into_iter().chain(rules.methods.keys().map(|name| &**name));
        let methods = methods.filter(|name| rules.find(name, McpOperation::Method(name)).is_some());
        Self {
            base: AllOf::new(rules.base.iter().cloned()),
            methods: methods.map(|name| (name.into(), all(name, McpOperation::Method(name)))).collect(),
            prompts: rules
                .prompts
                .keys()
                .map(|name| (name.clone(), all("prompts/get", McpOperation::Prompt(name))))
                .collect(),
            tools: rules.tools.keys().map(|name| (name.clone(), all("tools/call", McpOperation::Tool(name)))).collect(),
        }
    }

    /// The policies of each request.
    pub(super) const fn base(&self) -> &AllOf {
        &self.base
    }

    /// The policies of an operation by a method; `None` if they are to be found in the [rules](Rules).
    pub(super) fn find(&self, method: &str, operation: McpOperation<'_>) -> Option<&AllOf> {
        match operation {
            McpOperation::Method(name) => self.methods.get(name),
            McpOperation::Prompt(name) if method == "prompts/get" => self.prompts.get(name),
            McpOperation::Tool(name) => self.tools.get(name),
            McpOperation::Prompt(_) | McpOperation::Resource(_) | McpOperation::Task(_) => None,
        }
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").finish_non_exhaustive()
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules")
            .field("methods", &self.methods.keys())
            .field("prompts", &self.prompts.keys())
            .field("resources", &self.resources)
            .field("tools", &self.tools.keys())
            .finish_non_exhaustive()
    }
}
