use std::hash::{BuildHasher, RandomState};

use super::alert::Detection;
use crate::{
    audit::event::RequestEvent,
    scope::{Scope, Scopes},
};

/// The scopes and the tools of an admitted request.
pub(super) struct UsedNames<'a> {
    scopes: Option<&'a Scopes>,
    request: &'a RequestEvent,
    secret: &'a RandomState,
}

pub(super) type UsedName<'a> = (Detection, u64, &'a str);

impl<'a> UsedNames<'a> {
    pub(super) fn of(request: &'a RequestEvent, secret: &'a RandomState) -> Self {
        Self { scopes: request.required.as_deref().filter(|_| request.is_admitted()), request, secret }
    }

    /// The names for which this is true; `None` if there are none.
    pub(super) fn filter(self, mut is_wanted: impl FnMut(Detection, u64) -> bool) -> Option<Vec<UsedName<'a>>> {
        let mut found = Vec::new();
        let holds = |scope: &&Scope| self.request.principal.as_ref().is_some_and(|caller| caller.holds(scope));
        for scope in self.scopes.into_iter().flat_map(Scopes::iter).filter(holds) {
            let name = self.secret.hash_one((3_u8, scope.as_str()));
            if is_wanted(Detection::FirstUseOfScope, name) {
                found.push((Detection::FirstUseOfScope, name, scope.as_str()));
            }
        }
        let tools = self.request.values("tool").filter(|_| self.request.is_admitted());
        for tool in tools {
            let name = self.secret.hash_one((4_u8, tool));
            if is_wanted(Detection::FirstUseOfTool, name) {
                found.push((Detection::FirstUseOfTool, name, tool));
            }
        }
        (!found.is_empty()).then_some(found)
    }
}
