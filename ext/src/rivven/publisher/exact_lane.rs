//! How a lane delivers exactly once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rivven_protocol::{Request, Response};

use super::exact::{foreign, producer_id, settle, Exact, Recognition};
use super::lane::Lane;
use super::queue::Place;
use super::shared::add;
use crate::error::{Error, Kind, Result};
use crate::rivven::publish_frame::Producer;
use crate::rivven::wire;

/// How often a lane without a lease looks whether it has one.
const LEASE_STEP: Duration = Duration::from_millis(20);

/// Before sequences, which are i32, come to their end.
const LAST_SEQUENCE: i32 = i32::MAX / 2;

const TAKEN_OVER: &str = "another process has taken over a partition that this one still writes to";
const ASKED_FOR: &str =
    "another process has asked for a producer id of this one, or the answer to its own question was lost";

/// A producer id for one partition, as rivvend knows it.
#[derive(Debug, Clone, Copy)]
pub struct Writer {
    producer: Producer,
    identity: u64,
    connection: u64,
}

/// A request whose outcome is not known.
#[derive(Debug, Clone, Copy)]
struct Doubt {
    /// The log ended there when it was sent, or later.
    floor: i64,
    /// rivvend has answered, so it does nothing more of it.
    ended: bool,
}

impl Lane {
    /// Sends the batch until it is stored once (true) or its partitions are given up (false); an error is final.
    pub(super) fn deliver_once(&mut self, exact: &Exact) -> Result<bool> {
        let Some(place) = self.batch.place().cloned() else { return Ok(true) };
        let mut doubt = None;
        while self.batch.count() > 0 {
            if self.batch.cancelled() {
                if doubt.is_some() {
                    let sources = self.batch.sources(self.batch.count());
                    exact.accounts.abandoned(&sources, &place, self.number);
                }
                return Ok(false);
            }
            if !exact.lease.valid() {
                if self.shared.stop.sleep(LEASE_STEP) {
                    return Err(Error::new(Kind::Connect, "the publisher is closed"));
                }
                continue;
            }
            let attempt = self.attempt(exact, &place, &mut doubt);
            self.count_connection();
            if let Err(error) = attempt {
                self.writers.remove(&place.number);
                self.link.try_again(error)?;
                add(&self.shared.stats.retries, 1);
            }
        }
        Ok(true)
    }

    fn attempt(&mut self, exact: &Exact, place: &Arc<Place>, doubt: &mut Option<Doubt>) -> Result<()> {
        self.look()?;
        // Before the log is read: from here on, rivvend refuses what was sent and has not come to it yet.
        if self.writer(exact, place)?.is_none() {
            return Ok(());
        }
        if let Some(open) = *doubt {
            if !self.resolve(exact, place, open)? {
                return Ok(());
            }
            *doubt = None;
        }
        if self.batch.count() == 0 {
            return Ok(());
        }
        let Some(writer) = self.writer(exact, place)? else { return Ok(()) };
        self.batch.set_producer(writer.producer);
        let sources = self.batch.sources(self.batch.count());
        let floor = place.end();
        exact.accounts.sending(&sources, place, self.number, floor);
        let begin = Instant::now();
        let connection = self.link.connection()?;
        // Asked again, as all of the above may have taken its time; what is cancelled after this is seen on the wire.
        if !exact.lease.valid() || self.batch.cancelled() {
            exact.accounts.not_sent(&sources, place, self.number);
            return Ok(());
        }
        *doubt = Some(Doubt { floor, ended: false });
        let body = connection.call_frame(self.batch.frame(), Duration::ZERO)?;
        *doubt = Some(Doubt { floor, ended: true });
        let count = self.batch.count();
        let refused = |exact: &Exact| exact.accounts.not_sent(&sources, place, self.number);
        match connection.accept(wire::decode_response(&body)?) {
            Ok(Response::IdempotentPublishedBatch {
                base_offset, record_count, duplicate: false, ..
            }) if record_count as usize == count => {
                let base = base_offset as i64;
                if exact.recognition == Recognition::Order && base != floor {
                    return Err(foreign(place, floor));
                }
                exact.accounts.stored(&sources, place, self.number, base);
                place.raise_end(base + count as i64);
                if let Some(writer) = self.writers.get_mut(&place.number) {
                    writer.producer.sequence += count as i32;
                }
                *doubt = None;
                self.count_batch(begin);
                if exact.recognition == Recognition::Position {
                    self.see_end(place);
                }
                self.batch.acknowledge_first(count);
                Ok(())
            }
            Ok(Response::Throttled { throttle_time_ms, .. }) => {
                refused(exact);
                *doubt = None;
                self.wait_throttled(throttle_time_ms)
            }
            Ok(_) => Err(Error::new(Kind::RetriableBroker, "rivvend takes a batch for one that it has")),
            Err(error) if matches!(error.kind, Kind::UnknownProducer | Kind::OutOfOrderSequence) => {
                refused(exact);
                *doubt = None;
                Err(Error { kind: Kind::RetriableBroker, ..error })
            }
            Err(error) if error.kind == Kind::Fenced => {
                refused(exact);
                *doubt = None;
                self.writers.remove(&place.number);
                self.shut_out(exact, writer.identity, TAKEN_OVER)
            }
            Err(error) => Err(error),
        }
    }

