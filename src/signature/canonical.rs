//! A single signature in the form in which nearly all clients send it, read without a tree of structured fields.
//!
//! The form is the canonical one (RFC 9651 §4.1): one space between components, texts without escapes, numbers without leading
//! zeros, no value of a flag, and parameters that RFC 9421 §2.3 defines, each at most once. What is written so is serialized to
//! the same bytes, so the value of `@signature-params` is a part of the field. Everything else is not read here, also where it is
//! valid or an error: [`input::read`](super::input::read) then parses the fields by the rules of RFC 9651.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName};

use super::{
    component::{Component, ComponentParameters},
    input::{ClaimedSignature, MAX_COMPONENTS, MAX_LENGTH, MAX_TEXT, Parameters, SIGNATURE, SIGNATURE_INPUT},
};
use crate::time::UnixTime;

/// Reads the only signature of a message; `None` if it has another form.
pub(super) fn read(headers: &HeaderMap) -> Option<ClaimedSignature<'_>> {
    let mut input = Scanner(only_line(headers, &SIGNATURE_INPUT)?);
    let mut signature = Scanner(only_line(headers, &SIGNATURE)?);
    let label = input.key()?;
    if signature.key()? != label {
        return None;
    }
    input.expect('=')?;
    signature.expect('=')?;
    let signature = STANDARD.decode(signature.0.strip_prefix(':')?.strip_suffix(':')?).ok()?;
    let parameters_text = input.0;
    let components = input.components()?;
    let parameters = input.signature_parameters()?;
    Some(ClaimedSignature { components, parameters, parameters_text: parameters_text.into(), signature })
}

/// The value of a field that has one line, of a length that is allowed.
fn only_line<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut lines = headers.get_all(name).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return None };
    // Visible ASCII, spaces and tabs. The length includes the comma of a line, as that of several lines does.
    line.to_str().ok().filter(|line| line.len() + ", ".len() <= MAX_LENGTH)
}

/// The rest of a text.
struct Scanner<'a>(&'a str);

impl<'a> Scanner<'a> {
    /// Takes a character that must be next.
    fn expect(&mut self, next: char) -> Option<()> {
        self.0 = self.0.strip_prefix(next)?;
        Some(())
    }

    /// Takes a character if it is next.
    fn takes(&mut self, next: char) -> bool {
        self.expect(next).is_some()
    }

    /// Takes the bytes up to the first one that is not accepted.
    fn take_while(&mut self, accepts: impl Fn(u8) -> bool) -> &'a str {
        let end = self.0.bytes().position(|byte| !accepts(byte)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }

