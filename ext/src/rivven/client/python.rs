//! `RivvenClient`: the client for Python.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rivven_protocol::SyncGroupAssignments;

use super::Client;
use crate::error::{Error, Kind, Result};
use crate::kafka::py::RecordBlock;
use crate::rivven::arguments::{self, Arguments};
use crate::rivven::retry::Backoff;
use crate::rivven::security::RivvenSecurity;

/// A client of a Rivven broker: topics, offsets, groups, single fetches.
///
/// It connects with its first call, reconnects when the connection is lost, and moves on to the next of
/// `servers` when one fails. Calls that can be repeated without harm are repeated, with backoff; `publish`,
/// `leave_group` and the first `join_group` are not when their answer is lost. May be shared by threads;
/// calls wait for each other.
#[pyclass(frozen, module = "rivven_kafka._native")]
pub struct RivvenClient(Client);

#[pymethods]
impl RivvenClient {
    #[new]
    #[pyo3(signature = (servers, *, client_id="rivven-kafka".to_owned(),
        security=None, connect_timeout_ms=10_000,
        request_timeout_ms=30_000, retry_initial_ms=100, retry_max_ms=30_000, retry_multiplier=2.0,
        max_retries=10))]
    #[allow(clippy::too_many_arguments)] // keyword arguments in Python
    fn new(
        servers: Vec<String>,
        client_id: String,
        security: Option<Bound<'_, RivvenSecurity>>,
        connect_timeout_ms: u64,
        request_timeout_ms: u64,
        retry_initial_ms: u64,
        retry_max_ms: u64,
        retry_multiplier: f64,
        max_retries: u32,
    ) -> Result<Self> {
        let backoff = Backoff {
            initial_ms: retry_initial_ms,
            max_ms: retry_max_ms,
            multiplier: retry_multiplier,
            max_retries,
        };
        let security = arguments::security(security);
        let arguments =
            Arguments { servers, security, client_id, connect_timeout_ms, request_timeout_ms, backoff };
        Ok(Self(Client::new(arguments.check()?)))
    }

    /// Asks for a sign of life.
    fn ping(&self, py: Python<'_>) -> Result<()> {
        py.detach(|| self.0.ping())
    }

    /// Names of all topics, sorted.
    fn topics(&self, py: Python<'_>) -> Result<Vec<String>> {
        py.detach(|| self.0.topics())
    }

    /// How many partitions a topic has, None if it does not exist.
    fn partition_count(&self, py: Python<'_>, topic: &str) -> Result<Option<u32>> {
        py.detach(|| self.0.partition_count(topic))
    }

    /// Creates a topic of 1 to 1000 partitions; False if it exists already, with whatever number of them.
    fn create_topic(&self, py: Python<'_>, name: &str, partitions: u32) -> Result<bool> {
        py.detach(|| self.0.create_topic(name, partitions))
    }

    /// Deletes a topic; False if it does not exist. Rivven 0.0.22 keeps the files: created again, the topic has
    /// its old records back.
    fn delete_topic(&self, py: Python<'_>, name: &str) -> Result<bool> {
        py.detach(|| self.0.delete_topic(name))
    }

    /// The first offset of a partition, and the offset that its next record will get.
    fn offset_bounds(&self, py: Python<'_>, topic: &str, partition: u32) -> Result<(i64, i64)> {
        py.detach(|| self.0.offset_bounds(topic, partition))
    }

    /// The first offset whose record was appended at `timestamp_ms` or later, None if there is none.
    fn offset_for_timestamp(
        &self,
        py: Python<'_>,
        topic: &str,
        partition: u32,
        timestamp_ms: i64,
    ) -> Result<Option<i64>> {
        py.detach(|| self.0.offset_for_timestamp(topic, partition, timestamp_ms))
    }

    /// The committed offset of a group (the next to read), None if it never committed.
    fn committed_offset(
        &self,
        py: Python<'_>,
        group: &str,
        topic: &str,
        partition: u32,
    ) -> Result<Option<i64>> {
        py.detach(|| self.0.committed_offset(group, topic, partition))
    }

    /// Commits `(topic, partition, next offset to read)` for a group. With `durable` they are on the broker's
    /// disk on return; without, a crash of the broker forgets up to the last 49 commits.
    #[pyo3(signature = (group, offsets, durable=true))]
    fn commit_offsets(
        &self,
        py: Python<'_>,
        group: &str,
        offsets: Vec<(String, u32, i64)>,
        durable: bool,
    ) -> Result<()> {
        py.detach(|| self.0.commit_offsets(group, &offsets, durable))
    }

    /// Deletes the committed offsets of a group; False if it does not exist.
    fn delete_group(&self, py: Python<'_>, group: &str) -> Result<bool> {
        py.detach(|| self.0.delete_group(group))
    }

    /// Appends `(key or None, value)` records to a partition and returns the offset of the first. One
    /// request, one connection: for tools; `Publisher` is the fast way.
    fn publish(
        &self,
        py: Python<'_>,
        topic: &str,
        partition: u32,
        records: Vec<(Option<Bound<'_, PyBytes>>, Bound<'_, PyBytes>)>,
    ) -> Result<i64> {
        let records: Vec<_> = records
            .iter()
            .map(|(key, value)| (key.as_ref().map(|key| key.as_bytes().to_vec()), value.as_bytes().to_vec()))
            .collect();
        py.detach(|| self.0.publish(topic, partition, &records))
    }

    /// Reads records from `offset` on, waiting up to `max_wait_ms` for the first. `next_offset` of the block is
    /// where to go on, also when it is empty.
    #[pyo3(signature = (topic, partition, offset, max_messages=1000, max_wait_ms=0))]
    fn fetch(
        &self,
        py: Python<'_>,
        topic: &str,
        partition: u32,
        offset: i64,
        max_messages: u32,
        max_wait_ms: u64,
    ) -> Result<RecordBlock> {
        py.detach(|| self.0.fetch(topic, partition, offset, max_messages, max_wait_ms)).map(RecordBlock)
    }

    /// Calls `visit(offset, key or None, value)` for every record from offset `start` to `stop` (exclusive, at most
    /// the end of the log), and returns how many there were and the bytes of their keys and values.
    ///
    /// Raises `LogDamagedError` when the log does not answer as a sound one does. Other calls wait until the end;
    /// `visit` may not use this client.
    fn scan(
        &self,
        py: Python<'_>,
        topic: &str,
        partition: u32,
        start: i64,
        stop: i64,
        visit: Py<PyAny>,
    ) -> PyResult<(u64, u64)> {
        let mut raised = None;
        let result = py.detach(|| {
            self.0.scan(topic, partition, start, stop, &mut |record| {
                Python::attach(|py| {
                    let key = record.key.map(|key| PyBytes::new(py, key));
                    visit.call1(py, (record.offset, key, PyBytes::new(py, record.value))).map(drop)
                })
                .map_err(|error| {
                    raised = Some(error);
                    Error::new(Kind::Delivery, "the visitor raised an exception")
                })
            })
        });
        match (result, raised) {
            (_, Some(error)) => Err(error),
            (result, None) => Ok(result.map(|end| (end.records, end.bytes))?),
        }
    }

    /// Proves that the last known record of a partition can be read, and returns its first offset and the one that
    /// its next record will get. `known_end` is the offset behind the last record that is known to be stored.
    ///
    /// Raises `LogDamagedError` if the log ends before that, or does not answer as a sound one does. Without
    /// `known_end` the last record of the log must not be the marker of a transaction.
    #[pyo3(signature = (topic, partition, known_end=None))]
    fn check_tail(
        &self,
        py: Python<'_>,
        topic: &str,
        partition: u32,
        known_end: Option<i64>,
    ) -> Result<(i64, i64)> {
        py.detach(|| self.0.check_tail(topic, partition, known_end))
    }

    /// Joins a group (an empty `member_id`: as a new member), without waiting for others. Returns generation,
    /// own member id, leader id, and the members known so far with their topics.
    #[allow(clippy::type_complexity)] // a plain tuple in Python
    fn join_group(
        &self,
        py: Python<'_>,
        group: &str,
        member_id: &str,
        session_timeout_ms: u32,
        rebalance_timeout_ms: u32,
        topics: Vec<String>,
    ) -> Result<(u32, String, String, Vec<(String, Vec<String>)>)> {
        let joined = py.detach(|| {
            self.0.join_group(group, member_id, session_timeout_ms, rebalance_timeout_ms, topics)
        })?;
        Ok((joined.generation, joined.member_id, joined.leader_id, joined.members))
    }

    /// Hands in assignments `[(member, [(topic, [partition])])]` (leader; a follower hands in none) and returns
    /// the own one. A follower calls it only after `heartbeat` answered 0, or it may hang for 30 s.
    fn sync_group(
        &self,
        py: Python<'_>,
        group: &str,
        generation: u32,
        member_id: &str,
        assignments: SyncGroupAssignments,
    ) -> Result<Vec<(String, Vec<u32>)>> {
        py.detach(|| self.0.sync_group(group, generation, member_id, assignments))
    }

    /// Says that the member is alive. 0: the group is stable; 27: a rebalance is under way.
    fn heartbeat(&self, py: Python<'_>, group: &str, generation: u32, member_id: &str) -> Result<i32> {
        py.detach(|| self.0.heartbeat(group, generation, member_id))
    }

    /// Leaves a group.
    fn leave_group(&self, py: Python<'_>, group: &str, member_id: &str) -> Result<()> {
        py.detach(|| self.0.leave_group(group, member_id))
    }

    /// Has the broker refuse what the present owners of these producer ids send from now on.
    fn fence(&self, py: Python<'_>, producer_ids: Vec<u64>) -> Result<()> {
        py.detach(|| self.0.fence(&producer_ids))
    }

    /// Closes the connection. A call that is under way in another thread ends with an error.
    fn close(&self) {
        self.0.close();
    }
}
