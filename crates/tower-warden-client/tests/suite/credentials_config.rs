//! Configurations of credentials: what is accepted, and errors that name the member and never the value.

use serde_json::{Value, json};
use tower_warden_client::credentials::{Credentials, CredentialsConfig, CredentialsError, CredentialsErrorKind};
use tower_warden_client::secret::EnvironmentSecrets;

/// A configuration with one service.
fn parse(service: &Value) -> Result<CredentialsConfig, CredentialsError> {
    read(json!({ "staging": { "billing": service } }))
}

fn read(value: Value) -> Result<CredentialsConfig, CredentialsError> {
    let config: CredentialsConfig = serde_json::from_value(value).unwrap();
    assert!(!format!("{config:?}").contains("billing"), "`Debug` prints the names of environments only");
    config.check().map(|()| config)
}

/// A valid service of this kind.
fn valid(kind: &str) -> Value {
    let mut service = match kind {
        "api_key" => json!({ "key_name": "BILLING_API_KEY" }),
        "client_credentials" => {
            json!({ "token_url": "https://auth.example/token", "client_id": "agent", "secret_name": "billing" })
        }
        "json_login" => {
            json!({ "login_url": "https://api.example/login", "secret_names": { "agent_secret": "AGENT" } })
        }
        "mtls" => json!({ "token_url": "https://auth.example/token", "client_id": "agent" }),
        "refresh" => json!({
            "token_url": "https://auth.example/token", "client_id": "agent", "auth": "none",
            "store": "/var/lib/agent/rt"
        }),
        "token_file" => json!({ "path": "/var/run/secrets/token" }),
        _ => unreachable!(),
    };
    service["kind"] = kind.into();
    service["origin"] = "https://billing.example".into();
    service
}

const KINDS: [&str; 6] = ["api_key", "client_credentials", "json_login", "mtls", "refresh", "token_file"];

fn with(kind: &str, member: &str, value: impl Into<Value>) -> Value {
    let mut service = valid(kind);
    service[member] = value.into();
    service
}

fn without(kind: &str, member: &str) -> Value {
    let mut service = valid(kind);
    service.as_object_mut().unwrap().remove(member);
    service
}

/// The error of a service, which names the member.
fn refused(service: &Value, member: &str) -> String {
    let error = parse(service).unwrap_err().to_string();
    assert!(error.contains(&format!("`staging.billing.{member}`")), "{error}");
    error
}

#[test]
fn each_kind_is_accepted_in_any_environment() {
    for kind in KINDS {
        let config = parse(&valid(kind)).unwrap();
        assert!(config.environments().eq(["staging"]), "{kind}");
    }
    let all = json!({ "production": { "a": valid("mtls") }, "development": { "a": valid("api_key") }, "empty": {} });
    let config = read(all).unwrap();
    assert!(config.environments().eq(["development", "empty", "production"]));
}

#[test]
fn a_member_that_would_contain_a_secret_is_refused_by_its_name_and_not_printed() {
    for member in ["api_key", "client_secret", "secret", "password", "token", "private_key", "agent-secret", "key"] {
        for kind in KINDS {
            for value in [json!("0123456789abcdef"), json!(1_234_567_890_u64), json!(["0123456789abcdef"])] {
                let error = refused(&with(kind, member, value), member);
                assert!(error.contains("names of secrets and never their values"), "{error}");
                assert!(!error.contains("123456789"), "{error}");
            }
        }
    }
}

#[test]
fn a_value_in_the_place_of_a_name_is_refused_and_not_printed() {
    let pem = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMG";
    for value in
        ["sk_live_0123456789", "eyJhbGciOiJIUzI1NiJ9.e30.c2ln", "ghp_0123456789", "hvs.0123456789", "two words", pem]
    {
        let error = refused(&with("api_key", "key_name", value), "key_name");
        assert!(!error.contains(value) && !error.contains("0123456789"), "{error}");
        refused(&with("client_credentials", "secret_name", value), "secret_name");
        refused(&with("json_login", "secret_names", json!({ "agent_secret": value })), "secret_names.agent_secret");
    }
}

#[test]
fn a_secret_among_the_plain_members_of_a_login_is_refused() {
    let service = with("json_login", "fields", json!({ "agent_id": "a", "agent_secret": "0123456789abcdef" }));
    assert!(!refused(&service, "fields.agent_secret").contains("0123456789"));
    assert!(parse(&with("json_login", "fields", json!({ "agent_id": "agent-7" }))).is_ok());
}

