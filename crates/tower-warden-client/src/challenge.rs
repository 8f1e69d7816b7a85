//! Challenges of servers: the field `WWW-Authenticate`.

use http::{HeaderMap, header};
use tower_warden::scope::Scopes;

/// A challenge in a `WWW-Authenticate` field
/// ([RFC 9110 §11.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1)).
///
/// # Examples
///
/// ```
/// use http::{HeaderMap, header::WWW_AUTHENTICATE};
/// use tower_warden_client::challenge::ReceivedChallenge;
///
/// let mut headers = HeaderMap::new();
/// let value = r#"Negotiate abc==, DPoP algs="ES256", Bearer error="insufficient_scope", scope="a b""#;
/// headers.insert(WWW_AUTHENTICATE, value.parse()?);
///
/// let challenges = ReceivedChallenge::all(&headers);
/// let bearer = challenges.iter().find(|challenge| challenge.is("bearer")).expect("a challenge");
/// assert_eq!(bearer.parameter("Error"), Some("insufficient_scope"));
/// assert_eq!(bearer.scopes().expect("scopes").len(), 2);
///
/// headers.insert(WWW_AUTHENTICATE, "=nonsense".parse()?);
/// assert!(ReceivedChallenge::all(&headers).is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReceivedChallenge {
    /// Names in lower case.
    parameters: Vec<(String, String)>,
    scheme: String,
    token68: Option<String>,
}

impl ReceivedChallenge {
    /// The challenges of a response, in the order of the server, from all field lines.
    ///
    /// Of a line that is malformed, the challenges before the mistake are returned.
    #[must_use]
    pub fn all(headers: &HeaderMap) -> Vec<Self> {
        let mut challenges = Vec::new();
        for line in headers.get_all(header::WWW_AUTHENTICATE) {
            Parser::new(&String::from_utf8_lossy(line.as_bytes())).read_into(&mut challenges);
        }
        challenges
    }

    /// The name of the scheme, as the server has written it.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Returns whether the challenge is one of this scheme; case is ignored.
    #[must_use]
    pub fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    /// The value of a parameter; the case of its name is ignored. If it occurs twice, the first one is returned.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| &**value)
    }

    /// The parameters in the order of the server: names in lower case, and values.
    #[must_use]
    pub fn parameters(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.parameters.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The value that some schemes have in the place of parameters.
    #[must_use]
    pub fn token68(&self) -> Option<&str> {
        self.token68.as_deref()
    }

    /// The error code ([RFC 6750 §3](https://www.rfc-editor.org/rfc/rfc6750#section-3)).
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        self.parameter("error")
    }

    /// The scopes that are needed; `None` if there are none, or if the parameter is malformed.
    #[must_use]
    pub fn scopes(&self) -> Option<Scopes> {
        self.parameter("scope").and_then(|scope| Scopes::parse(scope).ok()).filter(|scopes| !scopes.is_empty())
    }
}

