//! The document of a resource.

use serde::Serialize;

use crate::scope::Scopes;

/// The members in the order of RFC 9728 §2; members with zero values are omitted (§3.2).
#[derive(Clone, Debug, Serialize)]
pub(super) struct Document {
    pub(super) resource: Box<str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) authorization_servers: Vec<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) jwks_uri: Option<Box<str>>,
    #[serde(skip_serializing_if = "Scopes::is_empty")]
    pub(super) scopes_supported: Scopes,
    pub(super) bearer_methods_supported: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) resource_name: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) resource_documentation: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) resource_policy_uri: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) resource_tos_uri: Option<Box<str>>,
    #[serde(skip_serializing_if = "is_false")]
    pub(super) tls_client_certificate_bound_access_tokens: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) dpop_signing_alg_values_supported: Vec<Box<str>>,
    /// Stated, also if it is `false`, by a resource that names algorithms of proofs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dpop_bound_access_tokens_required: Option<bool>,
}

const fn is_false(flag: &bool) -> bool {
    !*flag
}