#[test]
fn an_unknown_member_is_refused_with_the_known_ones() {
    let error = refused(&with("api_key", "orgin", "https://billing.example"), "orgin");
    assert!(error.contains("key_name") && error.contains("origin"), "{error}");
    refused(&with("api_key", "token_url", "https://auth.example/token"), "token_url");
    refused(&with("mtls", "secret_name", "billing"), "secret_name");
    refused(&with("token_file", "scopes", "a"), "scopes");
}

#[test]
fn a_key_has_a_field_or_a_scheme_of_its_own_and_not_both() {
    assert!(parse(&with("api_key", "scheme", "SSWS")).is_ok());
    refused(&with("api_key", "scheme", "ApiKey sk"), "scheme");
    let mut both = with("api_key", "field", "x-api-key");
    both["scheme"] = "ApiKey".into();
    refused(&both, "scheme");
}

#[test]
fn an_unknown_kind_or_method_is_refused_with_the_known_ones() {
    let error = refused(&with("api_key", "kind", "oauth-s3cret"), "kind");
    assert!(error.contains("client_credentials") && !error.contains("s3cret"), "{error}");
    assert!(refused(&with("client_credentials", "auth", "digest"), "auth").contains("private_key_jwt"));
    refused(&without("api_key", "kind"), "kind");
}

#[test]
fn a_member_that_is_missing_is_named() {
    for (kind, member) in [
        ("api_key", "origin"),
        ("api_key", "key_name"),
        ("client_credentials", "token_url"),
        ("client_credentials", "client_id"),
        ("client_credentials", "secret_name"),
        ("json_login", "login_url"),
        ("mtls", "client_id"),
        ("refresh", "store"),
        ("token_file", "path"),
    ] {
        assert!(refused(&without(kind, member), member).contains("missing"), "{kind} {member}");
    }
}

#[test]
fn a_member_of_another_method_is_refused() {
    let post = with("client_credentials", "auth", "post");
    assert!(parse(&post).is_ok());
    refused(&with("client_credentials", "auth", "none"), "secret_name");
    let mut jwt = with("client_credentials", "auth", "private_key_jwt");
    jwt["private_key_name"] = "billing.pem".into();
    jwt["issuer"] = "https://auth.example".into();
    refused(&jwt, "secret_name");
    jwt.as_object_mut().unwrap().remove("secret_name");
    assert!(parse(&jwt).is_ok());
    jwt["algorithm"] = "HS256".into();
    refused(&jwt, "algorithm");
}

#[test]
fn a_refresh_token_that_would_be_bound_to_a_key_of_one_process_is_refused() {
    refused(&with("refresh", "dpop", true), "dpop");
    let mut confidential = with("refresh", "dpop", true);
    confidential["auth"] = "post".into();
    confidential["secret_name"] = "billing".into();
    assert!(parse(&confidential).is_ok());
}

