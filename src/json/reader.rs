//! The parser of texts of which a part is checked, but not built.

use std::{borrow::Cow, mem};

use serde_json::Number;

use super::{
    InvalidJson, Json, MAX_DEPTH, Object,
    names::Names,
    syntax::{StringEnd, after_number, after_string, after_value, after_word, next},
};

/// The number of values that are built of a text.
const MAX_VALUES: usize = 4_096;

type Result<T> = std::result::Result<T, InvalidJson>;

/// Reads a text from its beginning to its end ([RFC 8259](https://www.rfc-editor.org/rfc/rfc8259)).
///
/// It does not use serde_json, which passes on strings that it has copied, and members that have no name in the text: what is
/// only checked allocates nothing but the list of member names.
pub(super) struct Reader<'a> {
    /// The names of members whose objects and arrays are built.
    built: &'static [&'static str],
    /// The number of values that may still be built.
    left: usize,
    /// The name of members whose values remain text.
    raw: &'static str,
    text: &'a str,
    /// The number of bytes that were read.
    place: usize,
    names: Names<'a>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a [u8], raw: &'static str, built: &'static [&'static str]) -> Result<Self> {
        let text = std::str::from_utf8(text).map_err(|_| InvalidJson)?;
        Ok(Self { built, left: MAX_VALUES, raw, text, place: 0, names: Names::new() })
    }

    /// Reads the whole text, which is one value.
    pub(super) fn document(mut self) -> Result<Json<'a>> {
        let value = self.value(MAX_DEPTH, |_| true)?;
        if next(self.text.as_bytes(), self.place).is_some() { Err(InvalidJson) } else { Ok(value) }
    }

    /// Reads a value, in which `depth` levels may be nested. An object or array that is not built is null.
    fn value(&mut self, depth: u8, is_built: impl Fn(&Self) -> bool) -> Result<Json<'a>> {
        self.left = self.left.checked_sub(1).ok_or(InvalidJson)?;
        let inner = || depth.checked_sub(1).ok_or(InvalidJson);
        match self.next()? {
            b'{' | b'[' if !is_built(self) => self.unread(depth).map(|_| Json::Null),
            b'"' => self.string_end().and_then(|end| self.string(end)).map(Json::String),
            b'{' => self.object(inner()?).map(Json::Object),
            b'[' => self.array(inner()?).map(Json::Array),
            b't' => self.read(after_word(b"true")).map(|_| Json::Bool(true)),
            b'f' => self.read(after_word(b"false")).map(|_| Json::Bool(false)),
            b'n' => self.read(after_word(b"null")).map(|_| Json::Null),
            _ => self.read(after_number).and_then(number).map(Json::Number),
        }
    }

    fn object(&mut self, depth: u8) -> Result<Object<'a>> {
        let (outer, mut members) = (self.names.count(), Vec::new());
        self.place += 1;
        if self.next()? == b'}' {
            self.place += 1;
            return Ok(Object(members));
        }
        loop {
            if self.next()? != b'"' {
                return Err(InvalidJson);
            }
            let (start, end) = (self.place, self.string_end()?);
            self.names.add(&self.text.as_bytes()[start..end.place()], end).ok_or(InvalidJson)?;
            let name = self.string(end)?;
            if self.next()? != b':' {
                return Err(InvalidJson);
            }
            self.place += 1;
            let value = if name == self.raw {
                self.unread(depth).map(|text| Json::String(Cow::Borrowed(text)))?
            } else {
                self.value(depth, |reader| reader.built.contains(&&*name))?
            };
            members.push((name, value));
            let byte = self.next()?;
            self.place += 1;
            match byte {
                b',' => {}
                b'}' => break,
                _ => return Err(InvalidJson),
            }
        }
        self.names.end_object(outer).ok_or(InvalidJson)?;
        Ok(Object(members))
    }

    fn array(&mut self, depth: u8) -> Result<Vec<Json<'a>>> {
        let (is_outermost, mut items) = (depth + 1 == MAX_DEPTH, Vec::new());
        self.place += 1;
        if self.next()? == b']' {
            self.place += 1;
            return Ok(items);
        }
        loop {
            items.push(self.value(depth, |_| is_outermost)?);
            let byte = self.next()?;
            self.place += 1;
            match byte {
                b',' => {}
                b']' => return Ok(items),
                _ => return Err(InvalidJson),
            }
        }
    }

    /// The end of the string whose opening quote is next.
    #[inline(always)]
    fn string_end(&self) -> Result<StringEnd> {
        after_string(self.text.as_bytes(), self.place + 1).ok_or(InvalidJson)
    }

    /// Reads the string that ends there.
    fn string(&mut self, end: StringEnd) -> Result<Cow<'a, str>> {
        let start = mem::replace(&mut self.place, end.place());
        match end {
            StringEnd::Escaped(end) => {
                serde_json::from_str(&self.text[start..end]).map(Cow::Owned).map_err(|_| InvalidJson)
            }
            StringEnd::Plain(end) => Ok(Cow::Borrowed(&self.text[start + 1..end - 1])),
        }
    }

    /// Checks a value, and returns its JSON text.
    fn unread(&mut self, depth: u8) -> Result<&'a str> {
        self.next()?;
        let start = self.place;
        self.place = after_value(self.text.as_bytes(), start, depth, &mut self.names).ok_or(InvalidJson)?;
        Ok(&self.text[start..self.place])
    }

    /// Reads as far as a function of the text and the place returns.
    fn read(&mut self, after: impl Fn(&[u8], usize) -> Option<usize>) -> Result<&'a str> {
        let start = self.place;
        self.place = after(self.text.as_bytes(), start).ok_or(InvalidJson)?;
        Ok(&self.text[start..self.place])
    }

    /// Reads white space, and returns the byte after it, which is not read.
    #[inline(always)]
    fn next(&mut self) -> Result<u8> {
        let (byte, place) = next(self.text.as_bytes(), self.place).ok_or(InvalidJson)?;
        self.place = place;
        Ok(byte)
    }
}

fn number(text: &str) -> Result<Number> {
    // Most are ids.
    text.parse::<u64>().map(Number::from).or_else(|_| text.parse()).map_err(|_| InvalidJson)
}
