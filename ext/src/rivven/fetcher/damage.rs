//! What a damaged log shows to a reader, and what becomes of the reading then.

use crate::error::{Error, Kind, Result};

/// What becomes of the reading when the log shows damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDamage {
    /// It ends before the answer that shows it, so that nothing behind the damage is handed on.
    Fail,
    /// It is counted, and reading goes on with what comes.
    Continue,
}

impl OnDamage {
    /// Reads the option.
    pub fn from_name(name: &str) -> Result<Self> {
        match name {
            "fail" => Ok(Self::Fail),
            "continue" => Ok(Self::Continue),
            other => {
                let text = format!("on_log_damage: got {other:?}: expected fail or continue");
                Err(Error::new(Kind::Config, text))
            }
        }
    }
}

/// A sign of damage. Offsets are those of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// The log ends here, before the offset to read from.
    Shrunk(u64),
    /// The answer starts here, above the offset asked for, and the log starts lower.
    Gap(i64),
    /// The answer goes from one of these offsets to the other, and the log holds what is between them.
    Jump(i64, i64),
    /// The answer holds this offset below the one asked for, or below the record before it.
    Rewind(i64),
    /// Nothing came, though the log ends here.
    Stall(u64),
}

impl Sign {
    /// What was seen, for a person.
    pub fn seen(self) -> String {
        match self {
            Self::Shrunk(end) => {
                format!("the log ends at {end}, before the offset to read from: it has shrunk")
            }
            Self::Gap(first) => format!("an answer starts at {first}, above the offset asked for"),
            Self::Jump(before, after) => format!("an answer jumps from offset {before} to {after}"),
            Self::Rewind(offset) => format!("an answer goes back to offset {offset}"),
            Self::Stall(end) => format!("nothing can be read, although the log ends at {end}"),
        }
    }
}
