//! Sources of tokens: the grants of OAuth, logins of agent APIs, keys and files.
//!
//! | source | tokens for |
//! |---|---|
//! | [`ClientCredentials`] | the client itself |
//! | [`RefreshGrant`] | a refresh token, with a full login where that fails |
//! | [`JsonLogin`] | the members of a JSON object |
//! | [`TokenExchange`] | another token: for a user, an actor, another audience |
//! | [`JwtBearer`] | an assertion: signed by the client, issued by another server, or in a file |
//! | [`CustomGrant`] | whatever another grant type takes, such as an authorization code |
//! | [`StaticKey`] | nothing: a key that does not change |
//! | [`TokenFile`] | nothing: a file that another process renews |
//!
//! Each token of a grant is a request to the server. A [`CachedToken`](crate::CachedToken) around it keeps the token
//! until shortly before it expires.

pub(crate) use self::parameters::union;
pub use self::{
    client_credentials::ClientCredentials,
    custom::CustomGrant,
    exchange::{TokenExchange, TokenType},
    file::TokenFile,
    json_login::JsonLogin,
    jwt_bearer::{JwtBearer, SignedAssertion},
    refresh::RefreshGrant,
    static_key::StaticKey,
};

mod client_credentials;
mod custom;
mod exchange;
mod file;
mod json_login;
mod jwt_bearer;
mod parameters;
mod refresh;
mod static_key;
