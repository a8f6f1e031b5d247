//! Whether a Rivven topic holds what a source was to copy to it: digests, counts, and the first difference.

pub mod align;
pub mod digest;
pub mod index;
pub mod order;
pub mod python;
pub mod raw;
pub mod raw_python;
pub mod restored;
pub mod segments;
pub mod start;
