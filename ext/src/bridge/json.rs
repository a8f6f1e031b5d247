//! What kind of text a Kafka value is.
//!
//! A value is embedded in the event as JSON only when every JSON reader of the Rivven side can read the event
//! afterwards: strict RFC 8259 grammar, at most 126 levels (the limit of `serde_json` less the event), no lone surrogate
//! escapes, no number beyond the range of a double. Anything else that is UTF-8 goes as a string.

use crate::bridge::json_string::plain_len;

/// `serde_json` reads 127 levels by default, and the event around the value is one of them.
pub const MAX_DEPTH: u32 = 126;

/// The white space of JSON.
const SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// How a value can be written into an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
    /// JSON text, with the white space around it.
    Json {
        /// White space before the JSON text.
        lead: &'a str,
        /// The JSON text itself.
        body: &'a str,
        /// White space after the JSON text.
        trail: &'a str,
    },
    /// UTF-8, but not JSON.
    Text(&'a str),
    /// Not UTF-8.
    Binary,
}

/// Finds out what `value` is.
pub fn classify(value: &[u8]) -> Kind<'_> {
    let Ok(text) = simdutf8::basic::from_utf8(value) else { return Kind::Binary };
    let body = text.trim_matches(SPACE);
    if !is_json(body.as_bytes()) {
        return Kind::Text(text);
    }
    // Both ends of `body` are ASCII-bounded slices of `text`, so the arithmetic stays on char boundaries.
    let lead = body.as_ptr() as usize - text.as_ptr() as usize;
    Kind::Json { lead: &text[..lead], body, trail: &text[lead + body.len()..] }
}

/// Whether `input` is one JSON value with nothing around it (white space inside is fine).
pub fn is_json(input: &[u8]) -> bool {
    Scanner { input, at: 0, max_depth: MAX_DEPTH }.document()
}

/// Whether `input` is UTF-8 and one JSON value of at most `max_depth` levels (0 to 127), white space around it or not.
pub fn is_json_of(input: &[u8], max_depth: u32) -> bool {
    simdutf8::basic::from_utf8(input).is_ok_and(|text| {
        Scanner { input: text.trim_end_matches(SPACE).as_bytes(), at: 0, max_depth }.document()
    })
}

struct Scanner<'a> {
    input: &'a [u8],
    at: usize,
    max_depth: u32,
}

