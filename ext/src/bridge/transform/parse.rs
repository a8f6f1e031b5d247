//! Steps from their JSON form.

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::path::Path;
use super::MAX_EVENT_DEPTH;
use crate::bridge::json::is_json_of;
use crate::bridge::json_string::write_string;
use crate::error::{Error, Kind, Result};

/// A member's name.
#[derive(Debug, Clone)]
pub struct Name {
    /// As it is.
    pub text: String,
    /// As a JSON string.
    pub quoted: Vec<u8>,
}

/// One transform.
#[derive(Debug, Clone)]
pub enum Step {
    /// `rename_field`: the last name of the path becomes another.
    Rename { path: Path, to: Name },
    /// `remove_field`.
    Remove { path: Path },
    /// `add_field`. The texts: per name of the path, from the top of the event, a comma and the member to insert
    /// where that name is missing, with all that lies below it; and then the value alone.
    Add { path: Path, texts: Vec<Vec<u8>> },
    /// `filter`: drops the records whose field does not equal.
    Filter { path: Path, equals: String },
}

impl Step {
    fn path(&self) -> &Path {
        match self {
            Step::Rename { path, .. }
            | Step::Remove { path }
            | Step::Add { path, .. }
            | Step::Filter { path, .. } => path,
        }
    }

    /// The field concerned.
    pub fn path_mut(&mut self) -> &mut Path {
        match self {
            Step::Rename { path, .. }
            | Step::Remove { path }
            | Step::Add { path, .. }
            | Step::Filter { path, .. } => path,
        }
    }

    /// The option that holds the path.
    pub fn option(&self) -> &'static str {
        if matches!(self, Step::Rename { .. }) {
            "from"
        } else {
            "field"
        }
    }

    /// Whether the step can change what stands at `names`.
    pub fn changes(&self, names: &[&str]) -> bool {
        let overlaps = |path: &[String]| path.iter().zip(names).all(|(a, b)| a == b);
        let path = self.path().all_names();
        match self {
            Step::Filter { .. } => false,
            Step::Rename { to, .. } => {
                let mut target = path.to_vec();
                target.pop();
                target.push(to.text.clone());
                overlaps(path) || overlaps(&target)
            }
            _ => overlaps(path),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Step::Rename { .. } => "rename_field",
            Step::Remove { .. } => "remove_field",
            Step::Add { .. } => "add_field",
            Step::Filter { .. } => "filter",
        };
        write!(f, "{kind} {}", self.path())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepText<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    config: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RenameText {
    from: String,
    to: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RemoveText {
    field: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddText<'a> {
    field: String,
    #[serde(borrow)]
    value: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FilterText {
    field: String,
    equals: String,
}

/// Reads a JSON list of steps.
pub fn steps(text: &str) -> Result<Vec<Step>> {
    let list: Vec<StepText<'_>> = serde_json::from_str(text)
        .map_err(|error| config(format!("transforms: not a list of steps: {error}")))?;
    list.iter().enumerate().map(|(index, step)| read(index, step)).collect()
}

fn read(index: usize, step: &StepText<'_>) -> Result<Step> {
    let text = step.config.get();
    match step.kind.as_str() {
        "rename_field" => {
            let RenameText { from, to } = options(index, text)?;
            Ok(Step::Rename { path: path(index, "from", &from)?, to: name(index, &to)? })
        }
        "remove_field" => {
            let RemoveText { field } = options(index, text)?;
            Ok(Step::Remove { path: path(index, "field", &field)? })
        }
        "add_field" => {
            let AddText { field, value } = options(index, text)?;
            let path = path(index, "field", &field)?;
            // What is written must be readable; each name of the path is a level around the value.
            let levels = MAX_EVENT_DEPTH.saturating_sub(path.all_names().len() as u32);
            if !is_json_of(value.get().as_bytes(), levels) {
                let reason = format!(
                    "expected JSON with numbers within the range of a double, no lone surrogates, and at most \
                     {MAX_EVENT_DEPTH} levels with those of the field"
                );
                return Err(refused(index, "value", &reason));
            }
            let texts = texts(&path, value.get());
            Ok(Step::Add { path, texts })
        }
        "filter" => {
            let FilterText { field, equals } = options(index, text)?;
            Ok(Step::Filter { path: path(index, "field", &field)?, equals })
        }
        other => Err(config(format!(
            "transforms[{index}].type: got {other:?}, expected rename_field, remove_field, add_field or filter"
        ))),
    }
}

fn options<'a, T: Deserialize<'a>>(index: usize, text: &'a str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| config(format!("transforms[{index}].config: {error}")))
}

fn path(index: usize, option: &str, text: &str) -> Result<Path> {
    Path::parse(text).map_err(|reason| refused(index, option, &reason))
}

fn name(index: usize, text: &str) -> Result<Name> {
    if let [text] = path(index, "to", text)?.all_names() {
        return Ok(Name { text: text.clone(), quoted: quoted(text) });
    }
    let reason = format!(
        "got {text:?}: expected the new name, not a path; the field stays where it is (write \\. for a dot inside \
         the name)"
    );
    Err(refused(index, "to", &reason))
}

fn texts(path: &Path, value: &str) -> Vec<Vec<u8>> {
    let mut texts = vec![value.as_bytes().to_vec()];
    for name in path.all_names().iter().rev() {
        let below = texts.last().map(Vec::as_slice).unwrap_or_default();
        let mut text = vec![b','];
        text.extend_from_slice(&quoted(name));
        text.push(b':');
        if texts.len() > 1 {
            text.extend_from_slice(&[b"{", &below[1..], b"}"].concat());
        } else {
            text.extend_from_slice(below);
        }
        texts.push(text);
    }
    texts.reverse();
    texts
}

fn quoted(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    write_string(&mut out, text);
    out
}

/// The error of an option of a step.
pub fn refused(index: usize, option: &str, reason: &str) -> Error {
    config(format!("transforms[{index}].config.{option}: {reason}"))
}

fn config(message: String) -> Error {
    Error::new(Kind::Config, message)
}
