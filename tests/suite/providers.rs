//! The recipes of the manual, each with a token of the provider's form: the files are those that the manual shows.

use serde_json::{Value, json};
use tower_warden::{
    ConfigError, Environment, ManualClock,
    jwt::{Algorithm, StaticKeys, VerifyingKey},
    layer::AuthLayer,
    testing::{SigningKey, TokenBuilder},
};

use crate::{
    aws_alb::{LOAD_BALANCER, sign_padded},
    support::{Answer, START, bearer, request, send},
    tokens::{app, keys},
};

macro_rules! recipes {
    ($($name:ident)+) => {
        $(mod $name {
            include!(concat!("../../src/manual/providers/", stringify!($name), ".rs"));
        })+
        use {$($name::$name),+};
    };
}

recipes! {
    ad_fs aws_alb clerk cloudflare_access entra_managed_identity entra_tenant entra_tenants firebase github_actions gitlab
    google_iap kubernetes shopify spiffe supabase workos zitadel
}

const NOW: u64 = START.as_secs();

/// A recipe, and a token of the form that its provider signs.
struct Case {
    layer: AuthLayer,
    key: SigningKey,
    header: Value,
    claims: Value,
    place: Place,
    sign: fn(&str, &str, &SigningKey) -> String,
}

#[derive(Clone, Copy)]
enum Place {
    Bearer,
    Cookie(&'static str),
    Header(&'static str),
}

impl Case {
    fn new(
        algorithm: Algorithm,
        recipe: impl FnOnce(StaticKeys) -> Result<AuthLayer, ConfigError>,
        claims: Value,
    ) -> Self {
        let key = SigningKey::generate(algorithm);
        let header = json!({ "alg": key.algorithm().as_str(), "kid": key.id(), "typ": "JWT" });
        let layer = recipe(keys(&[&key])).unwrap();
        let mut case = Self { layer, key, header, claims, place: Place::Bearer, sign: TokenBuilder::sign_text };
        for (name, time) in [("iat", NOW - 5), ("exp", NOW + 600)] {
            case.claims.as_object_mut().unwrap().entry(name).or_insert(json!(time));
        }
        case
    }

    fn at(mut self, place: Place) -> Self {
        self.place = place;
        self
    }

    /// The response to the token, with these claims changed; `null` removes one.
    async fn send(&self, changes: Value) -> Answer {
        let mut claims = self.claims.clone();
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => claims.as_object_mut().unwrap().remove(name),
                value => claims.as_object_mut().unwrap().insert(name.clone(), value.clone()),
            };
        }
        let token = (self.sign)(&self.header.to_string(), &claims.to_string(), &self.key);
        let request = match self.place {
            Place::Bearer => bearer(&token),
            Place::Cookie(name) => request().header("cookie", format!("theme=dark; {name}={token}")),
            Place::Header(name) => request().header(name, token),
        };
        let environment = Environment::default().with_clock(ManualClock::at(START));
        send(app(&self.layer.clone().environment(&environment)), request).await
    }

    /// Admitted as this subject; refused with each of the changes.
    async fn check(&self, subject: &str, refused: &[(Value, &str)]) {
        self.send(json!({})).await.assert_subject(subject);
        for (changes, reason) in refused {
            self.send(changes.clone()).await.assert_reason(401, reason);
        }
        self.send(json!({ "iss": "https://evil.example" })).await.assert_reason(401, "issuer_unknown");
        self.send(json!({ "exp": NOW - 100 })).await.assert_reason(401, "expired");
    }
}

