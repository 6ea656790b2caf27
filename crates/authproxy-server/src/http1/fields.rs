//! Field lines (RFC 9112, section 5), read strictly and written.

use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header::CONNECTION};
use memchr::memmem::Finder;

use crate::ascii;

/// Why lines are no fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadFields {
    /// A bare CR or LF, a folded line, space before a colon, a byte that no name or value has.
    Malformed,
    TooMany,
}

/// Where the fields end that `bytes` begin with: behind the first empty line.
pub(crate) fn end(bytes: &[u8]) -> Option<usize> {
    static EMPTY_LINE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\r\n\r\n"));
    EMPTY_LINE.find(bytes).map(|at| at + 4)
}

/// Takes a line off the front, without its CRLF; `None` when it has no end. A bare LF is refused here; a bare CR and
/// NUL by whoever reads the line, for no part of a message may have them.
pub(crate) fn take_line<'a>(lines: &mut &'a [u8]) -> Result<Option<&'a [u8]>, BadFields> {
    let Some(end) = memchr::memchr(b'\n', lines) else { return Ok(None) };
    let (line, rest) = lines.split_at(end + 1);
    *lines = rest;
    line.strip_suffix(b"\r\n").map(Some).ok_or(BadFields::Malformed)
}

/// Reads the fields that `text` has from `begin` to its end, which is that of an empty line. Their values share it.
pub(crate) fn read(text: &Bytes, begin: usize, most: usize) -> Result<HeaderMap, BadFields> {
    let mut lines = &text[begin..];
    // All but one of the lines are fields.
    let fields = memchr::memchr_iter(b'\n', lines).count().saturating_sub(1);
    let mut fields = HeaderMap::with_capacity(fields.min(most));
    loop {
        let line = take_line(&mut lines)?.ok_or(BadFields::Malformed)?;
        if line.is_empty() {
            return if lines.is_empty() { Ok(fields) } else { Err(BadFields::Malformed) };
        }
        if fields.len() == most {
            return Err(BadFields::TooMany);
        }
        // A folded line begins with space, which no name does.
        let colon = memchr::memchr(b':', line).ok_or(BadFields::Malformed)?;
        let name = HeaderName::from_bytes(&line[..colon]).map_err(|_| BadFields::Malformed)?;
        let value = text.slice_ref(trim(&line[colon + 1..]));
        let value = HeaderValue::from_maybe_shared(value).map_err(|_| BadFields::Malformed)?;
        fields.append(name, value);
    }
}

/// Without the space around it (RFC 9110, section 5.5). `trim_ascii` would take a CR off too.
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// A length (RFC 9110, section 8.6): digits only; no sign, no list.
pub(crate) fn decimal(value: &HeaderValue) -> Option<u64> {
    let digits = value.as_bytes();
    let is_number = (1..=18).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

/// Whether a comma-separated list names `word`, with parameters or without.
pub(crate) fn lists(value: &HeaderValue, word: &str) -> bool {
    ascii::split(value.as_bytes(), b',').any(|item| {
        let end = memchr::memchr(b';', item).unwrap_or(item.len());
        item[..end].trim_ascii().eq_ignore_ascii_case(word.as_bytes())
    })
}

/// Whether `Connection` has this option (RFC 9110, section 7.6.1).
pub(crate) fn wants(headers: &HeaderMap, option: &str) -> bool {
    headers.get_all(CONNECTION).iter().any(|value| lists(value, option))
}

/// Writes a field. Its value is of a type that holds nothing a field may not: a header value, or a token.
pub(crate) fn write(bytes: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    let name = name.as_str().as_bytes();
    bytes.reserve(name.len() + value.len() + 4);
    bytes.extend_from_slice(name);
    bytes.extend_from_slice(b": ");
    bytes.extend_from_slice(value);
    bytes.extend_from_slice(b"\r\n");
}

/// Writes fields, and the empty line that ends them.
pub(crate) fn write_all(bytes: &mut Vec<u8>, fields: &HeaderMap) {
    for (name, value) in fields {
        write(bytes, name, value.as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn fields_are_read_as_they_are_written() {
        let text = Bytes::from_static(b"skipped\r\nHost: a\r\nx:\r\nX: \t b c\t\r\nobs: \xe4\r\n\r\n");
        let fields = read(&text, 9, 4).unwrap();
        let mut written = Vec::new();
        write_all(&mut written, &fields);
        assert_eq!(written, b"host: a\r\nx: \r\nx: b c\r\nobs: \xe4\r\n\r\n");
        assert_eq!(read(&text, 9, 3), Err(BadFields::TooMany));
        assert!(read(&Bytes::from_static(b"\r\n"), 0, 0).unwrap().is_empty());
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for lines in [
            "",
            "a: b",
            "a: b\r\n",
            "a: b\n\r\n",
            "a: b\r\n\n",
            "a: b\r\r\n\r\n",
            "a: \x0cb\r\n\r\n",
            "a: b\r\n c\r\n\r\n",
            "a : b\r\n\r\n",
            " a: b\r\n\r\n",
            "a\r\n\r\n",
            ": b\r\n\r\n",
            "a: \0\r\n\r\n",
            "a: \x7f\r\n\r\n",
            "\u{e4}: b\r\n\r\n",
            "a: b\r\n\r\nc: d\r\n\r\n",
        ] {
            let text = Bytes::copy_from_slice(lines.as_bytes());
            assert_eq!(read(&text, 0, 9), Err(BadFields::Malformed), "{lines:?}");
        }
    }
}
