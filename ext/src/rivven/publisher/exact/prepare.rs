//! Before source partitions are read: what the destination has of them.

use std::collections::HashMap;
use std::sync::Arc;

use super::settle::wait_quiet;
use super::{digest, Anchor, Exact, Recognition};
use crate::bridge::event_position::event_position;
use crate::error::{Error, Kind, Result};
use crate::rivven::link::Link;
use crate::rivven::log_scan;
use crate::rivven::offset_set::OffsetSet;
use crate::rivven::publisher::queue::Place;
use crate::rivven::publisher::shared::Shared;
use crate::tracker::TopicPartition;

/// Logs that are read at a time.
const MOST_READERS: usize = 8;

/// A source partition to prepare.
#[derive(Debug)]
pub struct Preparation {
    /// Topic and partition.
    pub source: TopicPartition,
    /// Its committed position: records from there on are looked for.
    pub position: i64,
    /// From where on; None if no anchor was committed: then everywhere (or, in the order of a partition, it starts
    /// at the end).
    pub anchors: Option<Vec<Anchor>>,
    /// Where its records go, or went.
    pub places: Vec<Arc<Place>>,
    /// Numbers of the places where they go now.
    pub homes: Vec<usize>,
}

/// What it took.
#[derive(Debug, Default, Clone, Copy)]
pub struct Prepared {
    /// Records of the destination that were read.
    pub read: u64,
    /// Records beyond the positions that were found in it.
    pub found: u64,
}

/// One log, and what is looked for in it.
struct Reading {
    place: Arc<Place>,
    /// Indexes of the preparations.
    wanted: Vec<usize>,
    at: i64,
    known_end: i64,
    found: HashMap<usize, OffsetSet>,
    digests: Vec<u64>,
    read: u64,
}

/// Opens the accounts of source partitions. With `unsettled`, requests of an earlier publisher may be under way,
/// and are waited for.
pub fn prepare(shared: &Shared, exact: &Exact, work: &[Preparation], unsettled: bool) -> Result<Prepared> {
    let search = Search::new(shared, exact, work);
    let mut readings = readings(work, exact.recognition);
    let size = readings.len().div_ceil(MOST_READERS).max(1);
    std::thread::scope(|scope| -> Result<()> {
        let read = |chunk| scope.spawn(|| search.read_all(shared, chunk, unsettled));
        let threads: Vec<_> = readings.chunks_mut(size).map(read).collect();
        for thread in threads {
            thread.join().map_err(|_| Error::new(Kind::Delivery, "a reader of the log panicked"))??;
        }
        Ok(())
    })?;
    let read = readings.iter().map(|reading| reading.read).sum();
    let mut trails: Vec<Vec<(Arc<Place>, OffsetSet)>> = work.iter().map(|_| Vec::new()).collect();
    for reading in &mut readings {
        reading.place.raise_end(reading.at);
        if exact.recognition == Recognition::Order {
            reading.place.expect(std::mem::take(&mut reading.digests));
        }
        for index in &reading.wanted {
            let found = reading.found.remove(index).unwrap_or_else(OffsetSet::new);
            trails[*index].push((Arc::clone(&reading.place), found));
        }
    }
    let mut found = 0;
    for (preparation, trails) in work.iter().zip(trails) {
        found +=
            trails.iter().map(|(place, found)| (found.len() as usize + place.expected()) as u64).sum::<u64>();
        exact.accounts.open(preparation.source.clone(), trails, preparation.homes.clone());
    }
    Ok(Prepared { read, found })
}