#[tokio::test]
async fn cloudflare_access_admits_users_and_service_tokens() {
    let claims = json!({
        "aud": ["AUD-TAG-OF-THE-APPLICATION"], "email": "user@example.com", "nbf": NOW - 5,
        "iss": "https://TEAM.cloudflareaccess.com", "type": "app", "identity_nonce": "6ei69kawdKzMIAPF",
        "sub": "7335d417-61da-459d-899c-0a01c76a2f94", "country": "US",
    });
    let case = Case::new(Algorithm::RS256, cloudflare_access, claims).at(Place::Header("cf-access-jwt-assertion"));
    let other = json!({ "aud": ["another application"] });
    let refused = [(other, "audience_mismatch"), (json!({ "type": "org" }), "claim_required")];
    case.check("7335d417-61da-459d-899c-0a01c76a2f94", &refused).await;
    let service = json!({ "sub": "", "common_name": "e367826f93b8d71185e03fe518aff3b4.access", "email": null });
    case.send(service).await.assert_subject("e367826f93b8d71185e03fe518aff3b4.access");
    case.send(json!({ "sub": "" })).await.assert_reason(401, "subject_missing");
}

#[tokio::test]
async fn google_iap_admits_its_assertions() {
    let audience = "/projects/NUMBER/global/backendServices/ID";
    let claims = json!({
        "iss": "https://cloud.google.com/iap", "aud": audience, "azp": audience, "hd": "example.com",
        "sub": "accounts.google.com:1234567890", "email": "user@example.com", "identity_source": "GOOGLE",
    });
    let case = Case::new(Algorithm::ES256, google_iap, claims).at(Place::Header("x-goog-iap-jwt-assertion"));
    let other = json!({ "aud": "/projects/NUMBER/global/backendServices/OTHER" });
    case.check("accounts.google.com:1234567890", &[(other, "audience_mismatch")]).await;
}

#[tokio::test]
async fn aws_alb_admits_users_that_the_load_balancer_has_authenticated() {
    let claims = json!({
        "sub": "1234567890", "name": "Alice", "email": "alice@example.com", "iss": "https://idp.example.com",
        "exp": NOW + 120, "iat": null,
    });
    let mut case = Case::new(Algorithm::ES256, aws_alb, claims).at(Place::Header("x-amzn-oidc-data"));
    case.sign = sign_padded;
    let header = json!({
        "typ": "JWT", "kid": case.key.id(), "alg": "ES256", "iss": "https://idp.example.com", "client": "CLIENT-ID",
        "signer": LOAD_BALANCER, "exp": NOW + 120,
    });
    case.header = header.clone();
    case.check("1234567890", &[(json!({ "sub": null }), "subject_missing")]).await;
    for (name, reason) in
        [("client", "audience_mismatch"), ("signer", "load_balancer_mismatch"), ("iss", "issuer_unknown")]
    {
        case.header[name] = "another".into();
        case.send(json!({})).await.assert_reason(401, reason);
        case.header = header.clone();
    }
}

#[tokio::test]
async fn github_actions_admits_jobs_of_one_owner() {
    let claims = json!({
        "jti": "example-id", "sub": "repo:acme/api:ref:refs/heads/main", "aud": "https://api.example.com",
        "ref": "refs/heads/main", "sha": "example-sha", "repository": "acme/api", "repository_owner": "acme",
        "repository_owner_id": "1234567", "repository_id": "74", "run_id": "1", "actor": "octocat", "actor_id": "12",
        "event_name": "push", "job_workflow_ref": "acme/api/.github/workflows/deploy.yml@refs/heads/main",
        "iss": "https://token.actions.githubusercontent.com", "nbf": NOW - 600,
    });
    let case = Case::new(Algorithm::RS256, github_actions, claims);
    let stranger = json!({ "repository_owner_id": "666", "repository_owner": "acme" });
    case.check("repo:acme/api:ref:refs/heads/main", &[(stranger, "claim_required")]).await;
}

