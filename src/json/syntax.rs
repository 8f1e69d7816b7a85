//! The syntax of JSON ([RFC 8259](https://www.rfc-editor.org/rfc/rfc8259)): the end of a value that begins at a place of a text.
//!
//! Texts are UTF-8. `None` stands for a text that is not JSON.

use super::names::Names;

/// The length of numbers up to which one without an exponent is finite as an `f64`.
const FINITE_LENGTH: usize = 300;

/// The bytes of long strings that are compared at once.
const BLOCK: usize = 32;

/// The place after the closing quote of a string.
#[derive(Clone, Copy)]
pub(super) enum StringEnd {
    /// The string has escapes.
    Escaped(usize),
    Plain(usize),
}

impl StringEnd {
    pub(super) const fn place(self) -> usize {
        match self {
            Self::Escaped(place) | Self::Plain(place) => place,
        }
    }
}

/// The place after a value, in which `depth` levels may be nested.
#[inline(always)]
pub(super) fn after_value<'a>(text: &'a [u8], place: usize, depth: u8, names: &mut Names<'a>) -> Option<usize> {
    let (first, place) = next(text, place)?;
    match first {
        b'"' => after_string(text, place + 1).map(StringEnd::place),
        b'{' => after_object(text, place + 1, depth.checked_sub(1)?, names),
        b'[' => after_array(text, place + 1, depth.checked_sub(1)?, names),
        b't' => after_word(b"true")(text, place),
        b'f' => after_word(b"false")(text, place),
        b'n' => after_word(b"null")(text, place),
        _ => after_number(text, place),
    }
}

fn after_object<'a>(text: &'a [u8], place: usize, depth: u8, names: &mut Names<'a>) -> Option<usize> {
    let outer = names.count();
    let (mut byte, mut place) = next(text, place)?;
    if byte == b'}' {
        return Some(place + 1);
    }
    loop {
        if byte != b'"' {
            return None;
        }
        let end = after_string(text, place + 1)?;
        names.add(&text[place..end.place()], end)?;
        (byte, place) = next(text, end.place())?;
        if byte != b':' {
            return None;
        }
        (byte, place) = next(text, after_value(text, place + 1, depth, names)?)?;
        if byte != b',' {
            break;
        }
        (byte, place) = next(text, place + 1)?;
    }
    names.end_object(outer)?;
    (byte == b'}').then_some(place + 1)
}

fn after_array<'a>(text: &'a [u8], place: usize, depth: u8, names: &mut Names<'a>) -> Option<usize> {
    let (mut byte, mut place) = next(text, place)?;
    if byte == b']' {
        return Some(place + 1);
    }
    loop {
        (byte, place) = next(text, after_value(text, place, depth, names)?)?;
        if byte != b',' {
            return (byte == b']').then_some(place + 1);
        }
        place += 1;
    }
}

/// The next byte that is no white space, and its place.
#[inline(always)]
pub(super) fn next(text: &[u8], mut place: usize) -> Option<(u8, usize)> {
    loop {
        match *text.get(place)? {
            b' ' | b'\n' | b'\r' | b'\t' => place += 1,
            byte => return Some((byte, place)),
        }
    }
}

pub(super) fn after_word(word: &'static [u8]) -> impl Fn(&[u8], usize) -> Option<usize> {
    move |text, place| text[place..].starts_with(word).then(|| place + word.len())
}

/// The end of a number, which is finite as an `f64`.
#[inline(always)]
pub(super) fn after_number(text: &[u8], start: usize) -> Option<usize> {
    let first = start + usize::from(text.get(start) == Some(&b'-'));
    let end = after_digits(text, first);
    let has_leading_zero = end > first + 1 && text[first] == b'0';
    if end == first || has_leading_zero {
        return None;
    }
    match text.get(end) {
        Some(b'.' | b'e' | b'E') => after_fraction(text, start, end),
        _ if end - start > FINITE_LENGTH => is_finite(&text[start..end]).then_some(end),
        _ => Some(end),
    }
}

/// The end of a number with a fraction or an exponent, or both.
fn after_fraction(text: &[u8], start: usize, end: usize) -> Option<usize> {
    let mut end = end;
    if text[end] == b'.' {
        let first = end + 1;
        end = after_digits(text, first);
        if end == first {
            return None;
        }
    }
    let has_exponent = matches!(text.get(end), Some(b'e' | b'E'));
    if has_exponent {
        let first = end + 1 + usize::from(matches!(text.get(end + 1), Some(b'+' | b'-')));
        end = after_digits(text, first);
        if end == first {
            return None;
        }
    }
    let may_overflow = has_exponent || end - start > FINITE_LENGTH;
    (!may_overflow || is_finite(&text[start..end])).then_some(end)
}

