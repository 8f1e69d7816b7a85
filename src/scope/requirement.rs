use std::{fmt, marker::PhantomData};

use super::{Scope, Scopes};

/// A requirement on the scopes of a caller, as a type, for [`Scoped`](crate::axum::Scoped) and
/// [`AuthorizeLayer`](crate::layer::AuthorizeLayer).
///
/// [`scopes!`](crate::scopes), [`All`] and [`Any`] make the usual ones. A tuple of requirements is met if all of them are, as
/// with [`All`].
///
/// # Examples
///
/// A custom requirement, whose refusals name only one of the accepted scopes:
///
/// ```
/// use tower_warden::scope::{Requirement, Scope, Scopes};
///
/// struct ReadReports;
///
/// const READ: Scope = Scope::from_static("https://api.example.com/reports.read");
/// const ADMIN: Scope = Scope::from_static("https://api.example.com/admin");
///
/// impl Requirement for ReadReports {
///     fn is_met(holds: &dyn Fn(&Scope) -> bool) -> bool {
///         holds(&READ) || holds(&ADMIN)
///     }
///
///     fn scopes() -> Scopes {
///         [READ].into_iter().collect() // A client is not advised to ask for the rights of an administrator.
///     }
/// }
///
/// assert!(ReadReports::is_met(&|scope| *scope == ADMIN));
/// assert!(!ReadReports::is_met(&|_| false));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a requirement on the scopes of a caller",
    label = "does not implement `Requirement`",
    note = "make a type for a scope with `scopes! {{ pub BillingRead = \"billing:read\"; }}`",
    note = "combine such types with `All<(A, B)>` or `Any<(A, B)>`, up to six in one tuple"
)]
pub trait Requirement: Send + Sync + 'static {
    /// Returns whether a caller meets the requirement; `holds` returns whether the caller has a scope.
    fn is_met(holds: &dyn Fn(&Scope) -> bool) -> bool;

    /// The scopes that a refusal names ([RFC 6750 §3.1](https://www.rfc-editor.org/rfc/rfc6750#section-3.1)).
    fn scopes() -> Scopes;
}

/// A requirement that is met if all of a tuple of requirements are.
pub struct All<T>(PhantomData<fn() -> T>);

/// A requirement that is met if at least one of a tuple of requirements is. A refusal names the scopes of all of them.
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

        impl<$($name: Requirement),+> Requirement for ($($name,)+) {
            fn is_met(holds: &dyn Fn(&Scope) -> bool) -> bool {
                All::<Self>::is_met(holds)
            }

            fn scopes() -> Scopes {
                All::<Self>::scopes()
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

/// Defines a type for each scope.
///
/// The type has a constant `SCOPE` and implements [`Requirement`](crate::scope::Requirement). See the
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

        // An associated constant is evaluated only where it is used; this one always is.
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