    /// A key (RFC 9651 §3.1.2).
    fn key(&mut self) -> Option<&'a str> {
        let is_inner = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'*');
        let key = self.take_while(is_inner);
        key.starts_with(|first: char| first.is_ascii_lowercase() || first == '*').then_some(key)
    }

    /// A string without escapes (RFC 9651 §3.3.3).
    fn text(&mut self) -> Option<&'a str> {
        self.expect('"')?;
        let text = self.take_while(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\'));
        self.expect('"')?;
        Some(text)
    }

    /// An integer that is not negative (RFC 9651 §3.3.1).
    fn number(&mut self) -> Option<u64> {
        let digits = self.take_while(|byte| byte.is_ascii_digit());
        let is_canonical = digits == "0" || !digits.starts_with('0');
        digits.parse().ok().filter(|_| is_canonical && digits.len() <= 15)
    }

    /// The inner list of components, each of which is there once.
    fn components(&mut self) -> Option<Vec<Component>> {
        self.expect('(')?;
        let mut components = Vec::with_capacity(4);
        while !self.takes(')') {
            if !components.is_empty() {
                self.expect(' ')?;
            }
            let component = self.component()?;
            if components.len() == MAX_COMPONENTS || components.contains(&component) {
                return None;
            }
            components.push(component);
        }
        Some(components)
    }

    fn component(&mut self) -> Option<Component> {
        let name = self.text()?;
        let (start, mut parameters) = (self.0, ComponentParameters::default());
        while self.takes(';') {
            let key = self.key()?;
            let value = if self.takes('=') { Some(self.text()?) } else { None };
            parameters.add(key, value)?;
        }
        Component::new(name, parameters, &start[..start.len() - self.0.len()])
    }

    /// The parameters of the signature, up to the end of the text.
    fn signature_parameters(&mut self) -> Option<Parameters> {
        let mut parameters = Parameters::default();
        while self.takes(';') {
            let name = self.key()?;
            self.expect('=')?;
            match name {
                "created" => self.time(&mut parameters.created)?,
                "expires" => self.time(&mut parameters.expires)?,
                "alg" => self.name(&mut parameters.algorithm)?,
                "keyid" => self.name(&mut parameters.key_id)?,
                "nonce" => self.name(&mut parameters.nonce)?,
                "tag" => self.name(&mut parameters.tag)?,
                _ => return None,
            }
        }
        self.0.is_empty().then_some(parameters).filter(Parameters::is_ordered)
    }

    /// A time that is there once.
    fn time(&mut self, place: &mut Option<UnixTime>) -> Option<()> {
        let time = UnixTime::from_secs(self.number()?);
        place.replace(time).is_none().then_some(())
    }

    /// A text that is there once.
    fn name(&mut self, place: &mut Option<Box<str>>) -> Option<()> {
        let text = self.text().filter(|text| text.len() <= MAX_TEXT)?;
        place.replace(text.into()).is_none().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::signature::input;

    const INPUTS: [&str; 8] = [
        r#"sig1=()"#,
        r#"sig1=("@method");created=1;expires=2;keyid="a b";alg="ed25519";nonce="";tag="t""#,
        r#"*=("@method" "@target-uri" "content-digest" "x-a");keyid="k1";created=1800000000"#,
        r#"s_-.*1=("content-digest";key="sha-256" "date";bs "priority";sf;req "@query-param";name="a b")"#,
        r#"sig1=("@authority";req "@path" "@query" "@scheme" "@request-target" "@status");created=0"#,
        r#"sig1=("a";sf;key="b");created=999999999999999;nonce="~ !""#,
        r#"sig1=("@authority" "signature-agent";key="sig1");created=1;keyid="x";expires=2;tag="web-bot-auth""#,
        r#"sig1=("b" "a" "c");created=5;keyid="\"\\";x=?1"#,
    ];

    fn fields(input: &[u8], signature: &str) -> Option<HeaderMap> {
        let mut headers = HeaderMap::new();
        headers.insert(SIGNATURE_INPUT, HeaderValue::from_bytes(input).ok()?);
        headers.insert(SIGNATURE, HeaderValue::from_str(signature).ok()?);
        Some(headers)
    }

    /// Everything that is read of a signature.
    fn shown(signature: &ClaimedSignature<'_>) -> String {
        let ClaimedSignature { components, parameters, parameters_text, signature } = signature;
        let kinds: Vec<_> = components.iter().map(|component| (&component.kind, component.is_of_request)).collect();
        let Parameters { algorithm, created, expires, key_id, nonce, tag } = parameters;
        let parameters = (algorithm, created, expires, key_id, nonce, tag);
        format!("{components:?} {kinds:?} {parameters:?} {parameters_text} {signature:?}")
    }

    /// Returns whether the short way reads the fields. If it does, the long one reads the same.
    fn is_read(input: &[u8], signature: &str) -> bool {
        let Some(headers) = fields(input, signature) else { return false };
        let Some(short) = read(&headers) else { return false };
        let Ok(long) = input::parsed(&headers) else { panic!("{input:?}") };
        let [Ok(long)] = &long[..] else { panic!("{input:?}") };
        assert_eq!(shown(&short), shown(long));
        true
    }

    #[test]
    fn signatures_in_the_canonical_form_are_read_as_by_the_parser_of_structured_fields() {
        for input in &INPUTS[..7] {
            let label = input.split('=').next().unwrap_or_default();
            assert!(is_read(input.as_bytes(), &format!("{label}=:AAAA:")), "{input}");
        }
    }

    #[test]
    fn other_forms_are_left_to_the_parser_of_structured_fields() {
        for input in [
            r#"sig1=( "@method")"#,
            r#"sig1=("@method" )"#,
            r#"sig1=("@method"  "@path")"#,
            r#"sig1=("@method");created=01"#,
            r#"sig1=("@method");created=-1"#,
            r#"sig1=("@method");created=1.0"#,
            r#"sig1=("@method");created=1000000000000000"#,
            r#"sig1=("@method"); created=1"#,
            r#"sig1=("@method");created=1;created=2"#,
            r#"sig1=("@method");created=2;expires=1"#,
            r#"sig1=("@method");keyid="a\"b""#,
            r#"sig1=("@method");keyid=token"#,
            r#"sig1=("@method");other"#,
            r#"sig1=("@method" "@method")"#,
            r#"sig1=("@unknown")"#,
            r#"sig1=("Date")"#,
            r#"sig1=("date";sf=?1)"#,
            r#"sig1=("date";sf;sf)"#,
            r#"sig1=("date";sf;bs)"#,
            r#"sig1=("date";tr)"#,
            r#"sig1=("@method"), sig2=("@method")"#,
            r#" sig1=("@method")"#,
            r#"sig1=("@method") "#,
            r#"sig1"#,
            r#"Sig1=("@method")"#,
            r#"sig2=("@method")"#,
        ] {
            assert!(!is_read(input.as_bytes(), "sig1=:AAAA:"), "{input}");
        }
        for signature in
            ["sig1=:AAAA", "sig1=AAAA", "sig1=:AAA:", "sig1=:AB==:", "sig1=:AAAA:;a", "sig1=:AAAA:, a=:AAAA:"]
        {
            assert!(!is_read(INPUTS[1].as_bytes(), signature), "{signature}");
        }
        let long = format!(r#"sig1=("@method");keyid="{}""#, "a".repeat(MAX_TEXT + 1));
        assert!(!is_read(long.as_bytes(), "sig1=:AAAA:"));
    }

    /// Each byte of each text is replaced by each of the bytes that have a meaning, removed, and doubled.
    #[test]
    fn no_change_of_a_byte_makes_the_two_ways_read_different_signatures() {
        const BYTES: &[u8] = b" \t\"\\()=;:,?*-_.09azAZ@\x7f\xff";
        let mut count = 0;
        for input in INPUTS {
            for place in 0..input.len() {
                let (before, after) = (&input.as_bytes()[..place], &input.as_bytes()[place + 1..]);
                let replaced = BYTES.iter().map(|byte| [before, &[*byte], after].concat());
                let inserted = BYTES.iter().map(|byte| [before, &[*byte], &input.as_bytes()[place..]].concat());
                for changed in replaced.chain(inserted).chain([[before, after].concat()]) {
                    count += usize::from(is_read(&changed, "sig1=:AAAA:"));
                }
            }
        }
        assert!(count > 1_000, "{count} were read");
    }
}
