//! `WWW-Authenticate` of a hostile API: what is read of it is read again from what it means.

use http::{HeaderMap, HeaderValue, header};
use tower_warden_client::challenge::ReceivedChallenge;

/// Each line of the input is a field line. Returns whether it contains a challenge.
pub fn run(input: &[u8]) -> bool {
    let lines = input.split(|byte| *byte == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok());
    let challenges = read(lines);
    for challenge in &challenges {
        if let Some(scopes) = challenge.scopes() {
            assert!(!scopes.is_empty());
        }
        assert!(challenge.is(&challenge.scheme().to_ascii_uppercase()));
    }
    let written = challenges.iter().map(write).collect::<Vec<_>>().join(", ");
    assert_eq!(read([HeaderValue::try_from(written).expect("a field value")]), challenges);
    assert_eq!(
        read(challenges.iter().map(|challenge| HeaderValue::try_from(write(challenge)).expect("one"))),
        challenges
    );
    !challenges.is_empty()
}

fn read(lines: impl IntoIterator<Item = HeaderValue>) -> Vec<ReceivedChallenge> {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(header::WWW_AUTHENTICATE, line);
    }
    ReceivedChallenge::all(&headers)
}

fn write(challenge: &ReceivedChallenge) -> String {
    let quoted = |value: &str| value.replace('\\', r"\\").replace('"', "\\\"");
    let parameters = challenge.parameters().map(|(name, value)| format!("{name}=\"{}\"", quoted(value)));
    let parameters = challenge.token68().map(str::to_owned).into_iter().chain(parameters);
    format!("{} {}", challenge.scheme(), parameters.collect::<Vec<_>>().join(", ")).trim_end().to_owned()
}