fn readings(work: &[Preparation], recognition: Recognition) -> Vec<Reading> {
    let mut all: HashMap<usize, Reading> = HashMap::new();
    for (index, preparation) in work.iter().enumerate() {
        // None: from the end on.
        let mut add = |place: &Arc<Place>, anchor: Option<i64>| {
            let reading = all.entry(place.number).or_insert_with(|| Reading {
                place: Arc::clone(place),
                wanted: Vec::new(),
                at: i64::MAX,
                known_end: place.end(),
                found: HashMap::new(),
                digests: Vec::new(),
                read: 0,
            });
            reading.wanted.push(index);
            reading.at = reading.at.min(anchor.unwrap_or(i64::MAX));
            reading.known_end = reading.known_end.max(anchor.unwrap_or(-1));
        };
        for place in &preparation.places {
            let anchors = preparation.anchors.as_deref();
            let known =
                |(topic, partition, _): &&Anchor| **topic == *place.topic && *partition == place.partition;
            match anchors.map(|anchors| anchors.iter().find(known)) {
                Some(Some((_, _, anchor))) => add(place, Some(*anchor)),
                // Where it was not to write, it has not written.
                Some(None) => add(place, None),
                None if recognition == Recognition::Order => add(place, None),
                None => add(place, Some(0)),
            }
        }
    }
    let mut all: Vec<_> = all.into_values().collect();
    all.sort_unstable_by_key(|reading| reading.place.number);
    all
}

/// Index of a preparation, and id of its topic.
type Wanted = (usize, Option<Arc<str>>);

/// What is looked for.
struct Search<'a> {
    work: &'a [Preparation],
    recognition: Recognition,
    sources: HashMap<(&'a str, i32), Wanted>,
}

impl<'a> Search<'a> {
    fn new(shared: &Shared, exact: &Exact, work: &'a [Preparation]) -> Self {
        let sources = work.iter().enumerate().map(|(index, preparation)| {
            let (topic, partition) = &preparation.source;
            ((&**topic, *partition), (index, shared.topic_id(topic)))
        });
        Self { work, recognition: exact.recognition, sources: sources.collect() }
    }

    fn read_all(&self, shared: &Shared, readings: &mut [Reading], unsettled: bool) -> Result<()> {
        let mut link = Link::new(shared.config.link.clone(), Arc::clone(&shared.stop));
        for reading in readings.iter_mut() {
            self.read(&mut link, reading)?;
        }
        let Some(first) = readings.first().filter(|_| unsettled) else { return Ok(()) };
        let place = Arc::clone(&first.place);
        // For all at once: one after the other, thousands of logs would take as many seconds.
        wait_quiet(
            &mut link,
            &shared.stop,
            &place,
            || false,
            |link| {
                let mut any = false;
                for reading in readings.iter_mut() {
                    any |= self.read(link, reading)?;
                }
                Ok(any)
            },
        )?;
        Ok(())
    }

    /// Reads on to the end; whether any of it was looked for.
    fn read(&self, link: &mut Link, reading: &mut Reading) -> Result<bool> {
        let Reading { place, found, digests, .. } = reading;
        let known_end = Some(reading.known_end).filter(|end| *end >= 0);
        let (earliest, end) = log_scan::check_tail(link, &place.topic, place.partition, known_end)?;
        reading.known_end = end;
        let from = reading.at.max(earliest).min(end);
        let mut any = false;
        let scanned = log_scan::scan(link, &place.topic, place.partition, from, end, &mut |record| {
            if self.recognition == Recognition::Order {
                digests.push(digest(record.key, record.value));
                any = true;
            } else if let Some((index, offset)) = self.recognise(record.value) {
                any |= found.entry(index).or_insert_with(OffsetSet::new).insert(offset, record.offset);
            }
            Ok(())
        });
        scanned?;
        reading.read += (end - from) as u64;
        reading.at = end;
        Ok(any)
    }

    /// Which preparation a record belongs to, and its offset in the source.
    fn recognise(&self, value: &[u8]) -> Option<(usize, i64)> {
        let position = event_position(value)?;
        let (index, id) = self.sources.get(&(&*position.topic, position.partition))?;
        let same = position.topic_id.is_some() && position.topic_id == id.as_deref();
        (same && position.offset >= self.work[*index].position).then_some((*index, position.offset))
    }
}
