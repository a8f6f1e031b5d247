//! Topics, their records, and being alive.

use std::sync::Arc;
use std::time::Duration;

use rivven_protocol::{Request, Response};

use super::{offset_in, offset_out, unexpected, Client, Repeat};
use crate::error::{Error, Kind, Result};
use crate::record::Block;
use crate::rivven::log_scan::{self, LogRecord, ScanEnd};
use crate::rivven::publish_frame::PublishFrame;
use crate::rivven::wire;

/// The broker waits no longer, whatever is asked (`rivvend/src/handler/consume.rs`).
const LONGEST_POLL_MS: u64 = 30_000;

/// A record to publish.
pub type KeyValue = (Option<Vec<u8>>, Vec<u8>);

impl Client {
    /// Asks for a sign of life.
    pub fn ping(&self) -> Result<()> {
        match self.request(&Request::Ping, Repeat::Safe)? {
            Response::Pong => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// Names of all topics, sorted.
    pub fn topics(&self) -> Result<Vec<String>> {
        match self.request(&Request::ListTopics, Repeat::Safe)? {
            Response::Topics { mut topics } => {
                topics.sort_unstable();
                Ok(topics)
            }
            other => Err(unexpected(&other)),
        }
    }

    /// How many partitions a topic has, None if it does not exist.
    pub fn partition_count(&self, topic: &str) -> Result<Option<u32>> {
        match self.request(&Request::GetMetadata { topic: topic.to_owned() }, Repeat::Safe) {
            Ok(Response::Metadata { partitions, .. }) => Ok(Some(partitions)),
            Ok(other) => Err(unexpected(&other)),
            Err(error) if error.kind == Kind::UnknownTopic => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates a topic; false if it exists already, with whatever number of partitions.
    pub fn create_topic(&self, name: &str, partitions: u32) -> Result<bool> {
        let request = Request::CreateTopic { name: name.to_owned(), partitions: Some(partitions) };
        match self.request(&request, Repeat::Safe) {
            Ok(Response::TopicCreated { .. }) => Ok(true),
            Ok(other) => Err(unexpected(&other)),
            Err(error) if error.kind == Kind::TopicExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes a topic; false if it does not exist. rivvend 0.0.22 keeps the files: created again, the topic
    /// has its old records back (`rivven-core/src/topic.rs`).
    pub fn delete_topic(&self, name: &str) -> Result<bool> {
        match self.request(&Request::DeleteTopic { name: name.to_owned() }, Repeat::Safe) {
            Ok(Response::TopicDeleted) => Ok(true),
            Ok(other) => Err(unexpected(&other)),
            Err(error) if error.kind == Kind::UnknownTopic => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The first offset of a partition and the one that its next record will get.
    pub fn offset_bounds(&self, topic: &str, partition: u32) -> Result<(i64, i64)> {
        let request = Request::GetOffsetBounds { topic: topic.to_owned(), partition };
        match self.request(&request, Repeat::Safe).map_err(|error| error.at(topic, partition as i32, None))? {
            Response::OffsetBounds { earliest, latest } => Ok((offset_out(earliest), offset_out(latest))),
            other => Err(unexpected(&other)),
        }
    }

    /// The first offset whose record was appended at `timestamp_ms` or later, None if there is none.
    pub fn offset_for_timestamp(
        &self,
        topic: &str,
        partition: u32,
        timestamp_ms: i64,
    ) -> Result<Option<i64>> {
        let request = Request::GetOffsetForTimestamp { topic: topic.to_owned(), partition, timestamp_ms };
        match self.request(&request, Repeat::Safe).map_err(|error| error.at(topic, partition as i32, None))? {
            Response::OffsetForTimestamp { offset } => Ok(offset.map(offset_out)),
            other => Err(unexpected(&other)),
        }
    }

    /// Appends records to a partition and returns the offset of the first. Not repeated when the answer is
    /// lost: the records may be stored, and a Storage error can leave the first of them stored.
    pub fn publish(&self, topic: &str, partition: u32, records: &[KeyValue]) -> Result<i64> {
        let mut frame = PublishFrame::new(topic, partition);
        for (key, value) in records {
            frame.push(key.as_deref(), |out| {
                out.extend_from_slice(value);
                Ok(())
            })?;
        }
        if frame.body_len() > wire::MAX_BODY {
            let text = format!("a request of {} bytes, rivvend takes 10485760", frame.body_len());
            return Err(Error::new(Kind::RecordTooLarge, text).at(topic, partition as i32, None));
        }
        frame.seal();
        let response = self.attempt(Repeat::Unsafe, |connection| {
            let body = connection.call_frame(frame.sealed(), Duration::ZERO)?;
            connection.accept(wire::decode_response(&body)?)
        });
        match response.map_err(|error| error.at(topic, partition as i32, None))? {
            Response::PublishedBatch { base_offset, .. } => Ok(offset_out(base_offset)),
            other => Err(unexpected(&other)),
        }
    }

    /// Reads records from `offset` on; without any, the block's next offset is `offset`.
    pub fn fetch(
        &self,
        topic: &str,
        partition: u32,
        offset: i64,
        max_messages: u32,
        max_wait_ms: u64,
    ) -> Result<Block> {
        let max_wait_ms = max_wait_ms.min(LONGEST_POLL_MS);
        let request = Request::Consume {
            topic: topic.to_owned(),
            partition,
            offset: offset_in(offset)?,
            max_messages,
            isolation_level: None,
            max_wait_ms: (max_wait_ms > 0).then_some(max_wait_ms),
        };
        let mut frame = wire::request_frame(&request)?;
        let wait = Duration::from_millis(max_wait_ms);
        let name = Arc::from(topic);
        let mut block = None;
        let response = self.attempt(Repeat::Safe, |connection| {
            let body = connection.call_frame(&mut frame, wait)?;
            if wire::is_messages(&body) {
                block = Some(wire::decode_messages(&body, &name, partition as i32)?);
                return Ok(Response::Ok);
            }
            connection.accept(wire::decode_response(&body)?)
        });
        let response = response.map_err(|error| error.at(topic, partition as i32, Some(offset)))?;
        let mut block = block.ok_or_else(|| unexpected(&response))?;
        block.next_offset = block.next_offset.max(offset);
        Ok(block)
    }

    /// Visits the records of a partition from one offset to another; see `log_scan::scan`. Other requests wait.
    pub fn scan(
        &self,
        topic: &str,
        partition: u32,
        from: i64,
        until: i64,
        visit: &mut dyn FnMut(LogRecord<'_>) -> Result<()>,
    ) -> Result<ScanEnd> {
        log_scan::scan(&mut self.link(), topic, partition, from, until, visit)
    }

    /// Proves that the last known record of a partition can be read, and returns the bounds of the log; see
    /// `log_scan::check_tail`.
    pub fn check_tail(&self, topic: &str, partition: u32, known_end: Option<i64>) -> Result<(i64, i64)> {
        log_scan::check_tail(&mut self.link(), topic, partition, known_end)
    }
}
