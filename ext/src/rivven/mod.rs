//! Rivven's wire: connections, publish lanes, fetching, offsets and groups.
