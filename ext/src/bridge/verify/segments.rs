//! What is kept of a Kafka partition and of the events that tell of it: a sum of digests and a bit for each record,
//! by segments of offsets.

use std::collections::HashMap;

/// Offsets of one segment.
pub const SEGMENT: i64 = 1024;

const WORDS: usize = (SEGMENT / 64) as usize;

/// Records of one segment, on one side.
#[derive(Debug, Clone, Copy, Default)]
struct Side {
    sum: u128,
    bits: [u64; WORDS],
}

impl Side {
    /// Adds a record unless it is there already.
    fn add(&mut self, offset: i64, digest: u128) -> bool {
        let (word, bit) = word_of(offset);
        if self.bits[word] & bit != 0 {
            return false;
        }
        self.bits[word] |= bit;
        self.sum = self.sum.wrapping_add(digest);
        true
    }

    fn has(&self, offset: i64) -> bool {
        let (word, bit) = word_of(offset);
        self.bits[word] & bit != 0
    }
}

/// The word of a segment that has the bit of an offset, and that bit.
fn word_of(offset: i64) -> (usize, u64) {
    let index = offset.rem_euclid(SEGMENT) as usize;
    (index / 64, 1 << (index % 64))
}

/// Where the first copies of a segment's records lie in a Rivven partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// Rivven partition.
    pub partition: i32,
    /// Lowest and highest offset, both included.
    pub first: i64,
    /// See `first`.
    pub last: i64,
}

#[derive(Debug, Default)]
struct Segment {
    kafka: Side,
    rivven: Side,
    /// Records of Kafka that the source does not publish; none in most segments.
    unpublished: Option<Box<[u64; WORDS]>>,
    stretches: Vec<Stretch>,
}

impl Segment {
    fn leave_out(&mut self, offset: i64) {
        let (word, bit) = word_of(offset);
        self.unpublished.get_or_insert_default()[word] |= bit;
    }

    fn leaves_out(&self, offset: i64) -> bool {
        let (word, bit) = word_of(offset);
        self.unpublished.as_ref().is_some_and(|words| words[word] & bit != 0)
    }

    fn stretch(&mut self, partition: i32, offset: i64) {
        match self.stretches.iter_mut().find(|stretch| stretch.partition == partition) {
            Some(stretch) => {
                stretch.first = stretch.first.min(offset);
                stretch.last = stretch.last.max(offset);
            }
            None => self.stretches.push(Stretch { partition, first: offset, last: offset }),
        }
    }
}

/// An event: its Kafka offset, and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Kafka offset.
    pub offset: i64,
    /// Rivven partition.
    pub partition: i32,
    /// Rivven offset.
    pub at: i64,
}

/// How often something is wrong, and the case with the lowest Kafka offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cases<T> {
    /// How often.
    pub count: u64,
    /// Kafka offset, and what there is to say of it.
    pub first: Option<(i64, T)>,
}

impl<T> Default for Cases<T> {
    fn default() -> Self {
        Self { count: 0, first: None }
    }
}

impl<T> Cases<T> {
    /// One more.
    pub fn add(&mut self, offset: i64, case: T) {
        self.count += 1;
        if self.first.as_ref().is_none_or(|(first, _)| offset < *first) {
            self.first = Some((offset, case));
        }
    }
}

/// One Kafka partition, and the events of it.
#[derive(Debug, Default)]
pub struct Partition {
    /// First offset, and the one behind the last.
    pub start: i64,
    /// See `start`.
    pub end: i64,
    /// Kafka drops records here, and has been read already: what Rivven has besides is no difference.
    pub compacted: bool,
    segments: HashMap<i64, Segment>,
    /// Records on either side; in Rivven, copies count.
    pub records_kafka: u64,
    /// See `records_kafka`.
    pub records_rivven: u64,
    /// Records that the source leaves out by its options.
    pub left_out: u64,
    /// Records that the source cannot convert.
    pub bad: u64,
    /// Copies beyond the first.
    pub doubled: Cases<Seen>,
    /// Events that stand behind later ones: with the Kafka offset that stands before.
    pub out_of_order: Cases<(Seen, i64)>,
    /// Events in a Rivven partition of another number than that of Kafka, where the source keeps the numbers.
    pub misplaced: Cases<Seen>,
    /// Events of records that Kafka has dropped since.
    pub compacted_away: u64,
}