    /// Asks where the log ends: other lanes have added between the records of a batch, so its own offsets say little,
    /// and the next start would read more than it has to.
    fn see_end(&mut self, place: &Place) {
        let (topic, partition) = (place.topic.to_string(), place.partition);
        let bounds = Request::GetOffsetBounds { topic: topic.clone(), partition };
        // Without an answer the next request finds out why.
        let Ok(Response::OffsetBounds { latest, .. }) = self.call(&bounds) else { return };
        let end = i64::try_from(latest).unwrap_or(i64::MAX);
        if end <= place.end() {
            return;
        }
        // rivvend raises the end before it appends, and takes it back when the disk is full: the last record tells.
        let last = Request::Consume {
            topic,
            partition,
            offset: latest - 1,
            max_messages: 1,
            isolation_level: None,
            max_wait_ms: None,
        };
        if let Ok(Response::Messages { messages }) = self.call(&last) {
            if messages.iter().any(|message| message.offset == latest - 1) {
                place.raise_end(end);
            }
        }
    }

    fn call(&mut self, request: &Request) -> Result<Response> {
        self.link.connection()?.call(request)
    }

    /// Finds out what became of the batch, and keeps what has to be sent. False if it was given up before.
    fn resolve(&mut self, exact: &Exact, place: &Arc<Place>, doubt: Doubt) -> Result<bool> {
        let Doubt { floor, ended } = doubt;
        let batch = &self.batch;
        let digests = batch.digests();
        let settled = settle(
            &mut self.link,
            &self.shared.stop,
            place,
            floor,
            &digests,
            ended,
            exact.recognition,
            || batch.cancelled(),
        )?;
        let Some((count, end)) = settled else { return Ok(false) };
        let all = self.batch.sources(self.batch.count());
        // First what is stored: an anchor between the two must not pass it.
        exact.accounts.stored(&self.batch.sources(count), place, self.number, floor);
        exact.accounts.not_sent(&all, place, self.number);
        place.raise_end(end);
        add(&self.shared.stats.records_published, count as u64);
        self.batch.acknowledge_first(count);
        Ok(true)
    }

    /// Somebody has shut `identity` out: an error, unless it or the batch was given up here as well.
    fn shut_out(&self, exact: &Exact, identity: u64, text: &str) -> Result<()> {
        if exact.identity.get() == identity && !self.batch.cancelled() {
            return Err(Error::new(Kind::Fenced, text).with_code("PRODUCER_FENCED"));
        }
        Ok(())
    }

    /// The producer id for a partition, made known over this connection; None if it was given up before.
    fn writer(&mut self, exact: &Exact, place: &Place) -> Result<Option<Writer>> {
        self.link.connection()?;
        let connection = self.link.opened();
        let identity = exact.identity.get();
        if let Some(writer) = self.writers.get(&place.number) {
            let current = writer.connection == connection && writer.identity == identity;
            if current && writer.producer.sequence < LAST_SEQUENCE {
                return Ok(Some(*writer));
            }
        }
        let id = producer_id(identity, &place.topic, place.partition, self.number);
        let epoch = crate::rivven::client::init_producer(self.link.connection()?, id)?;
        // Whoever has shut this id out reads the log without what is sent under its next epoch.
        if !self.epochs.explain(identity, id, self.link.server().unwrap_or_default(), epoch) {
            return self.shut_out(exact, identity, ASKED_FOR).map(|()| None);
        }
        let writer = Writer { producer: Producer { id, epoch, sequence: 0 }, identity, connection };
        self.writers.insert(place.number, writer);
        Ok(Some(writer))
    }
}
