//! What a step changes in a JSON text: ranges, and what takes their place.

use std::ops::Range;

use super::parse::{Name, Step};
use super::path::{Path, DATA};
use super::scan::{find, is_object, members, string_is, Member};
use super::Edits;
use crate::error::{Error, Kind, Result};

/// A range of the text and the bytes that take its place.
pub type Edit<'t> = (Range<usize>, &'t [u8]);

/// Does `edits`, which are in order and counted from `start`.
pub fn replace_all(buffer: &mut Vec<u8>, start: usize, edits: &[Edit<'_>]) {
    match edits {
        [] => {}
        [(range, text)] => {
            buffer.splice(start + range.start..start + range.end, text.iter().copied());
        }
        // One by one they would move the rest of the text once each.
        [(first, _), ..] => {
            let old = buffer.split_off(start + first.start);
            let mut done = first.start;
            for (range, text) in edits {
                buffer.extend_from_slice(&old[done - first.start..range.start - first.start]);
                buffer.extend_from_slice(text);
                done = range.end;
            }
            buffer.extend_from_slice(&old[done - first.start..]);
        }
    }
}

impl Step {
    /// Finds the edits of the JSON text that begins at `at`; false to drop the record.
    pub fn run<'t>(&'t self, json: &[u8], at: usize, edits: &mut Edits<'t>) -> Result<bool> {
        match self {
            Step::Remove { path } => remove(json, at, path.names(), edits),
            Step::Rename { path, to } => rename(json, at, path.names(), to, edits),
            Step::Add { path, texts } => add(json, at, path, 0, texts, edits)?,
            Step::Filter { path, equals } => return Ok(holds(json, path, equals)),
        }
        Ok(true)
    }
}

fn remove(json: &[u8], at: usize, names: &[String], edits: &mut Edits<'_>) {
    let Some((name, rest)) = names.split_first() else { return };
    if rest.is_empty() {
        let fate = |_, member: &Member| if member.is(json, name) { Fate::Cut } else { Fate::Keep };
        return edit_members(json, at, fate, edits);
    }
    for member in members(json, at).filter(|member| member.is(json, name)) {
        remove(json, member.value.start, rest, edits);
    }
}

fn rename<'t>(json: &[u8], at: usize, names: &[String], to: &'t Name, edits: &mut Edits<'t>) {
    let Some((name, rest)) = names.split_first() else { return };
    if rest.is_empty() {
        let Some(last) = Members::of(json, at, name).last.filter(|_| *name != to.text) else { return };
        let fate = |index, member: &Member| match index {
            _ if index == last => Fate::Replace(member.name.clone(), &to.quoted),
            _ if member.is(json, name) || member.is(json, &to.text) => Fate::Cut,
            _ => Fate::Keep,
        };
        return edit_members(json, at, fate, edits);
    }
    for member in members(json, at).filter(|member| member.is(json, name)) {
        rename(json, member.value.start, rest, to, edits);
    }
}

/// `texts[depth]` is what to insert where the name at `depth` is missing; the last of all is the value alone.
fn add<'t>(
    json: &[u8],
    at: usize,
    path: &Path,
    depth: usize,
    texts: &'t [Vec<u8>],
    edits: &mut Edits<'t>,
) -> Result<()> {
    let Some(name) = path.names().get(depth) else { return Ok(()) };
    if !is_object(json, at) {
        return not_an_object(json, at, path, depth);
    }
    let found = Members::of(json, at, name);
    let Some(last) = found.last else {
        let text = &texts[path.above() + depth];
        // The text begins with the comma that only a further member needs.
        let (place, text) = found.end.map_or((at + 1, &text[1..]), |end| (end, &text[..]));
        edits.push((place..place, text));
        return Ok(());
    };
    if depth + 1 == path.names().len() {
        let value = &texts[texts.len() - 1];
        let fate = |index, member: &Member| match index {
            _ if index == last => Fate::Replace(member.value.clone(), value),
            _ if member.is(json, name) => Fate::Cut,
            _ => Fate::Keep,
        };
        edit_members(json, at, fate, edits);
        return Ok(());
    }
    members(json, at)
        .filter(|member| member.is(json, name))
        .try_for_each(|member| add(json, member.value.start, path, depth + 1, texts, edits))
}

/// A tombstone stays one: there is nothing in it that could hold a field. Anything else is a bad record.
fn not_an_object(json: &[u8], at: usize, path: &Path, depth: usize) -> Result<()> {
    let above = path.shown_to(depth);
    let kind = match json.get(at) {
        Some(b'n') if above == DATA => return Ok(()),
        Some(b'n') => "null",
        Some(b'[') => "a list",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        _ => "a number",
    };
    let message = format!("add_field {path}: {above} is {kind}, expected an object");
    Err(Error::new(Kind::EventFormat, message))
}

/// Whether a filter lets the record pass.
fn holds(json: &[u8], path: &Path, equals: &str) -> bool {
    match find(json, path.names().iter().map(String::as_str)) {
        None | Some([b'{' | b'[', ..]) => false,
        Some(string @ [b'"', ..]) => string_is(string, equals),
        Some(other) => other == equals.as_bytes(),
    }
}

/// What is known of an object's members before they are edited.
struct Members {
    /// Index of the last one with the name in question.
    last: Option<usize>,
    /// Where the last of all ends.
    end: Option<usize>,
}

impl Members {
    fn of(json: &[u8], at: usize, name: &str) -> Self {
        let mut found = Self { last: None, end: None };
        for (index, member) in members(json, at).enumerate() {
            if member.is(json, name) {
                found.last = Some(index);
            }
            found.end = Some(member.value.end);
        }
        found
    }
}

/// What becomes of a member.
enum Fate<'t> {
    Keep,
    Cut,
    Replace(Range<usize>, &'t [u8]),
}

fn edit_members<'t>(
    json: &[u8],
    at: usize,
    fate: impl Fn(usize, &Member) -> Fate<'t>,
    edits: &mut Edits<'t>,
) {
    let mut kept = false;
    let mut end = at;
    let mut rest = members(json, at).enumerate().peekable();
    while let Some((index, member)) = rest.next() {
        match fate(index, &member) {
            Fate::Keep => kept = true,
            Fate::Replace(range, text) => {
                kept = true;
                edits.push((range, text));
            }
            // The comma before it goes with it, or the one behind it where no member is left before it.
            Fate::Cut if kept => edits.push((end..member.value.end, &[])),
            Fate::Cut => {
                let until = rest.peek().map_or(member.value.end, |(_, next)| next.name.start);
                edits.push((member.name.start..until, &[]));
            }
        }
        end = member.value.end;
    }
}
