use tower_warden::Unavailable;

use super::{RefreshTokens, family::RefreshFamily, token::RefreshToken};

/// A token that was issued, and its family. It may be one that was replaced.
pub(crate) struct FoundToken {
    pub(crate) family: Box<RefreshFamily>,
    pub(crate) token: RefreshToken,
}

impl RefreshTokens {
    /// Finds the family of a token; `None` if the token was not issued.
    pub(crate) async fn find(&self, token: RefreshToken) -> Result<Option<FoundToken>, Unavailable> {
        let Some(family) = self.store.find(&token.family_id()).wait().await? else { return Ok(None) };
        // A made-up token of a family whose id was seen in an access token is as good as none, and does not end the family.
        let is_issued = token.is_tagged_with(&family.key);
        // The tag alone does not make the current token: a copy of the store has its key.
        let is_forged = token.number() == family.generation && token.digest() != family.token;
        Ok((is_issued && !is_forged).then(|| FoundToken { family: Box::new(family), token }))
    }
}
