//! Finding members in JSON text that is known to be valid. Malformed text is not recognised as such; it only ends
//! the search early.

use std::borrow::Cow;
use std::ops::Range;

/// A member of an object.
#[derive(Debug, Clone)]
pub struct Member {
    /// The name with its quotes.
    pub name: Range<usize>,
    /// The value, without white space around it.
    pub value: Range<usize>,
}

impl Member {
    /// Whether the member has this name.
    pub fn is(&self, json: &[u8], name: &str) -> bool {
        string_is(&json[self.name.clone()], name)
    }
}

/// The members of an object, in order.
pub struct Members<'a> {
    json: &'a [u8],
    at: usize,
}

/// The members of the object that begins at `at`; none if no object does.
pub fn members(json: &[u8], at: usize) -> Members<'_> {
    let at = if is_object(json, at) { at + 1 } else { json.len() };
    Members { json, at }
}

impl Iterator for Members<'_> {
    type Item = Member;

    #[inline]
    fn next(&mut self) -> Option<Member> {
        let mut start = skip_space(self.json, self.at);
        if self.json.get(start) == Some(&b',') {
            start = skip_space(self.json, start + 1);
        }
        if self.json.get(start) != Some(&b'"') {
            return None;
        }
        let name = start..skip_string(self.json, start);
        let colon = skip_space(self.json, name.end);
        let value = skip_space(self.json, colon + 1).min(self.json.len());
        let value = value..skip_value(self.json, value);
        self.at = value.end;
        Some(Member { name, value })
    }
}

/// Whether an object begins at `at`.
pub fn is_object(json: &[u8], at: usize) -> bool {
    json.get(at) == Some(&b'{')
}

/// The value at the end of a path of names; of several members with one name the last, as readers see it.
pub fn find<'a, 'n>(json: &'a [u8], names: impl Iterator<Item = &'n str>) -> Option<&'a [u8]> {
    let mut at = skip_space(json, 0);
    let mut found = None;
    for name in names {
        let member = members(json, at).filter(|member| member.is(json, name)).last()?;
        at = member.value.start;
        found = Some(&json[member.value]);
    }
    found
}

/// Whether `string`, a JSON string with its quotes, holds `text`.
pub fn string_is(string: &[u8], text: &str) -> bool {
    let inner = string.get(1..string.len() - 1).unwrap_or_default();
    // Escapes make a string longer, never shorter.
    if inner.len() <= text.len() {
        return inner == text.as_bytes() && !inner.contains(&b'\\');
    }
    inner.contains(&b'\\') && serde_json::from_slice::<String>(string).is_ok_and(|decoded| decoded == text)
}

/// The text of `string`, a JSON string with its quotes; None if it is none.
pub fn string_text(string: &[u8]) -> Option<Cow<'_, str>> {
    let inner = string.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if inner.contains(&b'\\') {
        return serde_json::from_slice(string).ok().map(Cow::Owned);
    }
    std::str::from_utf8(inner).ok().map(Cow::Borrowed)
}

/// The first byte from `at` that is not white space.
#[inline]
pub fn skip_space(json: &[u8], mut at: usize) -> usize {
    while matches!(json.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// The end of the string whose quote is at `at`.
#[inline]
fn skip_string(json: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    loop {
        match json.get(at) {
            Some(b'"') => return at + 1,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
            None => return json.len(),
        }
    }
}

/// The end of the value that begins at `at`.
fn skip_value(json: &[u8], mut at: usize) -> usize {
    let mut depth = 0usize;
    loop {
        match json.get(at) {
            Some(b'"') => at = skip_string(json, at),
            Some(b'{' | b'[') => {
                depth += 1;
                at += 1;
            }
            Some(b'}' | b']') => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            Some(_) if depth > 0 => {
                at += 1;
                continue;
            }
            Some(_) => {
                while !matches!(json.get(at), None | Some(b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r'))
                {
                    at += 1;
                }
            }
            None => return json.len(),
        }
        if depth == 0 {
            return at;
        }
    }
}
