//! Says where a JSON text breaks and why, in the words and at the offsets of the seed's parser (Python's `json`).
//!
//! Runs only on a text that `serde_json` has refused already; it decides nothing.

/// As deep as `serde_json` goes.
const MAX_DEPTH: usize = 128;

/// The offset in characters and the reason.
pub(super) fn explain(text: &str, error: &serde_json::Error) -> (usize, String) {
    let characters: Vec<char> = text.chars().collect();
    let mut scanner = Scanner { text: &characters, at: 0 };
    match scanner.document() {
        Err(Mistake::At(offset, reason)) => (offset, reason.into()),
        // The two differ about this text (`NaN`, a lone surrogate, depth); then serde_json has the word.
        Ok(()) | Err(Mistake::TooDeep) => {
            let lines = text.split_inclusive('\n').take(error.line().saturating_sub(1));
            let offset = lines.map(|line| line.chars().count()).sum::<usize>() + error.column().saturating_sub(1);
            let reason = if error.to_string().starts_with("recursion") { "Nested too deeply" } else { "Invalid value" };
            (offset.min(characters.len()), reason.into())
        }
    }
}

struct Scanner<'a> {
    text: &'a [char],
    at: usize,
}

enum Mistake {
    At(usize, &'static str),
    TooDeep,
}

type Scanned = Result<(), Mistake>;

impl Scanner<'_> {
    fn document(&mut self) -> Scanned {
        self.space();
        self.value(0)?;
        self.space();
        if self.at < self.text.len() { self.fail("Extra data") } else { Ok(()) }
    }

    fn value(&mut self, depth: usize) -> Scanned {
        if depth > MAX_DEPTH {
            return Err(Mistake::TooDeep);
        }
        match self.peek() {
            Some('"') => self.string(),
            Some('{') => self.object(depth),
            Some('[') => self.array(depth),
            Some('-' | '0'..='9') => self.number(),
            _ => self.word(),
        }
    }

    fn word(&mut self) -> Scanned {
        for word in ["null", "true", "false", "NaN", "Infinity"] {
            if self.text[self.at..].iter().copied().take(word.len()).eq(word.chars()) {
                self.at += word.len();
                return Ok(());
            }
        }
        self.fail("Expecting value")
    }

    /// As much as is a number; the rest is for whoever comes next.
    fn number(&mut self) -> Scanned {
        let start = self.at;
        self.take('-');
        if !self.take('0') && self.digits() == 0 {
            self.at = start;
            return self.fail("Expecting value");
        }
        let whole = self.at;
        if self.take('.') && self.digits() == 0 {
            self.at = whole;
            return Ok(());
        }
        let mantissa = self.at;
        if self.take('e') || self.take('E') {
            let _ = self.take('+') || self.take('-');
            if self.digits() == 0 {
                self.at = mantissa;
            }
        }
        Ok(())
    }

    fn object(&mut self, depth: usize) -> Scanned {
        self.at += 1;
        self.space();
        if self.take('}') {
            return Ok(());
        }
        loop {
            if self.peek() != Some('"') {
                return self.fail("Expecting property name enclosed in double quotes");
            }
            self.string()?;
            self.space();
            if !self.take(':') {
                return self.fail("Expecting ':' delimiter");
            }
            self.space();
            self.value(depth + 1)?;
            self.space();
            if self.take('}') {
                return Ok(());
            }
            if !self.take(',') {
                return self.fail("Expecting ',' delimiter");
            }
            self.space();
        }
    }

    fn array(&mut self, depth: usize) -> Scanned {
        self.at += 1;
        self.space();
        if self.take(']') {
            return Ok(());
        }
        loop {
            self.value(depth + 1)?;
            self.space();
            if self.take(']') {
                return Ok(());
            }
            if !self.take(',') {
                return self.fail("Expecting ',' delimiter");
            }
            self.space();
        }
    }

