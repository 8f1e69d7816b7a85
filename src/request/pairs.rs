//! Fields of proxies that are lists of elements with pairs: `Forwarded` (RFC 7239 §4), and `X-Forwarded-Client-Cert`.
//!
//! A client chooses the beginning of such a field, and proxies append elements, of which the client may choose parts. The
//! whole field therefore has to match a grammar in which a quote is never inside of a bare value or next to other
//! characters: otherwise a client could open a quote that a quote of the proxy closes, and so hide the proxy's element.
//!
//! ```text
//! field   = element *( "," OWS element )
//! element = pair *( ";" OWS pair )
//! pair    = name "=" ( DQUOTE *( any except DQUOTE and "\" / "\" any ) DQUOTE / *( any except DQUOTE, ";" and "," ) )
//! ```

/// A name and its value.
pub(crate) struct Pair<'a> {
    name: &'a str,
    #[cfg_attr(not(feature = "certificate"), allow(dead_code, reason = "addresses are read in both forms"))]
    pub(crate) quoting: Quoting,
    /// Without the quotes, escapes included.
    pub(crate) value: &'a str,
}

#[derive(Clone, Copy)]
pub(crate) enum Quoting {
    Bare,
    Quoted,
}

impl<'a> Pair<'a> {
    /// Parses the pair at the beginning, and returns it with the text that follows.
    fn parse(text: &'a str) -> Option<(Self, &'a str)> {
        let (name, text) = text.split_once('=')?;
        let is_name =
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        let (quoting, value, rest) = match text.strip_prefix('"') {
            Some(text) => {
                let end = closing_quote(text)?;
                (Quoting::Quoted, &text[..end], &text[end + 1..])
            }
            None => {
                let (value, rest) = text.split_at(text.find([';', ',']).unwrap_or(text.len()));
                (Quoting::Bare, value, rest)
            }
        };
        let is_ambiguous = matches!(quoting, Quoting::Bare) && value.contains('"');
        (is_name && !is_ambiguous).then_some((Self { name, quoting, value }, rest))
    }

    /// Compares the name without regard to case.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The value, unless it has an escape: what is read from such a field needs none.
    pub(crate) fn plain(&self) -> Option<&'a str> {
        (!self.value.contains('\\')).then_some(self.value)
    }
}

/// Parses the whole field; `None` if it is malformed.
pub(crate) fn elements(text: &str) -> Option<Vec<Vec<Pair<'_>>>> {
    let (mut elements, mut element, mut rest) = (Vec::new(), Vec::new(), text);
    loop {
        let (pair, following) = Pair::parse(rest)?;
        element.push(pair);
        let Some(separator) = following.bytes().next() else {
            elements.push(element);
            return Some(elements);
        };
        match separator {
            b';' => {}
            b',' => elements.push(std::mem::take(&mut element)),
            _ => return None,
        }
        rest = following[1..].trim_start_matches([' ', '\t']);
    }
}

/// The position of the first quote that is not escaped.
fn closing_quote(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.bytes().position(|byte| {
        let closes = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        closes
    })
}
