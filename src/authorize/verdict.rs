use crate::{
    gate::sealed::Sealed,
    reason::Reason,
    refusal::{Rejection, RejectionKind},
};

/// The result of a closure that decides on a request: a `bool`, or a `Result<(), Rejection>`. Sealed.
///
/// `false` refuses with 403 and no challenge, because no other credential is known to help. A refusal that names scopes, a
/// custom reason or a custom code is an `Err`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a verdict on a request",
    label = "returns neither `bool` nor `Result<(), Rejection>`",
    note = "return `true` or `false`, or `Err(Rejection::insufficient_scope(scopes))` to name the scopes that are missing"
)]
pub trait Verdict: Sealed {
    /// The refusal, if there is one.
    ///
    /// # Errors
    ///
    /// If the request is refused.
    fn into_result(self) -> Result<(), Rejection>;
}

impl Sealed for bool {}

impl Verdict for bool {
    fn into_result(self) -> Result<(), Rejection> {
        if self { Ok(()) } else { Err(Rejection::new(RejectionKind::Forbidden, Reason::POLICY)) }
    }
}

impl Sealed for Result<(), Rejection> {}

impl Verdict for Result<(), Rejection> {
    fn into_result(self) -> Result<(), Rejection> {
        self
    }
}