impl Scanner<'_> {
    fn document(&mut self) -> bool {
        // One bit per open level, 1 for an object: no recursion, so nesting cannot overflow the stack.
        let mut objects: u128 = 0;
        let mut depth = 0u32;
        loop {
            self.space();
            let opened = match self.peek() {
                Some(b'{') => Some(true),
                Some(b'[') => Some(false),
                Some(b'"') if self.string() => None,
                Some(b'-' | b'0'..=b'9') if self.number() => None,
                Some(b't') if self.literal(b"true") => None,
                Some(b'f') if self.literal(b"false") => None,
                Some(b'n') if self.literal(b"null") => None,
                _ => return false,
            };
            if let Some(object) = opened {
                self.at += 1;
                depth += 1;
                if depth > self.max_depth {
                    return false;
                }
                objects = (objects << 1) | u128::from(object);
                self.space();
                let close = if object { b'}' } else { b']' };
                if self.peek() != Some(close) {
                    if object && !self.member_name() {
                        return false;
                    }
                    continue;
                }
            }
            loop {
                if depth == 0 {
                    return self.at == self.input.len();
                }
                self.space();
                let object = objects & 1 == 1;
                match self.peek() {
                    Some(b',') => {
                        self.at += 1;
                        self.space();
                        if object && !self.member_name() {
                            return false;
                        }
                        break;
                    }
                    Some(b'}') if object => {}
                    Some(b']') if !object => {}
                    _ => return false,
                }
                self.at += 1;
                depth -= 1;
                objects >>= 1;
            }
        }
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }

    #[inline]
    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn literal(&mut self, word: &[u8]) -> bool {
        let found = self.input[self.at..].starts_with(word);
        if found {
            self.at += word.len();
        }
        found
    }

    fn member_name(&mut self) -> bool {
        if self.peek() != Some(b'"') || !self.string() {
            return false;
        }
        self.space();
        if self.peek() != Some(b':') {
            return false;
        }
        self.at += 1;
        true
    }

    fn string(&mut self) -> bool {
        self.at += 1;
        loop {
            self.at += plain_len(&self.input[self.at..]);
            let Some(byte) = self.peek() else { return false };
            self.at += 1;
            match byte {
                b'"' => return true,
                b'\\' if self.escape() => {}
                b'\\' | 0..=0x1f => return false,
                _ => {}
            }
        }
    }

    fn escape(&mut self) -> bool {
        let Some(byte) = self.peek() else { return false };
        self.at += 1;
        match byte {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => true,
            b'u' => match self.hex4() {
                Some(0xd800..=0xdbff) => self.literal(b"\\u") && matches!(self.hex4(), Some(0xdc00..=0xdfff)),
                Some(0xdc00..=0xdfff) | None => false,
                Some(_) => true,
            },
            _ => false,
        }
    }

    fn hex4(&mut self) -> Option<u32> {
        let digits = self.input.get(self.at..self.at + 4)?;
        let mut value = 0;
        for &digit in digits {
            value = value * 16 + char::from(digit).to_digit(16)?;
        }
        self.at += 4;
        Some(value)
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self) -> bool {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let whole = match self.peek() {
            Some(b'0') => {
                self.at += 1;
                1
            }
            Some(b'1'..=b'9') => self.digits(),
            _ => return false,
        };
        if self.peek() == Some(b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return false;
            }
        }
        let mut exponent = 0;
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            exponent = self.digits();
            if exponent == 0 {
                return false;
            }
        }
        // Only a long number can overflow a double; short ones need no conversion.
        if exponent < 3 && whole < 200 {
            return true;
        }
        let text = std::str::from_utf8(&self.input[start..self.at]).unwrap_or("");
        text.parse::<f64>().is_ok_and(f64::is_finite)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn agrees_with_the_grammar() {
        for good in [
            "{}",
            "[]",
            "null",
            "true",
            "false",
            "0",
            "-0",
            "1.5e10",
            "\"\"",
            "[1, 2,{\"a\":[]}]",
            "{\"a\":1,\"a\":2}",
            "\"\\ud83d\\ude00\"",
            "[[[]]]",
            "{ }",
            "[ ]",
            "[ 1 , {} ]",
            "1e299",
            "-12.0E-7",
            "{\"a\" : { } }",
            "[{}]",
            "[[],[]]",
        ] {
            assert!(is_json(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            "{",
            "[1,]",
            "{\"a\"}",
            "{\"a\":}",
            "01",
            "1.",
            ".5",
            "+1",
            "nul",
            "\"",
            "\"\\x\"",
            "\"\u{1}\"",
            "1 2",
            "[1]]",
            "{\"a\":1,}",
            "\"\\ud800\"",
            "\"\\udc00\"",
            "1e400",
            "-1e999",
            "tru",
            "{a:1}",
            "[}",
            "{]",
            "NaN",
            "Infinity",
            "'a'",
            "[1",
            "{\"a\":1",
            "[,]",
        ] {
            assert!(!is_json(bad.as_bytes()), "{bad}");
        }
        let nested = |levels| [b"[".repeat(levels), b"]".repeat(levels)].concat();
        assert!(is_json(&nested(126)));
        assert!(!is_json(&nested(127)));
        assert!(!is_json("1".repeat(400).as_bytes()));
    }

    #[test]
    fn white_space_around_json_is_kept_apart() {
        assert_eq!(classify(b" \n{}\t"), Kind::Json { lead: " \n", body: "{}", trail: "\t" });
        assert_eq!(classify(b"hello "), Kind::Text("hello "));
        assert_eq!(classify(b" "), Kind::Text(" "));
        assert_eq!(classify(b"\xff"), Kind::Binary);
    }

    proptest! {
        #[test]
        fn whatever_passes_is_read_by_serde_json(text in r#"[\[\]{}",:\\u0-9eE.+\-tfnrualse D8cC]{0,24}"#) {
            let ours = is_json(text.as_bytes());
            let theirs = text.trim_matches([' ', '\t', '\n', '\r']) == text
                && serde_json::from_str::<serde_json::Value>(&text).is_ok();
            let trimmed = text.trim_end_matches(' ') == text && text.trim_start_matches(' ') == text;
            if trimmed {
                prop_assert_eq!(ours, theirs, "{}", text);
            }
        }
    }
}
