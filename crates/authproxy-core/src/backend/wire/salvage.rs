//! A reader of broken JSON objects: it takes the members that are there from end to end, up to the first byte that
//! makes no sense, and never a value that was cut off.

use std::collections::HashSet;

use serde_json::Value;

use super::fields::{Fields, without_mark};

/// More members than any token response has.
const MEMBERS: usize = 64;

/// The longest number or literal that is read as such.
const LITERAL: usize = 40;

/// The outermost object's members that `body` holds whole. A nested object or array counts as `null`, and so does a
/// literal that is none of JSON's; a name that occurs twice is left out.
pub(super) fn scan(body: &[u8]) -> Fields {
    let mut scanner = Scanner { rest: without_mark(body) };
    let (mut fields, mut twice) = (Fields::default(), HashSet::new());
    if !scanner.eat(b'{') {
        return fields;
    }
    for _ in 0..MEMBERS {
        let Some((name, value)) = scanner.member() else { break };
        if !fields.insert(name.clone(), value) {
            twice.insert(name);
        }
        if !scanner.eat(b',') {
            break;
        }
    }
    for name in twice {
        drop(fields.take_text(&name));
    }
    fields
}

struct Scanner<'a> {
    rest: &'a [u8],
}

impl Scanner<'_> {
    /// A name with its value, if both are whole and what follows is the end of a member.
    fn member(&mut self) -> Option<(String, Value)> {
        self.skip_blanks();
        let name = self.string()?;
        if !self.eat(b':') {
            return None;
        }
        self.skip_blanks();
        let value = match self.rest.first()? {
            b'"' => Value::String(self.string()?),
            b'{' | b'[' => self.nested()?,
            _ => self.literal()?,
        };
        self.skip_blanks();
        // Anything else stood inside the value: a quote that nobody escaped has cut it short.
        matches!(self.rest.first(), None | Some(b',' | b'}')).then_some((name, value))
    }

    /// A string, from quote to quote.
    fn string(&mut self) -> Option<String> {
        let end = self.string_end()?;
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        serde_json::from_slice(text).ok()
    }

    /// Where the string that starts here ends, quotes included.
    fn string_end(&self) -> Option<usize> {
        let mut escaped = false;
        if self.rest.first() != Some(&b'"') {
            return None;
        }
        for (at, byte) in self.rest.iter().enumerate().skip(1) {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => return Some(at + 1),
                0..0x20 => return None,
                _ => {}
            }
        }
        None
    }

    /// A number, `true`, `false` or `null`; whole only when something stands behind it.
    fn literal(&mut self) -> Option<Value> {
        let ends = |byte: &u8| matches!(byte, b',' | b'}' | b' ' | b'\t' | b'\r' | b'\n');
        let end = self.rest.iter().take(LITERAL + 1).position(ends)?;
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(match serde_json::from_slice(text) {
            Ok(value @ (Value::Number(_) | Value::Bool(_))) => value,
            _ => Value::Null,
        })
    }

    /// Passes over an object or array.
    fn nested(&mut self) -> Option<Value> {
        let mut depth = 0_usize;
        loop {
            let step = match self.rest.first()? {
                b'"' => self.string_end()?,
                b'{' | b'[' => {
                    depth += 1;
                    1
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    1
                }
                _ => 1,
            };
            self.rest = &self.rest[step..];
            if depth == 0 {
                return Some(Value::Null);
            }
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        self.skip_blanks();
        match self.rest.strip_prefix(&[byte]) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn skip_blanks(&mut self) {
        while let [b' ' | b'\t' | b'\r' | b'\n', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }
}