#[test]
fn a_url_that_is_not_secure_is_refused_and_not_printed() {
    for url in ["http://auth.example/token", "https://user:hunter2@auth.example", "auth.example", ""] {
        for (kind, member) in [("client_credentials", "token_url"), ("json_login", "login_url"), ("api_key", "origin")]
        {
            let error = refused(&with(kind, member, url), member);
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
    refused(&with("api_key", "origin", "https://billing.example/path"), "origin");
    assert!(parse(&with("api_key", "origin", "http://127.0.0.1:8080")).is_ok());
}

#[test]
fn a_member_of_the_wrong_type_is_refused_and_not_printed() {
    for (kind, member) in [("api_key", "key_name"), ("api_key", "field"), ("mtls", "dpop"), ("mtls", "scopes")] {
        for value in [json!(987_654_321), json!({ "a": 987_654_321 }), json!([[987_654_321]]), json!(null), json!(1.5)]
        {
            let error = refused(&with(kind, member, value), member);
            assert!(!error.contains("987654321"), "{error}");
        }
    }
    refused(&with("api_key", "field", "x api key"), "field");
    assert!(parse(&with("mtls", "dpop", "true")).is_ok(), "a format without flags, such as environment variables");
    refused(&with("mtls", "dpop", "yes"), "dpop");
    refused(&with("mtls", "scopes", "a \"b\""), "scopes");
    for scopes in [json!("read write"), json!(["read", "write"]), json!([])] {
        assert!(parse(&with("mtls", "scopes", scopes)).is_ok());
    }
    for document in [json!("s3cret"), json!(["s3cret"]), json!(null), json!({ "a": "s3cret" })] {
        let error = read(document).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cret"));
    }
}

#[test]
fn a_rotation_has_a_day_and_a_period() {
    let rotation = |created: Value, days: Value| {
        let mut service = valid("api_key");
        service["created"] = created;
        service["rotate_after_days"] = days;
        service
    };
    assert!(parse(&rotation("2026-11-01".into(), 90.into())).is_ok());
    assert!(parse(&rotation("2026-11-01".into(), "90".into())).is_ok());
    for created in ["2026-11-31", "2026-11", "01.11.2026", "tomorrow"] {
        refused(&rotation(created.into(), 90.into()), "created");
    }
    for days in [json!(0), json!(-1), json!(1.5), json!("many")] {
        refused(&rotation("2026-11-01".into(), days), "rotate_after_days");
    }
    refused(&with("api_key", "created", "2026-11-01"), "rotate_after_days");
    refused(&with("api_key", "rotate_after_days", 90), "created");
}

#[test]
fn refreshing_of_a_login_needs_a_url() {
    refused(&with("json_login", "store", "/var/lib/agent/rt"), "refresh_url");
    refused(&with("json_login", "refresh_member", "refresh"), "refresh_url");
    refused(&with("json_login", "refresh_token_member", "refresh"), "refresh_url");
    let mut service = with("json_login", "refresh_url", "https://api.example/refresh");
    service["store"] = "/var/lib/agent/rt".into();
    assert!(parse(&service).is_ok());
}

#[test]
fn names_of_environments_and_services_are_words_that_occur_once() {
    let long = "a".repeat(65);
    for name in ["", "two words", "a.b", "a\nb", long.as_str()] {
        assert!(read(json!({ name: {} })).is_err(), "{name:?}");
        assert!(read(json!({ "a": { name: valid("api_key") } })).is_err());
    }
    for (document, path) in
        [(r#"{"a":{},"a":{}}"#, "`a`"), (r#"{"a":{"b":{"kind":"mtls","kind":"mtls"}}}"#, "`a.b.kind`")]
    {
        let error = serde_json::from_str::<CredentialsConfig>(document).unwrap().check().unwrap_err().to_string();
        assert!(error.contains(path) && error.contains("once"), "{error}");
    }
}

#[test]
fn every_environment_is_checked() {
    let config =
        json!({ "development": { "a": valid("api_key") }, "production": { "a": without("mtls", "client_id") } });
    let config: CredentialsConfig = serde_json::from_value(config).unwrap();
    let error = Credentials::builder(&config, "development", EnvironmentSecrets::new()).unwrap_err();
    assert_eq!(error.kind(), CredentialsErrorKind::Config);
    assert!(error.to_string().contains("`production.a.client_id`"), "{error}");
}

const TOML: &str = r#"
[development.billing]
kind = "api_key"
origin = "http://127.0.0.1:8080"
key_name = "BILLING_API_KEY"
field = "x-api-key"
created = "2026-11-01"
rotate_after_days = 90

[production.billing]
kind = "mtls"
origin = "https://billing.example.com"
token_url = "https://auth.example.com/token"
client_id = "agent"
scopes = ["billing:read", "billing:write"]
dpop = true
"#;

#[test]
fn a_configuration_is_read_from_toml() {
    let config: CredentialsConfig = toml::from_str(TOML).unwrap();
    config.check().unwrap();
    assert!(config.environments().eq(["development", "production"]));
}

#[test]
fn an_error_does_not_quote_the_line_of_a_value_in_toml() {
    for (line, misplaced) in [
        ("key_name = \"BILLING_API_KEY\"", "api_key = \"0123456789abcdef\""),
        ("key_name = \"BILLING_API_KEY\"", "key_name = \"sk_live_0123456789abcdef\""),
        ("dpop = true", "dpop = \"0123456789abcdef\""),
        ("rotate_after_days = 90", "rotate_after_days = -123456789"),
    ] {
        // Errors of the format would print the line, or the whole text.
        let config: CredentialsConfig = toml::from_str(&TOML.replace(line, misplaced)).unwrap();
        let error = config.check().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("123456789"), "{error}");
    }
}

#[test]
fn a_number_of_any_length_is_not_quoted() {
    use serde::{
        Deserialize,
        de::value::{Error, MapDeserializer},
    };

    let digits = 340_282_366_920_938_463_463_u128;
    let map = MapDeserializer::<_, Error>::new([("staging", digits)].into_iter());
    let error = CredentialsConfig::deserialize(map).unwrap().check().unwrap_err();
    assert!(!format!("{error} {error:?}").contains("340282"), "{error}");
}