#[tokio::test]
async fn gitlab_admits_protected_jobs_of_one_namespace() {
    let claims = json!({
        "namespace_id": "72", "namespace_path": "acme", "project_id": "20", "project_path": "acme/api", "user_id": "1",
        "user_login": "alice", "pipeline_id": "574", "job_id": "302", "ref": "main", "ref_type": "branch",
        "ref_protected": "true", "jti": "235b3a54-b797-45c7-ae9a-f72d7bc6ef5b", "nbf": NOW - 5,
        "iss": "https://gitlab.com", "sub": "project_path:acme/api:ref_type:branch:ref:main",
        "aud": "https://api.example.com",
    });
    let case = Case::new(Algorithm::RS256, gitlab, claims);
    let refused = [
        (json!({ "namespace_id": "73" }), "claim_required"),
        (json!({ "ref_protected": "false" }), "claim_required"),
        (json!({ "project_id": null }), "tenant_missing"),
    ];
    case.check("project_path:acme/api:ref_type:branch:ref:main", &refused).await;
}

#[tokio::test]
async fn kubernetes_admits_projected_tokens_of_a_year() {
    let claims = json!({
        "aud": ["https://api.example.com"], "iss": "https://kubernetes.default.svc.cluster.local",
        "exp": NOW - 5 + 31_536_000, "nbf": NOW - 5, "jti": "0b7fb4b1-a2a3-4f2c-b7b5-8e4b1ce7d1a1",
        "kubernetes.io": {
            "namespace": "prod", "pod": { "name": "web-0", "uid": "5d7a" },
            "serviceaccount": { "name": "web", "uid": "e8f1" }, "warnafter": NOW + 3600,
        },
        "sub": "system:serviceaccount:prod:web",
    });
    let case = Case::new(Algorithm::RS256, kubernetes, claims);
    let api_server = json!({ "aud": ["https://kubernetes.default.svc.cluster.local"] });
    case.check("system:serviceaccount:prod:web", &[(api_server, "audience_mismatch")]).await;
}

#[tokio::test]
async fn firebase_admits_its_id_tokens() {
    let claims = json!({
        "iss": "https://securetoken.google.com/PROJECT-ID", "aud": "PROJECT-ID", "auth_time": NOW - 60,
        "user_id": "u1", "sub": "u1", "email": "user@example.com", "email_verified": true,
        "firebase": { "identities": { "email": ["user@example.com"] }, "sign_in_provider": "password" },
    });
    let case = Case::new(Algorithm::RS256, firebase, claims);
    case.check("u1", &[(json!({ "aud": "OTHER-PROJECT" }), "audience_mismatch")]).await;
}

#[tokio::test]
async fn supabase_admits_tokens_of_the_key_set_and_of_the_older_secret() {
    let claims = json!({
        "iss": "https://PROJECT.supabase.co/auth/v1", "aud": "authenticated", "role": "authenticated", "aal": "aal1",
        "sub": "123e4567-e89b-12d3-a456-426614174000", "session_id": "6f2c", "email": "user@example.com", "phone": "",
        "amr": [{ "method": "password", "timestamp": NOW - 60 }], "is_anonymous": false,
    });
    let secret = SigningKey::generate(Algorithm::HS256);
    let secrets = || StaticKeys::new([VerifyingKey::from_jwk(&secret.jwk().to_string()).unwrap()]).unwrap();
    let mut case = Case::new(Algorithm::ES256, |keys| supabase(keys, secrets()), claims);
    case.check("123e4567-e89b-12d3-a456-426614174000", &[(json!({ "aud": "anon" }), "audience_mismatch")]).await;
    case.key = secret.clone();
    case.header = json!({ "alg": "HS256", "typ": "JWT", "kid": secret.id() });
    case.check("123e4567-e89b-12d3-a456-426614174000", &[(json!({ "aud": "anon" }), "audience_mismatch")]).await;
    case.key = SigningKey::generate(Algorithm::HS256);
    case.send(json!({})).await.assert_reason(401, "signature");
}

#[tokio::test]
async fn clerk_admits_session_tokens_of_its_origins() {
    let claims = json!({
        "iss": "https://clerk.example.com", "sub": "user_123", "sid": "sess_123", "azp": "https://app.example.com",
        "nbf": NOW - 15, "exp": NOW + 60, "org_id": "org_123", "org_role": "admin",
    });
    for place in [Place::Bearer, Place::Cookie("__session")] {
        let case = Case::new(Algorithm::RS256, clerk, claims.clone()).at(place);
        case.check("user_123", &[(json!({ "azp": "https://evil.example" }), "claim_required")]).await;
        case.send(json!({ "azp": null })).await.assert_subject("user_123");
    }
}