/// Reads a list of challenges, whose commas separate challenges and parameters alike.
struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    const fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    /// Adds the challenges up to the end of the line, or to the first mistake.
    fn read_into(mut self, challenges: &mut Vec<ReceivedChallenge>) {
        let first = challenges.len();
        let (mut is_start, mut follows_scheme) = (true, false);
        loop {
            let has_comma = self.skip_separators();
            let name = self.take(is_token);
            if name.is_empty() {
                return;
            }
            let after_name = self.rest;
            // A name before `=` is that of a parameter, any other one is that of a scheme.
            if self.skip_equals() {
                let Some(value) = self.value().filter(|_| has_comma || follows_scheme) else { return };
                let Some(challenge) = challenges[first..].last_mut() else { return };
                challenge.parameters.push((name.to_ascii_lowercase(), value));
                follows_scheme = false;
            } else {
                self.rest = after_name;
                if !(is_start || has_comma) || !(self.rest.is_empty() || self.rest.starts_with([' ', '\t', ','])) {
                    return;
                }
                let token68 = self.token68();
                follows_scheme = token68.is_none();
                challenges.push(ReceivedChallenge { parameters: Vec::new(), scheme: name.to_owned(), token68 });
            }
            is_start = false;
        }
    }

    /// Returns whether there was a comma.
    fn skip_separators(&mut self) -> bool {
        let rest = self.rest.trim_start_matches([' ', '\t', ',']);
        let skipped = &self.rest[..self.rest.len() - rest.len()];
        self.rest = rest;
        skipped.contains(',')
    }

    fn skip_equals(&mut self) -> bool {
        let Some(rest) = self.rest.trim_start_matches([' ', '\t']).strip_prefix('=') else { return false };
        self.rest = rest.trim_start_matches([' ', '\t']);
        true
    }

    /// `token68 = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`, up to a comma or the end.
    fn token68(&mut self) -> Option<String> {
        let start = self.rest.strip_prefix(' ')?.trim_start_matches([' ', '\t']);
        let length = start.find(|c: char| !is_token68(c)).unwrap_or(start.len());
        let padded = start[length..].trim_start_matches('=');
        let end = start.len() - padded.len();
        let rest = padded.trim_start_matches([' ', '\t']);
        if length == 0 || !(rest.is_empty() || rest.starts_with(',')) {
            return None;
        }
        self.rest = rest;
        Some(start[..end].to_owned())
    }

    /// A token or a quoted string; `None` if it is neither.
    fn value(&mut self) -> Option<String> {
        let Some(quoted) = self.rest.strip_prefix('"') else {
            let token = self.take(is_token);
            return (!token.is_empty()).then(|| token.to_owned());
        };
        let (mut text, mut is_escaped) = (String::new(), false);
        for (index, letter) in quoted.char_indices() {
            match letter {
                _ if is_escaped => {
                    text.push(letter);
                    is_escaped = false;
                }
                '\\' => is_escaped = true,
                '"' => {
                    self.rest = &quoted[index + 1..];
                    return Some(text);
                }
                _ => text.push(letter),
            }
        }
        None
    }

    fn take(&mut self, is_part: fn(char) -> bool) -> &'a str {
        let (taken, rest) = self.rest.split_at(self.rest.find(|c: char| !is_part(c)).unwrap_or(self.rest.len()));
        self.rest = rest;
        taken
    }
}

/// RFC 9110 §5.6.2.
const fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(c, '!' | '#' | '$' | '%' | '&' | '\'' | '*' | '+' | '-' | '.' | '^' | '_' | '`' | '|' | '~')
}

const fn is_token68(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~' | '+' | '/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::WWW_AUTHENTICATE, line.parse().expect("a field value"));
        }
        let show = |challenge: &ReceivedChallenge| {
            let parameters = challenge.parameters.iter().map(|(name, value)| format!("{name}={value}"));
            let token68 = challenge.token68.iter().cloned();
            [challenge.scheme.clone()].into_iter().chain(token68).chain(parameters).collect::<Vec<_>>().join("|")
        };
        ReceivedChallenge::all(&headers).iter().map(show).collect()
    }

    #[test]
    fn challenges_are_read_in_any_order_from_one_line_and_from_several() {
        let bearer = r#"Bearer realm="a, b", error="invalid_token""#;
        let dpop = r#"DPoP algs="ES256 PS256",error=use_dpop_nonce"#;
        let expected = ["Bearer|realm=a, b|error=invalid_token", "DPoP|algs=ES256 PS256|error=use_dpop_nonce"];
        assert_eq!(read(&[bearer, dpop]), expected);
        assert_eq!(read(&[&format!("{bearer}, {dpop}")]), expected);
        assert_eq!(read(&[&format!("{dpop} , ,{bearer}")]), [expected[1], expected[0]]);
        assert_eq!(
            read(&["Negotiate, NTLM TlRM==, Basic realm = \"x\""]),
            ["Negotiate", "NTLM|TlRM==", "Basic|realm=x"]
        );
    }

    #[test]
    fn quoted_strings_hide_commas_and_quotes() {
        let line = r#"Bearer realm="a\", DPoP error=\"use_dpop_nonce", error="x""#;
        assert_eq!(read(&[line]), [r#"Bearer|realm=a", DPoP error="use_dpop_nonce|error=x"#]);
    }

    #[test]
    fn what_follows_a_mistake_is_ignored() {
        assert_eq!(read(&[r#"Bearer realm="open, error="x""#]), ["Bearer|realm=open, error="]);
        assert_eq!(read(&[r#"Bearer realm="never closed"#]), ["Bearer"]);
        assert_eq!(read(&["=", "a=b", ",,", "Bearer error=", "Basic a b", "Digest\"x\""]), ["Bearer|error=", "Basic"]);
    }

    #[test]
    fn every_prefix_of_a_line_is_read_without_a_panic() {
        let line = r#"Negotiate abc==, DPoP algs="ES\"256", Bearer error = "x" , scope=a,Basic"#;
        for start in 0..line.len() {
            for end in start..line.len() {
                read(&[&line[start..end]]);
            }
        }
    }
}
