use serde::Serialize;

use crate::notice::Notice;

/// The members of a notice.
#[derive(Default, Serialize)]
pub(super) struct NoticeLine<'a> {
    notice: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dependency: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys_added: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys_removed: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<&'a str>,
}

impl<'a> NoticeLine<'a> {
    pub(super) fn of(notice: &'a Notice) -> Self {
        let empty = Self { notice: notice.as_str(), ..Self::default() };
        match notice {
            Notice::DependencyDown { dependency, issuer, cause } => {
                Self { dependency: Some(dependency), issuer: issuer.as_deref(), cause: Some(cause), ..empty }
            }
            Notice::DependencyUp { dependency, issuer } => {
                Self { dependency: Some(dependency), issuer: issuer.as_deref(), ..empty }
            }
            Notice::IssuerKeysChanged { issuer, added, removed } => {
                Self { issuer: Some(issuer), keys_added: Some(*added), keys_removed: Some(*removed), ..empty }
            }
            Notice::Key { action, id, outcome, owner, tenant } => Self {
                action: Some(action.as_str()),
                key_id: Some(id),
                outcome: Some(outcome.as_str()),
                owner: owner.as_deref(),
                tenant: tenant.as_deref(),
                ..empty
            },
            Notice::Revoked { kind, outcome, issuer, name } => Self {
                action: Some(kind),
                issuer: issuer.as_deref(),
                outcome: Some(outcome.as_str()),
                revoked: Some(name),
                ..empty
            },
        }
    }
}
