//! The scopes that extractors have required, in the trails of audited requests.

use std::{any::TypeId, cell::RefCell, collections::BTreeMap, sync::Arc};

use http::Extensions;

use crate::{
    caller::Principal,
    scope::{Requirement, Scopes},
    trail::Trail,
};

/// Notes that the caller of a request meets a requirement.
pub(super) fn note<R: Requirement>(extensions: &Extensions, caller: &Principal) {
    let Some(trail) = extensions.get::<Trail>() else { return };
    let scopes = scopes_of::<R>();
    // A layer inside of the `AuditLayer` has required, and noted, them before.
    if caller.required().is_some_and(|noted| noted.contains_all(&scopes)) {
        return;
    }
    let mut notes = trail.notes();
    notes.required = Some(Scopes::joined(notes.required.take(), scopes));
}

/// The scopes of a requirement. Each thread keeps them, so that a request does not allocate them.
fn scopes_of<R: Requirement>() -> Arc<Scopes> {
    thread_local! {
        static KNOWN: RefCell<BTreeMap<TypeId, Arc<Scopes>>> = RefCell::default();
    }
    let requirement = TypeId::of::<R>();
    let known = KNOWN.with_borrow(|known| known.get(&requirement).cloned());
    known.unwrap_or_else(|| {
        let scopes = Arc::new(R::scopes());
        KNOWN.with_borrow_mut(|known| known.insert(requirement, Arc::clone(&scopes)));
        scopes
    })
}