#[tokio::test]
async fn workos_admits_access_tokens_with_an_organization() {
    let claims = json!({
        "iss": "https://api.workos.com", "sub": "user_01H", "org_id": "org_01H", "role": "member", "roles": ["member"],
        "permissions": ["posts:read", "posts:write"], "sid": "session_01H", "jti": "01H",
    });
    let case = Case::new(Algorithm::RS256, workos, claims);
    case.check("user_01H", &[(json!({ "org_id": null }), "tenant_missing")]).await;
    case.send(json!({ "act": { "sub": "admin@example.com" } })).await.assert_subject("user_01H");
}

#[tokio::test]
async fn zitadel_admits_access_tokens_with_roles() {
    let claims = json!({
        "iss": "https://INSTANCE.zitadel.cloud", "sub": "163840776835432705", "jti": "241012345678",
        "aud": ["170079991923474689@api", "PROJECT-ID"], "client_id": "170079991923474689@api", "nbf": NOW - 5,
        "urn:zitadel:iam:org:project:roles": { "admin": { "160549024225689888": "acme.zitadel.cloud" } },
        "urn:zitadel:iam:user:resourceowner:id": "160549024225689888",
    });
    let case = Case::new(Algorithm::RS256, zitadel, claims);
    let other = json!({ "aud": ["170079991923474689@api"] });
    case.check("163840776835432705", &[(other, "audience_mismatch")]).await;
}

#[tokio::test]
async fn ad_fs_admits_tokens_of_its_federation_service() {
    let claims = json!({
        "aud": "microsoft:identityserver:API-ID", "iss": "http://fs.example.com/adfs/services/trust",
        "apptype": "Public", "appid": "8b2c", "authmethod": "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport",
        "auth_time": "2026-11-25T20:01:53.432Z", "ver": "1.0", "scp": "openid api", "upn": "alice@example.com",
    });
    let case = Case::new(Algorithm::RS256, ad_fs, claims);
    case.check("alice@example.com", &[(json!({ "upn": null }), "subject_missing")]).await;
    case.send(json!({ "sub": "c2Fy" })).await.assert_subject("c2Fy");
}

fn entra(issuer: &str, tenant: &str) -> Value {
    json!({
        "aud": "CLIENT-ID-OF-THE-API", "iss": issuer, "tid": tenant, "nbf": NOW - 5, "aio": "E2ZgYLj", "azp": "web",
        "azpacr": "0", "name": "Alice", "oid": "690222be", "scp": "access_as_user", "sub": "HKZpfaHy", "uti": "fqiBqXLP",
        "ver": "2.0", "rh": "0.ARoA",
    })
}

#[tokio::test]
async fn entra_admits_access_tokens_of_one_tenant_and_no_id_tokens() {
    let claims = entra("https://login.microsoftonline.com/TENANT-ID/v2.0", "TENANT-ID");
    let case = Case::new(Algorithm::RS256, entra_tenant, claims);
    let id_token = json!({ "azp": null, "scp": null, "nonce": "n" });
    case.check("HKZpfaHy", &[(id_token, "claim_required")]).await;
    // An application that calls its own API.
    case.send(json!({ "azp": "CLIENT-ID-OF-THE-API" })).await.assert_subject("HKZpfaHy");
}

#[tokio::test]
async fn entra_admits_access_tokens_of_the_listed_tenants() {
    let claims = entra("https://login.microsoftonline.com/TENANT-1/v2.0", "TENANT-1");
    let case = Case::new(Algorithm::RS256, entra_tenants, claims);
    let third = json!({ "iss": "https://login.microsoftonline.com/TENANT-3/v2.0", "tid": "TENANT-3" });
    let confused = json!({ "tid": "TENANT-2" });
    case.check("HKZpfaHy", &[(third, "claim_required"), (confused, "claim_required")]).await;
    let second = json!({ "iss": "https://login.microsoftonline.com/TENANT-2/v2.0", "tid": "TENANT-2" });
    case.send(second).await.assert_subject("HKZpfaHy");
}

