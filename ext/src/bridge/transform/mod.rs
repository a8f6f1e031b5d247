//! Record transforms: renames, removes and adds fields of a JSON object, and drops records by a field.
//!
//! The steps are those of upstream's `connect.yaml`, applied in order. A field is a dotted path from the top of the
//! event (`data.customer.id`, `env`); what no step touches stays as it is to the byte, because the JSON text is
//! edited where it stands and never written anew.
//!
//! Objects may hold a name twice. A filter sees the last one, as readers do; a change concerns all of them, so that
//! nothing that was to be removed or replaced stays in front: where one member remains, it is the last.

mod edit;
mod parse;
mod path;
pub mod python;
pub(super) mod scan;
#[cfg(test)]
mod tests;

use crate::bridge::json::{is_json_of, MAX_DEPTH};
use crate::error::{Error, Kind, Result};
use edit::{replace_all, Edit};
use parse::Step;
use path::DATA;
use scan::{find, skip_space};

/// Levels of an event: those of a value, and the event itself.
pub(crate) const MAX_EVENT_DEPTH: u32 = MAX_DEPTH + 1;

/// What the JSON text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// An event.
    Event,
    /// The value alone, which is the `data` of an event.
    Value,
}

/// A list of steps, in order.
#[derive(Debug, Clone)]
pub struct Transforms {
    steps: Vec<Step>,
    scope: Scope,
}

impl Transforms {
    /// Reads steps for events: a JSON list of `{"type": .., "config": {..}}`. Fails with `Kind::Config`.
    pub fn parse(text: &str) -> Result<Self> {
        Ok(Self { steps: parse::steps(text)?, scope: Scope::Event })
    }

    /// Reads steps for values that stand without an event (`value_format: raw`). The value is `data`, and only
    /// fields inside it exist; other paths fail with `Kind::Config`.
    pub fn for_value(text: &str) -> Result<Self> {
        let mut steps = parse::steps(text)?;
        for (index, step) in steps.iter_mut().enumerate() {
            step.path_mut().enter_data().map_err(|reason| parse::refused(index, step.option(), &reason))?;
        }
        Ok(Self { steps, scope: Scope::Value })
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether a value that is null or empty is dropped: no field of it can equal anything. The other steps leave
    /// such a value as it is.
    pub fn drop_empty_values(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Filter { .. }))
    }

    /// Appends `json`, transformed, to `out`; false when a filter drops it, and then nothing is appended.
    ///
    /// Fails with `Kind::EventFormat` when a step cannot be done. A value (`for_value`) that is not JSON is
    /// dropped if the first step is a filter, and fails otherwise.
    pub fn apply(&self, json: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        let start = out.len();
        let result = self.check(json).and_then(|editable| match editable {
            Editable::Dropped => Ok(false),
            Editable::Untouched => {
                out.extend_from_slice(json);
                Ok(true)
            }
            Editable::Json => {
                out.extend_from_slice(json);
                self.edit(out, start)
            }
        });
        if !matches!(result, Ok(true)) {
            out.truncate(start);
        }
        result
    }

    /// Transforms `buffer[start..]`, which must be JSON text, where it stands; false when a filter drops it. What
    /// stands there after false or an error is of no use.
    pub fn edit(&self, buffer: &mut Vec<u8>, start: usize) -> Result<bool> {
        let mut edits = Vec::new();
        for step in &self.steps {
            edits.clear();
            let json = &buffer[start..];
            if !step.run(json, skip_space(json, 0), &mut edits)? {
                return Ok(false);
            }
            replace_all(buffer, start, &edits);
        }
        Ok(true)
    }

    /// `apply` for an event that is turned back into the record it was made from.
    ///
    /// Fails also when the steps take away what says how the value is to be read.
    pub fn apply_to_restore(&self, json: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        let start = out.len();
        let kept = self.apply(json, out)?;
        if kept && self.steps.iter().any(|step| step.changes(&["metadata", ENCODING])) {
            let encoding =
                |json| find(json, ["metadata", ENCODING].into_iter()).filter(|text| text != b"null");
            let data = |json| find(json, [DATA].into_iter());
            let after = &out[start..];
            // Who writes another value may do without the old one's encoding.
            if encoding(json).is_some() && encoding(after).is_none() && data(json) == data(after) {
                let message =
                    "the transforms remove metadata.kafka_value_encoding, without which the value of \
                               this record cannot be restored";
                return Err(Error::new(Kind::EventFormat, message));
            }
        }
        Ok(kept)
    }

    fn check(&self, json: &[u8]) -> Result<Editable> {
        if self.scope == Scope::Value && json.is_empty() {
            return Ok(if self.drop_empty_values() { Editable::Dropped } else { Editable::Untouched });
        }
        let depth = if self.scope == Scope::Event { MAX_EVENT_DEPTH } else { MAX_DEPTH };
        if is_json_of(json, depth) {
            return Ok(Editable::Json);
        }
        match (self.scope, self.steps.first()) {
            (_, None) => Ok(Editable::Untouched),
            (Scope::Value, Some(Step::Filter { .. })) => Ok(Editable::Dropped),
            (Scope::Value, Some(step)) => {
                let message = format!("{step}: the value is not JSON of at most {depth} levels");
                Err(Error::new(Kind::EventFormat, message))
            }
            (Scope::Event, Some(_)) => {
                let message = format!("not a Rivven source event: not JSON of at most {depth} levels");
                Err(Error::new(Kind::EventFormat, message))
            }
        }
    }
}

/// The field of `metadata` that says how `data` holds the value.
const ENCODING: &str = "kafka_value_encoding";

/// What can be done with a text.
enum Editable {
    Json,
    Untouched,
    Dropped,
}

/// Edits of one text, in order and not overlapping.
type Edits<'t> = Vec<Edit<'t>>;