impl Partition {
    /// Of the offsets from `start` to before `end`.
    pub fn new(start: i64, end: i64, compacted: bool) -> Self {
        Self { start, end, compacted, ..Self::default() }
    }

    /// Adds a record of Kafka.
    pub fn add_kafka(&mut self, offset: i64, digest: u128) {
        if self.covers(offset) {
            let segment = self.segments.entry(offset.div_euclid(SEGMENT)).or_default();
            self.records_kafka += u64::from(segment.kafka.add(offset, digest));
        }
    }

    /// Adds a record of Kafka that the source leaves out, or cannot convert.
    pub fn add_unpublished(&mut self, offset: i64) {
        if self.covers(offset) {
            self.segments.entry(offset.div_euclid(SEGMENT)).or_default().leave_out(offset);
        }
    }

    /// Whether Kafka has a record at this offset that the source does not publish.
    pub fn leaves_out(&self, offset: i64) -> bool {
        self.segments.get(&offset.div_euclid(SEGMENT)).is_some_and(|segment| segment.leaves_out(offset))
    }

    /// Adds an event; true if it is the first of its record, and not dropped by Kafka.
    pub fn add_rivven(&mut self, seen: Seen, digest: u128) -> bool {
        if !self.covers(seen.offset) {
            return false;
        }
        let segment = self.segments.entry(seen.offset.div_euclid(SEGMENT)).or_default();
        if self.compacted && !segment.kafka.has(seen.offset) && !segment.leaves_out(seen.offset) {
            self.compacted_away += 1;
            return false;
        }
        self.records_rivven += 1;
        let first = segment.rivven.add(seen.offset, digest);
        if first {
            segment.stretch(seen.partition, seen.at);
        } else {
            self.doubled.add(seen.offset, seen);
        }
        first
    }

    /// Whether the offset is looked at.
    pub fn covers(&self, offset: i64) -> bool {
        self.start <= offset && offset < self.end
    }

    /// The sums of digests of Kafka and Rivven.
    pub fn sums(&self) -> (u128, u128) {
        self.segments.values().fold((0, 0), |(kafka, rivven), segment| {
            (kafka.wrapping_add(segment.kafka.sum), rivven.wrapping_add(segment.rivven.sum))
        })
    }

    /// Records of Kafka that Rivven lacks: how many, and the lowest.
    pub fn missing(&self) -> Cases<()> {
        self.only_in(|segment, word| segment.kafka.bits[word] & !segment.rivven.bits[word])
    }

    /// Records of Rivven that Kafka lacks: how many, and the lowest.
    pub fn extra(&self) -> Cases<()> {
        self.only_in(|segment, word| segment.rivven.bits[word] & !segment.kafka.bits[word])
    }

    fn only_in(&self, bits: impl Fn(&Segment, usize) -> u64) -> Cases<()> {
        let mut cases = Cases::default();
        for (number, segment) in &self.segments {
            for word in 0..WORDS {
                let bits = bits(segment, word);
                if bits != 0 {
                    let lowest = number * SEGMENT + word as i64 * 64 + i64::from(bits.trailing_zeros());
                    cases.add(lowest, ());
                    cases.count += u64::from(bits.count_ones()) - 1;
                }
            }
        }
        cases
    }

    /// The numbers of segments whose sums differ, in order.
    pub fn differing(&self) -> Vec<i64> {
        let differs = |segment: &Segment| segment.kafka.sum != segment.rivven.sum;
        let mut numbers: Vec<i64> =
            self.segments.iter().filter(|(_, segment)| differs(segment)).map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        numbers
    }

    /// Where the records of a segment lie in Rivven.
    pub fn stretches(&self, segment: i64) -> Vec<Stretch> {
        self.segments.get(&segment).map(|segment| segment.stretches.clone()).unwrap_or_default()
    }

    /// Bytes of memory.
    pub fn memory(&self) -> usize {
        let stretches: usize = self.segments.values().map(|segment| segment.stretches.capacity()).sum();
        let unpublished = self.segments.values().filter(|segment| segment.unpublished.is_some()).count();
        self.segments.capacity() * size_of::<(i64, Segment)>()
            + stretches * size_of::<Stretch>()
            + unpublished * size_of::<[u64; WORDS]>()
    }
}
