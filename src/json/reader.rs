//! The parser of texts of which a part is checked, but not built.

use std::{borrow::Cow, collections::HashSet};

use super::{InvalidJson, Json, LINEAR_SEARCH_LIMIT, MAX_DEPTH, Object, SERDE_PRIVATE};

type Result<T> = std::result::Result<T, InvalidJson>;

/// The length of numbers up to which one without an exponent is finite as an `f64`.
const FINITE_LENGTH: usize = 300;

/// Reads a text from its beginning to its end, each byte once ([RFC 8259](https://www.rfc-editor.org/rfc/rfc8259)).
///
/// It does not use serde_json, which passes on strings that it has copied, and members that have no name in the text: what is
/// only checked allocates nothing but the list of member names.
pub(super) struct Reader<'a> {
    /// The name of members whose values remain text.
    raw: &'static str,
    text: &'a str,
    /// The number of bytes that were read.
    place: usize,
    /// The levels that may be nested in the value.
    depth: u8,
    /// The names of the objects around the value and of those before it, which are one after the other: a name is compared with
    /// those of its own object.
    names: Vec<Cow<'a, str>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a [u8], raw: &'static str) -> Result<Self> {
        let text = std::str::from_utf8(text).map_err(|_| InvalidJson)?;
        Ok(Self { raw, text, place: 0, depth: MAX_DEPTH, names: Vec::with_capacity(16) })
    }

    /// Reads the whole text, which is one value.
    pub(super) fn document(mut self) -> Result<Json<'a>> {
        let value = self.value()?;
        if self.peek().is_some() { Err(InvalidJson) } else { Ok(value) }
    }

    /// Reads a value.
    fn value(&mut self) -> Result<Json<'a>> {
        match self.peek() {
            Some(b'{') => {
                let mut members = Vec::new();
                self.object(|reader| {
                    let name = reader.names.last().cloned().expect("an object adds the name before the value");
                    let value = if name == reader.raw { reader.unread()? } else { reader.value()? };
                    members.push((name, value));
                    Ok(())
                })?;
                Ok(Json::Object(Object(members)))
            }
            Some(b'[') => {
                let mut items = Vec::new();
                self.array(|reader| {
                    items.push(reader.value()?);
                    Ok(())
                })?;
                Ok(Json::Array(items))
            }
            Some(b'"') => self.string().map(Json::String),
            Some(b't') => self.word("true").map(|()| Json::Bool(true)),
            Some(b'f') => self.word("false").map(|()| Json::Bool(false)),
            Some(b'n') => self.word("null").map(|()| Json::Null),
            _ => self.number()?.parse().map(Json::Number).map_err(|_| InvalidJson),
        }
    }

    /// Checks a value, and returns the string of its JSON text.
    fn unread(&mut self) -> Result<Json<'a>> {
        self.peek();
        let start = self.place;
        self.check()?;
        Ok(Json::String(Cow::Borrowed(&self.text[start..self.place])))
    }

    /// Checks a value.
    fn check(&mut self) -> Result<()> {
        match self.peek() {
            Some(b'{') => self.object(Self::check),
            Some(b'[') => self.array(Self::check),
            Some(b'"') => self.quoted().map(drop),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => self.number().map(drop),
        }
    }

    /// Reads an object, of which `value` reads the values: no duplicate names, and none that is private to serde_json.
    fn object(&mut self, mut value: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        let (first, mut many) = (self.names.len(), None::<HashSet<_>>);
        self.items(b'}', |reader| {
            reader.peek();
            let name = reader.string()?;
            let own = &reader.names[first..];
            let is_duplicate = if own.len() < LINEAR_SEARCH_LIMIT {
                own.contains(&name)
            } else {
                !many.get_or_insert_with(|| own.iter().cloned().collect()).insert(name.clone())
            };
            if is_duplicate || name.starts_with(SERDE_PRIVATE) || reader.peek() != Some(b':') {
                return Err(InvalidJson);
            }
            reader.place += 1;
            reader.names.push(name);
            value(reader)
        })?;
        self.names.truncate(first);
        Ok(())
    }

    fn array(&mut self, item: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        self.items(b']', item)
    }

    /// Reads an opening bracket, what is between commas, and the closing bracket.
    fn items(&mut self, end: u8, mut item: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        self.depth = self.depth.checked_sub(1).ok_or(InvalidJson)?;
        self.place += 1;
        let mut next = self.peek();
        if next != Some(end) {
            loop {
                item(self)?;
                next = self.peek();
                if next != Some(b',') {
                    break;
                }
                self.place += 1;
            }
        }
        self.place += 1;
        self.depth += 1;
        if next == Some(end) { Ok(()) } else { Err(InvalidJson) }
    }

    /// Reads a string.
    #[inline(always)] // With `quoted`, a sixth of the time of a message.
    fn string(&mut self) -> Result<Cow<'a, str>> {
        let start = self.place;
        let has_escapes = self.quoted()?;
        if has_escapes {
            return serde_json::from_str(&self.text[start..self.place]).map(Cow::Owned).map_err(|_| InvalidJson);
        }
        Ok(Cow::Borrowed(&self.text[start + 1..self.place - 1]))
    }

    /// Checks a string, and returns whether it has escapes.
    #[inline(always)]
    fn quoted(&mut self) -> Result<bool> {
        if self.byte()? != b'"' {
            return Err(InvalidJson);
        }
        let mut has_escapes = false;
        loop {
            self.place += plain_length(self.rest());
            match self.byte()? {
                b'"' => return Ok(has_escapes),
                b'\\' => self.escape()?,
                _ => return Err(InvalidJson),
            }
            has_escapes = true;
        }
    }

    /// Reads an escape after its backslash. Surrogates are in pairs.
    fn escape(&mut self) -> Result<()> {
        match self.byte()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
            b'u' => match self.code_unit()? {
                0xd800..=0xdbff => {
                    let is_pair = self.byte()? == b'\\' && self.byte()? == b'u';
                    if is_pair && matches!(self.code_unit()?, 0xdc00..=0xdfff) { Ok(()) } else { Err(InvalidJson) }
                }
                0xdc00..=0xdfff => Err(InvalidJson),
                _ => Ok(()),
            },
            _ => Err(InvalidJson),
        }
    }

    /// Reads four hexadecimal digits.
    fn code_unit(&mut self) -> Result<u32> {
        (0..4).try_fold(0, |unit, _| {
            let digit = char::from(self.byte()?).to_digit(16).ok_or(InvalidJson)?;
            Ok((unit << 4) | digit)
        })
    }

    /// Reads a number, which is finite as an `f64`.
    fn number(&mut self) -> Result<&'a str> {
        let start = self.place;
        self.skip(b'-');
        let has_leading_zero = self.next() == Some(b'0');
        match self.digits() {
            0 => return Err(InvalidJson),
            1 => {}
            _ if has_leading_zero => return Err(InvalidJson),
            _ => {}
        }
        if self.skip(b'.') && self.digits() == 0 {
            return Err(InvalidJson);
        }
        let has_exponent = self.skip(b'e') || self.skip(b'E');
        if has_exponent {
            let _ = self.skip(b'+') || self.skip(b'-');
            if self.digits() == 0 {
                return Err(InvalidJson);
            }
        }
        let text = &self.text[start..self.place];
        let may_overflow = has_exponent || text.len() > FINITE_LENGTH;
        if may_overflow && !text.parse::<f64>().is_ok_and(f64::is_finite) { Err(InvalidJson) } else { Ok(text) }
    }

    /// Reads digits, and returns their number.
    fn digits(&mut self) -> usize {
        let is_digit = |byte: &&u8| byte.is_ascii_digit();
        let count = self.rest().iter().take_while(is_digit).count();
        self.place += count;
        count
    }

    fn word(&mut self, word: &str) -> Result<()> {
        let is_next = self.rest().starts_with(word.as_bytes());
        self.place += word.len();
        if is_next { Ok(()) } else { Err(InvalidJson) }
    }

    /// The next byte that is no white space. It is not read.
    fn peek(&mut self) -> Option<u8> {
        loop {
            let next = self.next();
            if !matches!(next, Some(b' ' | b'\n' | b'\r' | b'\t')) {
                return next;
            }
            self.place += 1;
        }
    }

    /// Reads the next byte.
    fn byte(&mut self) -> Result<u8> {
        let byte = self.next().ok_or(InvalidJson)?;
        self.place += 1;
        Ok(byte)
    }

    /// Reads the next byte if it is this one, and returns whether it is.
    fn skip(&mut self, byte: u8) -> bool {
        let is_next = self.next() == Some(byte);
        self.place += usize::from(is_next);
        is_next
    }

    /// The next byte. It is not read.
    fn next(&self) -> Option<u8> {
        self.text.as_bytes().get(self.place).copied()
    }

    /// The bytes that are not read yet.
    fn rest(&self) -> &'a [u8] {
        &self.text.as_bytes()[self.place..]
    }
}

/// The number of bytes of a string before the first that is a quote, a backslash or a control character.
fn plain_length(text: &[u8]) -> usize {
    const EACH: u64 = u64::MAX / 0xff;
    let (words, rest) = text.as_chunks();
    // The highest bits of the bytes that are less than a limit up to 0x80. Above the first, there may be too many.
    let less = |word: u64, limit: u8| word.wrapping_sub(EACH * u64::from(limit)) & !word & (EACH << 7);
    // With this bit inverted, a quote is the byte after the control characters, and they are still the first ones.
    let ends = |word: u64| less(word ^ (EACH * 2), b' ' + 1);
    let escapes = |word: u64| less(word ^ (EACH * u64::from(b'\\')), 1);
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let special = ends(word) | escapes(word);
        if special != 0 {
            return index * 8 + special.trailing_zeros() as usize / 8;
        }
    }
    let is_plain = |byte: &&u8| !matches!(byte, b'"' | b'\\' | 0..b' ');
    words.len() * 8 + rest.iter().take_while(is_plain).count()
}
