//! Where a field is: names from the top of the event, separated by dots.

use std::fmt;

use super::MAX_EVENT_DEPTH;

/// The member of an event that holds the value.
pub const DATA: &str = "data";

/// Names from the top of the event down to a field; at least one.
#[derive(Debug, Clone)]
pub struct Path {
    names: Vec<String>,
    /// How many names lie above the text that is edited: 1 where the text is the value and not the event.
    above: usize,
}

impl Path {
    /// Reads a dotted path. A dot inside a name has a backslash before it, and so has a backslash there.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (mut names, mut name) = (Vec::new(), String::new());
        let mut rest = text.chars().peekable();
        while let Some(character) = rest.next() {
            match (character, rest.peek()) {
                ('\\', Some('.' | '\\')) => name.extend(rest.next()),
                ('.', _) => names.push(std::mem::take(&mut name)),
                _ => name.push(character),
            }
        }
        names.push(name);
        if names.iter().any(String::is_empty) {
            return Err(format!("got {text:?}: expected names separated by single dots"));
        }
        if names.len() > MAX_EVENT_DEPTH as usize {
            let count = names.len();
            return Err(format!(
                "got a path of {count} names: expected at most {MAX_EVENT_DEPTH}, the levels of an event"
            ));
        }
        Ok(Self { names, above: 0 })
    }

    /// Lets the path begin inside the value.
    pub fn enter_data(&mut self) -> Result<(), String> {
        if self.names[0] != DATA || self.names.len() < 2 {
            return Err(format!(
                "got \"{self}\": expected a field inside data, the only thing that a record has in raw format \
                 (data.NAME)"
            ));
        }
        self.above = 1;
        Ok(())
    }

    /// The names to follow in the text that is edited.
    pub fn names(&self) -> &[String] {
        &self.names[self.above..]
    }

    /// How many names lie above the text that is edited.
    pub fn above(&self) -> usize {
        self.above
    }

    /// All names, from the top of the event.
    pub fn all_names(&self) -> &[String] {
        &self.names
    }

    /// The path of what stands `depth` names below the top of the text, for a message.
    pub fn shown_to(&self, depth: usize) -> String {
        match &self.names[..self.above + depth] {
            [] => "the event".to_owned(),
            names => shown(names),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.names))
    }
}

fn shown(names: &[String]) -> String {
    let escaped: Vec<_> = names.iter().map(|name| name.replace('\\', "\\\\").replace('.', "\\.")).collect();
    escaped.join(".")
}