#[inline]
fn after_digits(text: &[u8], mut place: usize) -> usize {
    while text.get(place).is_some_and(u8::is_ascii_digit) {
        place += 1;
    }
    place
}

fn is_finite(number: &[u8]) -> bool {
    let number = std::str::from_utf8(number).ok().and_then(|number| number.parse::<f64>().ok());
    number.is_some_and(f64::is_finite)
}

/// The end of a string whose opening quote is before `place`.
#[inline(always)]
pub(super) fn after_string(text: &[u8], place: usize) -> Option<StringEnd> {
    let rest = text.get(place..)?;
    // Most strings end within the first word.
    let length = match rest.first_chunk().map_or(0, |word| special(*word)) {
        0 => plain_length(rest),
        special => special.trailing_zeros() as usize / 8,
    };
    match *rest.get(length)? {
        b'"' => Some(StringEnd::Plain(place + length + 1)),
        b'\\' => after_escapes(text, place + length).map(StringEnd::Escaped),
        _ => None,
    }
}

/// The place after a string, of which a backslash is at `place`. Surrogates are in pairs.
#[cold]
fn after_escapes(text: &[u8], mut place: usize) -> Option<usize> {
    loop {
        match *text.get(place)? {
            b'"' => return Some(place + 1),
            b'\\' => {
                place += 2;
                match text.get(place - 1)? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                    b'u' => place = after_code_point(text, place)?,
                    _ => return None,
                }
            }
            _ => return None,
        }
        place += plain_length(&text[place..]);
    }
}

/// The place after the digits of a code unit, or of two that are a pair.
fn after_code_point(text: &[u8], place: usize) -> Option<usize> {
    match code_unit(text, place)? {
        0xd800..=0xdbff => {
            let is_pair = text[place + 4..].starts_with(b"\\u");
            (is_pair && matches!(code_unit(text, place + 6)?, 0xdc00..=0xdfff)).then_some(place + 10)
        }
        0xdc00..=0xdfff => None,
        _ => Some(place + 4),
    }
}

/// Four hexadecimal digits.
fn code_unit(text: &[u8], place: usize) -> Option<u32> {
    let digits = text.get(place..place + 4)?;
    digits.iter().try_fold(0, |unit, digit| Some((unit << 4) | char::from(*digit).to_digit(16)?))
}

/// The number of bytes before the first that is a quote, a backslash or a control character.
#[inline(never)]
fn plain_length(text: &[u8]) -> usize {
    let (words, _) = text.as_chunks();
    for (index, word) in words.iter().enumerate().take(BLOCK / 8) {
        let special = special(*word);
        if special != 0 {
            return index * 8 + special.trailing_zeros() as usize / 8;
        }
    }
    long_plain_length(text)
}

/// The same, of which no word of the first block is.
fn long_plain_length(text: &[u8]) -> usize {
    // Without branches, so that it is compiled to vector instructions.
    let is_special = |byte: u8| u8::from(byte == b'"') | u8::from(byte == b'\\') | u8::from(byte < b' ');
    let is_plain_block = |block: &&[u8; BLOCK]| block.iter().fold(0, |any, byte| any | is_special(*byte)) == 0;
    let length = text.as_chunks().0.iter().take_while(is_plain_block).count() * BLOCK;
    length + text[length..].iter().take_while(|byte| is_plain(**byte)).count()
}

const fn is_plain(byte: u8) -> bool {
    !matches!(byte, b'"' | b'\\' | 0..b' ')
}

/// The highest bits of the bytes that are a quote, a backslash or a control character. Above the first, there may be too many.
const fn special(word: [u8; 8]) -> u64 {
    const EACH: u64 = u64::MAX / 0xff;
    const fn less(word: u64, limit: u8) -> u64 {
        word.wrapping_sub(EACH * limit as u64) & !word & (EACH << 7)
    }
    let word = u64::from_le_bytes(word);
    // With this bit inverted, a quote is the byte after the control characters, and they are still the first ones.
    less(word ^ (EACH * 2), b' ' + 1) | less(word ^ (EACH * b'\\' as u64), 1)
}