    fn string(&mut self) -> Scanned {
        let start = self.at;
        self.at += 1;
        loop {
            match self.peek() {
                None => return Err(Mistake::At(start, "Unterminated string starting at")),
                Some('"') => break,
                Some('\\') => self.escape(start)?,
                Some('\0'..='\x1f') => return self.fail("Invalid control character at"),
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        Ok(())
    }

    fn escape(&mut self, start: usize) -> Scanned {
        match self.text.get(self.at + 1) {
            None => Err(Mistake::At(start, "Unterminated string starting at")),
            Some('"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't') => {
                self.at += 2;
                Ok(())
            }
            Some('u') => {
                let digits = self.text[self.at + 2..].iter().take(4).filter(|digit| digit.is_ascii_hexdigit()).count();
                if digits < 4 {
                    self.at += 1;
                    return self.fail("Invalid \\uXXXX escape");
                }
                self.at += 6;
                Ok(())
            }
            Some(_) => self.fail("Invalid \\escape"),
        }
    }

    fn digits(&mut self) -> usize {
        let count = self.text[self.at..].iter().take_while(|digit| digit.is_ascii_digit()).count();
        self.at += count;
        count
    }

    fn space(&mut self) {
        while let Some(' ' | '\t' | '\n' | '\r') = self.peek() {
            self.at += 1;
        }
    }

    fn take(&mut self, wanted: char) -> bool {
        let there = self.peek() == Some(wanted);
        self.at += usize::from(there);
        there
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    fn fail(&self, reason: &'static str) -> Scanned {
        Err(Mistake::At(self.at, reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_text_is_explained_as_python_explains_it() {
        for (text, offset, reason) in [
            ("not json", 0, "Expecting value"),
            (" ", 1, "Expecting value"),
            ("{", 1, "Expecting property name enclosed in double quotes"),
            ("{'a': 1}", 1, "Expecting property name enclosed in double quotes"),
            (r#"{"a""#, 4, "Expecting ':' delimiter"),
            (r#"{"a":"#, 5, "Expecting value"),
            (r#"{"a": 1"#, 7, "Expecting ',' delimiter"),
            (r#"{"a": 1 "b": 2}"#, 8, "Expecting ',' delimiter"),
            (r#"{"a": 1,}"#, 8, "Expecting property name enclosed in double quotes"),
            (r#"{"a": "x"#, 6, "Unterminated string starting at"),
            (r#"{"a": "\x"}"#, 7, "Invalid \\escape"),
            (r#"{"a": "\u12"}"#, 8, "Invalid \\uXXXX escape"),
            ("{\"a\": \"x\ny\"}", 8, "Invalid control character at"),
            ("[1,]", 3, "Expecting value"),
            ("[1 2]", 3, "Expecting ',' delimiter"),
            ("{} x", 3, "Extra data"),
            ("01", 1, "Extra data"),
            ("-", 0, "Expecting value"),
            ("1.", 1, "Extra data"),
            ("{\"\u{1f600}\": x}", 6, "Expecting value"),
            ("nul", 0, "Expecting value"),
        ] {
            let error = serde_json::from_str::<serde_json::Value>(text).expect_err(text);
            assert_eq!(explain(text, &error), (offset, reason.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn where_the_parsers_differ_serde_json_has_the_word() {
        for text in ["NaN", r#""\ud800""#, &"[".repeat(200)] {
            let error = serde_json::from_str::<serde_json::Value>(text).expect_err(text);
            let (offset, reason) = explain(text, &error);
            assert!(offset <= text.len() && !reason.is_empty(), "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_a_peer_sends_panics(text in r#"[\[\]{}",:\\u0-9a-f.eE+\- \n]{0,60}"#) {
            if let Err(error) = serde_json::from_str::<serde_json::Value>(&text) {
                let (offset, _) = explain(&text, &error);
                proptest::prop_assert!(offset <= text.chars().count());
            }
        }
    }
}
