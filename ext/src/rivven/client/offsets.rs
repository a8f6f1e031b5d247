//! Committed offsets of consumer groups.

use rivven_protocol::{Request, Response};

use super::{offset_in, offset_out, unexpected, Client, Repeat};
use crate::error::{Kind, Result};

impl Client {
    /// The next offset to read of a group, None if it never committed.
    pub fn committed_offset(&self, group: &str, topic: &str, partition: u32) -> Result<Option<i64>> {
        let request =
            Request::GetOffset { consumer_group: group.to_owned(), topic: topic.to_owned(), partition };
        match self.request(&request, Repeat::Safe).map_err(|error| error.at(topic, partition as i32, None))? {
            Response::Offset { offset } => Ok(offset.map(offset_out)),
            other => Err(unexpected(&other)),
        }
    }

    /// Commits offsets (the next to read) of a group, one after the other.
    ///
    /// rivvend writes its table of offsets to disk with every 50th commit and keeps the rest in memory
    /// (`rivven-core/src/offset.rs`), so a crash forgets up to 49. With `durable` the table is on disk when this
    /// returns: deleting a group writes it, so a scratch group is committed and deleted (under 1 ms).
    pub fn commit_offsets(&self, group: &str, offsets: &[(String, u32, i64)], durable: bool) -> Result<()> {
        for (topic, partition, offset) in offsets {
            self.commit(group, topic, *partition, *offset)?;
        }
        if let (true, Some((topic, partition, offset))) = (durable, offsets.last()) {
            self.commit(&self.scratch_group, topic, *partition, *offset)?;
            // "Not found" is the answer to a repetition; the first one did its work.
            self.delete_group(&self.scratch_group)?;
        }
        Ok(())
    }

    fn commit(&self, group: &str, topic: &str, partition: u32, offset: i64) -> Result<()> {
        let request = Request::CommitOffset {
            consumer_group: group.to_owned(),
            topic: topic.to_owned(),
            partition,
            offset: offset_in(offset)?,
        };
        let response = self.request(&request, Repeat::Safe);
        match response.map_err(|error| error.at(topic, partition as i32, Some(offset)))? {
            Response::OffsetCommitted => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// Deletes the committed offsets of a group; false if it does not exist.
    pub fn delete_group(&self, group: &str) -> Result<bool> {
        match self.request(&Request::DeleteGroup { consumer_group: group.to_owned() }, Repeat::Safe) {
            Ok(Response::GroupDeleted) => Ok(true),
            Ok(other) => Err(unexpected(&other)),
            Err(error) if error.kind == Kind::UnknownTopic => Ok(false),
            Err(error) => Err(error),
        }
    }
}
