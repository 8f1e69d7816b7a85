use std::sync::Arc;

use http::Extensions;

use super::{check::RoleCheck, directory::RoleQuery};
use crate::{refusal::Rejection, scope::Scopes};

/// The role layers that have admitted a request, for handlers that issue credentials: the directories grant scopes to these too.
#[derive(Clone, Debug)]
pub(crate) struct PassedRoles {
    check: Arc<RoleCheck>,
    outer: Option<Arc<Self>>,
}

impl PassedRoles {
    pub(super) fn note(extensions: &mut Extensions, check: Arc<RoleCheck>) {
        let outer = extensions.remove().map(Arc::new);
        extensions.insert(Self { check, outer });
    }

    /// The scopes that the directories grant to a caller, besides those of its credential.
    pub(crate) async fn scopes(&self, query: &RoleQuery<'_>) -> Result<Vec<Arc<Scopes>>, Rejection> {
        let (mut granted, mut layer) = (Vec::new(), Some(self));
        while let Some(Self { check, outer }) = layer {
            granted.push(check.resolve(query).wait().await?);
            layer = outer.as_deref();
        }
        Ok(granted)
    }
}
