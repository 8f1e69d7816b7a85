//! The credentials of a run: those that are measured, and those that each server must refuse.

use std::{error::Error, fs, path::Path, time::Duration};

use tower_warden::{
    api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey},
    jwt::{Algorithm, Issuer, Jwt, JwtBuilder, StaticKeys},
    testing::{SigningKey, TestIssuer, TokenBuilder},
};

/// The scope of all callers that are measured.
pub(crate) const SCOPE: &str = "billing:read";

const AUDIENCE: &str = "https://api.example.com";
const ISSUER: &str = "https://auth.example.com";

/// Keys and tokens that are used in turn.
const CALLERS: usize = 64;

/// Longer than a run.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);

pub(crate) struct Credentials {
    issuer: TestIssuer,
    key: SigningKey,
    pub(crate) keys: ApiKeys,
}

impl Credentials {
    /// Generates them, and writes those that clients and other servers use to files of the folder.
    pub(crate) async fn generate(folder: &Path) -> Result<Self, Box<dyn Error>> {
        let (issuer, key) = (TestIssuer::new(ISSUER), SigningKey::generate(Algorithm::RS256));
        issuer.publish(key.clone());
        let format = KeyFormat::new("sk_agent")?;
        let unknown = format.generate()?.expose().to_owned();
        let credentials = Self { issuer, key, keys: ApiKeys::new(MemoryKeyStore::default(), format) };
        let write = |name: &str, text: &str| fs::write(folder.join(name), format!("{text}\n"));

        let mut keys = Vec::new();
        for index in 0..CALLERS {
            keys.push(credentials.mint(NewKey::new(format!("agent-{index}")).tenant("acme").scopes(SCOPE)).await?);
        }
        write("keys", &keys.join("\n"))?;
        write("key-unknown", &unknown)?;
        write("key-unscoped", &credentials.mint(NewKey::new("unscoped")).await?)?;
        // Requests with an exhausted quota are refused on the routes that are measured, by the tier of this caller.
        for route in ["limits", "stack"] {
            let trial = NewKey::new(format!("trial-{route}")).tier("trial").scopes(SCOPE);
            write(&format!("key-trial-{route}"), &credentials.mint(trial).await?)?;
        }
        let revoked = NewKey::new("revoked").scopes(SCOPE);
        let (record, secret) = credentials.keys.mint(revoked).await?;
        credentials.keys.revoke(&record.id).await?;
        write("key-revoked", secret.expose())?;

        let tokens: Vec<_> = (0..CALLERS).map(|index| credentials.token(index).sign()).collect();
        write("tokens", &tokens.join("\n"))?;
        let other = SigningKey::named(Algorithm::RS256, credentials.key.id());
        write("token-forged", &credentials.token(0).key(&other).sign())?;
        write("token-expired", &credentials.token(0).claim("exp", 1_700_000_000).sign())?;
        write("token-for-another", &credentials.token(0).audience("https://other.example.com").sign())?;
        write("token-unscoped", &credentials.token(0).scope("openid").sign())?;
        write("issuer", ISSUER)?;
        write("audience", AUDIENCE)?;
        write("jwks", &credentials.jwk_set())?;
        Ok(credentials)
    }

    /// Verifies the tokens.
    pub(crate) fn jwt(&self) -> Result<JwtBuilder, Box<dyn Error>> {
        let issuer = Issuer::new(ISSUER, AUDIENCE)?.algorithms([self.key.algorithm()])?;
        Ok(Jwt::builder(issuer, StaticKeys::from_jwk_set(&self.jwk_set())?))
    }

    /// The public keys of the tokens' issuer.
    pub(crate) fn jwk_set(&self) -> String {
        serde_json::json!({ "keys": [self.key.jwk()] }).to_string()
    }

    async fn mint(&self, key: NewKey) -> Result<String, Box<dyn Error>> {
        Ok(self.keys.mint(key).await?.1.expose().to_owned())
    }

    /// A token as long as those of the common providers: about 850 bytes with its signature.
    fn token(&self, caller: usize) -> TokenBuilder {
        let subject = format!("auth0|5f7c8ec7c33c6c004bbafe8{caller:05}");
        let token = self.issuer.token(&subject).key(&self.key).audience(AUDIENCE).client_id("my_client_application_1");
        let token = token.scope("openid profile billing:read billing:write").claim("org", "acme");
        token.claim("sid", "2f8c1c0e-7a3f-4a8e-9f43-0d5f2d1a1b7c").expires_in(LIFETIME)
    }
}
