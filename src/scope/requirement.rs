//! Scopes as types, for [`Scoped`](crate::axum::Scoped) and
//! [`AuthorizeLayer`](crate::layer::AuthorizeLayer).

use std::{fmt, marker::PhantomData};

use super::{Scope, Scopes};

/// What an operation needs of its caller's scopes, as a type.
///
/// Made by [`scopes!`](crate::scopes), [`All`] and [`Any`].
pub trait Requirement: Send + Sync + 'static {
    /// Whether a caller meets it; `holds` tells which scopes the caller has.
    fn is_met(holds: &dyn Fn(&Scope) -> bool) -> bool;

    /// The scopes a refusal names, RFC 6750 §3.1.
    fn scopes() -> Scopes;
}

/// Every one of a tuple of requirements.
pub struct All<T>(PhantomData<fn() -> T>);

/// One of a tuple of requirements, whichever; a refusal names them all.
pub struct Any<T>(PhantomData<fn() -> T>);

impl<T> fmt::Debug for All<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("All")
    }
}

impl<T> fmt::Debug for Any<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Any")
    }
}

macro_rules! tuples {
    ($(($($name:ident),+))+) => {$(
        impl<$($name: Requirement),+> Requirement for All<($($name,)+)> {
            fn is_met(holds: &dyn Fn(&Scope) -> bool) -> bool {
                $($name::is_met(holds))&&+
            }

            fn scopes() -> Scopes {
                [$($name::scopes()),+].iter().flat_map(Scopes::iter).cloned().collect()
            }
        }

        impl<$($name: Requirement),+> Requirement for Any<($($name,)+)> {
            fn is_met(holds: &dyn Fn(&Scope) -> bool) -> bool {
                $($name::is_met(holds))||+
            }

            fn scopes() -> Scopes {
                All::<($($name,)+)>::scopes()
            }
        }
    )+};
}

tuples! {
    (A)
    (A, B)
    (A, B, C)
    (A, B, C, D)
    (A, B, C, D, E)
    (A, B, C, D, E, F)
}

/// Makes a type for each scope.
///
/// Each has a constant `SCOPE` and is a [`Requirement`](crate::scope::Requirement). See the
/// [module docs](crate::scope).
#[macro_export]
macro_rules! scopes {
    ($($(#[$meta:meta])* $visibility:vis $name:ident = $scope:literal;)+) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug)]
        #[non_exhaustive]
        $visibility struct $name;

        impl $name {
            /// The scope.
            $visibility const SCOPE: $crate::scope::Scope = $crate::scope::Scope::from_static($scope);
        }

        // A constant of a type is looked at only where it is used; this one always is.
        const _: $crate::scope::Scope = $name::SCOPE;

        impl $crate::scope::Requirement for $name {
            fn is_met(holds: &dyn Fn(&$crate::scope::Scope) -> bool) -> bool {
                const SCOPE: &$crate::scope::Scope = &$name::SCOPE;
                holds(SCOPE)
            }

            fn scopes() -> $crate::scope::Scopes {
                ::core::iter::once($name::SCOPE).collect()
            }
        }
    )+};
}