#[tokio::test]
async fn entra_admits_managed_identities() {
    let claims = json!({
        "aud": "api://CLIENT-ID-OF-THE-API", "iss": "https://sts.windows.net/TENANT-ID/", "nbf": NOW - 5,
        "exp": NOW - 5 + 86_700, "aio": "E2ZgYLj", "appid": "c7c2", "appidacr": "2", "idp": "https://sts.windows.net/TENANT-ID/",
        "idtyp": "app", "oid": "b1f2", "rh": "0.ARoA", "roles": ["Files.Read"], "sub": "b1f2", "tid": "TENANT-ID",
        "uti": "fqiBqXLP", "ver": "1.0",
    });
    let case = Case::new(Algorithm::RS256, entra_managed_identity, claims);
    case.check("b1f2", &[(json!({ "idtyp": "user" }), "claim_required")]).await;
}

#[tokio::test]
async fn shopify_admits_session_tokens_of_each_shop() {
    let claims = json!({
        "iss": "https://acme.myshopify.com/admin", "dest": "https://acme.myshopify.com", "aud": "CLIENT-ID-OF-THE-APP",
        "sub": "42", "exp": NOW + 55, "nbf": NOW - 5, "jti": "f8912129", "sid": "aaea182f",
    });
    let mut case = Case::new(Algorithm::HS256, shopify, claims);
    let secret = SigningKey::generate(Algorithm::HS256);
    let mut jwk = secret.jwk();
    jwk.as_object_mut().unwrap().remove("kid");
    case.layer = shopify(StaticKeys::new([VerifyingKey::from_jwk(&jwk.to_string()).unwrap()]).unwrap()).unwrap();
    case.key = secret;
    case.header = json!({ "alg": "HS256", "typ": "JWT" });
    let refused = [
        (json!({ "dest": "https://other.myshopify.com" }), "claim_required"),
        (json!({ "dest": "https://acme.myshopify.com/" }), "claim_required"),
        (json!({ "dest": null }), "claim_required"),
    ];
    case.check("42", &refused).await;
    let evil = json!({ "iss": "https://evil.example/acme.myshopify.com/admin" });
    case.send(evil).await.assert_reason(401, "issuer_unknown");
}

/// The bundle of a trust domain has keys for two purposes.
#[tokio::test]
async fn spiffe_admits_svids_by_the_keys_of_the_bundle() {
    let (key, other) = (SigningKey::generate(Algorithm::ES256), SigningKey::generate(Algorithm::ES256));
    let jwk = |key: &SigningKey, purpose: &str| {
        let mut jwk = key.jwk();
        jwk["use"] = purpose.into();
        jwk.as_object_mut().unwrap().remove("alg");
        jwk.to_string()
    };
    let id = "spiffe://example.org/ns/prod/sa/web";
    let claims = json!({ "aud": ["spiffe://example.org/api"], "sub": id });
    let mut case = Case::new(Algorithm::ES256, spiffe, claims);
    case.layer = spiffe(StaticKeys::new([VerifyingKey::from_jwk(&jwk(&key, "jwt-svid")).unwrap()]).unwrap()).unwrap();
    case.header = json!({ "alg": "ES256", "kid": key.id(), "typ": "JOSE" });
    case.key = key;
    case.send(json!({})).await.assert_subject(id);
    for (changes, reason) in [
        (json!({ "aud": ["spiffe://example.org/other"] }), "audience_mismatch"),
        (json!({ "sub": "spiffe://evil.example/ns/prod/sa/web" }), "issuer_missing"),
        (json!({ "exp": NOW - 100 }), "expired"),
    ] {
        case.send(changes).await.assert_reason(401, reason);
    }
    assert!(VerifyingKey::from_jwk(&jwk(&other, "x509-svid")).is_err());
}
